//! The batches of the blocks, each stored once, and the numbers of those seen in staging.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};
use votekit_core::batch::Batch;
use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, NodeId, Sequence};

use super::error::Stop;
use super::positions::{Election, integer};
use crate::embedded::columns::{self, TableRow};
use crate::embedded::fault::Fault;
use crate::embedded::queries::collect;

/// Batches destroyed by one [`purge_part`].
const PURGED_BATCHES_MAX: u32 = 256;

/// A second batch under one number: its node signed both. Both are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherBatch {
    /// The number of both.
    pub number: BatchNumber,
    /// The digest stored first.
    pub stored: Digest,
    /// The digest of the other one.
    pub offered: Digest,
}

/// The row of a batch: in the table of the first batches of their numbers, or of the others.
#[derive(Debug, Clone, Copy)]
enum BatchRow {
    First(i64),
    Other(i64),
}

/// Stores the batches of a block, in order. Returns those whose number was taken.
pub(super) fn put(
    connection: &Connection,
    election: Election<'_>,
    block: i64,
    batches: &[Arc<Batch>],
) -> Result<Vec<OtherBatch>, Stop> {
    let mut others = Vec::new();
    for (place, batch) in (0_i64..).zip(batches) {
        let (first, other) = match put_one(connection, election, batch, &mut others)? {
            BatchRow::First(row) => (Some(row), None),
            BatchRow::Other(row) => (None, Some(row)),
        };
        connection
            .prepare_cached(
                "INSERT INTO block_batch (block, place, batch, other) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute((block, place, first, other))?;
    }
    Ok(others)
}

fn put_one(
    connection: &Connection,
    election: Election<'_>,
    batch: &Batch,
    others: &mut Vec<OtherBatch>,
) -> Result<BatchRow, Stop> {
    let (number, offered) = (batch.number(), batch.digest());
    let sequence = integer(number.sequence.0)?;
    let found: Option<(i64, [u8; 32])> = connection
        .prepare_cached(
            "SELECT id, digest FROM batch WHERE election = ?1 AND node = ?2 AND epoch = ?3 \
             AND sequence = ?4",
        )?
        .query_row((election.row.0, number.node.as_bytes(), number.epoch.0, sequence), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let is_other = match found {
        Some((row, stored)) if stored == *offered.as_bytes() => return Ok(BatchRow::First(row)),
        Some((_, stored)) => {
            others.push(OtherBatch { number, stored: Digest::from_bytes(stored), offered });
            true
        }
        None => false,
    };
    if is_other && let Some(row) = find_other(connection, election, number, sequence, &offered)? {
        return Ok(BatchRow::Other(row));
    }
    let table = if is_other { "other_batch" } else { "batch" };
    connection
        .prepare_cached(&format!(
            "INSERT INTO {table} (election, node, epoch, sequence, digest, bytes) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
        ))?
        .execute((
            election.row.0,
            number.node.as_bytes(),
            number.epoch.0,
            sequence,
            offered.as_bytes(),
            batch.as_bytes(),
        ))?;
    let row = connection.last_insert_rowid();
    Ok(if is_other { BatchRow::Other(row) } else { BatchRow::First(row) })
}

fn find_other(
    connection: &Connection,
    election: Election<'_>,
    number: BatchNumber,
    sequence: i64,
    digest: &Digest,
) -> Result<Option<i64>, Stop> {
    let row = connection
        .prepare_cached(
            "SELECT id FROM other_batch WHERE election = ?1 AND node = ?2 AND epoch = ?3 \
             AND sequence = ?4 AND digest = ?5",
        )?
        .query_row(
            (election.row.0, number.node.as_bytes(), number.epoch.0, sequence, digest.as_bytes()),
            |row| row.get(0),
        )
        .optional()?;
    Ok(row)
}

/// The unpurged batches of a block, in order.
pub(super) fn of_block(
    connection: &Connection,
    law_id: &ElectionId,
    block: i64,
) -> Result<Vec<Arc<Batch>>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT id, digest, bytes, node, epoch, sequence FROM
         (SELECT place, batch.id AS id, digest, bytes, node, epoch, sequence
          FROM block_batch JOIN batch ON batch.id = block_batch.batch WHERE block = ?1
          UNION ALL
          SELECT place, other_batch.id AS id, digest, bytes, node, epoch, sequence
          FROM block_batch JOIN other_batch ON other_batch.id = block_batch.other
          WHERE block = ?1)
         WHERE bytes IS NOT NULL ORDER BY place",
    )?;
    collect(statement.query([block])?, |row| {
        columns::batch(row, law_id).map(|(_, batch)| Arc::new(batch))
    })
}

