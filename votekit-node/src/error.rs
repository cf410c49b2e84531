//! Why a node does not start, an administrative call is refused, a vote is not taken.

use std::time::Duration;

use votekit_core::election::{Definition, State};
use votekit_core::election_log::{ElectionLogError, ReplayError};
use votekit_core::envelope::FieldError;
use votekit_core::id::{Digest, ElectionId, Epoch, NodeId, RequestId, Sequence};
use votekit_core::instant::UnixMinutes;
use votekit_core::log::checkpoint::CheckpointError;
use votekit_core::log::note::KeyError;
use votekit_core::log::policy::PolicyError;
use votekit_store::EngineError;

use crate::config::Role;
use crate::data_folder::FolderError;
use crate::roll_store::RollError;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// An engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A roll in the data folder is damaged.
    #[error(transparent)]
    Roll(#[from] RollError),
    /// A stored log does not read back.
    #[error("the log of {law_id} is damaged: {error}")]
    Log {
        /// The election.
        law_id: ElectionId,
        /// What is wrong, where.
        error: ReplayError,
    },
    /// A stored log reads back to another root than its checkpoint says, or has no checkpoint of
    /// this node.
    #[error("the log of {law_id} does not match its checkpoint: {rule}")]
    Checkpoint {
        /// The election.
        law_id: ElectionId,
        /// What differs.
        rule: &'static str,
    },
    /// A snapshot that is whole is of another log than the ledger holds: an older ledger was put
    /// back, and votes that were answered are not in it.
    #[error("an older ledger was put back under the log of {law_id}: {rule}")]
    Forked {
        /// The election.
        law_id: ElectionId,
        /// What proves it.
        rule: String,
    },
    /// The ballot key or the request key of an election that still needs it is gone.
    #[error(
        "a key of {law_id} is not in the data folder (keys/ballot/{law_id} or keys/request/{law_id}), and its election cannot go on without it"
    )]
    BallotKey {
        /// The election.
        law_id: ElectionId,
    },
    /// A name in the data folder cannot name a key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The authorities do not make a policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// An address of a service is wrong.
    #[cfg(feature = "services")]
    #[error(transparent)]
    Address(#[from] votekit_store::services::url::AddressError),
    /// This program was built without the services.
    #[error("this votekit was built without the services engine (the feature `services`)")]
    NoServices,
    /// A role is missing, and nobody else could have it.
    #[error(
        "this node has no role {role}, and nobody else can have it: the embedded engine is one process"
    )]
    Role {
        /// The role.
        role: Role,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// A block could not be signed.
    #[error(transparent)]
    Sign(#[from] CheckpointError),
}

/// Why an administrative call was refused. Nothing has changed then, unless an engine's outcome is
/// unknown.
#[derive(Debug, thiserror::Error)]
// Exhaustive: votekit-http gives each variant its problem.
pub enum AdminError {
    /// No such election.
    #[error("there is no election {law_id}")]
    UnknownElection {
        /// The id that was given.
        law_id: ElectionId,
    },
    /// The election exists already.
    #[error("there is an election {law_id} already")]
    Exists {
        /// The election.
        law_id: ElectionId,
    },
    /// Not in this state.
    #[error(
        "the election is {state}: it cannot be {wanted} now; an election is a draft, then open, closing, closed, certified"
    )]
    State {
        /// The state it is in.
        state: State,
        /// What was wanted, as a participle.
        wanted: &'static str,
    },
    /// A field of the call is wrong.
    #[error("{field}: {rule}")]
    Field {
        /// The field.
        field: &'static str,
        /// The rule it breaks.
        rule: String,
    },
    /// Fields of the call are wrong.
    #[error("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Fields {
        /// Each field, and the rule it breaks.
        errors: Vec<FieldError>,
    },
    /// The log refuses.
    #[error(transparent)]
    Refused(#[from] ElectionLogError),
    /// A binding election lacks what binding elections need.
    #[error("a binding election cannot open: {missing}", missing = missing.join("; "))]
    NotSafe {
        /// What is missing, a sentence each.
        missing: Vec<String>,
    },
    /// Batches that the ledger holds are not in the log.
    #[error("the close waits: of node {node}, epoch {epoch}, {staged} batches were received and {sealed} are in the log", epoch = epoch.0, staged = staged.0, sealed = sealed.0)]
    Missing {
        /// The node.
        node: NodeId,
        /// Its epoch.
        epoch: Epoch,
        /// The last sequence received.
        staged: Sequence,
        /// The last sequence in the log.
        sealed: Sequence,
    },
    /// The roll was not loaded.
    #[error(transparent)]
    Roll(#[from] RollError),
    /// A law has one roll, and another is kept for it.
    #[error(
        "{law_id} has another roll already, with the manifest {kept}: a law has one roll, and late changes come as supplements to it"
    )]
    SecondRoll {
        /// The law.
        law_id: ElectionId,
        /// The roll that is kept.
        kept: Digest,
    },
    /// A binding election that is open takes no supplement with short access codes.
    #[error(
        "{law_id} is binding: access codes must have at least {} characters, and the shortest of this supplement has {length}",
        Definition::BINDING_CODE_LENGTH_MIN
    )]
    ShortCodes {
        /// The law.
        law_id: ElectionId,
        /// Characters of the shortest code.
        length: u32,
    },
    /// A supplement follows another supplement than the last one.
    #[error(
        "{law_id}: the supplement follows the manifest {parent}, and {last} was loaded after that one"
    )]
    NotLatest {
        /// The law.
        law_id: ElectionId,
        /// The parent it names.
        parent: Digest,
        /// What it would have to follow.
        last: Digest,
    },
    /// The data folder keeps no such roll.
    #[error("no roll with the manifest {manifest} is loaded")]
    UnknownRoll {
        /// The digest that was given.
        manifest: Digest,
    },
    /// The log of an election names the roll.
    #[error("the roll {manifest} is in use: the log of {law_id} names it")]
    RollInUse {
        /// The roll.
        manifest: Digest,
        /// The election.
        law_id: String,
    },
    /// A supplement follows the roll.
    #[error(
        "the supplement {supplement} follows the roll {manifest}: discard the supplement first"
    )]
    RollHasSupplement {
        /// The roll.
        manifest: Digest,
        /// The supplement.
        supplement: String,
    },
    /// The election was created, and its roll has not taken effect.
    #[error(
        "the election {law_id} was created as a draft, and its roll has not taken effect yet: {source}"
    )]
    CreatedWithoutRoll {
        /// The election.
        law_id: ElectionId,
        /// What failed.
        source: Box<AdminError>,
    },
    /// The planned end has not come, and no reason was given.
    #[error(
        "the poll of {law_id} is planned to close at {closes}: closing it earlier wants a reason"
    )]
    EarlyClose {
        /// The election.
        law_id: ElectionId,
        /// The planned end.
        closes: UnixMinutes,
    },
    /// The data folder failed.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// An engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Another node seals, and administration is its part.
    #[error("this node does not lead{}", leader.as_ref().map(|leader| format!(": {leader} does")).unwrap_or_default())]
    NotLeading {
        /// The leader, if it is known.
        leader: Option<String>,
    },
    /// A node has not said which batch was its last.
    #[error("the close waits for node {who}, epoch {epoch}: it has not ended; start the node again, or retire it if it is gone for good", who = name.clone().unwrap_or_else(|| node.to_string()), epoch = epoch.0)]
    NotEnded {
        /// The node.
        node: NodeId,
        /// Its name in the data folder, if it has one there.
        name: Option<String>,
        /// The epoch.
        epoch: Epoch,
    },
    /// A node may still be answering voters.
    #[error("node {node} may still be answering voters, in epoch {epoch}: wait until its lease has run out", epoch = epoch.0)]
    Answering {
        /// The node.
        node: NodeId,
        /// Its epoch.
        epoch: Epoch,
    },
    /// Another administrative call on this election is under way.
    #[error("another administrative call on {law_id} is under way")]
    Busy {
        /// The election.
        law_id: ElectionId,
    },
    /// A fault halted the election on this node. Nothing was changed.
    #[error("{law_id} is halted on this node ({reason}): start the node again")]
    Halted {
        /// The election.
        law_id: ElectionId,
        /// What happened.
        reason: String,
    },
    /// What carried the call out ended before it answered: it may have been done, or in part.
    #[error(
        "it is not known how far this came before the node's task ended: look at the election, then ask again"
    )]
    OutcomeUnknown,
    /// The call took too long and was given up. Nothing was changed.
    #[error("{what} took longer than {seconds} s and was given up; nothing was changed")]
    TooLong {
        /// What it was.
        what: &'static str,
        /// The time it had.
        seconds: u64,
    },
    /// Another roll is being loaded. Nothing was changed.
    #[error("another roll is being loaded: one at a time")]
    Loading,
    /// The node is stopping. Nothing was changed.
    #[error("the node is stopping")]
    Stopping,
    /// The election cannot be set up on this node.
    #[error("{0}")]
    Setup(Box<NodeError>),
}

