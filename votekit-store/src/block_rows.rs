//! How a log is stored in rows, the same in every ledger that uses tables: the rules of a block,
//! the runs of its leaves, and the checks of stored rows. A check returns a sentence on the damage
//! that it found; each engine reports it under its name.

use votekit_core::batch::Batch;
use votekit_core::id::{BatchNumber, Digest, ElectionId};
use votekit_core::log::tile::{TILE_WIDTH, Tile};

use super::{BlockCommit, Head};

/// Whether the ledger compares the term of a block with the present term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Appending {
    /// A block of a lower term is refused.
    InTerm,
    /// A block of any term is appended, because it is certified.
    InAnyTerm,
}

/// The rule that a block breaks if it is not the next one of its log.
pub(super) const HEIGHT_RULE: &str = "block heights are consecutive, from 1";

/// The rule that a head breaks if it is sealed up to a lower position than the stored one.
pub(super) const SEALED_RULE: &str = "the sealed position never decreases";

/// Reports that a certified block was stored in place of rows above the head.
pub(super) fn report_rows_replaced(law_id: &ElectionId, height: u64) {
    tracing::error!(
        event = "log_rows_replaced",
        alarm = true,
        %law_id,
        height,
        "a certified block has replaced rows above the head of its log: another program wrote \
         them, or has set the head back"
    );
}

/// A number as a signed column of 64 bits; `None` if it needs more than 63 bits.
pub(super) fn column(number: u64) -> Option<i64> {
    i64::try_from(number).ok()
}

/// Checks the rules that do not depend on the log. The error is the broken rule.
pub(super) fn check(commit: &BlockCommit) -> Result<(), &'static str> {
    let BlockCommit { block, head, full_tiles, .. } = commit;
    if block.leaf_count == 0 {
        return Err("a block has leaves");
    }
    if head.size != block.first_leaf + u64::from(block.leaf_count) {
        return Err("the head's size is where the block ends");
    }
    if head.height != block.height {
        return Err("the head's height is the block's");
    }
    if !holds_leaves(&block.leaves, block.leaf_count) {
        return Err("the block's leaves are as many as it counts");
    }
    let mut tiles: Vec<Tile> = full_tiles.iter().map(|full| full.tile).collect();
    tiles.sort_unstable();
    if !tiles.into_iter().eq(tiles_filled(block.first_leaf, head.size))
        || full_tiles.iter().any(|full| full.hashes.len() != 256)
    {
        return Err("the full tiles are those that the block fills");
    }
    Ok(())
}

/// The runs in which a block's leaves are stored, each with its number of leaves. A run ends at a
/// tile boundary or with the block.
pub(super) fn runs(first_leaf: u64, leaves: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let (mut next, mut rest) = (first_leaf, leaves);
    std::iter::from_fn(move || {
        // Leaves that are missing to the next tile boundary.
        let room = TILE_WIDTH - (next % u64::from(TILE_WIDTH)) as u16;
        let (mut leaf_count, mut length) = (0_u32, 0);
        while leaf_count < u32::from(room) {
            let Some(prefix) = rest[length..].first_chunk() else { break };
            length += 2 + usize::from(u16::from_be_bytes(*prefix));
            leaf_count += 1;
        }
        let run;
        (run, rest) = rest.split_at(length);
        next += u64::from(leaf_count);
        (leaf_count > 0).then_some((leaf_count, run))
    })
}

/// The tiles that become full while a log grows, in order.
fn tiles_filled(from_size: u64, to_size: u64) -> impl Iterator<Item = Tile> {
    (0_u8..7).flat_map(move |level| {
        let leaves_log2 = 8 * (u32::from(level) + 1);
        // A full tile of this level covers 2^`leaves_log2` leaves.
        (from_size >> leaves_log2..to_size >> leaves_log2)
            .filter_map(move |index| Tile::in_tree(to_size, level, index))
    })
}

/// Whether `bytes` are exactly `leaf_count` leaves, each preceded by its length in 2 bytes.
pub(super) fn holds_leaves(mut bytes: &[u8], leaf_count: u32) -> bool {
    for _ in 0..leaf_count {
        let Some((length, rest)) = bytes.split_first_chunk::<2>() else { return false };
        let Some(rest) = rest.get(usize::from(u16::from_be_bytes(*length))..) else { return false };
        bytes = rest;
    }
    bytes.is_empty()
}

