//! The lies, and how each edits the leaves of an honest block.

use std::ops::Range;

use clap::ValueEnum;
use votekit_core::batch::SealedEnvelope;
use votekit_core::credential::CredentialHash;
use votekit_core::decision::{Decision, Entry, InvalidReason, Replay};
use votekit_core::id::{Digest, Epoch, NodeId};
use votekit_core::instant::UnixMinutes;
use votekit_core::log::leaf::Leaf;

use crate::history::Batches;

/// The number of minutes by which a back-dated block is moved into the past.
pub(crate) const BACK_DATED_MINUTES: u64 = 10;

/// A false statement that this tool makes as an authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Lie {
    /// Accept a vote of a credential that is on no roll.
    AcceptUnregistered,
    /// Record an accepted vote as a duplicate.
    DuplicateForAccepted,
    /// Commit to counts that differ from those of the block's votes.
    WrongCount,
    /// Leave out a batch although a later batch of the same epoch is in the block.
    DropBatch,
    /// State a digest of a batch that differs from the digest that its node signed.
    AlterBatch,
    /// Record a batch twice in one block.
    DoubleBatch,
    /// Record a first request as a copy of an earlier request.
    FalseReplay,
    /// Sign two blocks of one height.
    SecondRoot,
    /// Propose in an earlier term, in which another authority led.
    StaleTerm,
    /// Close the poll at the minute of the last vote in the log, which voids votes that were
    /// answered.
    EarlyClose,
    /// Propose and seal ten minutes in the past.
    BackDated,
    /// Admit an ingest node under the own key of an authority.
    RogueNode,
    /// Stage a batch of a node that is not admitted. This lie needs no leadership.
    RogueBatch,
}

/// The reason why a lie does not apply to a block. It may apply to a later block.
pub(crate) type Unfit = &'static str;

const NO_BATCH: Unfit = "the block has no batch";

impl Lie {
    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value().expect("no lie is hidden");
        value.get_name().to_owned()
    }

    /// Edits the leaves of a block, and returns the index of the false leaf. The lies about events,
    /// terms and roots edit no leaf: they change how the block is made and proposed. A false event
    /// is the first leaf of its block; a proposal that is false as a whole is refused at its last
    /// leaf.
    ///
    /// # Errors
    /// [`Unfit`] when the block has nothing to edit.
    pub(crate) fn edit(self, leaves: &mut Vec<Leaf>, batches: &Batches) -> Result<usize, Unfit> {
        match self {
            Self::AcceptUnregistered => accept_unregistered(leaves, batches),
            Self::DuplicateForAccepted => {
                edit_accepted(leaves, |hash| Decision::Duplicate { hash, attempt: 2 })
            }
            Self::WrongCount => swap_counts(leaves),
            Self::DropBatch => drop_batch(leaves),
            Self::AlterBatch => alter_batch(leaves),
            Self::DoubleBatch => double_batch(leaves),
            Self::FalseReplay => replay_first(leaves, batches),
            Self::BackDated => back_date(leaves),
            Self::SecondRoot | Self::StaleTerm => Ok(leaves.len().saturating_sub(1)),
            Self::EarlyClose | Self::RogueNode | Self::RogueBatch => Ok(0),
        }
    }
}

/// Accepts a vote of the block whose credential is unknown, or, if there is none, replaces the hash
/// of an accepted vote with an invented hash.
fn accept_unregistered(leaves: &mut [Leaf], batches: &Batches) -> Result<usize, Unfit> {
    let is_unknown = |leaf: &Leaf| {
        let reason = match leaf {
            Leaf::Entry(Entry { decision: Decision::Invalid { reason, .. }, .. }) => Some(*reason),
            _ => None,
        };
        reason == Some(InvalidReason::Unknown)
    };
    let Some(index) = leaves.iter().position(is_unknown) else {
        let invented = CredentialHash::from_bytes(*Digest::of(b"votekit-liar").as_bytes());
        return edit_accepted(leaves, |_| Decision::Accepted { hash: invented });
    };
    let envelope = envelope_of(leaves, index, batches).ok_or("an entry without its envelope")?;
    if let Leaf::Entry(entry) = &mut leaves[index] {
        entry.decision = Decision::Accepted { hash: envelope.hash };
    }
    Ok(index)
}

