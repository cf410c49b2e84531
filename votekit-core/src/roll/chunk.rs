//! Cuts a roll into chunks that can be parsed independently.
//!
//! Whether a line feed ends a record or lies within quotation marks is certain only once everything
//! before it has been parsed. So the reader guesses from the parity of the quotation marks, and the
//! parser of a chunk checks the guess: if the last record of a chunk is incomplete, the next chunk
//! was cut wrongly. [`RollHashes`](super::RollHashes) then joins the two and parses them again.
//! Well-formed CSV is always cut correctly; for other input a wrong cut costs time, never a row.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use memchr::{memchr, memchr_iter, memrchr, memrchr2_iter};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::fault::{BinaryKind, RollError};
use super::header::RollHeader;
use super::record::{Rows, Separator, count_lines, holds_lone_carriage_return};
use super::table::Table;
use crate::id::Digest;

/// Records of a roll. Holds NAS and codes: the buffer is reused for later chunks and wiped at the
/// end.
pub struct Chunk {
    bytes: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
    line: u64,
    number: u64,
    at_end: bool,
    pool: Arc<Pool>,
}

impl Chunk {
    /// The records' bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Line of the file on which the first record starts, from 1.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Index of the chunk in the roll, from 0.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether the file ends with this chunk, so that its last record needs no line feed.
    pub(super) fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// Prepends the beginning of the first record, which an earlier chunk held.
    ///
    /// # Errors
    /// When that record exceeds the maximum length.
    pub(super) fn behind(mut self, tail: &Tail) -> Result<Self, RollError> {
        if tail.bytes.is_empty() {
            return Ok(self);
        }
        tail.check_length()?;
        let joined = Zeroizing::new([&tail.bytes, self.bytes()].concat());
        self.end = joined.len();
        self.bytes = joined;
        self.start = 0;
        self.line = tail.line;
        Ok(self)
    }

    /// The incomplete last record, which starts at `offset` of [`Chunk::bytes`], on `line`.
    pub(super) fn tail(&self, offset: usize, line: u64) -> Tail {
        Tail { bytes: Zeroizing::new(self.bytes()[offset..].to_vec()), line }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.pool.release(std::mem::take(&mut self.bytes));
    }
}

impl std::fmt::Debug for Chunk {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Chunk(line {}, {} bytes)", self.line, self.bytes().len())
    }
}

/// An incomplete record that continues in the next chunk. Usually empty: no record is open.
pub(super) struct Tail {
    bytes: Zeroizing<Vec<u8>>,
    line: u64,
}

impl Tail {
    /// No record is open.
    pub(super) fn none() -> Self {
        Self { bytes: Zeroizing::new(Vec::new()), line: 0 }
    }

    pub(super) fn is_none(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Makes the last chunk of a file whose last record is this one.
    ///
    /// # Errors
    /// When the record exceeds the maximum length.
    pub(super) fn into_last_chunk(self, number: u64) -> Result<Chunk, RollError> {
        self.check_length()?;
        let end = self.bytes.len();
        Ok(Chunk {
            bytes: self.bytes,
            start: 0,
            end,
            line: self.line,
            number,
            at_end: true,
            pool: Arc::default(),
        })
    }

    fn check_length(&self) -> Result<(), RollError> {
        if self.bytes.len() > ROW_LENGTH_MAX {
            return Err(endless_row(&self.bytes, self.line));
        }
        Ok(())
    }
}

/// The error for a record that exceeds the maximum length.
fn endless_row(bytes: &[u8], line: u64) -> RollError {
    if holds_lone_carriage_return(bytes) && memchr(b'"', bytes).is_none() {
        return RollError::LineEnds { line };
    }
    RollError::RowLength { line, limit: ROW_LENGTH_MAX }
}

/// Used buffers: allocating fresh memory costs more than reading into it.
#[derive(Default)]
struct Pool(Mutex<Vec<Zeroizing<Vec<u8>>>>);

impl Pool {
    fn take(&self) -> Zeroizing<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn release(&self, bytes: Zeroizing<Vec<u8>>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
    }
}

/// Maximum length of a record in bytes.
const ROW_LENGTH_MAX: usize = 1 << 20;

/// Reads a roll in chunks, in order, and digests it at the same time.
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
    table: Table,
    header: RollHeader,
    /// The header's record as in the file, without its line break.
    header_bytes: Vec<u8>,
    /// Whether the file begins with a byte-order mark.
    has_mark: bool,
    digest: Sha256,
    /// `pending[start..end]` has been read and not handed out. It starts with a record if the last
    /// cut was right.
    pending: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
    /// The line at `start`.
    line: u64,
    number: u64,
    chunk_size: usize,
    at_end: bool,
    /// The incomplete record that [`RollChunks::next_chunk`] holds back.
    tail: Tail,
    pool: Arc<Pool>,
}

