//! Reads `leaves.jsonl` in chunks of lines, which other threads hash and parse; results are merged
//! in order.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::mpsc;

use sha2::{Digest as _, Sha256};

use crate::decision::{Decision, Outcome};
use crate::envelope::EnvelopeDigest;
use crate::id::Digest;
use crate::log::leaf::{Leaf, LeafError};
use crate::log::merkle::{RootHasher, TreeHash, leaf_hash};

/// Lines in a chunk. A power of two, so that each chunk but the last is a perfect subtree.
const CHUNK_LINES: usize = 4096;
const READ_LENGTH: usize = 1 << 20;

/// One parsed line.
pub(super) enum Item {
    /// The leaf of an envelope, with its cᵢ.
    Outcome(Outcome, EnvelopeDigest),
    /// Any other leaf.
    Other(Box<Leaf>),
    Bad(LeafError),
}

/// The result of reading the file.
pub(super) struct Ending {
    /// Bytes of the file.
    pub(super) size: u64,
    /// SHA-256 of the file.
    pub(super) digest: Digest,
    /// The root over all lines.
    pub(super) root: TreeHash,
    /// The fault in the form of the file, and its line, from 1.
    pub(super) fault: Option<(u64, &'static str)>,
}

/// Reads all lines and passes each to `take` in order, with a function that computes the root up to
/// and including that line (only at the end of blocks).
///
/// Calling thread: reading, SHA-256 of the file, `take`. Other threads, if any: leaf hashes and
/// parsing.
pub(super) fn read(
    reader: &mut dyn Read,
    threads: usize,
    mut take: impl FnMut(&Item, &dyn Fn() -> TreeHash),
) -> io::Result<Ending> {
    let mut chunks = Chunks::new(reader);
    let mut merge = Merge::default();
    match threads.saturating_sub(1) {
        // Some targets, such as wasm32-unknown-unknown, have no threads: start none.
        0 => {
            for place in 0.. {
                let Some(chunk) = chunks.next()? else { break };
                merge.take(place, Hashed::new(&chunk), &mut take);
            }
        }
        workers => read_with_workers(&mut chunks, &mut merge, workers, &mut take)?,
    }
    Ok(Ending {
        size: chunks.size,
        digest: chunks.digest(),
        root: merge.root.root(),
        fault: chunks.fault,
    })
}

fn read_with_workers(
    chunks: &mut Chunks<'_>,
    merge: &mut Merge,
    workers: usize,
    take: &mut impl FnMut(&Item, &dyn Fn() -> TreeHash),
) -> io::Result<()> {
    // Bounds the memory of chunks that are read ahead or wait for an earlier chunk.
    let in_flight_max = 4 * workers;
    let (jobs, job_queue) = mpsc::sync_channel::<(u64, Vec<u8>)>(in_flight_max);
    let (results, result_queue) = mpsc::channel::<(u64, Hashed)>();
    let job_queue = Mutex::new(job_queue);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (results, job_queue) = (results.clone(), &job_queue);
            scope.spawn(move || work(job_queue, &results));
        }
        drop(results);
        // Dropped when reading ends or fails, which ends the workers.
        let jobs = jobs;
        let (mut sent, mut taken, mut at_end) = (0, 0, false);
        while !at_end || taken < sent {
            while !at_end && sent - taken < in_flight_max as u64 {
                match chunks.next()? {
                    Some(chunk) => {
                        let gone = "the workers run until this sender is dropped";
                        jobs.send((sent, chunk)).expect(gone);
                        sent += 1;
                    }
                    None => at_end = true,
                }
            }
            if taken < sent {
                let (place, hashed) = result_queue
                    .recv()
                    .map_err(|_| io::Error::other("a hashing thread has died"))?;
                taken += merge.take(place, hashed, take);
            }
        }
        Ok(())
    })
}

fn work(jobs: &Mutex<mpsc::Receiver<(u64, Vec<u8>)>>, results: &mpsc::Sender<(u64, Hashed)>) {
    loop {
        let Ok(Ok((place, chunk))) = jobs.lock().map(|jobs| jobs.recv()) else { return };
        if results.send((place, Hashed::new(&chunk))).is_err() {
            return;
        }
    }
}

/// A chunk of lines, hashed and parsed.
struct Hashed {
    items: Vec<Item>,
    root: RootHasher,
    /// The hasher after each block's last leaf, with the index of that leaf in the chunk.
    block_ends: Vec<(usize, RootHasher)>,
}

impl Hashed {
    fn new(chunk: &[u8]) -> Self {
        let mut hashed = Self {
            items: Vec::with_capacity(CHUNK_LINES),
            root: RootHasher::new(),
            block_ends: Vec::new(),
        };
        let mut rest = chunk;
        while let Some(end) = line_end(rest) {
            let line = &rest[..end];
            rest = &rest[end + 1..];
            hashed.root.push(leaf_hash(line));
            let item = match Leaf::parse(line) {
                Ok(Leaf::Entry(entry)) => outcome(Outcome::Decided(entry)),
                Ok(Leaf::Replay(replay)) => outcome(Outcome::Replayed(replay)),
                Ok(leaf) => Item::Other(Box::new(leaf)),
                Err(error) => Item::Bad(error),
            };
            if matches!(&item, Item::Other(leaf) if matches!(**leaf, Leaf::Block(_))) {
                hashed.block_ends.push((hashed.items.len(), hashed.root.clone()));
            }
            hashed.items.push(item);
        }
        hashed
    }
}

