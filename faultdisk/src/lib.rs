//! A disk that loses power and fails on order, under a program that knows nothing of it.
//!
//! ```text
//! harness ── FaultDisk::apply ─▶ Command ─▶ the program, with libfaultdisk_preload.so between it and the C library
//!    │                                            │ before each write: what was there      ─▶ journal/files/<inode>
//!    │                                            │ at each change of a name               ─▶ journal/names
//!    ├── set_faults ─▶ control ───────────────────┘ at each sync: the record is closed
//!    ├── SIGKILL
//!    └── cut_power(seed): everything that was not synced is undone, then some of it is done again, torn or whole
//! ```
//!
//! A process that is killed loses nothing: the kernel still has its writes. So the journal tells
//! what a disk would have lost, and [`FaultDisk::cut_power`] rewrites the files to something that a
//! disk could hold. What it may hold is taken widely:
//!
//! - Of the writes to a file since its last successful sync any may be there, in part or not at
//!   all, whatever their order.
//! - A file may have grown without its bytes: they read as zeros.
//! - A name that was made, moved or removed may be as before until its folder is synced. Syncing
//!   the file is not enough.
//!
//! What a sync promised is there, always. A sync that failed promises nothing, ever: what it was to
//! write is lost, though it can be read until the power goes, and the next sync says that all is
//! well.
//!
//! Not seen, and refused with a message where they can be noticed: shared writable mappings
//! (SQLite's `-shm` file aside, which is made anew after every crash), direct I/O, io_uring,
//! symbolic links. Not noticed: system calls made without the C library, and C's own streams
//! (`fopen`).

mod chance;
mod cut;
mod disk;
mod faults;
pub mod journal;
mod preload;
pub mod record;
mod report;

pub use disk::{DiskError, FaultDisk, environment};
pub use faults::{CONTROL_BYTES, Faults};
pub use preload::preload_library;
pub use report::{Count, CutReport, FileCut};
