//! The read statements.

use std::time::Duration;

use tokio_postgres::Row;
use votekit_core::batch::Batch;
use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, NodeId, RequestId, Sequence};
use votekit_core::instant::{UnixMillis, UnixSeconds};

use super::connections::Session;
use super::fault::{corrupt, report_passed_over};
use super::rows::{self, column, fixed_bytes, number, of_table, value};
use crate::block_rows::{LeafRange, LeafRun, verify_manifest, verify_tile};
use crate::{
    BatchName, EngineError, Head, Lease, LogPosition, ReviewNote, StagedPlace, StagingId,
    StagingRead, StoredBlock, UnreadableRow,
};

/// A read ends with the row that reaches this many bytes: blocks and batches have megabytes each at
/// most.
pub(super) const READ_BYTES_MAX: i64 = 8 << 20;

/// Maximum number of rows in one read.
const READ_ROWS_MAX: usize = 4096;

/// The longest values that are read: several times longer than this program stores. Another program
/// may have written a longer value. It is read as null, which counts as damage and uses no memory.
const BATCH_BYTES_MAX: i32 = 16 << 20;
const HINTS_BYTES_MAX: i32 = 1 << 20;
const MANIFEST_BYTES_MAX: i32 = 64 << 20;
const RECORD_BYTES_MAX: i32 = 1 << 16;
const SEALED_KEY_BYTES_MAX: i32 = 1 << 16;

/// The most elections and records of nodes that are listed.
const LISTED_MAX: usize = 5000;

/// Decodes the rows of a list. Another program can insert any row: a row that cannot be decoded
/// must not hide the others, and the number of rows is bounded.
pub(super) fn listed<T>(
    rows: &[Row],
    decode: impl Fn(&Row) -> Result<T, EngineError>,
) -> Result<Vec<T>, EngineError> {
    if rows.len() > LISTED_MAX {
        report_passed_over("a list has more rows than any installation");
    }
    usable(&rows[..rows.len().min(LISTED_MAX)], decode)
}

/// Decodes rows, and passes over those that cannot be decoded.
fn usable<T>(
    rows: &[Row],
    decode: impl Fn(&Row) -> Result<T, EngineError>,
) -> Result<Vec<T>, EngineError> {
    let mut decoded = Vec::with_capacity(rows.len());
    for row in rows {
        match decode(row) {
            Ok(one) => decoded.push(one),
            Err(EngineError::Corrupt { reason, .. }) => report_passed_over(&reason),
            Err(error) => return Err(error),
        }
    }
    Ok(decoded)
}

/// The limit of a list: one more than is used shows that there are more.
pub(super) const LIST_LIMIT: i64 = LISTED_MAX as i64 + 1;

pub(super) async fn elections(session: &mut Session) -> Result<Vec<ElectionId>, EngineError> {
    let sql = "SELECT left(law_id, 64) AS law_id FROM head JOIN election ON id = election
        ORDER BY created LIMIT $1";
    listed(&session.read(sql, &[&LIST_LIMIT]).await?, rows::law_id)
}

pub(super) async fn epochs(
    session: &mut Session,
    law_id: &ElectionId,
) -> Result<Vec<(NodeId, Epoch)>, EngineError> {
    let sql = "SELECT node, epoch FROM epoch JOIN election ON id = election WHERE law_id = $1 ORDER BY node, epoch";
    let epoch = |row: &Row| {
        Ok((NodeId::from_bytes(fixed_bytes(row, "node")?), Epoch(number(row, "epoch")?)))
    };
    usable(&session.read(sql, &[&law_id.as_str()]).await?, epoch)
}

