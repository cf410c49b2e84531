//! Errors of starting a node, of administrative calls and of votes. Their `Display` is for logs;
//! the edges make the sentences.
//!
//! Long because each variant has its text and its cause.

use std::time::Duration;

use votekit_core::binding::BindingRule;
use votekit_core::election::{Definition, State};
use votekit_core::election_log::{Change, ElectionLogError, ReplayError};
use votekit_core::id::{Digest, ElectionId, Epoch, NodeId, RequestId, Sequence};
use votekit_core::instant::UnixMinutes;
use votekit_core::log::checkpoint::CheckpointError;
use votekit_core::log::note::{KeyError, KeyName};
use votekit_core::log::policy::PolicyError;
use votekit_store::memory::MemoryError;
use votekit_store::retry::is_passing;
use votekit_store::{Conflict, EngineError};

use crate::call_rule::{CallRule, FieldFault, MemberFault};
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
    /// A stored log cannot be replayed.
    #[error("log of {law_id} damaged: {error}")]
    Log {
        /// The election.
        law_id: ElectionId,
        /// The fault and its location.
        error: ReplayError,
    },
    /// A part of a stored log cannot be decoded.
    #[error("log of {law_id} cannot be decoded: {reason}")]
    Undecodable {
        /// The election.
        law_id: ElectionId,
        /// The part, and its fault.
        reason: String,
    },
    /// A stored log has another root than its checkpoint, or its checkpoint is not by this node.
    #[error("checkpoint of the log of {law_id}: {rule}")]
    Checkpoint {
        /// The election.
        law_id: ElectionId,
        /// The value that differs.
        rule: &'static str,
    },
    /// An intact snapshot belongs to another log than the ledger's: the ledger was restored from an
    /// older copy, and lacks votes that were answered.
    #[error("ledger of {law_id} is an older copy: {rule}")]
    Forked {
        /// The election.
        law_id: ElectionId,
        /// The proof.
        rule: String,
    },
    /// The ballot key or the request key is missing, and its election still needs it.
    #[error("ballot key or request key of {law_id} missing")]
    BallotKey {
        /// The election.
        law_id: ElectionId,
    },
    /// A key of an election cannot be read.
    #[error("keys of {law_id}: {source}")]
    ElectionKeys {
        /// The election.
        law_id: ElectionId,
        /// The file, and its fault.
        source: FolderError,
    },
    /// This node's own record of its epochs in an election cannot be read.
    #[error("record of epochs in {law_id}: {source}")]
    EpochRecord {
        /// The election.
        law_id: ElectionId,
        /// The file, and its fault.
        source: FolderError,
    },
    /// A name in the data folder is not a valid key name.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The authorities do not form a valid policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The node has the role seal, and is not one of the authorities.
    #[error("role seal, and {name} is not an authority")]
    NotAnAuthority {
        /// The name of this node as an authority.
        name: KeyName,
    },
    /// The keys of an election that were encrypted to this node cannot be opened.
    #[error("sealed keys of {law_id} cannot be opened")]
    SealedKeys {
        /// The election.
        law_id: ElectionId,
    },
    /// A step of the round about a first block failed.
    #[error("round of the first block: {error}")]
    Round {
        /// The failure.
        error: String,
    },
    /// The memory of this authority cannot be used.
    #[error("memory of the authority: {0}")]
    Memory(#[from] MemoryError),
    /// The address of a service is not valid.
    #[cfg(feature = "services")]
    #[error(transparent)]
    Address(#[from] votekit_store::services::url::AddressError),
    /// This program was built without the services engine.
    #[error("built without the feature services")]
    NoServices,
    /// A role is missing, and no other process can have it.
    #[error("role {role} missing")]
    Role {
        /// The role.
        role: Role,
    },
    /// The system returned no random numbers.
    #[error("getrandom: {0}")]
    Random(#[from] getrandom::Error),
    /// A block could not be signed.
    #[error(transparent)]
    Sign(#[from] CheckpointError),
}

impl NodeError {
    /// Whether the log, evidence, rolls, keys or epochs of one election are damaged or missing. Any
    /// other error concerns all elections. A ledger that was restored from an older copy concerns
    /// all of them too: it is one file or database, and may lack votes of any election.
    pub(crate) fn halts_one_election(&self) -> bool {
        match self {
            Self::Log { .. }
            | Self::Undecodable { .. }
            | Self::Checkpoint { .. }
            | Self::BallotKey { .. }
            | Self::ElectionKeys { .. }
            | Self::SealedKeys { .. }
            | Self::EpochRecord { .. }
            | Self::Engine(EngineError::Corrupt { .. }) => true,
            // A pepper is of several elections.
            Self::Roll(error) => !matches!(error, RollError::Folder(_)),
            _ => false,
        }
    }
}

/// Why an administrative call was refused. Nothing has changed then, unless an engine's outcome is
/// unknown.
#[derive(Debug, thiserror::Error)]
// Exhaustive: votekit-http maps each variant to a problem.
pub enum AdminError {
    /// No such election.
    #[error("no election {law_id}")]
    UnknownElection {
        /// The id that was given.
        law_id: ElectionId,
    },
    /// The election exists already.
    #[error("election {law_id} exists")]
    Exists {
        /// The election.
        law_id: ElectionId,
    },
    /// The state of the election does not allow the call.
    #[error("election {state}: {wanted} refused")]
    State {
        /// The present state.
        state: State,
        /// The wanted change.
        wanted: Change,
    },
    /// A field of the call is wrong.
    #[error("{field}: {rule}")]
    Field {
        /// The field.
        field: &'static str,
        /// The rule it breaks.
        rule: CallRule,
    },
    /// Fields of the call are wrong.
    #[error("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Fields {
        /// Each field, and the rule it breaks.
        errors: Vec<FieldFault>,
    },
    /// Addresses of members are wrong, or their accounts cannot be members. No account was made.
    #[error("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Members {
        /// Each address, by its index in the list.
        faults: Vec<MemberFault>,
    },
    /// Other calls keep changing the accounts of the members. No election was created.
    #[error("accounts of the members keep changing")]
    AccountsBusy,
    /// The log refuses.
    #[error(transparent)]
    Refused(#[from] ElectionLogError),
    /// A binding election does not meet the requirements of binding elections.
    #[error(
        "requirements of a binding election: {}",
        missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    NotSafe {
        /// The requirements that it does not meet.
        missing: Vec<BindingRule>,
    },
    /// Batches that are in the ledger are not in the log.
    #[error(
        "node {node}, epoch {epoch}: {staged} batches received, {sealed} in the log",
        epoch = epoch.0,
        staged = staged.0,
        sealed = sealed.0
    )]
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
    /// A law has one roll, and another roll is stored for it.
    #[error("{law_id} has another roll, manifest {kept}")]
    SecondRoll {
        /// The law.
        law_id: ElectionId,
        /// The stored roll.
        kept: Digest,
    },
    /// A binding election that is open takes no supplement with short access codes.
    #[error(
        "{law_id} is binding: shortest code {length} characters, at least {} required",
        Definition::BINDING_CODE_LENGTH_MIN
    )]
    ShortCodes {
        /// The law.
        law_id: ElectionId,
        /// Characters of the shortest code.
        length: u32,
    },
    /// A supplement does not follow the supplement that was loaded last.
    #[error("{law_id}: supplement to manifest {parent}, the latest is {last}")]
    NotLatest {
        /// The law.
        law_id: ElectionId,
        /// The parent it names.
        parent: Digest,
        /// The manifest that it must follow.
        last: Digest,
    },
    /// The data folder has no such roll.
    #[error("no roll {manifest}")]
    UnknownRoll {
        /// The digest that was given.
        manifest: Digest,
    },
    /// The log of an election names the roll.
    #[error("roll {manifest} in use by {law_id}")]
    RollInUse {
        /// The roll.
        manifest: Digest,
        /// The election.
        law_id: String,
    },
    /// A supplement follows the roll.
    #[error("supplement {supplement} follows roll {manifest}")]
    RollHasSupplement {
        /// The roll.
        manifest: Digest,
        /// The supplement.
        supplement: String,
    },
    /// The election was created, but its roll has not taken effect.
    #[error("{law_id} created as a draft, roll not in effect: {source}")]
    CreatedWithoutRoll {
        /// The election.
        law_id: ElectionId,
        /// The failure.
        source: Box<AdminError>,
    },
    /// The planned end has not come, and no reason was given.
    #[error("{law_id}: close before {closes} without a reason")]
    EarlyClose {
        /// The election.
        law_id: ElectionId,
        /// The planned end.
        closes: UnixMinutes,
    },
    /// Too few outside witnesses have cosigned the head of the log, and no reason to do without
    /// them was given.
    #[error(
        "{law_id}: fewer than {quorum} outside witnesses have cosigned; missing: {}",
        missing.join(", ")
    )]
    WitnessesMissing {
        /// The election.
        law_id: ElectionId,
        /// How many must have cosigned.
        quorum: usize,
        /// The names of those that have not.
        missing: Vec<String>,
    },
    /// The data folder failed.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// An engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The election cannot be changed on this node, or the block of the call was lost: another
    /// leader continued the log, or its deadline passed.
    #[error(transparent)]
    Election(ElectionFault),
    /// Another node leads, and only the leader executes administrative calls.
    #[error("not the leader, which is {}", leader.as_deref().unwrap_or("unknown"))]
    NotLeading {
        /// The leader, if it is known.
        leader: Option<String>,
    },
    /// A node has not ended its epoch with a last batch.
    #[error(
        "node {who}, epoch {epoch} not ended",
        who = name.clone().unwrap_or_else(|| node.to_string()),
        epoch = epoch.0
    )]
    NotEnded {
        /// The node.
        node: NodeId,
        /// Its name in the data folder, if it has one there.
        name: Option<String>,
        /// The epoch.
        epoch: Epoch,
    },
    /// A node may still be answering voters.
    #[error(
        "node {node} may be answering voters in epoch {epoch}",
        epoch = epoch.0
    )]
    Answering {
        /// The node.
        node: NodeId,
        /// Its epoch.
        epoch: Epoch,
    },
    /// The call is for one of several authorities, and this node is not one of them.
    #[error("not one of several authorities")]
    NotAnAuthority,
    /// Another administrative call on this election is under way.
    #[error("{law_id}: another call in progress")]
    Busy {
        /// The election.
        law_id: ElectionId,
    },
    /// A fault halted the election on this node. Nothing was changed.
    #[error("{law_id} halted on this node: {reason}")]
    Halted {
        /// The election.
        law_id: ElectionId,
        /// The reason.
        reason: String,
    },
    /// The task that executed the call ended before it replied: the call may have taken effect, in
    /// full or in part.
    #[error("outcome of the call unknown: its task ended")]
    OutcomeUnknown,
    /// The load timed out. Nothing was changed.
    #[error("load of the roll aborted after {seconds} s")]
    TooLong {
        /// The timeout, in seconds.
        seconds: u64,
    },
    /// Another roll is being loaded. Nothing was changed.
    #[error("another load of a roll in progress")]
    Loading,
    /// The node is stopping. Nothing was changed.
    #[error("node stopping")]
    Stopping,
    /// The election cannot be set up on this node.
    #[error("{0}")]
    Setup(Box<NodeError>),
}

