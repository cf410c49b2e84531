//! Reading: passed on unchanged, except for a file whose reads must fail.

use std::ffi::{c_int, c_void};

use libc::{iovec, off_t, size_t, ssize_t};

use crate::disk::disk;
use crate::real;

/// Whether a read of the file must fail. If so, sets `errno`: the hook then returns -1.
fn must_fail(fd: c_int) -> bool {
    let fails = disk().is_some_and(|disk| disk.control.fails_read(|| disk.path(fd)));
    if fails {
        real::set_errno(libc::EIO);
    }
    fails
}

#[unsafe(no_mangle)]
unsafe extern "C" fn read(fd: c_int, buffer: *mut c_void, count: size_t) -> ssize_t {
    // SAFETY: passes the program's arguments on.
    if must_fail(fd) { -1 } else { unsafe { real::read(fd, buffer, count) } }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pread(
    fd: c_int,
    buffer: *mut c_void,
    count: size_t,
    offset: off_t,
) -> ssize_t {
    // SAFETY: passes the program's arguments on.
    unsafe { pread64(fd, buffer, count, offset) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pread64(
    fd: c_int,
    buffer: *mut c_void,
    count: size_t,
    offset: off_t,
) -> ssize_t {
    // SAFETY: passes the program's arguments on.
    if must_fail(fd) { -1 } else { unsafe { real::pread64(fd, buffer, count, offset) } }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn readv(fd: c_int, vector: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: passes the program's arguments on.
    if must_fail(fd) { -1 } else { unsafe { real::readv(fd, vector, count) } }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn preadv(
    fd: c_int,
    vector: *const iovec,
    count: c_int,
    offset: off_t,
) -> ssize_t {
    // SAFETY: passes the program's arguments on.
    unsafe { preadv64(fd, vector, count, offset) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn preadv64(
    fd: c_int,
    vector: *const iovec,
    count: c_int,
    offset: off_t,
) -> ssize_t {
    // SAFETY: passes the program's arguments on.
    if must_fail(fd) { -1 } else { unsafe { real::preadv64(fd, vector, count, offset) } }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn preadv2(
    fd: c_int,
    vector: *const iovec,
    count: c_int,
    offset: off_t,
    flags: c_int,
) -> ssize_t {
    if must_fail(fd) {
        return -1;
    }
    // SAFETY: passes the program's arguments on.
    unsafe { real::preadv64v2(fd, vector, count, offset, flags) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn preadv64v2(
    fd: c_int,
    vector: *const iovec,
    count: c_int,
    offset: off_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: passes the program's arguments on.
    unsafe { preadv2(fd, vector, count, offset, flags) }
}
