//! Following: blocks sealed by another node are read from the ledger, checked by deciding them
//! again, and applied as if they had been sealed here.
//!
//! Every node of an election holds the state of its log. So any of them answers for a decision, a
//! receipt or a result, and any node that may seal continues where the leader stopped.

use std::collections::HashMap;
use std::sync::Arc;

use votekit_core::authority::LogPoint;
use votekit_core::ballot::BallotSecretKey;
use votekit_core::batch::{Batch, SealedEnvelope};
use votekit_core::decision::{Entry, Outcome};
use votekit_core::election::State;
use votekit_core::election_log::{CheckError, Effect, ElectionLog, ReplayError, batches_of_block};
use votekit_core::id::{BatchNumber, ElectionId};
use votekit_store::retry::until_definite;
use votekit_store::{Head, Staged, StagingId, StagingRead, StoredBlock};

use crate::context::{NodeContext, Owner};
use crate::election::{Committed, ElectionHandle, Submission};
use crate::error::ElectionFault;
use crate::recovery::document_copies::purge_everywhere;
use crate::recovery::{
    BlockSource, READ_BATCH_LEN, check_head, check_root, election_keys, is_decided,
};
use crate::roll_store::Rolls;
use crate::seal::sealer::{Sealer, recognised};

/// Blocks read in one call.
const BLOCKS_PER_READ: usize = 16;

/// Pages of staging read in one call while they hold no batch: another program may insert rows
/// faster than a node reads them, and the node has other work.
const PAGES_PER_READ: usize = 64;

impl Sealer {
    /// Catches up to the head of the log, and reads what is staged after it.
    pub(crate) async fn follow(&mut self) -> Result<(), ElectionFault> {
        let Some(head) = self.read_head().await? else { return Ok(()) };
        if head.height > self.election.committed().height {
            self.catch_up_to(head).await?;
        }
        if self.context.reads_staging() && matches!(self.state(), State::Open | State::Closing) {
            self.read_seal_queue(READ_BATCH_LEN).await?;
        }
        self.catch_up_with_own_folder();
        Ok(())
    }

    /// Acts on the state of the election without querying the ledger: drops keys that were
    /// destroyed, and ends this node's epoch once the poll is closing.
    pub(crate) fn catch_up_with_own_folder(&mut self) {
        self.purge_own_folder();
        // Another node may have purged: keys destroyed on disk must not stay in memory.
        if self.state() >= State::Certified
            && self.election.has_secrets()
            && !self.context.folder.has_ballot_key(self.election.law_id())
        {
            self.election.forget_secrets();
        }
        if self.state() == State::Closing && self.election.begin_finish() {
            let (reply, finished) = tokio::sync::oneshot::channel();
            // The intake ends with the node. A failed or dropped reply clears the mark, so that the
            // intake is asked again.
            let _ = self.election.intake.try_send(Submission::Finish(reply));
            let election = Arc::clone(&self.election);
            tokio::spawn(async move {
                if !matches!(finished.await, Ok(Ok(()))) {
                    election.retry_finish();
                }
            });
        }
    }

    /// Carries out a purge that the log records: each node with a folder of its own destroys its
    /// keys and the batches in its memory.
    fn purge_own_folder(&self) {
        let law_id = self.election.law_id();
        if self.context.authorities.is_none()
            || !self.election.has_secrets()
            || !self.election.log().is_purged()
        {
            return;
        }
        self.election.forget_secrets();
        let (context, law_id) = (Arc::clone(&self.context), law_id.clone());
        let owner = Owner::Election(Arc::clone(&self.election));
        self.context.spawn(owner, async move {
            if let Err(error) = purge_own_copies(&context, &law_id).await {
                tracing::error!(
                    event = "purge_not_carried_out",
                    alarm = true,
                    %law_id,
                    %error,
                    "keys and batches of a purged election not destroyed on this node"
                );
            }
        });
    }

    /// Reads staged batches that are not in the queue yet, if it has room.
    pub(crate) async fn read_seal_queue(&mut self, limit: usize) -> Result<(), ElectionFault> {
        if self.seal_queue.has_room() {
            self.read_seal_queue_on(limit).await?;
        }
        Ok(())
    }

