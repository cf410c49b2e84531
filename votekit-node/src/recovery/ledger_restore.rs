//! Puts a ledger back that has lost certified blocks, from the memory of this authority.
//!
//! ```text
//! ledger:  blocks 1 … h          (an earlier copy)
//! memory:  blocks … h, h+1 … n   (with certificates and batches)
//!          └ root after h+1 by the ledger's leaves = the certified root? ─▶ stage, append h+1 … n
//! ```
//!
//! The ledger is an earlier state of this log exactly if its leaves, followed by those of the next
//! block in memory, have the root that the block's certificate is about. Otherwise the log has
//! forked, and nothing is written.
//!
//! A block is appended with its own certificate or not at all: a head without one would halt the
//! election on every other node. A block that this memory lacks, or of which it lacks a batch that
//! is not staged either, is left to an authority that has it. Sealed keys and records of nodes are
//! restored by [`document_copies`](super::document_copies).

use std::sync::Arc;

use futures_util::future::try_join_all;
use votekit_core::authority::LogPoint;
use votekit_core::batch::Batch;
use votekit_core::election_log::{batches_of_block, leaves_of_block};
use votekit_core::id::{BatchNumber, ElectionId, Epoch, NodeId};
use votekit_core::log::leaf::{ElectionEvent, Leaf};
use votekit_core::log::merkle::FullTile;
use votekit_store::memory::MemoryBlock;
use votekit_store::retry::until_definite;
use votekit_store::{BatchName, BlockCommit, Conflict, EngineError, Head, Hints, StagingId};

use crate::audit::{AuditEvent, AuditFields};
use crate::authority::{AuthorityContext, LedgerLog, election_event};
use crate::context::NodeContext;
use crate::error::ElectionFault;
use crate::roll_store;

/// Blocks read in one call.
const BLOCKS_PER_READ: usize = 64;

/// The maximum number of epochs of one node that are allocated again.
const EPOCHS_MAX: u32 = 10_000;

/// Batches staged at a time: the ledger stores them in one transaction.
const STAGED_AT_ONCE: usize = 256;

/// The outcome of a comparison of the ledger with the own certified log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LedgerRestore {
    /// The ledger is at least as long as the own certified log.
    NotNeeded,
    /// It is now.
    Restored,
    /// Another authority has to append the next block: this memory lacks a part of it.
    Waits,
}

/// Appends the missing blocks to the ledger if it is shorter than the own certified log.
///
/// # Errors
/// [`ElectionFault`] when the ledger is not an earlier state of the log, or contradicts itself.
pub(crate) async fn restore_ledger(
    context: &NodeContext,
    authority: &AuthorityContext,
    law_id: &ElectionId,
    head: Option<&Head>,
) -> Result<LedgerRestore, ElectionFault> {
    let own = authority.with_state(|state| state.election(law_id).certified);
    let height = head.map_or(0, |head| head.height);
    if own.height <= height {
        authority.note_lacking(law_id, None);
        return Ok(LedgerRestore::NotNeeded);
    }
    // Once a height: an authority that waits for another one polls.
    let is_new = authority.note_lacking(law_id, Some(height));
    if is_new {
        tracing::error!(
            event = "ledger_rolled_back",
            alarm = true,
            %law_id,
            certified = own.height,
            height,
            "the ledger lacks blocks that this authority knows to be certified"
        );
        let of_election = AuditFields::of_election(law_id);
        let fields = AuditFields { height: Some(height), ..of_election };
        context.audit.record(AuditEvent::LedgerRolledBack, &fields);
    }
    let restore = Restore { context, authority, law_id, own, is_new };
    let restored =
        restore.run(head).await.inspect_err(|error| report_fork(context, law_id, error))?;
    if restored == LedgerRestore::Restored {
        authority.note_lacking(law_id, None);
        authority.note_rollback(law_id);
        authority.note_rows_rolled_back();
        tracing::error!(
            event = "ledger_restored",
            alarm = true,
            %law_id,
            from = height,
            height = own.height,
            "certified blocks appended again from this authority's memory"
        );
        let of_election = AuditFields::of_election(law_id);
        let fields = AuditFields { point: Some(own), ..of_election };
        context.audit.record(AuditEvent::LedgerRestored, &fields);
    }
    Ok(restored)
}

