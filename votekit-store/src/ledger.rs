//! The ledger: staging, evidence, blocks, tiles, heads, leases, documents. It is the source of
//! truth. Each part is a trait, with what its callers rely on.

mod records;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use votekit_core::batch::Batch;
use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, NodeId};
use votekit_core::instant::UnixMillis;
use votekit_core::log::merkle::TreeHash;

pub use self::records::{
    BlockCommit, Changes, Head, Leadership, Lease, LogPosition, LogRow, Restaged, ReviewNote,
    Staged, StagedPosition, StagingId, StagingRead, StoredBlock, TERM_STEP_MAX, UnreadableRow,
};
pub(crate) use self::records::{NEW_TERM_RULE, broken_name_rule};
use crate::{
    BatchName, EngineError, Hints, NewRow, NoLease, RowId, RowOutcome, RowsRead, WitnessLine,
};

/// Stores batches: those not sealed yet, and all of them as evidence.
#[async_trait]
pub trait Staging: Send + Sync + 'static {
    /// Stages a batch with its hints. Staging the same batch again returns the same position and
    /// writes nothing; another batch under the same number is a
    /// [`Conflict::BatchNumber`](crate::Conflict::BatchNumber). No position appears below one that
    /// a reader has already seen.
    ///
    /// If the stored row has lost its bytes, or in a shared ledger has others, this call stores
    /// them again and moves the row to a new position, because readers may have passed the old
    /// position. A row of a shared ledger that differs in the signature alone stays as it is
    /// ([`EngineError::Corrupt`]): the log names the signature, and both may be valid. The ledger
    /// does not check why the bytes are missing; a caller that knows of a purge must not stage a
    /// late copy.
    async fn stage(&self, batch: &Arc<Batch>, hints: &Hints) -> Result<StagingId, EngineError>;

    /// Stages a batch again, above a position. Nothing is written if it is stored there with its
    /// bytes. Otherwise it gets a new position, and replaces whatever row has its number: a caller
    /// has made sure that this is no other batch that its node signed, and knows of no purge.
    async fn restage(
        &self,
        batch: &Arc<Batch>,
        hints: &Hints,
        above: StagingId,
    ) -> Result<Restaged, EngineError>;

    /// Rows of an election after a position in staging, in order: those not yet sealed, or, from
    /// position 0, all the evidence. At least one if there is any, at most `limit`, and fewer when
    /// they are large.
    ///
    /// A row of a shared ledger that is no batch is listed as such: other programs may write there.
    /// In a ledger of one node it is damage: [`EngineError::Corrupt`].
    async fn read_staging(
        &self,
        law_id: &ElectionId,
        after: StagingId,
        limit: usize,
    ) -> Result<StagingRead, EngineError>;

    /// The batches that [`Staging::read_staging`] returns: at least one if there is any.
    async fn staged(
        &self,
        law_id: &ElectionId,
        after: StagingId,
        limit: usize,
    ) -> Result<Vec<Staged>, EngineError> {
        let mut after = after;
        loop {
            let read = self.read_staging(law_id, after, limit).await?;
            match read.through() {
                Some(through) if read.batches.is_empty() => after = through,
                _ => return Ok(read.batches),
            }
        }
    }

    /// The digest of the batch of an election at a position in staging, also if the batch is sealed
    /// or purged; `None` when the election has no batch there, or its row states no digest. If the
    /// last batch that a reader has read is no longer at its position, the ledger was restored from
    /// an older copy.
    async fn batch_at(
        &self,
        law_id: &ElectionId,
        id: StagingId,
    ) -> Result<Option<Digest>, EngineError>;

    /// The rows of an election after a position, in order, at most `limit`: those that
    /// [`Staging::staged`] returns, and those whose bytes are missing.
    async fn staged_positions(
        &self,
        law_id: &ElectionId,
        after: StagingId,
        limit: usize,
    ) -> Result<Vec<StagedPosition>, EngineError>;

    /// The batch that is stored under a number, sealed or not; `None` when there is none, or its
    /// bytes are missing. A row that is not a batch of this number is [`EngineError::Corrupt`].
    async fn staged_batch(
        &self,
        law_id: &ElectionId,
        number: BatchNumber,
    ) -> Result<Option<Arc<Batch>>, EngineError>;

    /// The highest sequence staged for an epoch; `None` when the epoch has no batch.
    async fn staged_through(
        &self,
        law_id: &ElectionId,
        node: NodeId,
        epoch: Epoch,
    ) -> Result<Option<votekit_core::id::Sequence>, EngineError>;

    /// Which of these batches are stored under their numbers, with bytes that have this digest, and
    /// at a position that the ledger gave, sealed or not: in one query, also for elections with
    /// damaged rows.
    ///
    /// The signature is not verified, which the digest does not cover, and readers may have passed
    /// the position: both need the log. A node that has a batch which its log does not decide
    /// [stages it again](Staging::restage).
    async fn are_staged(&self, batches: &[BatchName]) -> Result<Vec<bool>, EngineError>;

    /// Destroys the evidence of an election: overwrites its stored batches, sealed or not, and
    /// removes its [sealed keys](Documents::put_sealed_key). The log stays. Returns the number of
    /// batches that this call destroyed.
    async fn purge_evidence(&self, law_id: &ElectionId) -> Result<u64, EngineError>;
}

