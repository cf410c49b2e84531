//! Intake: votes become batches, batches become durable, voters are answered.
//!
//! Votes that arrive while the previous write is in flight go into one batch, so one fsync
//! acknowledges many voters, and a lone voter does not wait. A batch whose outcome is unknown is
//! published again, unchanged, until it is confirmed; its voters get `OutcomeUnknown` at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use getrandom::SysRng;
use rand_core::UnwrapErr;
use tokio::sync::{mpsc, oneshot};
use votekit_authority::quiescence::EPOCH_STEP_MAX;
use votekit_core::batch::{Batch, BatchHeader, NodeKey};
use votekit_core::envelope::Envelope;
use votekit_core::id::{BatchNumber, Epoch, NodeId, Sequence};
use votekit_core::instant::UnixMinutes;
use votekit_store::log_summary::LogSummary;
use votekit_store::retry::Backoff;
use votekit_store::{Conflict, EngineError, NoLease};
use zeroize::Zeroize;

use super::epoch_marks::EpochMarks;
use super::last_batch::last_batch;
use super::{epoch_end, lease_renewal};
use crate::context::{NodeContext, Owner};
use crate::election::{ElectionHandle, IntakeError, Stored, Submission, Voter};
use crate::error::{ElectionFault, NotReady};
use crate::memory::stack_used;
use crate::metrics;
use crate::recovery::election_keys;

/// The longest time for which a batch admits votes that are being processed at this moment. It is
/// used up under full load only: a batch of any size costs signatures and a sync, and a lone voter
/// does not wait.
const GATHER_TIME_MAX: Duration = Duration::from_millis(4);

/// The shortest time from one batch to the next with several authorities, unless as many votes wait
/// as in [`PACED_VOTES`]. Each authority verifies, decrypts and keeps every batch, whatever its
/// size. The first vote after a quiet moment does not wait.
const PACED_INTERVAL: Duration = Duration::from_millis(8);

/// The votes that are published at once: waiting for more would save little.
const PACED_VOTES: usize = 32;

/// The longest pause before a batch of unknown outcome is published again. Later votes wait for it,
/// and an attempt costs little while the ballot box is unavailable.
const REPUBLISH_PAUSE_MAX: Duration = Duration::from_millis(500);

/// The maximum difference between the clocks of nodes at which a vote answered in the last moment
/// is not late.
pub(crate) const CLOCK_MARGIN: Duration = Duration::from_secs(2);

/// The intake of one election, as a task.
pub(crate) struct Intake {
    context: Arc<NodeContext>,
    election: Arc<ElectionHandle>,
    node_key: NodeKey,
    /// Set with the first batch, and again after a fence.
    epoch: Option<Epoch>,
    /// This node's own record of its epochs, on a shared ledger.
    marks: Option<Arc<EpochMarks>>,
    /// The last sequence known to be durable.
    confirmed: Sequence,
    /// The earliest time of the next small batch.
    next_batch: Instant,
    /// The latest minute of an accepted vote.
    latest: UnixMinutes,
    /// Set when no more votes are accepted.
    finished: bool,
    /// Set when the last batch of the epoch is durable.
    ended: bool,
}

/// Limit the log lines about a ledger that was restored from an older copy: there would be one for
/// each batch of votes.
static LOG_BEHIND: LogSummary = LogSummary::new();
static EPOCHS_REFUSED: LogSummary = LogSummary::new();

/// Clears the list of a batch. The list is reused for the next batch, so the choices in it are
/// overwritten first.
fn forget(envelopes: &mut Vec<Envelope>) {
    envelopes.iter_mut().for_each(Zeroize::zeroize);
    envelopes.clear();
}

impl Intake {
    pub(crate) fn new(
        context: Arc<NodeContext>,
        election: Arc<ElectionHandle>,
        node_key: NodeKey,
        marks: Option<Arc<EpochMarks>>,
    ) -> Self {
        Self {
            marks,
            context,
            election,
            node_key,
            epoch: None,
            confirmed: Sequence(0),
            next_batch: Instant::now(),
            latest: UnixMinutes(0),
            finished: false,
            ended: false,
        }
    }

