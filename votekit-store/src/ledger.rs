//! The ledger: staging, evidence, blocks, tiles, heads, leases, documents. The truth.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use votekit_core::batch::Batch;
use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, NodeId, RequestId};
use votekit_core::instant::{UnixMillis, UnixSeconds};
use votekit_core::log::merkle::{FullTile, TreeHash};

use crate::{EngineError, Hints, NoLease};

/// The place of a batch in staging: ascending in the order of arrival within the ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StagingId(pub u64);

/// A batch in staging.
#[derive(Debug, Clone)]
pub struct Staged {
    /// Its place.
    pub id: StagingId,
    /// The batch.
    pub batch: Arc<Batch>,
    /// The hints it was first staged with. Empty when there were none, or when the engine keeps
    /// none.
    pub hints: Hints,
}

/// Where the log of an election stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Leaves in the log.
    pub size: u64,
    /// Height of the last block.
    pub height: u64,
    /// The root of the log.
    pub root: TreeHash,
    /// The highest term in which a block was appended: the ledger refuses blocks of lower terms. A
    /// leaf states the term in which its block was made first, which may be an earlier one.
    pub fence: u64,
    /// The signed checkpoint at this size: the bytes of a signed note.
    pub checkpoint: Vec<u8>,
    /// Staging up to here is in the log, or was refused. Above it, too, batches may be in the log.
    pub sealed_through: StagingId,
    /// Whether nodes are given leases to answer voters.
    pub takes_votes: bool,
}

impl Head {
    /// Whether both stand at the same place of the same log. Signatures are not compared: one head
    /// may bear cosignatures that another copy lacks.
    #[must_use]
    pub fn is_same_log(&self, other: &Self) -> bool {
        self.size == other.size && self.root == other.root
    }
}

/// Where a log and its staging stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPosition {
    /// The election.
    pub law_id: ElectionId,
    /// Height of the last block.
    pub height: u64,
    /// The last place staged for the election; 0 when nothing is, or the evidence is destroyed.
    pub staged: StagingId,
}

/// The right of a node to answer voters of an election, for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The node.
    pub node: NodeId,
    /// The epoch it publishes in.
    pub epoch: Epoch,
    /// How long it still lasts, by the ledger's clock.
    pub remaining: Duration,
}

/// Who leads, by the ledger's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leadership {
    /// Whoever asked.
    Leading {
        /// In this term, from 1; each change of leader begins a higher one.
        term: u64,
    },
    /// Somebody else.
    Following {
        /// The holder.
        leader: String,
        /// How long its lease still lasts.
        remaining: Duration,
    },
}

/// A remark of a reviewer on a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewNote {
    /// The request.
    pub request: RequestId,
    /// When, in unix seconds.
    pub at: UnixSeconds,
    /// Who, as they call themselves: at most 200 bytes.
    pub by: String,
    /// The remark: at most 2000 bytes.
    pub text: String,
}

/// A block as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBlock {
    /// Its height, from 1.
    pub height: u64,
    /// The index of its first leaf.
    pub first_leaf: u64,
    /// Leaves in it.
    pub leaf_count: u32,
    /// The leaves, each behind its length in 2 bytes big-endian, as in an entry bundle of
    /// tlog-tiles.
    pub leaves: Vec<u8>,
}

/// A block to be committed, with everything that moves with it in one step.
#[derive(Debug, Clone)]
pub struct BlockCommit {
    /// The election.
    pub law_id: ElectionId,
    /// The block.
    pub block: StoredBlock,
    /// Tiles of hashes that this block filled.
    pub full_tiles: Vec<FullTile>,
    /// The head after this block. Its size must be `block.first_leaf + block.leaf_count`.
    pub head: Head,
    /// By [`Leases::clock`]: after this time the block is not stored, but refused as
    /// [`Conflict::Late`](crate::Conflict::Late). A block that is stored already is never late.
    pub not_after: Option<UnixMillis>,
}

impl ReviewNote {
    /// The longest name of an author, in bytes.
    pub const BY_BYTES_MAX: usize = 200;

    /// The longest remark, in bytes.
    pub const TEXT_BYTES_MAX: usize = 2000;

    /// The rule that a remark breaks: every ledger refuses it as [`Conflict::Malformed`](crate::Conflict::Malformed).
    #[must_use]
    pub fn broken_rule(&self) -> Option<&'static str> {
        if self.by.len() > Self::BY_BYTES_MAX || self.text.len() > Self::TEXT_BYTES_MAX {
            return Some("a remark has at most 2000 bytes, its author's name 200");
        }
        (self.by.contains('\0') || self.text.contains('\0'))
            .then_some("a remark and its author's name are text")
    }
}

