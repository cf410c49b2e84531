//! The ledger on PostgreSQL: shared by all nodes of an installation, in its own schema.
//!
//! ```text
//! stage ──▶ stager (all waiting batches in one statement) ─┐
//! commit, leases, epochs … (one statement each) ───────────┼─▶ connections ─▶ functions and tables
//! reads ───────────────────────────────────────────────────┘
//! ```
//!
//! The functions and tables are those of `migrations/services`. The ledger keeps nothing in memory:
//! answers are the primary server's, and times are by its clock.

mod fault;
mod rows;
mod schema;
mod tls;
mod connections;
mod queries;
mod accounts;
mod listener;
mod witnessed;
mod read_view;
mod repair;
mod rounds;
mod stager;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use votekit_core::batch::Batch;
use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, NodeId, Sequence};
use votekit_core::instant::UnixMillis;
use votekit_core::log::merkle::TreeHash;

pub use accounts::PostgresAccounts;
pub use read_view::PostgresReadView;

use super::url::ServiceAddress;
use crate::block_rows::{Appending, head_digest};
use crate::{
    BatchName, BlockCommit, Changes, Documents, EngineError, Head, Hints, LeaderFence, Leadership,
    Lease, Leases, Ledger, LogPosition, LogRepair, LogRow, LogStore, NewRow, NoLease, Restaged,
    ReviewNote, Rounds, RowId, RowOutcome, RowsRead, StagedPosition, Staging, StagingId,
    StagingRead, StoredBlock, WitnessLine, Witnessed,
};
use connections::{Connections, Connector};
use listener::Listener;
use stager::Stager;
use writes::PreparedCommit;

/// The ledger in a schema of a PostgreSQL database.
///
/// Any number of processes may open the same ledger. A call waits at most 15 seconds for the
/// server; lost connections are replaced by the calls that need them.
#[derive(Debug)]
pub struct PostgresLedger {
    connections: Arc<Connections>,
    stager: Stager,
    listener: Listener,
}

impl PostgresLedger {
    /// Opens the ledger at an address. Creates the schema `?schema=` (`votekit` by default) if it
    /// is missing, and migrates an older version.
    ///
    /// `?sslmode=` is `verify-full`, or, only for a server on this machine, `disable`, which is the
    /// default there. `?ca_file=` names the PEM file of the certificate authority trusted instead
    /// of the system's, and makes `verify-full` the default.
    ///
    /// # Errors
    /// [`EngineError::Misconfigured`] within 5 seconds, with a hint on what to correct;
    /// [`EngineError::Unavailable`] while the server is starting or stopping. Damage to the rows of
    /// an election is reported when that election is read.
    pub async fn open(address: &ServiceAddress) -> Result<Self, EngineError> {
        let connector = Arc::new(Connector::new(address)?);
        let connections = Arc::new(Connections::open(&connector, address).await?);
        let stager = Stager::start(Arc::clone(&connections));
        Ok(Self { connections, stager, listener: Listener::start(connector) })
    }

    /// Returns the text that identifies this ledger. It was generated at random when the schema was
    /// created.
    ///
    /// # Errors
    /// When the server is unavailable.
    pub async fn installation(&self) -> Result<String, EngineError> {
        queries::installation(&mut self.connections.session().await?).await
    }

    /// The accounts in the same schema, over the same connections.
    #[must_use]
    pub fn accounts(&self) -> PostgresAccounts {
        PostgresAccounts::new(Arc::clone(&self.connections))
    }
}

#[async_trait]
impl Staging for PostgresLedger {
    async fn stage(&self, batch: &Arc<Batch>, hints: &Hints) -> Result<StagingId, EngineError> {
        self.stager.stage(batch, hints).await
    }

    async fn restage(
        &self,
        batch: &Arc<Batch>,
        hints: &Hints,
        above: StagingId,
    ) -> Result<Restaged, EngineError> {
        writes::restage(&mut self.connections.session().await?, batch, hints, above).await
    }

    async fn read_staging(
        &self,
        law_id: &ElectionId,
        after: StagingId,
        limit: usize,
    ) -> Result<StagingRead, EngineError> {
        let mut session = self.connections.session_for(law_id).await?;
        queries::read_staging(&mut session, law_id, after, limit).await
    }

