//! The rows of a table: records with their columns assigned by the header.

use memchr::memchr;

use super::fault::{RowFault, RowRule};
use super::header::{COLUMNS_MAX, RollHeader};
use super::record::{Rows, Separator, count_lines, holds_lone_carriage_return};
use super::table::{Field, Table};

/// One record split into the fields that are read, which are not checked yet.
#[derive(Clone, Copy)]
pub struct RawRow<'a> {
    /// The line on which the record starts.
    pub line: u64,
    /// The whole record without its line break.
    pub bytes: &'a [u8],
    /// The fields of [`Table::columns`], in that order, without their enclosing quotation marks. A
    /// doubled quotation mark inside stays doubled: no required field may hold one.
    fields: [Option<&'a [u8]>; COLUMNS_MAX],
    columns: usize,
    separator: Separator,
    fault: Option<(usize, RowRule)>,
    /// Whether the record spans more than one line.
    spread: bool,
}

impl<'a> Rows<'a> {
    /// The next record, with its columns assigned by the header.
    pub fn next_row(&mut self, header: &RollHeader) -> Option<RawRow<'a>> {
        let mut fields = [None; COLUMNS_MAX];
        let mut columns = 0;
        let mut fault = None;
        let record = self.next_record(|position, field| {
            columns = position + 1;
            if let Some(index) = header.index_at(position) {
                fields[index] = Some(field.bytes);
            }
            if let (None, Some(rule)) = (fault, field.fault) {
                fault = Some((position, rule));
            }
        })?;
        // A record that ends with the bytes has no line feed.
        let spread = self.line() > record.line + u64::from(!self.ran_out());
        Some(RawRow {
            line: record.line,
            bytes: record.bytes,
            fields,
            columns,
            separator: self.separator(),
            fault,
            spread,
        })
    }
}

impl<'a> RawRow<'a> {
    /// NAS, code and law id as in the file, in this order.
    ///
    /// `clean` states that [`is_clean`] is true for the chunk, so that the text checks can be
    /// skipped.
    ///
    /// # Errors
    /// [`RowFault`] when the record has too few or too many fields, its quotation marks or line
    /// ends are out of place, or a required field is not UTF-8 text. Other fields may be in any
    /// encoding.
    #[inline]
    pub fn fields(&self, header: &RollHeader, clean: bool) -> Result<[&'a [u8]; 3], RowFault> {
        self.check_structure(header, clean)?;
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
        let mut missing =
            (self.columns..header.columns()).map(|position| header.field_at(position));
        let field =
            missing.find(|field| header.table().required().contains(field)).unwrap_or(Field::ROW);
        Err(self.structure_fault(header, field, RowRule::Missing))
    }

    /// E-mail address, name and id of a member as in the file, in this order; empty for a column
    /// that the file does not have or the row does not reach.
    ///
    /// # Errors
    /// As [`RawRow::fields`].
    pub(super) fn member_fields(
        &self,
        header: &RollHeader,
        clean: bool,
    ) -> Result<[&'a [u8]; 3], RowFault> {
        self.check_structure(header, clean)?;
        let [email, name, id, _] = self.fields;
        Ok([email, name, id].map(Option::unwrap_or_default))
    }

    #[inline]
    fn check_structure(&self, header: &RollHeader, clean: bool) -> Result<(), RowFault> {
        if let Some((position, rule)) = self.fault {
            return Err(self.structure_fault(header, header.field_at(position), rule));
        }
        if self.columns > header.columns() {
            let rule = RowRule::TooManyFields { found: self.columns, expected: header.columns() };
            return Err(self.structure_fault(header, Field::ROW, rule));
        }
        if clean { Ok(()) } else { self.check_text(header) }
    }

    /// The choice as in the file; empty in a roll, which has none.
    #[must_use]
    pub fn vote(&self) -> &'a [u8] {
        self.fields[Table::Votes.required().len() - 1].unwrap_or_default()
    }

    /// Reports a fault in this row. A row of nothing but separators is reported as blank instead.
    #[must_use]
    pub fn fault_in(&self, field: Field, rule: RowRule) -> RowFault {
        let separator = self.separator.byte();
        let is_blank =
            |byte: &u8| *byte == separator || matches!(byte, b'"' | b' ' | b'\t' | b'\r');
        let is_blank = self.bytes.iter().all(is_blank);
        if is_blank && !rule.loses_position() {
            return RowFault { line: self.line, field: Field::ROW, rule: RowRule::Blank };
        }
        RowFault { line: self.line, field, rule }
    }

    /// A badly structured row that spans lines has most likely swallowed the rows after it.
    #[cold]
    fn structure_fault(&self, header: &RollHeader, field: Field, rule: RowRule) -> RowFault {
        if rule.loses_position() {
            return self.fault_in(field, rule);
        }
        if let Some((position, lines)) = self.quoted_lines() {
            return self.fault_in(header.field_at(position), RowRule::QuoteRunsOn { lines });
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
            self.bytes.split(|byte| *byte == b'\n').filter(|line| header.is_whole_row(line));
        match self.quoted_lines() {
            Some((position, lines)) if whole.count() > 1 => {
                Err(self.fault_in(header.field_at(position), RowRule::QuoteRunsOn { lines }))
            }
            _ => Ok(()),
        }
    }

    /// The first field that spans lines, and the number of line ends in it.
    fn quoted_lines(&self) -> Option<(usize, u64)> {
        let mut found = None;
        Rows::new(self.bytes, self.line, self.separator).next_record(|position, field| {
            let lines = count_lines(field.bytes);
            found = found.or((lines > 0).then_some((position, lines)));
        });
        found
    }

    fn check_text(&self, header: &RollHeader) -> Result<(), RowFault> {
        let read = self.fields.iter().zip(header.table().columns());
        for (bytes, field) in read {
            if bytes.is_some_and(|bytes| std::str::from_utf8(bytes).is_err()) {
                return Err(self.fault_in(*field, RowRule::Utf8));
            }
        }
        if memchr(0, self.bytes).is_none() && memchr(b'\r', self.bytes).is_none() {
            return Ok(());
        }
        let mut fault = None;
        Rows::new(self.bytes, self.line, self.separator).next_record(|position, field| {
            let rule = if memchr(0, field.bytes).is_some() {
                RowRule::Zero
            } else if field.has_lone_carriage_return() {
                RowRule::CarriageReturn
            } else {
                return;
            };
            fault = fault.or(Some(self.fault_in(header.field_at(position), rule)));
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
