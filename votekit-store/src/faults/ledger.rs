//! The ledger with faults.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use votekit_core::batch::Batch;
use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, NodeId, Sequence};
use votekit_core::instant::UnixMillis;
use votekit_core::log::merkle::TreeHash;

use super::{FaultPlan, Faulty};
use crate::{
    BatchName, BlockCommit, Changes, Documents, EngineError, Head, Hints, LeaderFence, Leadership,
    Lease, Leases, Ledger, LogPosition, LogRepair, LogRow, LogStore, NewRow, NoLease, Restaged,
    ReviewNote, Rounds, RowId, RowOutcome, RowsRead, StagedPosition, Staging, StagingId,
    StagingRead, StoredBlock, WitnessLine, Witnessed,
};

#[async_trait]
impl<T: Staging + ?Sized, P: FaultPlan> Staging for Faulty<T, P> {
    async fn stage(&self, batch: &Arc<Batch>, hints: &Hints) -> Result<StagingId, EngineError> {
        self.write(|| self.inner.stage(batch, hints)).await
    }

    async fn restage(
        &self,
        batch: &Arc<Batch>,
        hints: &Hints,
        above: StagingId,
    ) -> Result<Restaged, EngineError> {
        self.write(|| self.inner.restage(batch, hints, above)).await
    }

    async fn read_staging(
        &self,
        law_id: &ElectionId,
        after: StagingId,
        limit: usize,
    ) -> Result<StagingRead, EngineError> {
        self.read(|| self.inner.read_staging(law_id, after, limit)).await
    }

    async fn batch_at(
        &self,
        law_id: &ElectionId,
        id: StagingId,
    ) -> Result<Option<Digest>, EngineError> {
        self.read(|| self.inner.batch_at(law_id, id)).await
    }

    async fn staged_positions(
        &self,
        law_id: &ElectionId,
        after: StagingId,
        limit: usize,
    ) -> Result<Vec<StagedPosition>, EngineError> {
        self.read(|| self.inner.staged_positions(law_id, after, limit)).await
    }

    async fn staged_batch(
        &self,
        law_id: &ElectionId,
        number: BatchNumber,
    ) -> Result<Option<Arc<Batch>>, EngineError> {
        self.read(|| self.inner.staged_batch(law_id, number)).await
    }

    async fn staged_through(
        &self,
        law_id: &ElectionId,
        node: NodeId,
        epoch: Epoch,
    ) -> Result<Option<Sequence>, EngineError> {
        self.read(|| self.inner.staged_through(law_id, node, epoch)).await
    }

    async fn are_staged(&self, batches: &[BatchName]) -> Result<Vec<bool>, EngineError> {
        self.read(|| self.inner.are_staged(batches)).await
    }

    async fn purge_evidence(&self, law_id: &ElectionId) -> Result<u64, EngineError> {
        self.write(|| self.inner.purge_evidence(law_id)).await
    }
}

#[async_trait]
impl<T: LogStore + ?Sized, P: FaultPlan> LogStore for Faulty<T, P> {
    async fn elections(&self) -> Result<Vec<ElectionId>, EngineError> {
        self.read(|| self.inner.elections()).await
    }

    async fn positions(&self) -> Result<Vec<LogPosition>, EngineError> {
        let mut positions = self.read(|| self.inner.positions()).await?;
        let rolled_back = self.rolled_back.lock();
        if let Some((law_id, head)) = &*rolled_back {
            let back = positions.iter_mut().filter(|position| position.law_id == *law_id);
            back.for_each(|position| position.height = head.height);
        }
        Ok(positions)
    }

    fn changes(&self) -> watch::Receiver<Changes> {
        self.inner.changes()
    }

    async fn commit(&self, commit: &Arc<BlockCommit>) -> Result<(), EngineError> {
        self.write(|| self.inner.commit(commit)).await
    }

    async fn head(&self, law_id: &ElectionId) -> Result<Option<Head>, EngineError> {
        let rolled_back = self.rolled_back.lock().clone();
        match rolled_back {
            Some((of, head)) if of == *law_id => Ok(Some(head)),
            _ => self.read(|| self.inner.head(law_id)).await,
        }
    }

    async fn blocks(
        &self,
        law_id: &ElectionId,
        from_height: u64,
        limit: usize,
    ) -> Result<Vec<StoredBlock>, EngineError> {
        self.read(|| self.inner.blocks(law_id, from_height, limit)).await
    }

