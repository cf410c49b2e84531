//! Reads a list of members: the people of an association that has no electoral roll.

use std::collections::HashMap;
use std::fmt;
use std::io::Read;

use super::chunk::RollChunks;
use super::fault::{RollError, RowFault, RowRule};
use super::header::RollHeader;
use super::invisible::{self, InvisibleCharacter};
use super::record::Rows;
use super::row::{RawRow, is_clean};
use super::table::{Field, Table};
use crate::email::EmailAddress;

/// The maximum length of a name or an id, in characters. Longer texts are rows that a stray
/// quotation mark joined.
const TEXT_CHARS_MAX: usize = 200;

/// One member. `Debug` shows only the line.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberRow {
    /// The line on which the row starts, from 1.
    pub line: u64,
    /// The e-mail address, if the row has one.
    pub email: Option<EmailAddress>,
    /// The name; may be empty.
    pub name: String,
    /// The id in the records of the association; may be empty.
    pub id: String,
}

impl fmt::Debug for MemberRow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MemberRow(line {}, redacted)", self.line)
    }
}

/// A whole list of members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberList {
    /// The members of the good rows, in file order.
    pub members: Vec<MemberRow>,
    /// The faults of the other rows, by line.
    pub faults: Vec<RowFault>,
    /// Whether the file has a column of ids.
    pub has_ids: bool,
}

/// Reads a list of members: the columns `email`, `name` and `id`, at least one of them, in any
/// order; other columns are ignored. Each row names one member, and no e-mail address and no id
/// occurs twice.
///
/// ```
/// use votekit_core::roll::read_members;
/// let list = read_members("name,email\nAlice Roy,Alice@example.com\nBob,bob@\n".as_bytes())?;
/// let email = list.members[0].email.as_ref().expect("an address");
/// assert_eq!(email.as_str(), "alice@example.com");
/// assert_eq!(list.faults[0].line, 3);
/// # Ok::<(), votekit_core::roll::RollError>(())
/// ```
///
/// # Errors
/// [`RollError`] when the list cannot be read at all.
pub fn read_members(reader: impl Read) -> Result<MemberList, RollError> {
    let mut chunks = RollChunks::open_table(reader, Table::Members)?;
    let mut list = MemberList { has_ids: chunks.header().has(Field::Id), ..MemberList::default() };
    let mut known = KnownMembers::default();
    while let Some(chunk) = chunks.next_chunk()? {
        let clean = is_clean(chunk.bytes());
        let mut rows = Rows::new(chunk.bytes(), chunk.line(), chunks.header().separator());
        while let Some(row) = rows.next_row(chunks.header()) {
            let member = member(&row, chunks.header(), clean);
            match member.and_then(|member| known.add(&row, member)) {
                Ok(member) => list.members.push(member),
                Err(fault) => list.faults.push(fault),
            }
        }
    }
    Ok(list)
}

fn member(row: &RawRow<'_>, header: &RollHeader, clean: bool) -> Result<MemberRow, RowFault> {
    let [email, name, id] = row.member_fields(header, clean)?;
    let email = text(email).trim();
    let (name, id) = (cell(row, Field::Name, name)?, cell(row, Field::Id, id)?);
    if email.is_empty() && name.is_empty() && id.is_empty() {
        return Err(row.fault_in(Field::ROW, RowRule::NoMember));
    }
    let email = match email {
        "" => None,
        email => Some(address(email).map_err(|rule| row.fault_in(Field::Email, rule))?),
    };
    Ok(MemberRow { line: row.line, email, name, id })
}

fn address(text: &str) -> Result<EmailAddress, RowRule> {
    text.parse().map_err(|error| match invisible::first_in(text) {
        Some((position, character)) => RowRule::Invisible { position, character },
        None => RowRule::Email(error),
    })
}

/// A cell of free text, without white space around it.
fn cell(row: &RawRow<'_>, field: Field, bytes: &[u8]) -> Result<String, RowFault> {
    let text = text(bytes).replace("\"\"", "\"");
    let text = text.trim();
    let mut characters = text.chars().zip(1..);
    // A line end or a tab is a sign of joined rows; other invisible characters belong to names.
    if let Some((control, position)) = characters.find(|(character, _)| character.is_control())
        && let Some(character) = InvisibleCharacter::new(control)
    {
        return Err(row.fault_in(field, RowRule::Invisible { position, character }));
    }
    let length = text.chars().count();
    if length > TEXT_CHARS_MAX {
        let rule = RowRule::TextLength { length, length_max: TEXT_CHARS_MAX };
        return Err(row.fault_in(field, rule));
    }
    Ok(text.to_owned())
}

/// Converts bytes that were checked to be UTF-8.
fn text(checked: &[u8]) -> &str {
    std::str::from_utf8(checked).unwrap_or_default()
}

