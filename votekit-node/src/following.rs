//! Following: what another node sealed is read from the ledger, decided again by reading it back,
//! and told here as if it had been sealed here.
//!
//! Every node of an election holds the state that its log tells. So any of them answers for a
//! decision, a receipt or a result, and any that may seal goes on where the leader stopped.

use std::sync::Arc;

use votekit_core::ballot::BallotSecretKey;
use votekit_core::batch::Batch;
use votekit_core::election::State;
use votekit_core::election_log::{Evidence, ReplaySource, RollContent, leaves_of_block};
use votekit_core::id::{BatchNumber, Digest};
use votekit_core::log::leaf::{BatchLeaf, Leaf, RollEvent};

use crate::election_handle::{Committed, ElectionHandle, Position};
use crate::engine::{EngineError, Head, Staged, StoredBlock};
use crate::intake::Submission;
use crate::recovery::{READ_AT_ONCE, check_head, is_decided, read_again};
use crate::retry::until_definite;
use crate::roll_store::{self, Rolls};
use crate::seal_queue::SealQueue;
use crate::sealing::{Sealer, corrupt};
use crate::validation;

/// Blocks read back at once.
const BLOCKS_AT_ONCE: usize = 16;

impl Sealer {
    /// Comes up to the head of the log, and reads what is staged after it.
    pub(crate) async fn follow(&mut self) -> Result<(), EngineError> {
        let law_id = self.cell.law_id().clone();
        let head = until_definite("following", || self.shared.ledger.head(&law_id)).await?;
        let head = head.ok_or_else(|| corrupt("the log has lost its head"))?;
        self.cell
            .committed()
            .check_goes_on(&head)
            .map_err(|rule| corrupt(&format!("alarm: {law_id} was put back: {rule}")))?;
        if head.height > self.cell.committed().height {
            self.come_up_to(head).await?;
        }
        if matches!(self.state(), State::Open | State::Closing) {
            self.read_inbox(READ_AT_ONCE).await?;
        }
        // Another node may have been told to purge: what is destroyed on the disk must not stay in
        // memory.
        if self.state() >= State::Certified
            && self.cell.ballot_key().is_some()
            && !self.shared.folder.has_ballot_key(&law_id)
        {
            self.cell.forget_secrets();
        }
        if self.state() == State::Closing && self.cell.ask_to_finish() {
            let (reply, finished) = tokio::sync::oneshot::channel();
            // The intake ends with the node. It says by itself when it cannot finish yet, and is
            // asked again.
            let _ = self.cell.intake.try_send(Submission::Finish(reply));
            let cell = Arc::clone(&self.cell);
            tokio::spawn(async move {
                if !matches!(finished.await, Ok(Ok(()))) {
                    cell.finish_again();
                }
            });
        }
        Ok(())
    }

    /// Reads what is staged and not in the seal_queue yet.
    pub(crate) async fn read_inbox(&mut self, limit: usize) -> Result<(), EngineError> {
        if self.seal_queue.has_room() {
            self.read_inbox_on(limit).await?;
        }
        Ok(())
    }

    /// Says whether there was anything.
    pub(crate) async fn read_inbox_on(&mut self, limit: usize) -> Result<bool, EngineError> {
        let (law_id, after) = (self.cell.law_id(), self.seal_queue.read_through());
        let staged =
            until_definite("reading staging", || self.shared.ledger.staged(law_id, after, limit))
                .await?;
        if self.shared.is_shared || self.cell.staged_before(after) {
            let log = self.cell.log().await;
            staged.iter().for_each(|staged| {
                self.take_note(staged, is_decided(&log, &staged.batch.number()))
            });
        }
        let any = !staged.is_empty();
        self.seal_queue.put(staged);
        Ok(any)
    }

    /// Takes note of requests that another node issued, or an earlier life of this one, and of
    /// labels that another node gave.
    fn take_note(&self, Staged { batch, labels, .. }: &Staged, is_decided: bool) {
        let number = batch.number();
        let issued_here = number.node == self.node && Some(number.epoch) == self.cell.epoch();
        if !issued_here && !is_decided {
            batch.envelopes().for_each(|envelope| self.shared.pending.adopt(envelope.request));
        }
        let requests = batch.envelopes().map(|envelope| envelope.request);
        validation::tell(&self.shared, requests.zip(labels.iter().copied()));
    }

    async fn come_up_to(&mut self, head: Head) -> Result<(), EngineError> {
        let law_id = self.cell.law_id().clone();
        loop {
            let from = self.cell.log().await.height() + 1;
            if from > head.height {
                break;
            }
            let limit = usize::try_from(head.height - from + 1)
                .unwrap_or(BLOCKS_AT_ONCE)
                .min(BLOCKS_AT_ONCE);
            let blocks =
                until_definite("following", || self.shared.ledger.blocks(&law_id, from, limit))
                    .await?;
            if blocks.is_empty() {
                return Err(corrupt(&format!("block {from} of {law_id} is missing")));
            }
            for block in blocks {
                self.read_block(block).await?;
            }
        }
        let log = self.cell.log().await;
        self.cell
            .signer
            .policy
            .verify_strict(&head.checkpoint)
            .map_err(|_| corrupt("alarm: the checkpoint is not by this authority"))?;
        check_head(&log, &head.checkpoint, head.size)
            .map_err(|rule| corrupt(&format!("alarm: {law_id} has forked: {rule}")))?;
        let committed = Committed::of(&log, self.node, head.checkpoint, head.sealed_through);
        let manifest = log.last_manifest();
        drop(log);
        if let Some(manifest) = manifest
            && self.cell.hasher_changes(&manifest)
        {
            let hasher = roll_store::hasher(&self.shared.folder, &manifest);
            self.cell.set_hasher(manifest, hasher.map_err(|error| corrupt(&error.to_string()))?);
        }
        self.set_committed(committed);
        Ok(())
    }

