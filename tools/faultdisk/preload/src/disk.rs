//! The disk: the files below the root, each with its log, and the name log.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString, c_char, c_int};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use faultdisk::environment;
use faultdisk::journal::Journal;

use crate::control::Control;
use crate::descriptor::{Descriptor, c_string, path_of, status_of, status_of_path};
use crate::file_log::FileLog;
use crate::lock::lock;
use crate::name_log::NameLog;
use crate::place::Place;
use crate::real::{self, fatal, fatal_errno};

/// The disk this process runs on.
pub(crate) struct Disk {
    root: PathBuf,
    device: libc::dev_t,
    journal: PathBuf,
    pub(crate) control: Control,
    pub(crate) real_sync: bool,
    files: Mutex<HashMap<u64, Arc<Mutex<FileLog>>>>,
    names: Mutex<NameLog>,
}

/// The disk, if the environment names one. Lock order: names before files, one file at a time.
/// Opening it keeps `errno`, which the program may read after a hook.
pub(crate) fn disk() -> Option<&'static Disk> {
    static DISK: OnceLock<Option<Disk>> = OnceLock::new();
    DISK.get_or_init(|| {
        let errno = real::errno();
        let disk = Disk::from_environment();
        real::set_errno(errno);
        disk
    })
    .as_ref()
}

impl Disk {
    fn from_environment() -> Option<Self> {
        let root = variable(environment::ROOT)?;
        let journal = PathBuf::from(
            variable(environment::JOURNAL)
                .unwrap_or_else(|| fatal(&format!("{} is not set", environment::JOURNAL))),
        );
        let device = status_of_path(&c_string(root.as_bytes()))
            .map_or_else(|| fatal_errno("the root"), |status| status.st_dev);
        let names = NameLog::open(&journal);
        Some(Self {
            root: root.into(),
            device,
            control: Control::open(
                variable(environment::CONTROL).as_deref(),
                &Journal::faults_met(&journal),
            ),
            real_sync: variable(environment::REAL_SYNC).is_none_or(|value| value != "0"),
            journal,
            files: Mutex::default(),
            names: Mutex::new(names),
        })
    }

    /// The log of the descriptor's file, if that is a regular file below the root. The path is
    /// checked at every call: once a file is removed, its inode can become that of a file elsewhere
    /// on the device, or of a `-shm` file.
    pub(crate) fn file(&self, fd: c_int) -> Option<Arc<Mutex<FileLog>>> {
        let status = status_of(fd)?;
        if status.st_mode & libc::S_IFMT != libc::S_IFREG || status.st_dev != self.device {
            return None;
        }
        let path = self.path(fd)?;
        (!is_shared_memory(&path)).then(|| self.log(status.st_ino))
    }

    /// Clears the log of an inode that has become another file.
    pub(crate) fn begin_file(&self, inode: u64) {
        let log = self.log(inode);
        lock(&log).begin();
    }

    /// The log of an inode, opened at its first use.
    fn log(&self, inode: u64) -> Arc<Mutex<FileLog>> {
        let mut files = lock(&self.files);
        let log = files
            .entry(inode)
            .or_insert_with(|| Arc::new(Mutex::new(FileLog::open(&self.journal, inode))));
        Arc::clone(log)
    }

    /// Locks the name log.
    pub(crate) fn names(&self) -> MutexGuard<'_, NameLog> {
        lock(&self.names)
    }

    /// The path below the root of the descriptor's file; `None` when it is elsewhere.
    pub(crate) fn path(&self, fd: c_int) -> Option<PathBuf> {
        path_of(fd)?.strip_prefix(&self.root).ok().map(Path::to_owned)
    }

    /// Resolves a path to its folder and its name in it; `None` when the folder is neither the root
    /// nor below it.
    pub(crate) fn place(&self, fd: c_int, path: *const c_char) -> Option<Place> {
        if path.is_null() {
            return None;
        }
        // SAFETY: the program passes a path, which ends with a zero byte.
        let bytes = unsafe { std::ffi::CStr::from_ptr(path) }.to_bytes();
        let path = Path::new(OsStr::from_bytes(bytes));
        let name = path.file_name()?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let errno = real::errno();
        // SAFETY: the path ends with a zero byte.
        let folder = Descriptor(unsafe {
            real::openat64(fd, c_string(parent.as_os_str().as_bytes()).as_ptr(), flags, 0)
        });
        real::set_errno(errno);
        let status = (folder.0 >= 0).then(|| status_of(folder.0))??;
        let below = self.path(folder.0)?;
        if is_shared_memory(Path::new(name)) {
            return None;
        }
        Some(Place {
            folder,
            folder_inode: status.st_ino,
            name: name.to_owned(),
            shown: below.join(name),
        })
    }
}

/// Whether a file is SQLite's index of a write-ahead log. It is not recorded: a power cut need not
/// restore it, because the first process that opens the database recreates it.
fn is_shared_memory(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b"-shm")
}

/// Reads an environment variable. `std::env` takes a lock that a forked child may find locked.
fn variable(name: &str) -> Option<OsString> {
    // SAFETY: the name ends with a zero byte, and nothing sets variables while the process starts.
    let value = unsafe { libc::getenv(c_string(name.as_bytes()).as_ptr()) };
    // SAFETY: a non-null result is a string that ends with a zero byte.
    (!value.is_null())
        .then(|| OsString::from_vec(unsafe { std::ffi::CStr::from_ptr(value) }.to_bytes().to_vec()))
}