/// The lines of the e-mail addresses and ids read so far.
#[derive(Default)]
struct KnownMembers {
    emails: HashMap<EmailAddress, u64>,
    ids: HashMap<String, u64>,
}

impl KnownMembers {
    fn add(&mut self, row: &RawRow<'_>, member: MemberRow) -> Result<MemberRow, RowFault> {
        let email = member.email.as_ref().and_then(|email| self.emails.get(email));
        let id = self.ids.get(&member.id);
        for (field, first_line) in [(Field::Email, email), (Field::Id, id)] {
            if let Some(first_line) = first_line {
                let rule = RowRule::MemberTwice { first_line: *first_line };
                return Err(row.fault_in(field, rule));
            }
        }
        if let Some(email) = &member.email {
            self.emails.insert(email.clone(), member.line);
        }
        if !member.id.is_empty() {
            self.ids.insert(member.id.clone(), member.line);
        }
        Ok(member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roll::HeaderCause;

    fn read(text: &str) -> (Vec<(String, String, String)>, Vec<String>) {
        let list = read_members(text.as_bytes()).expect("a good header");
        let member = |member: &MemberRow| {
            let email = member.email.as_ref().map(ToString::to_string).unwrap_or_default();
            (email, member.name.clone(), member.id.clone())
        };
        let faults = list.faults.iter().map(ToString::to_string).collect();
        (list.members.iter().map(member).collect(), faults)
    }

    fn row(email: &str, name: &str, id: &str) -> (String, String, String) {
        (email.to_owned(), name.to_owned(), id.to_owned())
    }

    #[test]
    fn any_of_the_columns_will_do_in_any_order() {
        let (members, faults) = read(
            "\u{feff}Nom,NAME,Email\r\nx,\"Roy, Anne \"\"Nan\"\"\", Anne@Example.com \r\nx,Bob\r\n",
        );
        let anne = row("anne@example.com", "Roy, Anne \"Nan\"", "");
        assert_eq!((members, faults), (vec![anne, row("", "Bob", "")], vec![]));
        let (members, _) = read("id\nM-7\nM-8\n");
        assert_eq!(members, [row("", "", "M-7"), row("", "", "M-8")]);
    }

    #[test]
    fn semicolons_of_the_header_separate_the_whole_list() {
        let (members, faults) = read(
            "Name;EMAIL\r\nRoy, Anne;anne@example.com\r\n\"A;B\";\r\n;;\r\n,;\r\nC;c@example.com;x",
        );
        let expected =
            [row("anne@example.com", "Roy, Anne", ""), row("", "A;B", ""), row("", ",", "")];
        assert_eq!(members, expected);
        assert_eq!(faults, ["line 4, row: separators only", "line 6, row: 3 fields, expected 2"]);
    }

    #[test]
    fn every_bad_row_is_reported_with_its_line() {
        let long = "x".repeat(201);
        let (members, faults) = read(&format!(
            "email,name,id\na@example.com,A,1\nA@EXAMPLE.com,B,2\nb@example.com,B,1\n,,\nc@,C,3\n\
             ,\"C\nD\",4\n,{long},5\nd\u{200b}@example.com,D,6\ne@example.com,E,7,8\n"
        ));
        assert_eq!(members, [row("a@example.com", "A", "1")]);
        assert_eq!(
            faults,
            [
                "line 3, email: repeats line 2",
                "line 4, id: repeats line 2",
                "line 5, row: separators only",
                "line 6, email: e-mail address with a wrong domain",
                "line 7, name: invisible U+000A (a line feed) at 2",
                "line 9, name: 201 characters, over 200",
                "line 10, email: invisible U+200B (a zero-width space) at 2",
                "line 11, row: 4 fields, expected 3",
            ]
        );
        let (_, faults) = read("note,email\nabsent,\n");
        assert!(faults[0].starts_with("line 2, row: no e-mail address, name or id"), "{faults:?}");
    }

    #[test]
    fn a_list_without_its_columns_is_refused_with_the_cause() {
        let refused = |text: &str| read_members(text.as_bytes()).expect_err("a bad header");
        let error = refused("courriel,nom\na@example.com,A\n");
        assert_eq!(error.to_string(), "line 1: no column 'email'");
        assert!(matches!(error, RollError::HeaderMissing { cause: HeaderCause::Unnamed, .. }));
        let tabs = refused("email\tname\na@example.com\tA\n");
        let RollError::HeaderMissing { cause, table: Table::Members, .. } = tabs else {
            panic!("{tabs:?}")
        };
        assert_eq!(cause, HeaderCause::Separator('\t'));
        assert!(refused("email,Email\n").to_string().contains("'email' repeated"));
        assert_eq!(refused("").to_string(), "list of members empty");
    }
}