pub(super) async fn leases(
    session: &mut Session,
    law_id: &ElectionId,
) -> Result<Vec<Lease>, EngineError> {
    let sql = "SELECT node, epoch, seconds FROM (
        SELECT node, epoch,
            extract(epoch FROM lease_until - clock_timestamp())::double precision AS seconds
        FROM epoch JOIN election ON id = election WHERE law_id = $1 AND lease_until IS NOT NULL
        ) AS each WHERE seconds > 0 ORDER BY node, epoch";
    let rows = session.read(sql, &[&law_id.as_str()]).await?;
    let lease = |row: &tokio_postgres::Row| {
        let node = NodeId::from_bytes(fixed_bytes(row, "node")?);
        Ok(Lease {
            node,
            epoch: Epoch(number(row, "epoch")?),
            remaining: seconds(value(row, "seconds")?),
        })
    };
    usable(&rows, lease)
}

pub(super) async fn installation(session: &mut Session) -> Result<String, EngineError> {
    let rows = session.read("SELECT id FROM installation", &[]).await?;
    let row = rows.first().ok_or_else(|| corrupt("table installation is empty".to_owned()))?;
    value(row, "id")
}

pub(super) async fn clock(session: &mut Session) -> Result<UnixMillis, EngineError> {
    let rows = session.read("SELECT unix_milliseconds() AS now", &[]).await?;
    let row = rows
        .first()
        .ok_or_else(|| corrupt("function unix_milliseconds returned no row".to_owned()))?;
    number(row, "now").map(UnixMillis)
}

/// A duration from the server; zero if it is negative.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
}

