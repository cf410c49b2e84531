//! Allocates an epoch.

use rusqlite::Connection;
use votekit_core::id::{ElectionId, Epoch, NodeId};

use crate::embedded::columns::find_or_create_election;
use crate::embedded::fault::{Fault, unavailable};
use crate::embedded::writer::Write;

pub(in crate::embedded) struct AllocateEpoch {
    pub(in crate::embedded) law_id: ElectionId,
    pub(in crate::embedded) node: NodeId,
}

impl Write for AllocateEpoch {
    type Output = Epoch;

    fn apply(&self, connection: &Connection) -> Result<Epoch, Fault> {
        let election = find_or_create_election(connection, &self.law_id)?;
        let last: u32 = connection
            .prepare_cached(
                "SELECT coalesce(max(epoch), 0) FROM epoch WHERE election = ?1 AND node = ?2",
            )?
            .query_row((election.0, self.node.as_bytes()), |row| row.get(0))?;
        let epoch = last
            .checked_add(1)
            .ok_or_else(|| unavailable("all epochs of this node are used up"))?;
        connection
            .prepare_cached("INSERT INTO epoch (election, node, epoch) VALUES (?1, ?2, ?3)")?
            .execute((election.0, self.node.as_bytes(), epoch))?;
        Ok(Epoch(epoch))
    }
}
