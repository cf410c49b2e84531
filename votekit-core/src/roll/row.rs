//! Iterates over the records of a chunk: one pass over the bytes, no allocation.

use memchr::memchr;
use zeroize::Zeroizing;

use super::fault::{Field, RowFault, RowRule};
use super::header::{REQUIRED_MAX, RollHeader};
use super::table::Table;
use crate::credential::{AccessCode, Nas};
use crate::id::ElectionId;

/// The records of a chunk in order. Empty lines are skipped.
#[derive(Clone)]
pub struct Rows<'a> {
    rest: &'a [u8],
    line: u64,
    ran_out: bool,
}

/// One record split into its required fields, which are not checked yet.
#[derive(Clone, Copy)]
pub struct RawRow<'a> {
    /// The line on which the record starts.
    pub line: u64,
    /// The whole record without its line break.
    pub bytes: &'a [u8],
    /// The fields of [`Table::required`], in that order, without their enclosing quotation marks. A
    /// doubled quotation mark inside stays doubled: no required field may hold one.
    fields: [Option<&'a [u8]>; REQUIRED_MAX],
    columns: usize,
    fault: Option<(usize, RowRule)>,
    /// Whether the record spans more than one line.
    spread: bool,
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

    /// The next record, with its columns assigned by the header.
    pub fn next_row(&mut self, header: &RollHeader) -> Option<RawRow<'a>> {
        let mut fields = [None; REQUIRED_MAX];
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
        // A record that ends with the bytes has no line feed.
        let spread = self.line > record.line + u64::from(!self.ran_out);
        Some(RawRow { line: record.line, bytes: record.bytes, fields, columns, fault, spread })
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
                    self.line += super::chunk::count_lines(inner);
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
        self.line += super::chunk::count_lines(bytes);
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
    /// Whether one of the record's lines is a complete row by itself.
    pub(super) fn holds_row(&self, header: &RollHeader) -> bool {
        self.bytes.split(|byte| *byte == b'\n').any(|line| is_whole_row(line, header))
    }

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
    fn has_lone_carriage_return(&self) -> bool {
        let end = self.bytes.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
        let bytes = if self.last { &self.bytes[..end] } else { self.bytes };
        !self.quoted && memchr(b'\r', bytes).is_some()
    }
}

impl<'a> RawRow<'a> {
    /// NAS, code and law id as in the file, in this order.
    ///
    /// `clean` says that [`is_clean`] holds for the chunk, so the text checks can be skipped.
    ///
    /// # Errors
    /// [`RowFault`] when the record has too few or too many fields, its quotation marks or line
    /// ends are out of place, or a required field is not UTF-8 text. Other fields may be in any
    /// encoding.
    #[inline]
    pub fn fields(&self, header: &RollHeader, clean: bool) -> Result<[&'a [u8]; 3], RowFault> {
        if let Some((place, rule)) = self.fault {
            return Err(self.structure_fault(header, header.field_at(place), rule));
        }
        if self.columns > header.columns() {
            let rule = RowRule::TooManyFields { found: self.columns, expected: header.columns() };
            return Err(self.structure_fault(header, Field::ROW, rule));
        }
        if !clean {
            self.check_text(header)?;
        }
        let required = header.table().required().len();
        if let [Some(nas), Some(code), Some(law_id), _] = self.fields
            && self.fields[..required].iter().all(Option::is_some)
        {
            if self.spread {
                self.check_quoted_lines(header)?;
            }
            return Ok([nas, code, law_id]);
        }
        // The first required column that the row does not reach, in file order.
        let mut missing = (self.columns..header.columns()).map(|place| header.field_at(place));
        let field =
            missing.find(|field| header.table().required().contains(field)).unwrap_or(Field::ROW);
        Err(self.structure_fault(header, field, RowRule::Missing))
    }