/// Stores the logs: blocks, leaves, tiles and heads.
#[async_trait]
pub trait LogStore: Send + Sync + 'static {
    /// The elections that have a log, in the order of their creation.
    async fn elections(&self) -> Result<Vec<ElectionId>, EngineError>;

    /// The position of every log, in one query: for a node that watches all of them.
    async fn positions(&self) -> Result<Vec<LogPosition>, EngineError>;

    /// Counts what changed since the ledger was opened. A change may be missed, so poll
    /// [`LogStore::positions`] and [`Rounds::rows_after`] too.
    fn changes(&self) -> watch::Receiver<Changes>;

    /// Appends a block and moves the head in one step, if the head's size is still
    /// `block.first_leaf` and neither its term nor the leader's is higher than the block's. The
    /// first block of an election creates its log. Committing the block that is already the head
    /// succeeds and writes nothing: this resolves an unknown outcome.
    async fn commit(&self, commit: &Arc<BlockCommit>) -> Result<(), EngineError>;

    /// The head of the log; `None` for an election without a log.
    async fn head(&self, law_id: &ElectionId) -> Result<Option<Head>, EngineError>;

    /// Blocks from a height upwards, in order: at least one if there is any, at most `limit`, and
    /// fewer when they are large.
    async fn blocks(
        &self,
        law_id: &ElectionId,
        from_height: u64,
        limit: usize,
    ) -> Result<Vec<StoredBlock>, EngineError>;

    /// `count` leaves from index `first`, each preceded by its length as in an entry bundle of
    /// tlog-tiles. `None` when the log is shorter. The cost depends on `count`, not on the size of
    /// the blocks.
    async fn leaves(
        &self,
        law_id: &ElectionId,
        first: u64,
        count: u32,
    ) -> Result<Option<Vec<u8>>, EngineError>;

    /// A full tile: 256 hashes of 32 bytes.
    async fn tile(
        &self,
        law_id: &ElectionId,
        level: u8,
        index: u64,
    ) -> Result<Option<Vec<u8>>, EngineError>;
}

