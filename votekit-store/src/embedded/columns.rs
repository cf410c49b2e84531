//! Conversions between the ledger's columns and the types of the core. A value that does not fit
//! its type is reported as damage, with its location.

use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Row, Statement};
use votekit_core::batch::Batch;
use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, NodeId, Sequence};
use votekit_core::log::merkle::TreeHash;

use super::fault::{Fault, corrupt};
pub(super) use crate::block_rows::column;
use crate::block_rows::{LeafRun, verify_batch, verify_head};
use crate::round_row::row_digest;
use crate::{Head, RoundRow, RowId, RowKind, StagingId, WitnessLine};

/// A row of a table. A value that does not fit its type is damage, and its error names the table.
pub(super) struct TableRow<'row, 'statement> {
    table: &'static str,
    row: &'row Row<'statement>,
}

impl<'row, 'statement> TableRow<'row, 'statement> {
    pub(super) fn new(table: &'static str, row: &'row Row<'statement>) -> Self {
        Self { table, row }
    }

    /// The value of a column.
    pub(super) fn get<T: FromSql>(&self, index: usize) -> Result<T, Fault> {
        self.row.get(index).map_err(|error| self.damage(index, &error.to_string()))
    }

    /// Reads a number that [`column`] wrote.
    pub(super) fn number(&self, index: usize) -> Result<u64, Fault> {
        let value: i64 = self.get(index)?;
        u64::try_from(value).map_err(|_| self.damage(index, &format!("{value} is not a count")))
    }

    fn damage(&self, index: usize, what: &str) -> Fault {
        let statement: &Statement<'_> = self.row.as_ref();
        let column = statement.column_name(index).unwrap_or("?");
        corrupt(format!("table {}: column {column}: {what}", self.table)).into()
    }
}

/// The row id of an election, which other tables refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ElectionRow(pub(super) i64);

pub(super) fn find_election(
    connection: &Connection,
    law_id: &ElectionId,
) -> Result<Option<ElectionRow>, Fault> {
    let mut statement = connection.prepare_cached("SELECT id FROM election WHERE law_id = ?1")?;
    Ok(statement.query_row([law_id.as_str()], |row| row.get(0)).optional()?.map(ElectionRow))
}

pub(super) fn find_or_create_election(
    connection: &Connection,
    law_id: &ElectionId,
) -> Result<ElectionRow, Fault> {
    if let Some(election) = find_election(connection, law_id)? {
        return Ok(election);
    }
    connection
        .prepare_cached("INSERT INTO election (law_id) VALUES (?1)")?
        .execute([law_id.as_str()])?;
    Ok(ElectionRow(connection.last_insert_rowid()))
}

pub(super) fn law_id(text: &str) -> Result<ElectionId, Fault> {
    text.parse().map_err(|error| corrupt(format!("table election: {error}")).into())
}

/// Reads `size, height, root, fence, checkpoint, sealed_through, takes_votes, digest`, and verifies
/// the digest.
pub(super) fn head(row: &Row<'_>) -> Result<Head, Fault> {
    let row = TableRow::new("head", row);
    let head = Head {
        size: row.number(0)?,
        height: row.number(1)?,
        root: TreeHash::from_bytes(row.get(2)?),
        fence: row.number(3)?,
        checkpoint: row.get(4)?,
        sealed_through: StagingId(row.number(5)?),
        takes_votes: row.get(6)?,
    };
    verify_head(head, &row.get(7)?).map_err(|damage| corrupt(damage).into())
}

/// Reads `first_leaf, leaf_count, digest, bytes`, and verifies the digest and the number of leaves.
pub(super) fn leaf_run(row: &Row<'_>) -> Result<LeafRun, Fault> {
    let row = TableRow::new("leaves", row);
    let run = LeafRun { first_leaf: row.number(0)?, leaf_count: row.get(1)?, bytes: row.get(3)? };
    run.verify(&row.get(2)?).map_err(|damage| corrupt(damage).into())
}

/// Reads `id, digest, bytes, node, epoch, sequence` of an unpurged batch, and compares the batch
/// with its digest, its election and its number.
pub(super) fn batch(row: &Row<'_>, law: &ElectionId) -> Result<(StagingId, Batch), Fault> {
    let row = TableRow::new("batch", row);
    let id = row.number(0)?;
    let number = BatchNumber {
        node: NodeId::from_bytes(row.get(3)?),
        epoch: Epoch(row.get(4)?),
        sequence: Sequence(row.number(5)?),
    };
    let batch = verify_batch(row.get(2)?, Digest::from_bytes(row.get(1)?), law, number)
        .map_err(|what| corrupt(format!("table batch: batch {id} of {law}: {what}")))?;
    Ok((StagingId(id), batch))
}

/// Reads `id, kind, authority, law_id, height, term, digest, bytes, leaves`, and verifies the
/// digest.
pub(super) fn round_row(row: &Row<'_>) -> Result<RoundRow, Fault> {
    let row = TableRow::new("round_row", row);
    let id = row.number(0)?;
    let damage = |what: &str| Fault::from(corrupt(format!("table round_row: row {id}: {what}")));
    let kind = RowKind::parse(&row.get::<String>(1)?);
    let kind = kind.ok_or_else(|| damage("its kind is unknown"))?;
    let law = row.get::<Option<String>>(3)?.map(|text| law_id(&text)).transpose()?;
    let found = RoundRow {
        id: RowId(id),
        kind,
        authority: row.get(2)?,
        law_id: law,
        height: row.number(4)?,
        term: row.number(5)?,
        bytes: row.get(7)?,
        leaves: row.get(8)?,
    };
    let stored: [u8; 32] = row.get(6)?;
    if row_digest(&found.bytes, &found.leaves).as_bytes() == &stored {
        return Ok(found);
    }
    Err(damage("it does not match its digest"))
}

/// Reads `witness, height, size, root, line`. The line carries its own proof: its signature.
pub(super) fn witness_line(row: &Row<'_>) -> Result<WitnessLine, Fault> {
    let row = TableRow::new("witness_line", row);
    Ok(WitnessLine {
        witness: row.get(0)?,
        height: row.number(1)?,
        size: row.number(2)?,
        root: TreeHash::from_bytes(row.get(3)?),
        line: row.get(4)?,
    })
}
