//! The texts for errors of the engines.

use votekit_core::id::ElectionId;
use votekit_store::memory::MemoryError;
use votekit_store::{Conflict, EngineError, NoLease};

use crate::InWords;

impl InWords for EngineError {
    fn in_words(&self) -> String {
        match self {
            Self::Unavailable { engine, reason } => format!("{engine} is not available: {reason}"),
            Self::OutcomeUnknown { engine, reason } => {
                format!("{engine}: outcome of the write unknown: {reason}")
            }
            Self::Corrupt { engine, reason } => format!("{engine} holds damaged data: {reason}"),
            Self::Fatal { engine, reason } => format!("{engine} failed permanently: {reason}"),
            Self::Panicked { engine, what } => {
                format!("bug in votekit: {what} of {engine} panicked")
            }
            Self::Misconfigured { engine, reason, .. } => {
                format!("{engine} cannot be used: {reason}")
            }
            Self::Conflict(conflict) => conflict.in_words(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Misconfigured { hint, .. } => Some(hint.clone()),
            _ => None,
        }
    }
}

/// The advice when a memory is lost. An older copy of the memory must not be used: the authority
/// could contradict later statements.
const RENEW_HINT: &str = "make new keys and a new memory with `votekit authority renew`; never \
                          restore a memory from a copy";

impl InWords for MemoryError {
    fn in_words(&self) -> String {
        match self {
            Self::Missing { path } => format!("{} is missing", path.display()),
            Self::NoDatabase { path, log } => {
                format!("{} exists without its database {}", log.display(), path.display())
            }
            Self::InUse { path } => {
                format!("{} is in use by another votekit process", path.display())
            }
            Self::Damaged { path, reason } => format!("{} is damaged: {reason}", path.display()),
            Self::Unavailable { path, reason } => {
                format!("{} is not available: {reason}", path.display())
            }
            Self::Fatal { path, reason } => {
                format!("{} failed permanently: {reason}", path.display())
            }
            // The refusals are of the rounds of a running node. Its log has them as they are.
            Self::LowerPromise { .. }
            | Self::NotPromised { .. }
            | Self::Settled { .. }
            | Self::OtherCosigned { .. }
            | Self::OtherCertified { .. }
            | Self::OtherStatement { .. }
            | Self::Malformed { .. } => self.to_string(),
        }
    }

    fn hint(&self) -> Option<String> {
        let is_lost =
            matches!(self, Self::Missing { .. } | Self::NoDatabase { .. } | Self::Damaged { .. });
        is_lost.then(|| RENEW_HINT.to_owned())
    }
}

impl InWords for Conflict {
    fn in_words(&self) -> String {
        match self {
            Self::BatchNumber { law_id, number, stored, offered } => format!(
                "batch {number} of {law_id} is already stored with another digest: stored \
                 {stored}, offered {offered}"
            ),
            Self::Head { law_id, expected, found } => other_head(law_id, *expected, *found),
            Self::Term { law_id, offered, found } => later_term(law_id, *offered, *found),
            Self::Late { law_id } => after_deadline(law_id),
            Self::NotStaged { law_id, position } => format!(
                "the block of {law_id} seals staging through position {position}, where the ledger \
                 has another batch or none: it was restored from an older copy"
            ),
            Self::NoLease { law_id, node, epoch, reason } => format!(
                "lease refused to node {node} for epoch {} of {law_id}: {}",
                epoch.0,
                no_lease(*reason)
            ),
            Self::Malformed { law_id: Some(law_id), rule } => {
                format!("a write to {law_id} violates a rule of the ledger: {rule}")
            }
            Self::Malformed { law_id: None, rule } => {
                format!("a write violates a rule of the ledger: {rule}")
            }
            Self::AccountExists => "an account with this e-mail address already exists".to_owned(),
            Self::AccountChanged => "the account was changed meanwhile".to_owned(),
            Self::MalformedAccount { rule } => {
                format!("the account or key violates a rule of the store: {rule}")
            }
        }
    }
}

/// A block that does not build on the stored log.
pub(crate) fn other_head(law_id: &ElectionId, expected: u64, found: u64) -> String {
    format!("the log of {law_id} has {found} leaves, the block expects {expected}")
}

/// A block of an earlier term.
pub(crate) fn later_term(law_id: &ElectionId, offered: u64, found: u64) -> String {
    format!("the log of {law_id} is in term {found}, the block is of term {offered}")
}

/// A block that came too late.
pub(crate) fn after_deadline(law_id: &ElectionId) -> String {
    format!("the block of {law_id} reached the ledger after its deadline and was not stored: retry")
}

fn no_lease(reason: NoLease) -> &'static str {
    match reason {
        NoLease::TakesNoVotes => "the election takes no votes",
        NoLease::Fenced => "the epoch was fenced",
        NoLease::NoEpoch => "the epoch was never allocated",
    }
}
