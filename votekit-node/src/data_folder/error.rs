//! The errors of a data folder.

use std::io;
use std::path::{Path, PathBuf};

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The folder is not a data folder.
    #[error("{path} is not the data folder of a node: it has no votekit.toml", path = path.display())]
    NotOne {
        /// The folder.
        path: PathBuf,
    },
    /// The folder was to become a data folder, but holds something else.
    #[error("{path} is not a data folder, and is not empty: it holds '{found}'", path = path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// The first foreign name in it.
        found: String,
    },
    /// Another account owns a key or can reach it.
    #[error("{path}: {rule}", path = path.display())]
    Exposed {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and what to do.
        rule: String,
    },
    /// Another process holds the folder.
    #[error("{path} is in use by another votekit process", path = path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A newer program wrote the folder.
    #[error("{path} was written by a newer votekit (format {found}, this one knows {known})", path = path.display())]
    Newer {
        /// The folder.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The format known.
        known: u32,
    },
    /// The folder was created under another base name.
    #[error(
        "the logs in this folder are named under '{found}', not '{wanted}': the name cannot change"
    )]
    OtherBase {
        /// The name in the folder.
        found: String,
        /// The name asked for.
        wanted: String,
    },
    /// The folder belongs to another ledger than the one given.
    #[error("{path}: {rule}", path = path.display())]
    OtherLedger {
        /// The folder.
        path: PathBuf,
        /// The difference, in words.
        rule: String,
    },
    /// A file of the folder is damaged.
    #[error("{path}: {rule}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        rule: String,
    },
}

impl FolderError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}
