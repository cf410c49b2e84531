//! Takes a log back to an earlier head, for an operator.

use rusqlite::Connection;
use votekit_core::id::{Digest, ElectionId};

use crate::block_rows::head_digest;
use crate::embedded::columns::{column, find_election};
use crate::embedded::fault::{Fault, malformed};
use crate::embedded::queries;
use crate::embedded::tail::Tail;
use crate::embedded::writer::Write;
use crate::error::NUMBER_RULE;
use crate::{Head, LogRow};

/// Removes the rows of a log above a head, if they are those that were seen.
pub(in crate::embedded) struct DiscardAbove {
    pub(in crate::embedded) law_id: ElectionId,
    pub(in crate::embedded) head: Head,
    pub(in crate::embedded) seen: Digest,
}

impl Write for DiscardAbove {
    /// Whether they were removed.
    type Output = bool;

    fn apply(&self, connection: &Connection) -> Result<bool, Fault> {
        let Self { law_id, head, seen } = self;
        let rows = queries::log_rows_above(connection, law_id, head.height, head.size)?;
        let Some(election) = find_election(connection, law_id)?.map(|election| election.0) else {
            return Ok(false);
        };
        let has_head = rows.iter().any(|row| row.table == "head");
        if !has_head || LogRow::digest_of(&rows) != *seen {
            return Ok(false);
        }
        let (Some(height), Some(size)) = (column(head.height), column(head.size)) else {
            return Err(malformed(law_id, NUMBER_RULE).into());
        };
        connection
            .prepare_cached("DELETE FROM block WHERE election = ?1 AND height > ?2")?
            .execute((election, height))?;
        connection
            .prepare_cached("DELETE FROM leaves WHERE election = ?1 AND first_leaf >= ?2")?
            .execute((election, size))?;
        connection
            .prepare_cached(
                "DELETE FROM tile WHERE election = ?1 AND idx >= (?2 >> (8 * (level + 1)))",
            )?
            .execute((election, size))?;
        connection
            .prepare_cached(
                "UPDATE head SET size = ?2, height = ?3, root = ?4, fence = 0, checkpoint = ?5, \
                 sealed_through = 0, takes_votes = 0, digest = ?6 WHERE election = ?1",
            )?
            .execute((
                election,
                size,
                height,
                head.root.as_bytes(),
                &head.checkpoint,
                head_digest(head).as_bytes(),
            ))?;
        Ok(true)
    }

    fn committed(&self, is_discarded: &bool, tail: &Tail) {
        if *is_discarded {
            tail.advance(&self.law_id, self.head.clone());
        }
    }
}