    async fn leaves(
        &self,
        law_id: &ElectionId,
        first: u64,
        count: u32,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        self.read(|| self.inner.leaves(law_id, first, count)).await
    }

    async fn tile(
        &self,
        law_id: &ElectionId,
        level: u8,
        index: u64,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        self.read(|| self.inner.tile(law_id, level, index)).await
    }
}

#[async_trait]
impl<T: Leases + ?Sized, P: FaultPlan> Leases for Faulty<T, P> {
    async fn allocate_epoch_above(
        &self,
        law_id: &ElectionId,
        node: NodeId,
        above: Epoch,
    ) -> Result<Epoch, EngineError> {
        self.write(|| self.inner.allocate_epoch_above(law_id, node, above)).await
    }

    async fn clock(&self) -> Result<UnixMillis, EngineError> {
        self.read(|| self.inner.clock()).await
    }

    async fn epochs(&self, law_id: &ElectionId) -> Result<Vec<(NodeId, Epoch)>, EngineError> {
        self.read(|| self.inner.epochs(law_id)).await
    }

    async fn hold_lease(
        &self,
        law_id: &ElectionId,
        node: NodeId,
        epoch: Epoch,
        length: Duration,
    ) -> Result<(), EngineError> {
        self.write(|| self.inner.hold_lease(law_id, node, epoch, length)).await
    }

    async fn renew_leases(
        &self,
        node: NodeId,
        held: &[(ElectionId, Epoch)],
        length: Duration,
    ) -> Result<Vec<Result<(), NoLease>>, EngineError> {
        self.write(|| self.inner.renew_leases(node, held, length)).await
    }

    async fn leases(&self, law_id: &ElectionId) -> Result<Vec<Lease>, EngineError> {
        self.read(|| self.inner.leases(law_id)).await
    }

    async fn fence(&self, law_id: &ElectionId, node: NodeId) -> Result<(), EngineError> {
        self.write(|| self.inner.fence(law_id, node)).await
    }

    async fn set_takes_votes(
        &self,
        law_id: &ElectionId,
        takes_votes: bool,
    ) -> Result<(), EngineError> {
        self.write(|| self.inner.set_takes_votes(law_id, takes_votes)).await
    }
}

#[async_trait]
impl<T: LeaderFence + ?Sized, P: FaultPlan> LeaderFence for Faulty<T, P> {
    async fn acquire_leadership(
        &self,
        holder: &str,
        length: Duration,
        at_least: u64,
    ) -> Result<Leadership, EngineError> {
        self.write(|| self.inner.acquire_leadership(holder, length, at_least)).await
    }

    async fn pass_over(
        &self,
        term: u64,
        holder: &str,
        length: Duration,
        at_least: u64,
    ) -> Result<Leadership, EngineError> {
        self.write(|| self.inner.pass_over(term, holder, length, at_least)).await
    }

    async fn release_leadership(&self, holder: &str) -> Result<(), EngineError> {
        self.write(|| self.inner.release_leadership(holder)).await
    }
}

#[async_trait]
impl<T: Rounds + ?Sized, P: FaultPlan> Rounds for Faulty<T, P> {
    async fn put_row(&self, row: &NewRow, holder: Option<&str>) -> Result<RowOutcome, EngineError> {
        self.write(|| self.inner.put_row(row, holder)).await
    }

    async fn rows_after(&self, after: RowId, limit: usize) -> Result<RowsRead, EngineError> {
        self.read(|| self.inner.rows_after(after, limit)).await
    }

    async fn newest_rows(&self, limit: usize) -> Result<RowsRead, EngineError> {
        self.read(|| self.inner.newest_rows(limit)).await
    }

    async fn append(&self, commit: &Arc<BlockCommit>) -> Result<(), EngineError> {
        self.write(|| self.inner.append(commit)).await
    }

    async fn remove_rows(
        &self,
        law_id: &ElectionId,
        through_height: u64,
    ) -> Result<(), EngineError> {
        self.write(|| self.inner.remove_rows(law_id, through_height)).await
    }

    async fn remove_old_rows(&self, through: RowId, limit: usize) -> Result<u64, EngineError> {
        self.write(|| self.inner.remove_old_rows(through, limit)).await
    }
}

