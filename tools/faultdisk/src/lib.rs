//! Simulates a disk that loses power or fails when a test orders it. The program on it is
//! unchanged.
//!
//! ```text
//! harness ── FaultDisk::apply ─▶ Command ─▶ program over libfaultdisk_preload.so
//!    │                                    │ before each write: old bytes ─▶ journal/files/<inode>
//!    │                                    │ at each change of a name ─▶ journal/names
//!    ├── set_faults ─▶ control ───────────┘ at each sync: the record is closed
//!    ├── SIGKILL
//!    └── cut_power(seed): undoes every unsynced change, then redoes some, torn or whole
//! ```
//!
//! A killed process loses nothing: the kernel still has its writes. So the journal records what a
//! disk would have lost, and [`FaultDisk::cut_power`] rewrites the files to a state that the disk
//! could contain. It allows a wide range of states:
//!
//! - Of the writes to a file since its last successful sync any may survive, in part or not at all,
//!   in any order.
//! - A file may have grown without its bytes: they read as zeros.
//! - A created, renamed or removed name may be as before until its folder is synced. Syncing the
//!   file is not enough.
//!
//! Changes that a sync made durable always survive. A failed sync guarantees nothing: its changes
//! are lost, although they can be read until the power cut and the next sync succeeds.
//!
//! Not recorded, and refused with a message where the library can detect it: shared writable
//! mappings (except SQLite's `-shm` file, which is recreated after every crash), direct I/O,
//! io_uring, symbolic links. Not detected: system calls made without the C library, and C streams
//! (`fopen`).

mod chance;
mod error;
pub mod journal;
pub mod record;
mod report;
mod cut;
mod faults;
mod disk;
mod preload;

pub use disk::{FaultDisk, environment};
pub use error::DiskError;
pub use faults::{CONTROL_BYTES, Faults};
pub use preload::preload_library;
pub use report::{Count, CutReport, FileCut};
