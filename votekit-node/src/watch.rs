//! The node's watch over itself: once a second it looks at what would not be noticed while no vote
//! comes. An engine that failed a write is asked to write again; a clock that stepped back raises an
//! alarm; planned closes that have come are remembered; the room on the disk is measured.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use votekit_core::election::State;
use votekit_core::id::ElectionId;

use crate::clock::Stepped;
use crate::config::Role;
use crate::context::NodeContext;
use crate::observed::Space;

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// How often the room on the disk is measured.
const SPACE_TICKS: u32 = 5;

/// How long a probe may take.
const PROBE_TIME: Duration = Duration::from_secs(2);

/// Looks for as long as the node lives.
pub(crate) async fn run(shared: Arc<NodeContext>) {
    let mut alarmed = false;
    let mut measuring: Option<JoinHandle<()>> = None;
    for tick in (0..SPACE_TICKS).cycle() {
        alarmed = observe_clock(&shared, alarmed);
        if matches!(tokio::time::timeout(PROBE_TIME, shared.ledger.ping()).await, Ok(Err(_))) {
            observe_writes(&shared).await;
        }
        // A file system that hangs holds up one thread, and not one a second.
        if tick == 0 && measuring.as_ref().is_none_or(JoinHandle::is_finished) {
            // Holds nothing of the node, which may have stopped by the time it is done.
            let (folder, observed) =
                (shared.folder.path().to_owned(), Arc::clone(&shared.observed));
            measuring = Some(tokio::task::spawn_blocking(move || {
                let space = space_at(&folder);
                observed.set_space(space);
            }));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Writes something that changes nothing. The engine remembers what came of it.
pub(crate) async fn observe_writes(shared: &NodeContext) {
    let probed = tokio::time::timeout(PROBE_TIME, shared.ledger.probe()).await;
    if let Ok(Err(error)) = probed {
        tracing::debug!(event = "ledger_probe_failed", %error, "ledger probe not stored");
    }
}

/// Says whether the alarm is raised.
fn observe_clock(shared: &NodeContext, alarmed: bool) -> bool {
    let wall = shared.now();
    let mut behind = 0;
    for cell in shared.elections() {
        let committed = cell.committed();
        if committed.state() != State::Open {
            continue;
        }
        // Remembered, should the clock step back before a vote shows it.
        let _ = cell.planned_close_has_passed(&committed, wall);
        behind = behind.max(cell.clock.floor().saturating_sub(wall.0));
    }
    shared.observed.set_clock_behind(behind);
    match (stepped(shared), alarmed) {
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

/// The open election whose votes are refused since the clock went back, if this node takes votes.
pub(crate) fn stepped(shared: &NodeContext) -> Option<(ElectionId, Stepped)> {
    if !shared.has(Role::Ingest) {
        return None;
    }
    let wall = shared.now().0;
    shared
        .elections()
        .into_iter()
        .filter(|cell| cell.committed().state() == State::Open)
        .find_map(|cell| Some((cell.law_id().clone(), cell.clock.read(wall).err()?)))
}

/// The room that this process has in the file system of a folder.
fn space_at(folder: &Path) -> Option<Space> {
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
