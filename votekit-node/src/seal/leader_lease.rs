//! Acquires and renews the leader lease in the ledger, as its state machine commands.

use std::sync::Arc;
use std::time::Duration;

use votekit_authority::leader_lease::{Command, Event};
use votekit_store::{EngineError, Leadership};

use crate::context::NodeContext;
use crate::leader::LeaderLease;

/// The length of the lease, and so the wait for a leader that is gone. With two seconds a new
/// leader seals within three.
const LENGTH: Duration = Duration::from_secs(2);

/// How often the lease is renewed or requested.
const RENEW_INTERVAL: Duration = Duration::from_millis(400);

/// The length of a lease on a ledger that belongs to this process: no other node can take it.
const EXCLUSIVE_LENGTH: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The lease of a node on a ledger that other nodes share, or not.
pub(crate) fn new(name: &str, life: [u8; 4], is_shared: bool) -> LeaderLease {
    let length = if is_shared { LENGTH } else { EXCLUSIVE_LENGTH };
    LeaderLease::new(name, life, length, RENEW_INTERVAL)
}

/// Acquires the lease of a ledger that belongs to this process.
///
/// # Errors
/// When the ledger fails.
pub(crate) async fn acquire_exclusive(context: &NodeContext) -> Result<(), EngineError> {
    let lease = &context.leader_lease;
    for command in lease.step(Event::Tick) {
        if let Command::Request { length, at_least } = command {
            let request = context.ledger.acquire_leadership(&lease.holder, length, at_least);
            lease.step(outcome(request.await?));
        }
    }
    Ok(())
}

/// Acquires and renews the lease as long as the node runs.
pub(crate) async fn run(context: Arc<NodeContext>) {
    loop {
        tokio::time::sleep(context.leader_lease.until_next_request()).await;
        request(&context).await;
    }
}

/// Sends a request for the lease, if one is due.
pub(crate) async fn request(context: &NodeContext) {
    for command in context.leader_lease.step(Event::Tick) {
        execute(context, command).await;
    }
}

/// Releases the lease, so that the next leader need not wait for it to run out.
pub(crate) async fn resign(context: &NodeContext) {
    for command in context.leader_lease.step(Event::Resign) {
        execute(context, command).await;
    }
}

async fn execute(context: &NodeContext, command: Command) {
    let lease = &context.leader_lease;
    match command {
        Command::Request { length, at_least } => {
            let request = context.ledger.acquire_leadership(&lease.holder, length, at_least);
            let event = match tokio::time::timeout(length, request).await {
                Ok(Ok(answer)) => outcome(answer),
                Ok(Err(error)) => failed(&error.to_string()),
                Err(_) => failed("the ledger does not answer"),
            };
            for command in lease.step(event) {
                // Not a request: those answer a tick alone.
                Box::pin(execute(context, command)).await;
            }
        }
        Command::Release => {
            let released = context.ledger.release_leadership(&lease.holder);
            if let Ok(Err(error)) = tokio::time::timeout(LENGTH, released).await {
                tracing::warn!(
                    event = "lease_release_failed",
                    %error,
                    "leader lease not released, it will expire"
                );
            }
        }
        Command::Announce(_) => {}
    }
}

fn failed(error: &str) -> Event {
    tracing::warn!(event = "lease_request_failed", error, "leader lease not acquired or renewed");
    Event::Failed
}

fn outcome(answer: Leadership) -> Event {
    match answer {
        Leadership::Leading { term } => Event::Granted { term },
        Leadership::Following { leader, .. } => Event::Refused { leader },
    }
}
