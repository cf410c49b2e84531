//! Deterministic samples for the cases: batches, logs and keys.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use votekit_core::FixedRng;
use votekit_core::ballot::{BallotSecretKey, ChoiceIndex};
use votekit_core::batch::{Batch, BatchHeader, NodeKey};
use votekit_core::credential::{CredentialHash, RegistryKey};
use votekit_core::electorate::KeyList;
use votekit_core::envelope::Envelope;
use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, NodeId, RequestId, Sequence};
use votekit_core::instant::UnixMinutes;
use votekit_core::log::merkle::{TreeBuilder, leaf_hash};
use votekit_core::rand_core::TryRng as _;

use super::CaseError;
use crate::{
    BallotBox, BlockCommit, Delivery, Head, Ledger, Mark, StagingId, StoredBlock, ValidatedBatch,
};

/// Timeout for a delivery. Not a claim about speed, only an end to waiting.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn law(text: &str) -> ElectionId {
    text.parse().expect("sample law ids are well formed")
}

fn node_key(node: u8) -> NodeKey {
    NodeKey::from_seed(&[node; 32])
}

pub(super) fn node(node: u8) -> NodeId {
    node_key(node).node_id()
}

/// A batch of `count` envelopes from node `by`, derived from `salt` and the batch number.
pub(super) fn batch(
    law_id: &ElectionId,
    by: u8,
    epoch: Epoch,
    sequence: u64,
    count: u32,
    salt: u64,
) -> Arc<Batch> {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&salt.to_be_bytes());
    seed[8..16].copy_from_slice(&sequence.to_be_bytes());
    seed[16..20].copy_from_slice(&epoch.0.to_be_bytes());
    seed[20] = by;
    let mut rng = FixedRng::from_seed(seed);
    let number = BatchNumber { node: node(by), epoch, sequence: Sequence(sequence) };
    let header = BatchHeader {
        law_id: law_id.clone(),
        number,
        confirmed_through: Sequence(sequence - 1),
        last: false,
    };
    let envelopes: Vec<Envelope> = (0..count)
        .map(|_| Envelope {
            request: RequestId::from_bytes(bytes(&mut rng)),
            hash: CredentialHash::from_bytes(bytes(&mut rng)),
            received: UnixMinutes(28_333_333),
            choice: ChoiceIndex(1),
        })
        .collect();
    let ballot_key = BallotSecretKey::from_seed(&[9; 32]).public_key();
    Arc::new(
        Batch::seal(header, &envelopes, &ballot_key, &node_key(by), &mut rng)
            .expect("the sample ballot key is usable"),
    )
}

/// The first `count` batches of node 1 in epoch 1, each of two envelopes.
pub(super) fn batches(law_id: &ElectionId, count: u64) -> Vec<Arc<Batch>> {
    (1..=count).map(|sequence| batch(law_id, 1, Epoch(1), sequence, 2, 0)).collect()
}

/// A log that grows by blocks of sample leaves.
#[derive(Clone)]
pub(super) struct SampleLog {
    law_id: ElectionId,
    tree: TreeBuilder,
    height: u64,
    pub(super) term: u64,
    pub(super) sealed_through: StagingId,
    sealed_batch: Option<Digest>,
}

impl SampleLog {
    pub(super) fn new(law_id: &ElectionId) -> Self {
        Self {
            law_id: law_id.clone(),
            tree: TreeBuilder::new(),
            height: 0,
            term: 1,
            sealed_through: StagingId(0),
            sealed_batch: None,
        }
    }

    /// Seals staging through a batch and its position, from the next block on.
    pub(super) fn seal(&mut self, id: StagingId, batch: &Batch) {
        (self.sealed_through, self.sealed_batch) = (id, Some(batch.digest()));
    }

    /// Appends the next block to the sample, with `leaf_count` leaves derived from `salt`, and
    /// returns it.
    pub(super) fn block(&mut self, leaf_count: u32, salt: &str) -> Arc<BlockCommit> {
        let first_leaf = self.tree.size();
        let mut leaves = Vec::new();
        let mut full_tiles = Vec::new();
        for leaf in 0..leaf_count {
            let text = format!("{salt} {}", first_leaf + u64::from(leaf));
            leaves.extend_from_slice(
                &u16::try_from(text.len()).expect("sample leaves are short").to_be_bytes(),
            );
            leaves.extend_from_slice(text.as_bytes());
            self.tree.append(leaf_hash(text.as_bytes()), &mut full_tiles);
        }
        self.height += 1;
        let size = self.tree.size();
        let checkpoint = format!("{}\n{size}\n{}\n", self.law_id, self.tree.root()).into_bytes();
        Arc::new(BlockCommit {
            law_id: self.law_id.clone(),
            block: StoredBlock { height: self.height, first_leaf, leaf_count, leaves },
            full_tiles,
            head: Head {
                size,
                height: self.height,
                root: self.tree.root(),
                fence: self.term,
                checkpoint,
                sealed_through: self.sealed_through,
                takes_votes: true,
            },
            sealed_batch: self.sealed_batch,
            not_after: None,
        })
    }

    /// Appends the next block and commits it.
    pub(super) async fn grow(
        &mut self,
        ledger: &dyn Ledger,
        leaf_count: u32,
    ) -> Result<Arc<BlockCommit>, CaseError> {
        let commit = self.block(leaf_count, "leaf");
        ledger.commit(&commit).await?;
        Ok(commit)
    }
}

pub(super) fn key(number: u32) -> RegistryKey {
    RegistryKey::from_bytes(Sha256::digest(number.to_be_bytes()).into())
}

/// A roll with the sample keys of these numbers.
pub(super) fn roll(numbers: impl IntoIterator<Item = u32>) -> Arc<KeyList> {
    let mut keys: Vec<RegistryKey> = numbers.into_iter().map(key).collect();
    keys.sort_unstable();
    Arc::new(KeyList::new(keys).expect("sample keys differ"))
}

pub(super) fn request(number: u32) -> RequestId {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(number.to_le_bytes())[..16]);
    RequestId::from_bytes(bytes)
}

pub(super) fn mark(key_number: u32, request_number: u32) -> Mark {
    Mark { key: key(key_number), request: request(request_number) }
}

/// Receives the next delivery.
pub(super) async fn next(ballot_box: &dyn BallotBox) -> Result<Delivery, CaseError> {
    match tokio::time::timeout(DELIVERY_TIMEOUT, ballot_box.receive()).await {
        Ok(delivery) => Ok(delivery?),
        Err(_) => Err(CaseError::Missing { what: "a delivery" }),
    }
}

/// Collects the next validated batch.
pub(super) async fn next_validated(
    ballot_box: &dyn BallotBox,
) -> Result<ValidatedBatch, CaseError> {
    match tokio::time::timeout(DELIVERY_TIMEOUT, ballot_box.collect()).await {
        Ok(validated) => Ok(validated?),
        Err(_) => Err(CaseError::Missing { what: "a validated batch" }),
    }
}

/// The next bytes of a generator.
fn bytes<const N: usize>(rng: &mut FixedRng) -> [u8; N] {
    let mut bytes = [0; N];
    let Ok(()) = rng.try_fill_bytes(&mut bytes);
    bytes
}
