//! Sealing: staged batches are decided and appended to the log, one block at a time, by one task
//! per election.
//!
//! A block is proposed by [`ElectionLog`] and endorsed (`endorse`). Its effect is applied and shown
//! to readers only once the ledger has stored it. A commit whose outcome is unknown is repeated
//! with the same bytes until the outcome is known.
//!
//! Of several nodes on one ledger one leads and seals; the others follow the log (`follower`). A
//! leader that lost its lease learns it from the ledger's refusal at the latest: it drops its
//! proposal and follows from the log in its memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use votekit_core::batch::{SealedEnvelope, VerifiedBatch};
use votekit_core::decision::{Decision, Entry, InvalidReason};
use votekit_core::election::State;
use votekit_core::election_log::{
    BlockContent, BlockMaker, ElectionLog, ElectionLogError, LogEvent, Proposal,
};
use votekit_core::id::{NodeId, RequestId};
use votekit_core::instant::UnixMillis;
use votekit_store::{Conflict, StagingId};

use crate::audit::{AuditEvent, AuditFields};
use crate::context::NodeContext;
use crate::election::{Committed, ElectionHandle, Position, SealerCommand};
use crate::error::{AdminError, ElectionFault, NotReady};
use crate::memory::with_overwritten_stack;
use crate::metrics::{self, Status};
use crate::recovery::READ_BATCH_LEN;
use crate::seal::due_batch::LeaderWatch;
use crate::seal::endorse::{
    Endorse, Endorsement, ProposedBlock, is_lost, is_overtaken, is_too_late, lost_proposal,
    term_found,
};
use crate::seal::endorser::endorser;
use crate::seal::made_block::{
    BLOCK_BATCHES_MAX, MadeBlock, RoundInputs, block_interval, make_block,
};
use crate::seal::proposals::Acceptor;
use crate::seal::read_positions::StagingSurvey;
use crate::seal::seal_queue::{SealQueue, StagingMark};

/// Delays at which a leader polls for staged batches after it found none, first and limit. A batch
/// staged while the previous one was being sealed may go unannounced, so an idle leader polls a few
/// more times; then the watch over all logs is enough.
const IDLE_POLL_INTERVAL_MIN: Duration = Duration::from_millis(20);
const IDLE_POLL_INTERVAL_MAX: Duration = Duration::from_millis(640);

/// How often a sealer checks what no event announces: leases that ran out, keys that were
/// destroyed, batches that wait for others, a close that waits.
const TICK_INTERVAL: Duration = Duration::from_secs(1);

/// Interval between checks of an open round by a follower.
const ROUND_INTERVAL: Duration = Duration::from_millis(100);

/// The interval between attempts to resume a close that waits.
const RESUME_CLOSE_INTERVAL: Duration = Duration::from_secs(2);

/// The sealer of one election, as a task.
pub(crate) struct Sealer {
    pub(crate) context: Arc<NodeContext>,
    pub(crate) election: Arc<ElectionHandle>,
    pub(crate) node: NodeId,
    pub(crate) seal_queue: SealQueue,
    endorse: Box<dyn Endorse>,
    /// What this authority has made of the proposals of others.
    pub(crate) acceptor: Acceptor,
    pub(crate) leader_watch: LeaderWatch,
    /// The earliest time of the next block of votes.
    next_block: Instant,
    positions: watch::Receiver<Position>,
    leading: watch::Receiver<Option<u64>>,
    /// Notifies of rows about this election's rounds, where there are several authorities.
    round_rows: watch::Receiver<u64>,
    /// How often this authority had found the ledger rolled back when staging was last begun anew.
    pub(crate) rollbacks: u64,
    /// The earliest time at which staging that ends below what was read is polled again.
    pub(crate) next_staging_poll: Instant,
    pub(crate) survey: StagingSurvey,
    /// The delay before a leader of a shared ledger polls for staged batches again; `None` once it
    /// has polled often enough.
    idle_poll: Option<Duration>,
}

/// Whether the task continues.
#[derive(PartialEq, Eq)]
enum Flow {
    Continue,
    Stop,
}

