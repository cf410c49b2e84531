//! The errors of a disk, as a harness sees them.

use std::io;
use std::path::{Path, PathBuf};

/// Why the disk cannot be set up, or a power cut cannot be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The state folder does not fit this root.
    #[error("{path}: {rule}", path = path.display())]
    State {
        /// The folder.
        path: PathBuf,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// The journal cannot be parsed: another version wrote it, or it is damaged.
    #[error("{path}: {rule}", path = path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// The broken rule.
        rule: String,
    },
    /// The files differ from what the journal says was written: they were changed without the
    /// library.
    #[error("{path}: it was changed without the journal: {rule}", path = path.display())]
    Unseen {
        /// The file.
        path: PathBuf,
        /// The difference.
        rule: String,
    },
    /// The preloaded library could not be built.
    #[error("the preloaded library: {reason}")]
    Preload {
        /// Cargo's error.
        reason: String,
    },
}

impl DiskError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}
