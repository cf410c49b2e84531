//! Why a roll was not loaded.

use std::io;
use std::path::PathBuf;

use votekit_core::credential::PepperError;
use votekit_core::id::Digest;
use votekit_core::log::note::NoteError;
use votekit_core::manifest::ManifestError;

use crate::data_folder::FolderError;
use crate::regular_file::FileKind;

/// Why a roll was not loaded. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
// Exhaustive: the edges have a sentence for each variant.
pub enum RollError {
    /// A file could not be read.
    #[error("{path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file of the roll is not a regular file.
    #[error("{path}: {found}", path = path.display())]
    NotRegular {
        /// The path.
        path: PathBuf,
        /// The kind of file found.
        found: FileKind,
    },
    /// A file is larger than its limit.
    #[error("{path}: more than {bytes_max} bytes", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        bytes_max: u64,
    },
    /// The load was aborted before it was complete.
    #[error("load aborted")]
    GivenUp,
    /// The manifest, or a file it lists, is not valid.
    #[error("{path}: {source}", path = path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// The fault.
        source: ManifestError,
    },
    /// The pepper file cannot be parsed.
    #[error("{path}: {source}", path = path.display())]
    Pepper {
        /// The file.
        path: PathBuf,
        /// The fault.
        source: PepperError,
    },
    /// This node requires signed manifests, and this manifest is not signed.
    #[error(
        "{path}: no valid signature by a known official: {reason}",
        path = path.display()
    )]
    Unsigned {
        /// The file of the signatures.
        path: PathBuf,
        /// The fault.
        reason: UnsignedReason,
    },
    /// The parent of a supplement is not loaded.
    #[error("parent {parent} of the supplement not loaded")]
    NoParent {
        /// The parent.
        parent: Digest,
    },
    /// The data folder failed.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// Why a manifest has no valid signature by a known official.
#[derive(Debug, thiserror::Error)]
// Exhaustive: the edges have a sentence for each variant.
pub enum UnsignedReason {
    /// There are no signatures.
    #[error("no such file")]
    NoFile,
    /// The file cannot be read.
    #[error("{0}")]
    Unreadable(io::Error),
    /// The signatures are of another manifest.
    #[error("signature of another manifest")]
    OtherManifest,
    /// It is not a note, or none of its signatures is valid.
    #[error("{0}")]
    Note(NoteError),
}
