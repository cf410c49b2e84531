//! What a new leader does with one election: it proposes again what may have been agreed.

use std::collections::BTreeMap;

use votekit_core::authority::{AcceptedBlock, ElectionVote, LogPoint, Vote};
use votekit_core::id::ElectionId;
use votekit_core::log::note::KeyName;

use super::{Quorum, RoundView};

/// What a new leader may propose at the next height.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// No quorum can have accepted a block: any block.
    Free,
    /// This block and no other: a quorum may have accepted it.
    Again(AcceptedBlock),
    /// Nothing yet: the ledger lacks a certified block, which any authority that has it appends.
    Behind {
        /// The highest certified block that a vote reports.
        certified: LogPoint,
    },
    /// Nothing: the available votes do not exclude that a quorum accepted a block that this leader
    /// cannot propose, or one of two blocks. The leader steps down.
    StepDown,
}

/// Chooses for one election, from the votes of this leadership, the head of the log in the ledger,
/// and the statements seen about the next height. `excluded` are blocks in the votes of which this
/// authority has other bytes, or none. A guard of its own is not a reason to exclude a block.
///
/// The candidate is the block accepted in the highest term. A block is passed over only when a
/// quorum of votes is available none of which reports it: any two quorums share an honest authority
/// while at most `2q − n − 1` lie, so no quorum can have accepted it. The same holds for a
/// certified block that the ledger lacks, so that one vote with an invented height delays nothing.
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
    // What a quorum has visibly accepted stands, whatever the votes report.
    if seen.height() == next
        && let Some(accepted) = seen.accepted_by_quorum(quorum)
    {
        let is_usable = !excluded.contains(&accepted.point);
        return if is_usable { Choice::Again(accepted) } else { Choice::StepDown };
    }
    let (ahead, votes): (Vec<ElectionVote>, Vec<ElectionVote>) = votes
        .values()
        .map(|vote| of_election(vote, law_id))
        .partition(|vote| vote.certified.height > head.height);
    if votes.len() < quorum.quorum {
        let certified = ahead.iter().map(|vote| vote.certified).max();
        return certified.map_or(Choice::StepDown, |certified| Choice::Behind { certified });
    }
    let reports: Vec<Option<AcceptedBlock>> = votes
        .iter()
        .map(|vote| vote.accepted.filter(|accepted| accepted.point.height == next))
        .collect();
    candidate(quorum, &reports, excluded)
}

/// The candidate among what the votes report of the next height.
fn candidate(quorum: Quorum, reports: &[Option<AcceptedBlock>], excluded: &[LogPoint]) -> Choice {
    let without = |point: &LogPoint| {
        reports.iter().filter(|report| report.is_none_or(|block| block.point != *point)).count()
    };
    let is_excluded = |block: &AcceptedBlock| excluded.contains(&block.point);
    let counted = reports.iter().filter(|report| !report.as_ref().is_some_and(is_excluded));
    if counted.count() < quorum.quorum {
        return Choice::StepDown;
    }
    let mut blocks: Vec<AcceptedBlock> = reports.iter().flatten().copied().collect();
    blocks.retain(|block| !is_excluded(block));
    // A later block that a quorum does not report yields to an earlier one that a quorum may have
    // accepted: only a leader that lies can have proposed it.
    let is_bound = |block: &AcceptedBlock| without(&block.point) < quorum.quorum;
    let has_bound = blocks.iter().any(is_bound);
    if has_bound {
        blocks.retain(is_bound);
    }
    let Some(highest) = blocks.iter().copied().max() else { return Choice::Free };
    // Two blocks of one term have a leader that lies. Only further votes can decide which of them
    // a quorum may have accepted.
    let is_ambiguous =
        blocks.iter().any(|block| block.term == highest.term && block.point != highest.point);
    if has_bound && is_ambiguous { Choice::StepDown } else { Choice::Again(highest) }
}

/// What a vote reports of an election; of one that it does not name, that its log is empty.
fn of_election(vote: &Vote, law_id: &ElectionId) -> ElectionVote {
    let election = vote.elections.iter().find(|election| election.law_id == *law_id);
    election.cloned().unwrap_or_else(|| ElectionVote {
        law_id: law_id.clone(),
        certified: LogPoint::empty(),
        accepted: None,
    })
}

#[cfg(test)]
#[path = "choice_test.rs"]
mod tests;
