//! Direct staging: a batch that the ballot box has confirmed and that no collector stages is staged
//! by the node that published it.
//!
//! A queue of a broker has one active consumer. While that process is frozen, the broker keeps the
//! queue with it until two heartbeats are missing, 10 to 15 s, and every batch in the queue waits;
//! publishing a batch again would queue it after the others. The node itself has everything that
//! staging needs. The ledger stores one batch under a number, from the first copy that arrives: the
//! copy in the queue is staged again later, without effect.
//!
//! In the normal case nothing is queried: the node reads the staged batches in any case, and
//! records them in [`UnsealedBatches`](crate::election::UnsealedBatches).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use votekit_core::batch::Batch;
use votekit_core::id::ElectionId;
use votekit_store::EngineError;
use votekit_store::retry::is_passing;

use crate::context::NodeContext;
use crate::election::ElectionHandle;
use crate::metrics::{self, Step};
use crate::recovery::restaging::{is_purged_by_now, stage_undecided};
use crate::validate::validation;

/// The maximum time of a confirmed batch in the ballot box: many times the usual. The idle watch
/// over the ledger sees a staged batch after a second at the latest.
const WAY_MAX: Duration = Duration::from_secs(2);

/// Interval between checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// Batches in flight to the ledger, which groups them.
const IN_FLIGHT_MAX: usize = 64;

/// Stages overdue batches as long as the node runs, as one task of the node.
pub(crate) async fn run(context: Arc<NodeContext>) {
    // Elections with overdue batches at the last check: one line is logged for each standstill.
    let mut overdue: BTreeSet<ElectionId> = BTreeSet::new();
    loop {
        tokio::time::sleep(CHECK_INTERVAL).await;
        for election in context.elections() {
            let batches = overdue_batches(&election);
            if batches.is_empty() {
                overdue.remove(election.law_id());
                continue;
            }
            if overdue.insert(election.law_id().clone()) {
                // Without their numbers: with the time of this line they would date votes more
                // finely than the log does.
                tracing::warn!(
                    event = "batches_staged_directly",
                    law_id = %election.law_id(),
                    batches = batches.len(),
                    "confirmed batches are not staged from the ballot box, staging them here"
                );
            }
            stage_all(&context, &election, &batches).await;
        }
    }
}

/// The batches of an election that should be staged by now.
fn overdue_batches(election: &ElectionHandle) -> Vec<Arc<Batch>> {
    let unsealed = &election.unsealed;
    // The log of a halted election cannot be trusted to show which batches are sealed.
    if unsealed.is_empty() || election.halted().is_some() {
        return Vec::new();
    }
    {
        let log = election.log();
        let epochs = log.decisions().epochs();
        unsealed.retain(|number| {
            let progress = epochs.progress(number.node, number.epoch);
            number.sequence > progress.through && !progress.ended
        });
    }
    unsealed.unstaged_for(WAY_MAX, Instant::now())
}

/// Stages batches in groups. Ends with the first group that the ledger does not store: the next
/// check continues.
async fn stage_all(
    context: &Arc<NodeContext>,
    election: &Arc<ElectionHandle>,
    batches: &[Arc<Batch>],
) {
    // Without an answer of the ledger, the next check continues.
    if is_purged_by_now(context, election).await.unwrap_or(true) {
        return;
    }
    for group in batches.chunks(IN_FLIGHT_MAX) {
        let mut staging = JoinSet::new();
        for batch in group {
            let (job, election, batch) = (context.job(), Arc::clone(election), Arc::clone(batch));
            staging.spawn(async move { stage(&job, &election, &batch).await });
        }
        if !staging.join_all().await.into_iter().all(|is_done| is_done) {
            return;
        }
    }
}

/// Stages one batch. Returns whether nothing is left to do for it here.
async fn stage(context: &NodeContext, election: &ElectionHandle, batch: &Arc<Batch>) -> bool {
    let verified = election.log().verify_batch(batch).map_err(|error| error.to_string());
    let staged = match verified {
        Ok(_) => {
            // As in validation: the marks of a batch are made before it can be decided.
            let hints = validation::hint(context, election, batch).await;
            // Another program may have written a row with its number, or have moved its row to a
            // position that readers have passed.
            let above = election.committed().sealed_through;
            match stage_undecided(context, election, batch, &hints, above).await {
                // The ledger is unavailable, which its other callers report; or another program has
                // taken the new position.
                Err(error)
                    if is_passing(&error) || matches!(error, EngineError::Corrupt { .. }) =>
                {
                    return false;
                }
                staged => staged.map_err(|error| error.to_string()),
            }
        }
        Err(reason) => Err(reason),
    };
    match staged {
        Ok(()) => {
            election.unsealed.note_staged(&batch.number());
            metrics::batch(Step::StagedDirectly);
            election.staged.notify_one();
        }
        // The ballot box still has it: validators and collectors decide about it.
        Err(reason) => {
            election.unsealed.remove(&batch.number());
            tracing::warn!(
                event = "batch_left_in_ballot_box",
                law_id = %election.law_id(),
                reason,
                "overdue batch of this node cannot be staged here"
            );
        }
    }
    true
}