/// Batches that are not sealed yet, and all batches as evidence.
#[async_trait]
pub trait Staging: Send + Sync + 'static {
    /// Stages a batch with its hints. Staging the same batch again gives the same place and writes
    /// nothing; another batch under the same number is a [`Conflict::BatchNumber`](crate::Conflict::BatchNumber). Whoever has
    /// read all places up to one never finds a lower one later.
    async fn stage(&self, batch: &Arc<Batch>, hints: &Hints) -> Result<StagingId, EngineError>;

    /// Batches of an election after a place in staging, in order: those not yet sealed, or, from
    /// place 0, all the evidence. At least one if there is any, at most `limit`, and fewer when
    /// they are large.
    async fn staged(
        &self,
        law_id: &ElectionId,
        after: StagingId,
        limit: usize,
    ) -> Result<Vec<Staged>, EngineError>;

    /// The highest sequence staged for an epoch; `None` when it has no batch.
    async fn staged_through(
        &self,
        law_id: &ElectionId,
        node: NodeId,
        epoch: Epoch,
    ) -> Result<Option<votekit_core::id::Sequence>, EngineError>;

    /// Destroys the evidence of an election: its stored batches, sealed or not, overwritten. The
    /// log stays. A late copy of a purged batch gets its old place and is not stored again. Returns
    /// how many batches were destroyed by this call.
    async fn purge_evidence(&self, law_id: &ElectionId) -> Result<u64, EngineError>;
}

/// The logs: blocks, leaves, tiles and heads.
#[async_trait]
pub trait LogStore: Send + Sync + 'static {
    /// The elections that have a log, in the order of their creation.
    async fn elections(&self) -> Result<Vec<ElectionId>, EngineError>;

    /// Where every log stands, in one question: for a node's watch over all of them.
    async fn positions(&self) -> Result<Vec<LogPosition>, EngineError>;

    /// Changes when a head moved, and when a batch was staged for an election that had none
    /// unsealed. A change may be missed: look at [`LogStore::positions`] from time to time too.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Appends a block and moves the head in one step, if the head's size is still
    /// `block.first_leaf` and neither its term nor the leader's is higher than the block's. The
    /// first block of an election creates its log. Committing the very block that is the head again
    /// succeeds and writes nothing: that is how an unknown outcome is resolved.
    async fn commit(&self, commit: &Arc<BlockCommit>) -> Result<(), EngineError>;

    /// Where the log stands; `None` for an election without one.
    async fn head(&self, law_id: &ElectionId) -> Result<Option<Head>, EngineError>;

    /// Blocks from a height on, in order: at least one if there is any, at most `limit`, and fewer
    /// when they are large.
    async fn blocks(
        &self,
        law_id: &ElectionId,
        from_height: u64,
        limit: usize,
    ) -> Result<Vec<StoredBlock>, EngineError>;

    /// So many leaves from an index on, each behind its length as in an entry bundle of tlog-tiles.
    /// `None` when the log does not reach so far. Costs what is asked for, however large the blocks
    /// are.
    async fn leaves(
        &self,
        law_id: &ElectionId,
        first: u64,
        count: u32,
    ) -> Result<Option<Vec<u8>>, EngineError>;

    /// A full tile of hashes: 256 times 32 bytes.
    async fn tile(
        &self,
        law_id: &ElectionId,
        level: u8,
        index: u64,
    ) -> Result<Option<Vec<u8>>, EngineError>;
}

/// Epochs, and the right of ingest nodes to answer voters in them.
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// Gives out the next epoch for a node in an election: 1, 2, …, never the same twice.
    async fn allocate_epoch(&self, law_id: &ElectionId, node: NodeId)
    -> Result<Epoch, EngineError>;

    /// Gives a node the right to answer voters for so long from now, if the head takes votes and
    /// the epoch is not fenced; an election without a head gives none. Asking again extends it.
    /// Refused as [`Conflict::NoLease`](crate::Conflict::NoLease).
    async fn hold_lease(
        &self,
        law_id: &ElectionId,
        node: NodeId,
        epoch: Epoch,
        length: Duration,
    ) -> Result<(), EngineError>;

    /// Extends the leases of a node's epochs in several elections, in one call: as
    /// [`Leases::hold_lease`] for each, in order.
    async fn renew_leases(
        &self,
        node: NodeId,
        held: &[(ElectionId, Epoch)],
        length: Duration,
    ) -> Result<Vec<Result<(), NoLease>>, EngineError>;

    /// The leases of an election that have not run out. Once a head that takes no votes is
    /// committed, there are none after the longest of them.
    async fn leases(&self, law_id: &ElectionId) -> Result<Vec<Lease>, EngineError>;

    /// Gives no lease any more to any epoch that a node was given so far. A lease it has lasts to
    /// its end.
    async fn fence(&self, law_id: &ElectionId, node: NodeId) -> Result<(), EngineError>;

    /// The time by the clock that the ledger's leases are counted by. It says nothing about any
    /// other clock.
    async fn clock(&self) -> Result<UnixMillis, EngineError>;

    /// Every epoch given out for an election.
    async fn epochs(&self, law_id: &ElectionId) -> Result<Vec<(NodeId, Epoch)>, EngineError>;
}

