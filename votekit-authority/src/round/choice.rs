//! What a new leader does with one election: it proposes again what may have been agreed.

use std::collections::BTreeMap;

use votekit_core::authority::{AcceptedBlock, ElectionVote, LogPoint, Vote};
use votekit_core::id::ElectionId;
use votekit_core::log::note::KeyName;

use super::{Quorum, RoundView};

/// What a new leader may propose at the next height.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Nothing was accepted by a quorum: any block.
    Free,
    /// This block, and no other: a quorum may have accepted it.
    Again(AcceptedBlock),
    /// Nothing yet: the ledger lacks a certified block, which whoever has it appends.
    Behind {
        /// The highest certified block told by a vote.
        certified: LogPoint,
    },
    /// Nothing: the votes at hand do not exclude that a quorum accepted a block that they do not
    /// tell. The leader steps down.
    StepDown,
}

/// Chooses for one election, from the votes of this leadership, the head of the log in the ledger,
/// and the statements seen about the next height. `excluded` are blocks told by votes of which this
/// authority has other bytes, or none: the votes that tell them do not count.
///
/// The candidate is the block accepted in the highest term among the votes. It is passed over only
/// when a quorum of votes is at hand none of which tells it: then no quorum can have accepted it.
/// With at most `n − q` authorities that lie, any two quorums share an honest one.
#[must_use]
pub fn choose(
    quorum: Quorum,
    votes: &BTreeMap<KeyName, Vote>,
    law_id: &ElectionId,
    head: &LogPoint,
    seen: &RoundView,
    excluded: &[LogPoint],
) -> Choice {
    if votes.len() < quorum.quorum {
        return Choice::StepDown;
    }
    let next = head.height + 1;
    // What a quorum has visibly accepted stands, whatever the votes tell.
    if seen.height() == next
        && let Some(accepted) = seen.accepted_by_quorum(quorum)
    {
        return Choice::Again(accepted);
    }
    let told = |vote: &Vote| {
        let election = vote.elections.iter().find(|election| election.law_id == *law_id);
        election.cloned().unwrap_or_else(|| ElectionVote {
            law_id: law_id.clone(),
            certified: LogPoint::empty(),
            accepted: None,
        })
    };
    let votes: Vec<ElectionVote> = votes.values().map(told).collect();
    let certified = votes.iter().map(|vote| vote.certified);
    if let Some(certified) = certified.max().filter(|certified| certified.height > head.height) {
        return Choice::Behind { certified };
    }
    let accepted_next = |vote: &ElectionVote| {
        vote.accepted.filter(|accepted| accepted.point.height == next)
    };
    let counted: Vec<Option<AcceptedBlock>> = votes
        .iter()
        .map(accepted_next)
        .filter(|told| told.is_none_or(|told| !excluded.contains(&told.point)))
        .collect();
    if counted.len() < quorum.quorum {
        return Choice::StepDown;
    }
    // Of two blocks of one term, which only a leader that lies proposes, the one that more votes
    // tell is the one that a quorum may have accepted.
    let mut candidates: BTreeMap<(u64, LogPoint), usize> = BTreeMap::new();
    for told in counted.iter().flatten() {
        *candidates.entry((told.term, told.point)).or_default() += 1;
    }
    let highest = candidates.into_iter().max_by_key(|((term, point), count)| {
        (*term, *count, *point)
    });
    match highest {
        None => Choice::Free,
        Some(((term, point), _)) => Choice::Again(AcceptedBlock { term, point }),
    }
}