    async fn batch_at(
        &self,
        law_id: &ElectionId,
        id: StagingId,
    ) -> Result<Option<Digest>, EngineError> {
        queries::batch_at(&mut self.connections.session_for(law_id).await?, law_id, id).await
    }

    async fn staged_positions(
        &self,
        law_id: &ElectionId,
        after: StagingId,
        limit: usize,
    ) -> Result<Vec<StagedPosition>, EngineError> {
        let mut session = self.connections.session_for(law_id).await?;
        queries::staged_positions(&mut session, law_id, after, limit).await
    }

    async fn staged_batch(
        &self,
        law_id: &ElectionId,
        number: BatchNumber,
    ) -> Result<Option<Arc<Batch>>, EngineError> {
        let mut session = self.connections.session_for(law_id).await?;
        Ok(queries::batch(&mut session, law_id, number).await?.map(Arc::new))
    }

    async fn staged_through(
        &self,
        law_id: &ElectionId,
        node: NodeId,
        epoch: Epoch,
    ) -> Result<Option<Sequence>, EngineError> {
        queries::staged_through(&mut self.connections.session().await?, law_id, node, epoch).await
    }

    async fn are_staged(&self, batches: &[BatchName]) -> Result<Vec<bool>, EngineError> {
        queries::are_staged(&mut self.connections.session().await?, batches).await
    }

    /// Removes the bytes from the table. The server reuses their space over time; its write-ahead
    /// log and its backups still contain them. Only destroying the ballot key makes evidence
    /// unreadable immediately.
    async fn purge_evidence(&self, law_id: &ElectionId) -> Result<u64, EngineError> {
        let mut purged = 0;
        loop {
            match writes::purge_part(&mut self.connections.session().await?, law_id).await? {
                0 => break,
                part => purged += part,
            }
        }
        writes::remove_sealed_keys(&mut self.connections.session().await?, law_id).await?;
        if purged > 0 {
            writes::vacuum_evidence(&mut self.connections.session().await?).await;
        }
        Ok(purged)
    }
}

#[async_trait]
impl LogStore for PostgresLedger {
    async fn elections(&self) -> Result<Vec<ElectionId>, EngineError> {
        let mut elections = queries::elections(&mut self.connections.session().await?).await?;
        // An election without a head is damaged too, and must be listed.
        let damaged = self.connections.damaged().keys();
        let unlisted: Vec<_> =
            damaged.filter(|law_id| !elections.contains(law_id)).cloned().collect();
        elections.extend(unlisted);
        Ok(elections)
    }

    async fn positions(&self) -> Result<Vec<LogPosition>, EngineError> {
        queries::positions(&mut self.connections.session().await?).await
    }

    fn changes(&self) -> watch::Receiver<Changes> {
        self.listener.changes()
    }

    async fn commit(&self, commit: &Arc<BlockCommit>) -> Result<(), EngineError> {
        let prepared = PreparedCommit::new(commit)?;
        let mut session = self.connections.session_for(&commit.law_id).await?;
        prepared.write(&mut session, Appending::InTerm).await
    }

    async fn head(&self, law_id: &ElectionId) -> Result<Option<Head>, EngineError> {
        queries::head(&mut self.connections.session_for(law_id).await?, law_id).await
    }

    async fn blocks(
        &self,
        law_id: &ElectionId,
        from_height: u64,
        limit: usize,
    ) -> Result<Vec<StoredBlock>, EngineError> {
        let mut session = self.connections.session_for(law_id).await?;
        queries::blocks(&mut session, law_id, from_height, limit).await
    }

    async fn leaves(
        &self,
        law_id: &ElectionId,
        first: u64,
        count: u32,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let mut session = self.connections.session_for(law_id).await?;
        queries::leaves(&mut session, law_id, first, count).await
    }

    async fn tile(
        &self,
        law_id: &ElectionId,
        level: u8,
        index: u64,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let mut session = self.connections.session_for(law_id).await?;
        queries::tile(&mut session, law_id, level, index).await
    }
}

#[async_trait]
impl Leases for PostgresLedger {
    async fn allocate_epoch_above(
        &self,
        law_id: &ElectionId,
        node: NodeId,
        above: Epoch,
    ) -> Result<Epoch, EngineError> {
        writes::allocate_epoch(&mut self.connections.session().await?, law_id, node, above).await
    }

