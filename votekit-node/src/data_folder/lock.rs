//! Who holds a data folder: one process, or several nodes with names.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::{FolderError, NO_FOLLOW};

/// Shares a folder that others hold, after waiting for a moment: the first of them may be making
/// it.
pub(super) fn shared_lock(folder: &Path) -> Result<File, FolderError> {
    const ATTEMPTS: u32 = 50;
    for _ in 1..ATTEMPTS {
        match lock(folder, FlockOperation::NonBlockingLockShared) {
            Err(FolderError::InUse { .. }) => std::thread::sleep(Duration::from_millis(40)),
            locked => return locked,
        }
    }
    lock(folder, FlockOperation::NonBlockingLockShared)
}

/// Holds a folder, or says that it is in use.
pub(super) fn lock(folder: &Path, operation: FlockOperation) -> Result<File, FolderError> {
    let path = folder.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(NO_FOLLOW)
        .open(&path)
        .map_err(FolderError::io(&path))?;
    match flock(&file, operation) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(FolderError::InUse { path: folder.to_owned() }),
        Err(error) => Err(FolderError::Io { path, source: error.into() }),
    }
}
