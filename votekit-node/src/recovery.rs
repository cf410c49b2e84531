//! Recovery at the start: reads the log of an election back, compares its root with the checkpoint,
//! and updates the registry.
//!
//! With a snapshot only the blocks and the evidence after it are read. A damaged snapshot is
//! reported, and the log is read from its first leaf. An intact snapshot that does not belong to
//! this log proves that the ledger was restored from an older copy: continuing would fork the log,
//! so the node does not start.

pub(crate) mod damaged_log;
pub(crate) mod document_copies;
pub(crate) mod election_keys;
pub(crate) mod ledger_restore;
pub(crate) mod restaging;
pub(crate) mod scrubbing;
pub(crate) mod snapshots;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use votekit_core::authority::LogPoint;
use votekit_core::ballot::BallotSecretKey;
use votekit_core::batch::Batch;
use votekit_core::credential::CredentialHasher;
use votekit_core::election::State;
use votekit_core::election_log::{
    ElectionLog, Evidence, LogReplay, ReplayError, ReplaySource, RollContent, Scrub,
    batches_of_block,
};
use votekit_core::electorate::Elector;
use votekit_core::id::{BatchNumber, ElectionId, Epoch};
use votekit_core::log::checkpoint::SignedCheckpoint;
use votekit_core::log::leaf::{BatchLeaf, RollEvent};
use votekit_core::log::merkle::TreeHash;
use votekit_store::retry::until_definite;
use votekit_store::{
    EngineError, FirstUse, Head, KnownElectors, Staged, Staging, StagingId, StoredBlock,
};

use self::ledger_restore::{LedgerRestore, restore_ledger};
use self::snapshots::{Refused, Restored, restore};
use crate::context::NodeContext;
use crate::election::snapshots::{Snapshots, Written};
use crate::election::{CheckpointSigner, Committed, ElectionSecrets};
use crate::error::{ElectionFault, NodeError};
use crate::memory::stack_used;
use crate::metrics;
use crate::roll_store::Rolls;

/// Blocks, and batches of evidence, read in one call; the ledger returns fewer when they are large.
pub(crate) const READ_BATCH_LEN: usize = 256;

/// The parts of an election handle besides its log.
pub(crate) struct Recovered {
    pub(crate) committed: Committed,
    pub(crate) secrets: Option<ElectionSecrets>,
    pub(crate) signer: Arc<CheckpointSigner>,
    pub(crate) hasher: Option<CredentialHasher>,
    /// The epochs of previous runs of this node that have not ended. They are fenced.
    pub(crate) earlier_epochs: Vec<Epoch>,
    /// The last staging id when the log was read back.
    pub(crate) staged_at_start: StagingId,
    pub(crate) snapshots: Snapshots,
    /// The part of the log to read again, because a snapshot was used.
    pub(crate) scrub: Option<Scrub>,
}

