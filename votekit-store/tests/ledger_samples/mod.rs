//! Reproducible batches and blocks.

// Each test program uses another part of this.
#![allow(dead_code)]

use std::sync::Arc;

use votekit_core::FixedRng;
use votekit_core::batch::{Batch, BatchHeader, NodeKey};
use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, RequestId, Sequence};
use votekit_core::log::merkle::{TreeBuilder, leaf_hash};
use votekit_core::{ballot, credential, envelope, instant};
use votekit_store::{BlockCommit, Head, StagingId, StoredBlock};

pub(crate) fn law() -> ElectionId {
    "L2025-001".parse().expect("a law id")
}

/// A reproducible batch of two votes, by its number.
pub(crate) fn batch(by: u8, sequence: u64) -> Arc<Batch> {
    batch_of(by, sequence, 2)
}

/// A reproducible batch, by its number and its count.
pub(crate) fn batch_of(by: u8, sequence: u64, count: u64) -> Arc<Batch> {
    let vote =
        |index: u64| *Digest::compute(format!("{by} {sequence} {index}").as_bytes()).as_bytes();
    sealed(by, Epoch(1), sequence, (0..count).map(vote))
}

/// A batch by its number, with one vote for each hash of a credential: the first half of the hash
/// is the id of the request.
pub(crate) fn sealed(
    by: u8,
    epoch: Epoch,
    sequence: u64,
    votes: impl Iterator<Item = [u8; 32]>,
) -> Arc<Batch> {
    let node_key = NodeKey::from_seed(&[by; 32]);
    let number = BatchNumber { node: node_key.node_id(), epoch, sequence: Sequence(sequence) };
    let header = BatchHeader {
        law_id: law(),
        number,
        confirmed_through: Sequence(sequence - 1),
        last: false,
    };
    let envelopes: Vec<envelope::Envelope> = votes
        .map(|bytes| envelope::Envelope {
            request: RequestId::from_bytes(bytes[..16].try_into().expect("16 bytes")),
            hash: credential::CredentialHash::from_bytes(bytes),
            received: instant::UnixMinutes(28_333_333),
            choice: ballot::ChoiceIndex(0),
        })
        .collect();
    let key = ballot::BallotSecretKey::from_seed(&[7; 32]).public_key();
    Arc::new(
        Batch::seal(header, &envelopes, &key, &node_key, &mut FixedRng::new(0))
            .expect("a usable key"),
    )
}

/// A log that grows block by block.
pub(crate) struct Log {
    tree: TreeBuilder,
    height: u64,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self { tree: TreeBuilder::new(), height: 0 }
    }

    /// The next block, with `leaf_count` made-up entries.
    pub(crate) fn block(&mut self, leaf_count: u32) -> Arc<BlockCommit> {
        let first = self.tree.size();
        let entry = |leaf| {
            let hash = Digest::compute(&u64::to_be_bytes(leaf)).to_hex();
            format!(
                r#"{{"leaf":"entry","request":"{}","decision":"accepted","hash":"{hash}","minute":29000000}}"#,
                &hash[..32]
            )
        };
        let leaves: Vec<String> = (first..first + u64::from(leaf_count)).map(entry).collect();
        self.block_of(&leaves)
    }

    /// The next block, with these leaves.
    pub(crate) fn block_of(&mut self, texts: &[String]) -> Arc<BlockCommit> {
        let first_leaf = self.tree.size();
        let (mut leaves, mut full_tiles) = (Vec::new(), Vec::new());
        for text in texts {
            leaves
                .extend_from_slice(&u16::try_from(text.len()).expect("a short leaf").to_be_bytes());
            leaves.extend_from_slice(text.as_bytes());
            self.tree.append(leaf_hash(text.as_bytes()), &mut full_tiles);
        }
        self.height += 1;
        let size = self.tree.size();
        Arc::new(BlockCommit {
            law_id: law(),
            block: StoredBlock {
                height: self.height,
                first_leaf,
                leaf_count: texts.len() as u32,
                leaves,
            },
            full_tiles,
            head: Head {
                size,
                height: self.height,
                root: self.tree.root(),
                fence: 1,
                checkpoint: format!("{size} {}", self.tree.root()).into_bytes(),
                sealed_through: StagingId(0),
                takes_votes: true,
            },
            sealed_batch: None,
            not_after: None,
        })
    }
}