impl Sealer {
    pub(crate) fn new(
        context: Arc<NodeContext>,
        election: Arc<ElectionHandle>,
        node: NodeId,
    ) -> Self {
        let seal_queue = SealQueue::new(election.committed().sealed_through);
        let (signer, law_id) = (Arc::clone(&election.signer), election.law_id().clone());
        let round_rows = match &context.authority {
            Some(authority) => authority.board.changes(&law_id),
            None => watch::Sender::new(0).subscribe(),
        };
        let rollbacks =
            context.authority.as_ref().map_or(0, |authority| authority.rollbacks(&law_id));
        let endorse = endorser(&context, signer, law_id);
        let (positions, leading) = (election.positions(), context.leader_lease.changes());
        Self {
            context,
            election,
            node,
            seal_queue,
            endorse,
            acceptor: Acceptor::default(),
            leader_watch: LeaderWatch::default(),
            round_rows,
            rollbacks,
            next_staging_poll: Instant::now(),
            survey: StagingSurvey::new(),
            next_block: Instant::now(),
            positions,
            leading,
            idle_poll: None,
        }
    }

    /// Runs until a stop command, a closed channel or a permanent failure.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<SealerCommand>) {
        while self.election.halted().is_none() {
            let worked = match self.handle_rollback().await {
                Ok(()) => match self.context.leader_lease.term() {
                    Some(term) => self.lead(term, &mut commands).await,
                    None => self.wait_and_follow(&mut commands).await,
                },
                Err(error) => Err(error),
            };
            let worked = match worked {
                // The proposal was dropped: the log in memory is still the one in the ledger.
                Err(error) if self.context.is_shared && is_overtaken(&error) => {
                    tracing::warn!(
                        event = "leadership_lost",
                        law_id = %self.election.law_id(),
                        %error,
                        "another leader appended to the log"
                    );
                    self.context.leader_lease.overtaken(term_found(&error));
                    Ok(Flow::Continue)
                }
                Err(error) if is_too_late(&error) => {
                    tracing::warn!(
                        event = "closing_timed_out",
                        law_id = %self.election.law_id(),
                        %error,
                        "closing not stored in time"
                    );
                    Ok(Flow::Continue)
                }
                Err(error) if matches!(error.conflict(), Some(Conflict::NotStaged { .. })) => {
                    self.recover_lost_staging().await.map(|()| Flow::Continue)
                }
                // The lease ran out before a proposal was made.
                Err(error)
                    if self.context.is_shared
                        && error.is_passing()
                        && self.context.leader_lease.term().is_none() =>
                {
                    tracing::warn!(
                        event = "lease_lost",
                        law_id = %self.election.law_id(),
                        %error,
                        "leader lease lost"
                    );
                    Ok(Flow::Continue)
                }
                worked => worked,
            };
            match worked {
                Ok(Flow::Continue) => {}
                Ok(Flow::Stop) => return,
                Err(error) => return self.context.fail_election(&self.election, &error),
            }
        }
    }

    /// Seals as long as this node leads in this term.
    async fn lead(
        &mut self,
        term: u64,
        commands: &mut mpsc::Receiver<SealerCommand>,
    ) -> Result<Flow, ElectionFault> {
        if self.context.is_shared {
            self.follow().await?;
        }
        if !self.settle_term(term).await? {
            return Ok(Flow::Continue);
        }
        self.idle_poll = Some(IDLE_POLL_INTERVAL_MIN);
        let (mut next_resume, mut regranted) =
            (Instant::now() + RESUME_CLOSE_INTERVAL, Instant::now());
        while self.context.leader_lease.term() == Some(term) && !self.is_rolled_back() {
            let command = tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => Some(command),
                    None => return Ok(Flow::Stop),
                },
                () = self.election.staged.notified() => None,
                Ok(()) = self.positions.changed(), if self.context.is_shared => None,
                Ok(()) = self.leading.changed() => continue,
                () = tokio::time::sleep(self.idle_poll.unwrap_or(TICK_INTERVAL)),
                    if self.context.is_shared => None,
            };
            // Another task may have halted the election: nothing more of it is sealed.
            if self.election.halted().is_some() {
                return Ok(Flow::Stop);
            }
            if let Some(command) = command {
                if self.handle(command).await? == Flow::Stop {
                    return Ok(Flow::Stop);
                }
            } else if self.may_find_batches() {
                self.seal_paced().await?;
            }
            self.regrant_stopped_leases(&mut regranted).await;
            let is_closing = self.context.is_shared && self.state() == State::Closing;
            if is_closing && Instant::now() > next_resume {
                self.resume_close().await?;
                next_resume = Instant::now() + RESUME_CLOSE_INTERVAL;
            }
        }
        Ok(Flow::Continue)
    }

    /// Whether polling the ledger for staged batches is worthwhile.
    fn may_find_batches(&mut self) -> bool {
        let staged = self.positions.borrow().staged;
        !self.context.is_shared
            || self.idle_poll.is_some()
            || !self.seal_queue.is_empty()
            || self.has_unread(staged)
            || self.needs_survey()
    }

    async fn handle(&mut self, command: SealerCommand) -> Result<Flow, ElectionFault> {
        let overtaken = match command {
            SealerCommand::Record(events, reply) => answer(reply, self.record(events).await),
            SealerCommand::Close { reason, reply } => answer(reply, self.close(reason).await),
            SealerCommand::Retire(node, reply) => answer(reply, self.retire(node).await),
            SealerCommand::Stop(reply) => {
                // Batches that cannot be sealed now are sealed after the next start, or by another
                // node.
                if let Err(error) = self.drain().await {
                    tracing::warn!(
                        event = "stop_sealing_failed",
                        law_id = %self.election.law_id(),
                        %error,
                        "staged batches not sealed before the stop"
                    );
                }
                let _ = reply.send(());
                return Ok(Flow::Stop);
            }
        };
        overtaken.map_or(Ok(Flow::Continue), Err)
    }

    /// Follows the log while another node leads.
    async fn wait_and_follow(
        &mut self,
        commands: &mut mpsc::Receiver<SealerCommand>,
    ) -> Result<Flow, ElectionFault> {
        let follow_interval = self.follow_interval();
        tokio::select! {
            command = commands.recv() => {
                let not_leading = || {
                    let leader = self.context.leader_lease.other_leader();
                    AdminError::NotLeading { leader }
                };
                match command {
                    None => return Ok(Flow::Stop),
                    Some(
                        SealerCommand::Record(_, reply)
                        | SealerCommand::Close { reply, .. }
                        | SealerCommand::Retire(_, reply),
                    ) => {
                        let _ = reply.send(Err(not_leading()));
                    }
                    Some(SealerCommand::Stop(reply)) => {
                        let _ = reply.send(());
                        return Ok(Flow::Stop);
                    }
                }
            }
            Ok(()) = self.leading.changed() => return Ok(Flow::Continue),
            Ok(()) = self.positions.changed() => {}
            Ok(()) = self.round_rows.changed() => {}
            () = tokio::time::sleep(follow_interval) => {}
        }
        self.take_part().await?;
        let Position { height, staged } = *self.positions.borrow_and_update();
        let has_staged = self.context.reads_staging() && self.has_unread(staged);
        if height != self.election.committed().height || has_staged {
            self.follow().await?;
        } else {
            if self.needs_survey() {
                self.survey_staging().await?;
            }
            self.catch_up_with_own_folder();
        }
        self.watch_leader().await?;
        Ok(Flow::Continue)
    }

    /// How long a follower waits for an event before it polls the ledger. While a round is open, it
    /// appends the block itself if the leader does not.
    fn follow_interval(&self) -> Duration {
        if self.acceptor.has_made() { ROUND_INTERVAL } else { TICK_INTERVAL }
    }

    pub(crate) fn state(&self) -> State {
        self.election.committed().state()
    }

    /// The term in which this node leads. It may be lost at any moment: the ledger decides.
    fn term(&self) -> Result<u64, ElectionFault> {
        let not_leading = || ElectionFault::NotReady(NotReady::NotLeading);
        self.context.leader_lease.term().ok_or_else(not_leading)
    }

    pub(crate) fn maker(&self) -> Result<BlockMaker, ElectionFault> {
        let at = self.context.now().minutes().max(self.election.committed().results.updated_at);
        Ok(BlockMaker {
            term: self.term()?,
            leader: self.election.signer.authority.as_str().to_owned(),
            at,
        })
    }

    pub(crate) async fn record(&mut self, events: Vec<LogEvent>) -> Result<(), AdminError> {
        self.record_before(events, None).await
    }

    /// Records events in a block. The ledger refuses the block after `not_after` on its own clock.
    pub(crate) async fn record_before(
        &mut self,
        events: Vec<LogEvent>,
        not_after: Option<UnixMillis>,
    ) -> Result<(), AdminError> {
        let acts = events.clone();
        let propose = move |log: &ElectionLog, maker: &BlockMaker| {
            log.propose(&BlockContent::Events(&events), maker)
        };
        self.record_block(not_after, propose).await?;
        self.context.audit.record_acts(self.election.law_id(), &acts);
        Ok(())
    }

    /// Makes and commits a block for an administrative call. A block that the ledger refuses is
    /// dropped; the log stays as it was.
    pub(crate) async fn record_block(
        &mut self,
        not_after: Option<UnixMillis>,
        propose: impl FnOnce(&ElectionLog, &BlockMaker) -> Result<Proposal, ElectionLogError>
        + Send
        + 'static,
    ) -> Result<(), AdminError> {
        let maker = self.maker()?;
        let making = maker.clone();
        let proposal = self
            .blocking(move |election| propose(&election.log(), &making))
            .await
            .inspect_err(|error| self.context.fail_election(&self.election, error))?;
        let proposal = proposal.map_err(AdminError::Refused)?;
        let sealed_through = StagingMark::from_head(self.election.committed().sealed_through);
        let inputs = RoundInputs { batches: Vec::new(), sealed_through, term: maker.term };
        let committed = self.endorse_and_apply(proposal, inputs, not_after).await;
        Ok(committed.inspect_err(|error| {
            if !(self.context.is_shared && is_lost(error)) {
                self.context.fail_election(&self.election, error);
            }
        })?)
    }

    /// Seals staged batches, no sooner than the interval of blocks after the last one. Batches
    /// staged meanwhile notify again.
    async fn seal_paced(&mut self) -> Result<(), ElectionFault> {
        tokio::time::sleep_until(self.next_block.into()).await;
        let sealed = self.seal_next().await?;
        if sealed == 0 {
            let next = self.idle_poll.map_or(IDLE_POLL_INTERVAL_MAX, |last| last * 2);
            self.idle_poll = Some(next).filter(|next| *next < IDLE_POLL_INTERVAL_MAX);
        } else {
            self.idle_poll = Some(IDLE_POLL_INTERVAL_MIN);
            // After a full block others wait, and time would add to them.
            let is_full = sealed >= BLOCK_BATCHES_MAX;
            let pause = if is_full { Duration::ZERO } else { block_interval(&self.context) };
            self.next_block = Instant::now() + pause;
            // Batches that did not fit are sealed in the next block, or wait for a predecessor,
            // whose staging notifies.
            self.election.staged.notify_one();
        }
        Ok(())
    }

    /// Seals until no staged batch can be sealed.
    pub(crate) async fn drain(&mut self) -> Result<(), ElectionFault> {
        while self.seal_next().await? > 0 {}
        Ok(())
    }

    /// Seals one block of staged batches. Returns the number of batches in it; 0 when none could be
    /// sealed.
    async fn seal_next(&mut self) -> Result<usize, ElectionFault> {
        if !matches!(self.state(), State::Open | State::Closing) {
            return Ok(0);
        }
        self.read_seal_queue(BLOCK_BATCHES_MAX).await?;
        loop {
            let sealed = self.seal_from_queue().await?;
            // The queue is full, and its batches wait for one that is not in it and may have been
            // staged after all of them: read past the limit.
            if sealed > 0
                || self.seal_queue.has_room()
                || !self.read_seal_queue_on(READ_BATCH_LEN).await?
            {
                return Ok(sealed);
            }
        }
    }

    async fn seal_from_queue(&mut self) -> Result<usize, ElectionFault> {
        // The lease may have been lost while the ledger was unavailable. Nothing is made yet: the
        // new leader seals.
        let Ok(maker) = self.maker() else { return Ok(0) };
        let now = self.context.now().0;
        // Moved into the blocking task and back; the placeholder is never read.
        let mut seal_queue = std::mem::replace(&mut self.seal_queue, SealQueue::new(StagingId(0)));
        let making = maker.clone();
        let (seal_queue, made) = self
            .blocking(move |election| {
                let made = make_block(election, &mut seal_queue, now, &making);
                (seal_queue, made)
            })
            .await?;
        self.seal_queue = seal_queue;
        let Some(MadeBlock { proposal, batches }) = made? else { return Ok(0) };
        let entries = proposal.block.entries.clone();
        let sealed_through = self.seal_queue.sealed_through_with(&batches);
        let inputs = RoundInputs {
            batches: batches.iter().map(|batch| Arc::clone(batch.batch())).collect(),
            sealed_through,
            term: maker.term,
        };
        self.endorse_and_apply(proposal, inputs, None).await?;
        for batch in &batches {
            self.seal_queue.remove(&batch.number());
        }
        self.announce(&batches, &entries);
        Ok(batches.len())
    }

    /// Works on the log on a thread that may block: under load a block takes milliseconds, while
    /// voters wait on the other threads.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ElectionHandle) -> T + Send + 'static,
    ) -> Result<T, ElectionFault> {
        let election = Arc::clone(&self.election);
        let work = tokio::task::spawn_blocking(move || with_overwritten_stack(|| work(&election)));
        work.await.map_err(|error| {
            ElectionFault::damaged(format!("building a block did not finish: {error}"))
        })
    }

    /// Has a block endorsed, and applies its effect once it is in the log.
    pub(crate) async fn endorse_and_apply(
        &mut self,
        proposal: Proposal,
        inputs: RoundInputs,
        not_after: Option<UnixMillis>,
    ) -> Result<(), ElectionFault> {
        let started = Instant::now();
        let Proposal { block, effect, .. } = proposal;
        let (leaf_count, first_leaf) = (block.leaf_count, block.first_leaf);
        let takes_votes = effect.state() == State::Open;
        let RoundInputs { batches, sealed_through, term } = inputs;
        // Another authority may have passed over refused batches that still wait here.
        let sealed_through = sealed_through.at_least(self.election.committed().sealed_through);
        let proposed =
            ProposedBlock { block, batches, term, sealed_through, takes_votes, not_after };
        let open = metrics::OpenCommit::count();
        let endorsement = self.endorse.endorse(proposed).await?;
        drop(open);
        let law_id = || self.election.law_id().clone();
        let head = match endorsement {
            Endorsement::Certified(head) => head,
            // The proposal is dropped: nothing has changed here.
            Endorsement::Superseded { by } => {
                let (law_id, expected, found) = (law_id(), first_leaf, by.size);
                return Err(ElectionFault::Superseded { law_id, expected, found });
            }
            Endorsement::LeadershipLost { term: found } => {
                let (law_id, offered) = (law_id(), term);
                return Err(ElectionFault::LeadershipLost { law_id, offered, found });
            }
        };
        self.election.apply(effect);
        let committed =
            Committed::new(&self.election.log(), self.node, head.checkpoint, head.sealed_through);
        metrics::sealed(u64::from(leaf_count), started.elapsed());
        let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
        tracing::debug!(
            event = "block_committed",
            leaves = leaf_count,
            milliseconds,
            "block committed"
        );
        self.set_committed(committed);
        Ok(())
    }

    pub(crate) fn set_committed(&self, committed: Committed) {
        if committed.state() != self.state() {
            let report = &committed.results.report;
            tracing::info!(
                event = "election_state_changed",
                law_id = %self.election.law_id(),
                state = %committed.state(),
                height = committed.height,
                received = report.received,
                accepted = report.accepted,
                "election state changed"
            );
            let of_election = AuditFields::for_election(self.election.law_id());
            let (state, height) = (committed.state().to_string(), Some(committed.height));
            let fields = AuditFields { state: Some(&state), height, ..of_election };
            self.context.audit.record(AuditEvent::ElectionStateChanged, &fields);
        }
        self.election.set_committed(committed);
    }

    /// Resolves the requests that are now decided, and counts them.
    fn announce(&self, batches: &[VerifiedBatch], entries: &[Entry]) {
        let mut recognised = recognised(entries);
        for batch in batches {
            // Envelopes carry whole minutes; for requests that it issued this node has the exact
            // time.
            let waited = batch
                .envelopes()
                .filter_map(|SealedEnvelope { request, .. }| {
                    self.context.pending.resolve(&request, recognised(&request))
                })
                .map(|issued| issued.elapsed())
                .max();
            if let Some(waited) = waited {
                metrics::validation_latency(waited, batch.count());
            }
        }
        let (mut accepted, mut duplicate, mut invalid) = (0, 0, 0);
        for entry in entries {
            match entry.decision {
                Decision::Accepted { .. } => accepted += 1,
                Decision::Duplicate { .. } => duplicate += 1,
                _ => invalid += 1,
            }
        }
        metrics::validated(Status::Accepted, accepted);
        metrics::validated(Status::Duplicate, duplicate);
        metrics::validated(Status::Invalid, invalid);
    }
}

/// Whether the credential of a request was right, by the entries of its block. To be asked in the
/// order of the entries, which are those of the envelopes that are not replays.
pub(crate) fn recognised(entries: &[Entry]) -> impl FnMut(&RequestId) -> Option<bool> + '_ {
    let mut entries = entries.iter().peekable();
    move |request| {
        let entry = entries.next_if(|entry| entry.request == *request)?;
        Some(!matches!(
            entry.decision,
            Decision::Invalid { reason: InvalidReason::Unknown | InvalidReason::Revoked, .. }
        ))
    }
}

/// Sends the reply. Returns the error after which the sealer follows the log again.
fn answer(
    reply: oneshot::Sender<Result<(), AdminError>>,
    done: Result<(), AdminError>,
) -> Option<ElectionFault> {
    let lost = done.as_ref().err().and_then(lost_proposal);
    // The receiver may be gone.
    let _ = reply.send(done);
    lost
}