#[async_trait]
impl<T: LogRepair + ?Sized, P: FaultPlan> LogRepair for Faulty<T, P> {
    async fn blocks_in_doubt(
        &self,
        law_id: &ElectionId,
        from_height: u64,
        limit: usize,
    ) -> Result<Vec<StoredBlock>, EngineError> {
        self.read(|| self.inner.blocks_in_doubt(law_id, from_height, limit)).await
    }

    async fn log_rows_above(
        &self,
        law_id: &ElectionId,
        height: u64,
        size: u64,
    ) -> Result<Vec<LogRow>, EngineError> {
        self.read(|| self.inner.log_rows_above(law_id, height, size)).await
    }

    async fn discard_above(
        &self,
        law_id: &ElectionId,
        head: &Head,
        seen: &Digest,
    ) -> Result<bool, EngineError> {
        self.write(|| self.inner.discard_above(law_id, head, seen)).await
    }
}

#[async_trait]
impl<T: Witnessed + ?Sized, P: FaultPlan> Witnessed for Faulty<T, P> {
    async fn put_witness_line(
        &self,
        law_id: &ElectionId,
        line: &WitnessLine,
    ) -> Result<(), EngineError> {
        self.write(|| self.inner.put_witness_line(law_id, line)).await
    }

    async fn witness_lines(
        &self,
        law_id: &ElectionId,
        size: u64,
        root: &TreeHash,
        witnesses: &[String],
    ) -> Result<Vec<WitnessLine>, EngineError> {
        self.read(|| self.inner.witness_lines(law_id, size, root, witnesses)).await
    }

    async fn latest_witness_lines(
        &self,
        law_id: &ElectionId,
        through_size: u64,
        witnesses: &[String],
    ) -> Result<Vec<WitnessLine>, EngineError> {
        self.read(|| self.inner.latest_witness_lines(law_id, through_size, witnesses)).await
    }
}

#[async_trait]
impl<T: Documents + ?Sized, P: FaultPlan> Documents for Faulty<T, P> {
    async fn put_manifest(&self, manifest: &[u8]) -> Result<Digest, EngineError> {
        self.write(|| self.inner.put_manifest(manifest)).await
    }

    async fn manifest(&self, digest: &Digest) -> Result<Option<Vec<u8>>, EngineError> {
        self.read(|| self.inner.manifest(digest)).await
    }

    async fn add_review_note(
        &self,
        law_id: &ElectionId,
        note: &ReviewNote,
    ) -> Result<(), EngineError> {
        self.write(|| self.inner.add_review_note(law_id, note)).await
    }

    async fn review_notes(&self, law_id: &ElectionId) -> Result<Vec<ReviewNote>, EngineError> {
        self.read(|| self.inner.review_notes(law_id)).await
    }

    async fn put_sealed_key(
        &self,
        law_id: &ElectionId,
        recipient: &[u8; 32],
        bytes: &[u8],
    ) -> Result<(), EngineError> {
        self.write(|| self.inner.put_sealed_key(law_id, recipient, bytes)).await
    }

    async fn sealed_key(
        &self,
        law_id: &ElectionId,
        recipient: &[u8; 32],
    ) -> Result<Option<Vec<u8>>, EngineError> {
        self.read(|| self.inner.sealed_key(law_id, recipient)).await
    }

    async fn sealed_key_recipients(&self) -> Result<Vec<(ElectionId, [u8; 32])>, EngineError> {
        self.read(|| self.inner.sealed_key_recipients()).await
    }

    async fn put_node_record(&self, name: &str, bytes: &[u8]) -> Result<(), EngineError> {
        self.write(|| self.inner.put_node_record(name, bytes)).await
    }

    async fn node_records(&self) -> Result<Vec<(String, Vec<u8>)>, EngineError> {
        self.read(|| self.inner.node_records()).await
    }
}

#[async_trait]
impl<T: Ledger + ?Sized, P: FaultPlan> Ledger for Faulty<T, P> {
    async fn ping(&self) -> Result<(), EngineError> {
        self.read(|| self.inner.ping()).await
    }

    async fn probe(&self) -> Result<(), EngineError> {
        self.write(|| self.inner.probe()).await
    }

    fn is_shared(&self) -> bool {
        self.is_shared || self.inner.is_shared()
    }
}
