//! Destroys evidence in parts, so that writes of other elections can run in between.

use rusqlite::Connection;
use votekit_core::id::ElectionId;

use crate::embedded::columns::find_election;
use crate::embedded::fault::Fault;
use crate::embedded::tail::Tail;
use crate::embedded::writer::Write;

/// Batches per part.
const BATCHES_MAX: u32 = 256;

pub(in crate::embedded) struct PurgePart {
    pub(in crate::embedded) law_id: ElectionId,
}

impl Write for PurgePart {
    /// The number of batches destroyed; 0 when none is left.
    type Output = u64;

    fn apply(&self, connection: &Connection) -> Result<u64, Fault> {
        let Some(election) = find_election(connection, &self.law_id)? else { return Ok(0) };
        // With `secure_delete`, SQLite overwrites the removed bytes with zeros.
        let destroyed = connection
            .prepare_cached(
                "UPDATE batch SET bytes = NULL WHERE id IN
                 (SELECT id FROM batch WHERE election = ?1 AND bytes IS NOT NULL \
                 ORDER BY id LIMIT ?2)",
            )?
            .execute((election.0, BATCHES_MAX))?;
        Ok(destroyed as u64)
    }

    fn committed(&self, _destroyed: &u64, tail: &Tail) {
        tail.purge(&self.law_id);
    }
}
