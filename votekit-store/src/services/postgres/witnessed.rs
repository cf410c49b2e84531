//! The cosignatures of outside witnesses: statements, arguments and results.

use std::collections::BTreeSet;

use tokio_postgres::Row;
use votekit_core::id::ElectionId;
use votekit_core::log::merkle::TreeHash;

use super::connections::Session;
use super::fault::malformed;
use super::queries::listed;
use super::rows::{column, fixed_bytes, number, of_table, value};
use crate::error::NUMBER_RULE;
use crate::{EngineError, WitnessLine};

/// A longer line is another program's, and is left out.
const LINE_BYTES_MAX: i32 = WitnessLine::LINE_BYTES_MAX as i32;

pub(super) async fn put_witness_line(
    session: &mut Session,
    law_id: &ElectionId,
    line: &WitnessLine,
) -> Result<(), EngineError> {
    if let Some(rule) = line.broken_rule() {
        return Err(malformed(law_id, rule));
    }
    let number_column = |number| column(number).ok_or_else(|| malformed(law_id, NUMBER_RULE));
    let (size, height) = (number_column(line.size)?, number_column(line.height)?);
    let kept = WitnessLine::KEPT_PER_WITNESS as i64;
    let root = line.root.as_bytes().as_slice();
    let sql = "SELECT is_stored FROM put_witness_line($1, $2, $3, $4, $5, $6, $7)";
    session
        .write(sql, &[&law_id.as_str(), &line.witness, &size, &root, &height, &line.line, &kept])
        .await
        .map(|_| ())
}

/// The lines of witnesses over the log of a size and root: one line of each witness.
pub(super) async fn witness_lines(
    session: &mut Session,
    law_id: &ElectionId,
    (size, root): (u64, &TreeHash),
    witnesses: &[String],
) -> Result<Vec<WitnessLine>, EngineError> {
    let Some(size) = column(size) else { return Ok(Vec::new()) };
    // By bytes, whatever the database's collation.
    let sql = "SELECT witness, height, size, root, line
        FROM witness_line JOIN election ON id = election WHERE law_id = $1 AND size = $2
            AND root = $3 AND witness = ANY($4::text[]) AND octet_length(line) <= $5
        ORDER BY witness COLLATE \"C\"";
    let (law_id, root) = (law_id.as_str(), root.as_bytes().as_slice());
    let witnesses: Vec<&str> = witnesses.iter().map(String::as_str).collect();
    let rows = session.read(sql, &[&law_id, &size, &root, &witnesses, &LINE_BYTES_MAX]).await?;
    listed(&rows, decode)
}

/// The last lines of each witness over trees of at most a size.
pub(super) async fn latest_witness_lines(
    session: &mut Session,
    law_id: &ElectionId,
    through_size: u64,
    witnesses: &[String],
) -> Result<Vec<WitnessLine>, EngineError> {
    let through = column(through_size).unwrap_or(i64::MAX);
    let most = WitnessLine::KEPT_PER_WITNESS as i64;
    let sql = "SELECT found.witness, found.height, found.size, found.root, found.line
        FROM election AS log
        CROSS JOIN unnest($2::text[]) AS asked (wanted)
        CROSS JOIN LATERAL (
            SELECT witness, height, size, root, line FROM witness_line AS stored
            WHERE stored.election = log.id AND witness = asked.wanted AND size <= $3
                AND octet_length(line) <= $4 AND octet_length(root) = 32
            ORDER BY size DESC, root LIMIT $5
        ) AS found
        WHERE log.law_id = $1
        ORDER BY found.witness COLLATE \"C\", found.size DESC, found.root";
    let law_id = law_id.as_str();
    // Each name once: a repeated name would return its lines twice.
    let witnesses: BTreeSet<&str> = witnesses.iter().map(String::as_str).collect();
    let witnesses: Vec<&str> = witnesses.into_iter().collect();
    let rows = session.read(sql, &[&law_id, &witnesses, &through, &LINE_BYTES_MAX, &most]).await?;
    listed(&rows, decode)
}

fn decode(row: &Row) -> Result<WitnessLine, EngineError> {
    of_table("witness_line", decode_line(row))
}

fn decode_line(row: &Row) -> Result<WitnessLine, EngineError> {
    Ok(WitnessLine {
        witness: value(row, "witness")?,
        height: number(row, "height")?,
        size: number(row, "size")?,
        root: TreeHash::from_bytes(fixed_bytes(row, "root")?),
        line: value(row, "line")?,
    })
}
