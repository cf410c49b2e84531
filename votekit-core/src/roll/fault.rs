//! Faults of a table as a whole, and of single rows.

use std::fmt;
use std::io;

use super::invisible::InvisibleCharacter;
use super::table::{Field, Table};
use crate::credential::CredentialError;
use crate::election::ChoiceIdError;
use crate::email::EmailError;
use crate::id::IdError;

/// The rule that a row breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowRule {
    /// NAS, code or law id is malformed.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The choice is malformed.
    #[error(transparent)]
    Choice(#[from] ChoiceIdError),
    /// The e-mail address of a member is malformed.
    #[error(transparent)]
    Email(#[from] EmailError),
    /// A required field holds an invisible character.
    #[error("invisible {character} at {position}")]
    Invisible {
        /// Position of the character in the field, from 1.
        position: usize,
        /// The character.
        character: InvisibleCharacter,
    },
    /// The row ends before this field.
    #[error("cut short")]
    Missing,
    /// The row has separators and no value, as cleared cells leave it.
    #[error("separators only")]
    Blank,
    /// The row has more fields than the header has columns, so its columns cannot be trusted.
    #[error("{found} fields, expected {expected}")]
    TooManyFields {
        /// Fields of the row.
        found: usize,
        /// Columns of the header.
        expected: usize,
    },
    /// The file ends inside quotation marks.
    #[error("quotation mark not closed")]
    QuoteUnclosed,
    /// Text follows a closing quotation mark before the next separator.
    #[error("stray quotation mark")]
    QuoteStray,
    /// Quoted text spans lines and does not end as a field, or turns several rows into one.
    #[error("quoted text over {}", Lines(*.lines))]
    QuoteRunsOn {
        /// Line ends within the quotation marks.
        lines: u64,
    },
    /// A carriage return without a line feed, outside quotation marks.
    #[error("CR without LF")]
    CarriageReturn,
    /// The bytes of a required field are not UTF-8.
    #[error("not UTF-8")]
    Utf8,
    /// A zero byte.
    #[error("zero byte")]
    Zero,
    /// An earlier line has the same NAS, code and law.
    #[error("repeats line {first_line}, with its code")]
    Duplicate {
        /// The first line.
        first_line: u64,
    },
    /// A row of a list of members without e-mail address, name and id.
    #[error("no e-mail address, name or id")]
    NoMember,
    /// An earlier line has the same e-mail address, or the same id.
    #[error("repeats line {first_line}")]
    MemberTwice {
        /// The first line.
        first_line: u64,
    },
    /// The name or the id of a member is too long.
    #[error("{length} characters, over {length_max}")]
    TextLength {
        /// Characters found.
        length: usize,
        /// The limit.
        length_max: usize,
    },
}

struct Lines(u64);

impl fmt::Display for Lines {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => formatter.write_str("1 line end"),
            lines => write!(formatter, "{lines} line ends"),
        }
    }
}

impl RowRule {
    /// A stable name for programs and for counting faults by kind.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Credential(error) => match error {
                CredentialError::NasLength { .. } => "nas-length",
                CredentialError::NasCharacter { .. } => "nas-character",
                CredentialError::NasCheckDigit => "nas-check-digit",
                CredentialError::NasZeros => "nas-zeros",
                CredentialError::CodeLength { .. } => "code-length",
                CredentialError::CodeCharacter { .. } => "code-character",
                CredentialError::Law(IdError::LawLength { .. }) => "law-length",
                CredentialError::Law(IdError::LawCharacter { .. }) => "law-character",
                CredentialError::Law(_) => "law",
            },
            Self::Choice(_) => "vote",
            Self::Email(_) => "email",
            Self::Invisible { .. } => "invisible-character",
            Self::Missing => "missing",
            Self::Blank => "blank",
            Self::TooManyFields { .. } => "too-many-fields",
            Self::QuoteUnclosed => "quote-unclosed",
            Self::QuoteStray => "quote-stray",
            Self::QuoteRunsOn { .. } => "quote-runs-on",
            Self::CarriageReturn => "carriage-return",
            Self::Utf8 => "utf-8",
            Self::Zero => "zero-byte",
            Self::Duplicate { .. } => "duplicate",
            Self::NoMember => "no-member",
            Self::MemberTwice { .. } => "member-twice",
            Self::TextLength { .. } => "text-length",
        }
    }

    /// Whether this row may have swallowed rows after it, so that the number of bad rows does not
    /// say how many were lost. Such a fault is never skipped.
    #[must_use]
    pub const fn loses_position(&self) -> bool {
        matches!(self, Self::QuoteUnclosed | Self::QuoteRunsOn { .. } | Self::CarriageReturn)
    }
}

