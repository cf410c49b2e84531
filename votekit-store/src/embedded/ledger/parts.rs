//! The parts of the ledger. Each call is a query of a reader or a write of the writer.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use votekit_core::batch::Batch;
use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, NodeId, Sequence};
use votekit_core::instant::UnixMillis;
use votekit_core::log::merkle::TreeHash;

use super::EmbeddedLedger;
use crate::block_rows::Appending;
use crate::clock;
use crate::embedded::writes::{
    AddReviewNote, AllocateEpoch, Commit, DiscardAbove, Probe, PurgePart, PutManifest,
    PutNodeRecord, PutRow, PutSealedKey, PutWitnessLine, RemoveOldRows, RemoveRows, Restage,
    SetTakesVotes, Stage,
};
use crate::embedded::{queries, witness_queries};
use crate::{
    BatchName, BlockCommit, Changes, Conflict, Documents, EngineError, Head, Hints, LeaderFence,
    Leadership, Lease, Leases, Ledger, LogPosition, LogRepair, LogRow, LogStore, NewRow, NoLease,
    Restaged, ReviewNote, Rounds, RowId, RowOutcome, RowsRead, StagedPosition, Staging, StagingId,
    StagingRead, StoredBlock, WitnessLine, Witnessed,
};

#[async_trait]
impl Staging for EmbeddedLedger {
    async fn stage(&self, batch: &Arc<Batch>, _hints: &Hints) -> Result<StagingId, EngineError> {
        self.check(&batch.header().law_id)?;
        let is_shared = self.leases.is_shared();
        Ok(self.writer.write(Stage { batch: Arc::clone(batch), is_shared }).await?.id)
    }

    async fn restage(
        &self,
        batch: &Arc<Batch>,
        _hints: &Hints,
        above: StagingId,
    ) -> Result<Restaged, EngineError> {
        self.check(&batch.header().law_id)?;
        let row = self.writer.write(Restage { batch: Arc::clone(batch), above }).await?;
        Ok(Restaged { id: row.id, is_new: row.is_new() })
    }

    async fn read_staging(
        &self,
        law_id: &ElectionId,
        after: StagingId,
        limit: usize,
    ) -> Result<StagingRead, EngineError> {
        self.check(law_id)?;
        let is_shared = self.leases.is_shared();
        // Another program may have changed the rows of a shared ledger since they were staged:
        // memory does not show that.
        if !is_shared && let Some(batches) = self.tail.unsealed(law_id, after, limit) {
            return Ok(StagingRead { batches, unreadable: Vec::new() });
        }
        self.read_of(law_id, move |connection, law_id| {
            queries::read_staging(connection, law_id, (after, limit), is_shared)
        })
        .await
    }

    async fn batch_at(
        &self,
        law_id: &ElectionId,
        id: StagingId,
    ) -> Result<Option<Digest>, EngineError> {
        self.read_of(law_id, move |connection, law_id| queries::batch_at(connection, law_id, id))
            .await
    }

    async fn staged_positions(
        &self,
        law_id: &ElectionId,
        after: StagingId,
        limit: usize,
    ) -> Result<Vec<StagedPosition>, EngineError> {
        self.read_of(law_id, move |connection, law_id| {
            queries::staged_positions(connection, law_id, after, limit)
        })
        .await
    }

    async fn staged_batch(
        &self,
        law_id: &ElectionId,
        number: BatchNumber,
    ) -> Result<Option<Arc<Batch>>, EngineError> {
        let found = self
            .read_of(law_id, move |connection, law_id| queries::batch(connection, law_id, number));
        Ok(found.await?.map(Arc::new))
    }

    async fn staged_through(
        &self,
        law_id: &ElectionId,
        node: NodeId,
        epoch: Epoch,
    ) -> Result<Option<Sequence>, EngineError> {
        self.read_of(law_id, move |connection, law_id| {
            queries::staged_through(connection, law_id, node, epoch)
        })
        .await
    }

    async fn are_staged(&self, batches: &[BatchName]) -> Result<Vec<bool>, EngineError> {
        let batches = batches.to_vec();
        self.read(move |connection| queries::are_staged(connection, &batches)).await
    }

    async fn purge_evidence(&self, law_id: &ElectionId) -> Result<u64, EngineError> {
        self.check(law_id)?;
        let mut purged = 0;
        loop {
            match self.writer.write(PurgePart { law_id: law_id.clone() }).await? {
                0 => break,
                part => purged += part,
            }
        }
        // The write-ahead log still holds the pages with the purged bytes.
        self.writer.checkpoint().await?;
        Ok(purged)
    }
}