    async fn hold_lease(
        &self,
        law_id: &ElectionId,
        node: NodeId,
        epoch: Epoch,
        length: Duration,
    ) -> Result<(), EngineError> {
        writes::hold_lease(&mut self.connections.session().await?, law_id, node, epoch, length)
            .await
    }

    async fn renew_leases(
        &self,
        node: NodeId,
        held: &[(ElectionId, Epoch)],
        length: Duration,
    ) -> Result<Vec<Result<(), NoLease>>, EngineError> {
        writes::renew_leases(&mut self.connections.session().await?, node, held, length).await
    }

    async fn leases(&self, law_id: &ElectionId) -> Result<Vec<Lease>, EngineError> {
        queries::leases(&mut self.connections.session().await?, law_id).await
    }

    async fn fence(&self, law_id: &ElectionId, node: NodeId) -> Result<(), EngineError> {
        writes::fence(&mut self.connections.session().await?, law_id, node).await
    }

    async fn set_takes_votes(
        &self,
        law_id: &ElectionId,
        takes_votes: bool,
    ) -> Result<(), EngineError> {
        loop {
            let mut session = self.connections.session_for(law_id).await?;
            let Some(mut head) = queries::head(&mut session, law_id).await? else { return Ok(()) };
            if head.takes_votes == takes_votes {
                return Ok(());
            }
            let before = head_digest(&head);
            head.takes_votes = takes_votes;
            if writes::set_takes_votes(&mut session, law_id, &head, &before).await? {
                return Ok(());
            }
            // A block was appended in between.
        }
    }

    async fn clock(&self) -> Result<UnixMillis, EngineError> {
        queries::clock(&mut self.connections.session().await?).await
    }

    async fn epochs(&self, law_id: &ElectionId) -> Result<Vec<(NodeId, Epoch)>, EngineError> {
        queries::epochs(&mut self.connections.session().await?, law_id).await
    }
}

#[async_trait]
impl LeaderFence for PostgresLedger {
    async fn acquire_leadership(
        &self,
        holder: &str,
        length: Duration,
        at_least: u64,
    ) -> Result<Leadership, EngineError> {
        let mut session = self.connections.session().await?;
        writes::acquire_leadership(&mut session, holder, length, at_least, None).await
    }

    async fn pass_over(
        &self,
        term: u64,
        holder: &str,
        length: Duration,
        at_least: u64,
    ) -> Result<Leadership, EngineError> {
        let mut session = self.connections.session().await?;
        writes::acquire_leadership(&mut session, holder, length, at_least, Some(term)).await
    }

    async fn release_leadership(&self, holder: &str) -> Result<(), EngineError> {
        writes::release_leadership(&mut self.connections.session().await?, holder).await
    }
}

#[async_trait]
impl Rounds for PostgresLedger {
    async fn put_row(&self, row: &NewRow, holder: Option<&str>) -> Result<RowOutcome, EngineError> {
        let mut session = match &row.law_id {
            Some(law_id) => self.connections.session_for(law_id).await?,
            None => self.connections.session().await?,
        };
        rounds::put_row(&mut session, row, holder).await
    }

    async fn rows_after(&self, after: RowId, limit: usize) -> Result<RowsRead, EngineError> {
        rounds::rows_after(&mut self.connections.session().await?, after, limit).await
    }

    async fn newest_rows(&self, limit: usize) -> Result<RowsRead, EngineError> {
        rounds::newest_rows(&mut self.connections.session().await?, limit).await
    }

    async fn append(&self, commit: &Arc<BlockCommit>) -> Result<(), EngineError> {
        let prepared = PreparedCommit::new(commit)?;
        let mut session = self.connections.session_for(&commit.law_id).await?;
        prepared.write(&mut session, Appending::InAnyTerm).await
    }

    async fn remove_rows(
        &self,
        law_id: &ElectionId,
        through_height: u64,
    ) -> Result<(), EngineError> {
        let mut session = self.connections.session().await?;
        rounds::remove_rows(&mut session, law_id, through_height).await
    }

    async fn remove_old_rows(&self, through: RowId, limit: usize) -> Result<u64, EngineError> {
        let mut session = self.connections.session().await?;
        rounds::remove_old_rows(&mut session, through, limit).await
    }
}

