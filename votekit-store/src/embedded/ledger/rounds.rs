//! The rows of rounds, and certified blocks.

use std::sync::Arc;

use async_trait::async_trait;
use votekit_core::id::ElectionId;

use super::EmbeddedLedger;
use crate::block_rows::Appending;
use crate::embedded::queries;
use crate::embedded::writes::{Commit, PutRow, RemoveOldRows, RemoveRows};
use crate::{BlockCommit, EngineError, NewRow, Rounds, RowId, RowOutcome, RowsRead};

#[async_trait]
impl Rounds for EmbeddedLedger {
    async fn put_row(&self, row: &NewRow, holder: Option<&str>) -> Result<RowOutcome, EngineError> {
        if let Some(law_id) = &row.law_id {
            self.check(law_id)?;
        }
        let row =
            PutRow::new(row.clone(), holder, Arc::clone(&self.leases), Arc::clone(&self.tail))?;
        self.writer.write(row).await
    }

    async fn rows_after(&self, after: RowId, limit: usize) -> Result<RowsRead, EngineError> {
        self.read(move |connection| queries::rows_after(connection, after, limit)).await
    }

    async fn newest_rows(&self, limit: usize) -> Result<RowsRead, EngineError> {
        self.read(move |connection| queries::newest_rows(connection, limit)).await
    }

    async fn append(&self, commit: &Arc<BlockCommit>) -> Result<(), EngineError> {
        self.check(&commit.law_id)?;
        let leases = Arc::clone(&self.leases);
        let commit = Commit::new(Arc::clone(commit), leases, Appending::InAnyTerm)?;
        self.writer.write(commit).await.map(|_| ())
    }

    async fn remove_rows(
        &self,
        law_id: &ElectionId,
        through_height: u64,
    ) -> Result<(), EngineError> {
        self.writer.write(RemoveRows { law_id: law_id.clone(), through_height }).await
    }

    async fn remove_old_rows(&self, through: RowId, limit: usize) -> Result<u64, EngineError> {
        let removal = RemoveOldRows::new(through, limit, Arc::clone(&self.leases));
        self.writer.write(removal).await
    }
}
