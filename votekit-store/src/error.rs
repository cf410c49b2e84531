//! Why an engine did not do what it was asked.

use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, NodeId};

/// Why an engine did not do what it was asked. Each variant says whether the write may have
/// happened.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Nothing was written, and the same call may succeed later.
    #[error("{engine} is not available: {reason}")]
    Unavailable {
        /// Which engine.
        engine: &'static str,
        /// What it said.
        reason: String,
    },
    /// The write may or may not have happened. Repeating the same call is safe.
    #[error("{engine} did not say whether the write happened: {reason}")]
    OutcomeUnknown {
        /// Which engine.
        engine: &'static str,
        /// What is known.
        reason: String,
    },
    /// What is stored contradicts itself. Nothing was repaired and nothing of it is served.
    #[error("{engine} holds damaged data: {reason}")]
    Corrupt {
        /// Which engine.
        engine: &'static str,
        /// What was found, where.
        reason: String,
    },
    /// A write to disk failed in a way after which nothing that was not confirmed can be trusted:
    /// the process must stop.
    #[error("{engine} failed for good: {reason}")]
    Fatal {
        /// Which engine.
        engine: &'static str,
        /// What it said.
        reason: String,
    },
    /// A thread of the engine panicked: a fault of votekit. As after [`EngineError::Fatal`] the
    /// process must stop; started again it may go on.
    #[error("a fault of votekit: {what} of {engine} panicked")]
    Panicked {
        /// Which engine.
        engine: &'static str,
        /// Which thread.
        what: &'static str,
    },
    /// The engine cannot be used as it is set up: a wrong address, password, right or setting, no
    /// room, other people's data, another version. Told at the opening, and whenever a server
    /// refuses for good what it is asked.
    #[error("{engine} cannot be used: {reason}")]
    Misconfigured {
        /// Which engine.
        engine: &'static str,
        /// What is wrong, where. Holds no password.
        reason: String,
        /// What to do about it.
        hint: String,
    },
    /// The write contradicts what is stored, and is refused for good.
    #[error(transparent)]
    Conflict(#[from] Conflict),
}

/// A write that contradicts what is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// Another batch bears this number: an alarm, nothing was written.
    #[error(
        "batch {number} of {law_id} is stored with digest {stored}, and came again with {offered}"
    )]
    BatchNumber {
        /// The election.
        law_id: ElectionId,
        /// The number in question.
        number: BatchNumber,
        /// The digest that is stored.
        stored: Digest,
        /// The digest that was offered.
        offered: Digest,
    },
    /// The log is not where the block expects it: somebody else moved the head.
    #[error("the log of {law_id} has {found} leaves, the block expects {expected}")]
    Head {
        /// The election.
        law_id: ElectionId,
        /// The size that the block builds on.
        expected: u64,
        /// The size found.
        found: u64,
    },
    /// A later term has begun.
    #[error("the log of {law_id} is in term {found}, the block is of term {offered}")]
    Term {
        /// The election.
        law_id: ElectionId,
        /// The block's term.
        offered: u64,
        /// The term found.
        found: u64,
    },
    /// The block came after the time up to which it was to be stored.
    #[error("a block of {law_id} came to the ledger too late, and is not stored: ask again")]
    Late {
        /// The election.
        law_id: ElectionId,
    },
    /// No lease is given: the election takes no votes any more, or the epoch was fenced.
    #[error("node {node} is given no lease for epoch {epoch} of {law_id}: {reason}", epoch = epoch.0)]
    NoLease {
        /// The election.
        law_id: ElectionId,
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: Epoch,
        /// Why.
        reason: NoLease,
    },
    /// What was offered contradicts itself, or what went before it.
    #[error("a write to {law_id} breaks a rule of the ledger: {rule}")]
    Malformed {
        /// The election.
        law_id: ElectionId,
        /// The rule that is broken.
        rule: &'static str,
    },
}

/// Why there is no lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoLease {
    /// The head says that the election takes no votes.
    #[error("the election takes no votes")]
    TakesNoVotes,
    /// The epoch was fenced, and never gets a lease again. The node may ask for another epoch.
    #[error("the epoch was fenced")]
    Fenced,
    /// The ledger never gave this epoch out.
    #[error("the epoch was never given out")]
    NoEpoch,
}