/// The unpurged batches whose number was taken when they were stored.
pub(super) fn others(
    connection: &Connection,
    election: Election<'_>,
) -> Result<Vec<Arc<Batch>>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT id, digest, bytes, node, epoch, sequence FROM other_batch \
         WHERE election = ?1 AND bytes IS NOT NULL ORDER BY id",
    )?;
    collect(statement.query([election.row.0])?, |row| {
        columns::batch(row, election.law_id).map(|(_, batch)| Arc::new(batch))
    })
}

/// Destroys some of the batches of an election. Returns how many; 0 when none is left.
pub(super) fn purge_part(
    connection: &Connection,
    election: Election<'_>,
) -> Result<u64, rusqlite::Error> {
    let mut destroyed = 0;
    for table in ["batch", "other_batch"] {
        // With `secure_delete`, SQLite overwrites the removed bytes with zeros.
        destroyed += connection
            .prepare_cached(&format!(
                "UPDATE {table} SET bytes = NULL WHERE id IN \
                 (SELECT id FROM {table} WHERE election = ?1 AND bytes IS NOT NULL \
                 ORDER BY id LIMIT ?2)"
            ))?
            .execute((election.row.0, PURGED_BATCHES_MAX))?;
    }
    Ok(destroyed as u64)
}

/// Records batches that were seen in staging. Returns those that were seen before with another
/// digest.
pub(super) fn observe(
    connection: &Connection,
    election: Election<'_>,
    seen: &[(BatchNumber, Digest)],
) -> Result<Vec<OtherBatch>, Stop> {
    let mut others = Vec::new();
    for (number, digest) in seen {
        let sequence = integer(number.sequence.0)?;
        let other: Option<[u8; 32]> = connection
            .prepare_cached(
                "SELECT digest FROM observed WHERE election = ?1 AND node = ?2 AND epoch = ?3 \
                 AND sequence = ?4 AND digest <> ?5 LIMIT 1",
            )?
            .query_row(
                (
                    election.row.0,
                    number.node.as_bytes(),
                    number.epoch.0,
                    sequence,
                    digest.as_bytes(),
                ),
                |row| row.get(0),
            )
            .optional()?;
        if let Some(stored) = other {
            let stored = Digest::from_bytes(stored);
            others.push(OtherBatch { number: *number, stored, offered: *digest });
        }
        connection
            .prepare_cached(
                "INSERT OR IGNORE INTO observed (election, node, epoch, sequence, digest) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((
                election.row.0,
                number.node.as_bytes(),
                number.epoch.0,
                sequence,
                digest.as_bytes(),
            ))?;
    }
    Ok(others)
}

/// The highest sequence seen in each epoch.
pub(super) fn observed(
    connection: &Connection,
    election: Election<'_>,
) -> Result<Vec<(NodeId, Epoch, Sequence)>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT node, epoch, max(sequence) FROM observed WHERE election = ?1 \
         GROUP BY node, epoch ORDER BY node, epoch",
    )?;
    collect(statement.query([election.row.0])?, |row| {
        let row = TableRow::new("observed", row);
        Ok((NodeId::from_bytes(row.get(0)?), Epoch(row.get(1)?), Sequence(row.number(2)?)))
    })
}
