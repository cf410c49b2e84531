//! Sealing: staged batches are decided and appended to the log, one block at a time, one task an election.
//!
//! Part of the log's truth: what is decided here is decided once, by [`Chronicle`](votekit_core::chronicle::Chronicle), and is told to anyone only
//! when the ledger has it. A commit whose outcome is unknown is repeated with the same bytes until it is known.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use votekit_core::batch::{Batch, NodeKey};
use votekit_core::chronicle::{Act, Block, BlockMaker, Chronicle, Sealed};
use votekit_core::decision::{Decision, Entry};
use votekit_core::election::State;
use votekit_core::id::{Epoch, Sequence};
use votekit_core::instant::UnixSeconds;

use crate::election_cell::{Committed, ElectionCell};
use crate::engine::{BlockCommit, EngineError, Head, Staged, StagingId, StoredBlock};
use crate::intake::{Submission, end_of_earlier_epoch};
use crate::metrics::{self, Status};
use crate::node::{AdminError, Shared};
use crate::retry::until_definite;

/// Batches in one block at the most.
const BLOCK_BATCHES_MAX: usize = 64;

/// The least time from one block to the next while votes keep coming. A block costs signatures, commitments and a sync whatever is in it: under load more
/// votes share them, and after a quiet moment the next vote is sealed at once.
const BLOCK_INTERVAL: Duration = Duration::from_millis(20);

/// How far a stamp may lie in the future before its batch has to wait, in milliseconds.
const FUTURE_MILLIS_MAX: u64 = 60_000;

/// The first and, until there are several authorities, only term.
pub(crate) const TERM: u64 = 1;

/// What the administration asks of a sealer.
pub(crate) enum SealerCommand {
    /// Records acts in one block.
    Record(Vec<Act>, oneshot::Sender<Result<(), AdminError>>),
    /// Closes the election, from whatever point an earlier close has reached.
    Close(oneshot::Sender<Result<(), AdminError>>),
    /// Seals what is staged and stops.
    Stop(oneshot::Sender<()>),
}

/// The sealer of one election, as a task.
pub(crate) struct Sealer {
    shared: Arc<Shared>,
    cell: Arc<ElectionCell>,
    node_key: NodeKey,
    /// Epochs of this node that were given out before this life of it.
    earlier_epochs: Vec<Epoch>,
    /// No block of votes is made before this moment.
    next_block: Instant,
}

impl Sealer {
    pub(crate) fn new(shared: Arc<Shared>, cell: Arc<ElectionCell>, node_key: NodeKey, earlier_epochs: Vec<Epoch>) -> Self {
        Self { shared, cell, node_key, earlier_epochs, next_block: Instant::now() }
    }