/// One bad row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, {field}: {rule}")]
pub struct RowFault {
    /// The line of the file on which the record starts, from 1.
    pub line: u64,
    /// The field at fault.
    pub field: Field,
    /// The broken rule.
    pub rule: RowRule,
}

/// The number of rows that break one rule in one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleCount {
    /// The first fault.
    pub first: RowFault,
    /// The number of faults.
    pub count: u64,
}

/// Counts faults by field and rule, the most frequent first.
#[must_use]
pub fn count_by_rule<'f>(faults: impl IntoIterator<Item = &'f RowFault>) -> Vec<RuleCount> {
    let mut counts: Vec<RuleCount> = Vec::new();
    for fault in faults {
        let same = |known: &&mut RuleCount| {
            known.first.field == fault.field && known.first.rule.code() == fault.rule.code()
        };
        match counts.iter_mut().find(same) {
            Some(known) => known.count += 1,
            None => counts.push(RuleCount { first: *fault, count: 1 }),
        }
    }
    counts.sort_by_key(|known| std::cmp::Reverse(known.count));
    counts
}

/// Why a header lacks a column, judging by its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderCause {
    /// No column has the name.
    Unnamed,
    /// Columns are separated by a character that is neither a comma nor a semicolon; or by
    /// semicolons that are all within quotation marks.
    Separator(char),
    /// The header has commas and semicolons outside quotation marks.
    TwoSeparators,
    /// The first line is Excel's `sep=`.
    SeparatorLine,
    /// The column's name contains an invisible character.
    Invisible {
        /// Position of the character in the line, from 1.
        position: usize,
        /// The character.
        character: InvisibleCharacter,
    },
    /// It is not UTF-8 text.
    Encoding,
}

/// Binary files that are recognized by their first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BinaryKind {
    /// A zip archive, such as a workbook of Excel or LibreOffice.
    Workbook,
    /// A workbook of Excel before 2007.
    OldWorkbook,
    /// A gzip file.
    Gzip,
}

impl fmt::Display for BinaryKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Workbook => "zip file",
            Self::OldWorkbook => "old Excel workbook",
            Self::Gzip => "gzip file",
        })
    }
}

/// Why a whole table cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RollError {
    /// Reading failed.
    #[error("file unreadable: {0}")]
    Read(#[from] io::Error),
    /// No bytes, or empty lines only.
    #[error("{table} empty")]
    Empty {
        /// The kind of table.
        table: Table,
    },
    /// UTF-16, as written by some spreadsheets, with or without a byte-order mark.
    #[error("{table} in UTF-16")]
    Utf16 {
        /// The kind of table.
        table: Table,
    },
    /// A binary file.
    #[error("not CSV: {kind}")]
    Binary {
        /// The kind of file.
        kind: BinaryKind,
    },
    /// Lines end with a carriage return alone.
    #[error("line {line}: ends with CR")]
    LineEnds {
        /// The first such line.
        line: u64,
    },
    /// The header lacks a column.
    #[error("line {line}: no column '{field}'")]
    HeaderMissing {
        /// The header's line.
        line: u64,
        /// The first missing column.
        field: Field,
        /// The likely cause.
        cause: HeaderCause,
        /// The kind of table.
        table: Table,
    },
    /// The header names a column twice.
    #[error("line {line}: column '{field}' repeated")]
    HeaderTwice {
        /// The header's line.
        line: u64,
        /// The column.
        field: Field,
    },
    /// Quotation marks make rows a part of the header.
    #[error("line {line}: quotation mark not closed in the header")]
    HeaderRunsOn {
        /// The header's line.
        line: u64,
    },
    /// A record above the maximum length, mostly because a closing quotation mark is missing.
    #[error("line {line}: row over {limit} bytes")]
    RowLength {
        /// The line on which the record starts.
        line: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// Line numbers are kept in 32 bits.
    #[error("over {limit} lines")]
    Lines {
        /// The limit.
        limit: u32,
    },
    /// A bad row; only [`super::read_roll`] stops there.
    #[error(transparent)]
    Row(#[from] RowFault),
}