/// Replaces the decision of the first accepted vote.
fn edit_accepted(
    leaves: &mut [Leaf],
    edit: impl FnOnce(CredentialHash) -> Decision,
) -> Result<usize, Unfit> {
    for (index, leaf) in leaves.iter_mut().enumerate() {
        if let Leaf::Entry(entry) = leaf
            && let Decision::Accepted { hash } = entry.decision
        {
            entry.decision = edit(hash);
            return Ok(index);
        }
    }
    Err("no vote of the block is accepted")
}

/// Exchanges the commitments of the first two choices: each is a valid commitment, but to another
/// count or with another blinding.
fn swap_counts(leaves: &mut [Leaf]) -> Result<usize, Unfit> {
    for (index, leaf) in leaves.iter_mut().enumerate() {
        if let Leaf::Counts(counts) = leaf
            && counts.commitments.len() >= 2
        {
            counts.commitments.swap(0, 1);
            return Ok(index);
        }
    }
    Err("the block commits to no counts")
}

/// Drops the first batch that a later batch of the same epoch follows. If none followed, the block
/// would be valid and the dropped batch merely late. The false leaf is that of the later batch.
fn drop_batch(leaves: &mut Vec<Leaf>) -> Result<usize, Unfit> {
    let ranges = batch_ranges(leaves);
    for (index, first) in ranges.iter().enumerate() {
        let epoch = epoch_of(&leaves[first.start]);
        let is_next = |later: &&BatchRange| epoch_of(&leaves[later.start]) == epoch;
        if let Some(next) = ranges[index + 1..].iter().find(is_next) {
            leaves.drain(first.start..first.end);
            return Ok(next.start - (first.end - first.start));
        }
    }
    Err("no batch of the block is followed by one of its epoch")
}

fn epoch_of(leaf: &Leaf) -> Option<(NodeId, Epoch)> {
    match leaf {
        Leaf::Batch(batch) => Some((batch.node, batch.epoch)),
        _ => None,
    }
}

fn alter_batch(leaves: &mut [Leaf]) -> Result<usize, Unfit> {
    for (index, leaf) in leaves.iter_mut().enumerate() {
        if let Leaf::Batch(batch) = leaf {
            let mut bytes = *batch.digest.as_bytes();
            bytes[0] ^= 1;
            batch.digest = Digest::from_bytes(bytes);
            return Ok(index);
        }
    }
    Err(NO_BATCH)
}

fn double_batch(leaves: &mut Vec<Leaf>) -> Result<usize, Unfit> {
    let ranges = batch_ranges(leaves);
    let first = ranges.first().ok_or(NO_BATCH)?;
    let copy = leaves[first.start..first.end].to_vec();
    leaves.splice(first.end..first.end, copy).for_each(drop);
    Ok(first.end)
}

fn replay_first(leaves: &mut [Leaf], batches: &Batches) -> Result<usize, Unfit> {
    let is_entry = |leaf: &Leaf| matches!(leaf, Leaf::Entry(_));
    let index = leaves.iter().position(is_entry).ok_or("the block decides no request")?;
    let envelope = envelope_of(leaves, index, batches).ok_or("an entry without its envelope")?;
    leaves[index] = Leaf::Replay(Replay { request: envelope.request, envelope: envelope.digest() });
    Ok(index)
}

fn back_date(leaves: &mut [Leaf]) -> Result<usize, Unfit> {
    let index = leaves.len().saturating_sub(1);
    let Some(Leaf::Block(block)) = leaves.last_mut() else {
        return Err("the block has no block leaf");
    };
    block.sealed_at = UnixMinutes(block.sealed_at.0.saturating_sub(BACK_DATED_MINUTES));
    Ok(index)
}

/// The range of indices of a batch leaf and its entries.
#[derive(Clone, Copy)]
struct BatchRange {
    start: usize,
    end: usize,
}

fn batch_ranges(leaves: &[Leaf]) -> Vec<BatchRange> {
    let is_batch = |index: &usize| matches!(leaves[*index], Leaf::Batch(_));
    let is_entry = |leaf: &&Leaf| matches!(leaf, Leaf::Entry(_) | Leaf::Replay(_));
    let indices: Range<usize> = 0..leaves.len();
    let starts = indices.filter(is_batch);
    let range = |start: usize| {
        let entries = leaves[start + 1..].iter().take_while(is_entry).count();
        BatchRange { start, end: start + 1 + entries }
    };
    starts.map(range).collect()
}

