//! Inclusion proof of a leaf, made in one pass over the log.

use std::ops::Range;

use votekit_core::id::ElectionId;
use votekit_core::log::checkpoint::SignedCheckpoint;
use votekit_core::log::merkle::{RootHasher, TreeHash, leaf_hash, verify_inclusion};
use votekit_core::log::proof::Proof;
use votekit_messages::InWords as _;
use votekit_node::archive::Archive;

use crate::error::CommandError;

/// A proof, with the path and the root that it leads to.
pub(super) struct Receipt {
    pub(super) proof: Proof,
    pub(super) path: Vec<TreeHash>,
    pub(super) size: u64,
    pub(super) root: TreeHash,
}

/// Makes the proof of a leaf, and verifies it against the checkpoint.
pub(super) fn make(
    archive: &Archive,
    law_id: &ElectionId,
    index: u64,
) -> Result<Receipt, CommandError> {
    let damaged = |rule: String| {
        CommandError::verification_failed(format!("the log of {law_id} is damaged: {rule}"))
    };
    let head = archive.head(law_id)?.ok_or_else(|| damaged("it has no head".to_owned()))?;
    let checkpoint =
        SignedCheckpoint::parse(&head.checkpoint).map_err(|error| damaged(error.in_words()))?;
    let (size, root) = (checkpoint.unverified().size(), checkpoint.unverified().root());
    let ranges = beside(index, size);
    let mut hashers = vec![RootHasher::new(); ranges.len()];
    let (mut next, mut leaf) = (0, Vec::new());
    archive.for_each_leaf(law_id, |bytes| -> Result<(), CommandError> {
        if next == index {
            leaf = bytes.to_vec();
        }
        if let Some(place) = ranges.iter().position(|range| range.contains(&next)) {
            hashers[place].push(leaf_hash(bytes));
        }
        next += 1;
        Ok(())
    })?;
    let path: Vec<TreeHash> = hashers.iter().map(RootHasher::root).collect();
    verify_inclusion(&leaf_hash(&leaf), index, size, &path, &root).map_err(|error| {
        damaged(format!("leaf {index} does not match the checkpoint: {}", error.in_words()))
    })?;
    Ok(Receipt { proof: Proof::new(&leaf, index, path.clone(), checkpoint), path, size, root })
}

/// Returns the ranges of leaves whose roots prove one leaf, from the leaf up (RFC 6962, section
/// 2.1.1).
fn beside(index: u64, size: u64) -> Vec<Range<u64>> {
    let (mut start, mut end) = (0, size);
    let mut ranges = Vec::new();
    while end.saturating_sub(start) > 1 {
        // Split at the largest power of two below the number of leaves.
        let middle = start + (end - start).next_power_of_two() / 2;
        if index < middle {
            ranges.push(middle..end);
            end = middle;
        } else {
            ranges.push(start..middle);
            start = middle;
        }
    }
    ranges.reverse();
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stretches_prove_each_leaf_of_any_log() {
        for size in 1..=40_u64 {
            let leaves: Vec<TreeHash> =
                (0..size).map(|leaf| leaf_hash(&leaf.to_be_bytes())).collect();
            let root_of = |range: Range<u64>| {
                let mut hasher = RootHasher::new();
                leaves[range.start as usize..range.end as usize]
                    .iter()
                    .for_each(|leaf| hasher.push(*leaf));
                hasher.root()
            };
            for index in 0..size {
                let path: Vec<TreeHash> = beside(index, size).into_iter().map(root_of).collect();
                let proven = verify_inclusion(
                    &leaves[index as usize],
                    index,
                    size,
                    &path,
                    &root_of(0..size),
                );
                assert_eq!(proven, Ok(()), "leaf {index} of {size}");
            }
        }
    }
}
