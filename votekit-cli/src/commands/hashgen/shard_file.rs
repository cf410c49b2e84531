//! Writes shard files: keys are sorted, encoded, digested and written in pieces, each while it is
//! in the cache.
//!
//! Two files are written in turns, because SHA-256 of one file is a chain in which each step waits
//! for the one before: with two chains, the processor works on one while the other waits. 256 MiB
//! take 0.097 s so, and 0.133 s with `sha2::Sha256` one file after the other.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use sha2::block_api::compress256;
use votekit_core::id::Digest;
use votekit_core::manifest::FileRow;
use votekit_core::roll::{AscendingKeys, PlannedShard};
use votekit_core::shard::{ShardEncoder, ShardFormat};

use crate::atomic_output::StagedFolder;
use crate::error::CommandError;

/// Keys per piece.
const KEYS_PER_WRITE: usize = 1024;
/// The initial state of SHA-256 (FIPS 180-4, 5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Writes one shard or two, without syncing. Returns their rows of the manifest.
///
/// # Errors
/// When a file cannot be written. `out` is the final folder, as named in messages.
pub(super) fn write(
    planned: &[PlannedShard<'_>],
    format: ShardFormat,
    folder: &StagedFolder,
    out: &Path,
) -> Result<Vec<FileRow>, CommandError> {
    let mut files: Vec<ShardFile<'_>> = planned
        .iter()
        .map(|planned| ShardFile::create(planned, format, folder))
        .collect::<Result<_, _>>()?;
    loop {
        let mut more = false;
        for file in &mut files {
            more |= file.write_piece(out)?;
        }
        match files.as_mut_slice() {
            [one, other] => digest_in_turns(one, other),
            files => files.iter_mut().for_each(|file| file.digest_blocks(0)),
        }
        if !more {
            return Ok(files.into_iter().map(ShardFile::into_row).collect());
        }
    }
}

/// A shard file being written.
struct ShardFile<'k> {
    planned: &'k PlannedShard<'k>,
    format: ShardFormat,
    name: String,
    file: File,
    keys: AscendingKeys<'k>,
    encoder: ShardEncoder,
    /// Bytes not yet digested. The first `written` of them are already in the file.
    bytes: Vec<u8>,
    written: usize,
    length: u64,
    state: [u32; 8],
}

impl<'k> ShardFile<'k> {
    fn create(
        planned: &'k PlannedShard<'k>,
        format: ShardFormat,
        folder: &StagedFolder,
    ) -> Result<Self, CommandError> {
        let name = planned.head.file_name(format);
        let file = folder.create_file(&name)?;
        let mut bytes = Vec::new();
        let encoder = ShardEncoder::start(&planned.head, format, planned.ranks.len(), &mut bytes);
        let keys = planned.law.ranks(planned.ranks.clone());
        Ok(Self {
            planned,
            format,
            name,
            file,
            keys,
            encoder,
            bytes,
            written: 0,
            length: 0,
            state: INITIAL,
        })
    }

    /// Writes the next keys; returns false if none are left.
    fn write_piece(&mut self, out: &Path) -> Result<bool, CommandError> {
        let Some(keys) = self.keys.next_keys(KEYS_PER_WRITE) else { return Ok(false) };
        self.encoder.push(keys, &mut self.bytes);
        let piece = &self.bytes[self.written..];
        self.file
            .write_all(piece)
            .map_err(|error| CommandError::writing(&out.join(&self.name), &error))?;
        self.length += piece.len() as u64;
        self.written = self.bytes.len();
        Ok(true)
    }

    /// Digests the whole blocks after the first `digested`, which are already digested, and keeps
    /// the rest.
    fn digest_blocks(&mut self, digested: usize) {
        let (blocks, rest) = self.bytes.as_chunks::<64>();
        compress256(&mut self.state, &blocks[digested..]);
        let (left, end) = (rest.len(), self.bytes.len());
        self.bytes.copy_within(end - left.., 0);
        self.bytes.truncate(left);
        self.written = left;
    }

    fn into_row(mut self) -> FileRow {
        // The padding (FIPS 180-4, 5.1.1).
        self.bytes.push(0x80);
        let padded = (self.bytes.len() + 8).next_multiple_of(64);
        self.bytes.resize(padded - 8, 0);
        self.bytes.extend_from_slice(&(self.length * 8).to_be_bytes());
        self.digest_blocks(0);
        let mut digest = [0; 32];
        for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(self.state) {
            *bytes = word.to_be_bytes();
        }
        self.planned.row(self.format, Digest::from_bytes(digest))
    }
}

fn digest_in_turns(one: &mut ShardFile<'_>, other: &mut ShardFile<'_>) {
    let (one_blocks, other_blocks) =
        (one.bytes.as_chunks::<64>().0, other.bytes.as_chunks::<64>().0);
    let both = one_blocks.len().min(other_blocks.len());
    for (one_block, other_block) in one_blocks.iter().zip(other_blocks) {
        compress256(&mut one.state, std::slice::from_ref(one_block));
        compress256(&mut other.state, std::slice::from_ref(other_block));
    }
    one.digest_blocks(both);
    other.digest_blocks(both);
}
