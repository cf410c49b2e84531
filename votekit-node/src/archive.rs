//! A data folder, read beside the node that may be using it: for exports, recounts and results. Nothing is written and no lock is taken.

use std::path::Path;

use votekit_core::ballot::BallotSecretKey;
use votekit_core::chronicle::leaves_of_block;
use votekit_core::id::{Digest, LawId};
use votekit_core::log::leaf::{ElectionEvent, Leaf};

use crate::data_folder::DataFolder;
use crate::election_cell::CheckpointSigner;
use crate::engine::embedded::Snapshot;
use crate::engine::{EngineError, Head, Staged, StagingId, StoredBlock};
use crate::node::NodeError;

/// Blocks or batches read at once.
const READ_AT_ONCE: usize = 64;

/// A data folder as it stood when it was opened.
#[derive(Debug)]
pub struct Archive {
    folder: DataFolder,
    snapshot: Snapshot,
}

impl Archive {
    /// Opens the data folder of a node, running or stopped.
    ///
    /// # Errors
    /// [`NodeError`] when it is no data folder, or does not read.
    pub fn open(path: &Path) -> Result<Self, NodeError> {
        Ok(Self { folder: DataFolder::peek(path)?, snapshot: Snapshot::open(path)? })
    }

    /// The elections, in the order of their creation.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn elections(&self) -> Result<Vec<LawId>, EngineError> {
        self.snapshot.elections()
    }

    /// Where the log of an election stands.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn head(&self, law_id: &LawId) -> Result<Option<Head>, EngineError> {
        self.snapshot.head(law_id)
    }

    /// Hands every leaf of a log to `each`, in order.
    ///
    /// # Errors
    /// [`EngineError`], or what `each` fails with.
    pub fn for_each_leaf<E: From<EngineError>>(
        &self,
        law_id: &LawId,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut height = 1;
        loop {
            let blocks = self.snapshot.blocks(law_id, height, READ_AT_ONCE)?;
            let Some(last) = blocks.last() else { return Ok(()) };
            height = last.height + 1;
            for StoredBlock { height, leaves, .. } in &blocks {
                for leaf in leaves_of_block(leaves) {
                    each(leaf.ok_or_else(|| cut_short(law_id, *height))?)?;
                }
            }
        }
    }

    /// Hands every batch of the evidence to `each`, in the order of staging: sealed ones, and those still waiting.
    ///
    /// # Errors
    /// [`EngineError`], or what `each` fails with.
    pub fn for_each_batch<E: From<EngineError>>(
        &self,
        law_id: &LawId,
        mut each: impl FnMut(&Staged) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut after = StagingId(0);
        loop {
            let batches = self.snapshot.batches(law_id, after, READ_AT_ONCE)?;
            let Some(last) = batches.last() else { return Ok(()) };
            after = last.id;
            for batch in &batches {
                each(batch)?;
            }
        }
    }

    /// A manifest that was loaded, by its digest.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn manifest(&self, digest: &Digest) -> Result<Option<Vec<u8>>, EngineError> {
        self.snapshot.manifest(digest)
    }

    /// The bytes of an election's policy.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn policy(&self, law_id: &LawId) -> Result<Vec<u8>, NodeError> {
        let damaged = || cut_short(law_id, 1);
        let blocks = self.snapshot.blocks(law_id, 1, 1)?;
        let first = blocks.first().and_then(|block| leaves_of_block(&block.leaves).next()).flatten().ok_or_else(damaged)?;
        let Ok(Leaf::Election(ElectionEvent::Draft { definition, .. })) = Leaf::parse(first) else {
            return Err(damaged().into());
        };
        let signer = CheckpointSigner::new(&self.folder, law_id, definition.binding)?;
        Ok(signer.policy.as_bytes().to_vec())
    }

    /// The ballot key of an election; `None` once it has been destroyed.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn ballot_key(&self, law_id: &LawId) -> Result<Option<BallotSecretKey>, NodeError> {
        Ok(self.folder.ballot_key(law_id)?)
    }
}

fn cut_short(law_id: &LawId, height: u64) -> EngineError {
    EngineError::Corrupt { engine: "ledger", reason: format!("block {height} of {law_id} does not read") }
}
