//! Walking the records of a chunk: one pass over the bytes, nothing allocated.

use memchr::memchr;

use super::fault::{Field, RowFault, RowRule};
use super::header::RollHeader;

/// The records of a chunk, one after the other. Empty lines are skipped.
#[derive(Clone)]
pub struct Rows<'a> {
    rest: &'a [u8],
    line: u64,
    ran_out: bool,
}

/// One record with its three fields picked out; they are not checked yet.
#[derive(Clone, Copy)]
pub struct RawRow<'a> {
    /// The line on which the record starts.
    pub line: u64,
    /// The whole record without its line break.
    pub bytes: &'a [u8],
    /// The bytes of [`Field::REQUIRED`], in that order, without quotation marks around them. A
    /// doubled quotation mark inside stays doubled: no required field may hold one.
    fields: [Option<&'a [u8]>; 3],
    columns: usize,
    fault: Option<(usize, RowRule)>,
}

/// One field of a record.
pub(super) struct RawField<'a> {
    pub(super) bytes: &'a [u8],
    fault: Option<RowRule>,
    last: bool,
}

/// A record's place.
pub(super) struct RawRecord<'a> {
    pub(super) line: u64,
    pub(super) bytes: &'a [u8],
}

impl<'a> Rows<'a> {
    /// Walks `bytes`, which start with the record on `line`.
    #[must_use]
    pub fn new(bytes: &'a [u8], line: u64) -> Self {
        Self { rest: bytes, line, ran_out: false }
    }

    /// The next record, with its columns as the header tells.
    pub fn next_row(&mut self, header: &RollHeader) -> Option<RawRow<'a>> {
        let mut fields = [None; 3];
        let mut columns = 0;
        let mut fault = None;
        let record = self.next_record(|place, field| {
            columns = place + 1;
            if let Some(index) = header.index_at(place) {
                fields[index] = Some(field.bytes);
            }
            if let (None, Some(rule)) = (fault, field.fault) {
                fault = Some((place, rule));
            }
        })?;
        Some(RawRow { line: record.line, bytes: record.bytes, fields, columns, fault })
    }

    /// The line that comes next.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Whether the bytes ended before the last record did. At the end of a file that is no matter.
    pub(super) fn ran_out(&self) -> bool {
        self.ran_out
    }

    /// Leaves `length` bytes out that hold one record and its line feed.
    #[inline]
    pub(super) fn skip_row(&mut self, length: usize) {
        self.rest = &self.rest[length..];
        self.line += 1;
    }

    /// What has not been walked.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next record; `each` is handed every field with its place from 0.
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
                    self.line += super::chunk::count_lines(inner);
                    self.rest = &[];
                    return RawField {
                        bytes: inner,
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
        self.line += super::chunk::count_lines(bytes);
        self.rest = &inner[end + 1..];
        let (behind, last) = self.take_to_separator();
        let stray = !(behind.is_empty() || last && behind == b"\r");
        RawField { bytes, fault: stray.then_some(RowRule::QuoteStray), last }
    }

    /// Takes the bytes up to the next comma or line feed and that too. Tells whether the record
    /// ends there.
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

impl<'a> RawRow<'a> {
    /// NAS, code and law id as they stand, in this order.
    ///
    /// `clean` says that the chunk is known to be ASCII without a zero byte, which spares looking
    /// again.
    ///
    /// # Errors
    /// [`RowFault`] when the record is cut short or too long, its quotation marks are out of place,
    /// or it is no UTF-8 text.
    #[inline]
    pub fn fields(&self, header: &RollHeader, clean: bool) -> Result<[&'a [u8]; 3], RowFault> {
        if let Some((place, rule)) = self.fault {
            return Err(self.fault_in(header.field_at(place), rule));
        }
        if self.columns > header.columns() {
            let rule = RowRule::TooManyFields { found: self.columns, expected: header.columns() };
            return Err(self.fault_in(Field::ROW, rule));
        }
        if !clean {
            self.check_text(header)?;
        }
        if let [Some(nas), Some(code), Some(law_id)] = self.fields {
            return Ok([nas, code, law_id]);
        }
        // The first column that the row does not reach, in the order of the file.
        let field = (self.columns..header.columns()).map(|place| header.field_at(place));
        let field =
            field.into_iter().find(|field| Field::REQUIRED.contains(field)).unwrap_or(Field::ROW);
        Err(self.fault_in(field, RowRule::Missing))
    }

    /// A fault in this row.
    #[must_use]
    pub fn fault_in(&self, field: Field, rule: RowRule) -> RowFault {
        RowFault { line: self.line, field, rule }
    }

    fn check_text(&self, header: &RollHeader) -> Result<(), RowFault> {
        let mut rows = Rows::new(self.bytes, self.line);
        let mut fault = None;
        rows.next_record(|place, field| {
            let rule = match std::str::from_utf8(field.bytes) {
                Err(_) => RowRule::Utf8,
                Ok(text) if text.contains('\0') => RowRule::Zero,
                Ok(_) => return,
            };
            fault = fault.or(Some(self.fault_in(header.field_at(place), rule)));
        });
        fault.map_or(Ok(()), Err)
    }
}

impl std::fmt::Debug for RawRow<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "RawRow(line {}, redacted)", self.line)
    }
}

fn without_line_break(bytes: &[u8]) -> &[u8] {
    without_carriage_return(bytes.strip_suffix(b"\n").unwrap_or(bytes))
}

fn without_carriage_return(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}
