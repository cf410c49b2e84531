//! Rolls, files of votes and lists of members: the table as a whole, and its rows.

use votekit_core::roll::{BinaryKind, HeaderCause, RollError};
use votekit_core::roll::{RowFault, RowRule, Table};

use crate::InWords;

impl InWords for RollError {
    fn in_words(&self) -> String {
        match self {
            Self::Read(error) => format!("cannot read the file: {error}"),
            Self::Empty { table } => format!("the {} is empty", name(*table)),
            Self::Utf16 { table } => format!("the {} is UTF-16 text, not UTF-8", name(*table)),
            Self::Binary { kind } => {
                format!("this is not CSV text: the file is {}", binary_kind(*kind))
            }
            Self::LineEnds { line } => {
                format!("line {line}: the lines end with a carriage return (CR) alone")
            }
            Self::HeaderMissing { line, field, .. } => {
                format!("line {line}: the header has no column '{field}'")
            }
            Self::HeaderTwice { line, field } => {
                format!("line {line}: the header names the column '{field}' twice")
            }
            Self::HeaderRunsOn { line } => format!(
                "line {line}: a quotation mark seems to be missing: rows are read as part of the \
                 header"
            ),
            Self::RowLength { line, limit } => format!(
                "line {line}: the row that starts here is longer than {limit} bytes: is a \
                 quotation mark missing?"
            ),
            Self::Lines { limit } => format!("the file has more than {limit} lines"),
            Self::Row(fault) => fault.in_words(),
            other => other.to_string(),
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Utf16 { .. } => "save the file again as 'CSV UTF-8'",
            Self::Binary { kind: BinaryKind::Gzip } => "decompress it first",
            Self::Binary { .. } => {
                "open it in the spreadsheet and save it as 'CSV UTF-8'; semicolons between the \
                 columns are fine"
            }
            Self::LineEnds { .. } => {
                "the lines end with CR alone, as 'CSV (Macintosh)' writes them: save the file \
                 again as 'CSV UTF-8', whose lines end with LF or CRLF"
            }
            Self::HeaderMissing { cause, table, .. } => return Some(header_hint(*cause, *table)),
            Self::Empty { table } => return Some(names_columns(*table)),
            Self::HeaderTwice { .. } => "delete or rename one of the two columns",
            Self::HeaderRunsOn { .. } => "look for an extra quotation mark (\") in the header",
            Self::Row(fault) => return fault.hint(),
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// The advice for text in another encoding.
const OLD_ENCODING: &str = "it seems to be in the old encoding of Windows (Windows-1252, 'ANSI'), \
     as Excel writes 'CSV' files with commas or semicolons: save the file again as 'CSV UTF-8'; \
     semicolons between the columns are fine";

fn name(table: Table) -> &'static str {
    match table {
        Table::Roll => "roll",
        Table::Votes => "file of votes",
        Table::Members => "list of members",
    }
}

fn binary_kind(kind: BinaryKind) -> String {
    match kind {
        BinaryKind::Workbook => "a spreadsheet's workbook (.xlsx, .ods) or another zip file".into(),
        BinaryKind::OldWorkbook => "a workbook of Excel (.xls)".into(),
        BinaryKind::Gzip => "compressed (gzip)".into(),
        other => other.to_string(),
    }
}

fn header_hint(cause: HeaderCause, table: Table) -> String {
    let text = match cause {
        HeaderCause::Separator(';') => {
            "the semicolons of the header are within quotation marks, so they separate no columns: \
             put each name alone in quotation marks, or delete the marks"
        }
        HeaderCause::Separator(_) => {
            "save the file again with commas or semicolons between the columns"
        }
        HeaderCause::TwoSeparators => {
            "the header has both commas and semicolons: use one of them between all columns, and \
             delete the other from the names of the columns"
        }
        HeaderCause::SeparatorLine => "delete the first line: 'sep=' is for Excel only",
        HeaderCause::Invisible { position, character } => {
            return format!(
                "character {position} of the header is {character}, which is invisible: delete it"
            );
        }
        HeaderCause::Encoding => {
            return format!("the header is not valid UTF-8 text: {OLD_ENCODING}");
        }
        _ => return names_columns(table),
    };
    text.to_owned()
}

fn names_columns(table: Table) -> String {
    let names: Vec<String> = table.columns().iter().map(ToString::to_string).collect();
    format!("the first line must name the columns, such as: {}", names.join(","))
}

impl InWords for RowFault {
    fn in_words(&self) -> String {
        format!("line {}, {}: {}", self.line, self.field, self.rule.in_words())
    }

    fn hint(&self) -> Option<String> {
        self.rule.hint()
    }
}

impl InWords for RowRule {
    fn in_words(&self) -> String {
        let text = match self {
            Self::Credential(error) => return error.in_words(),
            Self::Choice(error) => return error.in_words(),
            Self::Email(error) => return error.in_words(),
            Self::Invisible { position, character } => {
                return format!("character {position} is {character}, which is invisible");
            }
            Self::Missing => "the row is cut short: this field is missing",
            Self::Blank => "the row is empty: it has only separators",
            Self::TooManyFields { found, expected } => {
                return format!("the row has {found} fields, the header names {expected}");
            }
            Self::QuoteUnclosed => "a quotation mark is opened and never closed",
            Self::QuoteStray => "a quotation mark is out of place",
            Self::QuoteRunsOn { lines } => {
                let ends = if *lines == 1 { "line end" } else { "line ends" };
                return format!(
                    "a quotation mark seems to be missing: the quoted text continues over {lines} \
                     {ends} into other rows"
                );
            }
            Self::CarriageReturn => {
                "a carriage return without a line feed: is it the end of a line?"
            }
            Self::Utf8 => "the text is not valid UTF-8",
            Self::Zero => "the text contains a zero byte",
            Self::Duplicate { first_line } => {
                return format!(
                    "the same elector and law as line {first_line}, with the same code"
                );
            }
            Self::NoMember => {
                "the row names no member: it has no e-mail address, no name and no id"
            }
            Self::MemberTwice { first_line } => return format!("the same as on line {first_line}"),
            Self::TextLength { length, length_max } => {
                return format!("the text has {length} characters, more than {length_max}");
            }
            other => return other.to_string(),
        };
        text.to_owned()
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Credential(error) => return error.hint(),
            Self::QuoteUnclosed | Self::QuoteStray | Self::QuoteRunsOn { .. } => {
                "look for an extra or missing quotation mark (\") on that line: a field in \
                 quotation marks starts and ends with one, and each within it is doubled"
            }
            Self::CarriageReturn => {
                "save the file again as 'CSV UTF-8', whose lines end with a line feed"
            }
            Self::Invisible { .. } => "retype the field: it contains an invisible character",
            Self::Utf8 => OLD_ENCODING,
            Self::Blank | Self::NoMember => {
                "delete the empty rows in the spreadsheet, not only their content"
            }
            Self::MemberTwice { .. } => {
                "each member gets one right to vote: delete the second row, or correct it"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}

#[cfg(test)]
#[path = "tables_test.rs"]
mod tests;
