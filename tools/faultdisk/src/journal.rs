//! The layout of the journal.
//!
//! ```text
//! JOURNAL/
//!   names           name changes since their folders were synced
//!   files/<inode>   changes of one file's bytes since its last sync
//!   held/<number>   removed or replaced files, until that is durable
//!   faults          the faults that were met, one a line
//! ```

use std::io;
use std::path::{Path, PathBuf};

/// The paths in a journal's folder.
#[derive(Debug)]
pub struct Journal;

impl Journal {
    /// The name log.
    #[must_use]
    pub fn names(journal: &Path) -> PathBuf {
        journal.join("names")
    }

    /// The folder of the file logs.
    #[must_use]
    pub fn files(journal: &Path) -> PathBuf {
        journal.join("files")
    }

    /// The folder of removed and replaced files.
    #[must_use]
    pub fn held(journal: &Path) -> PathBuf {
        journal.join("held")
    }

    /// The list of the faults that were met.
    #[must_use]
    pub fn faults_met(journal: &Path) -> PathBuf {
        journal.join("faults")
    }

    /// Creates the folders.
    pub(crate) fn create(journal: &Path) -> io::Result<()> {
        std::fs::create_dir_all(Self::files(journal))?;
        std::fs::create_dir_all(Self::held(journal))
    }
}
