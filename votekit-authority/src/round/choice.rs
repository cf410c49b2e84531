//! Chooses what a new leader proposes in one election: again, any block that may have been agreed.

use std::collections::BTreeMap;

use votekit_core::authority::{AcceptedBlock, ElectionVote, LogPoint, Vote};
use votekit_core::id::ElectionId;
use votekit_core::log::note::KeyName;

use super::{Quorum, RoundView};

/// The block that a new leader may propose at the next height.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Any block: no quorum can have accepted one at this height.
    Free,
    /// This block and no other: a quorum may have accepted it.
    Again(AcceptedBlock),
    /// Nothing yet: the ledger lacks a certified block, which any authority that has the block
    /// appends.
    Behind {
        /// The highest certified block that a vote reports.
        certified: LogPoint,
    },
    /// Nothing: from the available votes, a quorum may have accepted a block that this leader
    /// cannot propose, or either of two blocks. The leader steps down.
    StepDown,
}

/// Chooses for one election, from the votes of this leadership, the head of the log in the ledger,
/// and the statements seen about the next height. `excluded` are blocks in the votes whose bytes
/// this authority does not have, or whose own bytes differ. A block is not excluded because a guard
/// of this authority forbids it.
///
/// The candidate is the block accepted in the highest term. The leader skips a block only when a
/// quorum of votes does not report it. Any two quorums share an honest authority while at most `2q
/// − n − 1` lie, so no quorum can have accepted that block. The same rule applies to a certified
/// block that the ledger lacks, so that one vote with an invented height delays nothing.
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
    // A block whose accepts by a quorum are visible takes precedence over all reports in votes.
    if seen.height() == next
        && let Some(accepted) = seen.accepted_by_quorum(quorum)
    {
        let is_usable = !excluded.contains(&accepted.point);
        return if is_usable { Choice::Again(accepted) } else { Choice::StepDown };
    }
    let (ahead, votes): (Vec<ElectionVote>, Vec<ElectionVote>) = votes
        .values()
        .map(|vote| election_vote(vote, law_id))
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

/// Selects the candidate among the blocks that the votes report at the next height.
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
    // A block that a quorum may have accepted takes precedence over a block of a later term that a
    // quorum does not report: only a lying leader can have proposed the later block.
    let is_bound = |block: &AcceptedBlock| without(&block.point) < quorum.quorum;
    let has_bound = blocks.iter().any(is_bound);
    if has_bound {
        blocks.retain(is_bound);
    }
    let Some(highest) = blocks.iter().copied().max() else { return Choice::Free };
    // Two blocks in one term prove that its leader lied. Only further votes can show which of the
    // two a quorum may have accepted.
    let is_ambiguous =
        blocks.iter().any(|block| block.term == highest.term && block.point != highest.point);
    if has_bound && is_ambiguous { Choice::StepDown } else { Choice::Again(highest) }
}

/// The report of a vote on an election. For an election that the vote does not name: an empty log.
fn election_vote(vote: &Vote, law_id: &ElectionId) -> ElectionVote {
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
