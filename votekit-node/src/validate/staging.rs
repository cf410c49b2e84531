//! Staging: validated batches are stored in the ledger, where the sealer reads them.

use std::sync::Arc;

use votekit_store::retry::until_definite;
use votekit_store::{EngineError, ValidatedBatch};

use crate::context::NodeContext;
use crate::metrics::{self, Step};
use crate::validate::validation;

/// Batches in flight to the ledger. The ledger groups those that arrive during a write into the
/// next one.
const IN_FLIGHT_MAX: usize = 64;

/// Stages validated batches as long as the node runs. While the ledger is unavailable it waits;
/// nothing is requeued in a loop.
pub(crate) async fn run(context: Arc<NodeContext>) {
    let mut staging = tokio::task::JoinSet::new();
    loop {
        let validated = tokio::select! {
            Some(staged) = staging.join_next() => {
                match staged {
                    Ok(Ok(())) => continue,
                    Ok(Err(error)) => return context.fail(&error),
                    Err(error) => {
                        return context.fail_by_panic(&format_args!("staging panicked: {error}"));
                    }
                }
            }
            validated = until_definite("collect_batch", || context.ballot_box.collect()),
                if staging.len() < IN_FLIGHT_MAX => validated,
        };
        match validated {
            Ok(validated)
                if !validated.is_staged && validation::is_damaged(&context, &validated.batch) => {}
            Ok(validated) => {
                let job = context.job();
                staging.spawn(async move { stage(&job, &validated).await });
            }
            Err(error) => return context.fail(&error),
        }
    }
}

async fn stage(context: &NodeContext, validated: &ValidatedBatch) -> Result<(), EngineError> {
    let batch = &validated.batch;
    if validated.is_staged {
        return staged(context, validated).await;
    }
    // Verified again: a writer to the queues could insert a batch between validation and staging,
    // and use up another node's number.
    if let Err(reason) = validation::check(context, batch).await? {
        return reject(context, validated, &reason).await;
    }
    match until_definite("stage_batch", || context.ledger.stage(batch, &validated.hints)).await {
        // One number was signed for two batches. The first stands; nothing of the second is sealed.
        Err(error @ EngineError::Conflict(_)) => {
            return reject(context, validated, &error.to_string()).await;
        }
        staged => staged?,
    };
    staged(context, validated).await
}

/// Acknowledges a staged batch, and wakes its sealer.
async fn staged(context: &NodeContext, validated: &ValidatedBatch) -> Result<(), EngineError> {
    let batch = &validated.batch;
    metrics::batch(Step::Staged);
    tracing::trace!(event = "batch_staged", votes = batch.count(), "batch staged");
    until_definite("stage_batch", || context.ballot_box.acknowledge(validated)).await?;
    if let Some(election) = context.election(&batch.header().law_id) {
        election.staged.notify_one();
    }
    Ok(())
}

/// Rejects a batch that cannot be staged. Its votes may have been answered with 202, so it is kept
/// for officials to review.
async fn reject(
    context: &NodeContext,
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
    until_definite("stage_batch", || context.ballot_box.reject(validated, reason)).await
}
