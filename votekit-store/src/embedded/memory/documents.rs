//! Copies of the documents that are only in the ledger: the sealed keys of elections, of which the
//! first copy stays, and the records of nodes, which may change.

use rusqlite::Connection;
use votekit_core::id::Digest;

use super::error::Stop;
use super::positions::Election;
use crate::embedded::columns::TableRow;
use crate::embedded::fault::{Fault, corrupt};
use crate::embedded::queries::collect;

/// The keys of an election as encrypted to one recipient: its public key, and the bytes.
pub type SealedKey = ([u8; 32], Vec<u8>);

/// Stores a copy of the keys of an election that are encrypted to a recipient, unless there is one.
pub(super) fn put_sealed_key(
    connection: &Connection,
    election: Election<'_>,
    recipient: &[u8; 32],
    bytes: &[u8],
) -> Result<(), Stop> {
    connection
        .prepare_cached(
            "INSERT INTO sealed_key (election, recipient, digest, bytes) \
             VALUES (?1, ?2, ?3, ?4) ON CONFLICT (election, recipient) DO NOTHING",
        )?
        .execute((election.row.0, recipient, Digest::compute(bytes).as_bytes(), bytes))?;
    Ok(())
}

/// The sealed keys of an election, by recipient.
pub(super) fn sealed_keys(
    connection: &Connection,
    election: Election<'_>,
) -> Result<Vec<SealedKey>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT recipient, digest, bytes FROM sealed_key WHERE election = ?1 ORDER BY recipient",
    )?;
    collect(statement.query([election.row.0])?, |row| {
        let row = TableRow::new("sealed_key", row);
        Ok((row.get(0)?, verified(row.get(1)?, row.get(2)?, "sealed_key")?))
    })
}

/// Removes the sealed keys of an election. SQLite overwrites them with zeros.
pub(super) fn remove_sealed_keys(
    connection: &Connection,
    election: Election<'_>,
) -> Result<(), Stop> {
    connection
        .prepare_cached("DELETE FROM sealed_key WHERE election = ?1")?
        .execute([election.row.0])?;
    Ok(())
}

/// Stores a copy of the record of a node. Replaces an earlier copy under the same name.
pub(super) fn put_node_record(
    connection: &Connection,
    name: &str,
    bytes: &[u8],
) -> Result<(), Stop> {
    connection
        .prepare_cached(
            "INSERT INTO node_record (name, digest, bytes) VALUES (?1, ?2, ?3) \
             ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, bytes = excluded.bytes",
        )?
        .execute((name, Digest::compute(bytes).as_bytes(), bytes))?;
    Ok(())
}

/// The records of nodes, by name.
pub(super) fn node_records(connection: &Connection) -> Result<Vec<(String, Vec<u8>)>, Fault> {
    let mut statement =
        connection.prepare_cached("SELECT name, digest, bytes FROM node_record ORDER BY name")?;
    collect(statement.query([])?, |row| {
        let row = TableRow::new("node_record", row);
        Ok((row.get(0)?, verified(row.get(1)?, row.get(2)?, "node_record")?))
    })
}

fn verified(digest: [u8; 32], bytes: Vec<u8>, table: &str) -> Result<Vec<u8>, Fault> {
    if Digest::compute(&bytes).as_bytes() == &digest {
        return Ok(bytes);
    }
    Err(corrupt(format!("table {table}: the bytes of a row do not match their digest")).into())
}
