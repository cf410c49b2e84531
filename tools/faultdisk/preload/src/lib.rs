//! The preloaded library of faultdisk: sits between a program and its C library, by `LD_PRELOAD`.
//! Linux with glibc.
//!
//! It replaces the C functions that change files and those that read them. Below `FAULTDISK_ROOT`
//! each change is first recorded in the journal, or fails as ordered; everywhere else the functions
//! are unchanged. Files are identified by inode at every call, not when they are opened: there is
//! no table of descriptors that can become stale.
//!
//! ```text
//! hooks/    the replaced functions: opening, writing, syncing, names, reading, refused ones
//! disk      the files below the root, and their locks
//! file_log  name_log   the journal
//! control   the ordered faults
//! place  descriptor    names in folders, and open files
//! real      the functions underneath; aborts the process when the recording would become wrong
//! ```
//!
//! No code here may call a replaced function, so it does not use `std::fs`: std calls the C library
//! by the same names. `open` and `fcntl` are variadic in C. On x86-64 and on 64-bit ARM a fixed
//! signature receives the same arguments.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod real;
mod descriptor;
mod file_log;
mod lock;
mod control;
mod location;
mod name_log;
mod disk;
mod hooks;
