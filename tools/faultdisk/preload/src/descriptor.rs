//! File descriptors: an owned one, and the status and path of the file behind one.

use std::ffi::{CString, OsString, c_int};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use libc::stat;

use crate::real::{self, fatal};

/// An owned descriptor, closed on drop.
pub(crate) struct Descriptor(pub(crate) c_int);

impl Drop for Descriptor {
    fn drop(&mut self) {
        if self.0 >= 0 {
            // A hook that succeeds must not change the program's `errno`.
            let errno = real::errno();
            // SAFETY: this library opened it, and nothing else uses it.
            unsafe { real::close(self.0) };
            real::set_errno(errno);
        }
    }
}

/// The status of an open file; `None` for an invalid descriptor. Keeps `errno`.
pub(crate) fn status_of(fd: c_int) -> Option<stat> {
    let errno = real::errno();
    // SAFETY: all zeros is a valid value.
    let mut status: stat = unsafe { std::mem::zeroed() };
    // SAFETY: there is room for the result.
    let found = unsafe { real::fstat64(fd, &mut status) } == 0;
    real::set_errno(errno);
    found.then_some(status)
}

/// The status of a file, following symbolic links. On failure `errno` has the reason.
pub(crate) fn status_of_path(path: &CString) -> Option<stat> {
    // SAFETY: all zeros is a valid value.
    let mut status: stat = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends with a zero byte, and there is room for the result.
    (unsafe { real::fstatat64(libc::AT_FDCWD, path.as_ptr(), &mut status, 0) } == 0)
        .then_some(status)
}

/// The path of an open file. The kernel appends " (deleted)" when the name was removed. Keeps
/// `errno`.
pub(crate) fn path_of(fd: c_int) -> Option<PathBuf> {
    let errno = real::errno();
    let link = c_string(format!("/proc/self/fd/{fd}").as_bytes());
    let mut buffer = vec![0_u8; libc::PATH_MAX as usize];
    // SAFETY: the path ends with a zero byte, and the buffer has the given length.
    let length = unsafe { real::readlink(link.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    real::set_errno(errno);
    buffer.truncate(usize::try_from(length).ok()?);
    Some(PathBuf::from(OsString::from_vec(buffer)))
}

pub(crate) fn c_string(bytes: &[u8]) -> CString {
    CString::new(bytes).unwrap_or_else(|_| fatal("a path holds a zero byte"))
}