impl AdminError {
    /// Whether the call was refused for its content, and certainly changed nothing.
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
                | Self::NotAnAuthority
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

/// Why a step on an election failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ElectionFault {
    /// An engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// This node cannot do it now. Nothing was stored.
    #[error("not ready: {0}")]
    NotReady(NotReady),
    /// Another block was appended at the height of a proposed block: the proposal is dropped, and
    /// the log in memory has not changed.
    #[error("log of {law_id}: {found} leaves, {expected} expected")]
    Superseded {
        /// The election.
        law_id: ElectionId,
        /// The log size that the proposed block builds on.
        expected: u64,
        /// The size of the stored log.
        found: u64,
    },
    /// A later term has begun, or this node no longer leads in the term of a proposed block: the
    /// proposal is dropped.
    #[error("log of {law_id}: term {found}, block of term {offered}")]
    LeadershipLost {
        /// The election.
        law_id: ElectionId,
        /// The term in which the block was proposed.
        offered: u64,
        /// The current term, as far as it is known.
        found: u64,
    },
    /// The deadline of a block has passed: it was not proposed.
    #[error("block of {law_id} after its deadline")]
    TooLate {
        /// The election.
        law_id: ElectionId,
    },
    /// The stored log, its evidence or this node's keys contradict each other. Nothing was
    /// repaired.
    #[error("{reason}")]
    Damaged {
        /// The damage and its location.
        reason: String,
    },
}