/// Reads the log of an election back.
pub(crate) async fn read_back(
    context: &Arc<NodeContext>,
    law_id: &ElectionId,
) -> Result<(ElectionLog, Recovered), NodeError> {
    let began = Instant::now();
    let ledger = &*context.ledger;
    let head = head_after_restore(context, law_id).await?;
    let head = head.ok_or_else(|| contradiction(law_id, "it has no head"))?;
    let decides = context.decides();
    election_keys::obtain(context, law_id).await?;
    let secrets = ElectionSecrets::read(&context.folder, law_id, decides)
        .map_err(|source| NodeError::ElectionKeys { law_id: law_id.clone(), source })?;
    let ballot_key = secrets.as_ref().and_then(|secrets| secrets.ballot_key.clone());
    let rolls = Rolls::new(&context.folder, law_id);
    let stored = StoredLog { context, law_id, head: &head, ballot_key: ballot_key.clone(), rolls };
    let ReadBack { log, written, head_batches } =
        if decides { stored.read().await? } else { ReadBack::new(stored.follow().await?) };
    if secrets.is_none() && log.state() < State::Certified {
        return Err(NodeError::BallotKey { law_id: law_id.clone() });
    }
    if decides && log.evidence_missing() && log.state() < State::Certified {
        return Err(contradiction(
            law_id,
            "evidence of an election that is not certified is missing",
        ));
    }
    let signer = Arc::new(stored.signer(&log)?);
    remember_head(context, law_id, &head, head_batches).await?;
    restore_registry(context, law_id, &log).await?;
    // No vote is hashed after a purge, which destroys a members' key.
    let hasher = match log.last_manifest().filter(|_| !log.is_purged()) {
        Some(manifest) => election_keys::hasher(context, &manifest).await?,
        None => None,
    };
    let node = context.folder.node_key()?.node_id();
    let scrub = written.is_some().then(|| Scrub::new(&log));
    let from_snapshot = written.as_ref().map_or(0, Written::size);
    tracing::info!(
        event = "election_recovered",
        %law_id,
        size = head.size,
        from_snapshot,
        milliseconds = began.elapsed().as_millis(),
        "election recovered from the ledger"
    );
    // A followed log has no snapshots: they contain data that only a deciding node has.
    let snapshot_leaves = if decides { context.config.snapshot_leaves } else { 0 };
    let snapshots = Snapshots::new(context.folder.snapshot_path(law_id), snapshot_leaves, written);
    let committed = Committed::new(&log, node, head.checkpoint, head.sealed_through);
    let staged_at_start = match context.reads_staging() {
        true => reissue(context, &log, law_id, head.sealed_through).await?,
        false => head.sealed_through,
    };
    let epochs = ledger.epochs(law_id).await?;
    let own = epochs.into_iter().filter(|(owner, _)| *owner == node).map(|(_, epoch)| epoch);
    let earlier_epochs: Vec<Epoch> =
        own.filter(|epoch| !log.decisions().epochs().progress(node, *epoch).ended).collect();
    if !earlier_epochs.is_empty() && log.state() < State::Closed {
        // A process that still publishes in them, on a copy of the folder, begins a new epoch.
        ledger.fence(law_id, node).await?;
    }
    Ok((
        log,
        Recovered {
            committed,
            secrets,
            signer,
            hasher,
            earlier_epochs,
            staged_at_start,
            snapshots,
            scrub,
        },
    ))
}

/// The head of an election, after the blocks that this authority knows to be certified were
/// appended to the ledger, if it lacks them.
async fn head_after_restore(
    context: &NodeContext,
    law_id: &ElectionId,
) -> Result<Option<Head>, NodeError> {
    let head = context.ledger.head(law_id).await?;
    let Some(authority) = &context.authority else { return Ok(head) };
    match restore_ledger(context, authority, law_id, head.as_ref()).await {
        Ok(LedgerRestore::NotNeeded) => Ok(head),
        // Another authority that has the blocks that are still missing appends them, and this
        // authority then follows.
        Ok(LedgerRestore::Restored | LedgerRestore::Waits) => {
            Ok(context.ledger.head(law_id).await?)
        }
        Err(ElectionFault::Engine(error)) => Err(error.into()),
        Err(_) => {
            Err(contradiction(law_id, "it is not an earlier state of the log of this authority"))
        }
    }
}

/// Restores a registry in memory from a log.
///
/// Several nodes of one process share such a registry: the first node that has the roll restores
/// the registry, and a later node must not drop the marks that were made since.
async fn restore_registry(
    context: &NodeContext,
    law_id: &ElectionId,
    log: &ElectionLog,
) -> Result<(), EngineError> {
    let registry = &context.registry;
    if registry.is_shared() {
        return Ok(());
    }
    let electors = known_electors(log);
    if context.is_shared && (electors.is_empty() || registry.registered(law_id).await? > 0) {
        return Ok(());
    }
    registry.restore_all(law_id, electors, None).await
}

