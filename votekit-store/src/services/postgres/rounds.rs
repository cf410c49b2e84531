//! The rows of rounds: statements, arguments and results.

use tokio_postgres::Row;
use votekit_core::id::{Digest, ElectionId};

use super::connections::Session;
use super::fault::{corrupt, malformed_write};
use super::queries::{READ_BYTES_MAX, limit_column};
use super::rows::{column, fixed_bytes, law_id, number, of_table, value};
use crate::error::NUMBER_RULE;
use crate::round_row::{FAR_TERM_RULE, row_digest};
use crate::{
    DamagedRow, EngineError, NewRow, RoundRow, RowId, RowKind, RowOutcome, RowsRead, TERM_STEP_MAX,
};

pub(super) async fn put_row(
    session: &mut Session,
    row: &NewRow,
    holder: Option<&str>,
) -> Result<RowOutcome, EngineError> {
    let broken = |rule| malformed_write(row.law_id.as_ref(), rule);
    if let Some(rule) = row.broken_rule() {
        return Err(broken(rule));
    }
    let number_column = |number| column(number).ok_or_else(|| broken(NUMBER_RULE));
    let (height, term) = (number_column(row.height)?, number_column(row.term)?);
    let sql = "SELECT outcome, present_term
        FROM put_round_row($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let step_max = column(TERM_STEP_MAX).expect("a small number");
    let answer = session
        .write(
            sql,
            &[
                &row.kind.as_str(),
                &row.authority,
                &row.law_id.as_ref().map(ElectionId::as_str),
                &height,
                &term,
                &row_digest(&row.bytes, &row.leaves).as_bytes().as_slice(),
                &row.bytes,
                &row.leaves,
                &holder,
                &step_max,
            ],
        )
        .await?;
    match value::<&str>(&answer, "outcome")? {
        "stored" => Ok(RowOutcome::Stored),
        "present" => Ok(RowOutcome::Present),
        "late" => Ok(RowOutcome::Late { term: number(&answer, "present_term")? }),
        "far" => Err(broken(FAR_TERM_RULE)),
        other => Err(corrupt(format!("function put_round_row returned {other:?}"))),
    }
}

/// Rows after a position, in order, and the last position given: as of one moment.
pub(super) async fn rows_after(
    session: &mut Session,
    after: RowId,
    limit: usize,
) -> Result<RowsRead, EngineError> {
    read_rows(session, after, limit, ("id > $1", "")).await
}

/// The newest rows, in order, and the last position given: as of one moment.
pub(super) async fn newest_rows(
    session: &mut Session,
    limit: usize,
) -> Result<RowsRead, EngineError> {
    // No row has this position.
    let newest = RowId(0);
    read_rows(session, newest, limit, ("id <> $1", "DESC")).await
}

/// Rows chosen by a condition on their positions, and by the order in which they are counted.
async fn read_rows(
    session: &mut Session,
    after: RowId,
    limit: usize,
    (condition, order): (&str, &str),
) -> Result<RowsRead, EngineError> {
    // Without a row, the other columns of the only result are null. The first row is always read:
    // `before` is the size of the rows before it. Columns that are longer than any that this
    // program stores are cut off or null, and so damage: they cost no memory. A position above the
    // last one given is another program's.
    let sql = format!(
        "SELECT last, each.*,
            (SELECT digest FROM round_row WHERE id = $1 AND octet_length(digest) = 32) AS at_after
        FROM round_order LEFT JOIN (
        SELECT round_row.id, left(kind, 16) AS kind, left(authority, 256) AS authority,
            left(law_id, 64) AS law_id, height, term,
            CASE WHEN octet_length(digest) = 32 THEN digest END AS digest,
            CASE WHEN octet_length(bytes) <= $4 THEN bytes END AS bytes,
            CASE WHEN octet_length(leaves) <= $5 THEN leaves END AS leaves
        FROM round_row JOIN (
            SELECT id, sum(size) OVER (ORDER BY id {order}) - size AS before FROM (
                SELECT id, octet_length(bytes)::bigint + octet_length(leaves) AS size FROM round_row
                WHERE {condition} AND id <= (SELECT last FROM round_order)
                ORDER BY id {order} LIMIT $2
            ) AS next
        ) AS chosen ON chosen.id = round_row.id
        LEFT JOIN election ON election.id = round_row.election
        WHERE before < $3::bigint
        ) AS each ON true ORDER BY each.id"
    );
    let after = column(after.0).unwrap_or(i64::MAX);
    let (bytes_max, leaves_max) = (NewRow::BYTES_MAX as i32, NewRow::LEAVES_BYTES_MAX as i32);
    let limit = limit_column(limit);
    let found =
        session.read(&sql, &[&after, &limit, &READ_BYTES_MAX, &bytes_max, &leaves_max]).await?;
    let first = found.first().ok_or_else(|| corrupt("table round_order is empty"))?;
    let last = RowId(of_table("round_order", number(first, "last"))?);
    let at_after = value::<Option<&[u8]>>(first, "at_after")?;
    let at_after = at_after.and_then(|digest| digest.try_into().ok()).map(Digest::from_bytes);
    let mut read = RowsRead { last, after: at_after, ..RowsRead::default() };
    for row in &found {
        let Some(id) = value::<Option<i64>>(row, "id")? else { continue };
        match of_table("round_row", decode_row(row)) {
            Ok(decoded) => read.rows.push(decoded),
            Err(EngineError::Corrupt { reason, .. }) => {
                let id = RowId(u64::try_from(id).unwrap_or_default());
                read.damaged.push(DamagedRow { id, reason });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Decodes a row, and verifies its digest.
fn decode_row(row: &Row) -> Result<RoundRow, EngineError> {
    let id: u64 = number(row, "id")?;
    let damage = |what: &str| corrupt(format!("table round_row: row {id}: {what}"));
    let kind = RowKind::parse(value(row, "kind")?);
    let kind = kind.ok_or_else(|| damage("its kind is unknown"))?;
    let is_of_election = value::<Option<&str>>(row, "law_id")?.is_some();
    let decoded = RoundRow {
        id: RowId(id),
        kind,
        authority: value(row, "authority")?,
        law_id: is_of_election.then(|| law_id(row)).transpose()?,
        height: number(row, "height")?,
        term: number(row, "term")?,
        bytes: value(row, "bytes")?,
        leaves: value(row, "leaves")?,
    };
    let digest = row_digest(&decoded.bytes, &decoded.leaves);
    if digest.as_bytes() == &fixed_bytes::<32>(row, "digest")? {
        return Ok(decoded);
    }
    Err(damage("it does not match its digest"))
}

/// Removes the rows of an election up to a height, except those that accuse.
pub(super) async fn remove_rows(
    session: &mut Session,
    law_id: &ElectionId,
    through_height: u64,
) -> Result<(), EngineError> {
    let height = column(through_height).unwrap_or(i64::MAX);
    let sql = "WITH removed AS (
        DELETE FROM round_row WHERE election = (SELECT id FROM election WHERE law_id = $1)
            AND height <= $2 AND kind IN ('proposal', 'accept', 'cosign') RETURNING 1
    ) SELECT count(*) AS removed FROM removed";
    session.write(sql, &[&law_id.as_str(), &height]).await.map(|_| ())
}

/// Removes rows that no round needs any more. Returns how many.
pub(super) async fn remove_old_rows(
    session: &mut Session,
    through: RowId,
    limit: usize,
) -> Result<u64, EngineError> {
    let through = column(through.0).unwrap_or(i64::MAX);
    // The conditions on `later` are those of the index.
    let sql = "WITH old AS (
        SELECT id FROM round_row AS one
        WHERE id <= $1 AND (
            kind = 'refuse'
            OR (kind IN ('vote', 'suspect') AND term < (SELECT leadership.term FROM leadership)
                AND (kind = 'suspect' OR EXISTS (
                    SELECT 1 FROM round_row AS later
                    WHERE coalesce(later.election, 0) = 0
                        AND later.height = 0 AND later.kind = 'vote'
                        AND later.authority = one.authority AND later.term > one.term
                )))
            OR (kind IN ('proposal', 'accept', 'cosign')
                AND height <= (SELECT head.height FROM head WHERE head.election = one.election))
        ) ORDER BY id LIMIT $2
    ), removed AS (
        DELETE FROM round_row WHERE id IN (SELECT id FROM old) RETURNING 1
    ) SELECT count(*) AS removed FROM removed";
    let row = session.write(sql, &[&through, &limit_column(limit)]).await?;
    number(&row, "removed")
}
