//! The part of faultdisk that sits between a program and its C library, by `LD_PRELOAD`. Linux with
//! glibc.
//!
//! It takes the place of the C functions that change files, and of those that read them. Below
//! `FAULTDISK_ROOT` each change is first told to the journal, or fails as ordered; everywhere else
//! the functions are what they were. Files are told apart by inode at every call, not by what was
//! opened: there is no table of descriptors to go stale.
//!
//! ```text
//! hooks/    the functions that are replaced: opening, writing, syncing, names, reading, and those that are refused
//! disk      what is below the root, and its locks
//! file_log  name_log   the journal
//! control   the faults on order
//! real      the functions underneath
//! fatal     the end, when going on would be a lie
//! ```
//!
//! Nothing here may call what is replaced here, so std's files are not used: std calls the C
//! library by the same names. `open` and `fcntl` take a variable number of arguments in C. On
//! x86-64 and on 64-bit ARM a fixed one receives them alike.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod control;
mod disk;
mod fatal;
mod file_log;
mod hooks;
mod name_log;
mod real;