impl<R: Read> RollChunks<R> {
    /// Approximate bytes per chunk: enough to give a thread work, few enough that its results stay
    /// in the cache.
    pub const CHUNK_SIZE: usize = 1 << 19;
    /// Maximum length of a record in bytes.
    pub const ROW_LENGTH_MAX: usize = ROW_LENGTH_MAX;

    /// Starts reading and finds the columns.
    ///
    /// # Errors
    /// [`RollError`] when the roll is empty or its header is bad.
    pub fn open(reader: R) -> Result<Self, RollError> {
        Self::with_chunk_size(reader, Self::CHUNK_SIZE)
    }

    /// Like [`RollChunks::open`], for another kind of table.
    ///
    /// # Errors
    /// As [`RollChunks::open`].
    pub fn open_table(reader: R, table: Table) -> Result<Self, RollError> {
        Self::start(reader, table, Self::CHUNK_SIZE)
    }

    /// Like [`RollChunks::open`], with chunks of about `chunk_size` bytes (at least 4).
    ///
    /// # Errors
    /// As [`RollChunks::open`].
    pub fn with_chunk_size(reader: R, chunk_size: usize) -> Result<Self, RollError> {
        Self::start(reader, Table::Roll, chunk_size)
    }

    fn start(reader: R, table: Table, chunk_size: usize) -> Result<Self, RollError> {
        let mut chunks = Self {
            reader,
            table,
            header: RollHeader::placeholder(table),
            header_bytes: Vec::new(),
            has_mark: false,
            digest: Sha256::new(),
            pending: Zeroizing::default(),
            start: 0,
            end: 0,
            line: 1,
            number: 0,
            // The byte-order mark must be read in one piece.
            chunk_size: chunk_size.max(4),
            at_end: false,
            tail: Tail::none(),
            pool: Arc::default(),
        };
        chunks.read_header()?;
        Ok(chunks)
    }

    /// The columns.
    #[must_use]
    pub fn header(&self) -> &RollHeader {
        &self.header
    }

    /// The header's record as in the file, without byte-order mark and line break.
    #[must_use]
    pub fn header_bytes(&self) -> &[u8] {
        &self.header_bytes
    }

    /// Whether the file begins with a byte-order mark.
    #[must_use]
    pub fn has_mark(&self) -> bool {
        self.has_mark
    }

    /// The next chunk of whole records; `None` at the end.
    ///
    /// # Errors
    /// [`RollError`] when reading fails, a record is too long, or there are too many lines.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>, RollError> {
        loop {
            let tail = std::mem::replace(&mut self.tail, Tail::none());
            let Some(cut) = self.next_cut()? else {
                return if tail.is_none() {
                    Ok(None)
                } else {
                    tail.into_last_chunk(self.number).map(Some)
                };
            };
            let mut chunk = cut.behind(&tail)?;
            // Ends with a line feed and has no quotation mark: no record can continue after it.
            let whole = chunk.at_end
                || chunk.bytes().ends_with(b"\n") && memchr(b'"', chunk.bytes()).is_none();
            if whole {
                return Ok(Some(chunk));
            }
            let (offset, line) = whole_records(&chunk, self.header.separator());
            self.tail = chunk.tail(offset, line);
            chunk.end = chunk.start + offset;
            // If the whole chunk is part of one record, the tail grows and the loop continues.
            if offset > 0 {
                return Ok(Some(chunk));
            }
        }
    }

    /// The next chunk, cut where a record seems to end; `None` at the end.
    /// [`RollHasher`](super::RollHasher) detects a wrong cut, and [`RollHashes`](super::RollHashes)
    /// repairs it.
    ///
    /// # Errors
    /// [`RollError`] when reading fails or there are too many lines.
    pub fn next_cut(&mut self) -> Result<Option<Chunk>, RollError> {
        let end = loop {
            self.read_to(self.start + self.chunk_size)?;
            let unread = &self.pending[self.start..self.end];
            if self.at_end {
                break self.end;
            }
            if let Some(length) = seeming_end(unread) {
                break self.start + length;
            }
            if unread.len() > ROW_LENGTH_MAX {
                // Too long for one record: the parser of the chunk reports what is wrong.
                break self.start
                    + memrchr(b'\n', unread).map_or(unread.len(), |position| position + 1);
            }
            self.read_to(self.end + self.chunk_size)?;
        };
        if end == self.start {
            return Ok(None);
        }
        // The chunk takes over the buffer; only the bytes after it are copied, to the next buffer.
        let mut next = self.pool.take();
        let left = self.end - end;
        if next.len() < left {
            next.resize(left, 0);
        }
        next[..left].copy_from_slice(&self.pending[end..self.end]);
        let chunk = Chunk {
            bytes: std::mem::replace(&mut self.pending, next),
            start: self.start,
            end,
            line: self.line,
            number: self.number,
            at_end: self.at_end,
            pool: Arc::clone(&self.pool),
        };
        (self.start, self.end) = (0, left);
        self.number += 1;
        self.line += count_lines(chunk.bytes());
        if self.line > u64::from(u32::MAX) {
            return Err(RollError::Lines { limit: u32::MAX });
        }
        Ok(Some(chunk))
    }

    /// SHA-256 of all bytes read so far; of the whole file once the last chunk has been handed out.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::from_bytes(self.digest.clone().finalize().into())
    }

    fn read_header(&mut self) -> Result<(), RollError> {
        self.read_to(self.chunk_size)?;
        self.start = byte_order_mark(&self.pending[..self.end], self.table)?;
        self.has_mark = self.start > 0;
        loop {
            let unread = &self.pending[self.start..self.end];
            let separator = Separator::detect(unread);
            let mut rows = Rows::new(unread, self.line, separator);
            let header = RollHeader::read(&mut rows, self.table);
            // If the bytes end within the header, its result is not final: read more.
            if self.at_end || !rows.ran_out() {
                self.header = header?.ok_or(RollError::Empty { table: self.table })?;
                self.line = rows.line();
                let record = Rows::new(unread, 1, separator).next_record(|_, _| {});
                self.header_bytes = record.map_or(&[][..], |record| record.bytes).to_vec();
                self.start = self.end - rows.rest().len();
                return Ok(());
            }
            if unread.len() > ROW_LENGTH_MAX {
                return Err(endless_row(unread, self.line));
            }
            self.read_to(self.end + self.chunk_size)?;
        }
    }

    /// Reads until `pending` is filled up to `goal` or the file ends.
    fn read_to(&mut self, goal: usize) -> io::Result<()> {
        if self.pending.len() < goal {
            grow(&mut self.pending, goal);
        }
        while !self.at_end && self.end < goal {
            let count = match self.reader.read(&mut self.pending[self.end..goal]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            self.digest.update(&self.pending[self.end..self.end + count]);
            self.end += count;
            self.at_end = count == 0;
        }
        Ok(())
    }
}