#[async_trait]
impl LogRepair for PostgresLedger {
    async fn blocks_in_doubt(
        &self,
        law_id: &ElectionId,
        from_height: u64,
        limit: usize,
    ) -> Result<Vec<StoredBlock>, EngineError> {
        let mut session = self.connections.session().await?;
        queries::blocks(&mut session, law_id, from_height, limit).await
    }

    async fn log_rows_above(
        &self,
        law_id: &ElectionId,
        height: u64,
        size: u64,
    ) -> Result<Vec<LogRow>, EngineError> {
        let mut session = self.connections.session().await?;
        repair::log_rows_above(&mut session, law_id, height, size).await
    }

    async fn discard_above(
        &self,
        law_id: &ElectionId,
        head: &Head,
        seen: &Digest,
    ) -> Result<bool, EngineError> {
        let mut session = self.connections.session().await?;
        repair::discard_above(&mut session, law_id, &head.taken_back(), seen).await
    }
}

#[async_trait]
impl Witnessed for PostgresLedger {
    async fn put_witness_line(
        &self,
        law_id: &ElectionId,
        line: &WitnessLine,
    ) -> Result<(), EngineError> {
        let mut session = self.connections.session_for(law_id).await?;
        witnessed::put_witness_line(&mut session, law_id, line).await
    }

    async fn witness_lines(
        &self,
        law_id: &ElectionId,
        size: u64,
        root: &TreeHash,
        witnesses: &[String],
    ) -> Result<Vec<WitnessLine>, EngineError> {
        let mut session = self.connections.session_for(law_id).await?;
        witnessed::witness_lines(&mut session, law_id, (size, root), witnesses).await
    }

    async fn latest_witness_lines(
        &self,
        law_id: &ElectionId,
        through_size: u64,
        witnesses: &[String],
    ) -> Result<Vec<WitnessLine>, EngineError> {
        let mut session = self.connections.session_for(law_id).await?;
        witnessed::latest_witness_lines(&mut session, law_id, through_size, witnesses).await
    }
}

#[async_trait]
impl Documents for PostgresLedger {
    async fn put_manifest(&self, manifest: &[u8]) -> Result<Digest, EngineError> {
        writes::put_manifest(&mut self.connections.session().await?, manifest).await
    }

    async fn manifest(&self, digest: &Digest) -> Result<Option<Vec<u8>>, EngineError> {
        queries::manifest(&mut self.connections.session().await?, digest).await
    }

    async fn add_review_note(
        &self,
        law_id: &ElectionId,
        note: &ReviewNote,
    ) -> Result<(), EngineError> {
        writes::add_review_note(&mut self.connections.session().await?, law_id, note).await
    }

    async fn review_notes(&self, law_id: &ElectionId) -> Result<Vec<ReviewNote>, EngineError> {
        queries::review_notes(&mut self.connections.session().await?, law_id).await
    }

    async fn put_sealed_key(
        &self,
        law_id: &ElectionId,
        recipient: &[u8; 32],
        bytes: &[u8],
    ) -> Result<(), EngineError> {
        let mut session = self.connections.session_for(law_id).await?;
        writes::put_sealed_key(&mut session, law_id, recipient, bytes).await
    }

    async fn sealed_key(
        &self,
        law_id: &ElectionId,
        recipient: &[u8; 32],
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let mut session = self.connections.session_for(law_id).await?;
        queries::sealed_key(&mut session, law_id, recipient).await
    }

    async fn sealed_key_recipients(&self) -> Result<Vec<(ElectionId, [u8; 32])>, EngineError> {
        queries::sealed_key_recipients(&mut self.connections.session().await?).await
    }

    async fn put_node_record(&self, name: &str, bytes: &[u8]) -> Result<(), EngineError> {
        writes::put_node_record(&mut self.connections.session().await?, name, bytes).await
    }

    async fn node_records(&self) -> Result<Vec<(String, Vec<u8>)>, EngineError> {
        queries::node_records(&mut self.connections.session().await?).await
    }
}

#[async_trait]
impl Ledger for PostgresLedger {
    fn is_shared(&self) -> bool {
        true
    }

    async fn ping(&self) -> Result<(), EngineError> {
        self.connections.check_writes()?;
        queries::ping(&mut self.connections.session().await?).await
    }

    async fn probe(&self) -> Result<(), EngineError> {
        writes::probe(&mut self.connections.session().await?).await
    }
}
