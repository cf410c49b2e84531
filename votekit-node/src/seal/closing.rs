//! Drives the close of an election and the retirement of a node: executes the commands of the state
//! machines in votekit-authority.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use votekit_authority::close::{self, Close};
use votekit_authority::quiescence::{
    Clocks, Command, CountedEpochs, EpochProgress, Event, Obstacle, Process, counted_epochs,
    missing_epochs,
};
use votekit_authority::retirement::Retirement;
use votekit_core::election::State;
use votekit_core::election_log::{BlockContent, Change, ElectionLogError, LogEvent};
use votekit_core::id::{BatchNumber, Epoch, NodeId, Sequence};
use votekit_store::log_summary::LogSummary;
use votekit_store::{Conflict, EngineError};

use crate::call_rule::CallRule;
use crate::clock::monotonic;
use crate::election::{LEASE_LENGTH, Submission};
use crate::error::{AdminError, ElectionFault, NotReady};
use crate::ingest::intake::CLOCK_MARGIN;
use crate::recovery::restaging::restage_stored;
use crate::seal::endorse::is_lost;
use crate::seal::sealer::Sealer;
use crate::seal::staged_rows::StagedRows;

/// How long a close waits for other nodes to end their epochs before it returns the unmet
/// condition.
const STEP_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the ledger may take to store the closing. A ledger that was unavailable for longer
/// refuses the closing, and the official closes again.
const RECORDING_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause between two such reads.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Limits the lines about epochs that do not count: each read finds them again.
static EPOCHS_PASSED_OVER: LogSummary = LogSummary::new();

impl Sealer {
    /// Closes the election, or resumes an earlier close where it stopped: records the closing,
    /// publishes the accepted votes, seals everything, reconciles, opens the totals.
    pub(crate) async fn close(&mut self, reason: Option<String>) -> Result<(), AdminError> {
        let (close, first) = match self.state() {
            State::Open => Close::begin(self.close_rules(), monotonic()),
            State::Closing => Close::finish(self.close_rules(), monotonic()),
            state => return Err(AdminError::State { state, wanted: Change::Close }),
        };
        self.drive(close, first, reason).await
    }

    /// Resumes a close that was begun. Only an explicit close returns the condition for which it
    /// still waits.
    pub(crate) async fn resume_close(&mut self) -> Result<(), ElectionFault> {
        let (close, first) = Close::resume(self.close_rules(), monotonic());
        match self.drive(close, first, None).await {
            Ok(()) => Ok(()),
            Err(AdminError::Engine(error @ EngineError::Conflict(_))) => Err(error.into()),
            Err(AdminError::Election(fault)) if is_lost(&fault) => Err(fault),
            Err(error) => {
                let law_id = self.election.law_id();
                tracing::debug!(
                    event = "close_delayed",
                    %law_id,
                    %error,
                    "close not completed, retrying"
                );
                Ok(())
            }
        }
    }

    /// Retires a node that is permanently gone: it gets no more leases in its present epochs, its
    /// published batches are sealed, and its batch numbers above them are void.
    pub(crate) async fn retire(&mut self, node: NodeId) -> Result<(), AdminError> {
        if !matches!(self.state(), State::Open | State::Closing) {
            return Err(AdminError::State { state: self.state(), wanted: Change::RetireNode });
        }
        if self.election.log().node_key(node).is_none() {
            return Err(ElectionLogError::NotAdmitted { node }.into());
        }
        if node == self.node {
            return Err(AdminError::Field { field: "node", rule: CallRule::AnsweringNode });
        }
        let (retirement, first) = Retirement::begin(node, STEP_TIMEOUT, POLL_INTERVAL, monotonic());
        self.drive(retirement, first, None).await
    }

    fn close_rules(&self) -> close::Rules {
        close::Rules {
            // An authority accepts no votes, even without a name: ingest nodes do.
            has_other_nodes: self.context.config.name.is_some()
                || self.context.authorities.is_some(),
            has_several_authorities: self.context.authority.is_some(),
            lease_length: LEASE_LENGTH,
            clock_margin: CLOCK_MARGIN,
            recording: RECORDING_TIMEOUT,
            timeout: STEP_TIMEOUT,
            poll_interval: POLL_INTERVAL,
        }
    }

