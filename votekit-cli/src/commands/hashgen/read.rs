//! Reads a roll from a file or from standard input, and hashes it on all cores.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::thread;

use votekit_core::credential::CredentialHasher;
use votekit_core::roll::parallel::{self, GatheredFile, ScopedThreads};
use votekit_core::roll::{RollChunks, RollRules};

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

    fn reader(&mut self) -> Box<dyn Read + '_> {
        let input: Box<dyn Read> = match &mut self.input {
            Input::File(file) => Box::new(file),
            Input::Stdin => Box::new(io::stdin()),
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
    input: Box<dyn Read + 'a>,
    copy: &'a mut File,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.copy.write_all(&buffer[..count])?;
        Ok(count)
    }
}

/// The threads that hash and write: as many as requested, or one per processor core.
pub(super) fn threads(requested: Option<NonZeroUsize>) -> ScopedThreads {
    let cores = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    ScopedThreads(requested.unwrap_or_else(cores))
}

/// Hashes a whole roll.
pub(super) fn hash(
    source: &mut Source,
    rules: &RollRules,
    hasher: &CredentialHasher,
    threads: ScopedThreads,
) -> Result<GatheredFile, CommandError> {
    let name = source.name.clone();
    let bar = progress::bytes("Hashing the roll", source.length);
    let hashed = RollChunks::open(source.reader()).and_then(|chunks| {
        parallel::gather(chunks, rules, hasher, threads.0, |bytes| bar.set_position(bytes))
    });
    bar.finish_and_clear();
    hashed.map_err(|error| table_error::unreadable(&name, &error))
}
