//! Finds the columns that are read in a table's header.

use memchr::memchr;
use zeroize::Zeroizing;

use super::fault::{HeaderCause, RollError, RowRule};
use super::invisible;
use super::record::{RawRecord, Rows, Separator};
use super::table::{Field, Table};
use crate::credential::{AccessCode, Nas};
use crate::id::ElectionId;

/// The most columns that are read of a table.
pub(super) const COLUMNS_MAX: usize = Field::REQUIRED_OF_VOTES.len();

/// The positions of the columns that are read among the columns of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollHeader {
    table: Table,
    /// Positions from 0, in the order of [`Table::columns`]; `usize::MAX` for a column that the
    /// table does not have.
    positions: [usize; COLUMNS_MAX],
    columns: usize,
    separator: Separator,
}

impl RollHeader {
    /// Stands in until the header has been read.
    pub(super) const fn placeholder(table: Table) -> Self {
        let separator = Separator::Comma;
        Self { table, positions: [0, 1, 2, usize::MAX], columns: 3, separator }
    }

    /// Reads the header from the first record; `None` if there are no records. Only the columns
    /// that are read must be text.
    ///
    /// # Errors
    /// When a column is missing or named twice, a quotation mark makes rows a part of the header,
    /// or lines end with a carriage return alone. Errors do not repeat values: a file without a
    /// header has an elector's row there.
    pub(super) fn read(rows: &mut Rows<'_>, table: Table) -> Result<Option<Self>, RollError> {
        let mut found: [Option<usize>; COLUMNS_MAX] = [None; COLUMNS_MAX];
        let mut twice = None;
        let mut columns = 0;
        let mut is_unclosed = false;
        let mut names = Vec::new();
        let record = rows.next_record(|position, field| {
            columns = position + 1;
            is_unclosed |= field.fault == Some(RowRule::QuoteUnclosed);
            names.push(field.bytes);
            let index = table.columns().iter().position(|column| is_name(*column, field.bytes));
            twice = twice.or(index.filter(|index| found[*index].replace(position).is_some()));
        });
        let Some(record) = record else { return Ok(None) };
        let line = record.line;
        if record.has_lone_carriage_return(rows.separator()) {
            return Err(RollError::LineEnds { line });
        }
        if let Some(index) = twice {
            return Err(RollError::HeaderTwice { line, field: table.columns()[index] });
        }
        let mut positions = [usize::MAX; COLUMNS_MAX];
        let has_none = found.iter().all(Option::is_none);
        for (index, field) in table.columns().iter().copied().enumerate() {
            match found[index] {
                Some(position) => positions[index] = position,
                None if has_none || table.required().contains(&field) => {
                    let cause = cause(&record, &names, field);
                    return Err(RollError::HeaderMissing { line, field, cause, table });
                }
                None => {}
            }
        }
        let header = Self { table, positions, columns, separator: rows.separator() };
        // An unclosed quotation mark has swallowed the rest of the file, whatever its rows look
        // like.
        if is_unclosed || memchr(b'\n', record.bytes).is_some() && header.holds_row(&record) {
            return Err(RollError::HeaderRunsOn { line });
        }
        Ok(Some(header))
    }

    /// The kind of table.
    #[must_use]
    pub fn table(&self) -> Table {
        self.table
    }

    /// The separator of the whole table.
    #[must_use]
    pub fn separator(&self) -> Separator {
        self.separator
    }

    /// Whether the table has a column that is read.
    #[must_use]
    pub fn has(&self, field: Field) -> bool {
        let index = self.table.columns().iter().position(|column| *column == field);
        index.is_some_and(|index| self.positions[index] != usize::MAX)
    }

    /// The field in a column that is read, counted from 0.
    #[must_use]
    pub fn field_at(&self, position: usize) -> Field {
        match self.index_at(position) {
            Some(index) => self.table.columns()[index],
            None => Field::Column(u32::try_from(position + 1).unwrap_or(u32::MAX)),
        }
    }

    /// The index in [`Table::columns`] of the field in a column, counted from 0.
    #[inline]
    pub(super) fn index_at(&self, position: usize) -> Option<usize> {
        self.positions.iter().position(|known| *known == position)
    }

    /// Whether the columns are exactly those of a roll, in the standard order.
    pub(super) fn is_plain(&self) -> bool {
        self.table == Table::Roll && self.positions[..3] == [0, 1, 2] && self.columns == 3
    }

    /// Whether a line, taken by itself, is a row with a valid credential, as it is or without its
    /// quotation marks.
    pub(super) fn is_whole_row(&self, line: &[u8]) -> bool {
        let is_good = |line: &[u8]| {
            let mut fields = [None; COLUMNS_MAX];
            Rows::new(line, 1, self.separator).next_record(|position, field| {
                if let Some(index) = self.index_at(position) {
                    fields[index] = Some(field.bytes);
                }
            });
            let [Some(nas), Some(code), Some(law_id), _] = fields else { return false };
            Nas::parse(nas).is_ok()
                && AccessCode::parse(code).is_ok()
                && ElectionId::check(law_id).is_ok()
        };
        let unquoted = || line.iter().copied().filter(|byte| *byte != b'"').collect::<Vec<u8>>();
        is_good(line) || is_good(&Zeroizing::new(unquoted()))
    }

    /// Whether one of the record's lines is a complete row by itself.
    fn holds_row(&self, record: &RawRecord<'_>) -> bool {
        record.bytes.split(|byte| *byte == b'\n').any(|line| self.is_whole_row(line))
    }

    /// The number of columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }
}

fn is_name(field: Field, text: &[u8]) -> bool {
    text.trim_ascii().eq_ignore_ascii_case(field.name().as_bytes())
}

/// Guesses from the bytes why a header lacks a column.
fn cause(record: &RawRecord<'_>, names: &[&[u8]], missing: Field) -> HeaderCause {
    let line = record.bytes;
    if line.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"sep=")) {
        return HeaderCause::SeparatorLine;
    }
    for name in names {
        let Ok(text) = std::str::from_utf8(name) else { continue };
        let visible: String = text
            .chars()
            .filter(|each| invisible::InvisibleCharacter::new(*each).is_none())
            .collect();
        if let Some((position, character)) = invisible::first_in(text)
            && is_name(missing, visible.as_bytes())
        {
            // `name` is a slice of `line`.
            let before = name.as_ptr() as usize - line.as_ptr() as usize;
            return HeaderCause::Invisible {
                position: characters(&line[..before]) + position,
                character,
            };
        }
    }
    if std::str::from_utf8(line).is_err() {
        return HeaderCause::Encoding;
    }
    if line.contains(&b',') && line.split(|byte| *byte == b';').any(|name| is_name(missing, name)) {
        return HeaderCause::TwoSeparators;
    }
    other_separator(line).map_or(HeaderCause::Unnamed, HeaderCause::Separator)
}

/// Number of characters in a text that is mostly UTF-8: continuation bytes do not count.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

/// The separator that a header without a comma suggests.
fn other_separator(header: &[u8]) -> Option<char> {
    [';', '\t', '|']
        .into_iter()
        .find(|separator| header.contains(&(*separator as u8)) && !header.contains(&b','))
}