    /// Executes the commands of a process until it ends. `reason` is recorded with a closing.
    async fn drive(
        &mut self,
        mut process: impl Process + Send,
        mut command: Command,
        mut reason: Option<String>,
    ) -> Result<(), AdminError> {
        // The failure of the last look, or the refusal of the closing.
        let mut failure: Option<AdminError> = None;
        loop {
            let event = match command {
                Command::Done => return Ok(()),
                Command::GiveUp(obstacle) => return Err(self.explain(obstacle, failure)?),
                Command::Wait(pause) => {
                    tokio::time::sleep(pause).await;
                    Event::Waited
                }
                Command::ReadLeases
                | Command::SettleBallotBox
                | Command::SealStaged
                | Command::ReadEpochs => match self.read_in_flight(&command).await {
                    Ok(event) => event,
                    Err(error) if is_lost(&error) => return Err(error.into()),
                    Err(error) => {
                        failure = Some(error.into());
                        Event::Unavailable
                    }
                },
                Command::RecordClosing { closes, not_after } => {
                    let closing = LogEvent::Closing { closes, reason: reason.take() };
                    match self.record_before(vec![closing], not_after).await {
                        Ok(()) => Event::Recorded,
                        Err(error) if is_refused(&error) => {
                            failure = Some(error);
                            Event::Refused
                        }
                        Err(error) => return Err(error),
                    }
                }
                command => self.act(command).await?,
            };
            command = process.step(event, monotonic());
        }
    }

    /// Reads the leases, the ballot box, staging or the epochs, as the command requires. Changes
    /// nothing except by sealing, and by staging hidden batches again.
    async fn read_in_flight(&mut self, command: &Command) -> Result<Event, ElectionFault> {
        Ok(match command {
            Command::ReadLeases if !self.context.is_shared => Event::Leases(Vec::new()),
            Command::ReadLeases => {
                let leases = self.context.ledger.leases(self.election.law_id()).await?;
                Event::Leases(leases.iter().map(|lease| (lease.node, lease.epoch)).collect())
            }
            Command::SettleBallotBox => {
                self.context.ballot_box.settle(self.election.law_id()).await?;
                Event::Settled
            }
            Command::SealStaged => {
                self.drain().await?;
                Event::Sealed
            }
            _ => {
                let epochs = self.own_epoch_progress().await?;
                self.restage_hidden(&epochs).await?;
                Event::Epochs(epochs)
            }
        })
    }

    /// Stages the next batch of an epoch again, if it is in staging and this leader has not read
    /// it: its row was moved to where readers have passed, or the head calls a position sealed that
    /// is not. The node that published it may not run, and then no other node has it.
    async fn restage_hidden(&self, epochs: &[EpochProgress]) -> Result<(), ElectionFault> {
        let is_waiting = |one: &&EpochProgress| {
            one.staged_through > Some(one.sealed_through) && !one.is_ended && one.is_admitted
        };
        for one in epochs.iter().filter(is_waiting).filter(|_| self.context.is_shared) {
            let EpochProgress { node, epoch, sealed_through, .. } = *one;
            let next = BatchNumber { node, epoch, sequence: sealed_through.next() };
            if self.seal_queue.batch(&next).is_none() {
                restage_stored(&self.context, &self.election, next).await?;
            }
        }
        Ok(())
    }

