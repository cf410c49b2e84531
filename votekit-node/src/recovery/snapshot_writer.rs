//! Writes snapshots while sealing continues, as a task.

use std::sync::Arc;
use std::time::Duration;

use crate::election::ElectionHandle;

/// Interval between checks whether a snapshot is due.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Pause after a failed write: retrying does not help a full disk.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Writes snapshots of an election as they fall due, as a task.
pub(crate) async fn keep_writing(cell: Arc<ElectionHandle>) {
    if !cell.snapshots.are_written() {
        return;
    }
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if cell.snapshots.is_due(&cell.committed()) && !write(&cell).await {
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
}

/// Writes the snapshot for the next start. Call it only after sealing has stopped.
pub(crate) async fn write_last(cell: &Arc<ElectionHandle>) {
    if cell.snapshots.are_written() {
        write(cell).await;
    }
}

/// Writes a snapshot; returns whether it was written. A failure only makes the next start slower.
async fn write(cell: &Arc<ElectionHandle>) -> bool {
    let writing = Arc::clone(cell);
    let written = tokio::task::spawn_blocking(move || {
        writing.write_snapshot().map_err(|error| error.to_string())
    });
    match written.await.map_err(|error| error.to_string()).flatten() {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(
                event = "snapshot_write_failed",
                law_id = %cell.law_id(),
                error,
                "snapshot not written"
            );
            false
        }
    }
}
