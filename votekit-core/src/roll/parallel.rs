//! Hashes a roll on several threads, and makes its shards and manifest in one call.
//!
//! ```text
//! reader ─▶ calling thread ─▶ queue ─▶ worker: parse and hash ─▶ gathering ─▶ GatheredFile
//!           cuts chunks       bounded  worker: …                 in order
//! ```
//!
//! [`hash_roll`] goes from the bytes of a roll to shards and manifest; [`gather`] is the part of it
//! that runs in parallel, for callers that report each fault or write shards piece by piece.
//!
//! The threads are those of the standard library and end with the call. A pool of rayon would not
//! do: a worker that is ahead waits for the others, which keeps memory bounded, and a job that
//! waits blocks a thread of a pool that other work shares. With threads of its own a call can
//! neither starve such a pool nor wait for it, and no other crate is part of this interface.
//!
//! Memory during [`gather`] is about 45 bytes per row, plus at most 6 chunks per worker: one in the
//! queue, one being hashed, and 4 that wait for an earlier one.
//!
//! A panic in a worker ends the call with that panic.

mod sharded;

pub use sharded::{HashOptions, HashRollError, ShardFile, ShardedRoll, hash_roll};

use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::{self, Builder};

use super::{
    Chunk, GatheredRoll, HashScratch, HashedChunk, RollChunks, RollError, RollHasher, RollHashes,
    RollRules, Threads,
};
use crate::credential::CredentialHasher;
use crate::id::Digest;

/// The rows of a whole roll, and the digest of its bytes.
#[derive(Debug)]
#[non_exhaustive]
pub struct GatheredFile {
    /// The rows, checked and hashed, and not yet compared with each other.
    pub rows: GatheredRoll,
    /// SHA-256 of the roll's bytes.
    pub sha256: Digest,
}

/// Hashes a whole roll on `threads` worker threads, while the calling thread reads it. The result
/// does not depend on the number of threads or the size of the chunks.
///
/// After each chunk `progress` receives the number of bytes of rows read so far.
///
/// ```
/// use std::num::NonZeroUsize;
/// use votekit_core::credential::CredentialHasher;
/// use votekit_core::roll::parallel::{ScopedThreads, gather};
/// use votekit_core::roll::{RollChunks, RollRules};
/// let chunks = RollChunks::open(&b"nas,code,law_id\n123456789,ABC123,L1\n"[..])?;
/// let (hasher, threads) = (CredentialHasher::plain(), NonZeroUsize::MIN);
/// let file = gather(chunks, &RollRules::default(), &hasher, threads, |_| {})?;
/// assert_eq!(file.rows.finish(&ScopedThreads(threads)).rows, 1);
/// # Ok::<(), votekit_core::roll::RollError>(())
/// ```
///
/// # Errors
/// [`RollError`] when reading fails, a record is too long, there are too many lines, or no thread
/// can be started. Bad rows are not an error: [`GatheredRoll::faults`] lists them.
pub fn gather<R: Read>(
    mut chunks: RollChunks<R>,
    rules: &RollRules,
    hasher: &CredentialHasher,
    threads: NonZeroUsize,
    progress: impl FnMut(u64),
) -> Result<GatheredFile, RollError> {
    let hasher = RollHasher::new(*chunks.header(), rules.clone(), hasher.clone());
    let gathering = Gathering::new(&hasher, threads.get());
    // One waiting chunk per thread keeps them busy, with little memory.
    let (sender, receiver) = sync_channel(threads.get());
    let queue = ChunkQueue(Mutex::new(Some(receiver)));
    let worker = Worker { queue: &queue, hasher: &hasher, gathering: &gathering };
    let sha256 = thread::scope(|scope| {
        let start = |_| Builder::new().spawn_scoped(scope, move || worker.run()).ok();
        // Fewer threads than requested cost time only.
        let workers: Vec<_> = (0..threads.get()).map_while(start).collect();
        if workers.is_empty() {
            return Err(RollError::Read(io::Error::other("no thread can be started")));
        }
        let read = read_chunks(&mut chunks, sender, progress);
        for worker in workers {
            worker.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
        read
    })?;
    Ok(GatheredFile { rows: gathering.end()?, sha256 })
}

/// Reads to the end and returns the digest of all bytes.
fn read_chunks<R: Read>(
    chunks: &mut RollChunks<R>,
    sender: SyncSender<Chunk>,
    mut progress: impl FnMut(u64),
) -> Result<Digest, RollError> {
    let mut read = 0;
    while let Some(chunk) = chunks.next_cut()? {
        read += chunk.bytes().len() as u64;
        progress(read);
        // The queue is closed once a worker has panicked.
        if sender.send(chunk).is_err() {
            break;
        }
    }
    Ok(chunks.digest())
}

/// Chunks on their way from the reader to the workers; `None` once closed.
struct ChunkQueue(Mutex<Option<Receiver<Chunk>>>);

impl ChunkQueue {
    /// The next chunk; `None` at the end of the roll.
    fn next(&self) -> Option<Chunk> {
        let receiver = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        receiver.as_ref()?.recv().ok()
    }

    /// Makes the reader stop.
    fn close(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// The state that all worker threads share.
#[derive(Clone, Copy)]
struct Worker<'a, 'h> {
    queue: &'a ChunkQueue,
    hasher: &'h RollHasher,
    gathering: &'a Gathering<'h>,
}

impl Worker<'_, '_> {
    /// Hashes chunks until none is left.
    fn run(self) {
        let _guard = PanicGuard(self);
        let mut scratch = HashScratch::default();
        while let Some(chunk) = self.queue.next() {
            self.gathering.add(self.hasher.hash(chunk, &mut scratch));
        }
    }
}

/// Stops reader and workers when a worker panics: they would wait for its chunk forever.
struct PanicGuard<'a, 'h>(Worker<'a, 'h>);

impl Drop for PanicGuard<'_, '_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.gathering.abandon();
            self.0.queue.close();
        }
    }
}

