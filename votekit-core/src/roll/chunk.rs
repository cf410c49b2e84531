//! Cutting a roll into chunks that end where records end.

use std::io::Read;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::fault::RollError;
use super::header::RollHeader;
use super::row::Rows;
use crate::id::Digest;

/// Whole records of a roll. Wiped when dropped: it holds NAS and codes.
pub struct Chunk {
    bytes: Zeroizing<Vec<u8>>,
    start: usize,
    line: u64,
}

impl Chunk {
    /// The records' bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The line of the file on which the first record starts, from 1.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }
}

impl std::fmt::Debug for Chunk {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Chunk(line {}, {} bytes)", self.line, self.bytes().len())
    }
}

/// Reads a roll in chunks, in order, and digests it on the way.
///
/// ```
/// use votekit_core::roll::RollChunks;
/// let mut roll = RollChunks::open(&b"nas,code,law_id\n123456789,ABC123,L1\n"[..])?;
/// let chunk = roll.next_chunk()?.expect("one row");
/// assert_eq!((chunk.line(), chunk.bytes().len()), (2, 20));
/// assert!(roll.next_chunk()?.is_none());
/// # Ok::<(), votekit_core::roll::RollError>(())
/// ```
pub struct RollChunks<R> {
    reader: R,
    header: RollHeader,
    digest: Sha256,
    /// Read, and not yet handed out: starts with a record.
    pending: Zeroizing<Vec<u8>>,
    /// The state after the last byte of `pending`.
    state: State,
    /// The end of the last whole record in `pending`.
    boundary: usize,
    /// Where in `pending` records begin: past the header at first.
    start: usize,
    /// The line of the record at `start`.
    line: u64,
    chunk_size: usize,
    at_end: bool,
}

impl<R: Read> RollChunks<R> {
    /// Bytes a chunk holds at least, except the last: enough that a thread has work, few enough that caches hold it.
    pub const CHUNK_SIZE: usize = 1 << 20;
    /// The longest record in bytes that is waited for.
    pub const ROW_LENGTH_MAX: usize = 1 << 20;

    /// Starts to read and finds the columns.
    ///
    /// # Errors
    /// [`RollError`] when the roll is empty or its header is bad.
    pub fn open(reader: R) -> Result<Self, RollError> {
        Self::with_chunk_size(reader, Self::CHUNK_SIZE)
    }

    /// As [`RollChunks::open`], with chunks of at least `chunk_size` bytes (and at least 4).
    ///
    /// # Errors
    /// As [`RollChunks::open`].
    pub fn with_chunk_size(reader: R, chunk_size: usize) -> Result<Self, RollError> {
        let mut chunks = Self {
            reader,
            header: RollHeader::PLACEHOLDER,
            digest: Sha256::new(),
            pending: Zeroizing::new(Vec::new()),
            state: State::FieldStart,
            boundary: 0,
            start: 0,
            line: 1,
            // A byte-order mark is read in one piece.
            chunk_size: chunk_size.max(4),
            at_end: false,
        };
        chunks.read_header()?;
        Ok(chunks)
    }

    /// The columns.
    #[must_use]
    pub fn header(&self) -> &RollHeader {
        &self.header
    }