    /// Runs until the node drops the sender.
    pub(crate) async fn run(mut self, mut submissions: mpsc::Receiver<Submission>) {
        let mut envelopes = Vec::new();
        let mut voters = Vec::new();
        while let Some(first) = submissions.recv().await {
            let mut finish = self.take(first, &mut envelopes, &mut voters);
            if finish.is_none() {
                finish = self.wait_for_more(&mut submissions, &mut envelopes, &mut voters).await;
            }
            let gathering = Instant::now();
            while finish.is_none() && envelopes.len() < self.context.config.batch_votes_max {
                match submissions.try_recv() {
                    Ok(next) => finish = self.take(next, &mut envelopes, &mut voters),
                    Err(_) if gathering.elapsed() > GATHER_TIME_MAX => break,
                    // Lets every other ready task run first. If no vote arrives from them, none is
                    // about to arrive.
                    Err(_) => {
                        tokio::task::yield_now().await;
                        match submissions.try_recv() {
                            Ok(next) => finish = self.take(next, &mut envelopes, &mut voters),
                            Err(_) => break,
                        }
                    }
                }
            }
            if !envelopes.is_empty() {
                self.publish_votes(&mut envelopes, &mut voters).await;
            }
            if let Some(reply) = finish {
                // The caller may have been dropped; the epoch ends in any case.
                let _ = reply.send(self.finish().await);
            }
        }
    }

    /// Takes votes until the next batch is due.
    async fn wait_for_more(
        &mut self,
        submissions: &mut mpsc::Receiver<Submission>,
        envelopes: &mut Vec<Envelope>,
        voters: &mut Vec<Voter>,
    ) -> Option<oneshot::Sender<Result<(), ElectionFault>>> {
        self.context.authorities.as_ref()?;
        let most = PACED_VOTES.min(self.context.config.batch_votes_max);
        let mut finish = None;
        while finish.is_none() && envelopes.len() < most {
            let next = tokio::time::timeout_at(self.next_batch.into(), submissions.recv());
            let Ok(Some(next)) = next.await else { break };
            finish = self.take(next, envelopes, voters);
        }
        self.next_batch = Instant::now() + PACED_INTERVAL;
        finish
    }

    fn take(
        &mut self,
        submission: Submission,
        envelopes: &mut Vec<Envelope>,
        voters: &mut Vec<Voter>,
    ) -> Option<oneshot::Sender<Result<(), ElectionFault>>> {
        match submission {
            Submission::Vote(envelope, voter) if self.finished => {
                self.answer(&envelope, voter, &Err(IntakeError::Finished));
            }
            Submission::Vote(mut envelope, voter) => {
                if !self.stamp_in_order(&mut envelope) {
                    self.answer(&envelope, voter, &Err(IntakeError::Finished));
                    return None;
                }
                envelopes.push(**envelope);
                voters.push(voter);
            }
            Submission::Finish(reply) => return Some(reply),
        }
        None
    }

    /// Minutes never decrease in an epoch. A vote that was stamped at the end of a minute, but
    /// arrives here after a vote of the next minute, gets the later stamp; returns `false` if that
    /// would make it late.
    fn stamp_in_order(&mut self, envelope: &mut Envelope) -> bool {
        if envelope.received < self.latest {
            if self.election.committed().closes.is_some_and(|closes| self.latest >= closes) {
                return false;
            }
            envelope.received = self.latest;
        }
        self.latest = envelope.received;
        true
    }

