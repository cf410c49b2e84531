//! From the bytes of a roll to shards and manifest, in one call.

use std::io::Read;
use std::num::NonZeroUsize;
use std::sync::OnceLock;

use super::{ScopedThreads, gather};
use crate::credential::{CredentialHasher, Pepper};
use crate::id::{Digest, ElectionId};
use crate::manifest::{FileRow, Manifest, ManifestBody, ManifestError, PepperMarks};
use crate::roll::{
    Conflict, HashedRoll, PlannedShard, RollChunks, RollError, RollRules, RollWarning, RowFault,
    ShardPlanError, Threads, law_rows, plan_shards,
};
use crate::shard::{ShardFormat, ShardHead};

/// The options of [`hash_roll`]. Start with [`HashOptions::default`] and set what differs.
#[derive(Clone)]
#[non_exhaustive]
pub struct HashOptions<'a> {
    /// Rules for rows beyond being well formed.
    pub rules: RollRules,
    /// The key under which credentials are hashed; binding elections need one.
    pub pepper: Option<&'a Pepper>,
    /// The encoding of the shards.
    pub format: ShardFormat,
    /// Keys per shard, from 1 to [`ShardHead::KEYS_MAX`].
    pub shard_size: usize,
    /// Name and version of the program, for the manifest.
    pub tool: String,
    /// The day for the manifest, `YYYY-MM-DD`. With `None` the same roll gives the same bytes on
    /// every day.
    pub date: Option<String>,
    /// Threads that hash, in addition to the calling thread, which reads.
    pub threads: NonZeroUsize,
    /// Receives the number of bytes of rows read so far, after each chunk.
    pub progress: Option<&'a dyn Fn(u64)>,
}

impl Default for HashOptions<'_> {
    /// All laws, no pepper, JSON shards of the maximum size, no date, two threads.
    fn default() -> Self {
        Self {
            rules: RollRules::default(),
            pepper: None,
            format: ShardFormat::default(),
            shard_size: ShardHead::KEYS_MAX,
            tool: concat!("votekit-core ", env!("CARGO_PKG_VERSION")).to_owned(),
            date: None,
            threads: NonZeroUsize::MIN.saturating_add(1),
            progress: None,
        }
    }
}

/// One shard as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardFile {
    /// The file's name, as in the manifest.
    pub name: String,
    /// The file's bytes.
    pub bytes: Vec<u8>,
}

/// A roll as operators load it: the shards and the manifest that lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardedRoll {
    /// The shards, in the order of the manifest.
    pub shards: Vec<ShardFile>,
    /// The manifest. Its file is named [`Manifest::FILE_NAME`] and is in the folder of the shards.
    pub manifest: Manifest,
    /// Findings for an official to review; every row is good.
    pub warnings: Vec<RollWarning>,
}

