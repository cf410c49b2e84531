//! Validation: batches from the ballot box are verified, marked in the registry, staged, and acknowledged.
//!
//! The registry's answer is a hint for the voter and for the throttle. A forged batch goes no further.

use std::sync::Arc;
use std::time::Instant;

use crate::engine::{Delivery, EngineError, Expectation, Mark};
use crate::node::Shared;
use crate::retry::until_definite;

/// Takes deliveries for as long as the node lives. With an engine away it waits; nothing is put back in a loop.
pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        let validated = async {
            let delivery = until_definite("the ballot box", || shared.ballot_box.receive()).await?;
            until_definite("validation", || validate(&shared, &delivery)).await
        };
        if let Err(error) = validated.await {
            return shared.fail(&error);
        }
    }
}

async fn validate(shared: &Shared, delivery: &Delivery) -> Result<(), EngineError> {
    let started = Instant::now();
    let batch = &delivery.batch;
    let Some(cell) = shared.election(&batch.header().law_id) else {
        tracing::error!(batch = %batch.number(), "alarm: a batch of an election that this node does not know");
        return shared.ballot_box.acknowledge(delivery).await;
    };
    let checked = cell.chronicle().await.check_batch(batch);
    if let Err(error) = checked {
        tracing::error!(batch = %batch.number(), %error, "alarm: a batch is refused");
        return shared.ballot_box.acknowledge(delivery).await;
    }
    if let Some(scheme) = cell.hasher().map(|hasher| hasher.scheme()) {
        let marks: Vec<Mark> = batch
            .envelopes()
            .map(|envelope| Mark { key: scheme.registry_key(&envelope.hash), request: envelope.request })
            .collect();
        let expected = shared.registry.mark(cell.law_id(), &marks).await?;
        for (mark, expected) in marks.iter().zip(expected) {
            let origin = shared.pending.label(&mark.request, expected);
            let Some(origin) = origin else { continue };
            match expected {
                Expectation::Accepted => shared.throttle.right(&origin, started),
                Expectation::Unknown | Expectation::Revoked => shared.throttle.wrong(&origin, started),
                Expectation::Duplicate { .. } => shared.throttle.neither(&origin),
            }
        }
    }
    shared.ledger.stage(batch).await?;
    shared.ballot_box.acknowledge(delivery).await?;
    cell.staged.notify_one();
    Ok(())
}
