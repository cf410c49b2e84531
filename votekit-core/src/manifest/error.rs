//! What can be wrong with a manifest, or with a file held against it.

use crate::credential::PepperId;
use crate::id::{Digest, ElectionId};
use crate::shard::{ChangesError, ShardError};

/// Why a manifest, or a file it lists, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The JSON is broken, or has other keys or types.
    #[error("not a manifest: {reason}")]
    Json {
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault, from 1.
        column: usize,
        /// What the JSON parser says.
        reason: String,
    },
    /// The bytes are not the one form that a manifest has.
    #[error("the manifest is not in canonical form: it was edited or reformatted")]
    NotCanonical,
    /// Scheme and pepper disagree.
    #[error(
        "the manifest names a pepper if and only if its scheme is hmac-sha256; this one does not"
    )]
    Scheme,
    /// The date is no `YYYY-MM-DD`.
    #[error("the manifest's date is not a day such as 2026-11-21")]
    Date,
    /// The length of the shortest access code cannot be.
    #[error(
        "the manifest states {length} characters for the shortest access code; a code has 4 to 32, and 0 stands only where none was hashed"
    )]
    CodeLength {
        /// Characters stated.
        length: u32,
    },
    /// Laws are out of order or repeated.
    #[error("the manifest lists the law {law_id} twice or out of order")]
    LawOrder {
        /// The law.
        law_id: ElectionId,
    },
    /// Shards are missing, repeated, out of order, or of an unknown law.
    #[error("the manifest's shards are not numbered 1 to {shards} for the law {law_id}")]
    ShardNumbers {
        /// The law.
        law_id: ElectionId,
        /// Shards its row states.
        shards: u32,
    },
    /// A row of shards or changes belongs to no law of the manifest, or stands out of order.
    #[error("the manifest's row for {file} is out of order or of a law that it does not list")]
    FileOrder {
        /// The file.
        file: String,
    },
    /// A file name is not the one the format gives.
    #[error("the manifest names a file {file:?}, which is not as such files are named")]
    FileName {
        /// The name.
        file: String,
    },
    /// The keys of a law's files do not add up to its total.
    #[error("the manifest states {stated} keys for the law {law_id}, its files add up to {found}")]
    LawCount {
        /// The law.
        law_id: ElectionId,
        /// Total of the law's row.
        stated: u64,
        /// Sum over its files.
        found: u64,
    },
    /// A shard of more keys than one may hold.
    #[error("{file} is to hold {count} keys, more than a shard may")]
    ShardCount {
        /// The file.
        file: String,
        /// Keys.
        count: u64,
    },
    /// Rows do not equal registered, revoked, duplicates and rejects together.
    #[error("the manifest states {stated} rows of the roll, its parts add up to {found}")]
    Rows {
        /// Rows stated.
        stated: u64,
        /// The sum.
        found: u64,
    },
    /// A number of rows is no integer that every reader of JSON holds exactly.
    #[error("the manifest states {rows} rows of the roll; at most 2^53 - 1 are allowed")]
    TooManyRows {
        /// Rows stated.
        rows: u64,
    },
    /// Only a supplement revokes and has change files; only another has shards.
    #[error("the manifest mixes what belongs into a supplement with what does not")]
    Kind,
    /// A pepper is needed.
    #[error("the manifest was made with the pepper {id}; none was given")]
    PepperMissing {
        /// The pepper's id.
        id: PepperId,
    },
    /// A pepper is not needed.
    #[error("the manifest was made without a pepper; one was given")]
    PepperUnasked,
    /// Another pepper was given.
    #[error("the manifest was made with the pepper {expected}; the one given is {given}")]
    PepperOther {
        /// The manifest's.
        expected: PepperId,
        /// The one given.
        given: PepperId,
    },
    /// A file's bytes are not those of its row.
    #[error("{file} has been changed: its SHA-256 is {found}, the manifest states {expected}")]
    FileDigest {
        /// The file.
        file: String,
        /// The row's digest.
        expected: Digest,
        /// The file's digest.
        found: Digest,
    },
    /// A file holds another number of keys than its row states.
    #[error("{file} holds {found} keys, the manifest states {expected}")]
    FileCount {
        /// The file.
        file: String,
        /// The row's count.
        expected: u64,
        /// The file's count.
        found: u64,
    },
    /// A file is no shard.
    #[error("{file}: {error}")]
    Shard {
        /// The file.
        file: String,
        /// What is wrong.
        error: ShardError,
    },
    /// A file is of another law or number than its row.
    #[error("{file} is of another law or number than the manifest states")]
    ShardHead {
        /// The file.
        file: String,
    },
    /// A file is no change file.
    #[error("{file}: {error}")]
    Changes {
        /// The file.
        file: String,
        /// What is wrong.
        error: ChangesError,
    },
    /// A change file adds or revokes another number of keys than its law's row states.
    #[error("{file} adds or revokes another number of keys than the manifest states")]
    ChangesCount {
        /// The file.
        file: String,
    },
}