/// Computes cᵢ where the leaf does not show it.
fn outcome(outcome: Outcome) -> Item {
    let digest = match &outcome {
        Outcome::Replayed(replay) => replay.envelope,
        Outcome::Decided(entry) => match &entry.decision {
            Decision::Accepted { hash } | Decision::Duplicate { hash, .. } => {
                EnvelopeDigest::new(&entry.request, entry.minute, hash)
            }
            Decision::Invalid { envelope, .. } => *envelope,
        },
    };
    Item::Outcome(outcome, digest)
}

/// The position of the first line feed. Lines have some 200 bytes: searching by blocks is faster
/// than byte by byte.
fn line_end(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 32;
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    for (place, block) in blocks.iter().enumerate() {
        if block.iter().fold(false, |found, byte| found | (*byte == b'\n')) {
            return block
                .iter()
                .position(|byte| *byte == b'\n')
                .map(|inside| place * BLOCK + inside);
        }
    }
    rest.iter().position(|byte| *byte == b'\n').map(|inside| blocks.len() * BLOCK + inside)
}

/// Restores the order of hashed chunks.
#[derive(Default)]
struct Merge {
    next: u64,
    waiting: BTreeMap<u64, Hashed>,
    root: RootHasher,
}

impl Merge {
    /// Takes a chunk. Passes on every chunk whose turn has come, and returns their number.
    fn take(
        &mut self,
        place: u64,
        hashed: Hashed,
        take: &mut impl FnMut(&Item, &dyn Fn() -> TreeHash),
    ) -> u64 {
        self.waiting.insert(place, hashed);
        let before = self.next;
        while let Some(hashed) = self.waiting.remove(&self.next) {
            let mut block_ends = hashed.block_ends.iter().peekable();
            for (place, item) in hashed.items.iter().enumerate() {
                let end = block_ends
                    .next_if(|(end, _)| *end == place)
                    .map_or(&hashed.root, |(_, root)| root);
                take(item, &|| joined(&self.root, end).root());
            }
            self.root = joined(&self.root, &hashed.root);
            self.next += 1;
        }
        self.next - before
    }
}

fn joined(left: &RootHasher, right: &RootHasher) -> RootHasher {
    let mut joined = left.clone();
    joined.append(right).expect("each chunk but the last is a perfect subtree of 4,096 leaves");
    joined
}

/// Cuts a file into chunks of whole lines, and digests it.
struct Chunks<'a> {
    reader: &'a mut dyn Read,
    buffer: Vec<u8>,
    /// The bytes searched for line feeds; `lines` is the number found.
    searched: usize,
    lines: usize,
    at_end: bool,
    digest: Sha256,
    size: u64,
    lines_before: u64,
    fault: Option<(u64, &'static str)>,
}

impl<'a> Chunks<'a> {
    fn new(reader: &'a mut dyn Read) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            searched: 0,
            lines: 0,
            at_end: false,
            digest: Sha256::new(),
            size: 0,
            lines_before: 0,
            fault: None,
        }
    }

    /// The next chunk: [`CHUNK_LINES`] lines, or fewer at the end.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.find_chunk_end() {
                let rest = self.buffer.split_off(end);
                let chunk = std::mem::replace(&mut self.buffer, rest);
                (self.searched, self.lines) = (0, 0);
                self.lines_before += CHUNK_LINES as u64;
                return Ok(Some(chunk));
            }
            if self.at_end {
                return Ok(self.last_chunk());
            }
            self.fill()?;
        }
    }

    fn find_chunk_end(&mut self) -> Option<usize> {
        while let Some(end) = line_end(&self.buffer[self.searched..]) {
            self.searched += end + 1;
            self.lines += 1;
            if self.lines == CHUNK_LINES {
                return Some(self.searched);
            }
        }
        None
    }

    fn fill(&mut self) -> io::Result<()> {
        let start = self.buffer.len();
        if start - self.searched > Leaf::LENGTH_MAX {
            // No leaf is that long: the rest is digested, but not kept.
            self.note_fault("a line is longer than any leaf; nothing after it was read");
            self.buffer.truncate(self.searched);
            self.at_end = true;
            return self.skip_rest();
        }
        self.buffer.resize(start + READ_LENGTH, 0);
        let mut length = 0;
        while length < READ_LENGTH {
            match self.reader.read(&mut self.buffer[start + length..]) {
                Ok(0) => {
                    self.at_end = true;
                    break;
                }
                Ok(more) => length += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.buffer.truncate(start + length);
        self.digest.update(&self.buffer[start..]);
        self.size += length as u64;
        Ok(())
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        let mut block = vec![0; READ_LENGTH];
        loop {
            match self.reader.read(&mut block) {
                Ok(0) => return Ok(()),
                Ok(length) => {
                    self.digest.update(&block[..length]);
                    self.size += length as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn last_chunk(&mut self) -> Option<Vec<u8>> {
        if self.searched < self.buffer.len() {
            self.note_fault("the last line does not end with a line feed");
            self.buffer.truncate(self.searched);
        }
        self.searched = 0;
        self.lines_before += std::mem::take(&mut self.lines) as u64;
        let chunk = std::mem::take(&mut self.buffer);
        (!chunk.is_empty()).then_some(chunk)
    }

    fn note_fault(&mut self, what: &'static str) {
        self.fault.get_or_insert((self.lines_before + self.lines as u64 + 1, what));
    }

    fn digest(&mut self) -> Digest {
        Digest::from_bytes(std::mem::take(&mut self.digest).finalize().into())
    }
}

#[cfg(test)]
#[path = "leaves_test.rs"]
mod tests;
