//! Reading a small roll row by row.

use std::io::Read;

use super::chunk::RollChunks;
use super::fault::{Field, RollError, RowFault};
use super::header::RollHeader;
use super::row::{RawRow, Rows};
use crate::credential::{AccessCode, Credential, Nas};

/// One row of a roll, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollRow {
    /// The line on which the row starts, from 1.
    pub line: u64,
    /// The elector's right to vote on one law.
    pub credential: Credential,
}

/// Reads a whole roll into memory, for tools that need the credentials themselves; ends at the
/// first fault. Duplicates are not looked for.
///
/// ```
/// let roll = votekit_core::roll::read_roll(&b"law_id,NAS,Code\nL1,123 456 789,abc123\n"[..])?;
/// assert_eq!(roll[0].line, 2);
/// assert_eq!(roll[0].credential.law_id.as_str(), "L1");
/// # Ok::<(), votekit_core::roll::RollError>(())
/// ```
///
/// # Errors
/// [`RollError`]; a bad row as [`RollError::Row`].
pub fn read_roll(reader: impl Read) -> Result<Vec<RollRow>, RollError> {
    let mut chunks = RollChunks::open(reader)?;
    let mut roll = Vec::new();
    while let Some(chunk) = chunks.next_chunk()? {
        let mut rows = Rows::new(chunk.bytes(), chunk.line());
        while let Some(row) = rows.next_row(chunks.header()) {
            roll.push(RollRow { line: row.line, credential: credential(&row, chunks.header())? });
        }
    }
    Ok(roll)
}

fn credential(row: &RawRow<'_>, header: &RollHeader) -> Result<Credential, RowFault> {
    let [nas, code, law_id] = row.fields(header, false)?;
    let nas = Nas::parse(nas).map_err(|error| row.fault_in(Field::Nas, error.into()))?;
    let code = AccessCode::parse(code).map_err(|error| row.fault_in(Field::Code, error.into()))?;
    let law_id =
        super::hash::law_id(law_id).map_err(|error| row.fault_in(Field::LawId, error.into()))?;
    Ok(Credential { nas, code, law_id })
}
