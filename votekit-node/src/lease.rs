//! The lease under which a node answers voters: without it the close could not know when the last vote was answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use votekit_core::id::{Epoch, NodeId};

use crate::election_cell::ElectionCell;
use crate::engine::EngineError;
use crate::node::Shared;

/// How long a lease lasts. A close waits for so long, and so long voters are answered on a ledger that is away.
pub(crate) const LENGTH: Duration = Duration::from_secs(3);

/// How often it is renewed.
const RENEW_EVERY: Duration = Duration::from_millis(750);

/// How long the ledger may take to answer before voters are told that it is away.
const PATIENCE: Duration = Duration::from_secs(1);

/// The epoch a node publishes in, and until when it may answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    pub(crate) epoch: Epoch,
    pub(crate) until: Instant,
}

/// Asks for the lease of an epoch, or for more of it.
pub(crate) async fn hold(shared: &Shared, cell: &ElectionCell, node: NodeId, epoch: Epoch) -> Result<Lease, EngineError> {
    if !shared.is_shared {
        // Who closes the election asks this process's own intake to finish.
        return Ok(Lease { epoch, until: Instant::now() + Duration::from_secs(3600) });
    }
    let asked = Instant::now();
    let held = tokio::time::timeout(PATIENCE, shared.ledger.hold_lease(cell.law_id(), node, epoch, LENGTH));
    held.await.map_err(|_| EngineError::Unavailable { engine: "the ledger", reason: "it does not answer".to_owned() })??;
    // The ledger counts from when it answers, which is later.
    Ok(Lease { epoch, until: asked + LENGTH })
}

/// Renews the lease of the epoch in use before it runs out, as a task.
pub(crate) async fn keep(shared: Arc<Shared>, cell: Arc<ElectionCell>, node: NodeId) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let Some(lease) = cell.lease() else { continue };
        match hold(&shared, &cell, node, lease.epoch).await {
            Ok(lease) => cell.set_lease(lease),
            // The intake asks when it needs it, and tells voters.
            Err(error) => tracing::debug!(law_id = %cell.law_id(), %error, "a lease is not renewed"),
        }
    }
}
