//! The rows of rounds: statements, arguments and results.

use tokio_postgres::Row;
use votekit_core::id::ElectionId;

use super::connections::Session;
use super::fault::{corrupt, malformed_write};
use super::queries::{READ_BYTES_MAX, limit_column};
use super::rows::{column, fixed_bytes, law_id, number, of_table, value};
use crate::round_row::row_digest;
use crate::{EngineError, NewRow, RoundRow, RowId, RowKind, RowOutcome, RowsRead};

pub(super) async fn put_row(
    session: &mut Session,
    row: &NewRow,
    holder: Option<&str>,
) -> Result<RowOutcome, EngineError> {
    let broken = |rule| malformed_write(row.law_id.as_ref(), rule);
    if let Some(rule) = row.broken_rule() {
        return Err(broken(rule));
    }
    let number_column =
        |number| column(number).ok_or_else(|| broken("numbers are at most 2^63 - 1"));
    let (height, term) = (number_column(row.height)?, number_column(row.term)?);
    let sql = "SELECT outcome, kept, present_term
        FROM put_round_row($1, $2, $3, $4, $5, $6, $7, $8, $9)";
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
            ],
        )
        .await?;
    match value::<&str>(&answer, "outcome")? {
        "stored" => Ok(RowOutcome::Stored),
        "present" => Ok(RowOutcome::Present),
        "other" => Ok(RowOutcome::Other { bytes: value(&answer, "kept")? }),
        "late" => Ok(RowOutcome::Late { term: number(&answer, "present_term")? }),
        other => Err(corrupt(format!("function put_round_row returned {other:?}"))),
    }
}

/// Rows after a position, in order, and the last position given: as of one moment.
pub(super) async fn rows_after(
    session: &mut Session,
    after: RowId,
    limit: usize,
) -> Result<RowsRead, EngineError> {
    // Without a row, the other columns of the only result are null. The first row is always read:
    // `before` is the size of the rows before it.
    let sql = "SELECT last, each.* FROM round_order LEFT JOIN (
        SELECT round_row.id, kind, authority, law_id, height, term, digest, bytes, leaves
        FROM round_row JOIN (
            SELECT id, sum(size) OVER (ORDER BY id) - size AS before FROM (
                SELECT id, octet_length(bytes) + octet_length(leaves) AS size FROM round_row
                WHERE id > $1 ORDER BY id LIMIT $2
            ) AS next
        ) AS chosen ON chosen.id = round_row.id
        LEFT JOIN election ON election.id = round_row.election
        WHERE before < $3::bigint
        ) AS each ON true ORDER BY each.id";
    let after = column(after.0).unwrap_or(i64::MAX);
    let found = session.read(sql, &[&after, &limit_column(limit), &READ_BYTES_MAX]).await?;
    let first = found.first().ok_or_else(|| corrupt("table round_order is empty"))?;
    let last = RowId(of_table("round_order", number(first, "last"))?);
    let mut rows = Vec::with_capacity(found.len());
    for row in &found {
        if value::<Option<i64>>(row, "id")?.is_some() {
            rows.push(of_table("round_row", decode_row(row))?);
        }
    }
    Ok(RowsRead { rows, last })
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
