//! The statements of rounds between several authorities.

use votekit_core::id::ElectionId;

use super::connections::Session;
use super::fault::{corrupt, unavailable};
use super::rows::{column, number, of_table, value};
use crate::{EngineError, NewRow, RoundRow, RowId, RowKind, RowOutcome, RowsRead};

/// A read ends with the row that reaches this many bytes.
const READ_BYTES_MAX: i64 = 8 << 20;

pub(super) async fn put_row(
    session: &mut Session,
    row: &NewRow,
    holder: Option<&str>,
) -> Result<RowOutcome, EngineError> {
    let too_large = || unavailable("a number of a row needs more than 63 bits");
    let height = column(row.height).ok_or_else(too_large)?;
    let term = column(row.term).ok_or_else(too_large)?;
    let sql = "SELECT outcome, found_bytes, found_term
        FROM put_round_row($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let stored = session
        .write(
            sql,
            &[
                &row.kind.as_str(),
                &row.authority,
                &row.law(),
                &height,
                &term,
                &row.variant(),
                &row.bytes,
                &row.leaves,
                &holder,
            ],
        )
        .await?;
    Ok(match value::<&str>(&stored, "outcome")? {
        "stored" => RowOutcome::Stored,
        "present" => RowOutcome::Present,
        "other" => RowOutcome::Other { bytes: value(&stored, "found_bytes")? },
        "late" => RowOutcome::Late { term: number(&stored, "found_term")? },
        other => return Err(corrupt(format!("function put_round_row returned {other:?}"))),
    })
}

pub(super) async fn rows_after(
    session: &mut Session,
    after: RowId,
    limit: usize,
) -> Result<RowsRead, EngineError> {
    // One statement, so that the rows and the last position are of one moment.
    let sql = "SELECT last, id, kind, authority, law_id, height, term, bytes, leaves
        FROM round_row_last LEFT JOIN (
            SELECT * FROM (
                SELECT *, sum(length(bytes) + length(leaves)) OVER (ORDER BY id
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
                FROM (SELECT * FROM round_row WHERE id > $1 ORDER BY id LIMIT $2) AS few
            ) AS sized WHERE before IS NULL OR before < $3
        ) AS found ON true ORDER BY id";
    let after = column(after.0).unwrap_or(i64::MAX);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = session.read(sql, &[&after, &limit, &READ_BYTES_MAX]).await?;
    let mut read = RowsRead::default();
    for row in &rows {
        read.last = RowId(number(row, "last")?);
        if value::<Option<i64>>(row, "id")?.is_some() {
            read.rows.push(of_table("round_row", round_row(row))?);
        }
    }
    Ok(read)
}

fn round_row(row: &tokio_postgres::Row) -> Result<RoundRow, EngineError> {
    let kind: &str = value(row, "kind")?;
    let kind =
        RowKind::parse(kind).ok_or_else(|| corrupt(format!("column kind holds {kind:?}")))?;
    let law_id = match value::<&str>(row, "law_id")? {
        "" => None,
        text => Some(text.parse().map_err(|error| corrupt(format!("column law_id: {error}")))?),
    };
    Ok(RoundRow {
        id: RowId(number(row, "id")?),
        kind,
        authority: value(row, "authority")?,
        law_id,
        height: number(row, "height")?,
        term: number(row, "term")?,
        bytes: value(row, "bytes")?,
        leaves: value(row, "leaves")?,
    })
}

pub(super) async fn remove_rows(
    session: &mut Session,
    law_id: &ElectionId,
    height: u64,
) -> Result<(), EngineError> {
    let sql = "WITH removed AS (
        DELETE FROM round_row WHERE law_id = $1 AND height <= $2
            AND kind IN ('proposal', 'accept', 'cosign') RETURNING 1
    ) SELECT count(*) AS removed FROM removed";
    let height = column(height).unwrap_or(i64::MAX);
    session.write(sql, &[&law_id.as_str(), &height]).await.map(|_| ())
}

pub(super) async fn pass_over(session: &mut Session, term: u64) -> Result<(), EngineError> {
    let sql = "WITH ended AS (
        UPDATE leadership SET until = clock_timestamp()
        WHERE term = $1 AND until > clock_timestamp() RETURNING 1
    ) SELECT count(*) AS ended FROM ended";
    let term = column(term).unwrap_or(i64::MAX);
    session.write(sql, &[&term]).await.map(|_| ())
}

pub(super) async fn put_sealed_key(
    session: &mut Session,
    law_id: &ElectionId,
    recipient: &[u8; 32],
    sealed: &[u8],
) -> Result<(), EngineError> {
    let sql = "WITH kept AS (
        INSERT INTO sealed_key (law_id, recipient, sealed) VALUES ($1, $2, $3)
        ON CONFLICT DO NOTHING RETURNING 1
    ) SELECT count(*) AS kept FROM kept";
    session.write(sql, &[&law_id.as_str(), &recipient.as_slice(), &sealed]).await.map(|_| ())
}

pub(super) async fn sealed_key(
    session: &mut Session,
    law_id: &ElectionId,
    recipient: &[u8; 32],
) -> Result<Option<Vec<u8>>, EngineError> {
    let sql = "SELECT sealed FROM sealed_key WHERE law_id = $1 AND recipient = $2";
    let rows = session.read(sql, &[&law_id.as_str(), &recipient.as_slice()]).await?;
    rows.first().map(|row| value(row, "sealed")).transpose()
}

pub(super) async fn put_node_record(
    session: &mut Session,
    name: &str,
    record: &[u8],
) -> Result<(), EngineError> {
    let sql = "WITH kept AS (
        INSERT INTO node_record (name, record) VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET record = excluded.record RETURNING 1
    ) SELECT count(*) AS kept FROM kept";
    session.write(sql, &[&name, &record]).await.map(|_| ())
}

pub(super) async fn node_records(
    session: &mut Session,
) -> Result<Vec<(String, Vec<u8>)>, EngineError> {
    let rows = session.read("SELECT name, record FROM node_record ORDER BY name", &[]).await?;
    rows.iter().map(|row| Ok((value(row, "name")?, value(row, "record")?))).collect()
}
