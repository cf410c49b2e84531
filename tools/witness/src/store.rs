//! The latest cosigned checkpoint of each log, a file each: the note as it is served.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// A folder with the files.
pub(crate) struct Store {
    folder: PathBuf,
}

impl Store {
    /// Opens a folder, and makes it if it is missing.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// The note of the log whose origin has this hash.
    pub(crate) fn read(&self, origin_hash: &str) -> io::Result<Option<String>> {
        match fs::read_to_string(self.folder.join(origin_hash)) {
            Ok(note) => Ok(Some(note)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the note of a log; durable when it returns.
    pub(crate) fn write(&self, origin_hash: &str, note: &str) -> io::Result<()> {
        let partial = self.folder.join(format!("{origin_hash}.partial"));
        let mut file = File::create(&partial)?;
        file.write_all(note.as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, self.folder.join(origin_hash))?;
        File::open(&self.folder)?.sync_all()
    }
}

/// The name of a log in paths and files: SHA-256 of its origin in lower hexadecimal digits.
pub(crate) fn origin_hash(origin: &str) -> String {
    const_hex::encode(Sha256::digest(origin))
}

/// Whether a text can be an origin hash, and so the name of a file.
pub(crate) fn is_origin_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
