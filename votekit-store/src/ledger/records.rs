//! What a ledger stores and returns: batches in staging, blocks and heads of logs, leases, remarks.

use std::sync::Arc;
use std::time::Duration;

use votekit_core::batch::Batch;
use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, NodeId, RequestId};
use votekit_core::instant::{UnixMillis, UnixSeconds};
use votekit_core::log::merkle::{FullTile, TreeHash};

use crate::Hints;

/// The position of a batch in staging. Positions ascend in the order of arrival in the ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StagingId(pub u64);

/// A batch in staging.
#[derive(Debug, Clone)]
pub struct Staged {
    /// Its position.
    pub id: StagingId,
    /// The batch.
    pub batch: Arc<Batch>,
    /// The hints it was first staged with. Empty when there were none, or when the engine stores
    /// none.
    pub hints: Hints,
}

/// A part of staging.
#[derive(Debug, Clone, Default)]
pub struct StagingRead {
    /// The batches, in ascending order of their positions.
    pub batches: Vec<Staged>,
    /// The rows between them that are no batches, in the same order: another program has written or
    /// changed them. A reader passes over them: they keep no later batch from being read.
    pub unreadable: Vec<UnreadableRow>,
}

impl StagingRead {
    /// The last position that was read; `None` if there was nothing to read.
    #[must_use]
    pub fn through(&self) -> Option<StagingId> {
        let batches = self.batches.last().map(|staged| staged.id);
        batches.max(self.unreadable.last().map(|row| row.id))
    }
}

/// A row of staging that is not the batch that its columns state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableRow {
    /// Its position.
    pub id: StagingId,
    /// What was found.
    pub reason: String,
}

/// The position of a batch that was [staged again](crate::Staging::restage).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restaged {
    /// Its position.
    pub id: StagingId,
    /// Whether this call has given it the position.
    pub is_new: bool,
}

/// A row of staging, without its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StagedPosition {
    /// Its position.
    pub id: StagingId,
    /// The number of its batch.
    pub number: BatchNumber,
    /// The digest of its batch.
    pub digest: Digest,
    /// Whether the bytes of the batch are stored. If not, a purge has destroyed them, or another
    /// program has removed them or moved the row. The reader decides by the log which it was.
    pub has_batch: bool,
}

/// The current end of an election's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The number of leaves in the log.
    pub size: u64,
    /// Height of the last block.
    pub height: u64,
    /// The root of the log.
    pub root: TreeHash,
    /// The highest term in which a block was appended: the ledger refuses blocks of lower terms. A
    /// leaf states the term in which its block was first made, which may be lower.
    pub fence: u64,
    /// The signed checkpoint at this size: the bytes of a signed note.
    pub checkpoint: Vec<u8>,
    /// Every batch up to this position is in the log or was refused. Batches above it may be in the
    /// log too.
    pub sealed_through: StagingId,
    /// Whether nodes get leases to answer voters.
    pub takes_votes: bool,
}

impl Head {
    /// Whether both are the same position of the same log. Signatures are not compared: one copy of
    /// a head may carry cosignatures that another lacks.
    #[must_use]
    pub fn is_same_log(&self, other: &Self) -> bool {
        self.size == other.size && self.root == other.root
    }

    /// The head that is stored when a log is [truncated](crate::LogRepair::discard_above) to it.
    pub(crate) fn taken_back(&self) -> Self {
        let (fence, sealed_through, takes_votes) = (0, StagingId(0), false);
        Self { fence, sealed_through, takes_votes, ..self.clone() }
    }
}

/// The current position of a log and of its staging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPosition {
    /// The election.
    pub law_id: ElectionId,
    /// Height of the last block.
    pub height: u64,
    /// The last position staged for the election; 0 when nothing is staged or the evidence is
    /// destroyed.
    pub staged: StagingId,
}

/// A stored block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBlock {
    /// Its height, from 1.
    pub height: u64,
    /// The index of its first leaf.
    pub first_leaf: u64,
    /// The number of its leaves.
    pub leaf_count: u32,
    /// The leaves, each preceded by its length (2 bytes, big-endian), as in an entry bundle of
    /// tlog-tiles.
    pub leaves: Vec<u8>,
}

