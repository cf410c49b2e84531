//! Reads a table row by row.

use std::io::Read;

use super::chunk::RollChunks;
use super::fault::{RollError, RowFault};
use super::hash::{RollRules, bad_field, checked_nas};
use super::header::RollHeader;
use super::record::Rows;
use super::row::{RawRow, is_clean};
use super::table::{Field, Table};
use crate::credential::{AccessCode, Credential, CredentialError, Nas};
use crate::election::ChoiceId;
use crate::id::ElectionId;

/// One checked row of a roll.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RollRow {
    /// The line on which the row starts, from 1.
    pub line: u64,
    /// The elector's right to vote on one law.
    pub credential: Credential,
}

/// One checked row of a table. `Debug` omits the credential and the vote.
#[non_exhaustive]
pub struct TableRow<'t> {
    /// The line on which the row starts, from 1.
    pub line: u64,
    /// The row's number, from 1, not counting the header.
    pub number: u64,
    /// The social insurance number.
    pub nas: Nas,
    /// The access code.
    pub code: AccessCode,
    /// The law id; well formed.
    pub law_id: &'t str,
    /// The choice id; well formed in a file of votes, empty in a roll.
    pub vote: &'t str,
}

impl std::fmt::Debug for TableRow<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "TableRow(line {}, redacted)", self.line)
    }
}

/// Reads a whole table and calls `each` with every good row of the requested laws, in file order.
/// Returns the faults of the other rows, by line. Does not look for duplicates.
///
/// ```
/// use votekit_core::roll::{RollRules, Table, read_table};
/// let votes = "vote,nas,code,law_id\noui,123456789,ABC123,L1\nOui,123456780,ABC124,L1\n";
/// let mut cast = Vec::new();
/// let faults = read_table(votes.as_bytes(), Table::Votes, &RollRules::default(), |row| {
///     cast.push((row.line, row.vote.to_owned()));
/// })?;
/// assert_eq!(cast, [(2, "oui".to_owned())]);
/// assert_eq!(faults[0].line, 3);
/// # Ok::<(), votekit_core::roll::RollError>(())
/// ```
///
/// # Errors
/// [`RollError`] when the table cannot be read at all.
pub fn read_table(
    reader: impl Read,
    table: Table,
    rules: &RollRules,
    mut each: impl FnMut(TableRow<'_>),
) -> Result<Vec<RowFault>, RollError> {
    let mut chunks = RollChunks::open_table(reader, table)?;
    let mut faults = Vec::new();
    let mut number = 0;
    while let Some(chunk) = chunks.next_chunk()? {
        let clean = is_clean(chunk.bytes());
        let mut rows = Rows::new(chunk.bytes(), chunk.line(), chunks.header().separator());
        while let Some(row) = rows.next_row(chunks.header()) {
            number += 1;
            match checked(&row, chunks.header(), rules, clean) {
                Ok(Some(checked)) => each(TableRow { number, ..checked }),
                Ok(None) => {}
                Err(fault) => faults.push(fault),
            }
        }
    }
    Ok(faults)
}

/// Checks a row; `None` if its law was not requested.
fn checked<'t>(
    row: &RawRow<'t>,
    header: &RollHeader,
    rules: &RollRules,
    clean: bool,
) -> Result<Option<TableRow<'t>>, RowFault> {
    let [nas, code, law_id] = row.fields(header, clean)?;
    ElectionId::check(law_id)
        .map_err(|error| bad_field(row, Field::ElectionId, law_id, CredentialError::Law(error)))?;
    let law_id = text(law_id);
    if !rules.laws.is_empty() && !rules.laws.iter().any(|law| law.as_str() == law_id) {
        return Ok(None);
    }
    let nas = checked_nas(row, nas, rules)?;
    let code = AccessCode::parse(code).map_err(|error| bad_field(row, Field::Code, code, error))?;
    let vote = row.vote();
    if header.table() == Table::Votes {
        ChoiceId::check_bytes(vote).map_err(|error| bad_field(row, Field::Vote, vote, error))?;
    }
    Ok(Some(TableRow { line: row.line, number: 0, nas, code, law_id, vote: text(vote) }))
}

/// Converts bytes that were checked to be ASCII.
fn text(checked: &[u8]) -> &str {
    std::str::from_utf8(checked).unwrap_or_default()
}

/// Reads a whole roll into memory, for tools that need the credentials themselves. Refuses a roll
/// with a fault. Does not look for duplicates.
///
/// ```
/// let roll = votekit_core::roll::read_roll(&b"law_id,NAS,Code\nL1,123 456 789,abc123\n"[..])?;
/// assert_eq!(roll[0].line, 2);
/// assert_eq!(roll[0].credential.law_id.as_str(), "L1");
/// # Ok::<(), votekit_core::roll::RollError>(())
/// ```
///
/// # Errors
/// [`RollError`]; for a bad row [`RollError::Row`] with the first one.
pub fn read_roll(reader: impl Read) -> Result<Vec<RollRow>, RollError> {
    let mut roll = Vec::new();
    let faults = read_table(reader, Table::Roll, &RollRules::default(), |row| {
        // The row's law id was checked: it parses.
        if let Ok(law_id) = row.law_id.parse() {
            let credential = Credential { nas: row.nas, code: row.code, law_id };
            roll.push(RollRow { line: row.line, credential });
        }
    })?;
    faults.into_iter().next().map_or(Ok(roll), |fault| Err(fault.into()))
}
