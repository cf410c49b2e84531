//! Names: created, renamed and removed. Removed files are kept until the removal is durable.

use std::ffi::{c_char, c_int, c_uint};

use libc::{AT_FDCWD, AT_REMOVEDIR, mode_t};

use crate::disk::{Disk, disk};
use crate::location::Location;
use crate::real::{self, fatal};

fn remove(fd: c_int, path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: passes the program's arguments on.
    let remove = || unsafe { real::unlinkat(fd, path, flags) };
    let Some((disk, location)) = on_disk(fd, path) else { return remove() };
    let mut names = disk.names();
    let Some(status) = location.status() else { return remove() };
    let is_folder = status.st_mode & libc::S_IFMT == libc::S_IFDIR;
    if is_folder != (flags & AT_REMOVEDIR != 0) {
        return remove();
    }
    let number = names.remove(&location, &status);
    let result = remove();
    if result != 0 {
        keeping_errno(|| names.undo(number));
    }
    result
}

fn rename_at(
    fd: c_int,
    path: *const c_char,
    new_fd: c_int,
    new_path: *const c_char,
    flags: c_uint,
) -> c_int {
    // SAFETY: passes the program's arguments on.
    let rename = || unsafe { real::renameat2(fd, path, new_fd, new_path, flags) };
    let (disk, old, new) = match (on_disk(fd, path), on_disk(new_fd, new_path)) {
        (Some((disk, old)), Some((_, new))) => (disk, old, new),
        (None, None) => return rename(),
        (Some((_, location)), None) | (None, Some((_, location))) => fatal(&format!(
            "{} is moved onto the disk or off it, which cannot be followed",
            location.shown.display()
        )),
    };
    if flags & !libc::RENAME_NOREPLACE != 0 {
        fatal(&format!("{} is exchanged, which cannot be followed", old.shown.display()));
    }
    // Held across the call, so that the order in the log is the order on the disk.
    let mut names = disk.names();
    let Some(status) = old.status() else { return rename() };
    let replaced = new.status();
    // Nothing will change: RENAME_NOREPLACE fails, and two names of one file stay as they are.
    if replaced.is_some_and(|replaced| flags != 0 || replaced.st_ino == status.st_ino) {
        return rename();
    }
    let number = names.rename(&old, status.st_ino, &new, replaced.as_ref());
    let result = rename();
    if result != 0 {
        keeping_errno(|| names.undo(number));
    }
    result
}

/// Runs a call that only creates a name, and records the name.
fn make(fd: c_int, path: *const c_char, make: impl Fn() -> c_int) -> c_int {
    let Some((disk, location)) = on_disk(fd, path) else { return make() };
    let mut names = disk.names();
    let result = make();
    if result == 0
        && let Some(status) = location.status()
    {
        names.made(&location, status.st_ino);
    }
    result
}

fn on_disk(fd: c_int, path: *const c_char) -> Option<(&'static Disk, Location)> {
    let disk = disk()?;
    disk.location(fd, path).map(|location| (disk, location))
}

fn keeping_errno(act: impl FnOnce()) {
    let errno = real::errno();
    act();
    real::set_errno(errno);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    remove(AT_FDCWD, path, 0)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlinkat(fd: c_int, path: *const c_char, flags: c_int) -> c_int {
    remove(fd, path, flags)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rmdir(path: *const c_char) -> c_int {
    remove(AT_FDCWD, path, AT_REMOVEDIR)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rename(path: *const c_char, new_path: *const c_char) -> c_int {
    rename_at(AT_FDCWD, path, AT_FDCWD, new_path, 0)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn renameat(
    fd: c_int,
    path: *const c_char,
    new_fd: c_int,
    new_path: *const c_char,
) -> c_int {
    rename_at(fd, path, new_fd, new_path, 0)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn renameat2(
    fd: c_int,
    path: *const c_char,
    new_fd: c_int,
    new_path: *const c_char,
    flags: c_uint,
) -> c_int {
    rename_at(fd, path, new_fd, new_path, flags)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: passes the program's arguments on.
    make(AT_FDCWD, path, || unsafe { real::mkdirat(AT_FDCWD, path, mode) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdirat(fd: c_int, path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: passes the program's arguments on.
    make(fd, path, || unsafe { real::mkdirat(fd, path, mode) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn link(path: *const c_char, new_path: *const c_char) -> c_int {
    // SAFETY: passes the program's arguments on.
    make(AT_FDCWD, new_path, || unsafe { real::linkat(AT_FDCWD, path, AT_FDCWD, new_path, 0) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn linkat(
    fd: c_int,
    path: *const c_char,
    new_fd: c_int,
    new_path: *const c_char,
    flags: c_int,
) -> c_int {
    // SAFETY: passes the program's arguments on.
    make(new_fd, new_path, || unsafe { real::linkat(fd, path, new_fd, new_path, flags) })
}