    /// Runs until it is told to stop or fails for good.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<SealerCommand>) {
        if let Err(error) = self.take_over().await {
            return self.shared.fail(&error);
        }
        loop {
            let command = tokio::select! {
                command = commands.recv() => command,
                () = self.cell.staged.notified() => {
                    match self.seal_in_time().await {
                        Ok(()) => continue,
                        Err(error) => return self.shared.fail(&error),
                    }
                }
            };
            match command {
                None => return,
                Some(SealerCommand::Record(acts, reply)) => {
                    let _ = reply.send(self.record(acts).await);
                }
                Some(SealerCommand::Close(reply)) => {
                    let _ = reply.send(self.close().await);
                }
                Some(SealerCommand::Stop(reply)) => {
                    if let Err(error) = self.drain().await {
                        self.shared.fail(&error);
                    }
                    let _ = reply.send(());
                    return;
                }
            }
        }
    }

    /// Seals what an earlier life left staged, and ends the epochs it left open. The epoch of this life may be open already: voters do not wait.
    async fn take_over(&self) -> Result<(), EngineError> {
        if self.state() < State::Open || self.state() >= State::Closed {
            return Ok(());
        }
        self.drain().await?;
        let own = self.node_key.node_id();
        let open: Vec<_> = {
            let chronicle = self.cell.chronicle().await;
            let epochs =
                chronicle.fold().open_epochs().filter(|(node, epoch)| *node == own && self.earlier_epochs.contains(epoch));
            epochs.map(|(node, epoch)| (epoch, chronicle.fold().progress(node, epoch).through)).collect()
        };
        for (epoch, through) in open {
            let end = end_of_earlier_epoch(&self.cell, &self.node_key, epoch, through);
            let end = end.map_err(|error| corrupt(&error.to_string()))?;
            until_definite("the end of an earlier epoch", || self.shared.ballot_box.publish(&end)).await?;
        }
        Ok(())
    }

    fn state(&self) -> State {
        self.cell.committed().state()
    }

    fn maker(&self) -> BlockMaker {
        let at = self.shared.now().seconds().max(self.cell.committed().results.updated_at);
        BlockMaker { term: TERM, leader: self.cell.signer.authority.as_str().to_owned(), at }
    }

    async fn record(&self, acts: Vec<Act>) -> Result<(), AdminError> {
        let maker = self.maker();
        let at = maker.at;
        let made = self.blocking(move |cell| cell.chronicle_mut().record(&acts, &maker)).await?;
        match made {
            Ok(block) => Ok(self.commit_or_stop(block, self.cell.committed().sealed_through, at).await?),
            Err(error) => Err(AdminError::Refused(error)),
        }
    }

    /// Seals what is staged, not too soon after the last block. What is staged meanwhile rings again.
    async fn seal_in_time(&mut self) -> Result<(), EngineError> {
        tokio::time::sleep_until(self.next_block.into()).await;
        self.next_block = Instant::now() + BLOCK_INTERVAL;
        while self.seal_next().await? == BLOCK_BATCHES_MAX {}
        Ok(())
    }

    /// Seals staged batches until there are none.
    async fn drain(&self) -> Result<(), EngineError> {
        while self.seal_next().await? > 0 {}
        Ok(())
    }

    /// Seals one block of what is staged. Says how many staged batches it looked at; none when nothing moved.
    async fn seal_next(&self) -> Result<usize, EngineError> {
        if !matches!(self.state(), State::Open | State::Closing) {
            return Ok(0);
        }
        let after = self.cell.committed().sealed_through;
        let read = || self.shared.ledger.staged(self.cell.law_id(), after, BLOCK_BATCHES_MAX);
        let staged = until_definite("sealing", read).await?;
        let looked_at = staged.len();
        Ok(if looked_at > 0 && self.seal(staged).await? { looked_at } else { 0 })
    }

    /// Seals one block. Says whether anything moved.
    async fn seal(&self, staged: Vec<Staged>) -> Result<bool, EngineError> {
        let maker = self.maker();
        let at = maker.at;
        let latest = self.shared.now().0 + FUTURE_MILLIS_MAX;
        let after = self.cell.committed().sealed_through;
        let made = self.blocking(move |cell| make_block(cell, staged, after, latest, &maker)).await??;
        let Some(MadeBlock { block, batches, sealed_through }) = made else { return Ok(false) };
        let entries = block.entries.clone();
        self.commit(block, sealed_through, at).await?;
        self.announce(&batches, &entries);
        Ok(true)
    }

    /// Works on the chronicle on a thread that may block: a block under load takes milliseconds, and voters are waiting on the others.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ElectionCell) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let cell = Arc::clone(&self.cell);
        let work = tokio::task::spawn_blocking(move || work(&cell));
        work.await.map_err(|error| corrupt(&format!("the making of a block did not finish: {error}")))
    }

    async fn commit(&self, block: Block, sealed_through: StagingId, at: UnixSeconds) -> Result<(), EngineError> {
        let started = Instant::now();
        let checkpoint = self.cell.signer.sign(&block, at).map_err(|error| corrupt(&error.to_string()))?;
        let head = Head {
            size: block.size_after(),
            height: block.height,
            term: TERM,
            checkpoint: checkpoint.clone(),
            sealed_through,
            takes_votes: self.cell.chronicle().await.state() == State::Open,
        };
        let commit = Arc::new(BlockCommit {
            law_id: self.cell.law_id().clone(),
            block: StoredBlock {
                height: block.height,
                first_leaf: block.first_leaf,
                leaf_count: block.leaf_count,
                leaves: block.leaves,
            },
            full_tiles: block.full_tiles,
            head,
        });
        until_definite("sealing", || self.shared.ledger.commit(&commit)).await?;
        let committed = Committed::of(&*self.cell.chronicle().await, self.node_key.node_id(), checkpoint, sealed_through);
        metrics::sealed(u64::from(commit.block.leaf_count), started.elapsed());
        if committed.state() != self.state() {
            let report = &committed.results.report;
            tracing::info!(
                law_id = %self.cell.law_id(), state = %committed.state(), height = committed.height, received = report.received,
                accepted = report.accepted, "the election changes its state"
            );
        }
        self.cell.set_committed(committed);
        Ok(())
    }

    /// Lets go of the requests that are now decided, and counts them.
    fn announce(&self, batches: &[Arc<Batch>], entries: &[Entry]) {
        let now = self.shared.now().0;
        for batch in batches {
            if let Some(oldest) = batch.envelopes().map(|envelope| envelope.received.0).min() {
                metrics::validation_latency(Duration::from_millis(now.saturating_sub(oldest)), batch.count());
            }
            for envelope in batch.envelopes() {
                self.shared.pending.resolve(&envelope.request);
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

    /// The close, from wherever an earlier one has come to: record the closing, publish what was taken, seal everything, reconcile, open the totals.
    async fn close(&self) -> Result<(), AdminError> {
        match self.state() {
            State::Open => {
                // A vote answered in this very second was in time, so the closing time is the next one.
                let latest = self.shared.now().max(self.cell.latest_stamp()).seconds();
                let closes = UnixSeconds(latest.max(self.cell.committed().results.updated_at).0 + 1);
                self.record(vec![Act::Closing { closes }]).await?;
            }
            State::Closing => {}
            state => return Err(AdminError::State { state, wanted: "closed" }),
        }
        let (reply, finished) = oneshot::channel();
        let finish = Submission::Finish(reply);
        if self.cell.intake.send(finish).await.is_err() {
            return Err(AdminError::Stopping);
        }
        finished.await.map_err(|_| AdminError::Stopping)??;
        self.drain().await?;
        self.check_complete().await?;
        let maker = self.maker();
        let at = maker.at;
        let closed = self.blocking(move |cell| cell.chronicle_mut().close(&maker)).await?;
        let block = closed.map_err(AdminError::Refused)?;
        Ok(self.commit_or_stop(block, self.cell.committed().sealed_through, at).await?)
    }

    /// Every batch that the ledger holds is in the log, and every epoch in it has ended. The log alone cannot tell: it does not know of what never came to it.
    async fn check_complete(&self) -> Result<(), AdminError> {
        let law_id = self.cell.law_id();
        for (node, epoch) in self.shared.ledger.epochs(law_id).await? {
            let staged = self.shared.ledger.staged_through(law_id, node, epoch).await?.unwrap_or(Sequence(0));
            let sealed = self.cell.chronicle().await.fold().progress(node, epoch).through;
            if staged != sealed {
                return Err(AdminError::Missing { node, epoch, staged, sealed });
            }
        }
        Ok(())
    }

    /// Commits what an official asked for. When that fails for good the state in memory is ahead of the ledger, and the node stops.
    async fn commit_or_stop(&self, block: Block, sealed_through: StagingId, at: UnixSeconds) -> Result<(), EngineError> {
        let committed = self.commit(block, sealed_through, at).await;
        committed.inspect_err(|error| self.shared.fail(error))
    }
}

/// A block of votes that was made and is not stored yet.
struct MadeBlock {
    block: Block,
    batches: Vec<Arc<Batch>>,
    sealed_through: StagingId,
}

/// Makes the next block of staged batches; `None` when none of them can be sealed now.
fn make_block(
    cell: &ElectionCell,
    staged: Vec<Staged>,
    after: StagingId,
    latest_millis: u64,
    maker: &BlockMaker,
) -> Result<Option<MadeBlock>, EngineError> {
    let Some(ballot_key) = cell.ballot_key() else {
        return Err(corrupt("the ballot key of an open election is not in the data folder"));
    };
    let mut chronicle = cell.chronicle_mut();
    let (batches, sealed_through) = choose_batches(&chronicle, staged, after, latest_millis);
    if sealed_through == after {
        return Ok(None);
    }
    let made = chronicle.seal(&batches, &ballot_key, maker);
    let Sealed { block, refused } = made.map_err(|error| corrupt(&error.to_string()))?;
    for (batch, error) in &refused {
        // What cannot follow was left out before: this is a batch that the log has already.
        tracing::error!(batch = %batch.number(), %error, "alarm: a staged batch cannot be sealed");
    }
    Ok(Some(MadeBlock { block, batches, sealed_through }))
}

/// Chooses the batches of the next block, in the order of staging. What is forged or came from strangers is passed over. At a batch that cannot be
/// sealed yet the block ends before it: one whose predecessor is missing, or whose stamp lies in the future.
fn choose_batches(
    chronicle: &Chronicle,
    staged: Vec<Staged>,
    after: StagingId,
    latest_millis: u64,
) -> (Vec<Arc<Batch>>, StagingId) {
    let mut sealed_through = after;
    let mut next = BTreeMap::new();
    let mut batches = Vec::with_capacity(staged.len());
    for Staged { id, batch, .. } in staged {
        if let Err(error) = chronicle.check_batch(&batch) {
            tracing::error!(batch = %batch.number(), %error, "alarm: a staged batch is refused");
            sealed_through = id;
            continue;
        }
        let number = batch.number();
        let expected = next
            .entry((number.node, number.epoch))
            .or_insert_with(|| chronicle.fold().progress(number.node, number.epoch).through.next());
        if number.sequence > *expected {
            tracing::error!(batch = %number, expected = expected.0, "alarm: sealing waits for a missing batch");
            break;
        }
        if batch.envelopes().any(|envelope| envelope.received.0 > latest_millis) {
            tracing::error!(batch = %number, "alarm: sealing waits: a stamp lies in the future, a clock was set back");
            break;
        }
        *expected = (*expected).max(number.sequence.next());
        sealed_through = id;
        batches.push(batch);
    }
    (batches, sealed_through)
}

fn corrupt(reason: &str) -> EngineError {
    EngineError::Corrupt { engine: "sealer", reason: reason.to_owned() }
}