    /// Reads staged batches whether or not the queue has room. Returns whether there were any.
    pub(crate) async fn read_seal_queue_on(&mut self, limit: usize) -> Result<bool, ElectionFault> {
        let (last, after) = (self.seal_queue.last(), self.seal_queue.read_through());
        let StagingRead { batches: staged, unreadable } = self.read_staging(after, limit).await?;
        if !self.has_last_read(last).await? {
            self.recover_lost_staging().await?;
            // There may be any number of them.
            return Ok(true);
        }
        if self.survey_staging().await? {
            return Ok(true);
        }
        staged.iter().for_each(|staged| self.election.unsealed.note_staged(&staged.batch.number()));
        let mut decided = vec![false; staged.len()];
        if self.context.is_shared || self.election.staged_before(after) {
            let log = self.election.log();
            for (staged, decided) in staged.iter().zip(&mut decided) {
                *decided = is_decided(&log, &staged.batch.number());
                self.register_requests(staged, *decided);
            }
        }
        self.record_observed(&staged).await?;
        let any = !staged.is_empty() || !unreadable.is_empty();
        for (staged, decided) in staged.into_iter().zip(decided) {
            // Those that are in the log are read again after the ledger was rolled back.
            match self.context.decides() && !decided {
                true => self.seal_queue.put(staged),
                false => self.seal_queue.skip(&staged),
            }
        }
        self.pass_over(&unreadable);
        self.seal_queue.forget_read(self.election.committed().sealed_through);
        Ok(any)
    }

    /// Reads staging after a position. Goes on past rows that are no batches, up to the next batch,
    /// or for [`PAGES_PER_READ`] pages: another program may have inserted any number of them.
    async fn read_staging(
        &self,
        after: StagingId,
        limit: usize,
    ) -> Result<StagingRead, ElectionFault> {
        let (ledger, law_id) = (&self.context.ledger, self.election.law_id());
        let (mut after, mut unreadable) = (after, Vec::new());
        for _ in 0..PAGES_PER_READ {
            let read = || ledger.read_staging(law_id, after, limit);
            let read = until_definite("read_staging", read).await?;
            let through = read.through();
            unreadable.extend(read.unreadable);
            match through {
                Some(through) if read.batches.is_empty() => after = through,
                _ => return Ok(StagingRead { batches: read.batches, unreadable }),
            }
        }
        // A leader reads on at once.
        self.election.staged.notify_one();
        Ok(StagingRead { batches: Vec::new(), unreadable })
    }

    /// Registers requests issued by another node or by a previous run of this one, with the hints
    /// of the node that validated them.
    fn register_requests(&self, Staged { batch, hints, .. }: &Staged, is_decided: bool) {
        let number = batch.number();
        let issued_here = number.node == self.node && Some(number.epoch) == self.election.epoch();
        if !issued_here && !is_decided {
            batch.envelopes().for_each(|envelope| self.context.pending.adopt(envelope.request));
        }
        let requests = batch.envelopes().map(|envelope| envelope.request);
        self.context.report_hints(requests.zip(hints.iter().copied()));
    }

    /// Checks and applies the blocks up to a head.
    async fn catch_up_to(&mut self, head: Head) -> Result<(), ElectionFault> {
        let law_id = self.election.law_id().clone();
        loop {
            let from = self.election.log().height() + 1;
            if from > head.height {
                break;
            }
            let blocks = match self.made_block_at(&head) {
                Some(made) if from == head.height => vec![made],
                _ => self.read_blocks(from, &head).await?,
            };
            if blocks.is_empty() {
                return self.report_missing_block(from).await;
            }
            for block in blocks {
                if self.context.decides() {
                    self.read_block(block, &head).await?;
                } else {
                    self.follow_block(block, &head).await?;
                }
            }
        }
        let (committed, manifest) = {
            let log = self.election.log();
            check_head(&log, &head.checkpoint, head.size)
                .map_err(|rule| ElectionFault::damaged(format!("{law_id} has forked: {rule}")))?;
            if self.context.decides() && log.evidence_missing() && log.state() < State::Certified {
                return Err(ElectionFault::damaged(format!("evidence of {law_id} is missing")));
            }
            let committed = Committed::new(&log, self.node, head.checkpoint, head.sealed_through);
            // No vote is hashed after a purge, which destroys a members' key.
            (committed, log.last_manifest().filter(|_| !log.is_purged()))
        };
        if let Some(manifest) = manifest
            && self.election.hasher_changes(&manifest)
        {
            let hasher = election_keys::hasher(&self.context, &manifest).await;
            let hasher = hasher.map_err(|error| ElectionFault::damaged(error.to_string()))?;
            if let Some(hasher) = hasher {
                self.election.set_hasher(manifest, hasher);
            }
        }
        self.set_committed(committed);
        Ok(())
    }

