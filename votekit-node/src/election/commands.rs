//! Commands to the tasks of an election.

use tokio::sync::oneshot;
use votekit_core::election_log::LogEvent;
use votekit_core::envelope::Envelope;
use votekit_core::id::NodeId;
use zeroize::Zeroizing;

use crate::error::{AdminError, ElectionFault};

/// A command to an election's intake.
pub(crate) enum Submission {
    /// A vote, and the channel on which its outcome is reported.
    ///
    /// Boxed: a channel reuses its blocks without freeing them, and so would keep choices beside
    /// hashes.
    Vote(Box<Zeroizing<Envelope>>, Voter),
    /// Publishes everything before this, then ends the epoch: no more votes are taken.
    Finish(oneshot::Sender<Result<(), ElectionFault>>),
}

/// Why a vote did not become durable.
#[derive(Debug, Clone)]
pub(crate) enum IntakeError {
    /// The intake has finished: the poll is closing, or the node is stopping.
    Finished,
    /// Nothing was stored.
    Unavailable(ElectionFault),
    /// It may have been stored, and the batch is published until it is.
    OutcomeUnknown,
}

/// The outcome of storing a request.
pub(crate) type Stored = Result<(), IntakeError>;

/// Receives the outcome of one vote.
pub(crate) type Voter = oneshot::Sender<Stored>;

/// A command to the sealer.
pub(crate) enum SealerCommand {
    /// Records events in one block.
    Record(Vec<LogEvent>, oneshot::Sender<Result<(), AdminError>>),
    /// Closes the election, or resumes an earlier close where it stopped.
    Close { reason: Option<String>, reply: oneshot::Sender<Result<(), AdminError>> },
    /// Ends every epoch of a node that is permanently gone.
    Retire(NodeId, oneshot::Sender<Result<(), AdminError>>),
    /// Seals the staged batches and stops.
    Stop(oneshot::Sender<()>),
}