/// Collects the hashed chunks of all workers.
struct Gathering<'h> {
    hashes: Mutex<Gathered<'h>>,
    /// Notified when a chunk was added.
    moved_on: Condvar,
    /// Maximum distance of a chunk from the next one needed. A held chunk keeps its part of the
    /// roll in memory.
    held_max: u64,
}

struct Gathered<'h> {
    hashes: RollHashes<'h>,
    failed: Option<RollError>,
    /// Whether a worker has panicked, so that a chunk is missing.
    abandoned: bool,
}

impl<'h> Gathering<'h> {
    fn new(hasher: &'h RollHasher, threads: usize) -> Self {
        let gathered = Gathered { hashes: RollHashes::new(hasher), failed: None, abandoned: false };
        let held_max = 4 * threads as u64;
        Self { hashes: Mutex::new(gathered), moved_on: Condvar::new(), held_max }
    }

    /// Adds a chunk. Waits if it is too far ahead; the worker with the earliest chunk never waits.
    fn add(&self, chunk: HashedChunk) {
        let gathered = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        let far_ahead = |gathered: &mut Gathered<'h>| {
            gathered.is_active() && chunk.number() > gathered.hashes.next_number() + self.held_max
        };
        let mut gathered =
            self.moved_on.wait_while(gathered, far_ahead).unwrap_or_else(PoisonError::into_inner);
        if gathered.is_active() {
            gathered.failed = gathered.hashes.add(chunk).err();
        }
        self.moved_on.notify_all();
    }

    /// Wakes all workers that wait: a chunk will never come.
    fn abandon(&self) {
        self.hashes.lock().unwrap_or_else(PoisonError::into_inner).abandoned = true;
        self.moved_on.notify_all();
    }

    fn end(self) -> Result<GatheredRoll, RollError> {
        let gathered = self.hashes.into_inner().unwrap_or_else(PoisonError::into_inner);
        gathered.failed.map_or_else(|| gathered.hashes.end(), Err)
    }
}

impl Gathered<'_> {
    fn is_active(&self) -> bool {
        self.failed.is_none() && !self.abandoned
    }
}

/// Runs work on this many threads, including the calling one. The threads end with each call; where
/// fewer can be started, fewer are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScopedThreads(pub NonZeroUsize);

impl Threads for ScopedThreads {
    fn each(&self, count: u32, work: &(dyn Fn(u32) + Sync)) {
        let next = AtomicU64::new(0);
        let run = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                match u32::try_from(number) {
                    Ok(number) if number < count => work(number),
                    _ => break,
                }
            }
        };
        let run = &run;
        thread::scope(|scope| {
            let others = self.0.get().min(count as usize).saturating_sub(1);
            for _ in 0..others {
                if Builder::new().spawn_scoped(scope, run).is_err() {
                    break;
                }
            }
            run();
        });
    }
}

#[cfg(test)]
#[path = "parallel_test.rs"]
mod tests;
