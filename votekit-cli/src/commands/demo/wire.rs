//! The network between an authority of a demo and the servers that it shares with the others: it
//! can be cut, and mended.

use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::watch;
use votekit_core::batch::Batch;
use votekit_core::id::{Digest, ElectionId, Epoch, NodeId, Sequence};
use votekit_core::instant::UnixMillis;
use votekit_store::{
    BatchName, BlockCommit, Documents, EngineError, Head, Hints, LeaderFence, Leadership, Lease,
    Leases, Ledger, LogPosition, LogRepair, LogRow, LogStore, NewRow, NoLease, ReviewNote, Rounds,
    RowId, RowOutcome, RowsRead, Staged, Staging, StagingId, StoredBlock, WitnessLine, Witnessed,
};

/// The network of one authority.
#[derive(Clone, Default)]
pub(super) struct Wire(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    is_cut: bool,
    /// The connections over it, where it is one of sockets.
    open: Vec<TcpStream>,
}

impl Wire {
    /// Ends every connection, and refuses new ones.
    pub(super) fn cut(&self) {
        let mut state = self.0.lock();
        state.is_cut = true;
        for stream in state.open.drain(..) {
            // A connection that has ended already is as wanted.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Takes connections again.
    pub(super) fn mend(&self) {
        self.0.lock().is_cut = false;
    }

    /// Adds a connection; `false` while the network is cut.
    #[cfg(feature = "services")]
    pub(super) fn connect(&self, streams: impl IntoIterator<Item = TcpStream>) -> bool {
        let mut state = self.0.lock();
        if !state.is_cut {
            state.open.extend(streams);
        }
        !state.is_cut
    }
}

/// The ledger as one node of this process reaches it.
pub(super) struct WiredLedger {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) wire: Wire,
}

impl WiredLedger {
    fn reach(&self) -> Result<&dyn Ledger, EngineError> {
        if self.wire.0.lock().is_cut {
            let reason = "the network of this authority is cut".to_owned();
            return Err(EngineError::Unavailable { engine: "the ledger", reason });
        }
        Ok(&*self.ledger)
    }
}

#[async_trait]
impl Staging for WiredLedger {
    async fn stage(&self, batch: &Arc<Batch>, hints: &Hints) -> Result<StagingId, EngineError> {
        self.reach()?.stage(batch, hints).await
    }

    async fn staged(
        &self,
        law_id: &ElectionId,
        after: StagingId,
        limit: usize,
    ) -> Result<Vec<Staged>, EngineError> {
        self.reach()?.staged(law_id, after, limit).await
    }

    async fn staged_through(
        &self,
        law_id: &ElectionId,
        node: NodeId,
        epoch: Epoch,
    ) -> Result<Option<Sequence>, EngineError> {
        self.reach()?.staged_through(law_id, node, epoch).await
    }

    async fn are_staged(&self, batches: &[BatchName]) -> Result<Vec<bool>, EngineError> {
        self.reach()?.are_staged(batches).await
    }

    async fn purge_evidence(&self, law_id: &ElectionId) -> Result<u64, EngineError> {
        self.reach()?.purge_evidence(law_id).await
    }
}

#[async_trait]
impl LogStore for WiredLedger {
    async fn elections(&self) -> Result<Vec<ElectionId>, EngineError> {
        self.reach()?.elections().await
    }

    async fn positions(&self) -> Result<Vec<LogPosition>, EngineError> {
        self.reach()?.positions().await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.ledger.changes()
    }

    async fn commit(&self, commit: &Arc<BlockCommit>) -> Result<(), EngineError> {
        self.reach()?.commit(commit).await
    }

    async fn head(&self, law_id: &ElectionId) -> Result<Option<Head>, EngineError> {
        self.reach()?.head(law_id).await
    }

    async fn blocks(
        &self,
        law_id: &ElectionId,
        from_height: u64,
        limit: usize,
    ) -> Result<Vec<StoredBlock>, EngineError> {
        self.reach()?.blocks(law_id, from_height, limit).await
    }

    async fn leaves(
        &self,
        law_id: &ElectionId,
        first: u64,
        count: u32,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        self.reach()?.leaves(law_id, first, count).await
    }

    async fn tile(
        &self,
        law_id: &ElectionId,
        level: u8,
        index: u64,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        self.reach()?.tile(law_id, level, index).await
    }
}

#[async_trait]
impl Leases for WiredLedger {
    async fn allocate_epoch(
        &self,
        law_id: &ElectionId,
        node: NodeId,
    ) -> Result<Epoch, EngineError> {
        self.reach()?.allocate_epoch(law_id, node).await
    }

    async fn clock(&self) -> Result<UnixMillis, EngineError> {
        self.reach()?.clock().await
    }

    async fn epochs(&self, law_id: &ElectionId) -> Result<Vec<(NodeId, Epoch)>, EngineError> {
        self.reach()?.epochs(law_id).await
    }

    async fn hold_lease(
        &self,
        law_id: &ElectionId,
        node: NodeId,
        epoch: Epoch,
        length: Duration,
    ) -> Result<(), EngineError> {
        self.reach()?.hold_lease(law_id, node, epoch, length).await
    }

    async fn renew_leases(
        &self,
        node: NodeId,
        held: &[(ElectionId, Epoch)],
        length: Duration,
    ) -> Result<Vec<Result<(), NoLease>>, EngineError> {
        self.reach()?.renew_leases(node, held, length).await
    }

    async fn leases(&self, law_id: &ElectionId) -> Result<Vec<Lease>, EngineError> {
        self.reach()?.leases(law_id).await
    }

