//! Opening: records the name of a created file and the bytes of a truncated one.

use std::ffi::{c_char, c_int};

use libc::{AT_FDCWD, O_CREAT, O_DIRECT, O_TMPFILE, O_TRUNC, mode_t};

use crate::descriptor::status_of;
use crate::disk::disk;
use crate::lock::lock;
use crate::real::{self, fatal};

fn open_at(fd: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: passes the program's arguments on.
    let open = || unsafe { real::openat64(fd, path, flags, mode) };
    let temporary = flags & O_TMPFILE == O_TMPFILE;
    if flags & (O_CREAT | O_TRUNC | O_DIRECT) == 0 && !temporary {
        return open();
    }
    let Some(disk) = disk() else { return open() };
    let Some(location) = disk.location(fd, path) else { return open() };
    if temporary || flags & O_DIRECT != 0 {
        fatal(&format!(
            "{} is opened with O_TMPFILE or O_DIRECT, which cannot be followed",
            location.shown.display()
        ));
    }
    let mut names = disk.names();
    let Some(status) = location.status() else {
        let opened = open();
        if let Some(status) = (opened >= 0).then(|| status_of(opened)).flatten() {
            disk.begin_file(status.st_ino);
            names.made(&location, status.st_ino);
        }
        return opened;
    };
    if flags & O_TRUNC == 0 || status.st_mode & libc::S_IFMT != libc::S_IFREG {
        return open();
    }
    // The bytes are recorded before the open truncates them.
    let before = location.read();
    let Some(log) = disk.file(before.0) else { return open() };
    let mut log = lock(&log);
    log.resize(before.0, 0);
    open()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    open_at(AT_FDCWD, path, flags, mode)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    open_at(AT_FDCWD, path, flags, mode)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn openat(fd: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    open_at(fd, path, flags, mode)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn openat64(fd: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    open_at(fd, path, flags, mode)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn creat(path: *const c_char, mode: mode_t) -> c_int {
    open_at(AT_FDCWD, path, O_CREAT | O_TRUNC | libc::O_WRONLY, mode)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn creat64(path: *const c_char, mode: mode_t) -> c_int {
    open_at(AT_FDCWD, path, O_CREAT | O_TRUNC | libc::O_WRONLY, mode)
}
