//! The lock on a data folder: owned by one process, or shared by several named nodes.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::error::FolderError;
use super::private_file::NO_FOLLOW;

/// Takes a shared lock. Waits about two seconds for an exclusive one: the first node may be
/// creating the folder.
pub(super) fn shared_lock(folder: &Path) -> Result<File, FolderError> {
    const ATTEMPTS_MAX: u32 = 50;
    for _ in 1..ATTEMPTS_MAX {
        match lock(folder, FlockOperation::NonBlockingLockShared) {
            Err(FolderError::InUse { .. }) => std::thread::sleep(Duration::from_millis(40)),
            locked => return locked,
        }
    }
    lock(folder, FlockOperation::NonBlockingLockShared)
}

/// Takes the lock of a folder, or returns [`FolderError::InUse`].
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
