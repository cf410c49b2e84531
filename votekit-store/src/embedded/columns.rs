//! Conversions between the ledger's columns and the types of the core. A value that does not fit
//! its type is reported as damage, with its place.

use rusqlite::{Connection, OptionalExtension, Row};
use votekit_core::batch::Batch;
use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, NodeId, Sequence};
use votekit_core::log::merkle::TreeHash;

use super::fault::{Fault, corrupt};
use crate::block_rows::{head_digest, holds_leaves};
use crate::{Head, StagingId};

/// A number as an SQLite integer; `None` if it needs more than 63 bits.
pub(super) fn column(number: u64) -> Option<i64> {
    i64::try_from(number).ok()
}

/// Reads a number that [`column`] wrote.
pub(super) fn number(row: &Row<'_>, place: usize) -> Result<u64, Fault> {
    let value: i64 = row.get(place)?;
    u64::try_from(value).map_err(|_| corrupt(format!("a count is negative: {value}")).into())
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
    let head = Head {
        size: number(row, 0)?,
        height: number(row, 1)?,
        root: TreeHash::from_bytes(row.get(2)?),
        fence: number(row, 3)?,
        checkpoint: row.get(4)?,
        sealed_through: StagingId(number(row, 5)?),
        takes_votes: row.get(6)?,
    };
    let stored: [u8; 32] = row.get(7)?;
    if head_digest(&head).as_bytes() == &stored {
        return Ok(head);
    }
    Err(corrupt(format!("table head: the head at {} leaves does not match its digest", head.size))
        .into())
}

/// A stored run of leaves.
pub(super) struct LeafRun {
    pub(super) first_leaf: u64,
    pub(super) leaf_count: u32,
    pub(super) bytes: Vec<u8>,
}

/// Reads `first_leaf, leaf_count, digest, bytes`, and verifies the digest and the number of leaves.
pub(super) fn leaf_run(row: &Row<'_>) -> Result<LeafRun, Fault> {
    let run = LeafRun { first_leaf: number(row, 0)?, leaf_count: row.get(1)?, bytes: row.get(3)? };
    let stored: [u8; 32] = row.get(2)?;
    if Digest::of(&run.bytes).as_bytes() == &stored && holds_leaves(&run.bytes, run.leaf_count) {
        return Ok(run);
    }
    Err(corrupt(format!(
        "table leaves: the run at leaf {} does not match its digest",
        run.first_leaf
    ))
    .into())
}

/// Reads `id, digest, bytes, node, epoch, sequence` of an unpurged batch, and compares the batch
/// with its digest, its election and its number.
pub(super) fn batch(row: &Row<'_>, law: &ElectionId) -> Result<(StagingId, Batch), Fault> {
    let id = number(row, 0)?;
    let stored: [u8; 32] = row.get(1)?;
    let damage =
        |what: String| Fault::from(corrupt(format!("table batch: batch {id} of {law}: {what}")));
    let batch = Batch::parse(row.get(2)?).map_err(|error| damage(error.to_string()))?;
    let stored = Digest::from_bytes(stored);
    if batch.digest() != stored {
        return Err(damage(format!("its bytes have digest {}, expected {stored}", batch.digest())));
    }
    if batch.header().law_id != *law {
        return Err(damage(format!("it is a batch of {}", batch.header().law_id)));
    }
    let row_number = BatchNumber {
        node: NodeId::from_bytes(row.get(3)?),
        epoch: Epoch(row.get(4)?),
        sequence: Sequence(number(row, 5)?),
    };
    if batch.number() != row_number {
        return Err(damage(format!("it is batch {}, its row says {row_number}", batch.number())));
    }
    Ok((StagingId(id), batch))
}
