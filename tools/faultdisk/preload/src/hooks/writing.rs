//! Writing: records the overwritten bytes in the journal first.

use std::ffi::{c_char, c_int, c_uint, c_void};

use libc::{AT_FDCWD, iovec, off_t, size_t, ssize_t};

use crate::descriptor::{Descriptor, status_of};
use crate::disk::{Disk, disk};
use crate::lock::lock;
use crate::real::{self, fatal};

/// Writes the admitted bytes of a vector, from its start. `None` for a file that is not on the
/// disk.
fn write_vector(
    disk: &Disk,
    fd: c_int,
    vector: &[iovec],
    offset: Option<off_t>,
) -> Option<ssize_t> {
    let log = disk.file(fd)?;
    let length = vector.iter().map(|part| part.iov_len as u64).sum();
    let admitted = match disk.control.admit_write(|| disk.path(fd), length) {
        Ok(admitted) => admitted,
        Err(number) => {
            real::set_errno(number);
            return Some(-1);
        }
    };
    let mut log = lock(&log);
    if admitted > 0 {
        // SAFETY: reads the flags of a descriptor.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
        // A write to a read-only descriptor will be refused and changes nothing.
        if flags & libc::O_ACCMODE != libc::O_RDONLY {
            log.write(fd, write_offset(fd, flags, offset)?, admitted);
        }
    }
    let admitted_parts = shortened(vector, admitted);
    let (parts, count) = (admitted_parts.as_ptr(), c_int::try_from(admitted_parts.len()).ok()?);
    // SAFETY: the parts are the program's own, none longer than it passed.
    Some(unsafe {
        match offset {
            None => real::writev(fd, parts, count),
            Some(offset) => real::pwritev64(fd, parts, count, offset),
        }
    })
}

/// The offset at which a write begins.
fn write_offset(fd: c_int, flags: c_int, offset: Option<off_t>) -> Option<u64> {
    // On Linux, O_APPEND appends even when an offset is given: pwrite(2).
    if flags & libc::O_APPEND != 0 {
        return status_of(fd).map(|status| status.st_size.cast_unsigned());
    }
    // SAFETY: reads the position of a descriptor.
    u64::try_from(offset.unwrap_or_else(|| unsafe { libc::lseek64(fd, 0, libc::SEEK_CUR) })).ok()
}

fn shortened(vector: &[iovec], mut length: u64) -> Vec<iovec> {
    let mut parts = Vec::with_capacity(vector.len());
    for part in vector {
        let taken = (part.iov_len as u64).min(length);
        length -= taken;
        parts.push(iovec {
            iov_base: part.iov_base,
            iov_len: usize::try_from(taken).unwrap_or(part.iov_len),
        });
    }
    parts
}

fn write_buffer(
    fd: c_int,
    buffer: *const c_void,
    count: size_t,
    offset: Option<off_t>,
) -> Option<ssize_t> {
    write_vector(disk()?, fd, &[iovec { iov_base: buffer.cast_mut(), iov_len: count }], offset)
}

