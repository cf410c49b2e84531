//! Staging: validated batches are made part of the ledger, where the sealer finds them.

use std::sync::Arc;

use votekit_store::retry::until_definite;
use votekit_store::{EngineError, ValidatedBatch};

use crate::context::NodeContext;
use crate::metrics::{self, Step};
use crate::validate::validation;

/// Batches on their way into the ledger at once: it stores in one step all that comes while it
/// stores.
const AT_ONCE: usize = 64;

/// Takes validated batches for as long as the node lives. With the ledger away it waits; nothing is
/// put back in a loop.
pub(crate) async fn run(shared: Arc<NodeContext>) {
    let mut staging = tokio::task::JoinSet::new();
    loop {
        let validated = tokio::select! {
            Some(staged) = staging.join_next() => {
                match staged {
                    Ok(Ok(())) => continue,
                    Ok(Err(error)) => return shared.fail(&error),
                    Err(error) => return shared.fail_by_panic(&format_args!("staging panicked: {error}")),
                }
            }
            validated = until_definite("collect_batch", || shared.ballot_box.collect()), if staging.len() < AT_ONCE => validated,
        };
        match validated {
            Ok(validated) => {
                let job = shared.job();
                staging.spawn(async move { stage(&job, &validated).await });
            }
            Err(error) => return shared.fail(&error),
        }
    }
}

async fn stage(shared: &NodeContext, validated: &ValidatedBatch) -> Result<(), EngineError> {
    let batch = &validated.batch;
    // Whoever can write to the queues could put something between validation and here, and take a
    // number that is somebody's.
    if let Err(reason) = validation::check(shared, batch).await? {
        return reject(shared, validated, &reason).await;
    }
    match until_definite("stage_batch", || shared.ledger.stage(batch, &validated.hints)).await {
        // Somebody signed two batches with one number. The first stands, nothing of the second is
        // sealed.
        Err(error @ EngineError::Conflict(_)) => {
            return reject(shared, validated, &error.to_string()).await;
        }
        staged => staged?,
    };
    metrics::batch(Step::Staged);
    tracing::trace!(event = "batch_staged", votes = batch.count(), "batch staged");
    until_definite("stage_batch", || shared.ballot_box.acknowledge(validated)).await?;
    if let Some(cell) = shared.election(&batch.header().law_id) {
        cell.staged.notify_one();
    }
    Ok(())
}

/// Votes were answered for, perhaps: what is not staged is kept for officials to look at.
async fn reject(
    shared: &NodeContext,
    validated: &ValidatedBatch,
    reason: &str,
) -> Result<(), EngineError> {
    tracing::error!(
        event = "batch_rejected",
        alarm = true,
        batch = %validated.batch.number(),
        reason,
        "validated batch not staged"
    );
    metrics::batch(Step::Refused);
    until_definite("stage_batch", || shared.ballot_box.reject(validated, reason)).await
}
