//! What this authority has made of the proposals of others at the next height of an election.

use std::collections::VecDeque;

use votekit_core::authority::{BlockProposal, TermLeader};
use votekit_core::decision::Entry;
use votekit_core::election_log::Effect;
use votekit_core::id::Digest;

use crate::seal::round::{QuorumSeen, RoundBlock};

/// Refused proposals of one height that are remembered.
const REFUSED_MAX: usize = 16;

/// What this authority has made of the proposals at the next height.
#[derive(Default)]
pub(crate) struct Acceptor {
    pub(crate) made: Option<Made>,
    /// The proposals that were refused last, so that each is refused once. The same bytes under
    /// another leader are judged again: a lease or a clock may have refused them.
    refused: VecDeque<(u64, TermLeader, Digest)>,
    pub(crate) quorum_seen: QuorumSeen,
    /// The block that was made here and that a guard of events or of the clock forbids, with the
    /// rule.
    pub(crate) forbidden: Option<(Digest, String)>,
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
        let is_it = |(_, by, digest): &(u64, TermLeader, Digest)| {
            *by == proposal.leadership && *digest == proposal.digest
        };
        self.refused.iter().any(is_it)
    }

    /// Whether there is room to remember another refused proposal of a height. A liar may sign any
    /// number of them under terms that are over: without a bound, each pass would refuse those
    /// again that were forgotten meanwhile.
    pub(crate) fn has_room_for_refused(&self, height: u64) -> bool {
        self.refused.iter().filter(|(at, ..)| *at == height).count() < REFUSED_MAX
    }

    /// Remembers that this proposal was refused.
    pub(crate) fn note_refused(&mut self, proposal: &BlockProposal) {
        let height = proposal.point.height;
        self.refused.retain(|(at, ..)| *at == height);
        if self.refused.len() >= REFUSED_MAX {
            self.refused.pop_front();
        }
        self.refused.push_back((height, proposal.leadership.clone(), proposal.digest));
    }

    /// Forgets what was made at a height that the log has passed.
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
    /// An input is missing, and may arrive; or a rule that depends on the clock forbids it now.
    Later { what: String, rule: Option<&'static str> },
}