#[async_trait]
impl LogStore for EmbeddedLedger {
    async fn elections(&self) -> Result<Vec<ElectionId>, EngineError> {
        let mut elections = self.read(queries::elections).await?;
        // One without a head is damaged too, and does not go unmentioned.
        let unlisted = self.damaged.keys().filter(|law_id| !elections.contains(law_id));
        let unlisted: Vec<_> = unlisted.cloned().collect();
        elections.extend(unlisted);
        Ok(elections)
    }

    async fn positions(&self) -> Result<Vec<LogPosition>, EngineError> {
        let elections = self.elections().await?;
        let position = |law_id: ElectionId| {
            let height = self.tail.head(&law_id)?.height;
            Some(LogPosition { height, staged: self.tail.staged(&law_id), law_id })
        };
        Ok(elections.into_iter().filter_map(position).collect())
    }

    fn changes(&self) -> watch::Receiver<Changes> {
        self.tail.changes()
    }

    async fn commit(&self, commit: &Arc<BlockCommit>) -> Result<(), EngineError> {
        self.check(&commit.law_id)?;
        let leases = Arc::clone(&self.leases);
        let commit = Commit::new(Arc::clone(commit), leases, Appending::InTerm)?;
        self.writer.write(commit).await.map(|_| ())
    }

    async fn head(&self, law_id: &ElectionId) -> Result<Option<Head>, EngineError> {
        self.check(law_id)?;
        Ok(self.tail.head(law_id))
    }

    async fn blocks(
        &self,
        law_id: &ElectionId,
        from_height: u64,
        limit: usize,
    ) -> Result<Vec<StoredBlock>, EngineError> {
        self.read_of(law_id, move |connection, law_id| {
            queries::blocks(connection, law_id, from_height, limit)
        })
        .await
    }

    async fn leaves(
        &self,
        law_id: &ElectionId,
        first: u64,
        count: u32,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        self.read_of(law_id, move |connection, law_id| {
            queries::leaves(connection, law_id, first, count)
        })
        .await
    }

    async fn tile(
        &self,
        law_id: &ElectionId,
        level: u8,
        index: u64,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        self.read_of(law_id, move |connection, law_id| {
            queries::tile(connection, law_id, level, index)
        })
        .await
    }
}

#[async_trait]
impl Leases for EmbeddedLedger {
    async fn allocate_epoch_above(
        &self,
        law_id: &ElectionId,
        node: NodeId,
        above: Epoch,
    ) -> Result<Epoch, EngineError> {
        self.check(law_id)?;
        self.writer.write(AllocateEpoch { law_id: law_id.clone(), node, above }).await
    }

    async fn hold_lease(
        &self,
        law_id: &ElectionId,
        node: NodeId,
        epoch: Epoch,
        length: Duration,
    ) -> Result<(), EngineError> {
        let refused =
            |reason| Err(Conflict::NoLease { law_id: law_id.clone(), node, epoch, reason }.into());
        if !self.epochs(law_id).await?.contains(&(node, epoch)) {
            return refused(NoLease::NoEpoch);
        }
        let takes_votes = || self.tail.head(law_id).is_some_and(|head| head.takes_votes);
        if !takes_votes() {
            return refused(NoLease::TakesNoVotes);
        }
        if !self.leases.hold((law_id.clone(), node, epoch), length) {
            return refused(NoLease::Fenced);
        }
        // A head committed since the first check may have ended the voting, and its committer may
        // have read the leases before this lease was recorded. So check again.
        if takes_votes() { Ok(()) } else { refused(NoLease::TakesNoVotes) }
    }

    async fn renew_leases(
        &self,
        node: NodeId,
        held: &[(ElectionId, Epoch)],
        length: Duration,
    ) -> Result<Vec<Result<(), NoLease>>, EngineError> {
        let mut renewed = Vec::with_capacity(held.len());
        for (law_id, epoch) in held {
            renewed.push(match self.hold_lease(law_id, node, *epoch, length).await {
                Ok(()) => Ok(()),
                Err(EngineError::Conflict(Conflict::NoLease { reason, .. })) => Err(reason),
                Err(error) => return Err(error),
            });
        }
        Ok(renewed)
    }

