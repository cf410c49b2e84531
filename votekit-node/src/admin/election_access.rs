//! What every administrative call on an election does first and last: it finds the election, locks
//! it against other calls, checks its state, and sends events to its sealer.

use std::sync::Arc;

use tokio::sync::{OwnedMutexGuard, oneshot};
use votekit_core::election::{TextPart, check_text};
use votekit_core::election_log::{Change, LogEvent, REASON_LENGTH_MAX};
use votekit_core::id::ElectionId;

use crate::data_folder::DataFolder;
use crate::election::{ElectionHandle, SealerCommand};
use crate::error::AdminError;
use crate::node::Node;

impl Node {
    /// Refuses calls on an election whose log cannot be read.
    pub(crate) fn check_readable(&self, law_id: &ElectionId) -> Result<(), AdminError> {
        let damaged = self.context.damaged(law_id);
        let halted = damaged.map(|damaged| AdminError::Halted {
            law_id: law_id.clone(),
            reason: damaged.reason().to_owned(),
        });
        halted.map_or(Ok(()), Err)
    }

    pub(crate) fn election_handle(
        &self,
        law_id: &ElectionId,
    ) -> Result<Arc<ElectionHandle>, AdminError> {
        self.check_readable(law_id)?;
        self.context
            .election(law_id)
            .ok_or_else(|| AdminError::UnknownElection { law_id: law_id.clone() })
    }

    /// Allows one administrative call at a time on an election, and none on an election that is
    /// halted here.
    pub(super) fn busy(
        &self,
        election: &Arc<ElectionHandle>,
    ) -> Result<OwnedMutexGuard<()>, AdminError> {
        if let Some(reason) = election.halted() {
            return Err(halted(election, reason));
        }
        let busy = || AdminError::Busy { law_id: election.law_id().clone() };
        Arc::clone(&election.admin).try_lock_owned().map_err(|_| busy())
    }

    pub(crate) async fn record(
        &self,
        election: &ElectionHandle,
        acts: Vec<LogEvent>,
    ) -> Result<(), AdminError> {
        self.ask_sealer(election, |reply| SealerCommand::Record(acts, reply)).await
    }

    /// Sends a command to the sealer of an election and waits for its reply. If the sealer ends
    /// meanwhile, the outcome is unknown.
    pub(super) async fn ask_sealer(
        &self,
        election: &ElectionHandle,
        command: impl FnOnce(oneshot::Sender<Result<(), AdminError>>) -> SealerCommand,
    ) -> Result<(), AdminError> {
        let (reply, done) = oneshot::channel();
        if election.sealer.send(command(reply)).await.is_err() {
            let halted = election.halted().map(|reason| halted(election, reason));
            return Err(halted.unwrap_or(AdminError::Stopping));
        }
        done.await.unwrap_or(Err(AdminError::OutcomeUnknown))
    }

    /// Runs work on files of the data folder on a blocking thread: the other threads serve voters.
    pub(crate) async fn on_files<T: Send + 'static>(
        &self,
        work: impl FnOnce(&DataFolder) -> Result<T, AdminError> + Send + 'static,
    ) -> Result<T, AdminError> {
        let context = Arc::clone(&self.context);
        let done = tokio::task::spawn_blocking(move || work(&context.folder)).await;
        // The work panicked; its progress is unknown.
        done.unwrap_or(Err(AdminError::OutcomeUnknown))
    }

    pub(crate) fn not_leading(&self) -> AdminError {
        AdminError::NotLeading { leader: self.context.leader_lease.other_leader() }
    }
}

/// Refuses a change that the state of an election does not allow, before the other conditions of
/// the change are checked.
pub(super) fn check_state(election: &ElectionHandle, wanted: Change) -> Result<(), AdminError> {
    let state = election.committed().state();
    if wanted.is_possible_in(state) { Ok(()) } else { Err(AdminError::State { state, wanted }) }
}

fn halted(election: &ElectionHandle, reason: &str) -> AdminError {
    AdminError::Halted { law_id: election.law_id().clone(), reason: reason.to_owned() }
}

/// Checks a reason: one line of text, public in the log.
pub(super) fn check_reason(reason: &str) -> Result<(), AdminError> {
    check_text(TextPart::Reason, reason, 1..=REASON_LENGTH_MAX)
        .map_err(|error| AdminError::Field { field: "reason", rule: error.into() })
}
