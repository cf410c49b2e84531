//! Intake: votes become batches, batches become durable, voters are answered.
//!
//! What arrives while the previous write is in flight goes into one batch, so one fsync answers
//! many voters and a lone voter waits for nobody. A batch whose outcome is unknown is published
//! again, unchanged, until it is confirmed; its voters are told so at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use getrandom::SysRng;
use rand_core::UnwrapErr;
use tokio::sync::{mpsc, oneshot};
use votekit_core::batch::{Batch, BatchHeader, NodeKey};
use votekit_core::envelope::Envelope;
use votekit_core::id::{BatchNumber, Epoch, Sequence};
use votekit_core::instant::UnixMinutes;
use votekit_store::retry::Backoff;
use votekit_store::{Conflict, EngineError, NoLease};
use zeroize::Zeroize;

use super::lease_renewal;
use crate::context::NodeContext;
use crate::election::{ElectionHandle, IntakeError, Stored, Submission, Voter};
use crate::memory::stack_used;
use crate::metrics;

/// The longest time for which a batch lets in those who are being served at this moment. It is
/// spent under full load alone: a batch costs signatures and a sync whatever is in it, and a lone
/// voter waits for nobody.
const GATHER_TIME_MAX: Duration = Duration::from_millis(4);

/// How far the clocks of the nodes may be apart before a vote that was answered in the last moment
/// could come out late.
pub(crate) const CLOCK_MARGIN: Duration = Duration::from_secs(2);

/// The intake of one election, as a task.
pub(crate) struct Intake {
    shared: Arc<NodeContext>,
    cell: Arc<ElectionHandle>,
    node_key: NodeKey,
    /// Set with the first batch, and anew when it was fenced.
    epoch: Option<Epoch>,
    /// The last sequence that is known durable.
    confirmed: Sequence,
    /// The latest minute of a vote that was taken.
    latest: UnixMinutes,
    /// No vote is taken any more.
    finished: bool,
    /// The last batch of the epoch is durable.
    ended: bool,
}

/// Empties the list of a batch. It is used for the next batch too, so the choices in it are
/// overwritten first.
fn forget(envelopes: &mut Vec<Envelope>) {
    envelopes.iter_mut().for_each(Zeroize::zeroize);
    envelopes.clear();
}

impl Intake {
    pub(crate) fn new(
        shared: Arc<NodeContext>,
        cell: Arc<ElectionHandle>,
        node_key: NodeKey,
    ) -> Self {
        Self {
            shared,
            cell,
            node_key,
            epoch: None,
            confirmed: Sequence(0),
            latest: UnixMinutes(0),
            finished: false,
            ended: false,
        }
    }

