//! Faults of a manifest and of the files it lists.

use crate::credential::PepperId;
use crate::id::{Digest, ElectionId};
use crate::shard::{ChangesError, ShardError};

/// Why a manifest or a listed file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The JSON is malformed, or has other keys or types.
    #[error("not a manifest: {reason}")]
    Json {
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault, from 1.
        column: usize,
        /// The JSON parser's message.
        reason: String,
    },
    /// The bytes are not the canonical form of a manifest.
    #[error("the manifest is not in canonical form")]
    NotCanonical,
    /// Scheme and pepper do not match.
    #[error(
        "the manifest's hash scheme and pepper do not match: hmac-sha256 needs a pepper, and \
         sha256 has none"
    )]
    Scheme,
    /// The date is not `YYYY-MM-DD`.
    #[error("the manifest's date is not a day such as 2026-11-21")]
    Date,
    /// The length of the shortest access code is impossible.
    #[error(
        "the manifest states {length} characters for the shortest access code; a code has 4 to \
         32, or 0 if none was hashed"
    )]
    CodeLength {
        /// Stated number of characters.
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
        /// Number of shards stated in the law's row.
        shards: u32,
    },
    /// The row of a file belongs to no law of the manifest, or is out of order.
    #[error(
        "the manifest's row for {file} is out of order, or belongs to a law that the manifest does \
         not list"
    )]
    FileOrder {
        /// The file.
        file: String,
    },
    /// A file name is not the one that the format prescribes.
    #[error("the manifest lists the file {file:?}, whose name is not allowed")]
    FileName {
        /// The name.
        file: String,
    },
    /// The keys of a law's files do not add up to its total.
    #[error("the manifest states {stated} keys for the law {law_id}, its files add up to {found}")]
    LawCount {
        /// The law.
        law_id: ElectionId,
        /// Total stated in the law's row.
        stated: u64,
        /// Sum over the law's files.
        found: u64,
    },
    /// A shard states more keys than allowed.
    #[error("{file} states {count} keys, more than a shard can hold")]
    ShardCount {
        /// The file.
        file: String,
        /// Stated number of keys.
        count: u64,
    },
    /// Rows are not the sum of registered, revoked, duplicates and rejects.
    #[error("the manifest states {stated} rows of the roll, its parts add up to {found}")]
    Rows {
        /// Stated number of rows.
        stated: u64,
        /// The sum.
        found: u64,
    },
    /// A number of rows above the largest integer that every JSON reader represents exactly.
    #[error("the manifest states {rows} rows of the roll; at most 2^53 - 1 are allowed")]
    TooManyRows {
        /// Stated number of rows.
        rows: u64,
    },
    /// Only a supplement may revoke and have change files; only other manifests have shards.
    #[error("the manifest mixes fields of a roll and of a supplement")]
    Kind,
    /// A required pepper is missing.
    #[error("the manifest was made with the pepper {id}; none was given")]
    PepperMissing {
        /// The pepper's id.
        id: PepperId,
    },
    /// A pepper was given but is not required.
    #[error("the manifest was made without a pepper; one was given")]
    PepperUnasked,
    /// The given pepper is not the manifest's.
    #[error("the manifest was made with the pepper {expected}; the one given is {given}")]
    PepperOther {
        /// The manifest's pepper.
        expected: PepperId,
        /// The given pepper.
        given: PepperId,
    },
    /// A file's digest differs from its row.
    #[error("{file} has been changed: its SHA-256 is {found}, the manifest states {expected}")]
    FileDigest {
        /// The file.
        file: String,
        /// The row's digest.
        expected: Digest,
        /// The file's digest.
        found: Digest,
    },
    /// A file's number of keys differs from its row.
    #[error("{file} holds {found} keys, the manifest states {expected}")]
    FileCount {
        /// The file.
        file: String,
        /// The row's count.
        expected: u64,
        /// The file's count.
        found: u64,
    },
    /// A file is not a valid shard.
    #[error("{file}: {error}")]
    Shard {
        /// The file.
        file: String,
        /// The cause.
        error: ShardError,
    },
    /// A file's law or number differs from its row.
    #[error("{file} has another law or number than the manifest states")]
    ShardHead {
        /// The file.
        file: String,
    },
    /// A file is not a valid change file.
    #[error("{file}: {error}")]
    Changes {
        /// The file.
        file: String,
        /// The cause.
        error: ChangesError,
    },
    /// A change file's numbers of added and revoked keys differ from its law's row.
    #[error("{file} adds or revokes a different number of keys than the manifest states")]
    ChangesCount {
        /// The file.
        file: String,
    },
}
