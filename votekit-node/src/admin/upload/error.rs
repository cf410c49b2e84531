//! Why a file of a roll was not taken, or an uploaded roll not loaded. `Display` is for logs; the
//! edges make the sentences.

use votekit_core::credential::PepperId;
use votekit_core::id::{Digest, ElectionId};
use votekit_core::manifest::ManifestError;

use crate::data_folder::FolderError;
use crate::error::AdminError;
use crate::regular_file::FileKind;

/// Why a file of a roll was not taken, or an uploaded roll not loaded. Nothing was kept of the
/// file, and nothing was changed in an election.
#[derive(Debug, thiserror::Error)]
// Exhaustive: votekit-http maps each variant to a problem.
pub enum UploadError {
    /// The name of the file.
    #[error("not the name of a file")]
    Name,
    /// The file is a roll that is not hashed.
    #[error("a roll that is not hashed")]
    NotHashed,
    /// The file is not a file of a hashed roll, or not the file that the manifest lists.
    #[error("{file}: {rule}")]
    Refused {
        /// The file.
        file: String,
        /// The rule that it breaks, without a value of the file.
        rule: FileRule,
    },
    /// The manifest is of another election.
    #[error("manifest of the law {other}, upload of {law_id}")]
    OtherLaw {
        /// The election of the upload.
        law_id: ElectionId,
        /// The law in the manifest.
        other: ElectionId,
    },
    /// The file is too large.
    #[error("more than {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: u64,
    },
    /// All files together are too large, or too many.
    #[error("more than {files_max} files or {bytes_max} bytes in all")]
    TooMuch {
        /// The limit of their bytes.
        bytes_max: u64,
        /// The limit of their number.
        files_max: usize,
    },
    /// The disk would be too full for the ledger.
    #[error("no room on the disk of the node")]
    NoRoom,
    /// The file is being uploaded already, or the upload is being loaded or discarded, or too many
    /// files are being uploaded.
    #[error("upload of {law_id} busy")]
    Busy {
        /// The election.
        law_id: ElectionId,
    },
    /// The node does not have the pepper of the roll.
    #[error("pepper {id} missing on this node")]
    NoPepper {
        /// The pepper's id.
        id: PepperId,
    },
    /// The election, the roll or the node does not allow it.
    #[error(transparent)]
    Admin(#[from] AdminError),
}

/// The rule that an uploaded file breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
// Exhaustive: votekit-http has a sentence for each variant.
pub enum FileRule {
    /// No file of a hashed roll has this name.
    #[error("not the name of a file of a hashed roll")]
    Name,
    /// The file of this name begins otherwise.
    #[error("other beginning than this file of a hashed roll")]
    Beginning,
    /// The file is not there.
    #[error("not uploaded")]
    NotUploaded,
    /// The manifest lists files that are not there.
    #[error("files not uploaded: {}", listed(named, *more))]
    Incomplete {
        /// Some of them.
        named: Vec<String>,
        /// How many more there are.
        more: usize,
    },
    /// The manifest has no law.
    #[error("no law")]
    NoLaw,
    /// The manifest is not valid.
    #[error("{0}")]
    Manifest(#[from] ManifestError),
    /// The manifest states another digest.
    #[error("found SHA-256 {found}, expected {stated}")]
    Digest {
        /// The digest of the file.
        found: Digest,
        /// The digest in the manifest.
        stated: Digest,
    },
    /// Something else has the name of the file.
    #[error("{found}, not a regular file")]
    NotRegular {
        /// The kind that was found.
        found: FileKind,
    },
}

fn listed(named: &[String], more: usize) -> String {
    match (named.join(", "), more) {
        (named, 0) => named,
        (named, more) => format!("{named} and {more} more"),
    }
}

impl From<FolderError> for UploadError {
    fn from(error: FolderError) -> Self {
        Self::Admin(error.into())
    }
}