    async fn act(&mut self, command: Command) -> Result<Event, AdminError> {
        match command {
            Command::ReadClocks => return Ok(Event::Clocks(self.clocks().await?)),
            Command::ReadTerm => return Ok(Event::Term(self.context.leader_lease.term())),
            Command::StopLeases => {
                self.context.ledger.set_takes_votes(self.election.law_id(), false).await?;
                return Ok(Event::LeasesStopped);
            }
            Command::GrantLeases => {
                self.context.ledger.set_takes_votes(self.election.law_id(), true).await?;
                return Ok(Event::LeasesGranted);
            }
            Command::FinishIntake => {
                let (reply, finished) = oneshot::channel();
                if self.election.intake.send(Submission::Finish(reply)).await.is_err() {
                    return Err(AdminError::OutcomeUnknown);
                }
                finished.await.map_err(|_| AdminError::OutcomeUnknown)??;
                return Ok(Event::IntakeFinished);
            }
            Command::Fence(node) => {
                self.context.ledger.fence(self.election.law_id(), node).await?;
                return Ok(Event::Fenced);
            }
            Command::RecordRetirements(epochs) => {
                let retire = |(node, epoch)| LogEvent::Retire { node, epoch };
                self.record(epochs.into_iter().map(retire).collect()).await?;
            }
            Command::RecordClose => {
                self.record_block(None, |log, maker| log.propose(&BlockContent::Close, maker))
                    .await?;
            }
            other => unreachable!("{other:?} is executed by its caller"),
        }
        Ok(Event::Recorded)
    }

    async fn clocks(&self) -> Result<Clocks, ElectionFault> {
        let ledger = match self.context.is_shared {
            true => Some(self.context.ledger.clock().await?),
            false => None,
        };
        // The own clock is read before the ledger's clock: the time between the two reads delays
        // the closing, and never makes it earlier.
        let own = self.context.now();
        let log_time = self.election.committed().results.updated_at;
        Ok(Clocks { own, ledger, latest_stamp: self.election.latest_stamp(), log_time })
    }

    /// The progress of each epoch, for a leader that ends some of them. It must include every batch
    /// that it has seen staged, because authorities that have seen the batch refuse a lower end.
    /// The ledger may have been restored from an older copy, and this authority may have been
    /// restarted since.
    async fn own_epoch_progress(&self) -> Result<Vec<EpochProgress>, ElectionFault> {
        let unsealed = self.observed_unsealed().await?;
        let seen: Vec<(NodeId, Epoch)> =
            unsealed.iter().map(|(node, epoch, _)| (*node, *epoch)).collect();
        let mut progress = self.epoch_progress(&seen).await?;
        for one in &mut progress {
            let key = (one.node, one.epoch);
            let own = unsealed.iter().find(|(node, epoch, _)| (*node, *epoch) == key);
            if let Some((_, _, observed)) = own {
                one.note_observed(*observed);
            }
        }
        self.review_unsigned(&mut progress).await?;
        Ok(progress)
    }

    /// The last batch of each epoch that this authority has seen staged, if it is not in the log.
    async fn observed_unsealed(&self) -> Result<Vec<(NodeId, Epoch, Sequence)>, ElectionFault> {
        let Some(authority) = self.context.authority.clone() else { return Ok(Vec::new()) };
        let law_id = self.election.law_id().clone();
        let mut observed = authority.durable(move |memory| memory.observed(&law_id)).await?;
        let log = self.election.log();
        let epochs = log.decisions().epochs();
        observed.retain(|(node, epoch, last)| *last > epochs.progress(*node, *epoch).through);
        Ok(observed)
    }

    /// The progress of each epoch: epochs that the ledger has allocated, if they count; epochs that
    /// are open in the log; epochs of which this authority has seen a batch; and, at the close,
    /// epochs that are missing.
    pub(crate) async fn epoch_progress(
        &self,
        seen: &[(NodeId, Epoch)],
    ) -> Result<Vec<EpochProgress>, EngineError> {
        let allocated = self.context.ledger.epochs(self.election.law_id()).await?;
        let CountedEpochs { counted: given, passed_over } =
            counted_epochs(allocated, self.signed_epochs(seen));
        self.report_passed_over(&passed_over);
        let missing = self.missing_epochs(&given);
        let mut staged = Vec::with_capacity(given.len());
        for (node, epoch) in &given {
            staged.push(self.staged_rows(*node, *epoch).await?);
        }
        let mut staged_of_missing = Vec::with_capacity(missing.len());
        for (node, epoch) in &missing {
            staged_of_missing.push(self.staged_rows(*node, *epoch).await?);
        }
        let log = self.election.log();
        let epochs = log.decisions().epochs();
        let open: Vec<(NodeId, Epoch)> = epochs.open().collect();
        let mut unknown: Vec<(NodeId, Epoch)> = Vec::new();
        for one in open.iter().chain(seen) {
            if !given.contains(one) && !missing.contains(one) && !unknown.contains(one) {
                unknown.push(*one);
            }
        }
        let progress = |(node, epoch): (NodeId, Epoch), is_given, rows: StagedRows| {
            let progress = epochs.progress(node, epoch);
            EpochProgress {
                node,
                epoch,
                is_given,
                is_missing: missing.contains(&(node, epoch)),
                is_admitted: log.node_key(node).is_some(),
                staged_through: rows.through,
                unsigned_through: rows.unsigned_through,
                sealed_through: progress.through,
                is_open: open.contains(&(node, epoch)),
                is_ended: progress.ended,
            }
        };
        let known = given.iter().zip(&staged).map(|(one, rows)| progress(*one, true, *rows));
        let unknown = unknown.iter().map(|one| progress(*one, false, StagedRows::default()));
        let missing = missing.iter().zip(&staged_of_missing);
        let missing = missing.map(|(one, rows)| progress(*one, false, *rows));
        Ok(known.chain(unknown).chain(missing).collect())
    }

