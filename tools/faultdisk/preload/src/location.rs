//! Names in the folders of the disk.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use libc::stat;

use crate::descriptor::{Descriptor, c_string};
use crate::real::{self, fatal, fatal_errno};

/// A name in a folder of the disk.
pub(crate) struct Location {
    pub(crate) folder: Descriptor,
    pub(crate) folder_inode: u64,
    pub(crate) name: OsString,
    /// The path below the root, for messages.
    pub(crate) shown: PathBuf,
}

impl Location {
    /// The status of the file with this name. Aborts on a symbolic link: a power cut would have to
    /// follow it too.
    pub(crate) fn status(&self) -> Option<stat> {
        let errno = real::errno();
        // SAFETY: all zeros is a valid value.
        let mut status: stat = unsafe { std::mem::zeroed() };
        let name = c_string(self.name.as_bytes());
        // SAFETY: the name ends with a zero byte, and there is room for the result.
        let found = unsafe {
            real::fstatat64(self.folder.0, name.as_ptr(), &mut status, libc::AT_SYMLINK_NOFOLLOW)
        } == 0;
        real::set_errno(errno);
        if found && status.st_mode & libc::S_IFMT == libc::S_IFLNK {
            fatal(&format!(
                "{} is a symbolic link, which this disk cannot hold",
                self.shown.display()
            ));
        }
        found.then_some(status)
    }

    /// Opens the file read-only.
    pub(crate) fn read(&self) -> Descriptor {
        let name = c_string(self.name.as_bytes());
        // SAFETY: the name ends with a zero byte.
        Descriptor(unsafe {
            real::openat64(self.folder.0, name.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC, 0)
        })
    }

    /// Adds a hard link to the file in the journal, so that it survives its removal.
    pub(crate) fn hold(&self, held: &Path) {
        let (name, held) = (c_string(self.name.as_bytes()), c_string(held.as_os_str().as_bytes()));
        // SAFETY: the names end with zero bytes.
        if unsafe { real::linkat(self.folder.0, name.as_ptr(), libc::AT_FDCWD, held.as_ptr(), 0) }
            != 0
        {
            fatal_errno(&format!("{} cannot be held back in the journal", self.shown.display()));
        }
    }
}
