//! Where the journal keeps what.
//!
//! ```text
//! JOURNAL/
//!   names           changes of names since their folders were synced
//!   files/<inode>   changes of one file's bytes since its last sync
//!   held/<number>   files that were removed or replaced, until that is durable
//!   faults          the faults that were met, a line each
//! ```

use std::io;
use std::path::{Path, PathBuf};

/// The places in a journal's folder.
#[derive(Debug)]
pub struct Journal;

impl Journal {
    /// The log of names.
    #[must_use]
    pub fn names(journal: &Path) -> PathBuf {
        journal.join("names")
    }

    /// The folder of the files' logs.
    #[must_use]
    pub fn files(journal: &Path) -> PathBuf {
        journal.join("files")
    }

    /// The folder of what was removed.
    #[must_use]
    pub fn held(journal: &Path) -> PathBuf {
        journal.join("held")
    }

    /// The file of the faults that were met.
    #[must_use]
    pub fn faults_met(journal: &Path) -> PathBuf {
        journal.join("faults")
    }

    /// Makes the folders.
    pub(crate) fn create(journal: &Path) -> io::Result<()> {
        std::fs::create_dir_all(Self::files(journal))?;
        std::fs::create_dir_all(Self::held(journal))
    }
}
