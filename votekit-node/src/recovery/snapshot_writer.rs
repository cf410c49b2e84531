//! Writes snapshots while sealing continues, as a task.

use std::sync::Arc;
use std::time::Duration;

use crate::election::ElectionHandle;

/// Interval between checks whether a snapshot is due.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Pause after a failed write: retrying does not help a full disk.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Writes snapshots of an election as they fall due, as a task.
pub(crate) async fn keep_writing(election: Arc<ElectionHandle>) {
    if !election.snapshots.are_written() {
        return;
    }
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        if election.snapshots.is_due(&election.committed()) && !write(&election).await {
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
}

/// Writes the snapshot for the next start. Call it only after sealing has stopped.
pub(crate) async fn write_last(election: &Arc<ElectionHandle>) {
    if election.snapshots.are_written() {
        write(election).await;
    }
}

/// Writes a snapshot; returns whether it was written. A failure only makes the next start slower.
async fn write(election: &Arc<ElectionHandle>) -> bool {
    let writing = Arc::clone(election);
    let written = tokio::task::spawn_blocking(move || {
        writing.write_snapshot().map_err(|error| error.to_string())
    });
    match written.await.map_err(|error| error.to_string()).flatten() {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(
                event = "snapshot_write_failed",
                law_id = %election.law_id(),
                error,
                "snapshot not written"
            );
            false
        }
    }
}
