//! The blocks that this authority has made or taken over, with their batches and certificates.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row};
use votekit_core::authority::LogPoint;
use votekit_core::batch::Batch;
use votekit_core::id::{Digest, ElectionId};
use votekit_core::log::merkle::TreeHash;

use super::batches::{self, OtherBatch};
use super::error::{MemoryError, Stop};
use super::positions::{self, Election, integer, row_digest};
use crate::StoredBlock;
use crate::block_rows::holds_leaves;
use crate::embedded::columns::TableRow;
use crate::embedded::fault::{Fault, corrupt};
use crate::embedded::queries::collect_some;

const BLOCK: &str = "SELECT id, height, first_leaf, size, root, digest, leaves FROM block";

/// A block as the memory holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryBlock {
    /// The end of the block.
    pub point: LogPoint,
    /// The block.
    pub block: StoredBlock,
    /// The certificate: the signed checkpoint, once the block is certified.
    pub checkpoint: Option<Vec<u8>>,
    /// The batches of the block, in order. Those of a purged election are missing.
    pub batches: Vec<Arc<Batch>>,
}

impl MemoryBlock {
    fn bytes(&self) -> usize {
        let batches: usize = self.batches.iter().map(|batch| batch.as_bytes().len()).sum();
        self.block.leaves.len() + batches
    }
}

/// Checks the rules that do not depend on what is stored.
///
/// # Errors
/// [`MemoryError::Malformed`].
pub(super) fn check(
    law_id: &ElectionId,
    point: &LogPoint,
    block: &StoredBlock,
    batches: &[Arc<Batch>],
) -> Result<(), MemoryError> {
    let malformed = |rule| Err(MemoryError::Malformed { rule });
    if block.height == 0 || block.height != point.height {
        return malformed("the position has the height of the block, from 1");
    }
    let end = block.first_leaf.checked_add(u64::from(block.leaf_count));
    if block.leaf_count == 0 || end != Some(point.size) {
        return malformed("the position is where the block ends");
    }
    if !holds_leaves(&block.leaves, block.leaf_count) {
        return malformed("the block's leaves are as many as it counts");
    }
    if batches.iter().any(|batch| batch.header().law_id != *law_id) {
        return malformed("the batches are of the block's election");
    }
    Ok(())
}

/// Stores a block with its batches. Replaces an accepted block of the same height; the caller has
/// checked that no other block of this height is cosigned or certified. Returns the batches under
/// whose number another batch is already stored.
pub(super) fn put(
    connection: &Connection,
    election: Election<'_>,
    point: &LogPoint,
    block: &StoredBlock,
    batches: &[Arc<Batch>],
) -> Result<Vec<OtherBatch>, Stop> {
    let digest = block_digest(election.law_id, point, block);
    let row = match find(connection, election, point)? {
        Some((row, stored)) if stored == digest => {
            if has_batches(connection, row)? {
                return Ok(Vec::new());
            }
            row
        }
        Some((row, _)) => {
            remove(connection, row)?;
            insert(connection, election, point, block, &digest)?
        }
        None => insert(connection, election, point, block, &digest)?,
    };
    batches::put(connection, election, row, batches)
}

/// The block of a height, certified or accepted.
pub(super) fn block(
    connection: &Connection,
    election: Election<'_>,
    height: i64,
) -> Result<Option<MemoryBlock>, Fault> {
    connection
        .prepare_cached(&format!("{BLOCK} WHERE election = ?1 AND height = ?2"))?
        .query((election.row.0, height))?
        .next()?
        .map(|row| read(connection, election, row))
        .transpose()
}

