//! Faults of a manifest and of the files it lists.

use crate::credential::PepperId;
use crate::id::{Digest, ElectionId};
use crate::shard::{ChangesError, ShardError, ShardHead};

/// Why a manifest or a listed file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The JSON is malformed, or has other keys or types.
    #[error("manifest malformed: {reason}")]
    Json {
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault, from 1.
        column: usize,
        /// The JSON parser's message.
        reason: String,
    },
    /// The bytes are not the canonical form of a manifest.
    #[error("manifest not canonical")]
    NotCanonical,
    /// Scheme and pepper do not match.
    #[error("hash scheme and pepper contradict")]
    Scheme,
    /// The date is not `YYYY-MM-DD`.
    #[error("date not YYYY-MM-DD")]
    Date,
    /// The length of the shortest access code is impossible.
    #[error("shortest code of {length} characters, not 0 or 4 to 32")]
    CodeLength {
        /// Stated number of characters.
        length: u32,
    },
    /// Laws are out of order or repeated.
    #[error("law {law_id}: repeated or not ascending")]
    LawOrder {
        /// The law.
        law_id: ElectionId,
    },
    /// Shards are missing, repeated, out of order, or of an unknown law.
    #[error("law {law_id}: shard numbers, not 1 to {shards}")]
    ShardNumbers {
        /// The law.
        law_id: ElectionId,
        /// Number of shards stated in the law's row.
        shards: u32,
    },
    /// The row of a file belongs to no law of the manifest, or is out of order.
    #[error("{file}: not ascending, or of an unlisted law")]
    FileOrder {
        /// The file.
        file: String,
    },
    /// A file name is not the one that the format prescribes.
    #[error("file name {file:?}")]
    FileName {
        /// The name.
        file: String,
    },
    /// The keys of a law's files do not add up to its total.
    #[error("law {law_id}: found {found} keys, expected {stated}")]
    LawCount {
        /// The law.
        law_id: ElectionId,
        /// Total stated in the law's row.
        stated: u64,
        /// Sum over the law's files.
        found: u64,
    },
    /// A shard states more keys than allowed.
    #[error("{file}: {count} keys, over {max}", max = ShardHead::KEYS_MAX)]
    ShardCount {
        /// The file.
        file: String,
        /// Stated number of keys.
        count: u64,
    },
    /// Rows are not the sum of registered, revoked, duplicates and rejects.
    #[error("rows: found {found}, expected {stated}")]
    Rows {
        /// Stated number of rows.
        stated: u64,
        /// The sum.
        found: u64,
    },
    /// A number of rows above the largest integer that every JSON reader represents exactly.
    #[error("rows: {rows}, over 2^53 - 1")]
    TooManyRows {
        /// Stated number of rows.
        rows: u64,
    },
    /// Only a supplement may revoke and have change files; only other manifests have shards.
    #[error("fields of a roll and of a supplement")]
    Kind,
    /// A required pepper is missing.
    #[error("pepper {id} missing")]
    PepperMissing {
        /// The pepper's id.
        id: PepperId,
    },
    /// A pepper was given but is not required.
    #[error("pepper not expected")]
    PepperUnasked,
    /// The given pepper is not the manifest's.
    #[error("pepper: found {given}, expected {expected}")]
    PepperOther {
        /// The manifest's pepper.
        expected: PepperId,
        /// The given pepper.
        given: PepperId,
    },
    /// A file's digest differs from its row.
    #[error("{file}: found SHA-256 {found}, expected {expected}")]
    FileDigest {
        /// The file.
        file: String,
        /// The row's digest.
        expected: Digest,
        /// The file's digest.
        found: Digest,
    },
    /// A file's number of keys differs from its row.
    #[error("{file}: found {found} keys, expected {expected}")]
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
    #[error("{file}: law or number, not as listed")]
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
    #[error("{file}: added or revoked keys, not as listed")]
    ChangesCount {
        /// The file.
        file: String,
    },
}
