//! Snapshots on disk: the state of a log, so that a start reads back only the blocks after it.
//!
//! ```text
//! snapshots/<law id>/
//!   segment-000000 …   32,768 decided requests each; written once
//!   head               everything else, and the digests of the segments; replaced whole
//! ```
//!
//! Written while sealing continues: the list of decided requests only grows, and is copied part by
//! part, each under a short lock. A snapshot is never ahead of the ledger, since the log in memory
//! contains durable blocks only. Snapshots are a cache: a deleted folder is written again.

use std::fmt;
use std::path::{Path, PathBuf};

use getrandom::SysRng;
use parking_lot::{Mutex, RwLock};
use rand_core::UnwrapErr;
use votekit_core::election::State;
use votekit_core::election_log::ElectionLog;
use votekit_core::election_log::snapshot::{SEGMENT_REQUESTS, encode_segment};
use votekit_core::id::{Digest, ElectionId};
use votekit_store::StagingId;

use super::Committed;
use crate::data_folder::{FolderError, make_private_folder, write_whole};
use crate::metrics;

pub(crate) const HEAD: &str = "head";

pub(crate) fn segment_path(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("segment-{number:06}"))
}

/// The snapshots of one election.
pub(crate) struct Snapshots {
    folder: PathBuf,
    /// Number of leaves after which the next snapshot is due; 0: none is written.
    leaves: u64,
    written: Mutex<Written>,
}

/// The snapshot on disk.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) size: u64,
    pub(crate) segments: Vec<Digest>,
}

impl Written {
    /// Leaves in the log when the snapshot was taken.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }
}

/// Why a snapshot was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Seal(#[from] votekit_core::ballot::SealError),
}

impl Snapshots {
    /// The snapshots of one election. `written` describes a usable snapshot on disk.
    pub(crate) fn new(folder: PathBuf, leaves: u64, written: Option<Written>) -> Self {
        Self { folder, leaves, written: Mutex::new(written.unwrap_or_default()) }
    }

    /// Whether snapshots are written at all.
    pub(crate) fn are_written(&self) -> bool {
        self.leaves > 0
    }

    /// Whether the log has grown enough since the last snapshot, or has reached its end.
    pub(crate) fn is_due(&self, committed: &Committed) -> bool {
        let Some(written) = self.written.try_lock() else { return false };
        let grown = committed.size().saturating_sub(written.size);
        self.leaves > 0
            && (grown >= self.leaves || (grown > 0 && committed.state() >= State::Closed))
    }

    /// Writes the new blocks and evidence. Blocks the thread.
    pub(crate) fn write(
        &self,
        law_id: &ElectionId,
        sealed_through: StagingId,
        log: &RwLock<ElectionLog>,
    ) -> Result<(), WriteError> {
        let log = || log.read();
        let mut written = self.written.lock();
        let snapshot = log().snapshot();
        if snapshot.size() == written.size {
            return Ok(());
        }
        make_private_folder(&self.folder)?;
        let copy = |from: usize, to: usize| log().decisions().requests().copy(from..to);
        // Segments before the head, which names their digests: an interrupted write leaves the old
        // head valid.
        while (written.segments.len() + 1) * SEGMENT_REQUESTS <= snapshot.decided() {
            let number = written.segments.len();
            let decided = copy(number * SEGMENT_REQUESTS, (number + 1) * SEGMENT_REQUESTS);
            let bytes = encode_segment(law_id, number, &decided);
            store(&segment_path(&self.folder, number), &bytes)?;
            written.segments.push(Digest::compute(&bytes));
        }
        let rest = copy(written.segments.len() * SEGMENT_REQUESTS, snapshot.decided());
        let head =
            snapshot.encode(&written.segments, &rest, sealed_through.0, &mut UnwrapErr(SysRng))?;
        store(&self.folder.join(HEAD), &head)?;
        written.size = snapshot.size();
        metrics::snapshot_written();
        tracing::debug!(
            event = "snapshot_written",
            %law_id,
            size = written.size,
            "snapshot written"
        );
        Ok(())
    }
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Snapshots({})", self.folder.display())
    }
}

fn store(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    write_whole(path, bytes).map_err(|source| FolderError::Io { path: path.to_owned(), source })
}
