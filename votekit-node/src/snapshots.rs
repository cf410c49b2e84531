//! Snapshots on disk: what a log came to, so that a start reads back only what came after.
//!
//! ```text
//! snapshots/<law id>/
//!   segment-000000 …   32,768 decided requests each; written once
//!   head               everything else, and the digests of the segments; replaced whole
//! ```
//!
//! Written beside the sealing, from what only grows: the list of decided requests is copied part by
//! part, each under a short lock. A snapshot never holds more than the ledger: the log in memory
//! holds durable blocks only. It is a cache: a folder that is deleted is made again.

mod restore;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use votekit_core::election::State;
use votekit_core::election_log::snapshot::{SEGMENT_REQUESTS, encode_segment};
use votekit_core::id::{Digest, ElectionId};

use crate::data_folder::{FolderError, make_private_folder, write_whole};
use crate::election_handle::ElectionHandle;
use crate::metrics;
use crate::node::NodeContext;
use crate::random::SystemRandom;

pub(crate) use restore::{Refused, Restored, restore};

/// How often it is asked whether a snapshot is due.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long nothing is tried after a snapshot could not be written: a full disk is not helped by
/// trying.
const RETRY_AFTER: Duration = Duration::from_secs(60);

const HEAD: &str = "head";

fn segment_path(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("segment-{number:06}"))
}

/// The snapshots of one election.
pub(crate) struct Snapshots {
    folder: PathBuf,
    /// Leaves after which the next is due; 0: none is written.
    leaves: u64,
    written: Mutex<Written>,
}

/// What is on disk.
#[derive(Debug, Default)]
pub(crate) struct Written {
    size: u64,
    segments: Vec<Digest>,
}

impl Written {
    /// Leaves in the log when the snapshot was taken.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }
}

/// Why a snapshot was not written.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Seal(#[from] votekit_core::ballot::SealError),
}

impl Snapshots {
    /// Those of an election. `written` tells what is on disk, if it is of use.
    pub(crate) fn new(shared: &NodeContext, law_id: &ElectionId, written: Option<Written>) -> Self {
        Self {
            folder: shared.folder.snapshot_path(law_id),
            leaves: shared.config.snapshot_leaves,
            written: Mutex::new(written.unwrap_or_default()),
        }
    }

    /// Whether the log has grown enough since the last one, or has come to its end.
    fn is_due(&self, cell: &ElectionHandle) -> bool {
        let committed = cell.committed();
        let Ok(written) = self.written.try_lock() else { return false };
        let grown = committed.size().saturating_sub(written.size);
        self.leaves > 0
            && (grown >= self.leaves || (grown > 0 && committed.state() >= State::Closed))
    }

    /// Writes what is new. Blocks.
    fn write(&self, cell: &ElectionHandle) -> Result<(), WriteError> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        // First the place in staging, then the log, which may be ahead of it: at worst a
        // restart reads a few batches too many.
        let sealed_through = cell.committed().sealed_through;
        let snapshot = cell.log().snapshot();
        if snapshot.size() == written.size {
            return Ok(());
        }
        make_private_folder(&self.folder)?;
        let copy = |from: usize, to: usize| cell.log().decisions().requests().copy(from..to);
        while (written.segments.len() + 1) * SEGMENT_REQUESTS <= snapshot.decided() {
            let number = written.segments.len();
            let decided = copy(number * SEGMENT_REQUESTS, (number + 1) * SEGMENT_REQUESTS);
            let bytes = encode_segment(cell.law_id(), number, &decided);
            store(&segment_path(&self.folder, number), &bytes)?;
            written.segments.push(Digest::of(&bytes));
        }
        let rest = copy(written.segments.len() * SEGMENT_REQUESTS, snapshot.decided());
        let head =
            snapshot.encode(&written.segments, &rest, sealed_through.0, &mut SystemRandom)?;
        store(&self.folder.join(HEAD), &head)?;
        written.size = snapshot.size();
        metrics::snapshot_written();
        tracing::debug!(law_id = %cell.law_id(), size = written.size, "a snapshot was written");
        Ok(())
    }
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Snapshots({})", self.folder.display())
    }
}

/// Writes snapshots of an election as they fall due, as a task.
pub(crate) async fn keep_writing(cell: Arc<ElectionHandle>) {
    if cell.snapshots.leaves == 0 {
        return;
    }
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if cell.snapshots.is_due(&cell) && !write(&cell).await {
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
}

/// Writes the snapshot that the next start will find. Nothing may be sealed any more.
pub(crate) async fn write_last(cell: &Arc<ElectionHandle>) {
    if cell.snapshots.leaves > 0 {
        write(cell).await;
    }
}

/// A snapshot that cannot be written costs time at the next start, and nothing else. Tells whether
/// it was.
async fn write(cell: &Arc<ElectionHandle>) -> bool {
    let writing = Arc::clone(cell);
    let written = tokio::task::spawn_blocking(move || {
        writing.snapshots.write(&writing).map_err(|error| error.to_string())
    });
    match written.await.map_err(|error| error.to_string()).flatten() {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(law_id = %cell.law_id(), error, "a snapshot was not written");
            false
        }
    }
}

fn store(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    write_whole(path, bytes).map_err(|source| FolderError::Io { path: path.to_owned(), source })
}