/// Makes the head with its batches durable in the memory of this authority, and refuses a head that
/// contradicts it.
async fn remember_head(
    context: &NodeContext,
    law_id: &ElectionId,
    head: &Head,
    batches: Vec<Arc<Batch>>,
) -> Result<(), NodeError> {
    let Some(authority) = &context.authority else { return Ok(()) };
    let point = LogPoint { height: head.height, size: head.size, root: head.root };
    let known = authority.with_state(|state| state.election(law_id));
    let is_other = |own: LogPoint| own.height == point.height && own != point;
    if is_other(known.certified) || known.cosigned.is_some_and(is_other) {
        return Err(contradiction(law_id, "it is not the log that this authority certified"));
    }
    if known.certified.height >= point.height {
        return Ok(());
    }
    let block = context.ledger.blocks(law_id, head.height, 1).await?.pop();
    let block = block.ok_or_else(|| contradiction(law_id, "blocks are missing"))?;
    let (law, checkpoint) = (law_id.clone(), head.checkpoint.clone());
    let kept = authority
        .durable(move |memory| memory.record_certified(&law, &point, &block, &batches, &checkpoint))
        .await;
    kept.map_err(|error| NodeError::Round { error: error.to_string() })?;
    authority.record(|state| state.record_certified(law_id, point));
    Ok(())
}

fn contradiction(law_id: &ElectionId, rule: &'static str) -> NodeError {
    NodeError::Checkpoint { law_id: law_id.clone(), rule }
}

/// The stored log of one election, while it is read back.
struct StoredLog<'a> {
    context: &'a NodeContext,
    law_id: &'a ElectionId,
    head: &'a Head,
    ballot_key: Option<BallotSecretKey>,
    rolls: Rolls<'a>,
}

/// A log that was read back.
struct ReadBack {
    log: ElectionLog,
    /// The snapshot that it was restored from, if any.
    written: Option<Written>,
    /// The batches of the last block, if it was read.
    head_batches: Vec<Arc<Batch>>,
}

impl ReadBack {
    fn new(log: ElectionLog) -> Self {
        Self { log, written: None, head_batches: Vec::new() }
    }
}