impl<R> std::fmt::Debug for RollChunks<R> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "RollChunks(line {})", self.line)
    }
}

/// Enlarges a buffer and wipes the memory that it leaves.
fn grow(buffer: &mut Zeroizing<Vec<u8>>, length: usize) {
    let mut longer = Zeroizing::new(vec![0; length]);
    longer[..buffer.len()].copy_from_slice(buffer);
    *buffer = longer;
}

/// Where the last record seems to end: after a line feed with an even number of quotation marks
/// before it.
fn seeming_end(bytes: &[u8]) -> Option<usize> {
    let mut quoted = memchr_iter(b'"', bytes).count() % 2 == 1;
    for position in memrchr2_iter(b'"', b'\n', bytes) {
        if bytes[position] == b'"' {
            quoted = !quoted;
        } else if !quoted {
            return Some(position + 1);
        }
    }
    None
}

/// End of the whole records of a chunk, and the line on which the incomplete record begins.
fn whole_records(chunk: &Chunk, separator: Separator) -> (usize, u64) {
    let mut rows = Rows::new(chunk.bytes(), chunk.line(), separator);
    loop {
        rows.skip_empty_lines();
        let rest = rows.rest().len();
        match rows.next_record(|_, _| {}) {
            None => return (chunk.bytes().len(), rows.line()),
            Some(record) if rows.ran_out() => return (chunk.bytes().len() - rest, record.line),
            Some(_) => {}
        }
    }
}

/// The length of the byte-order mark.
///
/// # Errors
/// When the first bytes show that this is not UTF-8 text.
fn byte_order_mark(bytes: &[u8], table: Table) -> Result<usize, RollError> {
    let binary = |kind| Err(RollError::Binary { kind });
    match bytes {
        [0xef, 0xbb, 0xbf, ..] => Ok(3),
        // With and without a byte-order mark: every second byte of ASCII in UTF-16 is zero.
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Err(RollError::Utf16 { table }),
        [1..=255, 0, 1..=255, 0, ..] | [0, 1..=255, 0, 1..=255, ..] => {
            Err(RollError::Utf16 { table })
        }
        [b'P', b'K', 3, 4, ..] => binary(BinaryKind::Workbook),
        [0xd0, 0xcf, 0x11, 0xe0, ..] => binary(BinaryKind::OldWorkbook),
        [0x1f, 0x8b, ..] => binary(BinaryKind::Gzip),
        _ => Ok(0),
    }
}