/// A stored run of leaves.
pub(super) struct LeafRun {
    pub(super) first_leaf: u64,
    pub(super) leaf_count: u32,
    pub(super) bytes: Vec<u8>,
}

impl LeafRun {
    /// Verifies the digest and the number of leaves.
    pub(super) fn verify(self, digest: &[u8; 32]) -> Result<Self, String> {
        if Digest::of(&self.bytes).as_bytes() == digest
            && holds_leaves(&self.bytes, self.leaf_count)
        {
            return Ok(self);
        }
        Err(format!("table leaves: the run at leaf {} does not match its digest", self.first_leaf))
    }
}

/// Leaves of a range, collected from runs in order.
pub(super) struct LeafRange {
    next: u64,
    end: u64,
    bytes: Vec<u8>,
}

impl LeafRange {
    pub(super) fn new(first: u64, end: u64) -> Self {
        Self { next: first, end, bytes: Vec::new() }
    }

    /// Adds the leaves of the range that a run contains. Returns false if the next leaf is not
    /// among them.
    pub(super) fn add(&mut self, run: &LeafRun) -> bool {
        let leaf_count = u64::from(run.leaf_count);
        let skipped = self.next.checked_sub(run.first_leaf);
        let Some(skipped) = skipped.filter(|skipped| *skipped < leaf_count) else { return false };
        let wanted = (self.end - self.next).min(leaf_count - skipped);
        self.bytes.extend_from_slice(part_of_run(&run.bytes, skipped, wanted));
        self.next += wanted;
        true
    }

    /// The leaves, each preceded by its length. The error is the first leaf that is missing.
    pub(super) fn finish(self) -> Result<Vec<u8>, u64> {
        if self.next == self.end { Ok(self.bytes) } else { Err(self.next) }
    }
}

/// `wanted` leaves of a run after the first `skipped`. Panics if the run is shorter, so the caller
/// checks that first.
fn part_of_run(run: &[u8], skipped: u64, wanted: u64) -> &[u8] {
    let offset_after = |leaves: u64| {
        (0..leaves).fold(0, |offset, _| {
            offset + 2 + usize::from(u16::from_be_bytes([run[offset], run[offset + 1]]))
        })
    };
    &run[offset_after(skipped)..offset_after(skipped + wanted)]
}

/// The digest stored with a head, which reveals any change of its columns.
pub(super) fn head_digest(head: &Head) -> Digest {
    let numbers =
        [head.size, head.height, head.fence, head.sealed_through.0, u64::from(head.takes_votes)]
            .map(u64::to_be_bytes);
    Digest::of(&[numbers.as_flattened(), head.root.as_bytes(), &head.checkpoint].concat())
}

pub(super) fn verify_head(head: Head, digest: &[u8; 32]) -> Result<Head, String> {
    if head_digest(&head).as_bytes() == digest {
        return Ok(head);
    }
    Err(format!("table head: the head at {} leaves does not match its digest", head.size))
}

/// Verifies the hashes of a full tile.
pub(super) fn verify_tile(
    law_id: &ElectionId,
    (level, index): (u8, u64),
    hashes: Vec<u8>,
    digest: &[u8; 32],
) -> Result<Vec<u8>, String> {
    if hashes.len() == 256 * 32 && Digest::of(&hashes).as_bytes() == digest {
        return Ok(hashes);
    }
    Err(format!("table tile: tile {level}/{index} of {law_id} does not match its digest"))
}

/// Verifies a stored manifest.
pub(super) fn verify_manifest(bytes: Vec<u8>, digest: &Digest) -> Result<Vec<u8>, String> {
    if Digest::of(&bytes) == *digest {
        return Ok(bytes);
    }
    Err(format!("table manifest: the bytes of {digest} have another digest"))
}

/// Compares the bytes of a batch with the other columns of its row. The error does not name the
/// row.
pub(super) fn verify_batch(
    bytes: Vec<u8>,
    digest: Digest,
    law_id: &ElectionId,
    number: BatchNumber,
) -> Result<Batch, String> {
    let batch = Batch::parse(bytes).map_err(|error| error.to_string())?;
    if batch.digest() != digest {
        return Err(format!("its bytes have digest {}, expected {digest}", batch.digest()));
    }
    if batch.header().law_id != *law_id {
        return Err(format!("it is a batch of {}", batch.header().law_id));
    }
    if batch.number() != number {
        return Err(format!("it is batch {}, its row says {number}", batch.number()));
    }
    Ok(batch)
}