/// A block to commit, with everything that changes with it in one step.
#[derive(Debug, Clone)]
pub struct BlockCommit {
    /// The election.
    pub law_id: ElectionId,
    /// The block.
    pub block: StoredBlock,
    /// The tiles of hashes that this block fills.
    pub full_tiles: Vec<FullTile>,
    /// The head after this block. Its size must be `block.first_leaf + block.leaf_count`.
    pub head: Head,
    /// The digest of the batch at `head.sealed_through`. A block that moves this position is
    /// refused as [`Conflict::NotStaged`](crate::Conflict::NotStaged) unless that batch of the
    /// election is staged there. Ignored if the block does not move the position.
    pub sealed_batch: Option<Digest>,
    /// The deadline, on [`Leases::clock`](crate::Leases::clock): after it, the block is refused as
    /// [`Conflict::Late`](crate::Conflict::Late). A block that is already stored is never late.
    pub not_after: Option<UnixMillis>,
}

/// Counters of the changes in a ledger: two, so that the rows of a round, several for each block,
/// do not wake the readers of the logs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// Rises when a head moves, when a term begins, when a leader lease is released or passed over,
    /// and when a batch is staged for an election that had none unsealed.
    pub logs: u64,
    /// Rises when a row of a round is stored.
    pub rows: u64,
}

/// A row that stores a part of a log, as it is: nothing of it is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// `head`, `block`, `leaves` or `tile`.
    pub table: String,
    /// Its columns as JSON, with bytes as hexadecimal digits.
    pub columns: String,
}

impl LogRow {
    /// The SHA-256 of rows in their order: of each table and its columns, each followed by LF.
    #[must_use]
    pub fn digest_of(rows: &[Self]) -> Digest {
        let text = |row: &Self| format!("{}\n{}\n", row.table, row.columns);
        Digest::compute(rows.iter().map(text).collect::<String>().as_bytes())
    }
}

/// The temporary right of a node to answer voters of an election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The node.
    pub node: NodeId,
    /// The epoch it publishes in.
    pub epoch: Epoch,
    /// The remaining time, on the ledger's clock.
    pub remaining: Duration,
}

/// Which holder leads, on the ledger's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leadership {
    /// The caller leads.
    Leading {
        /// The term, from 1. Each change of leader starts a higher term.
        term: u64,
    },
    /// Another holder leads.
    Following {
        /// The holder of the leader lease.
        leader: String,
        /// Its term.
        term: u64,
        /// The remaining time of its lease.
        remaining: Duration,
    },
}

/// How far above the present term a new term, or the term of a statement, may lie, so that one call
/// cannot use up all terms.
pub const TERM_STEP_MAX: u64 = 1000;

/// The rule that a request for a lease breaks whose term is more than [`TERM_STEP_MAX`] above the
/// present one.
pub(crate) const NEW_TERM_RULE: &str = "a term begins at most 1,000 above the present one";

/// A reviewer's remark on a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewNote {
    /// The request.
    pub request: RequestId,
    /// Its time, in Unix seconds.
    pub at: UnixSeconds,
    /// The self-reported name of its author: at most 200 bytes.
    pub by: String,
    /// The remark: at most 2000 bytes.
    pub text: String,
}

impl ReviewNote {
    /// The maximum length of an author's name, in bytes.
    pub const BY_BYTES_MAX: usize = 200;

    /// The maximum length of a remark, in bytes.
    pub const TEXT_BYTES_MAX: usize = 2000;

    /// The rule that the remark breaks, if any. Every ledger then refuses it as
    /// [`Conflict::Malformed`](crate::Conflict::Malformed).
    #[must_use]
    pub fn broken_rule(&self) -> Option<&'static str> {
        if self.by.len() > Self::BY_BYTES_MAX || self.text.len() > Self::TEXT_BYTES_MAX {
            return Some("a remark has at most 2000 bytes, its author's name 200");
        }
        (self.by.contains('\0') || self.text.contains('\0'))
            .then_some("a remark and its author's name are text")
    }
}

/// The rule that the name of a node's record breaks, if any.
pub(crate) fn broken_name_rule(name: &str) -> Option<&'static str> {
    (name.is_empty() || name.len() > 255 || name.contains('\0'))
        .then_some("a node has a name of 1 to 255 bytes of text")
}
