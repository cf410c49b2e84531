//! The files of the memory: the database, its write-ahead log, and the lock, which only one process
//! can hold.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::error::MemoryError;
use crate::embedded::folder;

/// The database in the folder of a memory.
const DATABASE: &str = "memory.sqlite";

/// The lock beside it. A separate file: closing a second handle of the database would release the
/// locks that SQLite holds on it.
const LOCK: &str = "memory.lock";

/// The path of the database in a folder.
pub(super) fn database(folder: &Path) -> PathBuf {
    folder.join(DATABASE)
}

fn write_ahead_log(database: &Path) -> PathBuf {
    database.with_file_name(format!("{DATABASE}-wal"))
}

/// Refuses what SQLite would take for a new database, or would open read-only.
///
/// # Errors
/// [`MemoryError::Missing`], [`MemoryError::NoDatabase`], [`MemoryError::Damaged`] for an empty
/// file or something other than a file, [`MemoryError::Unavailable`] without the right to write it.
pub(super) fn check(database: &Path) -> Result<(), MemoryError> {
    let path = database.to_owned();
    let unavailable = |error: io::Error| MemoryError::Unavailable {
        path: database.to_owned(),
        reason: error.to_string(),
    };
    match fs::symlink_metadata(database) {
        Ok(found) if !found.is_file() => {
            Err(MemoryError::Damaged { path, reason: "it is not a regular file".to_owned() })
        }
        Ok(found) if found.len() == 0 => {
            Err(MemoryError::Damaged { path, reason: "the file is empty".to_owned() })
        }
        Ok(_) => access(database, Access::READ_OK | Access::WRITE_OK)
            .map_err(|error| unavailable(error.into())),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let log = write_ahead_log(database);
            if exists(&log) {
                return Err(MemoryError::NoDatabase { path, log });
            }
            Err(MemoryError::Missing { path })
        }
        Err(error) => Err(unavailable(error)),
    }
}

/// The first file of a memory that is in the folder already.
pub(super) fn present(database: &Path) -> Option<PathBuf> {
    [database.to_owned(), write_ahead_log(database)].into_iter().find(|path| exists(path))
}

/// Whether there is anything at a path, even a broken link.
fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Takes the lock of a folder; `None` when it is held, by another process or by this one.
pub(super) fn lock(folder: &Path) -> io::Result<Option<File>> {
    folder::lock(&folder.join(LOCK))
}
