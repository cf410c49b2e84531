//! Truncates a log to an earlier head, also a log that was found damaged when the ledger was
//! opened.

use async_trait::async_trait;
use votekit_core::id::{Digest, ElectionId};

use super::EmbeddedLedger;
use crate::embedded::queries;
use crate::embedded::writes::DiscardAbove;
use crate::{EngineError, Head, LogRepair, LogRow, StoredBlock};

#[async_trait]
impl LogRepair for EmbeddedLedger {
    async fn blocks_in_doubt(
        &self,
        law_id: &ElectionId,
        from_height: u64,
        limit: usize,
    ) -> Result<Vec<StoredBlock>, EngineError> {
        let law_id = law_id.clone();
        self.read(move |connection| queries::blocks(connection, &law_id, from_height, limit)).await
    }

    async fn log_rows_above(
        &self,
        law_id: &ElectionId,
        height: u64,
        size: u64,
    ) -> Result<Vec<LogRow>, EngineError> {
        let law_id = law_id.clone();
        self.read(move |connection| queries::log_rows_above(connection, &law_id, height, size))
            .await
    }

    async fn discard_above(
        &self,
        law_id: &ElectionId,
        head: &Head,
        seen: &Digest,
    ) -> Result<bool, EngineError> {
        let (law_id, head, seen) = (law_id.clone(), head.taken_back(), *seen);
        self.writer.write(DiscardAbove { law_id, head, seen }).await
    }
}