    async fn read_block(&mut self, block: StoredBlock) -> Result<(), EngineError> {
        let batches = batches_of(&block);
        // What a block holds was staged before it.
        while batches.iter().any(|number| self.seal_queue.batch(number).is_none())
            && self.read_inbox_on(READ_AT_ONCE).await?
        {}
        let shared = Arc::clone(&self.shared);
        let mut seal_queue =
            std::mem::replace(&mut self.seal_queue, SealQueue::new(crate::engine::StagingId(0)));
        let (seal_queue, read) = self
            .blocking(move |cell| {
                let read = replay(&shared, cell, &mut seal_queue, &block);
                (seal_queue, read)
            })
            .await?;
        self.seal_queue = seal_queue;
        for batch in read? {
            for envelope in batch.envelopes() {
                self.shared.pending.resolve(&envelope.request);
            }
        }
        Ok(())
    }

    /// Reads the log from the ledger, in place of what was made here and not stored.
    pub(crate) async fn read_again(&mut self) -> Result<(), EngineError> {
        let law_id = self.cell.law_id().clone();
        let known = self.cell.committed().position();
        let read = until_read(&self.shared, &law_id, known).await;
        let (log, head) = read.map_err(|error| corrupt(&error.to_string()))?;
        let committed = Committed::of(&log, self.node, head.checkpoint, head.sealed_through);
        self.seal_queue = SealQueue::new(committed.sealed_through);
        // What others decided meanwhile is not on its way any more.
        self.shared
            .pending
            .resolve_where(|request| log.decisions().requests().get(request).is_some());
        self.blocking(move |cell| *cell.log_mut() = log).await?;
        self.set_committed(committed);
        Ok(())
    }
}

async fn until_read(
    shared: &Arc<crate::node::NodeContext>,
    law_id: &votekit_core::id::ElectionId,
    known: Position,
) -> Result<(votekit_core::election_log::ElectionLog, Head), crate::node::NodeError> {
    let mut backoff = crate::retry::Backoff::new();
    loop {
        match read_again(shared, law_id, known).await {
            Err(crate::node::NodeError::Engine(error)) if crate::retry::is_passing(&error) => {
                tracing::warn!(%error, "reading the log again waits");
                backoff.pause().await;
            }
            read => return read,
        }
    }
}

fn batches_of(block: &StoredBlock) -> Vec<BatchNumber> {
    leaves_of_block(&block.leaves)
        .flatten()
        .filter(|leaf| leaf.starts_with(br#"{"leaf":"batch""#))
        .filter_map(|leaf| match Leaf::parse(leaf) {
            Ok(Leaf::Batch(batch)) => Some(batch.number()),
            _ => None,
        })
        .collect()
}

/// Reads a block back into the log, and gives its batches.
fn replay(
    shared: &crate::node::NodeContext,
    cell: &ElectionHandle,
    seal_queue: &mut SealQueue,
    block: &StoredBlock,
) -> Result<Vec<Arc<Batch>>, EngineError> {
    let ballot_key = cell.ballot_key();
    let rolls = Rolls::new(&shared.folder, cell.law_id());
    let mut source =
        Source { seal_queue, ballot_key: ballot_key.clone(), rolls: &rolls, batches: Vec::new() };
    // Without its key nothing can be counted; what was opened is then all there is.
    let key = ballot_key.unwrap_or_else(|| BallotSecretKey::from_bytes([0; 32]));
    let replayed = cell.log_mut().replay_next(&block.leaves, &key, &mut source);
    let batches = source.batches;
    match (replayed, rolls.failure()) {
        (Ok(()), _) => Ok(batches),
        (Err(_), Some(roll)) => {
            Err(corrupt(&format!("a roll that the log names is not at hand: {roll}")))
        }
        (Err(error), None) => {
            Err(corrupt(&format!("alarm: the log of {} does not read: {error}", cell.law_id())))
        }
    }
}

struct Source<'a> {
    seal_queue: &'a mut SealQueue,
    ballot_key: Option<BallotSecretKey>,
    rolls: &'a Rolls<'a>,
    batches: Vec<Arc<Batch>>,
}

impl ReplaySource for Source<'_> {
    fn roll(&mut self, event: &RollEvent) -> Option<RollContent> {
        let manifest: &Digest = &event.manifest;
        self.rolls.content_if_whole(manifest)
    }

    fn evidence(&mut self, leaf: &BatchLeaf) -> Option<Evidence> {
        let batch = self.seal_queue.take(&leaf.number())?;
        let choices = self.ballot_key.as_ref().map(|key| batch.open(key));
        self.batches.push(Arc::clone(&batch));
        Some(Evidence { batch, choices: choices? })
    }
}
