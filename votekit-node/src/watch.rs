//! The node's watch over itself: once a second it checks what no vote would reveal. It asks an
//! engine that failed a write to write again, raises an alarm for a clock that stepped back,
//! records planned closes that have passed, and measures the space on the disk.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use votekit_core::election::State;
use votekit_core::id::ElectionId;

use crate::clock::Stepped;
use crate::config::Role;
use crate::context::{NodeContext, Space};

/// Interval between two checks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Checks between two measurements of the space on the disk.
const SPACE_TICKS: u32 = 5;

/// Timeout of a ping or a probe.
const PROBE_TIME: Duration = Duration::from_secs(2);

/// Checks as long as the node runs.
pub(crate) async fn run(context: Arc<NodeContext>) {
    let mut alarmed = false;
    let mut measuring: Option<JoinHandle<()>> = None;
    for tick in (0..SPACE_TICKS).cycle() {
        alarmed = observe_clock(&context, alarmed);
        if matches!(tokio::time::timeout(PROBE_TIME, context.ledger.ping()).await, Ok(Err(_))) {
            observe_writes(&context).await;
        }
        // A hanging file system blocks one thread, not one more each second.
        if tick == 0 && measuring.as_ref().is_none_or(JoinHandle::is_finished) {
            // The task holds nothing of the node, which may have stopped before it ends.
            let (folder, observed) =
                (context.folder.path().to_owned(), Arc::clone(&context.observed));
            measuring = Some(tokio::task::spawn_blocking(move || {
                let space = space_at(&folder);
                observed.set_space(space);
            }));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Writes something that changes nothing. The engine remembers the outcome.
pub(crate) async fn observe_writes(context: &NodeContext) {
    let probed = tokio::time::timeout(PROBE_TIME, context.ledger.probe()).await;
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
    fn the_room_of_a_folder_is_measured() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let space = space_at(folder.path()).expect("it is there");
        assert!(space.free <= space.size && space.size > 0, "{space:?}");
        assert_eq!(space_at(&folder.path().join("nothing")), None);
    }
}