    /// The block of the head, if this authority has made it: its root shows that the ledger has the
    /// same bytes, which need not be read.
    fn made_block_at(&self, head: &Head) -> Option<StoredBlock> {
        let point = LogPoint { height: head.height, size: head.size, root: head.root };
        let made = self.acceptor.made.as_ref().filter(|made| made.block.point == point)?;
        Some(made.block.stored.clone())
    }

    async fn read_blocks(&self, from: u64, head: &Head) -> Result<Vec<StoredBlock>, ElectionFault> {
        let law_id = self.election.law_id();
        let limit =
            usize::try_from(head.height - from + 1).unwrap_or(BLOCKS_PER_READ).min(BLOCKS_PER_READ);
        let read = || self.context.ledger.blocks(law_id, from, limit);
        Ok(until_definite("follow_log", read).await?)
    }

    /// A block below the head is missing. Where authorities can restore the ledger it may have been
    /// rolled back since its head was read: the next read of the head shows that.
    async fn report_missing_block(&self, height: u64) -> Result<(), ElectionFault> {
        let law_id = self.election.law_id();
        let read = || self.context.ledger.head(law_id);
        let head = until_definite("follow_log", read).await?;
        if self.context.authorities.is_some() && head.is_none_or(|head| head.height < height) {
            return Ok(());
        }
        Err(ElectionFault::damaged(format!("block {height} of {law_id} is missing")))
    }

    async fn read_block(&mut self, block: StoredBlock, head: &Head) -> Result<(), ElectionFault> {
        let numbers: Vec<BatchNumber> = batches_of_block(&block.leaves).collect();
        if self.apply_made(&block, head).await? {
            return Ok(());
        }
        // The batches of a block were staged before it.
        while numbers.iter().any(|number| self.seal_queue.batch(number).is_none())
            && self.read_seal_queue_on(READ_BATCH_LEN).await?
        {}
        let batches: HashMap<BatchNumber, Arc<Batch>> = numbers
            .iter()
            .filter_map(|number| Some((*number, Arc::clone(self.seal_queue.batch(number)?))))
            .collect();
        let context = Arc::clone(&self.context);
        let kept: Vec<Arc<Batch>> =
            numbers.iter().filter_map(|number| batches.get(number).map(Arc::clone)).collect();
        let stored = block.clone();
        let checkpoint = (block.height == head.height).then(|| head.checkpoint.clone());
        let entries = self
            .blocking(move |election| {
                check_and_apply(&context, election, &block, checkpoint.as_deref(), batches)
            })
            .await??;
        self.keep_certified(&stored, kept, head).await?;
        self.resolve_with(&numbers, &entries);
        Ok(())
    }

    /// Resolves the requests of batches that are sealed, and drops the batches.
    pub(crate) fn resolve_with(&mut self, numbers: &[BatchNumber], entries: &[Entry]) {
        let mut recognised = recognised(entries);
        for number in numbers {
            let Some(batch) = self.seal_queue.remove(number) else { continue };
            for SealedEnvelope { request, .. } in batch.envelopes() {
                self.context.pending.resolve(&request, recognised(&request));
            }
        }
    }

    /// Accepts a block as stored: this node does not decide.
    async fn follow_block(&mut self, block: StoredBlock, head: &Head) -> Result<(), ElectionFault> {
        let head = (block.height == head.height).then(|| head.checkpoint.clone());
        let outcomes = self
            .blocking(move |election| follow_and_apply(election, &block, head.as_deref()))
            .await??;
        for outcome in outcomes {
            match outcome {
                Outcome::Decided(entry) => {
                    let entry = [entry];
                    let request = &entry[0].request;
                    self.context.pending.resolve(request, recognised(&entry)(request));
                }
                Outcome::Replayed(replay) => {
                    self.context.pending.resolve(&replay.request, None);
                }
            }
        }
        Ok(())
    }
}

