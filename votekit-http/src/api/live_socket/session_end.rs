//! The end of the session behind a socket. A token is verified when its reader subscribes; after
//! that its session is polled, so that a socket does not outlive a sign-out, a disabled account or
//! a changed role.

use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::api::live_access::HeldSession;
use crate::context::Api;

/// The time between two reads of a session, and the time for one: together less than the ten
/// seconds that docs/integration.md promises. Each socket counts from its own subscription, so that
/// thousands of reads spread over the interval.
const CHECK_INTERVAL: Duration = Duration::from_secs(8);
const CHECK_TIME: Duration = Duration::from_secs(1);

/// Resolves when the session ends before its token expires, and never without a session. Once the
/// token has expired, the topics that require it have ended anyway.
pub(super) async fn session_end(api: &Api, session: Option<HeldSession>) {
    if let Some(session) = session
        // Boxed, so that the futures of the thousands without a token stay small.
        && Box::pin(ends_early(api, session)).await
    {
        return;
    }
    pending().await
}

async fn ends_early(api: &Api, HeldSession { session, until }: HeldSession) -> bool {
    loop {
        let due = Instant::now() + CHECK_INTERVAL;
        if due >= until {
            return false;
        }
        sleep_until(due).await;
        // If the store does not answer, the session continues until the next read, or until the
        // token expires.
        let checked = timeout_at(due + CHECK_TIME, api.accounts.lasts(session)).await;
        if matches!(checked, Ok(Ok(false))) {
            return true;
        }
    }
}
