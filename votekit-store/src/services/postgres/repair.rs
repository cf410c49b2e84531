//! Takes a log back to an earlier head, for an operator: statements, arguments and results.

use tokio_postgres::Row;
use votekit_core::id::{Digest, ElectionId};

use super::connections::Session;
use super::fault::malformed_write;
use super::rows::{column, value};
use crate::block_rows::head_digest;
use crate::error::NUMBER_RULE;
use crate::{EngineError, Head, LogRow};

/// The head of a log, and its rows above a position, as they are.
pub(super) async fn log_rows_above(
    session: &mut Session,
    law_id: &ElectionId,
    height: u64,
    size: u64,
) -> Result<Vec<LogRow>, EngineError> {
    let sql = "SELECT source, content FROM log_rows_above($1, $2, $3) ORDER BY source, content";
    let (height, size) = position(law_id, height, size)?;
    let rows = session.read(sql, &[&law_id.as_str(), &height, &size]).await?;
    let decode =
        |row: &Row| Ok(LogRow { table: value(row, "source")?, columns: value(row, "content")? });
    rows.iter().map(decode).collect()
}

/// Removes the rows above a head, if they are those that were seen. Returns whether it did.
pub(super) async fn discard_above(
    session: &mut Session,
    law_id: &ElectionId,
    head: &Head,
    seen: &Digest,
) -> Result<bool, EngineError> {
    let sql = "SELECT discard_log_above($1, $2, $3, $4, $5, $6, $7) AS discarded";
    let (height, size) = position(law_id, head.height, head.size)?;
    let row = session
        .write(
            sql,
            &[
                &law_id.as_str(),
                &height,
                &size,
                &head.root.as_bytes().as_slice(),
                &head.checkpoint,
                &head_digest(head).as_bytes().as_slice(),
                &seen.as_bytes().as_slice(),
            ],
        )
        .await?;
    value(&row, "discarded")
}

fn position(law_id: &ElectionId, height: u64, size: u64) -> Result<(i64, i64), EngineError> {
    let rule = || malformed_write(Some(law_id), NUMBER_RULE);
    Ok((column(height).ok_or_else(rule)?, column(size).ok_or_else(rule)?))
}