impl StoredLog<'_> {
    /// The log at the head.
    async fn read(&self) -> Result<ReadBack, NodeError> {
        let may_be_of_another = match self.restore() {
            Ok(None) => false,
            Ok(Some(Restored { log, sealed_through, written })) => {
                match self.read_on(Some(log), sealed_through).await {
                    // In a ledger that was restored from an older copy, positions in staging are
                    // assigned again: batches that were sealed after the snapshot may be staged
                    // before its position.
                    Ok(read)
                        if sealed_through > StagingId(0)
                            && read.log.evidence_missing()
                            && read.log.state() < State::Certified =>
                    {
                        self.refuse(&"batches sealed after it are not staged after its position");
                        false
                    }
                    Ok(read) => return Ok(ReadBack { written: Some(written), ..read }),
                    Err(error @ (NodeError::Log { .. } | NodeError::Checkpoint { .. })) => {
                        self.refuse(&error);
                        true
                    }
                    // The ledger does not answer, which proves nothing about the snapshot.
                    Err(error) => return Err(error),
                }
            }
            // An authority has compared the ledger with its memory: it waits for the others.
            Err(refused @ Refused::Ahead { .. }) if self.context.authority.is_none() => {
                return Err(self.forked(refused.to_string()));
            }
            Err(refused) => {
                self.refuse(&refused);
                // If the log names the missing roll too, the replay fails as well.
                matches!(refused, Refused::Roll(_))
            }
        };
        let read = self.read_on(None, StagingId(0)).await?;
        if may_be_of_another {
            return Err(self.forked(
                "the log and the snapshot are intact, but the log does not continue the snapshot"
                    .to_owned(),
            ));
        }
        Ok(read)
    }

    fn forked(&self, rule: String) -> NodeError {
        NodeError::Forked { law_id: self.law_id.clone(), rule }
    }

    fn restore(&self) -> Result<Option<Restored>, Refused> {
        if self.context.config.replay {
            return Ok(None);
        }
        let folder = self.context.folder.snapshot_path(self.law_id);
        stack_used();
        restore(&folder, self.law_id, self.head, self.ballot_key.as_ref(), &self.rolls)
    }

    fn refuse(&self, error: &dyn std::fmt::Display) {
        metrics::snapshot_refused();
        tracing::error!(
            event = "snapshot_rejected",
            alarm = true,
            law_id = %self.law_id,
            %error,
            "snapshot not used, reading the whole log"
        );
    }

    /// Reads the blocks after `from`, or all of them, and compares the result with the signed
    /// checkpoint.
    async fn read_on(
        &self,
        from: Option<ElectionLog>,
        sealed_through: StagingId,
    ) -> Result<ReadBack, NodeError> {
        let Self { context, law_id, head, ballot_key, rolls } = self;
        let mut head_batches = Vec::new();
        let mut evidence = EvidenceReader::new((*law_id).clone(), sealed_through);
        // Without the ballot key there is no evidence, and this dummy key decrypts nothing.
        let replay_key = ballot_key.clone().unwrap_or_else(|| BallotSecretKey::from_bytes([0; 32]));
        let mut height = from.as_ref().map_or(0, ElectionLog::height) + 1;
        let mut replay = from.map_or_else(LogReplay::new, LogReplay::resume);
        while height <= head.height {
            // Another node may be sealing: blocks after this head are followed later.
            let limit = usize::try_from(head.height - height + 1)
                .unwrap_or(READ_BATCH_LEN)
                .min(READ_BATCH_LEN);
            let blocks = context.ledger.blocks(law_id, height, limit).await?;
            if blocks.is_empty() {
                return Err(contradiction(law_id, "blocks are missing"));
            }
            for block in blocks {
                if block.height != height {
                    return Err(contradiction(law_id, "blocks are missing"));
                }
                let decided =
                    |number: &BatchNumber| replay.log().is_some_and(|log| is_decided(log, number));
                evidence.read_for(&*context.ledger, &block, decided).await?;
                let mut source = evidence.source(ballot_key.as_ref(), Some(rolls));
                let read = replay.read(&block.leaves, &replay_key, &mut source);
                read.map_err(|error| match rolls.failure() {
                    Some(roll) => NodeError::Roll(roll),
                    None => NodeError::Log { law_id: (*law_id).clone(), error },
                })?;
                let batches =
                    batches_of_block(&block.leaves).filter_map(|number| evidence.take(&number));
                head_batches = batches.collect();
                height += 1;
            }
        }
        let log = self.verified(replay.finish())?;
        Ok(ReadBack { head_batches, ..ReadBack::new(log) })
    }

    /// The log at the head, as it is stored: this node does not decide.
    async fn follow(&self) -> Result<ElectionLog, NodeError> {
        let Self { context, law_id, head, .. } = self;
        let mut followed: Option<ElectionLog> = None;
        let mut height = 1;
        while height <= head.height {
            let limit = usize::try_from(head.height - height + 1).unwrap_or(READ_BATCH_LEN);
            let blocks = context.ledger.blocks(law_id, height, limit.min(READ_BATCH_LEN)).await?;
            if blocks.is_empty() {
                return Err(contradiction(law_id, "blocks are missing"));
            }
            for block in blocks {
                if block.height != height {
                    return Err(contradiction(law_id, "blocks are missing"));
                }
                let read = match &mut followed {
                    None => ElectionLog::follow_first(&block.leaves)
                        .map(|log| followed = Some(log))
                        .map_err(ReplayError::from),
                    Some(log) => log
                        .follow(&block.leaves, &mut |_| {})
                        .map(|effect| log.apply(effect))
                        .map_err(ReplayError::from),
                };
                read.map_err(|error| NodeError::Log { law_id: (*law_id).clone(), error })?;
                height += 1;
            }
        }
        self.verified(followed)
    }

    /// Compares a log with the signed checkpoint.
    fn verified(&self, log: Option<ElectionLog>) -> Result<ElectionLog, NodeError> {
        let Self { law_id, head, .. } = self;
        let log = log.ok_or_else(|| contradiction(law_id, "it has no block"))?;
        let signer = self.signer(&log)?;
        let by_other = |_| contradiction(law_id, "the checkpoint is not by this node");
        signer.policy.verify_strict_by_authorities(&head.checkpoint).map_err(by_other)?;
        check_head(&log, &head.checkpoint, head.size)
            .map_err(|rule| contradiction(law_id, rule))?;
        Ok(log)
    }

    fn signer(&self, log: &ElectionLog) -> Result<CheckpointSigner, NodeError> {
        CheckpointSigner::new(&self.context.folder, self.law_id, log.definition().binding)
    }
}

