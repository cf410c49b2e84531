//! Starting: the log of an election is read back, its root held against the checkpoint, the registry brought up to it.

use std::collections::HashMap;
use std::sync::Arc;

use votekit_core::ballot::{BallotSecretKey, ChoiceIndex};
use votekit_core::batch::Batch;
use votekit_core::chronicle::{Chronicle, ReplaySource, RollContent, leaves_of_block};
use votekit_core::credential::CredentialHasher;
use votekit_core::decision::Decision;
use votekit_core::election::State;
use votekit_core::id::{BatchNumber, Epoch, LawId, RequestId};
use votekit_core::log::checkpoint::SignedCheckpoint;
use votekit_core::log::leaf::{BatchLeaf, Leaf, RollEvent};

use crate::data_folder::DataFolder;
use crate::election_cell::{CheckpointSigner, Committed, ElectionSecrets};
use crate::engine::{EngineError, Ledger, Mark, Staged, StagingId, StoredBlock};
use crate::node::{NodeError, Shared};
use crate::roll_store;

/// Blocks, and batches of evidence, read at once.
const READ_AT_ONCE: usize = 256;

/// What an election's cell is made of besides its chronicle.
pub(crate) struct Recovered {
    pub(crate) committed: Committed,
    pub(crate) secrets: Option<ElectionSecrets>,
    pub(crate) signer: CheckpointSigner,
    pub(crate) hasher: Option<CredentialHasher>,
    /// Epochs that earlier lives of this node were given.
    pub(crate) earlier_epochs: Vec<Epoch>,
}

/// Reads the log of an election back.
pub(crate) async fn read_back(shared: &Shared, law_id: &LawId) -> Result<(Chronicle, Recovered), NodeError> {
    let ledger = &*shared.ledger;
    let damaged = |rule| NodeError::Checkpoint { law_id: law_id.clone(), rule };
    let head = ledger.head(law_id).await?.ok_or_else(|| damaged("it has no head"))?;
    let secrets = ElectionSecrets::read(&shared.folder, law_id)?;
    let ballot_key = secrets.as_ref().map(|secrets| secrets.ballot_key.clone());
    let mut source = Source { folder: &shared.folder, law_id, evidence: HashMap::new(), ballot_key: ballot_key.clone() };
    let mut evidence = EvidenceReader { ledger, law_id, after: StagingId(0), last: head.sealed_through };
    // Without its key nothing can be counted; what was opened is then all there is.
    let replay_key = ballot_key.clone().unwrap_or_else(|| BallotSecretKey::from_bytes([0; 32]));
    let mut chronicle = None;
    let mut height = 1;
    while height <= head.height {
        let blocks = ledger.blocks(law_id, height, READ_AT_ONCE).await?;
        if blocks.is_empty() {
            return Err(damaged("blocks are missing"));
        }
        for block in blocks {
            if block.height != height {
                return Err(damaged("blocks are missing"));
            }
            evidence.read_for(&block, &mut source.evidence).await?;
            let replayed = Chronicle::replay(chronicle.take(), &block.leaves, &replay_key, &mut source);
            let replayed = replayed.map_err(|error| NodeError::Log { law_id: law_id.clone(), error })?;
            restore_registry(shared, &replayed, &block).await?;
            chronicle = Some(replayed);
            height += 1;
        }
    }
    let chronicle = chronicle.ok_or_else(|| damaged("it has no block"))?;
    let signer = CheckpointSigner::new(&shared.folder, law_id, chronicle.definition().binding)?;
    signer.policy.verify_strict(&head.checkpoint).map_err(|_| damaged("the checkpoint is not by this node"))?;
    check_head(&chronicle, &head.checkpoint, head.size).map_err(damaged)?;
    if ballot_key.is_none() && chronicle.state() < State::Closed {
        return Err(NodeError::BallotKey { law_id: law_id.clone() });
    }
    if chronicle.evidence_missing() && chronicle.state() < State::Closed {
        return Err(damaged("evidence of an election that is not closed is missing"));
    }
    let hasher = chronicle.last_manifest().map(|manifest| roll_store::hasher(&shared.folder, &manifest)).transpose()?;
    let node = shared.folder.node_key()?.node_id();
    let committed = Committed::of(&chronicle, node, head.checkpoint, head.sealed_through);
    reissue(shared, law_id, head.sealed_through).await?;
    let epochs = ledger.epochs(law_id).await?;
    let earlier_epochs = epochs.into_iter().filter(|(owner, _)| *owner == node).map(|(_, epoch)| epoch).collect();
    Ok((chronicle, Recovered { committed, secrets, signer, hasher, earlier_epochs }))
}

