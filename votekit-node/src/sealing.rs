//! Sealing: staged batches are decided and appended to the log, one block at a time, one task an election.
//!
//! Part of the log's truth: what is decided here is decided once, by [`Chronicle`](votekit_core::chronicle::Chronicle), and is told to anyone only
//! when the ledger has it. A commit whose outcome is unknown is repeated with the same bytes until it is known.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use votekit_core::batch::{Batch, NodeKey};
use votekit_core::chronicle::{Act, Block, BlockMaker, Sealed};
use votekit_core::decision::{Decision, Entry, OrderError};
use votekit_core::election::State;
use votekit_core::instant::UnixSeconds;

use crate::election_cell::{Committed, ElectionCell};
use crate::engine::{BlockCommit, EngineError, Head, Staged, StagingId, StoredBlock};
use crate::intake::{Submission, end_earlier_epoch};
use crate::metrics::{self, Status};
use crate::node::{AdminError, Shared};
use crate::retry::until_definite;

/// Batches in one block at the most.
const BLOCK_BATCHES_MAX: usize = 64;

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
}

impl Sealer {
    pub(crate) fn new(shared: Arc<Shared>, cell: Arc<ElectionCell>, node_key: NodeKey) -> Self {
        Self { shared, cell, node_key }
    }

    /// Runs until it is told to stop or fails for good.
    pub(crate) async fn run(self, mut commands: mpsc::Receiver<SealerCommand>) {
        if let Err(error) = self.take_over().await {
            return self.shared.fail(&error);
        }
        loop {
            let command = tokio::select! {
                command = commands.recv() => command,
                () = self.cell.staged.notified() => {
                    match self.drain().await {
                        Ok(()) => continue,
                        Err(error) => return self.shared.fail(&error),
                    }
                }
            };
            match command {
                None => return,
                Some(SealerCommand::Record(acts, reply)) => {
                    let _ = reply.send(self.record(&acts).await);
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

    /// Seals what an earlier life left staged, and ends the epochs it left open.
    async fn take_over(&self) -> Result<(), EngineError> {
        if self.state() < State::Open || self.state() >= State::Closed {
            return Ok(());
        }
        self.drain().await?;
        let own = self.node_key.node_id();
        let open: Vec<_> = {
            let chronicle = self.cell.chronicle();
            let epochs = chronicle.fold().open_epochs().filter(|(node, _)| *node == own);
            epochs.map(|(node, epoch)| (epoch, chronicle.fold().progress(node, epoch).through)).collect()
        };
        for (epoch, through) in open {
            let end = async || end_earlier_epoch(&self.shared, &self.cell, &self.node_key, epoch, through).await;
            until_definite("the end of an earlier epoch", end).await?;
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

    async fn record(&self, acts: &[Act]) -> Result<(), AdminError> {
        let maker = self.maker();
        let made = self.cell.chronicle_mut().record(acts, &maker);
        match made {
            Ok(block) => Ok(self.commit(block, self.cell.committed().sealed_through, maker.at).await?),
            Err(error) => Err(AdminError::Refused(error)),
        }
    }

    /// Seals staged batches until there are none.
    async fn drain(&self) -> Result<(), EngineError> {
        if !matches!(self.state(), State::Open | State::Closing) {
            return Ok(());
        }
        loop {
            let after = self.cell.committed().sealed_through;
            let read = async || self.shared.ledger.staged(self.cell.law_id(), after, BLOCK_BATCHES_MAX).await;
            let staged = until_definite("sealing", read).await?;
            if staged.is_empty() || !self.seal(staged).await? {
                return Ok(());
            }
        }
    }

    /// Seals one block. Says whether anything moved.
    async fn seal(&self, staged: Vec<Staged>) -> Result<bool, EngineError> {
        let Some(ballot_key) = self.cell.ballot_key.clone() else {
            return Err(corrupt("the ballot key of an open election is not in the data folder"));
        };
        let (batches, mut sealed_through) = self.check(staged);
        let maker = self.maker();
        let made = self.cell.chronicle_mut().seal(&batches, &ballot_key, &maker);
        let Sealed { block, refused } = made.map_err(|error| corrupt(&error.to_string()))?;
        for (batch, error) in &refused {
            tracing::error!(batch = %batch.number(), %error, "alarm: a staged batch cannot be sealed");
            if let OrderError::Gap { .. } = error {
                // What came before is missing: neither this batch nor what follows it may be passed over.
                sealed_through = self.cell.committed().sealed_through;
            }
        }
        let moved = sealed_through > self.cell.committed().sealed_through;
        let entries = block.entries.clone();
        self.commit(block, sealed_through, maker.at).await?;
        self.announce(&batches, &entries);
        Ok(moved)
    }

    /// Leaves out what is forged or came from strangers; their places in staging are passed over.
    fn check(&self, staged: Vec<Staged>) -> (Vec<Arc<Batch>>, StagingId) {
        let chronicle = self.cell.chronicle();
        let mut sealed_through = StagingId(0);
        let mut batches = Vec::with_capacity(staged.len());
        for Staged { id, batch } in staged {
            sealed_through = sealed_through.max(id);
            match chronicle.check_batch(&batch) {
                Ok(()) => batches.push(batch),
                Err(error) => tracing::error!(batch = %batch.number(), %error, "alarm: a staged batch is refused"),
            }
        }
        (batches, sealed_through)
    }

    async fn commit(&self, block: Block, sealed_through: StagingId, at: UnixSeconds) -> Result<(), EngineError> {
        let started = Instant::now();
        let checkpoint = self.cell.signer.sign(&block, at).map_err(|error| corrupt(&error.to_string()))?;
        let head =
            Head { size: block.size_after(), height: block.height, term: TERM, checkpoint: checkpoint.clone(), sealed_through };
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
        until_definite("sealing", async || self.shared.ledger.commit(&commit).await).await?;
        let committed = Committed::of(&self.cell.chronicle(), checkpoint, sealed_through);
        metrics::sealed(u64::from(commit.block.leaf_count), started.elapsed());
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
                let closes = UnixSeconds(self.shared.now().seconds().0 + 1);
                self.record(&[Act::Closing { closes }]).await?;
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
        let maker = self.maker();
        let closed = self.cell.chronicle_mut().close(&maker);
        let block = closed.map_err(AdminError::Refused)?;
        Ok(self.commit(block, self.cell.committed().sealed_through, maker.at).await?)
    }
}

fn corrupt(reason: &str) -> EngineError {
    EngineError::Corrupt { engine: "sealer", reason: reason.to_owned() }
}
