//! The read queries.

use std::sync::Arc;

use rusqlite::{Connection, Row};
use votekit_core::batch::Batch;
use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, NodeId, RequestId, Sequence};
use votekit_core::instant::UnixSeconds;

use super::columns::{self, ElectionRow, TableRow, find_election};
use super::fault::{Fault, corrupt};
use crate::block_rows::{LeafRange, verify_manifest, verify_tile};
use crate::{
    BatchName, DamagedRow, EngineError, Head, Hints, LogRow, NewRow, ReviewNote, RowId, RowsRead,
    Staged, StagedPlace, StagingId, StagingRead, StoredBlock, UnreadableRow,
};

/// Limit of one read in bytes: it ends with the row that reaches the limit. Blocks and batches have
/// megabytes at most.
const READ_BYTES_MAX: usize = 8 << 20;

const BLOCK: &str = "SELECT height, first_leaf, leaf_count FROM block";
const BATCH: &str = "SELECT id, digest, bytes, node, epoch, sequence FROM batch";
const LEAVES: &str = "SELECT first_leaf, leaf_count, digest, bytes FROM leaves";

pub(super) fn elections(connection: &Connection) -> Result<Vec<ElectionId>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT law_id FROM head JOIN election ON id = election ORDER BY created",
    )?;
    collect(statement.query([])?, |row| {
        columns::law_id(&TableRow::new("election", row).get::<String>(0)?)
    })
}

pub(super) fn epochs(
    connection: &Connection,
    law_id: &ElectionId,
) -> Result<Vec<(NodeId, Epoch)>, Fault> {
    let Some(election) = find_election(connection, law_id)? else { return Ok(Vec::new()) };
    let mut statement = connection
        .prepare_cached("SELECT node, epoch FROM epoch WHERE election = ?1 ORDER BY node, epoch")?;
    collect(statement.query([election.0])?, |row| {
        let row = TableRow::new("epoch", row);
        Ok((NodeId::from_bytes(row.get(0)?), Epoch(row.get(1)?)))
    })
}

/// Whether each of these batches is stored with this digest and with bytes that have it.
pub(super) fn are_staged(
    connection: &Connection,
    batches: &[BatchName],
) -> Result<Vec<bool>, Fault> {
    let is_staged = |name: &BatchName| match batch(connection, &name.law_id, name.number) {
        Ok(stored) => Ok(stored.is_some_and(|stored| stored.digest() == name.digest)),
        // The row is not the batch that its columns state.
        Err(Fault::Engine(EngineError::Corrupt { .. })) => Ok(false),
        Err(fault) => Err(fault),
    };
    batches.iter().map(is_staged).collect()
}