/// Allocates epochs, and leases that allow ingest nodes to answer voters in them.
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// Allocates the next epoch of a node in an election: 1, 2, …, never the same twice.
    async fn allocate_epoch(
        &self,
        law_id: &ElectionId,
        node: NodeId,
    ) -> Result<Epoch, EngineError> {
        self.allocate_epoch_above(law_id, node, Epoch(0)).await
    }

    /// Allocates the lowest epoch of a node in an election above one that is not allocated yet. Not
    /// the one after the highest: another program may have written a row of an epoch far above.
    async fn allocate_epoch_above(
        &self,
        law_id: &ElectionId,
        node: NodeId,
        above: Epoch,
    ) -> Result<Epoch, EngineError>;

    /// Grants a node a lease to answer voters for `length` from now, if the election has a head
    /// that takes votes and the epoch is not fenced. A further call extends the lease. Refused as
    /// [`Conflict::NoLease`](crate::Conflict::NoLease).
    async fn hold_lease(
        &self,
        law_id: &ElectionId,
        node: NodeId,
        epoch: Epoch,
        length: Duration,
    ) -> Result<(), EngineError>;

    /// Extends a node's leases in several elections in one call: as [`Leases::hold_lease`] for
    /// each, in order.
    async fn renew_leases(
        &self,
        node: NodeId,
        held: &[(ElectionId, Epoch)],
        length: Duration,
    ) -> Result<Vec<Result<(), NoLease>>, EngineError>;

    /// The unexpired leases of an election. Once a head that takes no votes is committed, no lease
    /// remains after the longest of these expires.
    async fn leases(&self, law_id: &ElectionId) -> Result<Vec<Lease>, EngineError>;

    /// Refuses further leases for every epoch allocated to a node so far. An existing lease runs to
    /// its end.
    async fn fence(&self, law_id: &ElectionId, node: NodeId) -> Result<(), EngineError>;

    /// The time on the ledger's clock, which leases use. Not comparable with other clocks.
    async fn clock(&self) -> Result<UnixMillis, EngineError>;

    /// Stops granting leases, or grants them again, whatever the stored head says. The head of the
    /// next block overrides this. Changes nothing without a log.
    async fn set_takes_votes(
        &self,
        law_id: &ElectionId,
        takes_votes: bool,
    ) -> Result<(), EngineError>;

    /// All epochs allocated for an election.
    async fn epochs(&self, law_id: &ElectionId) -> Result<Vec<(NodeId, Epoch)>, EngineError>;
}

/// Grants the leader lease. The fence refuses blocks of a leader whose term has passed.
#[async_trait]
pub trait LeaderFence: Send + Sync + 'static {
    /// Makes `holder` the leader of all elections for `length` from now, unless the lease of
    /// another holder is unexpired. A further call extends the lease. Once a new term has begun,
    /// commits of lower terms are a [`Conflict::Term`](crate::Conflict::Term).
    ///
    /// The term is at least `at_least`: a holder whose term is lower begins a new term. A value
    /// more than [`TERM_STEP_MAX`] above the present term is refused as
    /// [`Conflict::Malformed`](crate::Conflict::Malformed).
    async fn acquire_leadership(
        &self,
        holder: &str,
        length: Duration,
        at_least: u64,
    ) -> Result<Leadership, EngineError>;

    /// As [`LeaderFence::acquire_leadership`], and if the present term is `term`, its lease ends in
    /// the same step, before another holder can begin the next term. The earlier holder cannot
    /// extend that lease any more; like any other holder, it can begin a new term. The caller has
    /// verified that a quorum suspects the leader of the term.
    async fn pass_over(
        &self,
        term: u64,
        holder: &str,
        length: Duration,
        at_least: u64,
    ) -> Result<Leadership, EngineError>;

    /// Releases the leader lease, if `holder` has it.
    async fn release_leadership(&self, holder: &str) -> Result<(), EngineError>;
}

/// Stores the statements of several authorities in the rounds that certify a block, and appends
/// certified blocks.
///
/// The key of a row is its kind, authority, election, height and term, and the digest of what it
/// states: rows with different bytes are different rows. So a forged row never prevents the signed
/// row from being stored, and a second statement of an authority about the same subject is kept as
/// evidence.
#[async_trait]
pub trait Rounds: Send + Sync + 'static {
    /// Stores a row, unless it is already stored. Looks for the stored row before any other check:
    /// repeating a call resolves an unknown outcome, also after the term has ended. A damaged row
    /// under the same key, whose bytes do not match its digest, is replaced, at a later position.
    ///
    /// An accept is stored only in the present term. A proposal with a `holder` is stored only
    /// while that holder has the leader lease of the proposal's term; without a `holder`, it is a
    /// copy of an earlier proposal, whose term must have begun. For rows of other kinds, `holder`
    /// is ignored, and a term more than [`TERM_STEP_MAX`] above the present term is refused as
    /// [`Conflict::Malformed`](crate::Conflict::Malformed).
    async fn put_row(&self, row: &NewRow, holder: Option<&str>) -> Result<RowOutcome, EngineError>;

    /// Rows after a position, in order: at least one if there is any, at most `limit`, and fewer
    /// when they are large. Rows at positions that were never given are not among them.
    async fn rows_after(&self, after: RowId, limit: usize) -> Result<RowsRead, EngineError>;

    /// The rows with the highest positions, in order: at most `limit`, and fewer when they are
    /// large. A reader that is far behind can read these before it reads the rest.
    async fn newest_rows(&self, limit: usize) -> Result<RowsRead, EngineError>;

    /// Appends a certified block as [`LogStore::commit`] does, but in any term: only size and
    /// height are checked. The head's fence becomes the highest of the block's fence, the stored
    /// fence and the present term, but at most [`TERM_STEP_MAX`] above the higher of the latter
    /// two.
    ///
    /// Rows above the head, which another program has stored in the place of the block, are
    /// replaced, with an alarm. For [`LogStore::commit`] they are [`EngineError::Corrupt`].
    async fn append(&self, commit: &Arc<BlockCommit>) -> Result<(), EngineError>;

    /// Removes the proposals, accepts and cosignatures of an election up to and including a height.
    async fn remove_rows(
        &self,
        law_id: &ElectionId,
        through_height: u64,
    ) -> Result<(), EngineError>;

    /// Removes rows up to and including a position that no round needs any more, at most `limit`,
    /// the oldest first: votes of a term that has ended, except the last vote of each authority;
    /// suspicions of a term that has ended; refusals; proposals, accepts and cosignatures of blocks
    /// that are in the log. Returns how many this call removed.
    async fn remove_old_rows(&self, through: RowId, limit: usize) -> Result<u64, EngineError>;
}

