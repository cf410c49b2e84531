//! The ingest lease: a node accepts votes only while it has a lease, so that the close knows when
//! the last vote was accepted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use votekit_core::election::State;
use votekit_core::id::{Epoch, NodeId};
use votekit_store::clock;

use crate::context::NodeContext;
use crate::election::{ElectionHandle, LEASE_LENGTH, Lease};
use crate::error::{ElectionFault, NotReady};

/// The interval between renewals of the lease, and the pause after a failed renewal: even after a
/// timeout there is time for another renewal before the lease expires.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(1);
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// How long to wait for the ledger before votes are refused because it is unavailable.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(1);

/// Acquires or extends the lease of an epoch.
pub(crate) async fn acquire(
    context: &NodeContext,
    election: &ElectionHandle,
    node: NodeId,
    epoch: Epoch,
) -> Result<Lease, ElectionFault> {
    if !context.is_shared {
        // With one node the close asks the intake of this process to finish; no lease is needed.
        return Ok(Lease::from(epoch, Instant::now(), clock::now(), Duration::from_secs(3600)));
    }
    let (asked, at) = (Instant::now(), clock::now());
    let held = tokio::time::timeout(
        RENEWAL_TIMEOUT,
        context.ledger.hold_lease(election.law_id(), node, epoch, LEASE_LENGTH),
    );
    held.await.map_err(|_| ElectionFault::NotReady(NotReady::NoLeaseInTime))??;
    // The ledger counts from its answer, which is later, so this lease ends first.
    Ok(Lease::from(epoch, asked, at, LEASE_LENGTH))
}

/// Renews the leases of the epochs of all open polls before they expire, as one task of the node.
pub(crate) async fn renew_loop(context: Arc<NodeContext>, node: NodeId) {
    let mut pause = RENEWAL_INTERVAL;
    loop {
        tokio::time::sleep(pause).await;
        let mut held = Vec::new();
        let mut elections = Vec::new();
        for election in context.elections() {
            // The ledger grants no lease after the poll, and no vote needs one.
            let is_open = election.committed().state() == State::Open;
            if let Some(lease) = election.lease().filter(|_| is_open) {
                held.push((election.law_id().clone(), lease.epoch));
                elections.push(election);
            }
        }
        if held.is_empty() {
            continue;
        }
        let (asked, at) = (Instant::now(), clock::now());
        let renewing = context.ledger.renew_leases(node, &held, LEASE_LENGTH);
        pause = RETRY_INTERVAL;
        let renewed = match tokio::time::timeout(RENEWAL_TIMEOUT, renewing).await {
            Ok(Ok(renewed)) => renewed,
            // The intake asks when it needs a lease, and its voters then get the error.
            Ok(Err(error)) => {
                tracing::debug!(
                    event = "epoch_lease_renewal_failed",
                    %error,
                    "epoch leases not renewed"
                );
                continue;
            }
            Err(_) => continue,
        };
        pause = RENEWAL_INTERVAL;
        for ((election, (law_id, epoch)), outcome) in elections.iter().zip(&held).zip(renewed) {
            match outcome {
                Ok(()) => election.set_lease(Lease::from(*epoch, asked, at, LEASE_LENGTH)),
                Err(reason) => tracing::debug!(
                    event = "epoch_lease_refused",
                    %law_id,
                    %reason,
                    "epoch lease not renewed"
                ),
            }
        }
    }
}