/// Batches after a staging id, without those whose bytes are missing, and the rows between them
/// that are none, in order.
pub(super) async fn read_staging(
    session: &mut Session,
    law_id: &ElectionId,
    after: StagingId,
    limit: usize,
) -> Result<StagingRead, EngineError> {
    let mut read = StagingRead::default();
    let Some(after) = column(after.0) else { return Ok(read) };
    // The first row is always read: `before` is the size of the rows before it. A row above the
    // last position that the ledger gave was inserted or moved there by another program. It is not
    // read: if a block sealed staging through it, no batch that is staged later would be read.
    let sql = "SELECT batch.id, digest, node, epoch, sequence,
            CASE WHEN octet_length(bytes) <= $5 THEN bytes END AS bytes,
            CASE WHEN octet_length(hints) <= $6 THEN hints END AS hints
        FROM batch JOIN (
        SELECT id, sum(size) OVER (ORDER BY id) - size AS before FROM (
            SELECT batch.id, octet_length(bytes) AS size FROM batch
            WHERE election = (SELECT id FROM election WHERE law_id = $1)
                AND id > $2 AND id <= (SELECT last FROM staging)
                AND bytes IS NOT NULL AND octet_length(bytes) > 0 ORDER BY id LIMIT $3
        ) AS next
    ) AS chosen ON chosen.id = batch.id WHERE before < $4::bigint ORDER BY batch.id";
    let rows = session
        .read(
            sql,
            &[
                &law_id.as_str(),
                &after,
                &limit_column(limit),
                &READ_BYTES_MAX,
                &BATCH_BYTES_MAX,
                &HINTS_BYTES_MAX,
            ],
        )
        .await?;
    for row in &rows {
        match rows::staged(row, law_id) {
            Ok(staged) => read.batches.push(staged),
            Err(EngineError::Corrupt { reason, .. }) => {
                let id = StagingId(of_table("batch", number(row, "id"))?);
                read.unreadable.push(UnreadableRow { id, reason });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// One batch by its number; `None` if its bytes are missing.
pub(super) async fn batch(
    session: &mut Session,
    law_id: &ElectionId,
    batch: BatchNumber,
) -> Result<Option<Batch>, EngineError> {
    let Some(sequence) = column(batch.sequence.0) else { return Ok(None) };
    let sql = "SELECT id, digest, node, epoch, sequence,
            CASE WHEN octet_length(bytes) <= $5 THEN bytes END AS bytes,
            CASE WHEN octet_length(hints) <= $6 THEN hints END AS hints
        FROM batch
        WHERE election = (SELECT id FROM election WHERE law_id = $1) AND node = $2 AND epoch = $3
            AND sequence = $4 AND octet_length(bytes) > 0";
    let rows = session
        .read(
            sql,
            &[
                &law_id.as_str(),
                &batch.node.as_bytes().as_slice(),
                &i64::from(batch.epoch.0),
                &sequence,
                &BATCH_BYTES_MAX,
                &HINTS_BYTES_MAX,
            ],
        )
        .await?;
    let staged = rows.first().map(|row| rows::staged(row, law_id)).transpose()?;
    Ok(staged.map(|staged| Batch::clone(&staged.batch)))
}

/// The digest of the batch of an election at a position, purged or not.
pub(super) async fn batch_at(
    session: &mut Session,
    law_id: &ElectionId,
    id: StagingId,
) -> Result<Option<Digest>, EngineError> {
    let Some(id) = column(id.0) else { return Ok(None) };
    let sql = "SELECT CASE WHEN octet_length(digest) = 32 THEN digest END AS digest FROM batch
        WHERE id = $1 AND election = (SELECT id FROM election WHERE law_id = $2)";
    let rows = session.read(sql, &[&id, &law_id.as_str()]).await?;
    // One that is none is another program's: the position has no batch.
    let digest = |row: &Row| fixed_bytes(row, "digest").ok().map(Digest::from_bytes);
    Ok(rows.first().and_then(digest))
}

pub(super) async fn staged_through(
    session: &mut Session,
    law_id: &ElectionId,
    node: NodeId,
    epoch: Epoch,
) -> Result<Option<Sequence>, EngineError> {
    let sql =
        "SELECT sequence FROM batch WHERE election = (SELECT id FROM election WHERE law_id = $1) AND node = $2 AND epoch = $3
            AND sequence > 0
        ORDER BY sequence DESC LIMIT 1";
    let rows = session
        .read(sql, &[&law_id.as_str(), &node.as_bytes().as_slice(), &i64::from(epoch.0)])
        .await?;
    let sequence = |row: &Row| of_table("batch", number(row, "sequence").map(Sequence));
    rows.first().map(sequence).transpose()
}

/// The rows of staging after a position, in order. Leaves out rows with column values that no batch
/// can have: another program wrote them. A row above the last position that the ledger gave is
/// reported without its batch, as if its bytes were missing, because [`staged`] does not read it
/// either.
pub(super) async fn staged_places(
    session: &mut Session,
    law_id: &ElectionId,
    after: StagingId,
    limit: usize,
) -> Result<Vec<StagedPlace>, EngineError> {
    let Some(after) = column(after.0) else { return Ok(Vec::new()) };
    let part = |bytes: &str| {
        // Each part uses its own index, in the order of positions: `+ 0` keeps the planner from
        // using the index of batch numbers, with which it would read all batches of the election.
        format!(
            "SELECT id, node, epoch, sequence, digest,
                coalesce(octet_length(bytes) > 0, false)
                    AND id <= (SELECT last FROM staging) AS has_batch
            FROM batch WHERE election = (SELECT id FROM election WHERE law_id = $1)
                AND id > $2 AND bytes {bytes}
                AND octet_length(node) = 8 AND octet_length(digest) = 32
                AND epoch + 0 BETWEEN 1 AND 4294967295 AND sequence + 0 > 0
            ORDER BY id LIMIT $3"
        )
    };
    let (whole, emptied) = (part("IS NOT NULL"), part("IS NULL"));
    let sql =
        format!("SELECT * FROM (({whole}) UNION ALL ({emptied})) AS places ORDER BY id LIMIT $3");
    let rows = session.read(&sql, &[&law_id.as_str(), &after, &limit_column(limit)]).await?;
    let place = |row: &Row| {
        Ok(StagedPlace {
            id: StagingId(number(row, "id")?),
            number: BatchNumber {
                node: NodeId::from_bytes(fixed_bytes(row, "node")?),
                epoch: Epoch(number(row, "epoch")?),
                sequence: Sequence(number(row, "sequence")?),
            },
            digest: Digest::from_bytes(fixed_bytes(row, "digest")?),
            has_batch: value(row, "has_batch")?,
        })
    };
    rows.iter().map(|row| of_table("batch", place(row))).collect()
}

/// Whether each of these batches is stored with this digest and with bytes that have it, at a
/// position that the ledger gave. The digest covers the bytes without the signature, the last 64.
pub(super) async fn are_staged(
    session: &mut Session,
    batches: &[BatchName],
) -> Result<Vec<bool>, EngineError> {
    // `+ 0` keeps the planner from scanning all positions instead of looking up the batch number.
    let sql = "SELECT EXISTS (
            SELECT FROM batch JOIN election ON election.id = batch.election
            WHERE election.law_id = wanted.law_id AND batch.node = wanted.node
                AND batch.epoch = wanted.epoch AND batch.sequence = wanted.sequence
                AND batch.digest = wanted.digest
                AND sha256(substr(batch.bytes, 1, greatest(octet_length(batch.bytes) - 64, 0)))
                    = wanted.digest
                AND batch.id + 0 BETWEEN 1 AND (SELECT last FROM staging)
        ) AS is_staged
        FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bytea[])
            WITH ORDINALITY AS wanted (law_id, node, epoch, sequence, digest, place)
        ORDER BY place";
    let law_ids: Vec<&str> = batches.iter().map(|batch| batch.law_id.as_str()).collect();
    let nodes: Vec<&[u8]> =
        batches.iter().map(|batch| batch.number.node.as_bytes().as_slice()).collect();
    let epochs: Vec<i64> = batches.iter().map(|batch| batch.number.epoch.0.into()).collect();
    // A sequence that does not fit into a column belongs to no stored batch; neither does -1.
    let sequences: Vec<i64> =
        batches.iter().map(|batch| column(batch.number.sequence.0).unwrap_or(-1)).collect();
    let digests: Vec<&[u8]> =
        batches.iter().map(|batch| batch.digest.as_bytes().as_slice()).collect();
    let rows = session.read(sql, &[&law_ids, &nodes, &epochs, &sequences, &digests]).await?;
    rows.iter().map(|row| value(row, "is_staged")).collect()
}

/// The height of every log, and the last id staged for it.
pub(super) async fn positions(session: &mut Session) -> Result<Vec<LogPosition>, EngineError> {
    let sql = "SELECT left(law_id, 64) AS law_id, height,
            coalesce((
                SELECT batch.id FROM batch
                WHERE batch.election = head.election AND bytes IS NOT NULL
                    AND batch.id <= (SELECT last FROM staging)
                ORDER BY batch.id DESC LIMIT 1
            ), 0) AS staged
        FROM head JOIN election ON id = election ORDER BY created LIMIT $1";
    let position = |row: &Row| {
        Ok(LogPosition {
            law_id: rows::law_id(row)?,
            height: rows::number(row, "height")?,
            staged: StagingId(rows::number(row, "staged")?),
        })
    };
    listed(&session.read(sql, &[&LIST_LIMIT]).await?, position)
}

pub(super) async fn head(
    session: &mut Session,
    law_id: &ElectionId,
) -> Result<Option<Head>, EngineError> {
    // A checkpoint is a note, of at most 1 MiB.
    let sql = "SELECT size, height, fence, sealed_through, takes_votes,
            CASE WHEN octet_length(root) = 32 THEN root END AS root,
            CASE WHEN octet_length(checkpoint) <= 1048576 THEN checkpoint END AS checkpoint,
            CASE WHEN octet_length(digest) = 32 THEN digest END AS digest
        FROM head JOIN election ON id = election WHERE law_id = $1";
    session.read(sql, &[&law_id.as_str()]).await?.first().map(rows::head).transpose()
}

pub(super) async fn blocks(
    session: &mut Session,
    law_id: &ElectionId,
    from_height: u64,
    limit: usize,
) -> Result<Vec<StoredBlock>, EngineError> {
    let Some(from_height) = column(from_height) else { return Ok(Vec::new()) };
    let sql = "SELECT height, first_leaf, leaf_count FROM (
        SELECT height, first_leaf, leaf_count,
            sum(size_bytes) OVER (ORDER BY height) - size_bytes AS before
        FROM (
            SELECT * FROM block WHERE election = (SELECT id FROM election WHERE law_id = $1)
                AND height >= $2 ORDER BY height LIMIT $3
        ) AS next
    ) AS summed WHERE before < $4::bigint ORDER BY height";
    let rows = session
        .read(sql, &[&law_id.as_str(), &from_height, &limit_column(limit), &READ_BYTES_MAX])
        .await?;
    let block = |row: &Row| of_table("block", block_without_leaves(row));
    let mut blocks = rows.iter().map(block).collect::<Result<Vec<_>, EngineError>>()?;
    let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else { return Ok(blocks) };
    let (start, end) = (first.first_leaf, last.first_leaf + u64::from(last.leaf_count));
    let mut runs = runs(session, law_id, start, end).await?.into_iter().peekable();
    for block in &mut blocks {
        let end = block.first_leaf + u64::from(block.leaf_count);
        let mut next = block.first_leaf;
        while let Some(run) =
            runs.next_if(|run| run.first_leaf == next && next + u64::from(run.leaf_count) <= end)
        {
            next += u64::from(run.leaf_count);
            block.leaves.extend_from_slice(&run.bytes);
        }
        if next != end {
            return Err(corrupt(format!(
                "table leaves: leaves of block {} of {law_id} are missing",
                block.height
            )));
        }
    }
    Ok(blocks)
}

fn block_without_leaves(row: &tokio_postgres::Row) -> Result<StoredBlock, EngineError> {
    let (height, first_leaf) = (number(row, "height")?, number(row, "first_leaf")?);
    Ok(StoredBlock {
        height,
        first_leaf,
        leaf_count: number(row, "leaf_count")?,
        leaves: Vec::new(),
    })
}

/// The runs that contain the leaves `start..end`, in order; none when the log is shorter.
async fn runs(
    session: &mut Session,
    law_id: &ElectionId,
    start: u64,
    end: u64,
) -> Result<Vec<LeafRun>, EngineError> {
    let (Some(start), Some(end)) = (column(start), column(end)) else { return Ok(Vec::new()) };
    let sql = "SELECT first_leaf, leaf_count, digest, bytes
        FROM leaves, (SELECT id FROM election WHERE law_id = $1) AS wanted
        WHERE election = wanted.id AND first_leaf < $3 AND first_leaf >= coalesce((
            SELECT first_leaf FROM leaves WHERE election = wanted.id AND first_leaf <= $2
            ORDER BY first_leaf DESC LIMIT 1
        ), 0)
        AND EXISTS (SELECT FROM head WHERE election = wanted.id AND size >= $3)
        ORDER BY first_leaf";
    session.read(sql, &[&law_id.as_str(), &start, &end]).await?.iter().map(rows::leaf_run).collect()
}

/// `count` leaves from `first`, each prefixed by its length. `None` when the log is shorter.
pub(super) async fn leaves(
    session: &mut Session,
    law_id: &ElectionId,
    first: u64,
    count: u32,
) -> Result<Option<Vec<u8>>, EngineError> {
    let Some(end) = first.checked_add(count.into()).filter(|end| column(*end).is_some()) else {
        return Ok(None);
    };
    if count == 0 {
        return Ok(Some(Vec::new()));
    }
    let runs = runs(session, law_id, first, end).await?;
    if runs.is_empty() {
        return Ok(None);
    }
    let mut range = LeafRange::new(first, end);
    for run in runs {
        if !range.add(&run) {
            break;
        }
    }
    range
        .finish()
        .map(Some)
        .map_err(|next| corrupt(format!("table leaves: leaf {next} of {law_id} is missing")))
}

pub(super) async fn tile(
    session: &mut Session,
    law_id: &ElectionId,
    level: u8,
    index: u64,
) -> Result<Option<Vec<u8>>, EngineError> {
    let Some(index_column) = column(index) else { return Ok(None) };
    let sql = "SELECT digest, hashes FROM tile JOIN election ON id = election WHERE law_id = $1 AND level = $2 AND idx = $3";
    let rows = session.read(sql, &[&law_id.as_str(), &i64::from(level), &index_column]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let hashes: Vec<u8> = value(row, "hashes")?;
    let verified = verify_tile(law_id, (level, index), hashes, &fixed_bytes(row, "digest")?);
    verified.map(Some).map_err(corrupt)
}

pub(super) async fn manifest(
    session: &mut Session,
    digest: &Digest,
) -> Result<Option<Vec<u8>>, EngineError> {
    let rows = session
        .read(
            "SELECT CASE WHEN octet_length(bytes) <= $2 THEN bytes END AS bytes
             FROM manifest WHERE digest = $1",
            &[&digest.as_bytes().as_slice(), &MANIFEST_BYTES_MAX],
        )
        .await?;
    let Some(row) = rows.first() else { return Ok(None) };
    verify_manifest(value(row, "bytes")?, digest).map(Some).map_err(corrupt)
}

pub(super) async fn review_notes(
    session: &mut Session,
    law_id: &ElectionId,
) -> Result<Vec<ReviewNote>, EngineError> {
    let sql = "SELECT request, at, by, text FROM review_note JOIN election ON election.id = election WHERE law_id = $1
        ORDER BY review_note.id";
    let note = |row: &tokio_postgres::Row| {
        let request = RequestId::from_bytes(fixed_bytes(row, "request")?);
        Ok(ReviewNote {
            request,
            at: UnixSeconds(number(row, "at")?),
            by: value(row, "by")?,
            text: value(row, "text")?,
        })
    };
    session.read(sql, &[&law_id.as_str()]).await?.iter().map(note).collect()
}

pub(super) async fn sealed_key(
    session: &mut Session,
    law_id: &ElectionId,
    recipient: &[u8; 32],
) -> Result<Option<Vec<u8>>, EngineError> {
    let sql = "SELECT bytes FROM sealed_key JOIN election ON id = election
        WHERE law_id = $1 AND recipient = $2 AND octet_length(bytes) <= $3";
    let recipient = recipient.as_slice();
    let rows = session.read(sql, &[&law_id.as_str(), &recipient, &SEALED_KEY_BYTES_MAX]).await?;
    rows.first().map(|row| value(row, "bytes")).transpose()
}

/// As many elections as are listed, with keys for a hundred recipients each.
const RECIPIENTS_MAX: i64 = 100 * LISTED_MAX as i64;

pub(super) async fn sealed_key_recipients(
    session: &mut Session,
) -> Result<Vec<(ElectionId, [u8; 32])>, EngineError> {
    let sql = "SELECT left(law_id, 64) AS law_id, recipient
        FROM sealed_key JOIN election ON id = election
        WHERE octet_length(recipient) = 32 LIMIT $1";
    let rows = session.read(sql, &[&RECIPIENTS_MAX]).await?;
    // A row that cannot be decoded was written by another program, and belongs to no known
    // election.
    let known = |row: &Row| Some((rows::law_id(row).ok()?, fixed_bytes(row, "recipient").ok()?));
    Ok(rows.iter().filter_map(known).collect())
}

pub(super) async fn node_records(
    session: &mut Session,
) -> Result<Vec<(String, Vec<u8>)>, EngineError> {
    // By bytes, whatever the database's collation.
    let sql = "SELECT name, bytes FROM node_record
        WHERE octet_length(name) <= 255 AND octet_length(bytes) <= $1
        ORDER BY name COLLATE \"C\" LIMIT $2";
    let record = |row: &Row| Ok((value::<String>(row, "name")?, value::<Vec<u8>>(row, "bytes")?));
    listed(&session.read(sql, &[&RECORD_BYTES_MAX, &LIST_LIMIT]).await?, record)
}

pub(super) async fn ping(session: &mut Session) -> Result<(), EngineError> {
    session.read("SELECT FROM staging", &[]).await.map(|_| ())
}

pub(super) fn limit_column(limit: usize) -> i64 {
    limit.min(READ_ROWS_MAX) as i64
}
