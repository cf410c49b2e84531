//! What an authority has read of the statements of all about one height.

use std::collections::BTreeMap;

use votekit_core::authority::{Accept, AcceptedBlock, LogPoint};
use votekit_core::log::note::KeyName;

/// How many authorities there are, and how many of them must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quorum {
    /// All authorities.
    pub authorities: usize,
    /// Those that must agree: a majority or more.
    pub quorum: usize,
}

/// The verified statements about one height of one election.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RoundView {
    height: u64,
    /// By term and authority: one accept each, the first that was read.
    accepts: BTreeMap<(u64, KeyName), LogPoint>,
}

impl RoundView {
    /// A view of one height without statements.
    #[must_use]
    pub fn new(height: u64) -> Self {
        Self { height, accepts: BTreeMap::new() }
    }

    /// The height.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.height
    }

    /// Adds a verified accept. One about another height is ignored.
    pub fn add_accept(&mut self, authority: KeyName, accept: &Accept) {
        if accept.point.height == self.height {
            let key = (accept.leadership.term, authority);
            self.accepts.entry(key).or_insert(accept.point);
        }
    }

    /// The block that a quorum has accepted in one term, with the highest such term.
    #[must_use]
    pub fn accepted_by_quorum(&self, quorum: Quorum) -> Option<AcceptedBlock> {
        let mut counts: BTreeMap<(u64, LogPoint), usize> = BTreeMap::new();
        for ((term, _), point) in &self.accepts {
            *counts.entry((*term, *point)).or_default() += 1;
        }
        let mut met = counts.into_iter().rev().filter(|(_, count)| *count >= quorum.quorum);
        met.next().map(|((term, point), _)| AcceptedBlock { term, point })
    }

    /// Whether a quorum has accepted, in any term, a block other than this one.
    #[must_use]
    pub fn other_accepted_by_quorum(&self, quorum: Quorum, point: &LogPoint) -> bool {
        let mut counts: BTreeMap<(u64, LogPoint), usize> = BTreeMap::new();
        for ((term, _), accepted) in &self.accepts {
            *counts.entry((*term, *accepted)).or_default() += 1;
        }
        counts.iter().any(|((_, accepted), count)| accepted != point && *count >= quorum.quorum)
    }

    /// How many authorities have accepted a block, in the term in which most did.
    #[must_use]
    pub fn count_accepts(&self, point: &LogPoint) -> usize {
        let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
        for ((term, _), accepted) in &self.accepts {
            if accepted == point {
                *counts.entry(*term).or_default() += 1;
            }
        }
        counts.into_values().max().unwrap_or(0)
    }
}