/// Requests that were answered and not yet sealed are on their way again.
async fn reissue(shared: &Shared, law_id: &LawId, sealed_through: StagingId) -> Result<(), EngineError> {
    let mut after = sealed_through;
    loop {
        let staged = shared.ledger.staged(law_id, after, READ_AT_ONCE).await?;
        let Some(Staged { id, .. }) = staged.last() else { return Ok(()) };
        after = *id;
        for envelope in staged.iter().flat_map(|staged| staged.batch.envelopes()) {
            shared.pending.issue(envelope.request, None);
        }
    }
}

fn check_head(chronicle: &Chronicle, checkpoint: &[u8], size: u64) -> Result<(), &'static str> {
    let signed = SignedCheckpoint::parse(checkpoint).map_err(|_| "the checkpoint does not read")?;
    if chronicle.tree().size() != size || signed.unverified().size() != size {
        return Err("the number of leaves differs");
    }
    if chronicle.tree().root() != signed.unverified().root() {
        return Err("the root differs");
    }
    Ok(())
}

/// Brings rolls and marks of one block into the registry.
async fn restore_registry(shared: &Shared, chronicle: &Chronicle, block: &StoredBlock) -> Result<(), NodeError> {
    let law_id = &chronicle.definition().law_id;
    let mut marks = Vec::new();
    for leaf in leaves_of_block(&block.leaves).flatten() {
        match Leaf::parse(leaf) {
            Ok(Leaf::Roll(event)) => {
                if let Some(content) = roll_store::content(&shared.folder, &event.manifest, law_id)? {
                    add_to_registry(shared, law_id, &content).await?;
                }
            }
            Ok(Leaf::Entry(entry)) => {
                if let (Decision::Accepted { hash }, Some(scheme)) = (entry.decision, chronicle.scheme()) {
                    marks.push(Mark { key: scheme.registry_key(&hash), request: entry.request });
                }
            }
            _ => {}
        }
    }
    if !marks.is_empty() {
        shared.registry.restore(law_id, &marks).await?;
    }
    Ok(())
}

/// Adds what a roll or a supplement brings to the registry.
pub(crate) async fn add_to_registry(shared: &Shared, law_id: &LawId, content: &RollContent) -> Result<(), EngineError> {
    match content {
        RollContent::Roll(keys) => shared.registry.add_roll(law_id, keys).await,
        RollContent::Supplement(changes) => shared.registry.apply(law_id, changes).await,
    }
}

/// Reads batches from the ledger in step with the blocks: sealed batches lie in staging in the order of the log.
struct EvidenceReader<'a> {
    ledger: &'a dyn Ledger,
    law_id: &'a LawId,
    after: StagingId,
    last: StagingId,
}

impl EvidenceReader<'_> {
    /// Reads on until every batch of the block is at hand, or the evidence ends.
    async fn read_for(
        &mut self,
        block: &StoredBlock,
        evidence: &mut HashMap<BatchNumber, Arc<Batch>>,
    ) -> Result<(), EngineError> {
        let wanted: Vec<BatchNumber> = leaves_of_block(&block.leaves)
            .flatten()
            .filter(|leaf| leaf.starts_with(br#"{"leaf":"batch""#))
            .filter_map(|leaf| match Leaf::parse(leaf) {
                Ok(Leaf::Batch(batch)) => Some(batch.number()),
                _ => None,
            })
            .collect();
        while wanted.iter().any(|number| !evidence.contains_key(number)) && self.after < self.last {
            let staged = self.ledger.staged(self.law_id, self.after, READ_AT_ONCE).await?;
            let Some(Staged { id, .. }) = staged.last() else { break };
            self.after = *id;
            evidence.extend(staged.into_iter().map(|Staged { batch, .. }| (batch.number(), batch)));
        }
        Ok(())
    }
}

struct Source<'a> {
    folder: &'a DataFolder,
    law_id: &'a LawId,
    evidence: HashMap<BatchNumber, Arc<Batch>>,
    ballot_key: Option<BallotSecretKey>,
}

impl ReplaySource for Source<'_> {
    fn roll(&mut self, event: &RollEvent) -> Option<RollContent> {
        // A roll that is damaged or gone is told by the replay as one that is not at hand.
        roll_store::content(self.folder, &event.manifest, self.law_id).ok().flatten()
    }

    fn choices(&mut self, leaf: &BatchLeaf) -> Option<Vec<(RequestId, Option<ChoiceIndex>)>> {
        let batch = self.evidence.remove(&leaf.number()).filter(|batch| batch.digest() == leaf.digest)?;
        let key = self.ballot_key.as_ref()?;
        Some(batch.envelopes().map(|envelope| envelope.request).zip(batch.open(key)).collect())
    }
}