/// Destroys the batches in the own memory, then the keys: after a crash in between, the keys that
/// are still there lead to this again.
async fn purge_own_copies(
    context: &Arc<NodeContext>,
    law_id: &ElectionId,
) -> Result<(), ElectionFault> {
    if let Some(authority) = &context.authority {
        purge_everywhere(context, authority, law_id).await?;
    }
    let (job, law_id) = (context.job(), law_id.clone());
    let destroyed =
        tokio::task::spawn_blocking(move || job.folder.destroy_election_keys(&law_id)).await;
    destroyed
        .map_err(|error| error.to_string())
        .and_then(|destroyed| destroyed.map_err(|error| error.to_string()))
        .map_err(ElectionFault::damaged)
}

/// Checks a block that another node made, and applies it. The last block must have the signed root.
fn check_and_apply(
    context: &NodeContext,
    election: &ElectionHandle,
    block: &StoredBlock,
    checkpoint: Option<&[u8]>,
    batches: HashMap<BatchNumber, Arc<Batch>>,
) -> Result<Vec<Entry>, ElectionFault> {
    let law_id = election.law_id();
    let rolls = Rolls::new(&context.folder, law_id);
    let ballot_key = election.ballot_key();
    let mut source =
        BlockSource { batches: &batches, ballot_key: ballot_key.as_ref(), rolls: Some(&rolls) };
    let (effect, entries) = {
        let log = election.log();
        match check_block(&log, block, ballot_key.as_ref(), &mut source) {
            Ok(checked) => checked,
            Err(error) => {
                return Err(ElectionFault::damaged(match rolls.failure() {
                    Some(roll) => format!("a roll that the log names is not available: {roll}"),
                    None => format!("block {} of {law_id}: {error}", block.height),
                }));
            }
        }
    };
    check_signed_root(election, &effect, checkpoint)?;
    election.apply(effect);
    Ok(entries)
}

/// Accepts the leaves of a block as stored, and applies them. Returns the outcome of each envelope.
fn follow_and_apply(
    election: &ElectionHandle,
    block: &StoredBlock,
    checkpoint: Option<&[u8]>,
) -> Result<Vec<Outcome>, ElectionFault> {
    let law_id = election.law_id();
    let mut outcomes = Vec::new();
    let effect =
        election.log().follow(&block.leaves, &mut |outcome| outcomes.push(*outcome)).map_err(
            |error| ElectionFault::damaged(format!("block {} of {law_id}: {error}", block.height)),
        )?;
    check_signed_root(election, &effect, checkpoint)?;
    election.apply(effect);
    Ok(outcomes)
}

/// The last block must have the root that is signed.
fn check_signed_root(
    election: &ElectionHandle,
    effect: &Effect,
    checkpoint: Option<&[u8]>,
) -> Result<(), ElectionFault> {
    let law_id = election.law_id();
    if let Some(checkpoint) = checkpoint {
        check_root(effect.size(), &effect.root(), checkpoint)
            .map_err(|rule| ElectionFault::damaged(format!("{law_id} has forked: {rule}")))?;
    }
    Ok(())
}

/// Checks a block. Where evidence is missing its leaves are taken as they stand: whether evidence
/// may be missing is known once the whole log is read.
fn check_block(
    log: &ElectionLog,
    block: &StoredBlock,
    ballot_key: Option<&BallotSecretKey>,
    source: &mut BlockSource<'_>,
) -> Result<(Effect, Vec<Entry>), ReplayError> {
    // Without the ballot key there is no evidence, and this dummy key decrypts nothing.
    let no_key = BallotSecretKey::from_bytes([0; 32]);
    match log.check(&block.leaves, ballot_key.unwrap_or(&no_key), source) {
        Ok(proposal) => Ok((proposal.effect, proposal.block.entries)),
        Err(CheckError::MissingEvidence { .. } | CheckError::UnknownSums { .. }) => {
            Ok((log.replay(&block.leaves, source)?, Vec::new()))
        }
        Err(error) => Err(error.into()),
    }
}