/// Why a node is not ready for a step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// It does not lead, or no longer.
    #[error("not the leader")]
    NotLeading,
    /// It takes no votes.
    #[error("role ingest missing")]
    NoIngestRole,
    /// The log does not admit its key.
    #[error("node key not admitted to the election")]
    NotAdmitted,
    /// The last write was not stored: votes are refused until a write is stored.
    #[error("last write not stored")]
    WritesFail,
    /// The ledger did not answer a request for a lease in time.
    #[error("no lease in time")]
    NoLeaseInTime,
    /// Its intake for the election has ended: the node is stopping.
    #[error("node stopping")]
    Stopping,
    /// The votes of this batch were not published.
    #[error("batch not published: {reason}")]
    NotPublished {
        /// The failure.
        reason: String,
    },
    /// The system gave no random numbers.
    #[error("getrandom: {reason}")]
    Randomness {
        /// The system's message.
        reason: String,
    },
}

impl ElectionFault {
    pub(crate) fn damaged(reason: impl Into<String>) -> Self {
        Self::Damaged { reason: reason.into() }
    }

    /// The conflict, if the ledger refused a write for one.
    pub(crate) fn conflict(&self) -> Option<&Conflict> {
        match self {
            Self::Engine(error) => error.conflict(),
            _ => None,
        }
    }