/// Certified blocks from a height upwards, in order: at least one if there is any, at most `limit`.
pub(super) fn certified(
    connection: &Connection,
    election: Election<'_>,
    from_height: i64,
    limit: i64,
) -> Result<Vec<MemoryBlock>, Fault> {
    let mut statement = connection.prepare_cached(&format!(
        "{BLOCK} WHERE election = ?1 AND height >= ?2 AND EXISTS (SELECT 1 FROM certified \
         WHERE certified.election = block.election AND certified.height = block.height) \
         ORDER BY height LIMIT ?3"
    ))?;
    let rows = statement.query((election.row.0, from_height, limit))?;
    collect_some(rows, |row| read(connection, election, row), MemoryBlock::bytes)
}

/// The digest of a row covers its position in the log and its leaves.
fn block_digest(law_id: &ElectionId, point: &LogPoint, block: &StoredBlock) -> Digest {
    let leaves = Digest::compute(&block.leaves);
    row_digest("block", law_id, block.first_leaf, point, leaves.as_bytes())
}

fn find(
    connection: &Connection,
    election: Election<'_>,
    point: &LogPoint,
) -> Result<Option<(i64, Digest)>, Stop> {
    let found: Option<(i64, [u8; 32])> = connection
        .prepare_cached("SELECT id, digest FROM block WHERE election = ?1 AND height = ?2")?
        .query_row((election.row.0, integer(point.height)?), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found.map(|(row, digest)| (row, Digest::from_bytes(digest))))
}

fn has_batches(connection: &Connection, block: i64) -> Result<bool, Stop> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM block_batch WHERE block = ?1")?;
    Ok(statement.exists([block])?)
}

fn insert(
    connection: &Connection,
    election: Election<'_>,
    point: &LogPoint,
    block: &StoredBlock,
    digest: &Digest,
) -> Result<i64, Stop> {
    connection
        .prepare_cached(
            "INSERT INTO block (election, height, first_leaf, size, root, digest, leaves) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute((
            election.row.0,
            integer(point.height)?,
            integer(block.first_leaf)?,
            integer(point.size)?,
            point.root.as_bytes(),
            digest.as_bytes(),
            &block.leaves,
        ))?;
    Ok(connection.last_insert_rowid())
}

/// Removes a block. Its batches stay: they are evidence.
fn remove(connection: &Connection, block: i64) -> Result<(), Stop> {
    connection.prepare_cached("DELETE FROM block_batch WHERE block = ?1")?.execute([block])?;
    connection.prepare_cached("DELETE FROM block WHERE id = ?1")?.execute([block])?;
    Ok(())
}

/// Reads a row of [`BLOCK`], verifies its digest, and adds certificate and batches.
fn read(
    connection: &Connection,
    election: Election<'_>,
    row: &Row<'_>,
) -> Result<MemoryBlock, Fault> {
    let row = TableRow::new("block", row);
    let point = LogPoint {
        height: row.number(1)?,
        size: row.number(3)?,
        root: TreeHash::from_bytes(row.get(4)?),
    };
    let damage = |what: &str| {
        Fault::from(corrupt(format!(
            "table block: block {} of {}: {what}",
            point.height, election.law_id
        )))
    };
    let first_leaf = row.number(2)?;
    let leaf_count = point
        .size
        .checked_sub(first_leaf)
        .and_then(|count| u32::try_from(count).ok())
        .ok_or_else(|| damage("it ends before it begins"))?;
    let leaves = row.get(6)?;
    let block = StoredBlock { height: point.height, first_leaf, leaf_count, leaves };
    let stored: [u8; 32] = row.get(5)?;
    if block_digest(election.law_id, &point, &block).as_bytes() != &stored {
        return Err(damage("it does not match its digest"));
    }
    let height = row.get(1)?;
    let checkpoint = match positions::certificate(connection, election, height)? {
        Some((certified, _)) if certified != point => {
            return Err(damage("its certificate is of another block"));
        }
        certificate => certificate.map(|(_, checkpoint)| checkpoint),
    };
    let batches = batches::read_block(connection, election.law_id, row.get(0)?)?;
    Ok(MemoryBlock { point, block, checkpoint, batches })
}
