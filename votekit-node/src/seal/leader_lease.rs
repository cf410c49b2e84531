//! The leader lease: one of the eligible nodes seals while it renews its lease in the ledger.
//!
//! The lease saves nodes useless work. The term protects the log: the ledger refuses blocks of an
//! earlier term.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::context::NodeContext;

/// The length of the lease, and so the wait for a leader that is gone. With two seconds a new
/// leader seals within three.
const LEASE: Duration = Duration::from_secs(2);

/// How often the lease is renewed or requested.
const RENEW_EVERY: Duration = Duration::from_millis(400);

/// The length of a lease on a ledger that belongs to this process: no other node can take it.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Takes the lease of a ledger that belongs to this process.
pub(crate) async fn take_for_ever(shared: &NodeContext) -> Result<(), votekit_store::EngineError> {
    let lead = &shared.lead;
    let answer = shared.ledger.lead(&lead.holder, FOR_EVER).await?;
    lead.record(Instant::now(), FOR_EVER, answer);
    Ok(())
}

/// Requests and renews the lease as long as the node runs.
pub(crate) async fn run(shared: Arc<NodeContext>) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        ask(&shared).await;
    }
}

/// Requests or extends the lease.
pub(crate) async fn ask(shared: &NodeContext) {
    let lead = &shared.lead;
    let asked = Instant::now();
    match tokio::time::timeout(LEASE, shared.ledger.lead(&lead.holder, LEASE)).await {
        Ok(Ok(answer)) => lead.record(asked, LEASE, answer),
        // The lease runs out on its own.
        Ok(Err(error)) => tracing::warn!(
            event = "lease_request_failed",
            %error,
            "leader lease not acquired or renewed"
        ),
        Err(_) => tracing::warn!(
            event = "lease_request_failed",
            error = "the ledger does not answer",
            "leader lease not acquired or renewed"
        ),
    }
}

/// Gives the lease back, so that the next leader need not wait for it to run out.
pub(crate) async fn resign(shared: &NodeContext) {
    let lead = &shared.lead;
    lead.lost();
    let resigned = tokio::time::timeout(LEASE, shared.ledger.resign(&lead.holder)).await;
    if let Ok(Err(error)) = resigned {
        tracing::warn!(
            event = "lease_release_failed",
            %error,
            "leader lease not released, it expires by itself"
        );
    }
}
