//! Where a log ends, and who leads: the values that statements and the memory of an authority are
//! made of.

use std::fmt;

use crate::log::merkle::{TreeHash, empty_root};
use crate::log::note::KeyName;

/// A term and the authority that leads in it. Promises, votes, proposals and accepts name the pair:
/// two leaders of one term number are two pairs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TermLeader {
    /// The term, from 1.
    pub term: u64,
    /// The authority that leads.
    pub leader: KeyName,
}

/// The end of a log after a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPoint {
    /// Blocks up to here; 0 before the first.
    pub height: u64,
    /// Leaves up to here.
    pub size: u64,
    /// The root of the tree of these leaves.
    pub root: TreeHash,
}

impl LogPoint {
    /// The log without blocks: height 0, size 0, the root of the empty tree.
    #[must_use]
    pub fn empty() -> Self {
        Self { height: 0, size: 0, root: empty_root() }
    }
}

impl Default for LogPoint {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Display for LogPoint {
    /// Height, size and root with a space between, as in a vote.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.height, self.size, self.root)
    }
}

/// A block that an authority has accepted and that may not be certified yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AcceptedBlock {
    /// The term in which it was accepted, which may be later than the term of its leaves.
    pub term: u64,
    /// The end of the log after the block.
    pub point: LogPoint,
}

impl fmt::Display for AcceptedBlock {
    /// Term, height, size and root with a space between, as in a vote.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.term, self.point)
    }
}