/// Truncates a log to an earlier head, on an operator's request, when the head and the rows above
/// that earlier head are not what the authorities certified. Works on the rows of a damaged
/// election too.
#[async_trait]
pub trait LogRepair: Send + Sync + 'static {
    /// As [`LogStore::blocks`], whatever is damaged elsewhere.
    async fn blocks_in_doubt(
        &self,
        law_id: &ElectionId,
        from_height: u64,
        limit: usize,
    ) -> Result<Vec<StoredBlock>, EngineError>;

    /// The row of the head, and all rows above a height at which the log has `size` leaves. Empty
    /// without a log.
    async fn log_rows_above(
        &self,
        law_id: &ElectionId,
        height: u64,
        size: u64,
    ) -> Result<Vec<LogRow>, EngineError>;

    /// Removes the rows above a height and makes it the head, in one step, if these rows still have
    /// the [digest](LogRow::digest_of) `seen`; otherwise changes nothing. Returns whether it did.
    ///
    /// Stores the height, the size, the root and the checkpoint of `head`; the caller has verified
    /// them. The stored head grants no leases and lets every staged batch be read again.
    async fn discard_above(
        &self,
        law_id: &ElectionId,
        head: &Head,
        seen: &Digest,
    ) -> Result<bool, EngineError>;
}

/// Stores the cosignatures of outside witnesses over heads of the logs.
#[async_trait]
pub trait Witnessed: Send + Sync + 'static {
    /// Stores a line and replaces any other line of its witness over this size and root, so that a
    /// line which another program has stored never keeps the valid one out. Of each witness, few of
    /// the lines over smaller trees are kept ([`WitnessLine::KEPT_PER_WITNESS`]).
    async fn put_witness_line(
        &self,
        law_id: &ElectionId,
        line: &WitnessLine,
    ) -> Result<(), EngineError>;

    /// The lines of these witnesses over the log of this size and root, in ascending order of the
    /// names' bytes: at most one line of each witness, whatever another program stores.
    async fn witness_lines(
        &self,
        law_id: &ElectionId,
        size: u64,
        root: &TreeHash,
        witnesses: &[String],
    ) -> Result<Vec<WitnessLine>, EngineError>;

    /// The lines of these witnesses over trees of at most this size, in ascending order of the
    /// names' bytes: of each witness at most [`WitnessLine::KEPT_PER_WITNESS`] lines, those over
    /// the largest trees first. Another program may have stored lines over trees that never
    /// existed.
    async fn latest_witness_lines(
        &self,
        law_id: &ElectionId,
        through_size: u64,
        witnesses: &[String],
    ) -> Result<Vec<WitnessLine>, EngineError>;
}

