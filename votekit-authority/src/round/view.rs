//! The statements of all authorities about one height, as far as an authority has read them.

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

impl Quorum {
    /// The number of authorities whose refusal makes a quorum impossible.
    #[must_use]
    pub const fn blocking(self) -> usize {
        self.authorities - self.quorum + 1
    }
}

/// The number of accepts of one authority at one height that are kept, those of the last terms. An
/// honest authority accepts once in a term; a lying authority can sign any number.
const ACCEPTS_MAX: usize = 1024;

/// The verified statements about one height of one election.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RoundView {
    height: u64,
    /// For each term and authority, the first accept that was read.
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

    /// Whether an accept of an authority in a term was added and is kept.
    #[must_use]
    pub fn has_accept(&self, authority: &KeyName, term: u64) -> bool {
        self.accepts.contains_key(&(term, authority.clone()))
    }

    /// Adds a verified accept. Ignores an accept at another height.
    pub fn add_accept(&mut self, authority: KeyName, accept: &Accept) {
        if accept.point.height == self.height {
            let key = (accept.leadership.term, authority.clone());
            self.accepts.entry(key).or_insert(accept.point);
            self.bound(&authority);
        }
    }

    fn bound(&mut self, authority: &KeyName) {
        if self.accepts.len() <= ACCEPTS_MAX {
            return;
        }
        let own = self.accepts.keys().filter(|(_, by)| by == authority);
        if own.clone().count() > ACCEPTS_MAX
            && let Some(lowest) = own.min().cloned()
        {
            self.accepts.remove(&lowest);
        }
    }

    /// The block that a quorum has accepted in one term, with the highest such term.
    #[must_use]
    pub fn accepted_by_quorum(&self, quorum: Quorum) -> Option<AcceptedBlock> {
        self.accepted(quorum).next_back()
    }

    /// Whether a quorum has accepted, in any term, a block other than the block at `point`.
    #[must_use]
    pub fn other_accepted_by_quorum(&self, quorum: Quorum, point: &LogPoint) -> bool {
        self.accepted(quorum).any(|accepted| accepted.point != *point)
    }

    /// The highest number of authorities that have accepted a block in one term.
    #[must_use]
    pub fn count_accepts(&self, point: &LogPoint) -> usize {
        let counts = self.counts().into_iter().filter(|(accepted, _)| accepted.point == *point);
        counts.map(|(_, count)| count).max().unwrap_or(0)
    }

    /// The blocks that a quorum has accepted in one term each, ascending by term.
    fn accepted(&self, quorum: Quorum) -> impl DoubleEndedIterator<Item = AcceptedBlock> {
        let counts = self.counts().into_iter();
        counts.filter(move |(_, count)| *count >= quorum.quorum).map(|(accepted, _)| accepted)
    }

    /// How many authorities have accepted each block in each term.
    fn counts(&self) -> BTreeMap<AcceptedBlock, usize> {
        let mut counts: BTreeMap<AcceptedBlock, usize> = BTreeMap::new();
        for ((term, _), point) in &self.accepts {
            *counts.entry(AcceptedBlock { term: *term, point: *point }).or_default() += 1;
        }
        counts
    }
}
