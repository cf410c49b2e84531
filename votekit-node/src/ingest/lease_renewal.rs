//! The lease under which a node answers voters: without it the close could not know when the last
//! vote was answered.

use crate::election::LEASE_LENGTH;
use crate::election::Lease;
use std::sync::Arc;
use std::time::{Duration, Instant};

use votekit_core::id::{Epoch, NodeId};

use crate::context::NodeContext;
use crate::election::ElectionHandle;
use votekit_store::EngineError;
use votekit_store::clock;

/// How often it is renewed.
const RENEW_EVERY: Duration = Duration::from_millis(750);

/// How long the ledger may take to answer before voters are told that it is away.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks for the lease of an epoch, or for more of it.
pub(crate) async fn acquire(
    shared: &NodeContext,
    cell: &ElectionHandle,
    node: NodeId,
    epoch: Epoch,
) -> Result<Lease, EngineError> {
    if !shared.is_shared {
        // Who closes the election asks this process's own intake to finish.
        return Ok(Lease::from(epoch, Instant::now(), clock::now(), Duration::from_secs(3600)));
    }
    let (asked, at) = (Instant::now(), clock::now());
    let held = tokio::time::timeout(
        PATIENCE,
        shared.ledger.hold_lease(cell.law_id(), node, epoch, LEASE_LENGTH),
    );
    held.await.map_err(|_| EngineError::Unavailable {
        engine: "the ledger",
        reason: "it does not answer".to_owned(),
    })??;
    // The ledger counts from when it answers, which is later.
    Ok(Lease::from(epoch, asked, at, LEASE_LENGTH))
}

/// Renews the lease of the epoch in use before it runs out, as a task.
pub(crate) async fn renew_loop(shared: Arc<NodeContext>, cell: Arc<ElectionHandle>, node: NodeId) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let Some(lease) = cell.lease() else { continue };
        match acquire(&shared, &cell, node, lease.epoch).await {
            Ok(lease) => cell.set_lease(lease),
            // The intake asks when it needs it, and tells voters.
            Err(error) => {
                tracing::debug!(law_id = %cell.law_id(), %error, "a lease is not renewed")
            }
        }
    }
}