/// Batches after a position, without those whose bytes are missing, in order: until they reach
/// [`READ_BYTES_MAX`], and at least one, if there is any. A row that is no batch is damage, unless
/// other programs write to the ledger.
pub(super) fn read_staging(
    connection: &Connection,
    law_id: &ElectionId,
    (after, limit): (StagingId, usize),
    is_shared: bool,
) -> Result<StagingRead, Fault> {
    let mut read = StagingRead::default();
    let (Some(election), Some(after)) =
        (find_election(connection, law_id)?, columns::column(after.0))
    else {
        return Ok(read);
    };
    let mut statement = connection.prepare_cached(&format!(
        "{BATCH} WHERE election = ?1 AND id > ?2 AND bytes IS NOT NULL AND length(bytes) > 0 \
         ORDER BY id LIMIT ?3"
    ))?;
    let mut rows = statement.query((election.0, after, limit_column(limit)))?;
    let mut bytes = 0;
    while bytes < READ_BYTES_MAX
        && let Some(row) = rows.next()?
    {
        let id = StagingId(TableRow::new("batch", row).number(0)?);
        match columns::batch(row, law_id) {
            Ok((_, batch)) => {
                bytes += batch.as_bytes().len();
                read.batches.push(Staged { id, batch: Arc::new(batch), hints: Hints::new() });
            }
            Err(Fault::Engine(EngineError::Corrupt { reason, .. })) if is_shared => {
                read.unreadable.push(UnreadableRow { id, reason });
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(read)
}

/// A batch by its number; `None` if its bytes are missing.
pub(super) fn batch(
    connection: &Connection,
    law_id: &ElectionId,
    number: BatchNumber,
) -> Result<Option<Batch>, Fault> {
    let (Some(election), Some(sequence)) =
        (find_election(connection, law_id)?, columns::column(number.sequence.0))
    else {
        return Ok(None);
    };
    let batch = connection
        .prepare_cached(&format!(
            "{BATCH} WHERE election = ?1 AND node = ?2 AND epoch = ?3 AND sequence = ?4 \
             AND length(bytes) > 0"
        ))?
        .query((election.0, number.node.as_bytes(), number.epoch.0, sequence))?
        .next()?
        .map(|row| columns::batch(row, law_id))
        .transpose()?;
    Ok(batch.map(|(_, batch)| batch))
}

/// The rows of staging after a position, in order. A row whose columns no batch has is another
/// program's, and is left out.
pub(super) fn staged_places(
    connection: &Connection,
    law_id: &ElectionId,
    after: StagingId,
    limit: usize,
) -> Result<Vec<StagedPlace>, Fault> {
    let (Some(election), Some(after)) =
        (find_election(connection, law_id)?, columns::column(after.0))
    else {
        return Ok(Vec::new());
    };
    let mut statement = connection.prepare_cached(
        "SELECT id, node, epoch, sequence, digest, coalesce(length(bytes) > 0, 0) FROM batch \
         WHERE election = ?1 AND id > ?2 AND length(node) = 8 AND length(digest) = 32 \
         AND epoch BETWEEN 1 AND 4294967295 AND sequence > 0 ORDER BY id LIMIT ?3",
    )?;
    collect(statement.query((election.0, after, limit_column(limit)))?, |row| {
        let row = TableRow::new("batch", row);
        Ok(StagedPlace {
            id: StagingId(row.number(0)?),
            number: BatchNumber {
                node: NodeId::from_bytes(row.get(1)?),
                epoch: Epoch(row.get(2)?),
                sequence: Sequence(row.number(3)?),
            },
            digest: Digest::from_bytes(row.get(4)?),
            has_batch: row.get(5)?,
        })
    })
}

/// The digest of the batch of an election at a position, purged or not.
pub(super) fn batch_at(
    connection: &Connection,
    law_id: &ElectionId,
    id: StagingId,
) -> Result<Option<Digest>, Fault> {
    let (Some(election), Some(id)) = (find_election(connection, law_id)?, columns::column(id.0))
    else {
        return Ok(None);
    };
    connection
        .prepare_cached("SELECT digest FROM batch WHERE id = ?1 AND election = ?2")?
        .query((id, election.0))?
        .next()?
        .map(|row| TableRow::new("batch", row).get::<Vec<u8>>(0))
        .transpose()
        .map(|digest| digest.and_then(|bytes| bytes.try_into().ok()).map(Digest::from_bytes))
}

pub(super) fn staged_through(
    connection: &Connection,
    law_id: &ElectionId,
    node: NodeId,
    epoch: Epoch,
) -> Result<Option<Sequence>, Fault> {
    let Some(election) = find_election(connection, law_id)? else { return Ok(None) };
    connection
        .prepare_cached(
            "SELECT sequence FROM batch WHERE election = ?1 AND node = ?2 AND epoch = ?3 \
             AND sequence > 0 ORDER BY sequence DESC LIMIT 1",
        )?
        .query((election.0, node.as_bytes(), epoch.0))?
        .next()?
        .map(|row| TableRow::new("batch", row).number(0).map(Sequence))
        .transpose()
}

pub(super) fn head(connection: &Connection, election: ElectionRow) -> Result<Option<Head>, Fault> {
    connection
        .prepare_cached(
            "SELECT size, height, root, fence, checkpoint, sealed_through, takes_votes, digest \
             FROM head WHERE election = ?1",
        )?
        .query([election.0])?
        .next()?
        .map(columns::head)
        .transpose()
}

pub(super) fn block(
    connection: &Connection,
    election: ElectionRow,
    height: i64,
) -> Result<Option<StoredBlock>, Fault> {
    connection
        .prepare_cached(&format!("{BLOCK} WHERE election = ?1 AND height = ?2"))?
        .query((election.0, height))?
        .next()?
        .map(|row| whole_block(connection, election, row))
        .transpose()
}

pub(super) fn blocks(
    connection: &Connection,
    law_id: &ElectionId,
    from_height: u64,
    limit: usize,
) -> Result<Vec<StoredBlock>, Fault> {
    let (Some(election), Some(from_height)) =
        (find_election(connection, law_id)?, columns::column(from_height))
    else {
        return Ok(Vec::new());
    };
    let mut statement = connection.prepare_cached(&format!(
        "{BLOCK} WHERE election = ?1 AND height >= ?2 ORDER BY height LIMIT ?3"
    ))?;
    let rows = statement.query((election.0, from_height, limit_column(limit)))?;
    collect_some(rows, |row| whole_block(connection, election, row), |block| block.leaves.len())
}

/// Reads `height, first_leaf, leaf_count`, and the leaves.
fn whole_block(
    connection: &Connection,
    election: ElectionRow,
    row: &Row<'_>,
) -> Result<StoredBlock, Fault> {
    let row = TableRow::new("block", row);
    let (height, first_leaf, leaf_count) = (row.number(0)?, row.number(1)?, row.get(2)?);
    let leaves = leaf_range(connection, election, first_leaf, leaf_count)?;
    let leaves = leaves
        .ok_or_else(|| corrupt(format!("table leaves: leaves of block {height} are missing")))?;
    Ok(StoredBlock { height, first_leaf, leaf_count, leaves })
}

/// `count` leaves from index `first`, each preceded by its length.
pub(super) fn leaves(
    connection: &Connection,
    law_id: &ElectionId,
    first: u64,
    count: u32,
) -> Result<Option<Vec<u8>>, Fault> {
    let Some(election) = find_election(connection, law_id)? else { return Ok(None) };
    leaf_range(connection, election, first, count)
}

/// `None` when the stored runs end before the range does.
fn leaf_range(
    connection: &Connection,
    election: ElectionRow,
    first: u64,
    count: u32,
) -> Result<Option<Vec<u8>>, Fault> {
    let end = first.checked_add(count.into()).and_then(columns::column);
    let (Some(column), Some(end)) = (columns::column(first), end) else { return Ok(None) };
    // From the run that contains `first` to the last run that begins before `end`.
    let mut statement = connection.prepare_cached(&format!(
        "{LEAVES} WHERE election = ?1 AND first_leaf < ?3 AND first_leaf >=
         coalesce((SELECT max(first_leaf) FROM leaves WHERE election = ?1 \
         AND first_leaf <= ?2), 0) ORDER BY first_leaf"
    ))?;
    let mut rows = statement.query((election.0, column, end))?;
    let mut range = LeafRange::new(first, first + u64::from(count));
    while let Some(row) = rows.next()? {
        if !range.add(&columns::leaf_run(row)?) {
            break;
        }
    }
    Ok(range.finish().ok())
}

pub(super) fn tile(
    connection: &Connection,
    law_id: &ElectionId,
    level: u8,
    index: u64,
) -> Result<Option<Vec<u8>>, Fault> {
    let (Some(election), Some(column)) =
        (find_election(connection, law_id)?, columns::column(index))
    else {
        return Ok(None);
    };
    let read = |row: &Row<'_>| -> Result<([u8; 32], Vec<u8>), Fault> {
        let row = TableRow::new("tile", row);
        Ok((row.get(0)?, row.get(1)?))
    };
    let tile = connection
        .prepare_cached(
            "SELECT digest, hashes FROM tile WHERE election = ?1 AND level = ?2 AND idx = ?3",
        )?
        .query((election.0, level, column))?
        .next()?
        .map(read)
        .transpose()?;
    let Some((digest, hashes)) = tile else { return Ok(None) };
    let verified = verify_tile(law_id, (level, index), hashes, &digest);
    verified.map(Some).map_err(|damage| corrupt(damage).into())
}

pub(super) fn manifest(connection: &Connection, digest: &Digest) -> Result<Option<Vec<u8>>, Fault> {
    let bytes = connection
        .prepare_cached("SELECT bytes FROM manifest WHERE digest = ?1")?
        .query([digest.as_bytes()])?
        .next()?
        .map(|row| TableRow::new("manifest", row).get::<Vec<u8>>(0))
        .transpose()?;
    let Some(bytes) = bytes else { return Ok(None) };
    verify_manifest(bytes, digest).map(Some).map_err(|damage| corrupt(damage).into())
}

pub(super) fn ping(connection: &Connection) -> Result<(), Fault> {
    Ok(connection.prepare_cached("SELECT 1 FROM election LIMIT 1")?.exists([]).map(|_| ())?)
}

pub(super) fn collect<T>(
    mut rows: rusqlite::Rows<'_>,
    mut read: impl FnMut(&Row<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut values = Vec::new();
    while let Some(row) = rows.next()? {
        values.push(read(row)?);
    }
    Ok(values)
}

/// Collects rows until they reach [`READ_BYTES_MAX`]; at least one, if there is any.
pub(super) fn collect_some<T>(
    mut rows: rusqlite::Rows<'_>,
    mut read: impl FnMut(&Row<'_>) -> Result<T, Fault>,
    bytes_of: impl Fn(&T) -> usize,
) -> Result<Vec<T>, Fault> {
    let (mut values, mut bytes) = (Vec::new(), 0);
    while bytes < READ_BYTES_MAX
        && let Some(row) = rows.next()?
    {
        let value = read(row)?;
        bytes += bytes_of(&value);
        values.push(value);
    }
    Ok(values)
}

fn limit_column(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn review_notes(
    connection: &Connection,
    law_id: &ElectionId,
) -> Result<Vec<ReviewNote>, Fault> {
    let Some(election) = find_election(connection, law_id)? else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(
        "SELECT request, at, by, text FROM review_note WHERE election = ?1 ORDER BY id",
    )?;
    collect(statement.query([election.0])?, |row| {
        let row = TableRow::new("review_note", row);
        let at = UnixSeconds(row.number(1)?);
        Ok(ReviewNote {
            request: RequestId::from_bytes(row.get(0)?),
            at,
            by: row.get(2)?,
            text: row.get(3)?,
        })
    })
}

/// The highest term that was granted.
pub(super) fn leadership_term(connection: &Connection) -> Result<u64, Fault> {
    let mut statement = connection.prepare("SELECT term FROM leadership")?;
    let mut rows = statement.query([])?;
    let row = rows.next()?.ok_or_else(|| corrupt("table leadership: its row is missing"))?;
    TableRow::new("leadership", row).number(0)
}

/// Rows of rounds after a position, in order.
pub(super) fn rows_after(
    connection: &Connection,
    after: RowId,
    limit: usize,
) -> Result<RowsRead, Fault> {
    // Read before the rows: what is stored in between is among the rows, or is read next time.
    let last = last_row(connection)?;
    let after = columns::column(after.0).unwrap_or(i64::MAX);
    let at_after = row_digest_at(connection, after)?;
    let read = RowsRead { last, after: at_after, ..RowsRead::default() };
    let chosen = "WHERE round_row.id > ?1 ORDER BY round_row.id LIMIT ?2";
    read_rows(connection, chosen, after, limit, read)
}

/// The newest rows of rounds, in order.
pub(super) fn newest_rows(connection: &Connection, limit: usize) -> Result<RowsRead, Fault> {
    let read = RowsRead { last: last_row(connection)?, ..RowsRead::default() };
    let chosen = "WHERE round_row.id <= ?1 ORDER BY round_row.id DESC LIMIT ?2";
    let mut read = read_rows(connection, chosen, i64::MAX, limit, read)?;
    read.rows.reverse();
    read.damaged.reverse();
    Ok(read)
}

/// Adds the rows that are chosen by a position and a number, in the order of the choice.
fn read_rows(
    connection: &Connection,
    chosen: &str,
    position: i64,
    limit: usize,
    mut read: RowsRead,
) -> Result<RowsRead, Fault> {
    // Columns that are longer than any that this program stores are null, and so damage.
    let mut statement = connection.prepare_cached(&format!(
        "SELECT round_row.id, kind, authority, law_id, height, term, digest, \
         CASE WHEN length(bytes) <= ?3 THEN bytes END, \
         CASE WHEN length(leaves) <= ?4 THEN leaves END \
         FROM round_row LEFT JOIN election ON election.id = election {chosen}"
    ))?;
    let (bytes_max, leaves_max) = (NewRow::BYTES_MAX as i64, NewRow::LEAVES_BYTES_MAX as i64);
    let mut rows = statement.query((position, limit_column(limit), bytes_max, leaves_max))?;
    let mut bytes = 0;
    while bytes < READ_BYTES_MAX
        && let Some(row) = rows.next()?
    {
        let id = RowId(TableRow::new("round_row", row).number(0)?);
        read.last = read.last.max(id);
        match columns::round_row(row) {
            Ok(found) => {
                bytes += found.bytes.len() + found.leaves.len();
                read.rows.push(found);
            }
            Err(Fault::Engine(EngineError::Corrupt { reason, .. })) => {
                read.damaged.push(DamagedRow { id, reason });
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(read)
}

/// The digest of the row at a position.
fn row_digest_at(connection: &Connection, id: i64) -> Result<Option<Digest>, Fault> {
    connection
        .prepare_cached("SELECT digest FROM round_row WHERE id = ?1")?
        .query([id])?
        .next()?
        .map(|row| TableRow::new("round_row", row).get::<Vec<u8>>(0))
        .transpose()
        .map(|digest| digest.and_then(|bytes| bytes.try_into().ok()).map(Digest::from_bytes))
}

/// The last position assigned to a row of a round, even if the row was removed.
fn last_row(connection: &Connection) -> Result<RowId, Fault> {
    connection
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'round_row'")?
        .query([])?
        .next()?
        .map_or(Ok(RowId(0)), |row| TableRow::new("sqlite_sequence", row).number(0).map(RowId))
}

pub(super) fn sealed_key(
    connection: &Connection,
    law_id: &ElectionId,
    recipient: &[u8; 32],
) -> Result<Option<Vec<u8>>, Fault> {
    let Some(election) = find_election(connection, law_id)? else { return Ok(None) };
    connection
        .prepare_cached("SELECT bytes FROM sealed_key WHERE election = ?1 AND recipient = ?2")?
        .query((election.0, recipient))?
        .next()?
        .map(|row| TableRow::new("sealed_key", row).get(0))
        .transpose()
}

pub(super) fn sealed_key_recipients(
    connection: &Connection,
) -> Result<Vec<(ElectionId, [u8; 32])>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT law_id, recipient FROM sealed_key JOIN election ON id = election",
    )?;
    collect(statement.query([])?, |row| {
        let row = TableRow::new("sealed_key", row);
        Ok((columns::law_id(&row.get::<String>(0)?)?, row.get(1)?))
    })
}

pub(super) fn node_records(connection: &Connection) -> Result<Vec<(String, Vec<u8>)>, Fault> {
    let mut statement =
        connection.prepare_cached("SELECT name, bytes FROM node_record ORDER BY name")?;
    collect(statement.query([])?, |row| {
        let row = TableRow::new("node_record", row);
        Ok((row.get(0)?, row.get(1)?))
    })
}

/// The head of a log, and its rows above a position, as they are.
const LOG_ROWS: [(&str, &str); 4] = [
    (
        "head",
        "SELECT json_object('size', size, 'height', height, 'root', hex(root), 'fence', fence, \
         'checkpoint', hex(checkpoint), 'sealed_through', sealed_through, \
         'takes_votes', takes_votes, 'digest', hex(digest)) \
         FROM head WHERE election = ?1 AND ?2 >= 0 AND ?3 >= 0",
    ),
    (
        "block",
        "SELECT json_object('height', height, 'first_leaf', first_leaf, 'leaf_count', leaf_count) \
         FROM block WHERE election = ?1 AND height > ?2 AND ?3 >= 0 ORDER BY height",
    ),
    (
        "leaves",
        "SELECT json_object('first_leaf', first_leaf, 'leaf_count', leaf_count, \
         'digest', hex(digest), 'bytes', hex(bytes)) \
         FROM leaves WHERE election = ?1 AND ?2 >= 0 AND first_leaf >= ?3 ORDER BY first_leaf",
    ),
    (
        // A tile stays if all leaves below it do.
        "tile",
        "SELECT json_object('level', level, 'idx', idx, 'digest', hex(digest), \
         'hashes', hex(hashes)) FROM tile WHERE election = ?1 AND ?2 >= 0 \
         AND idx >= (?3 >> (8 * (level + 1))) ORDER BY level, idx",
    ),
];

pub(super) fn log_rows_above(
    connection: &Connection,
    law_id: &ElectionId,
    height: u64,
    size: u64,
) -> Result<Vec<LogRow>, Fault> {
    let (Some(election), Some(height), Some(size)) =
        (find_election(connection, law_id)?, columns::column(height), columns::column(size))
    else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for (table, sql) in LOG_ROWS {
        let mut statement = connection.prepare_cached(sql)?;
        found.extend(collect(statement.query((election.0, height, size))?, |row| {
            let columns = TableRow::new(table, row).get(0)?;
            Ok(LogRow { table: table.to_owned(), columns })
        })?);
    }
    Ok(found)
}
