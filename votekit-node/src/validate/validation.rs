//! Validation: batches from the ballot box are verified, marked in the registry, and forwarded to
//! staging.
//!
//! Hints serve the voter, the throttle and the reviewers. A forged batch is not forwarded. While
//! the registry is unavailable or damaged, batches are forwarded without hints: the log decides all
//! the same. A batch that this node cannot verify now is held, and delays no other election.

use std::sync::Arc;
use std::time::{Duration, Instant};

use votekit_core::batch::Batch;
use votekit_store::log_summary::LogSummary;
use votekit_store::retry::{is_passing, until_definite};
use votekit_store::{Delivery, EngineError, Hints, Mark};

use crate::context::NodeContext;
use crate::election::ElectionHandle;
use crate::metrics::{self, Step};
use crate::validate::held_deliveries::{Hindrance, hindrance};
use crate::validate::step_loop::{DeliveryStep, Hindered};

/// How long a batch waits for this node to read the log before it is held, so that another batch
/// can be processed.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(1);

/// The step from the ballot box to the validated batches.
pub(crate) struct Validation;

impl DeliveryStep for Validation {
    type Delivery = Delivery;
    const NAME: &'static str = "validation";
    /// Each batch waits for the registry, then for the ballot box.
    const IN_FLIGHT_MAX: usize = 32;

    async fn receive(context: &NodeContext) -> Result<Delivery, EngineError> {
        until_definite("receive_batch", || context.ballot_box.receive()).await
    }

    async fn process(
        context: &NodeContext,
        delivery: Delivery,
    ) -> Result<Hindered<Delivery>, EngineError> {
        validate(context, delivery).await
    }
}

async fn validate(
    context: &NodeContext,
    delivery: Delivery,
) -> Result<Hindered<Delivery>, EngineError> {
    let batch = &delivery.batch;
    let election = match check(context, batch).await? {
        Checked::Verified(election) => election,
        Checked::Refused(reason) => {
            refuse(context, &delivery, &reason).await?;
            return Ok(None);
        }
        Checked::Hindered(why) => return Ok(Some((delivery, why))),
    };
    let hints = hint(context, &election, batch).await;
    until_definite("validate_batch", || context.ballot_box.forward(&delivery, &hints)).await?;
    metrics::batch(Step::Forwarded);
    tracing::trace!(
        event = "batch_forwarded",
        votes = batch.count(),
        hints = hints.len(),
        "batch forwarded to staging"
    );
    Ok(None)
}

/// The result of the verification of a batch.
pub(crate) enum Checked {
    /// The batch was signed by an admitted node, for this election.
    Verified(Arc<ElectionHandle>),
    /// It can never be staged, for this reason.
    Refused(String),
    /// This node cannot verify it now.
    Hindered(Hindrance),
}

/// Verifies a batch. On a shared ledger a batch that is not verified may be ahead of this node: it
/// is refused once the node has read the log to its present end.
pub(crate) async fn check(
    context: &NodeContext,
    batch: &Arc<Batch>,
) -> Result<Checked, EngineError> {
    let law_id = &batch.header().law_id;
    if let Some(why) = hindrance(context, law_id) {
        return Ok(Checked::Hindered(why));
    }
    let checked = check_now(context, batch);
    if context.is_shared
        && matches!(checked, Checked::Refused(_))
        && let Some(election) = context.election(law_id)
    {
        // The admission of the batch's node may be in a block that was not read yet.
        return Ok(match catch_up(context, &election).await? {
            true => check_now(context, batch),
            false => Checked::Hindered(Hindrance::Behind),
        });
    }
    Ok(checked)
}

fn check_now(context: &NodeContext, batch: &Arc<Batch>) -> Checked {
    let Some(election) = context.election(&batch.header().law_id) else {
        return Checked::Refused("its election is unknown to this node".to_owned());
    };
    let refused = election.log().verify_batch(batch).err();
    match refused {
        Some(error) => Checked::Refused(error.to_string()),
        None => Checked::Verified(election),
    }
}

/// Waits until this node has read the log of an election up to its present head. Returns whether it
/// has: it reads no more of a halted log, and waits for a log that the ledger has lost.
async fn catch_up(context: &NodeContext, election: &ElectionHandle) -> Result<bool, EngineError> {
    if election.halted().is_some() {
        return Ok(false);
    }
    let read = || context.ledger.head(election.law_id());
    let head = match until_definite("validate_batch", read).await {
        // A fault of one election: its sealer reads the same row, and halts it.
        Err(EngineError::Corrupt { .. }) => return Ok(false),
        head => head?,
    };
    let Some(head) = head else { return Ok(false) };
    let reading = election.committed_up_to(head.height);
    Ok(tokio::time::timeout(CATCH_UP_TIMEOUT, reading).await.is_ok())
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

/// Limits the log lines about a registry that is unavailable or damaged: there would be one for
/// each batch.
static LOOKUPS_FAILED: LogSummary = LogSummary::new();
static REGISTRY_DAMAGED: LogSummary = LogSummary::new();

/// Marks the envelopes of a batch, and reports the hints to voters and throttle. The batch is
/// processed further despite any fault of the registry.
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
            if let Some(count) = LOOKUPS_FAILED.due(Instant::now()) {
                tracing::warn!(
                    event = "hint_lookup_failed",
                    batch = %batch.number(),
                    count,
                    %error,
                    "registry not available, batches forwarded without hints"
                );
            }
            return Hints::new();
        }
        Err(error) => {
            if let Some(count) = REGISTRY_DAMAGED.due(Instant::now()) {
                tracing::error!(
                    event = "registry_damaged",
                    alarm = true,
                    batch = %batch.number(),
                    count,
                    %error,
                    "registry damaged, batches forwarded without hints"
                );
            }
            return Hints::new();
        }
    };
    metrics::batch(Step::Marked);
    context.report_hints(marks.iter().map(|mark| mark.request).zip(hints.iter().copied()));
    hints
}
