//! Reads a roll on all cores: one thread cuts it into chunks, the others parse and hash them.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::thread;

use indicatif::ProgressBar;
use parking_lot::{Condvar, Mutex};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use votekit_core::credential::CredentialHasher;
use votekit_core::id::Digest;
use votekit_core::roll::{
    Chunk, GatheredRoll, HashScratch, HashedChunk, RollChunks, RollError, RollHasher, RollHashes,
    RollRules, Threads,
};

use crate::error::CommandError;
use crate::progress;
use crate::table_error;

/// Source of a roll. If it must be read twice and cannot be rewound, a copy is kept in an unnamed
/// temporary file, which disappears with the process.
pub(super) struct Source {
    name: String,
    input: Input,
    length: Option<u64>,
    kept: Option<File>,
}

enum Input {
    File(File),
    Stdin,
}

impl Source {
    /// Opens a roll; `-` is standard input. `again` states that it will be read a second time.
    pub(super) fn open(path: &Path, again: bool) -> Result<Self, CommandError> {
        let keep = |name: &str| {
            let kept = again.then(tempfile::tempfile).transpose();
            kept.map_err(|error| {
                CommandError::configuration(format!("cannot keep a copy of {name}: {error}"))
            })
        };
        if path.as_os_str() == "-" {
            let name = "standard input".to_owned();
            return Ok(Self { kept: keep(&name)?, name, input: Input::Stdin, length: None });
        }
        let name = path.display().to_string();
        let failed = |error: &io::Error| CommandError::reading(path, error);
        let file = File::open(path).map_err(|error| failed(&error))?;
        let metadata = file.metadata().map_err(|error| failed(&error))?;
        if metadata.is_dir() {
            return Err(CommandError::bad_input(format!("cannot read {name}: it is a folder")));
        }
        let length = metadata.is_file().then_some(metadata.len());
        let kept = if length.is_some() { None } else { keep(&name)? };
        Ok(Self { name, input: Input::File(file), length, kept })
    }

    /// Name of the source in messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn reader(&mut self, bar: &ProgressBar) -> Box<dyn Read + Send + '_> {
        let input: Box<dyn Read + Send> = match &mut self.input {
            Input::File(file) => Box::new(bar.wrap_read(file)),
            Input::Stdin => Box::new(bar.wrap_read(io::stdin())),
        };
        match &mut self.kept {
            None => input,
            Some(copy) => Box::new(Tee { input, copy }),
        }
    }

    /// Returns the same bytes, from the start.
    pub(super) fn again(&mut self) -> io::Result<&mut File> {
        let file = match (&mut self.kept, &mut self.input) {
            (Some(kept), _) => kept,
            (None, Input::File(file)) => file,
            (None, Input::Stdin) => return Err(io::Error::other("standard input was not kept")),
        };
        file.rewind()?;
        Ok(file)
    }
}

struct Tee<'a> {
    input: Box<dyn Read + Send + 'a>,
    copy: &'a mut File,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.copy.write_all(&buffer[..count])?;
        Ok(count)
    }
}

/// Creates the threads that hash.
pub(super) fn pool(threads: Option<NonZeroUsize>) -> Result<ThreadPool, CommandError> {
    ThreadPoolBuilder::new()
        .num_threads(threads.map_or(0, NonZeroUsize::get))
        .build()
        .map_err(|error| CommandError::configuration(format!("cannot start threads: {error}")))
}

/// Hashes a whole roll. Returns its rows and the SHA-256 of its bytes.
pub(super) fn hash(
    source: &mut Source,
    rules: &RollRules,
    hasher: &CredentialHasher,
    pool: &ThreadPool,
) -> Result<(GatheredRoll, Digest), CommandError> {
    let name = source.name.clone();
    let bar = progress::bytes("Hashing the roll", source.length);
    let hashed = hash_chunks(source.reader(&bar), rules, hasher, pool);
    bar.finish_and_clear();
    hashed.map_err(|error| table_error::unreadable(&name, &error))
}

fn hash_chunks(
    reader: impl Read + Send,
    rules: &RollRules,
    hasher: &CredentialHasher,
    pool: &ThreadPool,
) -> Result<(GatheredRoll, Digest), RollError> {
    let mut chunks = RollChunks::open(reader)?;
    let hasher = RollHasher::new(*chunks.header(), rules.clone(), hasher.clone());
    let gathering = Gathering::new(&hasher, pool.current_num_threads());
    // One waiting chunk per thread keeps them busy, with little memory.
    let (sender, receiver) = sync_channel::<Chunk>(pool.current_num_threads());
    let receiver = Mutex::new(receiver);
    let digest = thread::scope(|scope| {
        let reading = scope.spawn(move || {
            while let Some(chunk) = chunks.next_cut()? {
                if sender.send(chunk).is_err() {
                    break;
                }
            }
            Ok::<_, RollError>(chunks.digest())
        });
        let next = || receiver.lock().recv().ok();
        pool.broadcast(|_| {
            let mut scratch = HashScratch::default();
            while let Some(chunk) = next() {
                gathering.add(hasher.hash(chunk, &mut scratch));
            }
        });
        reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    Ok((gathering.end()?, digest))
}

/// Collects the hashed chunks of all threads.
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
}

impl<'h> Gathering<'h> {
    fn new(hasher: &'h RollHasher, threads: usize) -> Self {
        let hashes = Mutex::new(Gathered { hashes: RollHashes::new(hasher), failed: None });
        Self { hashes, moved_on: Condvar::new(), held_max: 4 * threads as u64 }
    }

    /// Adds a chunk. Waits if it is too far ahead; the thread with the earliest chunk never waits.
    fn add(&self, chunk: HashedChunk) {
        let mut gathered = self.hashes.lock();
        let far_ahead = |gathered: &mut Gathered<'h>| {
            gathered.failed.is_none()
                && chunk.number() > gathered.hashes.next_number() + self.held_max
        };
        self.moved_on.wait_while(&mut gathered, far_ahead);
        if gathered.failed.is_none() {
            gathered.failed = gathered.hashes.add(chunk).err();
        }
        self.moved_on.notify_all();
    }

    fn end(self) -> Result<GatheredRoll, RollError> {
        let gathered = self.hashes.into_inner();
        gathered.failed.map_or_else(|| gathered.hashes.end(), Err)
    }
}

/// Runs work on the threads of a pool.
pub(super) struct Parallel<'p>(pub(super) &'p ThreadPool);

impl Threads for Parallel<'_> {
    fn each(&self, count: u32, work: &(dyn Fn(u32) + Sync)) {
        self.0.install(|| (0..count).into_par_iter().for_each(work));
    }
}
