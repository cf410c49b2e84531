//! Validation: batches from the ballot box are verified, marked in the registry, and forwarded to
//! staging.
//!
//! Hints serve the voter, the throttle and the reviewers. A forged batch is not forwarded. While
//! the registry is unavailable or damaged, batches are forwarded without hints: the log decides all
//! the same.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use votekit_core::batch::Batch;
use votekit_core::id::ElectionId;
use votekit_store::retry::{is_passing, until_definite};
use votekit_store::{Delivery, EngineError, Hints, Mark};

use crate::context::NodeContext;
use crate::election::ElectionHandle;
use crate::metrics::{self, Step};

/// Batches validated concurrently: each waits for the registry, then for the ballot box.
const IN_FLIGHT_MAX: usize = 32;

/// Interval at which a waiting batch checks whether this node has taken its election up.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Interval between retries for an election that this node does not know.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Validates deliveries as long as the node runs. While the ballot box is unavailable it waits;
/// nothing is requeued in a loop.
pub(crate) async fn run(context: Arc<NodeContext>) {
    let mut validating = JoinSet::new();
    loop {
        let delivery = tokio::select! {
            Some(validated) = validating.join_next() => {
                match validated {
                    Ok(Ok(())) => continue,
                    Ok(Err(error)) => return context.fail(&error),
                    Err(error) => {
                        return context.fail_by_panic(&format_args!("validation panicked: {error}"));
                    }
                }
            }
            delivery = until_definite("receive_batch", || context.ballot_box.receive()),
                if validating.len() < IN_FLIGHT_MAX => delivery,
        };
        match delivery {
            // Neither refused nor acknowledged: its votes were answered. The ballot box delivers it
            // again to the next process.
            Ok(delivery) if is_damaged(&context, &delivery.batch) => {}
            Ok(delivery) => {
                let job = context.job();
                validating.spawn(async move { validate(&job, &delivery).await });
            }
            Err(error) => return context.fail(&error),
        }
    }
}

/// Whether the log of a batch's election cannot be read on this node, so that the batch can be
/// neither verified nor refused.
pub(crate) fn is_damaged(context: &NodeContext, batch: &Batch) -> bool {
    let law_id = &batch.header().law_id;
    let is_damaged = context.damaged(law_id).is_some();
    if is_damaged {
        tracing::warn!(
            event = "batch_election_halted",
            batch = %batch.number(),
            %law_id,
            "batch stays in the ballot box, its election is halted"
        );
    }
    is_damaged
}

async fn validate(context: &NodeContext, delivery: &Delivery) -> Result<(), EngineError> {
    let batch = &delivery.batch;
    let election = match check(context, batch).await? {
        Ok(election) => election,
        Err(reason) => return refuse(context, delivery, &reason).await,
    };
    let hints = hint(context, &election, batch).await;
    until_definite("validate_batch", || context.ballot_box.forward(delivery, &hints)).await?;
    metrics::batch(Step::Forwarded);
    tracing::trace!(
        event = "batch_forwarded",
        votes = batch.count(),
        hints = hints.len(),
        "batch forwarded to staging"
    );
    Ok(())
}

/// Verifies a batch. Returns its election, or the reason of a refusal. On a shared ledger a batch
/// of an unknown election waits until the election is known: this node may be connected to another
/// ledger than the rest, and a node that acknowledges a batch answers for its votes.
pub(crate) async fn check(
    context: &NodeContext,
    batch: &Arc<Batch>,
) -> Result<Result<Arc<ElectionHandle>, String>, EngineError> {
    let checked = check_now(context, batch).await;
    if checked.is_ok() || !context.is_shared {
        return Ok(checked);
    }
    // This node may be behind the log: it may not have read the election, or the admission of the
    // batch's node, yet.
    let law_id = &batch.header().law_id;
    let mut logged = false;
    loop {
        catch_up(context, law_id).await?;
        if context.election(law_id).is_some() {
            return Ok(check_now(context, batch).await);
        }
        if !logged {
            tracing::error!(
                event = "batch_election_unknown",
                alarm = true,
                batch = %batch.number(),
                %law_id,
                "batch waits, its election is not in the ledger"
            );
        }
        logged = true;
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

async fn check_now(
    context: &NodeContext,
    batch: &Arc<Batch>,
) -> Result<Arc<ElectionHandle>, String> {
    let election =
        context.election(&batch.header().law_id).ok_or("its election is unknown to this node")?;
    let checked = election.log().verify_batch(batch);
    checked.map(|_| election).map_err(|error| error.to_string())
}

/// Waits until this node has read the log of an election up to its present head, if the log exists.
async fn catch_up(context: &NodeContext, law_id: &ElectionId) -> Result<(), EngineError> {
    let Some(head) = until_definite("validate_batch", || context.ledger.head(law_id)).await? else {
        return Ok(());
    };
    loop {
        if let Some(election) = context.election(law_id) {
            election.committed_up_to(head.height).await;
            return Ok(());
        }
        // The watch over the ledger takes the election up soon.
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn refuse(
    context: &NodeContext,
    delivery: &Delivery,
    reason: &str,
) -> Result<(), EngineError> {
    tracing::error!(
        event = "batch_refused",
        alarm = true,
        batch = %delivery.batch.number(),
        reason,
        "batch from the ballot box refused"
    );
    metrics::batch(Step::Refused);
    until_definite("validate_batch", || context.ballot_box.refuse(delivery, reason)).await
}

/// Marks the envelopes of a batch, and reports the hints to voters and throttle. Whatever is wrong
/// with the registry, the batch continues.
pub(crate) async fn hint(context: &NodeContext, election: &ElectionHandle, batch: &Batch) -> Hints {
    let Some(scheme) = election.hasher().map(|hasher| hasher.scheme()) else { return Hints::new() };
    let marks: Vec<Mark> = batch
        .envelopes()
        .map(|envelope| Mark {
            key: scheme.registry_key(&envelope.hash),
            request: envelope.request,
        })
        .collect();
    let hints = match context.registry.mark(election.law_id(), &marks).await {
        Ok(hints) => hints,
        Err(error) if is_passing(&error) => {
            tracing::warn!(
                event = "hint_lookup_failed",
                batch = %batch.number(),
                %error,
                "registry not available, batch forwarded without hints"
            );
            return Hints::new();
        }
        Err(error) => {
            tracing::error!(
                event = "registry_damaged",
                alarm = true,
                batch = %batch.number(),
                %error,
                "registry damaged, batch forwarded without hints"
            );
            return Hints::new();
        }
    };
    metrics::batch(Step::Marked);
    context.report_hints(marks.iter().map(|mark| mark.request).zip(hints.iter().copied()));
    hints
}