    /// The next chunk; `None` at the end.
    ///
    /// # Errors
    /// [`RollError`] when reading fails, a record never ends, or there are too many lines.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>, RollError> {
        self.fill(self.start)?;
        if self.boundary <= self.start {
            return Ok(None);
        }
        let mut bytes = std::mem::take(&mut self.pending);
        self.pending.extend_from_slice(&bytes[self.boundary..]);
        bytes.truncate(self.boundary);
        let chunk = Chunk { bytes, start: self.start, line: self.line };
        self.line += count_lines(chunk.bytes());
        self.start = 0;
        self.boundary = 0;
        if self.line > u64::from(u32::MAX) {
            return Err(RollError::Lines { limit: u32::MAX });
        }
        Ok(Some(chunk))
    }

    /// SHA-256 of all bytes read so far: of the whole file once the last chunk has been handed out.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::from_bytes(self.digest.clone().finalize().into())
    }

    fn read_header(&mut self) -> Result<(), RollError> {
        self.fill(0)?;
        self.start = byte_order_mark(&self.pending)?;
        loop {
            let records = &self.pending[self.start..self.boundary.max(self.start)];
            let mut rows = Rows::new(records, self.line);
            if let Some(header) = RollHeader::read(&mut rows)? {
                self.header = header;
                self.line = rows.line();
                self.start = self.boundary - rows.rest().len();
                return Ok(());
            }
            if self.at_end {
                return Err(RollError::Empty);
            }
            // Empty lines only, so far.
            self.line += count_lines(records);
            self.start = self.boundary;
            self.fill(self.start)?;
        }
    }

    /// Reads until `pending` holds at least a chunk's bytes and a record that ends behind `after`, or the file ends.
    fn fill(&mut self, after: usize) -> Result<(), RollError> {
        while !self.at_end && (self.boundary <= after || self.pending.len() - after < self.chunk_size) {
            if self.boundary <= after && self.pending.len() - after > Self::ROW_LENGTH_MAX {
                return Err(RollError::RowLength { line: self.line, limit: Self::ROW_LENGTH_MAX });
            }
            let known = self.pending.len();
            self.pending.reserve_exact(self.chunk_size);
            let wanted = self.chunk_size as u64;
            let count = self.reader.by_ref().take(wanted).read_to_end(&mut self.pending)?;
            self.at_end = count < self.chunk_size;
            self.digest.update(&self.pending[known..]);
            // A mark is no part of the first field, which may be quoted.
            let mark = if known == 0 && self.line == 1 { byte_order_mark(&self.pending)? } else { 0 };
            self.scan(known + mark);
            if self.at_end {
                self.boundary = self.pending.len();
            }
        }
        Ok(())
    }

    /// Follows quotes and line feeds through the bytes from `from` on.
    fn scan(&mut self, from: usize) {
        let new = &self.pending[from..];
        if !self.state.in_quotes() && !new.contains(&b'"') {
            // No quotation mark: every line feed ends a record.
            if let Some(position) = new.iter().rposition(|byte| *byte == b'\n') {
                self.boundary = from + position + 1;
            }
            match new.last() {
                None => {}
                Some(b',' | b'\n') => self.state = State::FieldStart,
                Some(_) => self.state = State::Unquoted,
            }
            return;
        }
        let mut state = self.state;
        for (position, byte) in new.iter().enumerate() {
            state = state.after(*byte);
            if *byte == b'\n' && state == State::FieldStart {
                self.boundary = from + position + 1;
            }
        }
        self.state = state;
    }
}

impl<R> std::fmt::Debug for RollChunks<R> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "RollChunks(line {})", self.line)
    }
}

/// Where a byte stands in a record. A quotation mark quotes only at the start of a field, so that a stray one inside a field
/// spoils its own row and not the rest of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Unquoted,
    Quoted,
    /// Behind a quotation mark inside quotes: the end of the quotes, or the first of a pair.
    QuoteSeen,
}

impl State {
    const fn in_quotes(self) -> bool {
        matches!(self, Self::Quoted | Self::QuoteSeen)
    }

    const fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Quoted, b'"') => Self::QuoteSeen,
            (Self::FieldStart | Self::QuoteSeen, b'"') | (Self::Quoted, _) => Self::Quoted,
            (_, b',' | b'\n') => Self::FieldStart,
            _ => Self::Unquoted,
        }
    }
}

/// The length of the byte-order mark.
fn byte_order_mark(bytes: &[u8]) -> Result<usize, RollError> {
    match bytes {
        [0xef, 0xbb, 0xbf, ..] => Ok(3),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Err(RollError::Utf16),
        _ => Ok(0),
    }
}

pub(super) fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}