    /// The epochs with a known batch that their node has signed: in the log, or seen staged.
    fn signed_epochs(&self, seen: &[(NodeId, Epoch)]) -> Vec<(NodeId, Epoch)> {
        let log = self.election.log();
        let sealed = log.decisions().epochs().iter();
        let sealed = sealed.filter(|(_, _, progress)| progress.through > Sequence(0));
        sealed.map(|(node, epoch, _)| (node, epoch)).chain(seen.iter().copied()).collect()
    }

    /// Reports epochs that another program has written into the ledger.
    fn report_passed_over(&self, epochs: &[(NodeId, Epoch)]) {
        let Some((node, epoch)) = epochs.first() else { return };
        if let Some(count) = EPOCHS_PASSED_OVER.due(Instant::now()) {
            tracing::error!(
                event = "epoch_passed_over",
                alarm = true,
                law_id = %self.election.law_id(),
                %node,
                epoch = epoch.0,
                epochs = epochs.len(),
                count,
                "the ledger has epochs that no node has begun, they do not count"
            );
        }
    }

    /// The epochs that neither the ledger nor the log has before later ones, once no node can get
    /// them any more: anyone who can write to the ledger can remove the row of an epoch.
    fn missing_epochs(&self, given: &[(NodeId, Epoch)]) -> Vec<(NodeId, Epoch)> {
        let log = self.election.log();
        if log.state() != State::Closing {
            return Vec::new();
        }
        let sealed = log.decisions().epochs().iter().map(|(node, epoch, _)| (node, epoch));
        missing_epochs(sealed.chain(given.iter().copied()))
    }

    /// The error of an aborted process.
    fn explain(
        &self,
        obstacle: Obstacle,
        failure: Option<AdminError>,
    ) -> Result<AdminError, AdminError> {
        Ok(match obstacle {
            Obstacle::Lease { node, epoch } => AdminError::Answering { node, epoch },
            Obstacle::Unsealed { node, epoch, staged, sealed } => {
                AdminError::Missing { node, epoch, staged, sealed }
            }
            Obstacle::OpenEpoch { node, epoch } => {
                let key = self.election.log().node_key(node).cloned();
                let named = self.context.folder.named_nodes()?;
                let name = named
                    .iter()
                    .find(|(_, named)| Some(named) == key.as_ref())
                    .map(|(name, _)| name.to_string());
                AdminError::NotEnded { node, name, epoch }
            }
            Obstacle::Unavailable | Obstacle::Refused => {
                failure.unwrap_or(AdminError::OutcomeUnknown)
            }
            Obstacle::NotLeading => ElectionFault::NotReady(NotReady::NotLeading).into(),
            Obstacle::TooLate => {
                ElectionFault::TooLate { law_id: self.election.law_id().clone() }.into()
            }
        })
    }
}

/// Whether a closing was refused, and is certainly not in the log.
fn is_refused(error: &AdminError) -> bool {
    match error {
        AdminError::Refused(_) => true,
        AdminError::Engine(error) => matches!(error.conflict(), Some(Conflict::Late { .. })),
        _ => false,
    }
}
