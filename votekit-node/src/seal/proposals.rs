//! The results of checking the proposals of others at the next height of an election.

use std::collections::VecDeque;

use votekit_core::authority::{BlockProposal, TermLeader};
use votekit_core::decision::Entry;
use votekit_core::election_log::Effect;
use votekit_core::id::Digest;

use crate::seal::round::{QuorumSeen, RoundBlock};

/// The maximum number of remembered refused proposals of one height.
const REFUSED_MAX: usize = 16;

/// The maximum number of remembered proposals of one height for which this authority computes
/// another block: enough for the last leaderships of the largest number of authorities.
const DIFFERING_MAX: usize = 512;

/// The results of checking the proposals at the next height.
#[derive(Default)]
pub(crate) struct Acceptor {
    pub(crate) made: Option<Made>,
    /// The proposals that were refused last, so that each is refused once. The same bytes under
    /// another leader are checked again: the refusal may have depended on a lease or a clock.
    refused: Judged,
    /// The proposals of leaderships other than the promised one for which this authority computes
    /// another block. No statement refuses them: without this list, each poll would compute their
    /// blocks again.
    differing: Judged,
    pub(crate) quorum_seen: QuorumSeen,
    /// The block that this authority has made but that a guard of events or of the clock forbids,
    /// with the rule.
    pub(crate) forbidden: Option<(Digest, String)>,
}

/// The proposals that were checked last: height, leadership and digest of each.
#[derive(Default)]
struct Judged(VecDeque<(u64, TermLeader, Digest)>);

impl Judged {
    fn holds(&self, proposal: &BlockProposal) -> bool {
        self.0.iter().any(|(height, by, digest)| {
            *height == proposal.point.height
                && *by == proposal.leadership
                && *digest == proposal.digest
        })
    }

    /// Adds a proposal, and drops those of other heights, and the oldest beyond a number.
    fn add(&mut self, proposal: &BlockProposal, max: usize) {
        let height = proposal.point.height;
        self.0.retain(|(at, ..)| *at == height);
        if self.0.len() >= max {
            self.0.pop_front();
        }
        self.0.push_back((height, proposal.leadership.clone(), proposal.digest));
    }
}

/// A proposed block that this authority has made too.
pub(crate) struct Made {
    pub(crate) block: RoundBlock,
    pub(crate) effect: Effect,
    pub(crate) entries: Vec<Entry>,
    pub(crate) digest: Digest,
}

impl Acceptor {
    /// Whether a block is made whose round is open.
    pub(crate) fn has_made(&self) -> bool {
        self.made.is_some()
    }

    /// Whether this proposal was refused.
    pub(crate) fn has_refused(&self, proposal: &BlockProposal) -> bool {
        self.refused.holds(proposal)
    }

    /// Whether this authority has computed another block than that of this proposal. The computed
    /// block depends only on the log before it, so the result is valid as long as the log has this
    /// height.
    pub(crate) fn differs(&self, proposal: &BlockProposal) -> bool {
        self.differing.holds(proposal)
    }

    /// Remembers that this authority has computed another block than that of this proposal.
    pub(crate) fn note_differing(&mut self, proposal: &BlockProposal) {
        self.differing.add(proposal, DIFFERING_MAX);
    }

    /// Whether there is room to remember another refused proposal of a height. A lying authority
    /// may sign any number of them under past terms: without a bound, each pass would refuse
    /// forgotten proposals again.
    pub(crate) fn has_room_for_refused(&self, height: u64) -> bool {
        self.refused.0.iter().filter(|(at, ..)| *at == height).count() < REFUSED_MAX
    }

    /// Remembers that this proposal was refused.
    pub(crate) fn note_refused(&mut self, proposal: &BlockProposal) {
        self.refused.add(proposal, REFUSED_MAX);
    }

    /// Drops the results for heights that the log has passed.
    pub(crate) fn forget_through(&mut self, height: u64) {
        if self.made.as_ref().is_some_and(|made| made.block.point.height <= height) {
            *self = Self::default();
        }
    }
}

/// Why a proposal is not made into a block now.
pub(crate) enum NotMade {
    /// It differs, or breaks a rule.
    Refused { leaf: u64, rule: String, own: Option<Vec<u8>>, theirs: Option<Vec<u8>> },
    /// An input is missing and may still arrive, or a rule that depends on the clock forbids the
    /// block now.
    Later { what: String, rule: Option<&'static str> },
}

#[cfg(test)]
mod tests {
    use votekit_core::authority::LogPoint;
    use votekit_core::instant::UnixSeconds;

    use super::*;

    fn proposal(height: u64, term: u64, block: u64) -> BlockProposal {
        BlockProposal {
            law_id: "L1".parse().expect("a law id"),
            leadership: TermLeader { term, leader: "a1".parse().expect("a name") },
            first_leaf: 7,
            leaf_count: 1,
            point: LogPoint { height, size: 8, ..LogPoint::empty() },
            digest: Digest::of(&block.to_be_bytes()),
            takes_votes: true,
            proposed_at: UnixSeconds(1_763_712_000),
        }
    }

    #[test]
    fn a_proposal_that_differs_is_remembered_by_height_leadership_and_digest() {
        let mut acceptor = Acceptor::default();
        acceptor.note_differing(&proposal(2, 7, 1));
        assert!(acceptor.differs(&proposal(2, 7, 1)));
        for other in [proposal(3, 7, 1), proposal(2, 8, 1), proposal(2, 7, 2)] {
            assert!(!acceptor.differs(&other), "{other:?}");
        }
        assert!(!acceptor.has_refused(&proposal(2, 7, 1)), "no statement refuses it");
        for block in 2..DIFFERING_MAX as u64 + 2 {
            acceptor.note_differing(&proposal(2, 7, block));
        }
        assert_eq!(acceptor.differing.0.len(), DIFFERING_MAX);
        assert!(!acceptor.differs(&proposal(2, 7, 1)) && acceptor.differs(&proposal(2, 7, 2)));
        acceptor.note_differing(&proposal(3, 7, 1));
        assert_eq!(acceptor.differing.0.len(), 1, "those of the next height alone");
    }

    #[test]
    fn refused_proposals_are_remembered_up_to_a_number() {
        let mut acceptor = Acceptor::default();
        for block in 1..=REFUSED_MAX as u64 {
            assert!(acceptor.has_room_for_refused(2));
            acceptor.note_refused(&proposal(2, 7, block));
        }
        assert!(!acceptor.has_room_for_refused(2) && acceptor.has_room_for_refused(3));
        assert!(acceptor.has_refused(&proposal(2, 7, 1)));
        assert!(!acceptor.has_refused(&proposal(2, 8, 1)), "another leader is judged again");
    }
}
