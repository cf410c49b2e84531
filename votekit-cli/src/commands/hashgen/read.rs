//! Reading a roll with all cores: one thread cuts it into chunks, the others parse and hash them.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::thread;

use indicatif::ProgressBar;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use votekit_core::credential::{CredentialHasher, RegistryKey};
use votekit_core::id::Digest;
use votekit_core::roll::{Chunk, RollChunks, RollError, RollHashes, RollRules, Sorter, hash_chunk};

use crate::error::CommandError;
use crate::progress;

/// Where a roll comes from. One that must be read twice and cannot be rewound is kept in a nameless file, gone with the process.
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
    /// Opens a roll; `-` is standard input. `again` says that it will be read a second time.
    pub(super) fn open(path: &Path, again: bool) -> Result<Self, CommandError> {
        let keep = |name: &str| {
            let kept = again.then(tempfile::tempfile).transpose();
            kept.map_err(|error| CommandError::configuration(format!("cannot keep a copy of {name}: {error}")))
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

    /// What messages call it.
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

    /// The same bytes from the start.
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

/// The threads that hash.
pub(super) fn pool(threads: Option<NonZeroUsize>) -> Result<ThreadPool, CommandError> {
    ThreadPoolBuilder::new()
        .num_threads(threads.map_or(0, NonZeroUsize::get))
        .build()
        .map_err(|error| CommandError::configuration(format!("cannot start threads: {error}")))
}

/// Hashes a whole roll. Gives its rows and the SHA-256 of its bytes.
pub(super) fn hash(
    source: &mut Source,
    rules: &RollRules,
    hasher: &CredentialHasher,
    pool: &ThreadPool,
) -> Result<(RollHashes, Digest), CommandError> {
    let name = source.name.clone();
    let bar = progress::bytes("Hashing the roll", source.length);
    let hashed = hash_chunks(source.reader(&bar), rules, hasher, pool);
    bar.finish_and_clear();
    hashed.map_err(|error| roll_error(&name, &error))
}

fn hash_chunks(
    reader: impl Read + Send,
    rules: &RollRules,
    hasher: &CredentialHasher,
    pool: &ThreadPool,
) -> Result<(RollHashes, Digest), RollError> {
    let mut chunks = RollChunks::open(reader)?;
    let header = *chunks.header();
    // As many chunks wait as there are threads: enough to keep them busy, and memory stays small.
    let (sender, receiver) = sync_channel::<Chunk>(pool.current_num_threads());
    let hashes = Mutex::new(RollHashes::default());
    let digest = thread::scope(|scope| {
        let reading = scope.spawn(move || {
            while let Some(chunk) = chunks.next_chunk()? {
                if sender.send(chunk).is_err() {
                    break;
                }
            }
            Ok::<_, RollError>(chunks.digest())
        });
        pool.install(|| {
            receiver.into_iter().par_bridge().for_each(|chunk| {
                let hashed = hash_chunk(&chunk, &header, rules, hasher);
                hashes.lock().unwrap_or_else(PoisonError::into_inner).add(hashed);
            });
        });
        reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    Ok((hashes.into_inner().unwrap_or_else(PoisonError::into_inner), digest))
}

/// A roll that cannot be read, with what to do about it.
pub(super) fn roll_error(name: &str, error: &RollError) -> CommandError {
    let failed = CommandError::bad_input(format!("{name}: {error}"));
    match error.hint() {
        Some(hint) => failed.hint(hint),
        None => failed,
    }
}

/// Sorts with the threads of the pool it is called in.
pub(super) struct Parallel;

impl Sorter for Parallel {
    fn sort_keys(&self, keys: &mut [RegistryKey]) {
        keys.par_sort_unstable();
    }

    fn sort_numbers(&self, numbers: &mut [u64]) {
        numbers.par_sort_unstable();
    }
}