fn write_parts(
    fd: c_int,
    vector: *const iovec,
    count: c_int,
    offset: Option<off_t>,
) -> Option<ssize_t> {
    let disk = disk()?;
    let count = usize::try_from(count).ok().filter(|count| *count > 0)?;
    // SAFETY: the program passes `count` parts.
    write_vector(disk, fd, unsafe { std::slice::from_raw_parts(vector, count) }, offset)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, buffer: *const c_void, count: size_t) -> ssize_t {
    // SAFETY: passes the program's arguments on.
    write_buffer(fd, buffer, count, None)
        .unwrap_or_else(|| unsafe { real::write(fd, buffer, count) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite(
    fd: c_int,
    buffer: *const c_void,
    count: size_t,
    offset: off_t,
) -> ssize_t {
    // SAFETY: passes the program's arguments on.
    write_buffer(fd, buffer, count, Some(offset))
        .unwrap_or_else(|| unsafe { real::pwrite64(fd, buffer, count, offset) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(
    fd: c_int,
    buffer: *const c_void,
    count: size_t,
    offset: off_t,
) -> ssize_t {
    // SAFETY: passes the program's arguments on.
    unsafe { pwrite(fd, buffer, count, offset) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn writev(fd: c_int, vector: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: passes the program's arguments on.
    write_parts(fd, vector, count, None)
        .unwrap_or_else(|| unsafe { real::writev(fd, vector, count) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwritev(
    fd: c_int,
    vector: *const iovec,
    count: c_int,
    offset: off_t,
) -> ssize_t {
    // SAFETY: passes the program's arguments on.
    write_parts(fd, vector, count, Some(offset))
        .unwrap_or_else(|| unsafe { real::pwritev64(fd, vector, count, offset) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwritev64(
    fd: c_int,
    vector: *const iovec,
    count: c_int,
    offset: off_t,
) -> ssize_t {
    // SAFETY: passes the program's arguments on.
    unsafe { pwritev(fd, vector, count, offset) }
}

/// A flag may make the write durable, or append: such a write is reported as unsupported, and the
/// program falls back to others.
fn write_parts_with_flags(
    fd: c_int,
    vector: *const iovec,
    count: c_int,
    offset: off_t,
    flags: c_int,
) -> Option<ssize_t> {
    if flags != 0 {
        return is_followed(fd, libc::EOPNOTSUPP).then_some(-1);
    }
    // The offset -1 stands for the position of the descriptor: pwritev2(2).
    write_parts(fd, vector, count, Some(offset).filter(|offset| *offset != -1))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwritev2(
    fd: c_int,
    vector: *const iovec,
    count: c_int,
    offset: off_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: passes the program's arguments on.
    write_parts_with_flags(fd, vector, count, offset, flags)
        .unwrap_or_else(|| unsafe { real::pwritev64v2(fd, vector, count, offset, flags) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwritev64v2(
    fd: c_int,
    vector: *const iovec,
    count: c_int,
    offset: off_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: passes the program's arguments on.
    unsafe { pwritev2(fd, vector, count, offset, flags) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate(fd: c_int, length: off_t) -> c_int {
    let log = disk().and_then(|disk| disk.file(fd));
    let mut locked = log.as_deref().map(lock);
    if let (Some(log), Ok(length)) = (&mut locked, u64::try_from(length)) {
        log.resize(fd, length);
    }
    // SAFETY: passes the program's arguments on.
    unsafe { real::ftruncate64(fd, length) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate64(fd: c_int, length: off_t) -> c_int {
    // SAFETY: passes the program's arguments on.
    unsafe { ftruncate(fd, length) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn truncate(path: *const c_char, length: off_t) -> c_int {
    // SAFETY: the descriptor is opened and closed here.
    unsafe {
        let file = Descriptor(real::openat64(AT_FDCWD, path, libc::O_WRONLY | libc::O_CLOEXEC, 0));
        if file.0 < 0 { -1 } else { ftruncate(file.0, length) }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn truncate64(path: *const c_char, length: off_t) -> c_int {
    // SAFETY: passes the program's arguments on.
    unsafe { truncate(path, length) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fallocate(fd: c_int, mode: c_int, offset: off_t, length: off_t) -> c_int {
    let log = disk().and_then(|disk| disk.file(fd));
    let mut locked = log.as_deref().map(lock);
    if let Some(log) = &mut locked {
        let Ok(end) = u64::try_from(offset.saturating_add(length)) else {
            fatal("fallocate beyond any file")
        };
        if mode != 0 {
            fatal(
                "fallocate is called to do more than to make a file longer, which cannot be followed",
            );
        }
        if status_of(fd).is_some_and(|status| status.st_size.cast_unsigned() < end) {
            log.resize(fd, end);
        }
    }
    // SAFETY: passes the program's arguments on.
    unsafe { real::fallocate64(fd, mode, offset, length) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fallocate64(fd: c_int, mode: c_int, offset: off_t, length: off_t) -> c_int {
    // SAFETY: passes the program's arguments on.
    unsafe { fallocate(fd, mode, offset, length) }
}

/// Returns the error number instead of setting `errno`, as the C function does.
#[unsafe(no_mangle)]
unsafe extern "C" fn posix_fallocate(fd: c_int, offset: off_t, length: off_t) -> c_int {
    // SAFETY: passes the program's arguments on.
    if unsafe { fallocate(fd, 0, offset, length) } == 0 { 0 } else { real::errno() }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_fallocate64(fd: c_int, offset: off_t, length: off_t) -> c_int {
    // SAFETY: passes the program's arguments on.
    unsafe { posix_fallocate(fd, offset, length) }
}

/// Whether a file is on the disk. If so, sets `errno` to `number`: copying within the kernel, for
/// one, is reported as unsupported, and the program falls back to writes.
fn is_followed(fd: c_int, number: c_int) -> bool {
    let followed = disk().is_some_and(|disk| disk.file(fd).is_some());
    if followed {
        real::set_errno(number);
    }
    followed
}

#[unsafe(no_mangle)]
unsafe extern "C" fn copy_file_range(
    from: c_int,
    from_offset: *mut off_t,
    to: c_int,
    to_offset: *mut off_t,
    count: size_t,
    flags: c_uint,
) -> ssize_t {
    if is_followed(to, libc::EXDEV) {
        return -1;
    }
    // SAFETY: passes the program's arguments on.
    unsafe { real::copy_file_range(from, from_offset, to, to_offset, count, flags) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sendfile(
    to: c_int,
    from: c_int,
    offset: *mut off_t,
    count: size_t,
) -> ssize_t {
    if is_followed(to, libc::EINVAL) {
        return -1;
    }
    // SAFETY: passes the program's arguments on.
    unsafe { real::sendfile64(to, from, offset, count) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sendfile64(
    to: c_int,
    from: c_int,
    offset: *mut off_t,
    count: size_t,
) -> ssize_t {
    // SAFETY: passes the program's arguments on.
    unsafe { sendfile(to, from, offset, count) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn splice(
    from: c_int,
    from_offset: *mut off_t,
    to: c_int,
    to_offset: *mut off_t,
    count: size_t,
    flags: c_uint,
) -> ssize_t {
    if is_followed(to, libc::EINVAL) {
        return -1;
    }
    // SAFETY: passes the program's arguments on.
    unsafe { real::splice(from, from_offset, to, to_offset, count, flags) }
}