    async fn fence(&self, law_id: &ElectionId, node: NodeId) -> Result<(), EngineError> {
        self.reach()?.fence(law_id, node).await
    }

    async fn set_takes_votes(
        &self,
        law_id: &ElectionId,
        takes_votes: bool,
    ) -> Result<(), EngineError> {
        self.reach()?.set_takes_votes(law_id, takes_votes).await
    }
}

#[async_trait]
impl LeaderFence for WiredLedger {
    async fn acquire_leadership(
        &self,
        holder: &str,
        length: Duration,
        at_least: u64,
    ) -> Result<Leadership, EngineError> {
        self.reach()?.acquire_leadership(holder, length, at_least).await
    }

    async fn pass_over(&self, term: u64) -> Result<(), EngineError> {
        self.reach()?.pass_over(term).await
    }

    async fn release_leadership(&self, holder: &str) -> Result<(), EngineError> {
        self.reach()?.release_leadership(holder).await
    }
}

#[async_trait]
impl Rounds for WiredLedger {
    async fn put_row(&self, row: &NewRow, holder: Option<&str>) -> Result<RowOutcome, EngineError> {
        self.reach()?.put_row(row, holder).await
    }

    async fn rows_after(&self, after: RowId, limit: usize) -> Result<RowsRead, EngineError> {
        self.reach()?.rows_after(after, limit).await
    }

    async fn append(&self, commit: &Arc<BlockCommit>) -> Result<(), EngineError> {
        self.reach()?.append(commit).await
    }

    async fn remove_rows(
        &self,
        law_id: &ElectionId,
        through_height: u64,
    ) -> Result<(), EngineError> {
        self.reach()?.remove_rows(law_id, through_height).await
    }

    async fn remove_old_rows(&self, through: RowId, limit: usize) -> Result<u64, EngineError> {
        self.reach()?.remove_old_rows(through, limit).await
    }
}

#[async_trait]
impl LogRepair for WiredLedger {
    async fn blocks_in_doubt(
        &self,
        law_id: &ElectionId,
        from_height: u64,
        limit: usize,
    ) -> Result<Vec<StoredBlock>, EngineError> {
        self.reach()?.blocks_in_doubt(law_id, from_height, limit).await
    }

    async fn log_rows_above(
        &self,
        law_id: &ElectionId,
        height: u64,
        size: u64,
    ) -> Result<Vec<LogRow>, EngineError> {
        self.reach()?.log_rows_above(law_id, height, size).await
    }

    async fn discard_above(
        &self,
        law_id: &ElectionId,
        head: &Head,
        seen: &Digest,
    ) -> Result<bool, EngineError> {
        self.reach()?.discard_above(law_id, head, seen).await
    }
}

#[async_trait]
impl Witnessed for WiredLedger {
    async fn put_witness_line(
        &self,
        law_id: &ElectionId,
        line: &WitnessLine,
    ) -> Result<(), EngineError> {
        self.reach()?.put_witness_line(law_id, line).await
    }

    async fn witness_lines(
        &self,
        law_id: &ElectionId,
        size: u64,
    ) -> Result<Vec<WitnessLine>, EngineError> {
        self.reach()?.witness_lines(law_id, size).await
    }

    async fn latest_witness_lines(
        &self,
        law_id: &ElectionId,
    ) -> Result<Vec<WitnessLine>, EngineError> {
        self.reach()?.latest_witness_lines(law_id).await
    }
}

#[async_trait]
impl Documents for WiredLedger {
    async fn put_manifest(&self, manifest: &[u8]) -> Result<Digest, EngineError> {
        self.reach()?.put_manifest(manifest).await
    }

    async fn manifest(&self, digest: &Digest) -> Result<Option<Vec<u8>>, EngineError> {
        self.reach()?.manifest(digest).await
    }

    async fn add_review_note(
        &self,
        law_id: &ElectionId,
        note: &ReviewNote,
    ) -> Result<(), EngineError> {
        self.reach()?.add_review_note(law_id, note).await
    }

    async fn review_notes(&self, law_id: &ElectionId) -> Result<Vec<ReviewNote>, EngineError> {
        self.reach()?.review_notes(law_id).await
    }

    async fn put_sealed_key(
        &self,
        law_id: &ElectionId,
        recipient: &[u8; 32],
        bytes: &[u8],
    ) -> Result<(), EngineError> {
        self.reach()?.put_sealed_key(law_id, recipient, bytes).await
    }

    async fn sealed_key(
        &self,
        law_id: &ElectionId,
        recipient: &[u8; 32],
    ) -> Result<Option<Vec<u8>>, EngineError> {
        self.reach()?.sealed_key(law_id, recipient).await
    }

    async fn sealed_key_recipients(&self) -> Result<Vec<(ElectionId, [u8; 32])>, EngineError> {
        self.reach()?.sealed_key_recipients().await
    }

    async fn put_node_record(&self, name: &str, bytes: &[u8]) -> Result<(), EngineError> {
        self.reach()?.put_node_record(name, bytes).await
    }

    async fn node_records(&self) -> Result<Vec<(String, Vec<u8>)>, EngineError> {
        self.reach()?.node_records().await
    }
}

#[async_trait]
impl Ledger for WiredLedger {
    fn is_shared(&self) -> bool {
        self.ledger.is_shared()
    }

    async fn ping(&self) -> Result<(), EngineError> {
        self.reach()?.ping().await
    }

    async fn probe(&self) -> Result<(), EngineError> {
        self.reach()?.probe().await
    }
}
