//! Snapshots in use: restored at the start, written while sealing continues.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rayon::prelude::*;
use votekit_core::ballot::BallotSecretKey;
use votekit_core::election_log::snapshot::{Head, SEGMENT_REQUESTS, SnapshotError, decode_segment};
use votekit_core::election_log::{ElectionLog, RollContent};
use votekit_core::id::{Digest, ElectionId};
use votekit_core::request_index::{Decided, DecidedList, RequestIndex};
use votekit_store::StagingId;

use crate::election::ElectionHandle;
use crate::election::snapshots::{HEAD, Written, segment_path};
use crate::roll_store::{RollError, Rolls};

/// Interval between checks whether a snapshot is due.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Pause after a failed write: retrying does not help a full disk.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// A log restored from a snapshot.
pub(crate) struct Restored {
    pub(crate) log: ElectionLog,
    pub(crate) sealed_through: StagingId,
    pub(crate) written: Written,
}

/// Why an existing snapshot is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("{path}: {source}", path = path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{path}: {source}", path = path.display())]
    Damaged { path: PathBuf, source: SnapshotError },
    #[error(
        "{path}: it is of a log of {size} leaves, the ledger has {head}",
        path = path.display()
    )]
    Ahead { path: PathBuf, size: u64, head: u64 },
    #[error(transparent)]
    Roll(#[from] RollError),
}

/// Restores the log from the snapshot in a folder; `None` when there is none. Blocks the thread.
pub(crate) fn restore(
    folder: &Path,
    law_id: &ElectionId,
    head: &votekit_store::Head,
    ballot_key: Option<&BallotSecretKey>,
    rolls: &Rolls<'_>,
) -> Result<Option<Restored>, Refused> {
    let path = folder.join(HEAD);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Refused::Read { path, source }),
    };
    let damaged = |source| Refused::Damaged { path: path.clone(), source };
    let mut found = Head::decode(&bytes, law_id).map_err(damaged)?;
    if found.size() > head.size {
        return Err(Refused::Ahead { path, size: found.size(), head: head.size });
    }
    let (segments, rest, room) =
        (std::mem::take(&mut found.segments), std::mem::take(&mut found.rest), found.room());
    let manifests: Vec<Digest> = found.manifests().collect();
    let (requests, contents) = rayon::join(
        || read_requests(folder, law_id, &segments, &rest, room),
        || {
            manifests
                .iter()
                .map(|manifest| rolls.content(manifest))
                .collect::<Result<Vec<Option<RollContent>>, _>>()
        },
    );
    let (requests, contents) = (requests?, contents?);
    let mut content = |wanted: &Digest| {
        let index = manifests.iter().position(|manifest| manifest == wanted)?;
        contents[index].clone()
    };
    let (size, sealed_through) = (found.size(), StagingId(found.sealed_through));
    let log = ElectionLog::restore(found, requests, ballot_key, &mut content).map_err(damaged)?;
    Ok(Some(Restored { log, sealed_through, written: Written { size, segments } }))
}

/// Reads the decided requests of all segments and of `rest`, indexed.
fn read_requests(
    folder: &Path,
    law_id: &ElectionId,
    segments: &[Digest],
    rest: &DecidedList,
    room: usize,
) -> Result<RequestIndex, Refused> {
    let mut decided = Vec::with_capacity(room);
    decided.resize(segments.len() * SEGMENT_REQUESTS, Decided::EMPTY);
    let read = |(number, (out, digest)): (usize, (&mut [Decided], &Digest))| {
        let path = segment_path(folder, number);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(Refused::Read { path, source }),
        };
        decode_segment(&bytes, law_id, number, digest, out)
            .map_err(|source| Refused::Damaged { path, source })
    };
    let invalid: Vec<Vec<_>> = decided
        .par_chunks_mut(SEGMENT_REQUESTS)
        .zip(segments)
        .enumerate()
        .map(read)
        .collect::<Result<_, Refused>>()?;
    let mut invalid: Vec<_> = invalid.into_iter().flatten().collect();
    decided.extend_from_slice(&rest.decided);
    invalid.extend_from_slice(&rest.invalid);
    let list = DecidedList { decided, invalid };
    RequestIndex::from_list(list, room)
        .map_err(|error| Refused::Damaged { path: folder.to_owned(), source: error.into() })
}

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