    async fn leases(&self, law_id: &ElectionId) -> Result<Vec<Lease>, EngineError> {
        self.check(law_id)?;
        Ok(self.leases.leases_of(law_id))
    }

    async fn fence(&self, law_id: &ElectionId, node: NodeId) -> Result<(), EngineError> {
        for (_, epoch) in self.epochs(law_id).await?.into_iter().filter(|(owner, _)| *owner == node)
        {
            self.leases.fence((law_id.clone(), node, epoch));
        }
        Ok(())
    }

    async fn set_takes_votes(
        &self,
        law_id: &ElectionId,
        takes_votes: bool,
    ) -> Result<(), EngineError> {
        self.check(law_id)?;
        self.writer.write(SetTakesVotes { law_id: law_id.clone(), takes_votes }).await.map(|_| ())
    }

    async fn clock(&self) -> Result<UnixMillis, EngineError> {
        self.poison.check()?;
        Ok(clock::now())
    }

    async fn epochs(&self, law_id: &ElectionId) -> Result<Vec<(NodeId, Epoch)>, EngineError> {
        self.read_of(law_id, queries::epochs).await
    }
}

#[async_trait]
impl LeaderFence for EmbeddedLedger {
    async fn acquire_leadership(
        &self,
        holder: &str,
        length: Duration,
        at_least: u64,
    ) -> Result<Leadership, EngineError> {
        self.take_lead(holder, length, at_least, None).await
    }

    async fn pass_over(
        &self,
        term: u64,
        holder: &str,
        length: Duration,
        at_least: u64,
    ) -> Result<Leadership, EngineError> {
        self.take_lead(holder, length, at_least, Some(term)).await
    }

    async fn release_leadership(&self, holder: &str) -> Result<(), EngineError> {
        self.leases.release_leadership(holder);
        self.tail.notify_of_leader();
        Ok(())
    }
}

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

#[async_trait]
impl Documents for EmbeddedLedger {
    async fn add_review_note(
        &self,
        law_id: &ElectionId,
        note: &ReviewNote,
    ) -> Result<(), EngineError> {
        self.writer.write(AddReviewNote { law_id: law_id.clone(), note: note.clone() }).await
    }

    async fn review_notes(&self, law_id: &ElectionId) -> Result<Vec<ReviewNote>, EngineError> {
        let law_id = law_id.clone();
        self.read(move |connection| queries::review_notes(connection, &law_id)).await
    }

    async fn put_manifest(&self, manifest: &[u8]) -> Result<Digest, EngineError> {
        self.writer.write(PutManifest { bytes: manifest.to_vec() }).await
    }

    async fn manifest(&self, digest: &Digest) -> Result<Option<Vec<u8>>, EngineError> {
        let digest = *digest;
        self.read(move |connection| queries::manifest(connection, &digest)).await
    }

    async fn put_sealed_key(
        &self,
        law_id: &ElectionId,
        recipient: &[u8; 32],
        bytes: &[u8],
    ) -> Result<(), EngineError> {
        self.check(law_id)?;
        let (law_id, recipient) = (law_id.clone(), *recipient);
        self.writer.write(PutSealedKey { law_id, recipient, bytes: bytes.to_vec() }).await
    }

    async fn sealed_key(
        &self,
        law_id: &ElectionId,
        recipient: &[u8; 32],
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let recipient = *recipient;
        self.read_of(law_id, move |connection, law_id| {
            queries::sealed_key(connection, law_id, &recipient)
        })
        .await
    }

    async fn sealed_key_recipients(&self) -> Result<Vec<(ElectionId, [u8; 32])>, EngineError> {
        self.read(queries::sealed_key_recipients).await
    }

    async fn put_node_record(&self, name: &str, bytes: &[u8]) -> Result<(), EngineError> {
        let (name, bytes) = (name.to_owned(), bytes.to_vec());
        self.writer.write(PutNodeRecord { name, bytes }).await
    }

    async fn node_records(&self) -> Result<Vec<(String, Vec<u8>)>, EngineError> {
        self.read(queries::node_records).await
    }
}

#[async_trait]
impl Ledger for EmbeddedLedger {
    fn is_shared(&self) -> bool {
        self.leases.is_shared()
    }

    async fn ping(&self) -> Result<(), EngineError> {
        self.writer.check()?;
        self.read(queries::ping).await
    }

    async fn probe(&self) -> Result<(), EngineError> {
        self.writer.write(Probe).await
    }
}
