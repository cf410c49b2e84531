//! Why an event, a batch or a stored leaf does not fit the state of an election.

use std::fmt;

use super::event::CLOSING_AHEAD_MINUTES_MAX;
use crate::batch::BatchError;
use crate::election::{DefinitionError, State};
use crate::electorate::ElectorateError;
use crate::epochs::OrderError;
use crate::id::{Digest, NodeId};
use crate::instant::UnixMinutes;
use crate::log::leaf::LeafError;
use crate::reconcile::Imbalance;

/// A change of an election, which its state may not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Another definition.
    Amend,
    /// A roll, or a supplement to it.
    GiveRoll,
    /// Another roll instead of the loaded roll.
    ReplaceRoll,
    /// A node that takes votes.
    GiveNode,
    /// The close does not wait for a node any more.
    RetireNode,
    /// The opening.
    Open,
    /// Votes.
    Vote,
    /// The close.
    Close,
    /// The certification.
    Certify,
    /// The annulment.
    Annul,
    /// The destruction of evidence and keys.
    Purge,
}

impl Change {
    /// The states of an election in which the change is possible.
    #[must_use]
    pub const fn states(self) -> &'static [State] {
        match self {
            Self::Amend | Self::ReplaceRoll | Self::Open => &[State::Draft],
            Self::GiveRoll | Self::GiveNode => &[State::Draft, State::Open],
            Self::RetireNode | Self::Vote | Self::Close => &[State::Open, State::Closing],
            Self::Certify => &[State::Closed],
            Self::Annul => &[State::Closed, State::Certified],
            Self::Purge => &[State::Certified, State::Annulled],
        }
    }

    /// Whether the change is possible in this state.
    #[must_use]
    pub fn is_possible_in(self, state: State) -> bool {
        self.states().contains(&state)
    }

    /// The states in which the change is possible, as in `open or closing`.
    #[must_use]
    pub fn state_names(self) -> String {
        let names: Vec<String> = self.states().iter().map(State::to_string).collect();
        names.join(" or ")
    }
}

/// As a noun, such as `close`.
impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Amend => "amendment",
            Self::GiveRoll => "roll or supplement",
            Self::ReplaceRoll => "replacement of the roll",
            Self::GiveNode => "node",
            Self::RetireNode => "retirement of a node",
            Self::Open => "opening",
            Self::Vote => "votes",
            Self::Close => "close",
            Self::Certify => "certification",
            Self::Annul => "annulment",
            Self::Purge => "purge",
        })
    }
}

/// A part of a definition that no amendment changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FixedPart {
    /// The law id.
    Law,
    /// Whether the election is binding.
    Binding,
    /// The ballot key.
    BallotKey,
}

impl fmt::Display for FixedPart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Law => "law id",
            Self::Binding => "binding",
            Self::BallotKey => "ballot key",
        })
    }
}

/// Why an event, a batch or a stored leaf does not fit the state of the election.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ElectionLogError {
    /// The event is not possible in this state.
    #[error("election {state}: {wanted} refused")]
    State {
        /// The state it is in.
        state: State,
        /// The wanted change.
        wanted: Change,
    },
    /// A poll closes after it opens.
    #[error("closes {closes}, not after opens {opens}")]
    Times {
        /// When it opens.
        opens: UnixMinutes,
        /// When it would close.
        closes: UnixMinutes,
    },
    /// The opening would be before the planned one.
    #[error("opens {opens}, before planned {planned}")]
    Early {
        /// When it would open.
        opens: UnixMinutes,
        /// The planned opening.
        planned: UnixMinutes,
    },
    /// A poll that closes before the planned closing needs a reason.
    #[error("closes {closes}, before planned {planned}, without a reason")]
    EarlyReason {
        /// When it would close.
        closes: UnixMinutes,
        /// The planned closing.
        planned: UnixMinutes,
    },
    /// The closing is too far after the time at which it is recorded.
    #[error("closes {closes}, over {CLOSING_AHEAD_MINUTES_MAX} minutes after recorded {at}")]
    FarClosing {
        /// When it would close.
        closes: UnixMinutes,
        /// When the closing is recorded.
        at: UnixMinutes,
    },
    /// An amendment may not change this part of the definition.
    #[error("amendment of {what}")]
    Amendment {
        /// The part.
        what: FixedPart,
    },
    /// The definition or a reason breaks a rule.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The node key is not usable.
    #[error("node {node}: not an Ed25519 key")]
    NodeKey {
        /// The node.
        node: NodeId,
    },
    /// The election has been purged already.
    #[error("already purged")]
    Purged,
    /// No roll has been loaded.
    #[error("no roll loaded")]
    NoRoll,
    /// A roll is loaded once; later changes come as supplements.
    #[error("second roll")]
    SecondRoll,
    /// A roll can be replaced in a draft only, and names the roll that it replaces.
    #[error("replaced roll not loaded, or not a draft")]
    Replaces,
    /// A supplement must name the manifest that was loaded last.
    #[error("supplement to manifest {parent}, not to the last one")]
    Parent {
        /// The parent it names.
        parent: Digest,
    },
    /// A supplement hashes credentials as its roll does.
    #[error("hash scheme of the supplement, not of the roll")]
    Scheme,
    /// The keys do not form a roll.
    #[error(transparent)]
    Electorate(#[from] ElectorateError),
    /// The batch is of a node that is not admitted.
    #[error("node {node} not admitted")]
    NotAdmitted {
        /// The node.
        node: NodeId,
    },
    /// The batch belongs to another election, or is not signed by its node.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The batch is not the next of its epoch.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// The counts of the close do not add up.
    #[error(transparent)]
    Imbalance(#[from] Imbalance),
    /// The epoch has already ended.
    #[error("node {node}, epoch {epoch}: already ended")]
    EpochEnded {
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: u32,
    },
    /// An epoch has neither ended nor been retired.
    #[error("node {node}, epoch {epoch}: not ended")]
    OpenEpoch {
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: u32,
    },
    /// An epoch is missing although the node has a later epoch.
    #[error("node {node}, epoch {epoch}: no end in the log")]
    MissingEpoch {
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: u32,
    },
    /// The log is followed, not decided: see [`ElectionLog::follow`](super::ElectionLog::follow).
    #[error("log followed, not decided")]
    Followed,
    /// A leaf does not parse.
    #[error("leaf {index}: {error}")]
    Leaf {
        /// Its index in the log.
        index: u64,
        /// The error.
        error: LeafError,
    },
    /// A leaf read back does not follow from those before it.
    #[error("leaf {index}: {rule}")]
    Contradiction {
        /// Its index in the log.
        index: u64,
        /// The rule it breaks.
        rule: &'static str,
    },
}
