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

/// As a clause of a refusal, such as "it cannot be closed".
impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Amend => "it cannot be amended",
            Self::GiveRoll => "no roll can be loaded for it",
            Self::ReplaceRoll => "its roll cannot be replaced",
            Self::GiveNode => "no node can be admitted to it",
            Self::RetireNode => "none of its nodes can be retired",
            Self::Open => "it cannot be opened",
            Self::Vote => "no vote can be decided",
            Self::Close => "it cannot be closed",
            Self::Certify => "it cannot be certified",
            Self::Annul => "it cannot be annulled",
            Self::Purge => "it cannot be purged",
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
            Self::Law => "the law id",
            Self::Binding => "whether the election is binding",
            Self::BallotKey => "the ballot key",
        })
    }
}

/// Why an event, a batch or a stored leaf does not fit the state of the election.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ElectionLogError {
    /// The event is not possible in this state.
    #[error("the election is {state}: {wanted}")]
    State {
        /// The state it is in.
        state: State,
        /// The wanted change.
        wanted: Change,
    },
    /// A poll closes after it opens.
    #[error("the poll would close ({closes}) no later than it opens ({opens})")]
    Times {
        /// When it opens.
        opens: UnixMinutes,
        /// When it would close.
        closes: UnixMinutes,
    },
    /// The opening would be before the planned one.
    #[error("the poll would open ({opens}) before its planned opening ({planned})")]
    Early {
        /// When it would open.
        opens: UnixMinutes,
        /// The planned opening.
        planned: UnixMinutes,
    },
    /// A poll that closes before the planned closing needs a reason.
    #[error("the poll would close ({closes}) before its planned closing ({planned})")]
    EarlyReason {
        /// When it would close.
        closes: UnixMinutes,
        /// The planned closing.
        planned: UnixMinutes,
    },
    /// The closing is too far after the time at which it is recorded.
    #[error(
        "the poll would close ({closes}) more than {CLOSING_AHEAD_MINUTES_MAX} minutes after the \
         closing is recorded ({at})"
    )]
    FarClosing {
        /// When it would close.
        closes: UnixMinutes,
        /// When the closing is recorded.
        at: UnixMinutes,
    },
    /// An amendment may not change this part of the definition.
    #[error("an amendment cannot change {what}")]
    Amendment {
        /// The part.
        what: FixedPart,
    },
    /// The definition or a reason breaks a rule.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The node key is not usable.
    #[error("the key of node {node} is not a usable Ed25519 key")]
    NodeKey {
        /// The node.
        node: NodeId,
    },
    /// The election has been purged already.
    #[error("evidence and keys of this election are already destroyed")]
    Purged,
    /// No roll has been loaded.
    #[error("no roll has been loaded for this election")]
    NoRoll,
    /// A roll is loaded once; later changes come as supplements.
    #[error("another roll is already loaded")]
    SecondRoll,
    /// A roll can be replaced in a draft only, and names the roll that it replaces.
    #[error(
        "the roll to be replaced is not the one that is loaded, or the election is not a draft any \
         more"
    )]
    Replaces,
    /// A supplement must name the manifest that was loaded last.
    #[error("the supplement is made for manifest {parent}, which is not the one loaded last")]
    Parent {
        /// The parent it names.
        parent: Digest,
    },
    /// A supplement hashes credentials as its roll does.
    #[error("the supplement uses a different hash scheme than the roll")]
    Scheme,
    /// The keys do not form a roll.
    #[error(transparent)]
    Electorate(#[from] ElectorateError),
    /// The batch is of a node that is not admitted.
    #[error("node {node} is not admitted to this election")]
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
    #[error("epoch {epoch} of node {node} has ended already")]
    EpochEnded {
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: u32,
    },
    /// An epoch has neither ended nor been retired.
    #[error("the close is waiting for node {node}, epoch {epoch}, which has not ended")]
    OpenEpoch {
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: u32,
    },
    /// An epoch is missing although the node has a later epoch.
    #[error(
        "the close is waiting for node {node}, epoch {epoch}: the log does not contain its end"
    )]
    MissingEpoch {
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: u32,
    },
    /// The log is followed, not decided: see [`ElectionLog::follow`](super::ElectionLog::follow).
    #[error("this node only follows the log")]
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
    #[error("leaf {index} does not follow from the log before it: {rule}")]
    Contradiction {
        /// Its index in the log.
        index: u64,
        /// The rule it breaks.
        rule: &'static str,
    },
}
