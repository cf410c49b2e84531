//! Stages a batch.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};
use votekit_core::batch::Batch;
use votekit_core::id::Digest;

use crate::embedded::columns::{ElectionRow, column, find_election, find_or_create_election};
use crate::embedded::fault::{Fault, corrupt, malformed};
use crate::embedded::tail::Tail;
use crate::embedded::writer::Write;
use crate::{Conflict, StagingId};

pub(in crate::embedded) struct Stage {
    pub(in crate::embedded) batch: Arc<Batch>,
}

/// The position of a batch, and whether this write created it.
pub(in crate::embedded) struct StagedRow {
    pub(in crate::embedded) id: StagingId,
    new: bool,
}

impl Write for Stage {
    type Output = StagedRow;

    fn apply(&self, connection: &Connection) -> Result<StagedRow, Fault> {
        let law_id = &self.batch.header().law_id;
        let number = self.batch.number();
        let sequence = column(number.sequence.0)
            .ok_or_else(|| malformed(law_id, "a sequence is at most 2^63 - 1"))?;
        if let Some(election) = find_election(connection, law_id)?
            && let Some((id, stored)) = self.find(connection, election, sequence)?
        {
            let offered = self.batch.digest();
            if stored == offered {
                return Ok(StagedRow { id, new: false });
            }
            return Err(
                Conflict::BatchNumber { law_id: law_id.clone(), number, stored, offered }.into()
            );
        }
        let election = find_or_create_election(connection, law_id)?;
        connection
            .prepare_cached(
                "INSERT INTO batch (election, node, epoch, sequence, digest, bytes) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((
                election.0,
                number.node.as_bytes(),
                number.epoch.0,
                sequence,
                self.batch.digest().as_bytes(),
                self.batch.as_bytes(),
            ))?;
        Ok(StagedRow { id: staging_id(connection.last_insert_rowid())?, new: true })
    }

    fn committed(&self, place: &StagedRow, tail: &Tail) {
        if place.new {
            tail.stage(place.id, &self.batch);
        }
    }

    fn bytes(&self) -> usize {
        self.batch.as_bytes().len()
    }
}

impl Stage {
    fn find(
        &self,
        connection: &Connection,
        election: ElectionRow,
        sequence: i64,
    ) -> Result<Option<(StagingId, Digest)>, Fault> {
        let number = self.batch.number();
        let found: Option<(i64, [u8; 32])> = connection
            .prepare_cached(
                "SELECT id, digest FROM batch WHERE election = ?1 AND node = ?2 \
                 AND epoch = ?3 AND sequence = ?4",
            )?
            .query_row((election.0, number.node.as_bytes(), number.epoch.0, sequence), |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        found.map(|(id, digest)| Ok((staging_id(id)?, Digest::from_bytes(digest)))).transpose()
    }
}

fn staging_id(row_id: i64) -> Result<StagingId, Fault> {
    let id = u64::try_from(row_id)
        .map_err(|_| corrupt(format!("table batch: a batch has id {row_id}")))?;
    Ok(StagingId(id))
}
