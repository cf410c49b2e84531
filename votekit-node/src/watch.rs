//! The node's self-checks: once a second it checks faults that no vote would reveal, and every few
//! seconds those that need a query of a server. It makes an engine whose write failed write again,
//! raises an alarm for a clock that stepped back, records planned closes that have passed, compares
//! the clock with the ledger's, and measures the space on the disk.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use votekit_core::authority::AuthorityStatus;
use votekit_core::election::State;
use votekit_core::id::ElectionId;
use votekit_core::instant::UnixMillis;

use crate::audit::{AuditEvent, AuditFields};
use crate::clock::Stepped;
use crate::config::Role;
use crate::context::{NodeContext, Space};

/// Interval between two checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Checks between two measurements of the space on the disk, and between two queries of a server
/// that works.
const SLOW_TICKS: u32 = 5;

/// Timeout of a ping or a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// The maximum difference between this clock and the ledger's without an alarm, in milliseconds.
/// The alarm ends once the difference is within half of that.
const CLOCK_OFFSET_MAX: u64 = 1000;

/// Checks as long as the node runs.
pub(crate) async fn run(context: Arc<NodeContext>) {
    let (mut alarmed, mut differs, mut failed) = (false, false, false);
    let mut measuring: Option<JoinHandle<()>> = None;
    for tick in (0..SLOW_TICKS).cycle() {
        alarmed = observe_clock(&context, alarmed);
        if tick == 0 || failed || !context.is_shared {
            let pinged = tokio::time::timeout(PROBE_TIMEOUT, context.ledger.ping()).await;
            failed = matches!(pinged, Ok(Err(_)));
            if failed {
                observe_writes(&context).await;
            }
        }
        // A ledger that belongs to one node uses the clock of that node.
        if tick == 0 && context.is_shared {
            differs = observe_ledger_clock(&context, differs).await;
        }
        // A hanging file system blocks one thread, not another thread each second.
        if tick == 0 && measuring.as_ref().is_none_or(JoinHandle::is_finished) {
            // The task keeps no reference to the node, which may have stopped before the task ends.
            let (folder, observed) =
                (context.folder.path().to_owned(), Arc::clone(&context.observed));
            measuring = Some(tokio::task::spawn_blocking(move || {
                let space = space_at(&folder);
                observed.set_space(space);
            }));
        }
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

/// Writes something that changes nothing. The engine remembers the outcome.
pub(crate) async fn observe_writes(context: &NodeContext) {
    let probed = tokio::time::timeout(PROBE_TIMEOUT, context.ledger.probe()).await;
    if let Ok(Err(error)) = probed {
        tracing::debug!(event = "ledger_probe_failed", %error, "ledger probe not stored");
    }
}

/// Checks the clock. Returns whether the alarm is raised.
fn observe_clock(context: &NodeContext, alarmed: bool) -> bool {
    let wall = context.now();
    let mut behind = 0;
    for election in context.elections() {
        let committed = election.committed();
        if committed.state() != State::Open {
            continue;
        }
        // Recorded now, in case the clock steps back before a vote shows it.
        let _ = election.planned_close_has_passed(&committed, wall);
        behind = behind.max(election.clock.floor().saturating_sub(wall.0));
    }
    context.observed.set_clock_behind(behind);
    match (stepped(context), alarmed) {
        (Some((law_id, Stepped { by })), false) => {
            let seconds = by / 1000;
            tracing::error!(
                event = "clock_went_back",
                alarm = true,
                %law_id,
                seconds,
                "clock went back, votes refused"
            );
            true
        }
        (None, true) => {
            tracing::info!(event = "clock_caught_up", "clock caught up, votes accepted");
            false
        }
        (_, alarmed) => alarmed,
    }
}

/// Compares this clock with the ledger's. Returns whether the alarm for a difference is raised.
async fn observe_ledger_clock(context: &NodeContext, alarmed: bool) -> bool {
    let (before, began) = (context.now(), Instant::now());
    let asked = tokio::time::timeout(PROBE_TIMEOUT, context.ledger.clock()).await;
    let Ok(Ok(ledger)) = asked else { return alarmed };
    let round_trip = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let offset = clock_offset(before, round_trip, ledger);
    context.observed.set_clock_offset(offset);
    context.observed.set_ledger_time(ledger);
    let is_ahead = if offset < 0 { "behind" } else { "ahead of" };
    let text = format!("{} ms {is_ahead} the ledger's clock", offset.unsigned_abs());
    let fields = AuditFields { reason: Some(&text), ..AuditFields::default() };
    // The ledger read its clock at some time in between.
    let certain = offset.unsigned_abs().saturating_sub(round_trip.div_ceil(2));
    if !alarmed && certain > CLOCK_OFFSET_MAX {
        tracing::error!(
            event = "clock_differs",
            alarm = true,
            milliseconds = offset,
            "this clock differs from the ledger's by more than a second"
        );
        context.audit.record(AuditEvent::ClockDiffers, &fields);
        return true;
    }
    if alarmed && certain <= CLOCK_OFFSET_MAX / 2 {
        tracing::info!(
            event = "clock_agrees",
            milliseconds = offset,
            "this clock agrees with the ledger's"
        );
        context.audit.record(AuditEvent::ClockAgrees, &fields);
        return false;
    }
    alarmed
}

/// By how many milliseconds a clock is ahead of the ledger's, if it read `before` when the ledger
/// was asked, and the answer `ledger` was made in the middle of the round trip.
fn clock_offset(before: UnixMillis, round_trip: u64, ledger: UnixMillis) -> i64 {
    let middle = before.0.saturating_add(round_trip / 2);
    let max = AuthorityStatus::CLOCK_OFFSET_MAX;
    let difference = i64::try_from(middle.abs_diff(ledger.0)).map_or(max, |ms| ms.min(max));
    if middle < ledger.0 { -difference } else { difference }
}

/// An open election whose votes are refused because the clock went back, if this node takes votes.
pub(crate) fn stepped(context: &NodeContext) -> Option<(ElectionId, Stepped)> {
    if !context.has(Role::Ingest) {
        return None;
    }
    let wall = context.now().0;
    context
        .elections()
        .into_iter()
        .filter(|election| election.committed().state() == State::Open)
        .find_map(|election| Some((election.law_id().clone(), election.clock.read(wall).err()?)))
}

/// The space that this process has in the file system of a folder.
pub(crate) fn space_at(folder: &Path) -> Option<Space> {
    let system = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(system.f_frsize);
    Some(Space { free: bytes(system.f_bavail), size: bytes(system.f_blocks) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_of_a_clock_counts_from_the_middle_of_the_round_trip() {
        let offset = |before, round_trip, ledger| {
            clock_offset(UnixMillis(before), round_trip, UnixMillis(ledger))
        };
        assert_eq!(offset(1000, 10, 1005), 0);
        assert_eq!(offset(1000, 10, 900), 105);
        assert_eq!(offset(1000, 0, 76_250), -75_250);
        let max = AuthorityStatus::CLOCK_OFFSET_MAX;
        assert_eq!((offset(0, 0, u64::MAX), offset(u64::MAX, 9, 0)), (-max, max));
    }

    #[test]
    fn the_room_of_a_folder_is_measured() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let space = space_at(folder.path()).expect("it is there");
        assert!(space.free <= space.size && space.size > 0, "{space:?}");
        assert_eq!(space_at(&folder.path().join("nothing")), None);
    }
}
