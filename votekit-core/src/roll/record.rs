//! Iterates over the records of a chunk: one pass over the bytes, no allocation.

use memchr::memchr;

use super::fault::RowRule;

/// The character between the fields of a record. One file has one separator, which its header
/// determines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Separator {
    /// `,`
    #[default]
    Comma = b',',
    /// `;`, as spreadsheets write it where the comma is the decimal sign.
    Semicolon = b';',
}

impl Separator {
    /// The separator of a table that starts with these bytes: the semicolon if the header has one
    /// and no comma, both outside quotation marks; else the comma.
    #[must_use]
    pub(super) fn detect(bytes: &[u8]) -> Self {
        let record = Rows::new(bytes, 1, Self::Comma).next_record(|_, _| {});
        let header = record.map_or(&[][..], |record| record.bytes);
        match (is_outside_quotes(header, b';'), is_outside_quotes(header, b',')) {
            (true, false) => Self::Semicolon,
            _ => Self::Comma,
        }
    }

    /// The separator as it is in the file.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self as u8
    }
}

/// Whether a byte occurs outside quotation marks.
fn is_outside_quotes(bytes: &[u8], wanted: u8) -> bool {
    // Every second piece between quotation marks is outside.
    bytes.split(|byte| *byte == b'"').step_by(2).any(|piece| memchr(wanted, piece).is_some())
}

/// The records of a chunk in order. Empty lines are skipped.
#[derive(Clone)]
pub struct Rows<'a> {
    rest: &'a [u8],
    line: u64,
    separator: Separator,
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
    pub fn new(bytes: &'a [u8], line: u64, separator: Separator) -> Self {
        Self { rest: bytes, line, separator, ran_out: false }
    }

    pub(super) fn separator(&self) -> Separator {
        self.separator
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
        let mut index = 0;
        loop {
            let field = self.next_field();
            let last = field.last;
            each(index, field);
            if last {
                break;
            }
            index += 1;
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

    /// Consumes the bytes up to and including the next separator or line feed. Returns the bytes
    /// before it, and whether the record ends there.
    #[inline]
    fn take_to_separator(&mut self) -> (&'a [u8], bool) {
        let separator = self.separator.byte();
        let ends_field = |byte: &u8| *byte == separator || *byte == b'\n';
        let Some(position) = self.rest.iter().position(ends_field) else {
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
    pub(super) fn has_lone_carriage_return(&self, separator: Separator) -> bool {
        let mut found = false;
        Rows::new(self.bytes, self.line, separator)
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
    memchr::memchr_iter(b'\r', bytes).any(|index| bytes.get(index + 1) != Some(&b'\n'))
}

fn without_line_break(bytes: &[u8]) -> &[u8] {
    without_carriage_return(bytes.strip_suffix(b"\n").unwrap_or(bytes))
}

fn without_carriage_return(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roll::{Field, RollChunks, RollError, RollRules, Table, read_table};

    fn separator(header: &str) -> Separator {
        RollChunks::open(header.as_bytes()).expect("a good header").header().separator()
    }

    /// The lines of the good rows, and the faults of the others.
    fn read(roll: &[u8]) -> (Vec<u64>, Vec<String>) {
        let mut good = Vec::new();
        let faults = read_table(roll, Table::Roll, &RollRules::default(), |row| {
            good.push(row.line);
        });
        let faults = faults.expect("a good header");
        (good, faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_header_determines_the_separator() {
        for header in [
            "nas;code;law_id",
            "\"a, b\";nas;code;law_id",
            "\"nas\";\"code\";\"law_id\"",
            "\u{feff}\r\nnas;\"a\nb\";code;law_id\r\n1,2,3",
        ] {
            assert_eq!(separator(header), Separator::Semicolon, "{header}");
        }
        for header in ["nas,code,law_id", "\"a;b\",nas,code,law_id\n1;2;3", "a;b,nas,code,law_id"] {
            assert_eq!(separator(header), Separator::Comma, "{header}");
        }
        let found = RollChunks::open(&b"nas,code,law_id;\n"[..]);
        assert!(matches!(found, Err(RollError::HeaderMissing { field: Field::ElectionId, .. })));
    }

    #[test]
    fn all_rows_are_read_by_the_separator_of_the_header() {
        let (good, faults) = read(
            b"nas;code;law_id\n123456789;ABC123;L1\n123456780,ABC124,L1\n;;\n\
              123456781;ABC123;L1;x\n\"123456782\";\"ABC123\";L1",
        );
        assert_eq!(good, [2, 6]);
        assert_eq!(
            faults,
            [
                "line 3, code: cut short",
                "line 4, row: separators only",
                "line 5, row: 4 fields, expected 3",
            ]
        );
        let (good, faults) = read(b"nas,code,law_id\n123456789;ABC123;L1\n");
        assert!(good.is_empty());
        assert_eq!(faults, ["line 2, code: cut short"]);
        // A column that is not read may have any encoding, and commas.
        let old = b"Pr\xe9nom;nas;code;law_id\r\nGa\xebtan, x;123 456 789;abc123;L1\r\n";
        assert_eq!(read(old), (vec![2], vec![]));
    }
}
