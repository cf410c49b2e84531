//! Staging: validated batches are stored in the ledger, where the sealer reads them.

use votekit_core::batch::Batch;
use votekit_core::election::State;
use votekit_store::retry::until_definite;
use votekit_store::{BatchName, Conflict, EngineError, ValidatedBatch};

use crate::context::NodeContext;
use crate::election::ElectionHandle;
use crate::metrics::{self, Step};
use crate::recovery::is_decided;
use crate::recovery::restaging::{other_signed, restage};
use crate::validate::held_deliveries::Hindrance;
use crate::validate::step_loop::{DeliveryStep, Hindered};
use crate::validate::validation::{self, Checked};

/// The step from the validated batches to the ledger.
pub(crate) struct Staging;

impl DeliveryStep for Staging {
    type Delivery = ValidatedBatch;
    const NAME: &'static str = "staging";
    /// The ledger groups the batches that arrive during a write into the next one.
    const IN_FLIGHT_MAX: usize = 64;

    async fn receive(context: &NodeContext) -> Result<ValidatedBatch, EngineError> {
        until_definite("collect_batch", || context.ballot_box.collect()).await
    }

    async fn process(
        context: &NodeContext,
        validated: ValidatedBatch,
    ) -> Result<Hindered<ValidatedBatch>, EngineError> {
        stage(context, validated).await
    }
}

async fn stage(
    context: &NodeContext,
    validated: ValidatedBatch,
) -> Result<Hindered<ValidatedBatch>, EngineError> {
    let batch = &validated.batch;
    if validated.is_staged {
        staged(context, &validated).await?;
        return Ok(None);
    }
    // Verified again: a writer to the queues could insert a batch between validation and staging,
    // and use up another node's number.
    let election = match validation::check(context, batch).await? {
        Checked::Verified(election) => election,
        Checked::Refused(reason) => {
            reject(context, &validated, &reason).await?;
            return Ok(None);
        }
        Checked::Hindered(why) => return Ok(Some((validated, why))),
    };
    if is_purged(&election, batch) {
        staged(context, &validated).await?;
        return Ok(None);
    }
    let stored = until_definite("stage_batch", || context.ledger.stage(batch, &validated.hints));
    let stored = stored.await;
    let is_taken = match &stored {
        Err(EngineError::Conflict(Conflict::BatchNumber { .. })) => {
            !until_definite("stage_batch", || is_other_signed(context, &election, batch)).await?
        }
        // The row under the number cannot be read.
        Err(EngineError::Corrupt { .. }) => context.is_shared,
        _ => false,
    };
    if is_taken {
        let replaced = || replace_row(context, &election, &validated);
        let is_replaced = until_definite("stage_batch", replaced).await?;
        if !is_replaced {
            return Ok(Some((validated, Hindrance::NumberTaken)));
        }
        return staged(context, &validated).await.map(|()| None);
    }
    match stored {
        // One number was signed for two batches. The first stands; nothing of the second is sealed.
        Err(error @ EngineError::Conflict(_)) => {
            reject(context, &validated, &error.to_string()).await?;
        }
        stored => {
            stored?;
            staged(context, &validated).await?;
        }
    }
    Ok(None)
}

/// Stages a batch in place of a row that no node signed: the node that published it may have no
/// copy any more. Returns whether the batch is staged now.
async fn replace_row(
    context: &NodeContext,
    election: &ElectionHandle,
    validated: &ValidatedBatch,
) -> Result<bool, EngineError> {
    let batch = &validated.batch;
    if !context.is_shared {
        return Ok(false);
    }
    let above = election.committed().sealed_through;
    match restage(context, election, batch, &validated.hints, above).await {
        // Nothing is replaced where the log has decided the number, or decides nothing more.
        Ok(_) => {
            let are_staged = context.ledger.are_staged(&[BatchName::from(&**batch)]).await?;
            Ok(are_staged == [true])
        }
        Err(EngineError::Conflict(Conflict::BatchNumber { .. }) | EngineError::Corrupt { .. }) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Whether the other batch that is stored under the number of a batch is signed by its node. One
/// that is not shows that another program has written it: the number is free once it is removed.
async fn is_other_signed(
    context: &NodeContext,
    election: &ElectionHandle,
    batch: &Batch,
) -> Result<bool, EngineError> {
    let state = election.log().state();
    if !matches!(state, State::Open | State::Closing) {
        // Nothing more is decided here, and a batch that is not there may have been destroyed.
        return Ok(true);
    }
    Ok(other_signed(context, election, batch).await?.is_some())
}

/// Whether a batch is in the log of an election whose evidence was destroyed: it is not stored
/// again.
fn is_purged(election: &ElectionHandle, batch: &Batch) -> bool {
    let log = election.log();
    log.is_purged() && is_decided(&log, &batch.number())
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
