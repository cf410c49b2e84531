//! What the tasks of an election are asked to do.

use tokio::sync::oneshot;
use votekit_core::election_log::LogEvent;
use votekit_core::envelope::Envelope;
use votekit_core::id::NodeId;
use votekit_store::EngineError;
use zeroize::Zeroizing;

use crate::error::AdminError;

/// What goes into an election's intake.
pub(crate) enum Submission {
    /// A vote, and where to say that it is durable.
    ///
    /// Boxed: a channel reuses its blocks without a free, and so would keep choices beside hashes.
    Vote(Box<Zeroizing<Envelope>>, Voter),
    /// Everything before this is to be published, then the epoch ends: no vote is taken any more.
    Finish(oneshot::Sender<Result<(), EngineError>>),
}

/// Why a vote did not become durable.
#[derive(Debug, Clone)]
pub(crate) enum IntakeError {
    /// The intake has finished: the poll is closing, or the node is stopping.
    Finished,
    /// Nothing was stored.
    Unavailable(EngineError),
    /// It may have been stored, and will be.
    OutcomeUnknown,
}

/// What became of the storing of a request.
pub(crate) type Stored = Result<(), IntakeError>;

/// Receives the outcome of one vote.
pub(crate) type Voter = oneshot::Sender<Stored>;

/// What the administration asks of a sealer.
pub(crate) enum SealerCommand {
    /// Records acts in one block.
    Record(Vec<LogEvent>, oneshot::Sender<Result<(), AdminError>>),
    /// Closes the election, from whatever point an earlier close has reached.
    Close { reason: Option<String>, reply: oneshot::Sender<Result<(), AdminError>> },
    /// Ends every epoch of a node that is gone for good.
    Retire(NodeId, oneshot::Sender<Result<(), AdminError>>),
    /// Seals what is staged and stops.
    Stop(oneshot::Sender<()>),
}