    async fn publish_votes(&mut self, envelopes: &mut Vec<Envelope>, voters: &mut Vec<Voter>) {
        let published = match self.seal(envelopes).await {
            Ok(batch) => self.publish(&batch, envelopes, voters).await,
            Err(error) if matches!(error.conflict(), Some(Conflict::NoLease { .. })) => Err(error),
            // No vote was published, for any outcome of the lease or the epoch request.
            Err(error) => {
                Err(ElectionFault::NotReady(NotReady::NotPublished { reason: error.to_string() }))
            }
        };
        let outcome = match published {
            // A confirmed vote counts. But without a lease it must not be acknowledged, since the
            // close may have passed meanwhile.
            Ok(()) => {
                self.election.writes.record_success();
                metrics::submitted(envelopes.len() as u64);
                let answered = self.election.lease().is_some_and(|lease| lease.is_valid());
                if answered { Ok(()) } else { Err(IntakeError::OutcomeUnknown) }
            }
            Err(
                error @ (ElectionFault::Engine(EngineError::Unavailable { .. })
                | ElectionFault::NotReady(_)),
            ) => {
                self.election.writes.record_failure();
                Err(IntakeError::Unavailable(error))
            }
            Err(error) if matches!(error.conflict(), Some(Conflict::NoLease { .. })) => {
                Err(IntakeError::Finished)
            }
            // The node stops, and the content of the disk is known only after the restart: no
            // answer to a voter may say that nothing was stored.
            Err(_) => Err(IntakeError::OutcomeUnknown),
        };
        self.answer_all(envelopes, voters, &outcome);
        forget(envelopes);
    }

    /// Answers the voters of a batch and clears the list: a second call answers no voter again.
    fn answer_all(&self, envelopes: &[Envelope], voters: &mut Vec<Voter>, stored: &Stored) {
        for envelope in envelopes {
            self.context.pending.record_stored(&envelope.request, stored);
        }
        for voter in voters.drain(..) {
            // The receiver may be gone.
            let _ = voter.send(stored.clone());
        }
    }

    fn answer(&self, envelope: &Envelope, voter: Voter, stored: &Stored) {
        self.answer_all(std::slice::from_ref(envelope), &mut vec![voter], stored);
    }

    /// Fails while the log is shorter than this node has read it, in this run or an earlier one: a
    /// ledger that was restored from an older copy may grant leases for a poll that is closing.
    fn check_log_is_whole(&self) -> Result<(), ElectionFault> {
        let height = self.election.committed().height;
        if self.marks.as_ref().is_none_or(|marks| !marks.has_read_beyond(height)) {
            return Ok(());
        }
        let reason =
            "the ledger lacks blocks that this node has read: it was rolled back".to_owned();
        if let Some(count) = LOG_BEHIND.due(Instant::now()) {
            tracing::error!(
                event = "votes_wait_for_log",
                alarm = true,
                law_id = %self.election.law_id(),
                height,
                count,
                "votes refused: the ledger lacks blocks that this node has read"
            );
        }
        Err(ElectionFault::NotReady(NotReady::NotPublished { reason }))
    }