/// The envelope that the entry at an index decides.
fn envelope_of(leaves: &[Leaf], index: usize, batches: &Batches) -> Option<SealedEnvelope> {
    let ranges = batch_ranges(leaves);
    let range = ranges.iter().find(|range| (range.start + 1..range.end).contains(&index))?;
    let Leaf::Batch(leaf) = &leaves[range.start] else { return None };
    let batch = batches.get(&leaf.number())?;
    batch.envelopes().nth(index - range.start - 1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use votekit_core::bundle::sample::Sample;

    use super::*;

    /// The block of the sample with two batches, and all batches.
    fn block() -> (Vec<Leaf>, Batches) {
        let sample = Sample::certified();
        let leaves = sample.parsed();
        let mut blocks = leaves.split_inclusive(|leaf| matches!(leaf, Leaf::Block(_)));
        let block = blocks.find(|block| batch_ranges(block).len() == 2).expect("one has two");
        let batches = sample.batches.iter().map(|batch| (batch.number(), Arc::clone(batch)));
        (block.to_vec(), batches.collect())
    }

    /// The same block, with both batches of one epoch.
    fn block_of_one_epoch() -> (Vec<Leaf>, Batches) {
        let (mut leaves, batches) = block();
        let ranges = batch_ranges(&leaves);
        let (node, epoch) = epoch_of(&leaves[ranges[0].start]).expect("a batch");
        if let Leaf::Batch(batch) = &mut leaves[ranges[1].start] {
            (batch.node, batch.epoch) = (node, epoch);
        }
        (leaves, batches)
    }

    /// The lies that edit leaves: all except those that change how a block is made or proposed.
    fn edits() -> impl Iterator<Item = Lie> {
        let is_edit = |lie: &Lie| {
            !matches!(
                lie,
                Lie::SecondRoot
                    | Lie::StaleTerm
                    | Lie::EarlyClose
                    | Lie::RogueNode
                    | Lie::RogueBatch
            )
        };
        Lie::value_variants().iter().copied().filter(is_edit)
    }

    #[test]
    fn every_edit_changes_the_block_at_the_index_that_it_returns() {
        for lie in edits() {
            let is_dropping = lie == Lie::DropBatch;
            let (honest, batches) = if is_dropping { block_of_one_epoch() } else { block() };
            let mut leaves = honest.clone();
            let index = lie.edit(&mut leaves, &batches).expect("the block allows it");
            assert_ne!(leaves, honest, "{lie:?}");
            let differs = leaves.iter().zip(&honest).position(|(ours, theirs)| ours != theirs);
            // After a batch is dropped, the next batch of its epoch has the wrong number.
            let first = if is_dropping { 0 } else { index };
            assert_eq!(differs, Some(first), "{lie:?}");
            assert!(!is_dropping || matches!(leaves[index], Leaf::Batch(_)));
            for leaf in &leaves {
                assert_eq!(Leaf::parse(&leaf.to_bytes()).as_ref(), Ok(leaf), "{lie:?}");
            }
        }
    }

    #[test]
    fn a_block_without_votes_allows_no_edit_of_votes() {
        let (honest, batches) = block();
        let end = honest.last().expect("a block leaf").clone();
        for lie in edits().filter(|lie| *lie != Lie::BackDated) {
            assert!(lie.edit(&mut vec![end.clone()], &batches).is_err(), "{lie:?}");
        }
    }

    #[test]
    fn a_batch_that_none_of_its_epoch_follows_is_not_dropped() {
        let (honest, batches) = block();
        assert!(Lie::DropBatch.edit(&mut honest.clone(), &batches).is_err());
    }

    #[test]
    fn batches_are_dropped_and_doubled_whole() {
        let (honest, batches) = block_of_one_epoch();
        let ranges = batch_ranges(&honest);
        let first = ranges[0].end - ranges[0].start;
        for (lie, batches_left, length) in
            [(Lie::DropBatch, 1, honest.len() - first), (Lie::DoubleBatch, 3, honest.len() + first)]
        {
            let mut leaves = honest.clone();
            lie.edit(&mut leaves, &batches).expect("the block allows it");
            assert_eq!((batch_ranges(&leaves).len(), leaves.len()), (batches_left, length));
        }
    }
}