impl AdminError {
    /// Whether the call was refused for what it asked, and surely changed nothing.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::State { .. }
                | Self::Field { .. }
                | Self::Refused(_)
                | Self::Roll(_)
                | Self::SecondRoll { .. }
                | Self::ShortCodes { .. }
                | Self::NotLatest { .. }
                | Self::NotLeading { .. }
                | Self::Busy { .. }
        )
    }
}

impl From<NodeError> for AdminError {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Folder(error) => Self::Folder(error),
            NodeError::Engine(error) => Self::Engine(error),
            NodeError::Roll(error) => Self::Roll(error),
            other => Self::Setup(Box::new(other)),
        }
    }
}

/// Why a vote was not taken.
#[derive(Debug, Clone, thiserror::Error)]
// Exhaustive: votekit-http gives each variant its problem.
pub enum SubmitError {
    /// No such election.
    #[error("there is no such election")]
    UnknownElection,
    /// The poll is not open.
    #[error("the poll is not open")]
    NotOpen {
        /// Whether it is still to open.
        early: bool,
        /// The election's state.
        state: State,
        /// When the poll opens or opened, if that is known.
        opens: Option<UnixMinutes>,
        /// When it closes or closed, if that is known.
        closes: Option<UnixMinutes>,
    },
    /// The ballot has no such choice.
    #[error("the ballot has no such choice")]
    UnknownChoice,
    /// More votes a second than this node takes. Nothing was stored.
    #[error("more votes a second than this node takes")]
    RateLimited {
        /// When to come back.
        retry_after: Duration,
    },
    /// Too many wrong codes came from this address prefix for this NAS. Nothing was stored, and the
    /// code was not looked at.
    #[error("too many wrong codes from this network for this person")]
    BackOff {
        /// When to come back.
        retry_after: Duration,
    },
    /// No roll holds the credential, and such votes come faster than they are stored. Nothing was
    /// stored.
    #[error("no roll holds this credential")]
    NotRecognised {
        /// When to come back.
        retry_after: Duration,
    },
    /// Too many votes are waiting. Nothing was stored.
    #[error("too many votes are waiting")]
    Busy {
        /// When to come back.
        retry_after: Duration,
    },
    /// Votes of one used credential come faster than duplicates are stored. Nothing was stored.
    #[error("too many votes with a credential that was used")]
    TooManyDuplicates {
        /// When to come back.
        retry_after: Duration,
    },
    /// The machine's clock stepped back too far: a stamp would contradict the log. Nothing was
    /// stored.
    #[error("this node's clock went back by {} s", by.as_secs())]
    Clock {
        /// How far it stands before the latest time that was given out or sealed.
        by: Duration,
    },
    /// Nothing was stored.
    #[error("the vote could not be stored")]
    Unavailable(EngineError),
    /// The vote may have been stored; the same request with the same key is safe.
    #[error("it is not known whether the vote was stored")]
    OutcomeUnknown {
        /// The request.
        request: RequestId,
    },
}
