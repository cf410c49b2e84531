//! The queries of the lines of outside witnesses.

use std::collections::BTreeSet;

use rusqlite::Connection;
use votekit_core::id::ElectionId;
use votekit_core::log::merkle::TreeHash;

use super::columns::{self, find_election};
use super::fault::Fault;
use super::queries::collect;
use crate::WitnessLine;

const WITNESS_LINE: &str = "SELECT witness, height, size, root, line FROM witness_line";

/// The lines of witnesses over the log of a size and root: one line of each witness.
pub(super) fn witness_lines(
    connection: &Connection,
    law_id: &ElectionId,
    (size, root): (u64, &TreeHash),
    witnesses: &[String],
) -> Result<Vec<WitnessLine>, Fault> {
    let (Some(election), Some(size)) = (find_election(connection, law_id)?, columns::column(size))
    else {
        return Ok(Vec::new());
    };
    let mut statement = connection.prepare_cached(&format!(
        "{WITNESS_LINE} WHERE election = ?1 AND witness = ?2 AND size = ?3 AND root = ?4"
    ))?;
    let mut found = Vec::new();
    for witness in in_order(witnesses) {
        let rows = statement.query((election.0, witness, size, root.as_bytes()))?;
        found.extend(collect(rows, columns::witness_line)?);
    }
    Ok(found)
}

/// The last lines of each witness over trees of at most a size.
pub(super) fn latest_witness_lines(
    connection: &Connection,
    law_id: &ElectionId,
    through_size: u64,
    witnesses: &[String],
) -> Result<Vec<WitnessLine>, Fault> {
    let Some(election) = find_election(connection, law_id)? else { return Ok(Vec::new()) };
    let through = columns::column(through_size).unwrap_or(i64::MAX);
    let most = WitnessLine::KEPT_PER_WITNESS as i64;
    let mut statement = connection.prepare_cached(&format!(
        "{WITNESS_LINE} WHERE election = ?1 AND witness = ?2 AND size <= ?3 \
         ORDER BY size DESC, root LIMIT ?4"
    ))?;
    let mut found = Vec::new();
    for witness in in_order(witnesses) {
        let rows = statement.query((election.0, witness, through, most))?;
        found.extend(collect(rows, columns::witness_line)?);
    }
    Ok(found)
}

/// Names in the order of their bytes, each once.
fn in_order(names: &[String]) -> BTreeSet<&str> {
    names.iter().map(String::as_str).collect()
}