/// Which node leads. The fence refuses blocks of a leader whose term has passed.
#[async_trait]
pub trait LeaderFence: Send + Sync + 'static {
    /// Makes a holder the leader of all elections for so long from now, unless another one's lease
    /// lasts. Asking again extends it. Once a new term has begun, commits of lower terms are a
    /// [`Conflict::Term`](crate::Conflict::Term).
    async fn lead(&self, holder: &str, length: Duration) -> Result<Leadership, EngineError>;

    /// Gives the lead back, if the holder has it.
    async fn resign(&self, holder: &str) -> Result<(), EngineError>;
}

/// What officials and reviewers keep beside the logs.
#[async_trait]
pub trait Documents: Send + Sync + 'static {
    /// Keeps a manifest, named by its SHA-256.
    async fn put_manifest(&self, manifest: &[u8]) -> Result<Digest, EngineError>;

    /// A manifest by its SHA-256.
    async fn manifest(&self, digest: &Digest) -> Result<Option<Vec<u8>>, EngineError>;

    /// Keeps a remark on a request. The same remark again is kept once.
    async fn add_review_note(
        &self,
        law_id: &ElectionId,
        note: &ReviewNote,
    ) -> Result<(), EngineError>;

    /// The remarks on an election's requests, in the order in which they were made.
    async fn review_notes(&self, law_id: &ElectionId) -> Result<Vec<ReviewNote>, EngineError>;
}

/// Where the truth is stored: all of these parts over one store.
#[async_trait]
pub trait Ledger: Staging + LogStore + Leases + LeaderFence + Documents {
    /// Whether other processes use the same ledger: then one of them leads, and answering voters
    /// takes a lease.
    fn is_shared(&self) -> bool {
        false
    }

    /// Whether the engine answers, cheaply, and stored what it was last asked to write: for health
    /// checks. Once a write has failed as [`EngineError::Unavailable`] this fails until one
    /// succeeds.
    async fn ping(&self) -> Result<(), EngineError>;

    /// Writes something that changes nothing, so that an engine which failed a write can show that
    /// it writes again: else a node that is sent no votes would never know. Engines that are
    /// written to all the time need no more than the ping.
    async fn probe(&self) -> Result<(), EngineError> {
        self.ping().await
    }
}

/// A read view of a ledger as it stood at one moment, beside nodes that may be using it: for
/// exports, recounts and reviews. Calls block. Nothing is written and no lock is taken.
pub trait LogReader: std::fmt::Debug + Send {
    /// The elections that have a log, in the order of their creation.
    ///
    /// # Errors
    /// [`EngineError`].
    fn elections(&self) -> Result<Vec<ElectionId>, EngineError>;

    /// Where the log stands; `None` for an election without one.
    ///
    /// # Errors
    /// [`EngineError`].
    fn head(&self, law_id: &ElectionId) -> Result<Option<Head>, EngineError>;

    /// Blocks from a height on, in order: at least one if there is any, at most `limit`, and fewer
    /// when they are large.
    ///
    /// # Errors
    /// [`EngineError`].
    fn blocks(
        &self,
        law_id: &ElectionId,
        from_height: u64,
        limit: usize,
    ) -> Result<Vec<StoredBlock>, EngineError>;

    /// A batch of the evidence by its number; `None` when it is not there, or has been destroyed.
    ///
    /// # Errors
    /// [`EngineError`].
    fn batch(&self, law_id: &ElectionId, number: BatchNumber)
    -> Result<Option<Batch>, EngineError>;

    /// A manifest by its SHA-256.
    ///
    /// # Errors
    /// [`EngineError`].
    fn manifest(&self, digest: &Digest) -> Result<Option<Vec<u8>>, EngineError>;

    /// The remarks on an election's requests, in the order in which they were made.
    ///
    /// # Errors
    /// [`EngineError`].
    fn review_notes(&self, law_id: &ElectionId) -> Result<Vec<ReviewNote>, EngineError>;
}
