//! The errors of the engines.

use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, NodeId};

/// Error of an engine. Each variant says whether the write may have happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
// Exhaustive: the edges have a sentence for each variant.
pub enum EngineError {
    /// Nothing was written. The same call may succeed later.
    #[error("{engine} unavailable: {reason}")]
    Unavailable {
        /// The engine.
        engine: &'static str,
        /// The engine's own message.
        reason: String,
    },
    /// The write may or may not have happened. Repeating the same call is safe.
    #[error("{engine}: write unconfirmed: {reason}")]
    OutcomeUnknown {
        /// The engine.
        engine: &'static str,
        /// The details, as far as the outcome is known.
        reason: String,
    },
    /// The stored data contradicts itself. Nothing was repaired, and no damaged data is served.
    #[error("{engine} damaged: {reason}")]
    Corrupt {
        /// The engine.
        engine: &'static str,
        /// The damage that was found, and its location.
        reason: String,
    },
    /// A write to disk failed, and no unconfirmed write can be trusted any more: the process must
    /// stop.
    #[error("{engine}: fatal: {reason}")]
    Fatal {
        /// The engine.
        engine: &'static str,
        /// The engine's own message.
        reason: String,
    },
    /// A thread of the engine panicked: a bug in votekit. As after [`EngineError::Fatal`], the
    /// process must stop; after a restart it may continue.
    #[error("{engine}: {what} panicked")]
    Panicked {
        /// The engine.
        engine: &'static str,
        /// The thread.
        what: &'static str,
    },
    /// The engine cannot be used as configured: wrong address, password, permission or setting, no
    /// space, foreign data, or another version. Returned when the engine is opened, and whenever a
    /// server permanently refuses a request.
    #[error("{engine} misconfigured: {reason}")]
    Misconfigured {
        /// The engine.
        engine: &'static str,
        /// The fault, and its location. Contains no password.
        reason: String,
        /// How to fix it.
        hint: String,
    },
    /// The write contradicts stored data and is permanently refused.
    #[error(transparent)]
    Conflict(#[from] Conflict),
}

impl EngineError {
    /// The conflict, if the write was refused because of a conflict.
    #[must_use]
    pub fn conflict(&self) -> Option<&Conflict> {
        match self {
            Self::Conflict(conflict) => Some(conflict),
            _ => None,
        }
    }
}

/// A write that contradicts stored data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
// Exhaustive: the edges have a sentence for each variant.
pub enum Conflict {
    /// Another batch is stored under this number. Nothing was written; this is an alarm.
    #[error("batch {number} of {law_id}: digest {stored} stored, {offered} offered")]
    BatchNumber {
        /// The election.
        law_id: ElectionId,
        /// The number of both batches.
        number: BatchNumber,
        /// The stored digest.
        stored: Digest,
        /// The digest of the offered batch.
        offered: Digest,
    },
    /// The block does not build on the current head: another writer moved the head.
    #[error("log of {law_id}: {found} leaves, {expected} expected")]
    Head {
        /// The election.
        law_id: ElectionId,
        /// The log size that the block builds on.
        expected: u64,
        /// The size of the stored log.
        found: u64,
    },
    /// A later term has begun.
    #[error("log of {law_id}: term {found}, block of term {offered}")]
    Term {
        /// The election.
        law_id: ElectionId,
        /// The block's term.
        offered: u64,
        /// The current term.
        found: u64,
    },
    /// The block arrived after its deadline
    /// ([`BlockCommit::not_after`](crate::BlockCommit::not_after)).
    #[error("block of {law_id} after its deadline")]
    Late {
        /// The election.
        law_id: ElectionId,
    },
    /// The block moves the position up to which staging is sealed to a batch that is not staged
    /// there: the ledger was restored from an older copy and gives the lost positions again.
    /// Nothing was written. Read the staged batches again, after the position of the head.
    #[error("block of {law_id}: position {position} is not staged as sealed")]
    NotStaged {
        /// The election.
        law_id: ElectionId,
        /// The position in staging.
        position: u64,
    },
    /// The lease is refused; `reason` says why.
    #[error("no lease of {law_id} for node {node}, epoch {epoch}: {reason}", epoch = epoch.0)]
    NoLease {
        /// The election.
        law_id: ElectionId,
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: Epoch,
        /// The reason.
        reason: NoLease,
    },
    /// The write contradicts itself or an earlier write.
    #[error("write{to} malformed: {rule}", to = to_election(law_id.as_ref()))]
    Malformed {
        /// The election; `None` for a write that concerns all of them.
        law_id: Option<ElectionId>,
        /// The broken rule.
        rule: &'static str,
    },
    /// Another account has the id or the e-mail address.
    #[error("account exists")]
    AccountExists,
    /// The account was changed since it was read, or is not there any more.
    #[error("account changed since it was read")]
    AccountChanged,
    /// An account or a key of tokens cannot be stored.
    #[error("account or key malformed: {rule}")]
    MalformedAccount {
        /// The broken rule.
        rule: &'static str,
    },
}

/// Why a lease is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoLease {
    /// The election takes no votes, according to its head.
    #[error("takes no votes")]
    TakesNoVotes,
    /// The epoch was fenced and never gets a lease again. The node may request another epoch.
    #[error("epoch fenced")]
    Fenced,
    /// The ledger never allocated this epoch.
    #[error("epoch not allocated")]
    NoEpoch,
}

fn to_election(law_id: Option<&ElectionId>) -> String {
    law_id.map_or_else(String::new, |law_id| format!(" to {law_id}"))
}

/// The rule that a number breaks if it does not fit into a column of 64 bits with a sign.
pub(crate) const NUMBER_RULE: &str = "numbers are at most 2^63 - 1";

/// The refusal of a write that breaks a rule.
pub(crate) fn malformed(law_id: &ElectionId, rule: &'static str) -> EngineError {
    malformed_write(Some(law_id), rule)
}

/// The refusal of a write that may concern all elections.
pub(crate) fn malformed_write(law_id: Option<&ElectionId>, rule: &'static str) -> EngineError {
    Conflict::Malformed { law_id: law_id.cloned(), rule }.into()
}
