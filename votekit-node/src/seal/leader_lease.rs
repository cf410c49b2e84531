//! Who seals: one of the nodes that may, for as long as it renews its lease in the ledger.
//!
//! The lease keeps nodes from working in vain. What keeps the log whole is the term: the ledger
//! refuses the blocks of an earlier one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::context::NodeContext;

/// How long a leader that is gone is waited for. Two seconds let a new one seal within three.
const LEASE: Duration = Duration::from_secs(2);

/// How often the lease is renewed, or asked for.
const RENEW_EVERY: Duration = Duration::from_millis(400);

/// A lease that nobody else can take: the ledger belongs to this process.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Takes the lead of a ledger that belongs to this process.
pub(crate) async fn take_for_ever(shared: &NodeContext) -> Result<(), votekit_store::EngineError> {
    let lead = &shared.lead;
    let answer = shared.ledger.lead(&lead.holder, FOR_EVER).await?;
    lead.record(Instant::now(), FOR_EVER, answer);
    Ok(())
}

/// Asks for the lead, and renews it, for as long as the node lives.
pub(crate) async fn run(shared: Arc<NodeContext>) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        ask(&shared).await;
    }
}

/// Asks for the lead, or for more of it.
pub(crate) async fn ask(shared: &NodeContext) {
    let lead = &shared.lead;
    let asked = Instant::now();
    match tokio::time::timeout(LEASE, shared.ledger.lead(&lead.holder, LEASE)).await {
        Ok(Ok(answer)) => lead.record(asked, LEASE, answer),
        // The lease runs out by itself.
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

/// Gives the lead back, so that nobody waits for this node.
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
