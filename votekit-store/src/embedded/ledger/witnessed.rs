//! The cosignatures of outside witnesses.

use async_trait::async_trait;
use votekit_core::id::ElectionId;
use votekit_core::log::merkle::TreeHash;

use super::EmbeddedLedger;
use crate::embedded::witness_queries;
use crate::embedded::writes::PutWitnessLine;
use crate::{EngineError, WitnessLine, Witnessed};

#[async_trait]
impl Witnessed for EmbeddedLedger {
    async fn put_witness_line(
        &self,
        law_id: &ElectionId,
        line: &WitnessLine,
    ) -> Result<(), EngineError> {
        self.check(law_id)?;
        self.writer.write(PutWitnessLine::new(law_id, line)?).await
    }

    async fn witness_lines(
        &self,
        law_id: &ElectionId,
        size: u64,
        root: &TreeHash,
        witnesses: &[String],
    ) -> Result<Vec<WitnessLine>, EngineError> {
        let (root, witnesses) = (*root, witnesses.to_vec());
        self.read_of(law_id, move |connection, law_id| {
            witness_queries::witness_lines(connection, law_id, (size, &root), &witnesses)
        })
        .await
    }

    async fn latest_witness_lines(
        &self,
        law_id: &ElectionId,
        through_size: u64,
        witnesses: &[String],
    ) -> Result<Vec<WitnessLine>, EngineError> {
        let witnesses = witnesses.to_vec();
        self.read_of(law_id, move |connection, law_id| {
            witness_queries::latest_witness_lines(connection, law_id, through_size, &witnesses)
        })
        .await
    }
}
