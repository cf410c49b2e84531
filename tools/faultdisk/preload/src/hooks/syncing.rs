//! Syncing: makes the recorded changes durable, unless the sync must fail.

use std::ffi::{c_int, c_uint};
use std::time::Duration;

use libc::off_t;

use crate::descriptor::status_of;
use crate::disk::{Disk, disk};
use crate::lock::lock;
use crate::real;

/// Syncs a file or folder on the disk; `None` for anything else.
fn sync_followed(disk: &Disk, fd: c_int, sync: impl Fn() -> c_int) -> Option<c_int> {
    let sync = || if disk.real_sync { sync() } else { 0 };
    let failed = || {
        real::set_errno(libc::EIO);
        Some(-1)
    };
    if let Some(log) = disk.file(fd) {
        let mut log = lock(&log);
        let micros = disk.control.sync_micros();
        if micros > 0 {
            std::thread::sleep(Duration::from_micros(micros));
        }
        if let Some(takes_back) = disk.control.fails_sync(&disk.path(fd).unwrap_or_default()) {
            log.sync_failed(takes_back.then_some(fd));
            return failed();
        }
        let result = sync();
        if result == 0 {
            log.synced();
        }
        return Some(result);
    }
    let status = status_of(fd).filter(|status| status.st_mode & libc::S_IFMT == libc::S_IFDIR)?;
    let path = disk.path(fd)?;
    let mut names = disk.names();
    if disk.control.fails_sync(&path).is_some() {
        return failed();
    }
    let result = sync();
    if result == 0 {
        names.synced(status.st_ino);
    }
    Some(result)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    // SAFETY: passes the program's arguments on.
    let sync = || unsafe { real::fsync(fd) };
    disk().and_then(|disk| sync_followed(disk, fd, sync)).unwrap_or_else(sync)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    // SAFETY: passes the program's arguments on.
    let sync = || unsafe { real::fdatasync(fd) };
    disk().and_then(|disk| sync_followed(disk, fd, sync)).unwrap_or_else(sync)
}

/// Promises nothing after a power cut, so it makes nothing durable.
#[unsafe(no_mangle)]
unsafe extern "C" fn sync_file_range(
    fd: c_int,
    offset: off_t,
    length: off_t,
    flags: c_uint,
) -> c_int {
    // SAFETY: passes the program's arguments on.
    unsafe { real::sync_file_range(fd, offset, length, flags) }
}