    /// Runs until the node drops the other end.
    pub(crate) async fn run(mut self, mut submissions: mpsc::Receiver<Submission>) {
        let mut envelopes = Vec::new();
        let mut voters = Vec::new();
        while let Some(first) = submissions.recv().await {
            let mut finish = self.take(first, &mut envelopes, &mut voters);
            let gathering = Instant::now();
            while finish.is_none() && envelopes.len() < self.shared.config.batch_votes_max {
                match submissions.try_recv() {
                    Ok(next) => finish = self.take(next, &mut envelopes, &mut voters),
                    Err(_) if gathering.elapsed() > GATHER_TIME_MAX => break,
                    // Whatever else can run now runs first. If no vote comes of it, nobody is about
                    // to come.
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
                // Whoever asked may have gone away; the epoch ends all the same.
                let _ = reply.send(self.finish().await);
            }
        }
    }

    fn take(
        &mut self,
        submission: Submission,
        envelopes: &mut Vec<Envelope>,
        voters: &mut Vec<Voter>,
    ) -> Option<oneshot::Sender<Result<(), EngineError>>> {
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

    /// Minutes never decrease in an epoch. A vote that was stamped at the end of a minute and came
    /// here after one of the next minute gets the later stamp, unless that would make it late.
    fn stamp_in_order(&mut self, envelope: &mut Envelope) -> bool {
        if envelope.received < self.latest {
            if self.cell.committed().closes.is_some_and(|closes| self.latest >= closes) {
                return false;
            }
            envelope.received = self.latest;
        }
        self.latest = envelope.received;
        true
    }

    async fn publish_votes(&mut self, envelopes: &mut Vec<Envelope>, voters: &mut Vec<Voter>) {
        let published = match self.seal(envelopes, false).await {
            Ok(batch) => self.publish(&batch, envelopes, voters).await,
            Err(error @ EngineError::Conflict(Conflict::NoLease { .. })) => Err(error),
            // Whatever became of the lease or the epoch that was asked for: no vote was published.
            Err(error) => {
                Err(EngineError::Unavailable { engine: "the ledger", reason: error.to_string() })
            }
        };
        let outcome = match published {
            // What is confirmed counts; but without a lease nobody may be told so, since the close
            // may have passed meanwhile.
            Ok(()) => {
                self.cell.writes.record_success();
                metrics::submitted(envelopes.len() as u64);
                let answered = self.cell.lease().is_some_and(|lease| lease.lasts());
                if answered { Ok(()) } else { Err(IntakeError::OutcomeUnknown) }
            }
            Err(error @ EngineError::Unavailable { .. }) => {
                self.cell.writes.record_failure();
                Err(IntakeError::Unavailable(error))
            }
            Err(EngineError::Conflict(Conflict::NoLease { .. })) => Err(IntakeError::Finished),
            // The node stops, and what the disk holds is known only after the restart: nobody may
            // be told that nothing was stored.
            Err(_) => Err(IntakeError::OutcomeUnknown),
        };
        self.answer_all(envelopes, voters, &outcome);
        forget(envelopes);
    }

    /// Answers the voters of a batch; those who were answered before are no longer among them.
    fn answer_all(&self, envelopes: &[Envelope], voters: &mut Vec<Voter>, stored: &Stored) {
        for envelope in envelopes {
            self.shared.pending.record_stored(&envelope.request, stored);
        }
        for voter in voters.drain(..) {
            // It may have gone away.
            let _ = voter.send(stored.clone());
        }
    }

    fn answer(&self, envelope: &Envelope, voter: Voter, stored: &Stored) {
        self.answer_all(std::slice::from_ref(envelope), &mut vec![voter], stored);
    }

    /// The epoch to publish in, with a lease that lasts.
    async fn epoch(&mut self) -> Result<Epoch, EngineError> {
        let node = self.node_key.node_id();
        loop {
            let epoch = match self.epoch {
                Some(epoch) => epoch,
                None => {
                    let epoch = self.shared.ledger.allocate_epoch(self.cell.law_id(), node).await?;
                    self.confirmed = Sequence(0);
                    *self.epoch.insert(epoch)
                }
            };
            if self.cell.lease().is_some_and(|lease| lease.epoch == epoch && lease.lasts()) {
                return Ok(epoch);
            }
            match lease_renewal::acquire(&self.shared, &self.cell, node, epoch).await {
                Ok(lease) => self.cell.set_lease(lease),
                // Somebody took this node for gone. What it confirmed in that epoch counts; it goes
                // on in another.
                Err(EngineError::Conflict(Conflict::NoLease {
                    reason: NoLease::Fenced, ..
                })) => {
                    tracing::warn!(law_id = %self.cell.law_id(), epoch = epoch.0, "the epoch of this node was fenced: it begins another");
                    self.epoch = None;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn seal(
        &mut self,
        envelopes: &[Envelope],
        last: bool,
    ) -> Result<Arc<Batch>, EngineError> {
        // The last batch answers nobody, and needs no lease.
        let epoch = match self.epoch {
            Some(epoch) if last => epoch,
            _ => self.epoch().await?,
        };
        let number =
            BatchNumber { node: self.node_key.node_id(), epoch, sequence: self.confirmed.next() };
        let header = BatchHeader {
            law_id: self.cell.law_id().clone(),
            number,
            confirmed_through: self.confirmed,
            last,
        };
        stack_used();
        Batch::seal(
            header,
            envelopes,
            &self.cell.definition.ballot_key,
            &self.node_key,
            // Without randomness nothing can be encrypted, and the task panics.
            &mut UnwrapErr(SysRng),
        )
        .map(Arc::new)
        .map_err(|error| EngineError::Unavailable {
            engine: "encryption",
            reason: error.to_string(),
        })
    }

    /// Publishes a batch until it is confirmed, or known not to be stored. When the outcome is
    /// unknown the voters are told and let go, and the same bytes are published again for as long
    /// as it takes: their number is spent.
    async fn publish(
        &mut self,
        batch: &Arc<Batch>,
        envelopes: &[Envelope],
        voters: &mut Vec<Voter>,
    ) -> Result<(), EngineError> {
        let mut backoff = Backoff::new();
        let mut unknown = false;
        loop {
            match self.shared.ballot_box.publish(batch).await {
                Ok(()) => {
                    self.confirmed = batch.number().sequence;
                    // Not which batch: with its time it would date votes more finely than the log.
                    tracing::debug!(votes = batch.count(), "a batch is durable");
                    return Ok(());
                }
                Err(
                    error @ (EngineError::Fatal { .. }
                    | EngineError::Panicked { .. }
                    | EngineError::Conflict(_)
                    | EngineError::Corrupt { .. }),
                ) => {
                    tracing::error!(batch = %batch.number(), %error, "a batch could not be published");
                    self.shared.fail_election(&self.cell, &error);
                    return Err(error);
                }
                Err(error @ EngineError::Unavailable { .. }) if !unknown => return Err(error),
                Err(error) => {
                    if !unknown {
                        tracing::warn!(batch = %batch.number(), %error, "the outcome of a batch is unknown: publishing it again");
                    }
                    unknown = true;
                    self.answer_all(envelopes, voters, &Err(IntakeError::OutcomeUnknown));
                    backoff.pause().await;
                }
            }
        }
    }

    async fn finish(&mut self) -> Result<(), EngineError> {
        self.finished = true;
        if self.ended || self.epoch.is_none() {
            return Ok(());
        }
        // What is refused now is tried again when the close is asked for again.
        let batch = self.seal(&[], true).await?;
        self.publish(&batch, &[], &mut Vec::new()).await?;
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

    /// How often a choice stands in the memory of a list: read as another process would, since a
    /// cleared list gives nothing out.
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
