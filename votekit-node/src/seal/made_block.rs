//! Makes the next block of staged batches: chooses them from the seal queue, and proposes.

use std::sync::Arc;
use std::time::Duration;

use votekit_core::batch::{Batch, VerifiedBatch};
use votekit_core::election_log::{BlockContent, BlockMaker, Proposal};

use crate::context::NodeContext;
use crate::election::ElectionHandle;
use crate::error::ElectionFault;
use crate::seal::seal_queue::{SealQueue, StagingMark};

/// The largest number of batches in a block.
pub(crate) const BLOCK_BATCHES_MAX: usize = 256;

/// The shortest time from one block to the next while votes keep arriving. A block of any size
/// costs signatures, commitments and a sync: under load more votes share them, and after a quiet
/// moment the next vote is sealed at once.
const BLOCK_INTERVAL: Duration = Duration::from_millis(20);

/// The same with several authorities. Each of them makes the block again, writes it to its own disk
/// and sends and reads statements: a block costs the installation several times as much.
const ROUND_BLOCK_INTERVAL: Duration = Duration::from_millis(100);

/// The shortest time from one block to the next on this node.
pub(crate) fn block_interval(context: &NodeContext) -> Duration {
    match &context.authority {
        Some(_) => ROUND_BLOCK_INTERVAL,
        None => BLOCK_INTERVAL,
    }
}

/// A block of votes that is made and not yet stored.
pub(crate) struct MadeBlock {
    pub(crate) proposal: Proposal,
    pub(crate) batches: Vec<VerifiedBatch>,
}

/// The inputs of a block other than its bytes.
pub(crate) struct RoundInputs {
    /// The batches that it decides.
    pub(crate) batches: Vec<Arc<Batch>>,
    /// All batches up to this position are in the log with this block, or were refused.
    pub(crate) sealed_through: StagingMark,
    /// The term in which it is proposed.
    pub(crate) term: u64,
}

/// Makes the next block of staged batches; `None` when none of them can be sealed now.
pub(crate) fn make_block(
    election: &ElectionHandle,
    seal_queue: &mut SealQueue,
    now_millis: u64,
    maker: &BlockMaker,
) -> Result<Option<MadeBlock>, ElectionFault> {
    let Some(ballot_key) = election.ballot_key() else {
        return Err(ElectionFault::damaged(
            "the ballot key of an open election is not in the data folder",
        ));
    };
    let log = election.log();
    let batches = seal_queue.next_block(&log, now_millis, BLOCK_BATCHES_MAX);
    if batches.is_empty() {
        return Ok(None);
    }
    let content = BlockContent::Batches { batches: &batches, ballot_key: &ballot_key };
    let proposal =
        log.propose(&content, maker).map_err(|error| ElectionFault::damaged(error.to_string()))?;
    if let Some((index, error)) = proposal.refused.first() {
        // The queue chooses consecutive batches. If a batch does not follow the previous one,
        // nothing may be sealed after it.
        let number = batches[*index].number();
        seal_queue.report_unsealable(&number, error);
        return Err(ElectionFault::damaged(format!(
            "staged batch {number} cannot be sealed: {error}"
        )));
    }
    Ok(Some(MadeBlock { proposal, batches }))
}