/// Raises the alarm about a ledger that does not hold this log, unless an engine failed.
pub(crate) fn report_fork(context: &NodeContext, law_id: &ElectionId, error: &ElectionFault) {
    if let ElectionFault::Damaged { reason } = error {
        tracing::error!(
            event = "fork",
            alarm = true,
            %law_id,
            %error,
            "the ledger does not contain the log that this node knows"
        );
        let fields =
            AuditFields { reason: Some(reason.as_str()), ..AuditFields::of_election(law_id) };
        context.audit.record(AuditEvent::Fork, &fields);
    }
}

struct Restore<'a> {
    context: &'a NodeContext,
    authority: &'a AuthorityContext,
    law_id: &'a ElectionId,
    /// The end of the own certified log.
    own: LogPoint,
    /// Whether this is the first poll of the ledger at its present height.
    is_new: bool,
}

impl Restore<'_> {
    async fn run(&self, head: Option<&Head>) -> Result<LedgerRestore, ElectionFault> {
        let mut log = self.read_ledger(head).await?;
        let is_purged = self.is_purged().await?;
        give_epochs_again(self.context, self.authority, self.law_id).await?;
        while log.height < self.own.height {
            let (law, from) = (self.law_id.clone(), log.height + 1);
            let blocks = self
                .authority
                .durable(move |memory| memory.certified_blocks(&law, from, BLOCKS_PER_READ))
                .await?;
            if blocks.is_empty() {
                return Ok(self.waits(from));
            }
            for block in blocks {
                let next = log.height + 1;
                if block.block.height != next || block.checkpoint.is_none() {
                    return Ok(self.waits(next));
                }
                let full_tiles = self.check(&mut log, &block)?;
                if !self.stage(&block, is_purged).await? {
                    return Ok(self.waits(next));
                }
                self.keep_manifests(&block.block.leaves).await?;
                self.append(&log, block, full_tiles, head).await?;
                if head.is_none() && next == 1 {
                    // Only now the ledger has the election that epochs are of. No node gets one
                    // before the last block, which allows leases.
                    give_epochs_again(self.context, self.authority, self.law_id).await?;
                }
            }
        }
        // What was accepted above may have been answered, and staged in the lost part alone.
        let (law, next) = (self.law_id.clone(), self.own.height + 1);
        if let Some(block) = self.authority.durable(move |memory| memory.block(&law, next)).await? {
            self.stage_all(&block.batches).await?;
        }
        if is_purged {
            // The older copy may be from before the purge.
            let ledger = &self.context.ledger;
            until_definite("purge_evidence", || ledger.purge_evidence(self.law_id)).await?;
        }
        Ok(LedgerRestore::Restored)
    }

    fn waits(&self, height: u64) -> LedgerRestore {
        if self.is_new {
            tracing::error!(
                event = "ledger_block_missing",
                alarm = true,
                law_id = %self.law_id,
                height,
                "this authority's memory lacks a part of a block that the ledger has lost"
            );
        }
        LedgerRestore::Waits
    }

    /// The log that the ledger has, by its leaves: from what was verified last, if the ledger still
    /// holds that.
    async fn read_ledger(&self, head: Option<&Head>) -> Result<LedgerLog, ElectionFault> {
        let Some(head) = head else { return Ok(LedgerLog::new()) };
        let known = self.authority.verified_log(self.law_id);
        let known = known.filter(|known| known.may_continue_to(head));
        let log = match known {
            // What is wrong may be what was known: the ledger was rolled back, and has grown again.
            Some(known) => match self.read_on(known, head).await {
                Err(ElectionFault::Damaged { .. }) => self.read_on(LedgerLog::new(), head).await?,
                read => read?,
            },
            None => self.read_on(LedgerLog::new(), head).await?,
        };
        self.authority.keep_verified_log(self.law_id, &log);
        Ok(log)
    }

    /// Reads the blocks after a log, up to a head.
    async fn read_on(&self, mut log: LedgerLog, head: &Head) -> Result<LedgerLog, ElectionFault> {
        let ledger = &self.context.ledger;
        while log.height < head.height {
            let from = log.height + 1;
            let read = || ledger.blocks(self.law_id, from, BLOCKS_PER_READ);
            let blocks = until_definite("read_blocks", read).await?;
            if blocks.is_empty() {
                return Err(self.damaged("blocks are missing"));
            }
            let left = usize::try_from(head.height - log.height).unwrap_or(usize::MAX);
            for block in blocks.into_iter().take(left) {
                if block.height != log.height + 1 {
                    return Err(self.damaged("blocks are missing"));
                }
                log.add(block.height, &block.leaves)?;
            }
        }
        if !log.is_of(head) {
            return Err(self.damaged("its leaves do not have the root of its head"));
        }
        Ok(log)
    }

    /// Adds a block of the memory. Fails unless the log with it is the certified one.
    fn check(
        &self,
        log: &mut LedgerLog,
        block: &MemoryBlock,
    ) -> Result<Vec<FullTile>, ElectionFault> {
        let is_next = block.block.first_leaf == log.tree.size();
        let full_tiles = log.add(block.point.height, &block.block.leaves)?;
        if is_next && log.tree.size() == block.point.size && log.tree.root() == block.point.root {
            return Ok(full_tiles);
        }
        Err(ElectionFault::damaged(format!(
            "{} has forked: the log in the ledger is not an earlier state of the one that this \
             authority certified, at block {}",
            self.law_id, block.point.height
        )))
    }

    /// Stages the batches of a block again. Returns whether all of them are staged.
    async fn stage(&self, block: &MemoryBlock, is_purged: bool) -> Result<bool, ElectionFault> {
        self.stage_all(&block.batches).await?;
        if is_purged {
            return Ok(true);
        }
        let ledger = &self.context.ledger;
        let is_here =
            |number: &BatchNumber| block.batches.iter().any(|batch| batch.number() == *number);
        let numbers: Vec<BatchNumber> =
            batches_of_block(&block.block.leaves).filter(|number| !is_here(number)).collect();
        for BatchNumber { node, epoch, sequence } in numbers {
            let read = || ledger.staged_through(self.law_id, node, epoch);
            let staged = until_definite("read_staged_through", read).await?;
            if staged.is_none_or(|staged| staged < sequence) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn stage_all(&self, batches: &[Arc<Batch>]) -> Result<(), ElectionFault> {
        stage_again(self.context, batches).await
    }

    async fn append(
        &self,
        log: &LedgerLog,
        block: MemoryBlock,
        full_tiles: Vec<FullTile>,
        head: Option<&Head>,
    ) -> Result<(), ElectionFault> {
        let MemoryBlock { point, block, checkpoint, .. } = block;
        let first_leaf = block.first_leaf;
        let head = Head {
            size: point.size,
            height: point.height,
            root: point.root,
            fence: head.map_or(0, |head| head.fence),
            checkpoint: checkpoint.unwrap_or_default(),
            // Batches that are staged again get new positions: none of them may be passed over.
            sealed_through: head.map_or(StagingId(0), |head| head.sealed_through),
            // No node answers voters before the log is whole.
            takes_votes: log.is_open && point.height == self.own.height,
        };
        let law_id = self.law_id.clone();
        let (sealed_batch, not_after) = (None, None);
        let commit = BlockCommit { law_id, block, full_tiles, head, sealed_batch, not_after };
        let commit = Arc::new(commit);
        let ledger = &self.context.ledger;
        match until_definite("restore_block", || ledger.append(&commit)).await {
            // Another authority has appended it: the last root shows whether it was this one.
            Err(EngineError::Conflict(Conflict::Head { found, .. })) if found > first_leaf => {
                Ok(())
            }
            appended => Ok(appended?),
        }
    }

    async fn keep_manifests(&self, leaves: &[u8]) -> Result<(), ElectionFault> {
        let rolls = leaves_of_block(leaves).flatten().filter(|leaf| leaf.starts_with(ROLL));
        let rolls: Vec<Leaf> = rolls.filter_map(|leaf| Leaf::parse(leaf).ok()).collect();
        for leaf in rolls {
            let Leaf::Roll(event) = leaf else { continue };
            let Ok(manifest) = roll_store::manifest(&self.context.folder, &event.manifest) else {
                continue;
            };
            let (ledger, bytes) = (&self.context.ledger, manifest.encode());
            until_definite("put_manifest", || ledger.put_manifest(&bytes)).await?;
        }
        Ok(())
    }

    /// Whether the evidence was destroyed: a purge is the last event of a log.
    async fn is_purged(&self) -> Result<bool, ElectionFault> {
        let (law, height) = (self.law_id.clone(), self.own.height);
        let last = self.authority.durable(move |memory| memory.block(&law, height)).await?;
        Ok(last.is_some_and(|last| {
            let mut events =
                leaves_of_block(&last.block.leaves).flatten().filter_map(election_event);
            events.any(|event| matches!(event, ElectionEvent::Purged { .. }))
        }))
    }

    fn damaged(&self, rule: &str) -> ElectionFault {
        ElectionFault::damaged(format!("the log of {} in the ledger: {rule}", self.law_id))
    }
}

/// Gives out again the epochs in which batches were seen, so that no node gets one that is in use:
/// its batches would be taken for those in the log, or in staging.
///
/// # Errors
/// [`ElectionFault`] when the memory or the ledger fails.
pub(crate) async fn give_epochs_again(
    context: &NodeContext,
    authority: &AuthorityContext,
    law_id: &ElectionId,
) -> Result<(), ElectionFault> {
    let law = law_id.clone();
    let seen = authority.durable(move |memory| memory.observed(&law)).await?;
    let ledger = &context.ledger;
    if until_definite("read_head", || ledger.head(law_id)).await?.is_none() {
        return Ok(());
    }
    let given = until_definite("read_epochs", || ledger.epochs(law_id)).await?;
    let last = |epochs: &mut dyn Iterator<Item = (NodeId, Epoch)>, node: NodeId| {
        epochs.filter(|(of, _)| *of == node).map(|(_, epoch)| epoch.0).max().unwrap_or(0)
    };
    let mut nodes: Vec<NodeId> = seen.iter().map(|(node, ..)| *node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    for node in nodes {
        let wanted = last(&mut seen.iter().map(|(node, epoch, _)| (*node, *epoch)), node);
        let present = last(&mut given.iter().copied(), node);
        for _ in present..wanted.min(present.saturating_add(EPOCHS_MAX)) {
            // Repeated while the outcome is unknown: an epoch too many does no harm.
            let allocate = || ledger.allocate_epoch_above(law_id, node, Epoch(present));
            if until_definite("allocate_epoch", allocate).await?.0 >= wanted {
                break;
            }
        }
    }
    Ok(())
}

/// Stages batches of blocks again, each as it was signed.
///
/// # Errors
/// [`ElectionFault`] when the ledger fails.
pub(crate) async fn stage_again(
    context: &NodeContext,
    batches: &[Arc<Batch>],
) -> Result<(), ElectionFault> {
    let (ledger, hints) = (&context.ledger, Hints::new());
    for group in batches.chunks(STAGED_AT_ONCE) {
        let names: Vec<BatchName> = group.iter().map(|batch| BatchName::from(&**batch)).collect();
        let are_staged = until_definite("stage_again", || ledger.are_staged(&names)).await?;
        // Another authority restores the same blocks.
        let missing = group.iter().zip(are_staged).filter(|(_, is_staged)| !is_staged);
        let staging = missing.map(|(batch, _)| stage_decided(context, batch, &hints));
        try_join_all(staging).await?;
    }
    Ok(())
}

/// Stages a batch that an authority has accepted. On a shared ledger another program may have
/// written the row that has its number: that row is replaced.
async fn stage_decided(
    context: &NodeContext,
    batch: &Arc<Batch>,
    hints: &Hints,
) -> Result<(), EngineError> {
    let ledger = &context.ledger;
    match until_definite("stage_again", || ledger.stage(batch, hints)).await {
        Err(EngineError::Conflict(Conflict::BatchNumber { .. }) | EngineError::Corrupt { .. })
            if context.is_shared =>
        {
            let again = || ledger.restage(batch, hints, StagingId(0));
            until_definite("stage_again", again).await.map(|_| ())
        }
        staged => staged.map(|_| ()),
    }
}

/// The beginning of a leaf about a roll.
const ROLL: &[u8] = br#"{"leaf":"roll""#;
