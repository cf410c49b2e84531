//! Why the memory of an authority cannot be used, or refuses a write.

use std::path::{Path, PathBuf};

use votekit_core::authority::TermLeader;
use votekit_core::id::ElectionId;
use votekit_core::log::merkle::TreeHash;

use crate::EngineError;
use crate::embedded::fault::{Fault, unavailable};

/// Error of the memory of an authority.
///
/// The variants from [`MemoryError::LowerPromise`] on are refusals: the write contradicts the
/// contents of the memory, and nothing of it was written.
#[derive(Debug, Clone, thiserror::Error)]
// Exhaustive: the edges have a sentence for each variant.
pub enum MemoryError {
    /// The folder has no memory.
    #[error("{path} missing", path = path.display())]
    Missing {
        /// The database.
        path: PathBuf,
    },
    /// The write-ahead log exists without its database.
    #[error("{log} without its database {path}", log = log.display(), path = path.display())]
    NoDatabase {
        /// The database.
        path: PathBuf,
        /// The write-ahead log.
        log: PathBuf,
    },
    /// Another process has opened the memory, or this process has opened it before.
    #[error("{path} is in use by another process", path = path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// The file is damaged, or it is not the memory of an authority.
    #[error("{path} damaged: {reason}", path = path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// The damage that was found, and its location.
        reason: String,
    },
    /// Nothing was written. The same call may succeed later.
    #[error("{path} unavailable: {reason}", path = path.display())]
    Unavailable {
        /// The database.
        path: PathBuf,
        /// The reason of SQLite or of the system.
        reason: String,
    },
    /// A write to disk failed, or a call panicked: the process must stop. Whether the write
    /// happened is unknown until the memory is opened again.
    #[error("{path}: fatal: {reason}", path = path.display())]
    Fatal {
        /// The database.
        path: PathBuf,
        /// The failed operation.
        reason: String,
    },
    /// A vote for a leadership of an earlier term, or for another leader of the promised term.
    #[error(
        "a vote for term {} of {} is refused: term {} of {} is promised",
        offered.term, offered.leader, promised.term, promised.leader
    )]
    LowerPromise {
        /// The leadership of the vote.
        offered: TermLeader,
        /// The promised leadership.
        promised: TermLeader,
    },
    /// An accept in a term that is not the promised term.
    #[error("an accept in term {term} is refused: it is not the promised term")]
    NotPromised {
        /// The term of the accept.
        term: u64,
        /// The promised term, if there is one.
        promised: Option<u64>,
    },
    /// An accept or a cosignature at or below the certified height.
    #[error("{law_id}: height {height} is settled, block {certified} is certified")]
    Settled {
        /// The election.
        law_id: ElectionId,
        /// The height of the block.
        height: u64,
        /// The height of the last certified block.
        certified: u64,
    },
    /// Another root is cosigned at this height.
    #[error("{law_id}: at height {height} the root {cosigned} is cosigned, {offered} is refused")]
    OtherCosigned {
        /// The election.
        law_id: ElectionId,
        /// The height.
        height: u64,
        /// The cosigned root.
        cosigned: TreeHash,
        /// The root of the write.
        offered: TreeHash,
    },
    /// Another root is certified at this height.
    #[error("{law_id}: at height {height} the root {certified} is certified, {offered} is refused")]
    OtherCertified {
        /// The election.
        law_id: ElectionId,
        /// The height.
        height: u64,
        /// The certified root.
        certified: TreeHash,
        /// The root of the write.
        offered: TreeHash,
    },
    /// Another statement about the same subject is already signed: the authority must resend that
    /// statement unchanged.
    #[error("another {kind} of height {height} and term {term} is signed already")]
    OtherStatement {
        /// The kind of the statement.
        kind: &'static str,
        /// The election, if the statement is about one.
        law_id: Option<ElectionId>,
        /// The height; 0 for a statement about no block.
        height: u64,
        /// The term; 0 for a cosignature.
        term: u64,
    },
    /// The write contradicts itself.
    #[error("the write violates a rule of the memory: {rule}")]
    Malformed {
        /// The broken rule.
        rule: &'static str,
    },
}

impl MemoryError {
    /// The error of SQLite's side, with the file.
    pub(super) fn at(path: &Path, error: EngineError) -> Self {
        let path = path.to_owned();
        match error {
            EngineError::Corrupt { reason, .. } => Self::Damaged { path, reason },
            EngineError::Fatal { reason, .. } | EngineError::OutcomeUnknown { reason, .. } => {
                Self::Fatal { path, reason }
            }
            EngineError::Panicked { what, .. } => {
                Self::Fatal { path, reason: format!("{what} panicked: a bug in votekit") }
            }
            EngineError::Unavailable { reason, .. } | EngineError::Misconfigured { reason, .. } => {
                Self::Unavailable { path, reason }
            }
            EngineError::Conflict(conflict) => {
                Self::Unavailable { path, reason: conflict.to_string() }
            }
        }
    }

    /// The name of the rule that refused the write; `None` if it was not refused but failed.
    #[must_use]
    pub const fn rule(&self) -> Option<&'static str> {
        match self {
            Self::LowerPromise { .. } => Some("lower-promise"),
            Self::NotPromised { .. } => Some("not-promised"),
            Self::Settled { .. } => Some("not-next-height"),
            Self::OtherCosigned { .. } => Some("cosigned-other"),
            Self::OtherCertified { .. } => Some("certified-other"),
            Self::OtherStatement { .. } => Some("other-statement"),
            Self::Malformed { .. } => Some("malformed"),
            Self::Missing { .. }
            | Self::NoDatabase { .. }
            | Self::InUse { .. }
            | Self::Damaged { .. }
            | Self::Unavailable { .. }
            | Self::Fatal { .. } => None,
        }
    }
}

/// The reason why a write was rolled back.
#[derive(Debug)]
pub(super) enum Stop {
    /// It contradicts the contents of the memory.
    Refused(MemoryError),
    /// A statement of SQLite failed, or found damage.
    Failed(Box<Fault>),
}

impl Stop {
    /// The fault of a write that contradicts nothing.
    pub(super) fn into_fault(self) -> Fault {
        match self {
            Self::Refused(error) => unavailable(error.to_string()).into(),
            Self::Failed(fault) => *fault,
        }
    }
}

impl From<MemoryError> for Stop {
    fn from(error: MemoryError) -> Self {
        Self::Refused(error)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Failed(Box::new(fault))
    }
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(Box::new(error.into()))
    }
}