/// Why a roll gives no shards. No message holds a NAS or a code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HashRollError {
    /// The roll cannot be read.
    #[error(transparent)]
    Read(#[from] RollError),
    /// Rows are bad or exact duplicates.
    #[error("{count} rows cannot be hashed", count = .faults.len())]
    Faults {
        /// Every such row, by line.
        faults: Vec<RowFault>,
    },
    /// The same elector has two codes for one law.
    #[error("{count} rows give a second code for the same elector and law", count = .conflicts.len())]
    Conflicts {
        /// Every second code, by line.
        conflicts: Vec<Conflict>,
    },
    /// The roll has a header but no row.
    #[error("the roll has a header but no row")]
    NoRow,
    /// A requested law has no row.
    #[error("no row is for the law {law_id}")]
    LawWithoutRow {
        /// The law.
        law_id: ElectionId,
    },
    /// The keys cannot be divided into shards.
    #[error(transparent)]
    Plan(#[from] ShardPlanError),
    /// The manifest would be inconsistent. The date is its only free text.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// Hashes a whole roll and makes its shards and manifest. Any bad row, duplicate or conflict is an
/// error, so that no elector is left out unnoticed. The result does not depend on the number of
/// threads.
///
/// Shards and keys are in memory together: about 100 bytes per elector in JSON, 65 in binary. To
/// write shards piece by piece, use [`gather`], [`plan_shards`] and
/// [`ShardEncoder`](crate::shard::ShardEncoder).
///
/// ```
/// use votekit_core::roll::parallel::{HashOptions, hash_roll};
/// let roll = "nas,code,law_id\n123456789,ABC123,L1\n123456780,ABC124,L1\n";
/// let hashed = hash_roll(roll.as_bytes(), &HashOptions::default())?;
/// assert_eq!(hashed.manifest.body().laws[0].registered, 2);
/// let (row, shard) = (&hashed.manifest.body().shards[0], &hashed.shards[0]);
/// assert_eq!(hashed.manifest.read_shard(row, &shard.bytes)?.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`HashRollError`].
pub fn hash_roll(
    reader: impl Read,
    options: &HashOptions<'_>,
) -> Result<ShardedRoll, HashRollError> {
    let hasher = options.pepper.map_or_else(CredentialHasher::plain, CredentialHasher::peppered);
    let progress = |bytes| {
        if let Some(progress) = options.progress {
            progress(bytes);
        }
    };
    let chunks = RollChunks::open(reader)?;
    let file = gather(chunks, &options.rules, &hasher, options.threads, progress)?;
    let threads = ScopedThreads(options.threads);
    let roll = checked(file.rows.finish(&threads), &options.rules)?;
    let plan = plan_shards(&roll.laws, options.shard_size)?;
    let (rows, shards) = encode(&plan, options.format, &threads);
    let manifest = Manifest::new(ManifestBody {
        tool: options.tool.clone(),
        scheme: hasher.scheme(),
        pepper: options.pepper.map(PepperMarks::new),
        date: options.date.clone(),
        parent: None,
        roll: roll.facts(file.sha256),
        laws: law_rows(&plan),
        shards: rows,
        changes: Vec::new(),
    })?;
    Ok(ShardedRoll { shards, manifest, warnings: roll.warnings() })
}

/// Refuses a roll that would leave an elector out, and one without rows.
fn checked(roll: HashedRoll, rules: &RollRules) -> Result<HashedRoll, HashRollError> {
    if !roll.conflicts.is_empty() {
        return Err(HashRollError::Conflicts { conflicts: roll.conflicts });
    }
    if !roll.faults.is_empty() {
        return Err(HashRollError::Faults { faults: roll.faults });
    }
    let is_missing = |law_id: &&ElectionId| roll.laws.iter().all(|law| law.law_id() != *law_id);
    if let Some(law_id) = rules.laws.iter().find(is_missing) {
        return Err(HashRollError::LawWithoutRow { law_id: law_id.clone() });
    }
    if roll.laws.is_empty() {
        return Err(HashRollError::NoRow);
    }
    Ok(roll)
}

/// Encodes the shards, each on any thread. Returns their rows of the manifest too.
fn encode(
    plan: &[PlannedShard<'_>],
    format: ShardFormat,
    threads: &impl Threads,
) -> (Vec<FileRow>, Vec<ShardFile>) {
    let encoded: Vec<OnceLock<(FileRow, Vec<u8>)>> = plan.iter().map(|_| OnceLock::new()).collect();
    threads.each(plan.len() as u32, &|number| {
        let planned = &plan[number as usize];
        let bytes = planned.encode(format);
        let row = planned.row(format, Digest::of(&bytes));
        // Each number occurs once, so the slot is empty.
        let _ = encoded[number as usize].set((row, bytes));
    });
    let with_name = |(row, bytes): (FileRow, Vec<u8>)| {
        let name = row.file.clone();
        (row, ShardFile { name, bytes })
    };
    encoded.into_iter().filter_map(OnceLock::into_inner).map(with_name).unzip()
}
