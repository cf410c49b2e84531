//! Calls that cannot be recorded: they end the process instead of going unnoticed.

use std::ffi::{c_char, c_int, c_long, c_void};

use libc::{AT_FDCWD, off_t, size_t};

use crate::disk::disk;
use crate::real::{self, fatal};

fn check_mapping(protection: c_int, flags: c_int, fd: c_int) {
    if fd < 0 || protection & libc::PROT_WRITE == 0 || flags & libc::MAP_SHARED == 0 {
        return;
    }
    let Some(disk) = disk() else { return };
    if disk.file(fd).is_some() {
        let path = disk.path(fd).unwrap_or_default();
        fatal(&format!("{} is mapped to be written, which cannot be followed", path.display()));
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mmap(
    address: *mut c_void,
    length: size_t,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: off_t,
) -> *mut c_void {
    // SAFETY: passes the program's arguments on.
    unsafe { mmap64(address, length, protection, flags, fd, offset) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mmap64(
    address: *mut c_void,
    length: size_t,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: off_t,
) -> *mut c_void {
    check_mapping(protection, flags, fd);
    // SAFETY: passes the program's arguments on.
    unsafe { real::mmap64(address, length, protection, flags, fd, offset) }
}

fn symlink_at(target: *const c_char, fd: c_int, path: *const c_char) -> c_int {
    if let Some(location) = disk().and_then(|disk| disk.location(fd, path)) {
        fatal(&format!(
            "{} is to be a symbolic link, which this disk cannot hold",
            location.shown.display()
        ));
    }
    // SAFETY: passes the program's arguments on.
    unsafe { real::symlinkat(target, fd, path) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn symlink(target: *const c_char, path: *const c_char) -> c_int {
    symlink_at(target, AT_FDCWD, path)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn symlinkat(target: *const c_char, fd: c_int, path: *const c_char) -> c_int {
    symlink_at(target, fd, path)
}

/// Passes system calls made by number on, except for those that change files.
#[unsafe(no_mangle)]
unsafe extern "C" fn syscall(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    const CHANGE_FILES: [c_long; 18] = [
        libc::SYS_io_uring_setup,
        libc::SYS_openat2,
        libc::SYS_openat,
        libc::SYS_write,
        libc::SYS_pwrite64,
        libc::SYS_writev,
        libc::SYS_pwritev,
        libc::SYS_pwritev2,
        libc::SYS_truncate,
        libc::SYS_ftruncate,
        libc::SYS_fallocate,
        libc::SYS_fsync,
        libc::SYS_fdatasync,
        libc::SYS_renameat2,
        libc::SYS_linkat,
        libc::SYS_mkdirat,
        libc::SYS_unlinkat,
        libc::SYS_copy_file_range,
    ];
    if CHANGE_FILES.contains(&number) && disk().is_some() {
        fatal(&format!("system call {number} is made by its number, which cannot be followed"));
    }
    // SAFETY: passes the program's arguments on.
    unsafe { real::syscall(number, a, b, c, d, e, f) }
}