/// Registers requests that were answered and not yet sealed as in flight again. Returns the last
/// staging id.
async fn reissue(
    context: &NodeContext,
    log: &ElectionLog,
    law_id: &ElectionId,
    sealed_through: StagingId,
) -> Result<StagingId, EngineError> {
    let mut after = sealed_through;
    loop {
        let staged = context.ledger.staged(law_id, after, READ_BATCH_LEN).await?;
        let Some(Staged { id, .. }) = staged.last() else { return Ok(after) };
        after = *id;
        let undecided = staged.iter().filter(|staged| !is_decided(log, &staged.batch.number()));
        for envelope in undecided.flat_map(|staged| staged.batch.envelopes()) {
            context.pending.adopt(envelope.request);
        }
    }
}

/// Whether the log has decided a batch, or another batch with its number.
pub(crate) fn is_decided(log: &ElectionLog, number: &BatchNumber) -> bool {
    number.sequence <= log.decisions().epochs().progress(number.node, number.epoch).through
}

/// Compares a log with its signed head.
pub(crate) fn check_head(
    log: &ElectionLog,
    checkpoint: &[u8],
    size: u64,
) -> Result<(), &'static str> {
    if log.tree().size() != size {
        return Err("the number of leaves differs");
    }
    check_root(size, &log.root(), checkpoint)
}

/// Compares the size and root of a log with a signed checkpoint, whose signatures are not verified
/// here.
pub(crate) fn check_root(
    size: u64,
    root: &TreeHash,
    checkpoint: &[u8],
) -> Result<(), &'static str> {
    let signed =
        SignedCheckpoint::parse(checkpoint).map_err(|_| "the checkpoint cannot be parsed")?;
    if signed.unverified().size() != size {
        return Err("the number of leaves differs");
    }
    if signed.unverified().root() != *root {
        return Err("the root differs");
    }
    Ok(())
}

/// The electors for the registry, as the log records them.
pub(crate) fn known_electors(log: &ElectionLog) -> Vec<KnownElectors> {
    let electorate = log.electorate();
    let count = electorate.lists().map(|(_, keys)| keys.len()).sum();
    let mut uses = vec![FirstUse::UNUSED; count];
    for decided in log.decisions().requests().decided() {
        if let Some(Elector(elector)) = decided.elector()
            && uses[elector as usize] == FirstUse::UNUSED
        {
            uses[elector as usize] = FirstUse::by(decided.request());
        }
    }
    for Elector(elector) in electorate.revoked() {
        uses[elector as usize] = FirstUse::REVOKED;
    }
    let lists = electorate.lists().collect::<Vec<_>>();
    let mut known: Vec<_> = lists
        .into_iter()
        .rev()
        .map(|(Elector(first), keys)| KnownElectors {
            keys: Arc::clone(keys),
            // From the last list to the first: each split takes the tail of `uses`.
            uses: uses.split_off(first as usize),
        })
        .collect();
    known.reverse();
    known
}