    /// Whether the same step may succeed later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Engine(error) => is_passing(error),
            Self::NotReady(_) => true,
            // The proposal is dropped: a retry makes another one.
            Self::Superseded { .. }
            | Self::LeadershipLost { .. }
            | Self::TooLate { .. }
            | Self::Damaged { .. } => false,
        }
    }
}

impl From<ElectionFault> for AdminError {
    fn from(fault: ElectionFault) -> Self {
        match fault {
            ElectionFault::Engine(error) => Self::Engine(error),
            ElectionFault::NotReady(NotReady::NotLeading) => Self::NotLeading { leader: None },
            fault => Self::Election(fault),
        }
    }
}

/// Why a vote was not taken.
#[derive(Debug, Clone, thiserror::Error)]
// Exhaustive: votekit-http maps each variant to a problem.
pub enum SubmitError {
    /// No such election.
    #[error("there is no such election")]
    UnknownElection,
    /// The poll is not open.
    #[error("the poll is not open")]
    NotOpen {
        /// Whether the poll has not opened yet.
        early: bool,
        /// The election's state.
        state: State,
        /// When the poll opens or opened, if known.
        opens: Option<UnixMinutes>,
        /// When it closes or closed, if known: of a close by hand, its own minute, whose votes
        /// count.
        closes: Option<UnixMinutes>,
    },
    /// The ballot has no such choice.
    #[error("the ballot has no such choice")]
    UnknownChoice,
    /// More votes a second than this node takes. Nothing was stored.
    #[error("more votes per second than this node accepts")]
    RateLimited {
        /// When to retry.
        retry_after: Duration,
    },
    /// Too many wrong codes came from this address prefix for this NAS. Nothing was stored, and the
    /// code was not checked.
    #[error("too many wrong codes from this network for this person")]
    BackOff {
        /// When to retry.
        retry_after: Duration,
    },
    /// No roll contains the credential, and such votes arrive faster than they are stored. Nothing
    /// was stored.
    #[error("no roll holds this credential")]
    NotRecognised {
        /// When to retry.
        retry_after: Duration,
    },
    /// Too many votes are waiting. Nothing was stored.
    #[error("too many votes are waiting")]
    Busy {
        /// When to retry.
        retry_after: Duration,
    },
    /// Duplicates of one credential arrive faster than they are stored. Nothing was stored.
    #[error("too many votes with a credential that was used")]
    TooManyDuplicates {
        /// When to retry.
        retry_after: Duration,
    },
    /// The machine's clock stepped back too far: a stamp would contradict the log. Nothing was
    /// stored.
    #[error("this node's clock went back by {} s", by.as_secs())]
    Clock {
        /// How far the clock is behind the latest time that was issued or sealed.
        by: Duration,
    },
    /// A fault halted the election on this node. Nothing was stored.
    #[error("a fault halted the election on this node")]
    Halted,
    /// Nothing was stored.
    #[error("the vote could not be stored: {0}")]
    Unavailable(ElectionFault),
    /// The vote may have been stored; repeating the request with the same key is safe.
    #[error("it is unknown whether the vote was stored")]
    OutcomeUnknown {
        /// The request.
        request: RequestId,
    },
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_fault_of_one_election_halts_that_election_alone() {
        let law = || -> ElectionId { "L1".parse().expect("a law id") };
        let source = || FolderError::NotOne { path: PathBuf::from("/d") };
        for error in [
            NodeError::Checkpoint { law_id: law(), rule: "another root" },
            NodeError::BallotKey { law_id: law() },
            NodeError::ElectionKeys { law_id: law(), source: source() },
            NodeError::SealedKeys { law_id: law() },
            NodeError::EpochRecord { law_id: law(), source: source() },
        ] {
            assert!(error.halts_one_election(), "{error}");
        }
        let forked = NodeError::Forked { law_id: law(), rule: "it is shorter".to_owned() };
        for error in [forked, NodeError::Folder(source()), NodeError::NoServices] {
            assert!(!error.halts_one_election(), "{error}");
        }
    }
}
