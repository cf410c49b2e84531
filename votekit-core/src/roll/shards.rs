//! Divides the keys of a hashed roll into shards, and makes the rows of their manifest.

use std::ops::Range;

use super::hashes::HashedRoll;
use super::law_keys::LawKeys;
use crate::id::{Digest, ElectionId};
use crate::manifest::{FileRow, LawRow, RollFacts};
use crate::shard::{ShardEncoder, ShardFormat, ShardHead};

/// Keys encoded together; they stay in the cache of a core.
const KEYS_PER_WRITE: usize = 1024;

/// A shard to be made: its head, its law, and the ranks of its keys in that law.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PlannedShard<'k> {
    /// The position of the shard among the shards of its law.
    pub head: ShardHead,
    /// The keys of the law.
    pub law: &'k LawKeys,
    /// The ranks of the shard's keys, from 0.
    pub ranks: Range<usize>,
}

/// Why keys cannot be divided into shards.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShardPlanError {
    /// The number of keys per shard is out of range.
    #[error("shard size {shard_size}, not 1 to {max}", max = ShardHead::KEYS_MAX)]
    ShardSize {
        /// Requested number of keys per shard.
        shard_size: usize,
    },
    /// A law needs more shards than can be numbered.
    #[error("law {law_id}: {shards} shards, over {max}", max = ShardHead::SHARDS_MAX)]
    TooManyShards {
        /// The law.
        law_id: ElectionId,
        /// Number of shards that its keys need.
        shards: usize,
    },
}

/// Divides the keys of each law into shards of `shard_size` keys; the last shard of a law may hold
/// fewer. The shards are in the order of the manifest: by law, then by number.
///
/// # Errors
/// [`ShardPlanError`] when `shard_size` is not within 1 to [`ShardHead::KEYS_MAX`], or when a law
/// needs more than [`ShardHead::SHARDS_MAX`] shards.
pub fn plan_shards(
    laws: &[LawKeys],
    shard_size: usize,
) -> Result<Vec<PlannedShard<'_>>, ShardPlanError> {
    if !(1..=ShardHead::KEYS_MAX).contains(&shard_size) {
        return Err(ShardPlanError::ShardSize { shard_size });
    }
    let mut plan = Vec::new();
    for law in laws {
        let (law_id, count) = (law.law_id(), law.count());
        let shards = count.div_ceil(shard_size);
        if shards > ShardHead::SHARDS_MAX {
            return Err(ShardPlanError::TooManyShards { law_id: law_id.clone(), shards });
        }
        for (shard, start) in (1..).zip((0..count).step_by(shard_size)) {
            let head = ShardHead { law_id: law_id.clone(), shard, shards: shards as u32 };
            plan.push(PlannedShard { head, law, ranks: start..count.min(start + shard_size) });
        }
    }
    Ok(plan)
}

/// The manifest's row of each law that has a shard in `plan`.
#[must_use]
pub fn law_rows(plan: &[PlannedShard<'_>]) -> Vec<LawRow> {
    let first_shards = plan.iter().filter(|planned| planned.head.shard == 1);
    first_shards
        .map(|planned| LawRow {
            law_id: planned.head.law_id.clone(),
            registered: planned.law.count() as u64,
            shards: planned.head.shards,
            revoked: 0,
        })
        .collect()
}

impl PlannedShard<'_> {
    /// The bytes of the shard, about 67 per key in JSON and 32 in binary.
    #[must_use]
    pub fn encode(&self, format: ShardFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = ShardEncoder::start(&self.head, format, self.ranks.len(), &mut bytes);
        let mut keys = self.law.ranks(self.ranks.clone());
        while let Some(piece) = keys.next_keys(KEYS_PER_WRITE) {
            encoder.push(piece, &mut bytes);
        }
        bytes
    }

    /// The manifest's row of the shard, whose bytes have the SHA-256 `sha256`.
    #[must_use]
    pub fn row(&self, format: ShardFormat, sha256: Digest) -> FileRow {
        FileRow {
            file: self.head.file_name(format),
            law_id: self.head.law_id.clone(),
            shard: self.head.shard,
            count: self.ranks.len() as u64,
            sha256,
        }
    }
}

impl HashedRoll {
    /// The counts that the manifest states of a roll whose bytes have the SHA-256 `sha256`.
    #[must_use]
    pub fn facts(&self, sha256: Digest) -> RollFacts {
        RollFacts {
            sha256,
            rows: self.rows,
            duplicates: self.duplicates,
            rejects: self.rejects(),
            code_length_min: self.code_length_min,
        }
    }
}
