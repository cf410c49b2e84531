//! Rotation by time: a leader steps down once it has led for the configured time, so that the
//! authorities alternate as leaders.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::authority::AuthorityContext;
use crate::context::NodeContext;

/// The pause between two polls of the lease, and between two searches for a moment to step down.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
const DUE_INTERVAL: Duration = Duration::from_millis(10);

/// The maximum age of the last statement of another authority: then another authority is available
/// as leader.
const HEARD_MAX: Duration = Duration::from_secs(10);

/// Steps down after each `length` of leading, as long as the node runs.
pub(crate) async fn run(
    context: Arc<NodeContext>,
    authority: Arc<AuthorityContext>,
    length: Duration,
) {
    let mut led: Option<(u64, Instant)> = None;
    loop {
        let is_due = led.is_some_and(|(_, since)| since.elapsed() >= length);
        tokio::time::sleep(if is_due { DUE_INTERVAL } else { POLL_INTERVAL }).await;
        let now = context.leader_lease.term();
        let same = led.filter(|(term, _)| Some(*term) == now);
        led = same.or_else(|| now.map(|term| (term, Instant::now())));
        let Some((term, since)) = led else { continue };
        if since.elapsed() < length || !may_step_down(&context, &authority) {
            continue;
        }
        tracing::info!(
            event = "leader_term_ended",
            term,
            seconds = since.elapsed().as_secs(),
            "this authority has led for the configured time and steps down"
        );
        context.leader_lease.step_down();
        led = None;
    }
}

/// Whether no round is open, no administrative call is in progress, and a recent statement of
/// another authority was read. A call may begin just after this check: then its caller gets the
/// answer that another authority leads, as after any change of leader.
fn may_step_down(context: &NodeContext, authority: &AuthorityContext) -> bool {
    !authority.has_open_round()
        && context.creating.try_lock().is_ok()
        && context.elections().iter().all(|election| election.admin.try_lock().is_ok())
        && authority.board.has_heard_others(&authority.name, HEARD_MAX)
}