/// Adds the content of a roll or a supplement to the registry.
pub(crate) async fn add_to_registry(
    context: &NodeContext,
    law_id: &ElectionId,
    content: &RollContent,
) -> Result<(), EngineError> {
    match content {
        RollContent::Roll(keys) => context.registry.add_roll(law_id, keys).await,
        RollContent::Supplement(changes) => context.registry.apply(law_id, changes).await,
    }
}

/// The maximum bytes of evidence kept before a block needs it: the order of batches in staging is
/// nearly that of the log.
const EVIDENCE_BYTES_MAX: usize = 256 << 20;

/// Batches read from the ledger in step with the blocks.
pub(crate) struct EvidenceReader {
    law_id: ElectionId,
    after: StagingId,
    ended: bool,
    batches: HashMap<BatchNumber, Arc<Batch>>,
    bytes: usize,
}

impl EvidenceReader {
    /// A reader of the batches after a staging id.
    pub(crate) fn new(law_id: ElectionId, after: StagingId) -> Self {
        Self { law_id, after, ended: false, batches: HashMap::new(), bytes: 0 }
    }

    /// Reads on until every batch of the block is available, the evidence ends, or the limit is
    /// reached. Batches already decided are not kept: no later block needs them.
    pub(crate) async fn read_for(
        &mut self,
        ledger: &dyn Staging,
        block: &StoredBlock,
        is_decided: impl Fn(&BatchNumber) -> bool,
    ) -> Result<(), EngineError> {
        let wanted: Vec<BatchNumber> = batches_of_block(&block.leaves).collect();
        while !self.ended
            && self.bytes < EVIDENCE_BYTES_MAX
            && wanted.iter().any(|number| !self.batches.contains_key(number))
        {
            let read = || ledger.staged(&self.law_id, self.after, READ_BATCH_LEN);
            let staged = until_definite("read_evidence", read).await?;
            match staged.last() {
                Some(Staged { id, .. }) => self.after = *id,
                None => self.ended = true,
            }
            for Staged { batch, .. } in
                staged.into_iter().filter(|staged| !is_decided(&staged.batch.number()))
            {
                self.bytes += batch.as_bytes().len();
                self.batches.insert(batch.number(), batch);
            }
        }
        Ok(())
    }

    /// Removes a batch whose block was read.
    pub(crate) fn take(&mut self, number: &BatchNumber) -> Option<Arc<Batch>> {
        let batch = self.batches.remove(number)?;
        self.bytes -= batch.as_bytes().len();
        Some(batch)
    }

    /// The evidence for the next block. Without `rolls` no roll is available.
    pub(crate) fn source<'a>(
        &'a self,
        ballot_key: Option<&'a BallotSecretKey>,
        rolls: Option<&'a Rolls<'a>>,
    ) -> BlockSource<'a> {
        stack_used();
        BlockSource { batches: &self.batches, ballot_key, rolls }
    }
}

/// The inputs for checking a block: batches, the ballot key, rolls in the data folder.
pub(crate) struct BlockSource<'a> {
    pub(crate) batches: &'a HashMap<BatchNumber, Arc<Batch>>,
    /// Without it no evidence is available.
    pub(crate) ballot_key: Option<&'a BallotSecretKey>,
    pub(crate) rolls: Option<&'a Rolls<'a>>,
}

impl ReplaySource for BlockSource<'_> {
    fn roll(&mut self, event: &RollEvent) -> Option<RollContent> {
        self.rolls?.content_if_whole(&event.manifest)
    }

    fn evidence(&mut self, leaf: &BatchLeaf) -> Option<Evidence> {
        let batch = self.batches.get(&leaf.number())?;
        let choices = batch.open(self.ballot_key?);
        Some(Evidence { batch: Arc::clone(batch), choices })
    }
}
