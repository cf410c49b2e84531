//! A batch in staging that no admitted node has signed, as anyone can insert who writes to the
//! ledger.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use getrandom::SysRng;
use rand_core::UnwrapErr;
use serde_json::json;
use votekit_core::ballot::ChoiceIndex;
use votekit_core::batch::{Batch, BatchHeader, NodeKey};
use votekit_core::credential::CredentialHash;
use votekit_core::election_log::batches_of_block;
use votekit_core::envelope::Envelope;
use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, RequestId, Sequence};
use votekit_core::instant::UnixSeconds;
use votekit_store::Ledger;

use crate::attempt::{Outcome, now};
use crate::folder::AuthorityFolder;

/// The maximum number of blocks in one read.
const PAGE: usize = 1000;

/// Stages a batch with one vote under a key that no log admits. It is believed if a block that
/// comes before `answers` is over has it.
///
/// # Errors
/// When the ledger fails, or the folder lacks the ballot key.
pub async fn stage_rogue_batch(
    folder: &AuthorityFolder,
    ledger: &dyn Ledger,
    law_id: &ElectionId,
    answers: Duration,
) -> Result<Outcome> {
    let batch = Arc::new(forge(folder, law_id, now()?)?);
    let before = ledger.head(law_id).await?.context("the election has no log")?.height;
    let place = ledger.stage(&batch, &Vec::new()).await?;
    tokio::time::sleep(answers).await;
    let is_sealed = has_batch(ledger, law_id, before + 1, batch.number()).await?;
    let description = json!({
        "lie": "rogue-batch",
        "batch": batch.number().to_string(),
        "staged_at": place.0,
        "believed": is_sealed,
    });
    Ok(Outcome { is_believed: is_sealed, description })
}

fn forge(folder: &AuthorityFolder, law_id: &ElectionId, now: UnixSeconds) -> Result<Batch> {
    let seed = Digest::of(format!("votekit-liar {}", now.0).as_bytes());
    let key = NodeKey::from_seed(seed.as_bytes());
    let number = BatchNumber { node: key.node_id(), epoch: Epoch(1), sequence: Sequence(1) };
    let request = seed.as_bytes().first_chunk().context("16 of 32 bytes")?;
    let envelope = Envelope {
        request: RequestId::from_bytes(*request),
        hash: CredentialHash::from_bytes(*seed.as_bytes()),
        received: now.minute_floor(),
        choice: ChoiceIndex(0),
    };
    let header =
        BatchHeader { law_id: law_id.clone(), number, confirmed_through: Sequence(0), last: false };
    let ballot_key = folder.ballot_key(law_id)?.public_key();
    Ok(Batch::seal(header, &[envelope], &ballot_key, &key, &mut UnwrapErr(SysRng))?)
}

/// Whether a block from a height on has the batch.
async fn has_batch(
    ledger: &dyn Ledger,
    law_id: &ElectionId,
    from: u64,
    number: BatchNumber,
) -> Result<bool> {
    let mut height = from;
    loop {
        let blocks = ledger.blocks(law_id, height, PAGE).await?;
        let Some(last) = blocks.last() else { return Ok(false) };
        height = last.height + 1;
        let has_it = |leaves: &[u8]| batches_of_block(leaves).any(|found| found == number);
        if blocks.iter().any(|block| has_it(&block.leaves)) {
            return Ok(true);
        }
    }
}