/// Stores the documents of officials, reviewers and nodes, outside the logs.
#[async_trait]
pub trait Documents: Send + Sync + 'static {
    /// Stores a manifest under its SHA-256.
    async fn put_manifest(&self, manifest: &[u8]) -> Result<Digest, EngineError>;

    /// A manifest by its SHA-256.
    async fn manifest(&self, digest: &Digest) -> Result<Option<Vec<u8>>, EngineError>;

    /// Stores a remark on a request. Repeating the same remark stores nothing.
    async fn add_review_note(
        &self,
        law_id: &ElectionId,
        note: &ReviewNote,
    ) -> Result<(), EngineError>;

    /// The remarks on an election's requests, in the order in which they were stored.
    async fn review_notes(&self, law_id: &ElectionId) -> Result<Vec<ReviewNote>, EngineError>;

    /// Stores the keys of an election, encrypted to a recipient's public key. Replaces an earlier
    /// copy.
    async fn put_sealed_key(
        &self,
        law_id: &ElectionId,
        recipient: &[u8; 32],
        bytes: &[u8],
    ) -> Result<(), EngineError>;

    /// The keys of an election that are encrypted to a recipient's public key.
    async fn sealed_key(
        &self,
        law_id: &ElectionId,
        recipient: &[u8; 32],
    ) -> Result<Option<Vec<u8>>, EngineError>;

    /// The recipients of the sealed keys of every election, in no order: in one query, for a node
    /// that compares the keys with its copies. The list may be incomplete; query
    /// [`Documents::sealed_key`] before treating a key as lost.
    async fn sealed_key_recipients(&self) -> Result<Vec<(ElectionId, [u8; 32])>, EngineError>;

    /// Stores the record that a node makes about itself, under its name of 1 to 255 bytes. Replaces
    /// an earlier record.
    async fn put_node_record(&self, name: &str, bytes: &[u8]) -> Result<(), EngineError>;

    /// The records of all nodes by name, in ascending order of the names' bytes.
    async fn node_records(&self) -> Result<Vec<(String, Vec<u8>)>, EngineError>;
}

/// The source of truth: all parts over one store.
#[async_trait]
pub trait Ledger:
    Staging + LogStore + LogRepair + Leases + LeaderFence + Rounds + Witnessed + Documents
{
    /// Whether other nodes use the same ledger. If so, one of them leads, and answering voters
    /// requires a lease.
    fn is_shared(&self) -> bool {
        false
    }

    /// Checks cheaply that the engine answers and that its last write succeeded, for health checks.
    /// After a write failed as [`EngineError::Unavailable`], this fails until a write succeeds.
    async fn ping(&self) -> Result<(), EngineError>;

    /// Makes a write that changes nothing, to find out whether an engine that failed a write works
    /// again: a node that receives no votes would not notice otherwise. For engines that are
    /// written to all the time, the ping is enough.
    async fn probe(&self) -> Result<(), EngineError> {
        self.ping().await
    }
}

/// A read view of a ledger at one moment, usable while nodes write to it: for exports, recounts and
/// reviews. Calls block. Writes nothing and takes no lock.
pub trait LogReader: std::fmt::Debug + Send {
    /// The elections that have a log, in the order of their creation.
    ///
    /// # Errors
    /// [`EngineError`].
    fn elections(&self) -> Result<Vec<ElectionId>, EngineError>;

    /// The head of the log; `None` for an election without a log.
    ///
    /// # Errors
    /// [`EngineError`].
    fn head(&self, law_id: &ElectionId) -> Result<Option<Head>, EngineError>;

    /// Blocks from a height upwards, in order: at least one if there is any, at most `limit`, and
    /// fewer when they are large.
    ///
    /// # Errors
    /// [`EngineError`].
    fn blocks(
        &self,
        law_id: &ElectionId,
        from_height: u64,
        limit: usize,
    ) -> Result<Vec<StoredBlock>, EngineError>;

    /// A batch of the evidence by its number; `None` when it does not exist or was destroyed.
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

    /// The lines of these outside witnesses over the log of this size and root; none in a ledger of
    /// a version that stored none.
    ///
    /// # Errors
    /// [`EngineError`].
    fn witness_lines(
        &self,
        law_id: &ElectionId,
        size: u64,
        root: &TreeHash,
        witnesses: &[String],
    ) -> Result<Vec<WitnessLine>, EngineError>;

    /// The remarks on an election's requests, in the order in which they were stored.
    ///
    /// # Errors
    /// [`EngineError`].
    fn review_notes(&self, law_id: &ElectionId) -> Result<Vec<ReviewNote>, EngineError>;
}
