//! The ledger at one moment, read while another process may write to it.

use std::fmt;
use std::path::Path;

use rusqlite::Connection;
use votekit_core::batch::Batch;
use votekit_core::id::{BatchNumber, Digest, ElectionId};
use votekit_core::log::merkle::TreeHash;

use super::columns::find_election;
use super::fault::Fault;
use super::{queries, schema, witness_queries};
use crate::{EngineError, Head, LogReader, ReviewNote, StoredBlock, WitnessLine};

/// A read-only view of a ledger. Later writes are not visible in it.
pub struct EmbeddedReadView {
    connection: Connection,
}

impl EmbeddedReadView {
    /// Opens the ledger in a folder.
    ///
    /// # Errors
    /// [`EngineError`] when there is no ledger, or a newer version wrote it.
    pub fn open(folder: &Path) -> Result<Self, EngineError> {
        let open = || -> Result<Connection, Fault> {
            let connection = schema::open_reader(&folder.join(schema::FILE))?;
            connection.execute_batch("BEGIN")?;
            // SQLite fixes the snapshot at the first read of the transaction.
            schema::LEDGER.identify(&connection)?;
            Ok(connection)
        };
        Ok(Self { connection: open()? })
    }
}

impl LogReader for EmbeddedReadView {
    fn elections(&self) -> Result<Vec<ElectionId>, EngineError> {
        Ok(queries::elections(&self.connection)?)
    }

    fn head(&self, law_id: &ElectionId) -> Result<Option<Head>, EngineError> {
        let head = || match find_election(&self.connection, law_id)? {
            Some(election) => queries::head(&self.connection, election),
            None => Ok(None),
        };
        Ok(head()?)
    }

    fn blocks(
        &self,
        law_id: &ElectionId,
        from_height: u64,
        limit: usize,
    ) -> Result<Vec<StoredBlock>, EngineError> {
        Ok(queries::blocks(&self.connection, law_id, from_height, limit)?)
    }

    fn batch(
        &self,
        law_id: &ElectionId,
        number: BatchNumber,
    ) -> Result<Option<Batch>, EngineError> {
        Ok(queries::batch(&self.connection, law_id, number)?)
    }

    fn manifest(&self, digest: &Digest) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(queries::manifest(&self.connection, digest)?)
    }

    fn witness_lines(
        &self,
        law_id: &ElectionId,
        size: u64,
        root: &TreeHash,
        witnesses: &[String],
    ) -> Result<Vec<WitnessLine>, EngineError> {
        Ok(witness_queries::witness_lines(&self.connection, law_id, (size, root), witnesses)?)
    }

    fn review_notes(&self, law_id: &ElectionId) -> Result<Vec<ReviewNote>, EngineError> {
        Ok(queries::review_notes(&self.connection, law_id)?)
    }
}

impl fmt::Debug for EmbeddedReadView {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EmbeddedReadView(ledger)")
    }
}
