//! Iterates over the records of a chunk: one pass over the bytes, no allocation.

use memchr::memchr;

use super::fault::RowRule;

/// The records of a chunk in order. Empty lines are skipped.
#[derive(Clone)]
pub struct Rows<'a> {
    rest: &'a [u8],
    line: u64,
    ran_out: bool,
}

pub(super) struct RawField<'a> {
    pub(super) bytes: &'a [u8],
    quoted: bool,
    pub(super) fault: Option<RowRule>,
    last: bool,
}

/// A record's line and bytes.
pub(super) struct RawRecord<'a> {
    pub(super) line: u64,
    pub(super) bytes: &'a [u8],
}

impl<'a> Rows<'a> {
    /// Iterates over `bytes`, which start with the record on `line`.
    #[must_use]
    pub fn new(bytes: &'a [u8], line: u64) -> Self {
        Self { rest: bytes, line, ran_out: false }
    }

    /// The line of the next byte.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Whether the bytes ended before the last record did. At the end of a file this is not a
    /// fault.
    pub(super) fn ran_out(&self) -> bool {
        self.ran_out
    }

    /// Skips `length` bytes, which hold one record and its line feed.
    #[inline]
    pub(super) fn skip_row(&mut self, length: usize) {
        self.rest = &self.rest[length..];
        self.line += 1;
    }

    /// The unread bytes.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next record; calls `each` with every field and its position from 0.
    #[inline]
    pub(super) fn next_record(
        &mut self,
        mut each: impl FnMut(usize, RawField<'a>),
    ) -> Option<RawRecord<'a>> {
        self.skip_empty_lines();
        if self.rest.is_empty() {
            self.ran_out = true;
            return None;
        }
        let (whole, line) = (self.rest, self.line);
        let mut place = 0;
        loop {
            let field = self.next_field();
            let last = field.last;
            each(place, field);
            if last {
                break;
            }
            place += 1;
        }
        let bytes = without_line_break(&whole[..whole.len() - self.rest.len()]);
        Some(RawRecord { line, bytes })
    }

    pub(super) fn skip_empty_lines(&mut self) {
        while let Some(rest) =
            self.rest.strip_prefix(b"\n").or_else(|| self.rest.strip_prefix(b"\r\n"))
        {
            self.rest = rest;
            self.line += 1;
        }
        // A carriage return at the very end is the rest of a line break.
        if self.rest == b"\r" {
            self.rest = &[];
        }
    }

    #[inline]
    fn next_field(&mut self) -> RawField<'a> {
        match self.rest.first() {
            Some(b'"') => self.quoted_field(),
            _ => {
                let (bytes, last) = self.take_to_separator();
                RawField {
                    bytes: if last { without_carriage_return(bytes) } else { bytes },
                    quoted: false,
                    fault: None,
                    last,
                }
            }
        }
    }

    fn quoted_field(&mut self) -> RawField<'a> {
        let inner = &self.rest[1..];
        let mut end = 0;
        loop {
            match memchr(b'"', &inner[end..]) {
                None => {
                    self.ran_out = true;
                    self.line += count_lines(inner);
                    self.rest = &[];
                    return RawField {
                        bytes: inner,
                        quoted: true,
                        fault: Some(RowRule::QuoteUnclosed),
                        last: true,
                    };
                }
                Some(position) => end += position,
            }
            if inner.get(end + 1) != Some(&b'"') {
                break;
            }
            end += 2;
        }
        let bytes = &inner[..end];
        self.line += count_lines(bytes);
        self.rest = &inner[end + 1..];
        let (behind, last) = self.take_to_separator();
        let stray = !(behind.is_empty() || last && behind == b"\r");
        RawField { bytes, quoted: true, fault: stray.then_some(RowRule::QuoteStray), last }
    }

    /// Consumes the bytes up to and including the next comma or line feed. Returns the bytes before
    /// it, and whether the record ends there.
    #[inline]
    fn take_to_separator(&mut self) -> (&'a [u8], bool) {
        let Some(position) = self.rest.iter().position(|byte| matches!(byte, b',' | b'\n')) else {
            self.ran_out = true;
            return (std::mem::take(&mut self.rest), true);
        };
        let bytes = &self.rest[..position];
        let last = self.rest[position] == b'\n';
        self.line += u64::from(last);
        self.rest = &self.rest[position + 1..];
        (bytes, last)
    }
}

impl std::fmt::Debug for Rows<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Rows(line {}, {} bytes left)", self.line, self.rest.len())
    }
}

impl RawRecord<'_> {
    /// Whether an unquoted field holds a carriage return before its end.
    pub(super) fn has_lone_carriage_return(&self) -> bool {
        let mut found = false;
        Rows::new(self.bytes, self.line)
            .next_record(|_, field| found |= field.has_lone_carriage_return());
        found
    }
}

impl RawField<'_> {
    /// Any number of carriage returns at the end of a line belong to its line end.
    pub(super) fn has_lone_carriage_return(&self) -> bool {
        let end = self.bytes.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
        let bytes = if self.last { &self.bytes[..end] } else { self.bytes };
        !self.quoted && memchr(b'\r', bytes).is_some()
    }
}

/// The number of line feeds.
pub(super) fn count_lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// Whether a carriage return is not followed by a line feed.
pub(super) fn holds_lone_carriage_return(bytes: &[u8]) -> bool {
    memchr::memchr_iter(b'\r', bytes).any(|place| bytes.get(place + 1) != Some(&b'\n'))
}

fn without_line_break(bytes: &[u8]) -> &[u8] {
    without_carriage_return(bytes.strip_suffix(b"\n").unwrap_or(bytes))
}

fn without_carriage_return(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}