    /// The choice as in the file; empty in a roll, which has none.
    #[must_use]
    pub fn vote(&self) -> &'a [u8] {
        self.fields[Table::Votes.required().len() - 1].unwrap_or_default()
    }

    /// Reports a fault in this row. A row of separators alone is reported as blank instead.
    #[must_use]
    pub fn fault_in(&self, field: Field, rule: RowRule) -> RowFault {
        let is_blank =
            self.bytes.iter().all(|byte| matches!(byte, b',' | b'"' | b' ' | b'\t' | b'\r'));
        if is_blank && !rule.loses_place() {
            return RowFault { line: self.line, field: Field::ROW, rule: RowRule::Blank };
        }
        RowFault { line: self.line, field, rule }
    }

    /// A badly structured row that spans lines has most likely swallowed the rows after it.
    #[cold]
    fn structure_fault(&self, header: &RollHeader, field: Field, rule: RowRule) -> RowFault {
        if rule.loses_place() {
            return self.fault_in(field, rule);
        }
        if let Some((place, lines)) = self.quoted_lines() {
            return self.fault_in(header.field_at(place), RowRule::QuoteRunsOn { lines });
        }
        let end = self.bytes.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
        let rule = match memchr(b'\r', &self.bytes[..end]) {
            Some(_) => RowRule::CarriageReturn,
            None => rule,
        };
        self.fault_in(field, rule)
    }

    /// Refuses a record that consists of several rows: two misplaced quotation marks turn
    /// everything between them into one field.
    #[cold]
    fn check_quoted_lines(&self, header: &RollHeader) -> Result<(), RowFault> {
        let whole =
            self.bytes.split(|byte| *byte == b'\n').filter(|line| is_whole_row(line, header));
        match self.quoted_lines() {
            Some((place, lines)) if whole.count() > 1 => {
                Err(self.fault_in(header.field_at(place), RowRule::QuoteRunsOn { lines }))
            }
            _ => Ok(()),
        }
    }

    /// The first field that spans lines, and the number of line ends in it.
    fn quoted_lines(&self) -> Option<(usize, u64)> {
        let mut found = None;
        Rows::new(self.bytes, self.line).next_record(|place, field| {
            let lines = super::chunk::count_lines(field.bytes);
            found = found.or((lines > 0).then_some((place, lines)));
        });
        found
    }

    fn check_text(&self, header: &RollHeader) -> Result<(), RowFault> {
        let required = self.fields.iter().zip(header.table().required());
        for (bytes, field) in required {
            if bytes.is_some_and(|bytes| std::str::from_utf8(bytes).is_err()) {
                return Err(self.fault_in(*field, RowRule::Utf8));
            }
        }
        if memchr(0, self.bytes).is_none() && memchr(b'\r', self.bytes).is_none() {
            return Ok(());
        }
        let mut fault = None;
        Rows::new(self.bytes, self.line).next_record(|place, field| {
            let rule = if memchr(0, field.bytes).is_some() {
                RowRule::Zero
            } else if field.has_lone_carriage_return() {
                RowRule::CarriageReturn
            } else {
                return;
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

/// Whether bytes are ASCII without a zero byte or a lone carriage return. Their rows then need no
/// text checks.
#[must_use]
pub fn is_clean(bytes: &[u8]) -> bool {
    bytes.is_ascii() && memchr(0, bytes).is_none() && !holds_lone_carriage_return(bytes)
}

/// Whether a carriage return is not followed by a line feed.
pub(super) fn holds_lone_carriage_return(bytes: &[u8]) -> bool {
    memchr::memchr_iter(b'\r', bytes).any(|place| bytes.get(place + 1) != Some(&b'\n'))
}

/// Whether a line, taken by itself, is a row with a valid credential, as it is or without its
/// quotation marks.
fn is_whole_row(line: &[u8], header: &RollHeader) -> bool {
    let is_good = |line: &[u8]| {
        let row = Rows::new(line, 1).next_row(header);
        let fields = row.map_or([None; REQUIRED_MAX], |row| row.fields);
        let [Some(nas), Some(code), Some(law_id), _] = fields else { return false };
        Nas::parse(nas).is_ok()
            && AccessCode::parse(code).is_ok()
            && ElectionId::check(law_id).is_ok()
    };
    let unquoted = || line.iter().copied().filter(|byte| *byte != b'"').collect::<Vec<u8>>();
    is_good(line) || is_good(&Zeroizing::new(unquoted()))
}

fn without_line_break(bytes: &[u8]) -> &[u8] {
    without_carriage_return(bytes.strip_suffix(b"\n").unwrap_or(bytes))
}

fn without_carriage_return(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}
