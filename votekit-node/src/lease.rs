//! The lease under which a node answers voters: without it the close could not know when the last
//! vote was answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use votekit_core::id::{Epoch, NodeId};
use votekit_core::instant::UnixMillis;

use crate::election_handle::ElectionHandle;
use crate::node::NodeContext;
use votekit_store::EngineError;
use votekit_store::clock;

/// How long a lease lasts. A close waits for so long, and so long voters are answered on a ledger
/// that is away.
pub(crate) const LENGTH: Duration = Duration::from_secs(3);

/// How often it is renewed.
const RENEW_EVERY: Duration = Duration::from_millis(750);

/// How long the ledger may take to answer before voters are told that it is away.
const PATIENCE: Duration = Duration::from_secs(1);

/// The epoch a node publishes in, and until when it may answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    pub(crate) epoch: Epoch,
    until: Instant,
    /// The same by the wall clock, which goes on while the machine sleeps. Whichever is over first
    /// counts.
    until_by_wall: UnixMillis,
}

impl Lease {
    /// So much from a moment on, which was the wall clock's `at`.
    fn from(epoch: Epoch, asked: Instant, at: UnixMillis, length: Duration) -> Self {
        let milliseconds = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        Self {
            epoch,
            until: asked + length,
            until_by_wall: UnixMillis(at.0.saturating_add(milliseconds)),
        }
    }

    /// Whether voters may be answered under it now.
    pub(crate) fn lasts(&self) -> bool {
        Instant::now() < self.until && clock::now() < self.until_by_wall
    }
}

/// Asks for the lease of an epoch, or for more of it.
pub(crate) async fn hold(
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
        shared.ledger.hold_lease(cell.law_id(), node, epoch, LENGTH),
    );
    held.await.map_err(|_| EngineError::Unavailable {
        engine: "the ledger",
        reason: "it does not answer".to_owned(),
    })??;
    // The ledger counts from when it answers, which is later.
    Ok(Lease::from(epoch, asked, at, LENGTH))
}

/// Renews the lease of the epoch in use before it runs out, as a task.
pub(crate) async fn keep(shared: Arc<NodeContext>, cell: Arc<ElectionHandle>, node: NodeId) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let Some(lease) = cell.lease() else { continue };
        match hold(&shared, &cell, node, lease.epoch).await {
            Ok(lease) => cell.set_lease(lease),
            // The intake asks when it needs it, and tells voters.
            Err(error) => {
                tracing::debug!(law_id = %cell.law_id(), %error, "a lease is not renewed")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_lasts_for_as_long_as_both_clocks_say() {
        let minute = Duration::from_secs(60);
        assert!(Lease::from(Epoch(1), Instant::now(), clock::now(), minute).lasts());
        assert!(!Lease::from(Epoch(1), Instant::now(), clock::now(), Duration::ZERO).lasts());
        // The machine slept: this process's own clock did not notice.
        let before_the_sleep = UnixMillis(clock::now().0 - 61_000);
        assert!(!Lease::from(Epoch(1), Instant::now(), before_the_sleep, minute).lasts());
    }
}