    /// The epoch to publish in, with a valid lease.
    async fn epoch(&mut self) -> Result<Epoch, ElectionFault> {
        self.check_log_is_whole()?;
        let node = self.node_key.node_id();
        loop {
            let epoch = match self.epoch {
                Some(epoch) => epoch,
                None => {
                    // The last epoch of a retired node was fenced, and none follows. Its key stays
                    // in the logs that admitted it.
                    if self.context.is_shared
                        && election_keys::is_retired(&self.context, node).await?
                    {
                        return Err(ElectionFault::NotReady(NotReady::NotAdmitted));
                    }
                    self.begin_above(Epoch(0)).await?
                }
            };
            if self.election.lease().is_some_and(|lease| lease.epoch == epoch && lease.is_valid()) {
                return Ok(epoch);
            }
            match lease_renewal::acquire(&self.context, &self.election, node, epoch).await {
                Ok(lease) => self.election.set_lease(lease),
                // The epoch was fenced, because this node was considered lost. Batches that it
                // confirmed there count; it continues in a new epoch.
                Err(ElectionFault::Engine(EngineError::Conflict(Conflict::NoLease {
                    reason: NoLease::Fenced,
                    ..
                }))) => {
                    tracing::warn!(
                        event = "epoch_fenced",
                        law_id = %self.election.law_id(),
                        epoch = epoch.0,
                        "epoch fenced, beginning another"
                    );
                    self.epoch = None;
                }
                Err(ElectionFault::Engine(EngineError::Conflict(Conflict::NoLease {
                    reason: NoLease::NoEpoch,
                    ..
                }))) => {
                    let has_published = self.confirmed > Sequence(0);
                    let begun = self.begin_above(epoch).await?;
                    if has_published {
                        self.end_lost(epoch);
                    }
                    tracing::warn!(
                        event = "epoch_lost",
                        law_id = %self.election.law_id(),
                        lost = epoch.0,
                        epoch = begun.0,
                        "the ledger has lost the epoch of this node, beginning another"
                    );
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Begins an epoch above the lost epoch and all earlier epochs of this node: a ledger that was
    /// restored from an older copy allocates their numbers again, but batches of this node have
    /// these numbers.
    async fn begin_above(&mut self, lost: Epoch) -> Result<Epoch, ElectionFault> {
        let (law_id, node) = (self.election.law_id(), self.node_key.node_id());
        let in_log = self.highest_epoch(node);
        let marked = self.marks.as_ref().map_or(Epoch(0), |marks| marks.last());
        let above = lost.max(in_log).max(marked);
        // The limit does not depend on epochs that this node has begun without a batch: otherwise
        // the close would not reach the next epoch.
        let confirmed = self.marks.as_ref().map_or(Epoch(0), |marks| marks.last_confirmed());
        let highest = Epoch(in_log.max(confirmed).0.saturating_add(EPOCH_STEP_MAX));
        let given = self.context.ledger.allocate_epoch_above(law_id, node, above).await?;
        if given <= above || given > highest {
            return Err(self.epoch_out_of_order(given));
        }
        if let Some(marks) = self.marks.clone() {
            let written = tokio::task::spawn_blocking(move || marks.begin(given)).await;
            let written = written.unwrap_or_else(|error| Err(std::io::Error::other(error)));
            written.map_err(|error| {
                let reason = format!("the record of this node's epochs is not written: {error}");
                ElectionFault::NotReady(NotReady::NotPublished { reason })
            })?;
        }
        (self.epoch, self.confirmed) = (Some(given), Sequence(0));
        Ok(given)
    }

    /// The highest epoch of this node in the log; 0 if there is none.
    fn highest_epoch(&self, node: NodeId) -> Epoch {
        let log = self.election.log();
        let own = log.decisions().epochs().iter().filter(|(of, ..)| *of == node);
        own.map(|(_, epoch, _)| epoch).max().unwrap_or(Epoch(0))
    }

    fn epoch_out_of_order(&self, given: Epoch) -> ElectionFault {
        if let Some(count) = EPOCHS_REFUSED.due(Instant::now()) {
            tracing::error!(
                event = "epoch_out_of_order",
                alarm = true,
                law_id = %self.election.law_id(),
                epoch = given.0,
                count,
                "the ledger allocates an epoch that cannot be the next one: it is not used"
            );
        }
        let reason = format!("the ledger allocates epoch {}, which cannot be the next", given.0);
        ElectionFault::NotReady(NotReady::NotPublished { reason })
    }

    /// Ends an epoch of this run that the ledger has lost, once the authorities have restored its
    /// batches: nothing more is published in it, and the node may not run again before the close.
    fn end_lost(&self, epoch: Epoch) {
        let (context, election) = (Arc::clone(&self.context), Arc::clone(&self.election));
        let (node_key, marks) = (self.node_key.clone(), self.marks.clone());
        let ended = epoch_end::run(context, Arc::clone(&election), node_key, marks, vec![epoch]);
        self.context.spawn(Owner::Election(election), ended);
    }

    async fn seal(&mut self, envelopes: &[Envelope]) -> Result<Arc<Batch>, ElectionFault> {
        let epoch = self.epoch().await?;
        // One batch is in flight at a time, so the next number follows the last confirmed one.
        let number =
            BatchNumber { node: self.node_key.node_id(), epoch, sequence: self.confirmed.next() };
        let header = BatchHeader {
            law_id: self.election.law_id().clone(),
            number,
            confirmed_through: self.confirmed,
            last: false,
        };
        stack_used();
        Batch::seal(
            header,
            envelopes,
            &self.election.definition.ballot_key,
            &self.node_key,
            // Without randomness nothing can be encrypted, and the task panics.
            &mut UnwrapErr(SysRng),
        )
        .map(Arc::new)
        .map_err(|error| ElectionFault::damaged(error.to_string()))
    }

    /// Publishes a batch until it is confirmed, or known not to be stored. When the outcome is
    /// unknown, the voters get this answer at once, and the same bytes are published again until
    /// they are confirmed: their number is used up.
    async fn publish(
        &mut self,
        batch: &Arc<Batch>,
        envelopes: &[Envelope],
        voters: &mut Vec<Voter>,
    ) -> Result<(), ElectionFault> {
        let mut backoff = Backoff::up_to(REPUBLISH_PAUSE_MAX);
        let mut unknown = false;
        loop {
            match self.context.ballot_box.publish(batch).await {
                Ok(()) => {
                    self.confirmed = batch.number().sequence;
                    if let Some(marks) = &self.marks {
                        marks.confirm(batch.number().epoch, self.confirmed);
                    }
                    if self.context.is_shared {
                        self.election.unsealed.add(batch, Instant::now());
                    }
                    // Without the batch number: with the time of this line it would date votes more
                    // finely than the log does.
                    tracing::debug!(
                        event = "batch_published",
                        votes = batch.count(),
                        "batch published"
                    );
                    return Ok(());
                }
                Err(
                    error @ (EngineError::Fatal { .. }
                    | EngineError::Panicked { .. }
                    | EngineError::Conflict(_)
                    | EngineError::Corrupt { .. }),
                ) => {
                    tracing::error!(
                        event = "batch_publish_failed",
                        batch = %batch.number(),
                        %error,
                        "batch not published"
                    );
                    let error = ElectionFault::from(error);
                    self.context.fail_election(&self.election, &error);
                    return Err(error);
                }
                Err(error @ EngineError::Unavailable { .. }) if !unknown => {
                    return Err(error.into());
                }
                Err(error) => {
                    if !unknown {
                        tracing::warn!(
                            event = "batch_outcome_unknown",
                            batch = %batch.number(),
                            %error,
                            "outcome of a batch unknown, publishing again"
                        );
                    }
                    unknown = true;
                    self.answer_all(envelopes, voters, &Err(IntakeError::OutcomeUnknown));
                    backoff.pause().await;
                }
            }
        }
    }

    async fn finish(&mut self) -> Result<(), ElectionFault> {
        self.finished = true;
        let Some(epoch) = self.epoch.filter(|_| !self.ended) else { return Ok(()) };
        // It acknowledges no voter, and needs no lease. A failure here is retried when the close is
        // requested again.
        let batch = last_batch(&self.election, &self.node_key, epoch, self.confirmed)?;
        self.publish(&Arc::new(batch), &[], &mut Vec::new()).await?;
        self.ended = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt as _;

    use votekit_core::ballot::ChoiceIndex;
    use votekit_core::credential::CredentialHash;
    use votekit_core::id::RequestId;

    use super::*;

    /// Occurrences of a choice in the memory of a list, read as another process would, since a
    /// cleared list returns nothing.
    fn choices_left(envelopes: &Vec<Envelope>, choice: ChoiceIndex) -> usize {
        let mut bytes = vec![0; envelopes.capacity() * size_of::<Envelope>()];
        let memory = File::open("/proc/self/mem").expect("the memory of this process");
        let address = envelopes.as_ptr().addr() as u64;
        memory.read_exact_at(&mut bytes, address).expect("the list is mapped");
        bytes.windows(2).filter(|pair| **pair == choice.0.to_ne_bytes()).count()
    }

    #[test]
    fn a_list_that_is_used_again_keeps_no_choice() {
        let choice = ChoiceIndex(0xb7c9);
        let envelope = |number: u8| Envelope {
            request: RequestId::from_bytes([number; 16]),
            hash: CredentialHash::from_bytes([number; 32]),
            received: UnixMinutes(28_333_333),
            choice,
        };
        let mut envelopes: Vec<Envelope> = (0..100).map(envelope).collect();
        assert_eq!(choices_left(&envelopes, choice), 100);
        forget(&mut envelopes);
        assert!(envelopes.is_empty());
        assert_eq!(choices_left(&envelopes, choice), 0);
    }
}
