//! What can be wrong with a roll as a whole, and with one of its rows.

use std::fmt;
use std::io;

use crate::credential::CredentialError;

/// A column of the roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The social insurance number.
    Nas,
    /// The access code.
    Code,
    /// The law.
    LawId,
    /// Another column, by its place from 1; or, as 0, the row as a whole.
    Column(u32),
}

impl Field {
    /// The columns every roll has.
    pub const REQUIRED: [Self; 3] = [Self::Nas, Self::Code, Self::LawId];
    /// The row as a whole.
    pub const ROW: Self = Self::Column(0);
}

impl fmt::Display for Field {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nas => formatter.write_str("nas"),
            Self::Code => formatter.write_str("code"),
            Self::LawId => formatter.write_str("law_id"),
            Self::Column(0) => formatter.write_str("row"),
            Self::Column(column) => write!(formatter, "column {column}"),
        }
    }
}

/// The rule that a row breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowRule {
    /// NAS, code or law id is malformed.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The row ends before this field.
    #[error("the row is cut short: this field is missing")]
    Missing,
    /// The row has more fields than the header names, so that its columns cannot be trusted.
    #[error("the row has {found} fields, the header names {expected}")]
    TooManyFields {
        /// Fields of the row.
        found: usize,
        /// Columns of the header.
        expected: usize,
    },
    /// The file ends inside quotation marks.
    #[error("a quotation mark is opened and never closed")]
    QuoteUnclosed,
    /// Something stands between a closing quotation mark and the next comma.
    #[error("a quotation mark is out of place")]
    QuoteStray,
    /// The bytes are no UTF-8.
    #[error("the text is not valid UTF-8")]
    Utf8,
    /// A zero byte.
    #[error("the text holds a zero byte")]
    Zero,
    /// The same NAS, code and law stand on an earlier line.
    #[error("the same elector and law as line {first_line}, with the same code")]
    Duplicate {
        /// The line that counts.
        first_line: u64,
    },
}

/// One bad row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, {field}: {rule}")]
pub struct RowFault {
    /// The line of the file on which the record starts, from 1.
    pub line: u64,
    /// The field at fault.
    pub field: Field,
    /// The rule it breaks.
    pub rule: RowRule,
}

/// Why a roll cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RollError {
    /// Reading failed.
    #[error("cannot read the roll: {0}")]
    Read(#[from] io::Error),
    /// No bytes, or empty lines only.
    #[error("the roll is empty")]
    Empty,
    /// UTF-16, as some spreadsheets write it.
    #[error("the roll is UTF-16 text, not UTF-8")]
    Utf16,
    /// The header is no UTF-8 text.
    #[error("line {line}: the header is not valid UTF-8 text")]
    HeaderText {
        /// The header's line.
        line: u64,
    },
    /// The header lacks a column.
    #[error("line {line}: the header has no column '{field}'")]
    HeaderMissing {
        /// The header's line.
        line: u64,
        /// The first column that is missing.
        field: Field,
        /// Columns are separated by something else than commas, as it seems.
        separator: Option<char>,
    },
    /// The header names a column twice.
    #[error("line {line}: the header names the column '{field}' twice")]
    HeaderTwice {
        /// The header's line.
        line: u64,
        /// The column.
        field: Field,
    },
    /// A record that never ends, most often for want of a closing quotation mark.
    #[error(
        "line {line}: the row that starts here is longer than {limit} bytes: is a quotation mark missing?"
    )]
    RowLength {
        /// Where the record starts.
        line: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// Line numbers are kept in 32 bits.
    #[error("the roll has more than {limit} lines")]
    Lines {
        /// The limit.
        limit: u32,
    },
    /// One row is bad; only [`super::read_roll`] ends there.
    #[error(transparent)]
    Row(#[from] RowFault),
}

impl RollError {
    /// What the official can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Utf16 | Self::HeaderText { .. } => Some("save the file again as 'CSV UTF-8'"),
            Self::HeaderMissing { separator: Some(_), .. } => {
                Some("save the file again with commas between the columns")
            }
            Self::Empty | Self::HeaderMissing { .. } | Self::HeaderTwice { .. } => {
                Some("the first line must name the columns, such as: nas,code,law_id")
            }
            _ => None,
        }
    }
}
