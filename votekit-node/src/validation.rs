//! Validation: batches from the ballot box are verified, marked in the registry, labelled, and passed on to staging.
//!
//! The labels are hints for the voter, the throttle and the reviewers. A forged batch goes no further. With the registry away batches go on without labels: the log
//! decides all the same.

use std::sync::Arc;
use std::time::Instant;

use votekit_core::batch::Batch;

use crate::election_cell::ElectionCell;
use crate::engine::{Delivery, EngineError, Expectation, Labels, Mark};
use crate::node::Shared;
use crate::retry::{is_passing, until_definite};

/// Takes deliveries for as long as the node lives. With the ballot box away it waits; nothing is put back in a loop.
pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        let validated = async {
            let delivery = until_definite("the ballot box", || shared.ballot_box.receive()).await?;
            validate(&shared, &delivery).await
        };
        if let Err(error) = validated.await {
            return shared.fail(&error);
        }
    }
}

async fn validate(shared: &Shared, delivery: &Delivery) -> Result<(), EngineError> {
    let batch = &delivery.batch;
    let Some(cell) = shared.election(&batch.header().law_id) else {
        return refuse(shared, delivery, "it is of an election that this node does not know").await;
    };
    let checked = cell.chronicle().await.check_batch(batch);
    if let Err(error) = checked {
        return refuse(shared, delivery, &error.to_string()).await;
    }
    let labels = label(shared, &cell, batch).await?;
    until_definite("validation", || shared.ballot_box.forward(delivery, &labels)).await
}

async fn refuse(shared: &Shared, delivery: &Delivery, reason: &str) -> Result<(), EngineError> {
    tracing::error!(batch = %delivery.batch.number(), reason, "alarm: a batch is refused");
    until_definite("validation", || shared.ballot_box.refuse(delivery, reason)).await
}

/// Marks the envelopes of a batch, and tells voters and throttle what to expect of them.
async fn label(shared: &Shared, cell: &ElectionCell, batch: &Batch) -> Result<Labels, EngineError> {
    let started = Instant::now();
    let Some(scheme) = cell.hasher().map(|hasher| hasher.scheme()) else { return Ok(Labels::new()) };
    let marks: Vec<Mark> =
        batch.envelopes().map(|envelope| Mark { key: scheme.registry_key(&envelope.hash), request: envelope.request }).collect();
    let labels = match shared.registry.mark(cell.law_id(), &marks).await {
        Ok(labels) => labels,
        Err(error) if is_passing(&error) => {
            tracing::warn!(batch = %batch.number(), %error, "a batch goes on without labels");
            return Ok(Labels::new());
        }
        Err(error) => return Err(error),
    };
    for (mark, expected) in marks.iter().zip(&labels) {
        let origin = shared.pending.label(&mark.request, *expected);
        let Some(origin) = origin else { continue };
        match expected {
            Expectation::Accepted => shared.throttle.right(&origin, started),
            Expectation::Unknown | Expectation::Revoked => shared.throttle.wrong(&origin, started),
            Expectation::Duplicate { .. } => shared.throttle.neither(&origin),
        }
    }
    Ok(labels)
}
