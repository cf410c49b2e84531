//! Checks a ledger when it is opened: heads, blocks, tiles and staging must agree, and every
//! unsealed batch must match its stored digest. Cheap at any size: leaves and sealed evidence are
//! not read here.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::Connection;
use votekit_core::id::ElectionId;

use super::columns::{self, ElectionRow, TableRow};
use super::fault::{Fault, corrupt};
use super::queries::{self, collect};
use super::tail::Tail;
use crate::{EngineError, Head};

/// The result of an inspection.
pub(super) struct Inspected {
    pub(super) tail: Tail,
    /// Elections whose rows contradict one another, each with what was found. The tail has nothing
    /// of them.
    pub(super) damaged: BTreeMap<ElectionId, EngineError>,
}

/// Inspects a ledger and loads its tail into memory. Fails when the file as a whole cannot be read;
/// damage to the rows of one election affects only that election.
pub(super) fn inspect(connection: &Connection) -> Result<Inspected, Fault> {
    let (tail, mut damaged) = (Tail::new(), BTreeMap::new());
    let last_staged = last_staged(connection)?;
    let mut statement = connection.prepare("SELECT id, law_id FROM election ORDER BY id")?;
    let elections = collect(statement.query([])?, |row| {
        let row = TableRow::new("election", row);
        Ok((ElectionRow(row.get(0)?), columns::law_id(&row.get::<String>(1)?)?))
    })?;
    for (election, law_id) in elections {
        match inspect_election(connection, election, &law_id, last_staged, &tail) {
            Ok(()) => {}
            Err(Fault::Engine(error @ EngineError::Corrupt { .. })) => {
                tail.remove(&law_id);
                damaged.insert(law_id, error);
            }
            // Among others, SQLite itself reports that the file is malformed: then no row of any
            // election can be trusted.
            Err(fault) => return Err(fault),
        }
    }
    Ok(Inspected { tail, damaged })
}

fn inspect_election(
    connection: &Connection,
    election: ElectionRow,
    law_id: &ElectionId,
    last_staged: u64,
    tail: &Tail,
) -> Result<(), Fault> {
    let head = queries::head(connection, election)?;
    check_blocks(connection, election, law_id, head.as_ref())?;
    check_leaves(connection, election, law_id, head.as_ref())?;
    check_tiles(connection, election, law_id, head.as_ref())?;
    if let Some(head) = head {
        if head.sealed_through.0 > last_staged {
            return Err(damage(
                law_id,
                format!(
                    "batches are sealed through {}, staging ends at {last_staged}",
                    head.sealed_through.0
                ),
            ));
        }
        tail.advance(law_id, head);
    }
    load_unsealed(connection, election, law_id, tail)
}

fn check_blocks(
    connection: &Connection,
    election: ElectionRow,
    law_id: &ElectionId,
    head: Option<&Head>,
) -> Result<(), Fault> {
    let (height, size) = head.map_or((0, 0), |head| (head.height, head.size));
    let mut statement = connection.prepare_cached(
        "SELECT height, first_leaf, leaf_count FROM block WHERE election = ?1 ORDER BY height",
    )?;
    let mut rows = statement.query([election.0])?;
    let (mut blocks, mut leaves) = (0, 0);
    while let Some(row) = rows.next()? {
        let row = TableRow::new("block", row);
        let (found, first_leaf) = (row.number(0)?, row.number(1)?);
        if found != blocks + 1 || first_leaf != leaves {
            return Err(damage(
                law_id,
                format!(
                    "block {} at leaf {leaves} is followed by block {found} at leaf {first_leaf}",
                    blocks
                ),
            ));
        }
        blocks = found;
        leaves += row.number(2)?;
    }
    if (blocks, leaves) != (height, size) {
        return Err(damage(
            law_id,
            format!(
                "the head is at block {height} with {size} leaves, the last block is {blocks} with \
                 {leaves}"
            ),
        ));
    }
    Ok(())
}

/// Checks that the runs of leaves reach the head without a gap.
fn check_leaves(
    connection: &Connection,
    election: ElectionRow,
    law_id: &ElectionId,
    head: Option<&Head>,
) -> Result<(), Fault> {
    let size = head.map_or(0, |head| head.size);
    let mut statement = connection.prepare_cached(
        "SELECT first_leaf, leaf_count FROM leaves WHERE election = ?1 ORDER BY first_leaf",
    )?;
    let mut rows = statement.query([election.0])?;
    let mut leaves = 0;
    while let Some(row) = rows.next()? {
        let row = TableRow::new("leaves", row);
        let first_leaf = row.number(0)?;
        if first_leaf != leaves {
            return Err(damage(
                law_id,
                format!("the leaves up to {leaves} are followed by those from {first_leaf}"),
            ));
        }
        leaves += row.number(1)?;
    }
    if leaves != size {
        return Err(damage(law_id, format!("the head is at {size} leaves, {leaves} are stored")));
    }
    Ok(())
}

fn check_tiles(
    connection: &Connection,
    election: ElectionRow,
    law_id: &ElectionId,
    head: Option<&Head>,
) -> Result<(), Fault> {
    let size = head.map_or(0, |head| head.size);
    let mut statement = connection.prepare_cached(
        "SELECT count(*), coalesce(max(idx), -1) + 1 FROM tile WHERE election = ?1 AND level = ?2",
    )?;
    for level in 0_u8..7 {
        // A tile has 256 hashes, so a full tile of a level covers 256^(level + 1) leaves.
        let expected = size >> (8 * (u32::from(level) + 1));
        let mut rows = statement.query((election.0, level))?;
        let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        let row = TableRow::new("tile", row);
        let found = (row.number(0)?, row.number(1)?);
        if found != (expected, expected) {
            return Err(damage(
                law_id,
                format!(
                    "{size} leaves fill {expected} tiles of level {level}, {} are stored",
                    found.0
                ),
            ));
        }
    }
    Ok(())
}

fn load_unsealed(
    connection: &Connection,
    election: ElectionRow,
    law_id: &ElectionId,
    tail: &Tail,
) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT id, digest, bytes, node, epoch, sequence FROM batch \
         WHERE election = ?1 AND bytes IS NOT NULL AND length(bytes) > 0 \
         AND id > coalesce((SELECT sealed_through FROM head WHERE head.election = ?1), 0) \
         ORDER BY id",
    )?;
    let mut rows = statement.query([election.0])?;
    while let Some(row) = rows.next()? {
        let (id, batch) = columns::batch(row, law_id)?;
        tail.stage(id, &Arc::new(batch));
    }
    Ok(())
}

fn last_staged(connection: &Connection) -> Result<u64, Fault> {
    let mut statement = connection.prepare_cached("SELECT coalesce(max(id), 0) FROM batch")?;
    let mut rows = statement.query([])?;
    TableRow::new("batch", rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?).number(0)
}

fn damage(law_id: &ElectionId, what: String) -> Fault {
    corrupt(format!("{law_id}: {what}")).into()
}
