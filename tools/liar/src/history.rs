//! The history of one election in the ledger: the log, read with every check, and the batches.
//!
//! It reads everything again each time, because the logs of tests are small.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use votekit_core::ballot::BallotSecretKey;
use votekit_core::batch::{Batch, VerifiedBatch};
use votekit_core::election_log::{ElectionLog, Evidence, LogReplay, ReplaySource, RollContent};
use votekit_core::id::{BatchNumber, ElectionId};
use votekit_core::log::leaf::{BatchLeaf, RollEvent};
use votekit_store::{Ledger, StagingId};

use crate::folder::AuthorityFolder;

/// The maximum number of blocks or batches in one read.
const PAGE: usize = 1000;

/// An election as this authority knows it.
pub(crate) struct History {
    pub(crate) log: ElectionLog,
    pub(crate) ballot_key: BallotSecretKey,
    /// Every batch of the ledger.
    pub(crate) batches: Batches,
    /// The verified batches that may not be in the log yet, in the order of staging.
    pub(crate) unsealed: Vec<VerifiedBatch>,
}

/// Batches by their numbers.
pub(crate) type Batches = HashMap<BatchNumber, Arc<Batch>>;

impl History {
    /// Reads the log and the batches.
    ///
    /// # Errors
    /// When the ledger fails, the log does not verify, or the folder lacks a key or a roll.
    pub(crate) async fn read(
        ledger: &dyn Ledger,
        folder: &AuthorityFolder,
        law_id: &ElectionId,
    ) -> Result<Self> {
        let ballot_key = folder.ballot_key(law_id)?;
        let head = ledger.head(law_id).await?.context("the election has no log")?;
        let (mut batches, mut late) = (Batches::new(), Vec::new());
        let mut after = StagingId(0);
        loop {
            let page = ledger.staged(law_id, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            for staged in page {
                if staged.id > head.sealed_through {
                    late.push(Arc::clone(&staged.batch));
                }
                batches.insert(staged.batch.number(), staged.batch);
            }
        }
        let log = replay(ledger, folder, law_id, &ballot_key, &batches).await?;
        let unsealed = late.iter().filter_map(|batch| log.verify_batch(batch).ok()).collect();
        Ok(Self { log, ballot_key, batches, unsealed })
    }
}

async fn replay(
    ledger: &dyn Ledger,
    folder: &AuthorityFolder,
    law_id: &ElectionId,
    ballot_key: &BallotSecretKey,
    batches: &Batches,
) -> Result<ElectionLog> {
    let mut replay = LogReplay::new();
    let mut source = Source { folder, law_id, ballot_key, batches };
    let mut height = 1;
    loop {
        let blocks = ledger.blocks(law_id, height, PAGE).await?;
        if blocks.is_empty() {
            break;
        }
        for block in blocks {
            ensure!(block.height == height, "the ledger lacks block {height}");
            replay
                .read(&block.leaves, ballot_key, &mut source)
                .with_context(|| format!("reading block {height}"))?;
            height += 1;
        }
    }
    replay.finish().context("the log has no block")
}

/// The inputs of a replay.
struct Source<'a> {
    folder: &'a AuthorityFolder,
    law_id: &'a ElectionId,
    ballot_key: &'a BallotSecretKey,
    batches: &'a Batches,
}

impl ReplaySource for Source<'_> {
    fn roll(&mut self, event: &RollEvent) -> Option<RollContent> {
        // The replay reports that the roll is not available.
        self.folder.roll(&event.manifest, self.law_id).ok().flatten()
    }

    fn evidence(&mut self, leaf: &BatchLeaf) -> Option<Evidence> {
        let batch = Arc::clone(self.batches.get(&leaf.number())?);
        let choices = batch.open(self.ballot_key);
        Some(Evidence { batch, choices })
    }
}
