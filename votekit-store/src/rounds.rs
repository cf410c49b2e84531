//! The rows of rounds between several authorities: proposals and signed statements.
//!
//! The ledger sequences them and keeps the first under each key; it verifies no signature. Readers
//! do: a row that is not what its authority signed is worth nothing.

use std::sync::Arc;

use async_trait::async_trait;
use votekit_core::id::{Digest, ElectionId};

use crate::{BlockCommit, EngineError};

/// The position of a row. Positions ascend in the order in which rows become visible.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub u64);

/// The kind of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RowKind {
    /// A block proposed by a leader, with its leaves.
    Proposal,
    /// A vote for a leader.
    Vote,
    /// An accept of a proposed block.
    Accept,
    /// A cosignature line over the checkpoint of a block.
    Cosign,
    /// A refusal of a proposed block.
    Refuse,
    /// A suspicion of a leader.
    Suspect,
}

impl RowKind {
    const ALL: [Self; 6] =
        [Self::Proposal, Self::Vote, Self::Accept, Self::Cosign, Self::Refuse, Self::Suspect];

    /// The token that is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proposal => "proposal",
            Self::Vote => "vote",
            Self::Accept => "accept",
            Self::Cosign => "cosign",
            Self::Refuse => "refuse",
            Self::Suspect => "suspect",
        }
    }

    /// The kind of a stored token.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A row to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRow {
    /// Its kind.
    pub kind: RowKind,
    /// The authority that states it; of a proposal, its leader.
    pub authority: String,
    /// The election; none for a vote or a suspicion.
    pub law_id: Option<ElectionId>,
    /// The height of the block; 0 for a vote or a suspicion.
    pub height: u64,
    /// The term; 0 for a cosignature.
    pub term: u64,
    /// The signed note; for a cosignature its line.
    pub bytes: Vec<u8>,
    /// The leaves of a proposed block, as stored; empty for other rows.
    pub leaves: Vec<u8>,
}

impl NewRow {
    /// What tells rows of one key apart: all proposals of one key are kept, and the first of any
    /// other row.
    pub(crate) fn variant(&self) -> Vec<u8> {
        match self.kind {
            RowKind::Proposal => Digest::of(&self.bytes).as_bytes().to_vec(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn law(&self) -> &str {
        self.law_id.as_ref().map_or("", ElectionId::as_str)
    }
}

/// A stored row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoundRow {
    /// Its position.
    pub id: RowId,
    /// Its kind.
    pub kind: RowKind,
    /// The authority that states it; of a proposal, its leader.
    pub authority: String,
    /// The election; none for a vote or a suspicion.
    pub law_id: Option<ElectionId>,
    /// The height of the block; 0 for a vote or a suspicion.
    pub height: u64,
    /// The term; 0 for a cosignature.
    pub term: u64,
    /// The signed note; for a cosignature its line.
    pub bytes: Vec<u8>,
    /// The leaves of a proposed block, as stored; empty for other rows.
    pub leaves: Vec<u8>,
}

/// The outcome of storing a row.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum RowOutcome {
    /// It is stored.
    Stored,
    /// The same bytes were there.
    Present,
    /// Other bytes are stored under its key. Nothing was written.
    Other {
        /// The stored bytes.
        bytes: Vec<u8>,
    },
    /// An accept that is not of the present term, or a proposal of a holder that does not have the
    /// lease of the present term. Nothing was written.
    Late {
        /// The present term.
        term: u64,
    },
}

/// Rows that were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowsRead {
    /// The rows, in the order of their positions.
    pub rows: Vec<RoundRow>,
    /// The highest position ever given; less than one read earlier if the ledger was put back.
    pub last: RowId,
}

/// Stores the rows of rounds, and appends the blocks that rounds have certified.
#[async_trait]
pub trait Rounds: Send + Sync + 'static {
    /// Stores a row, unless one is stored under its key: kind, authority, election, height, term.
    /// An accept is stored in the present term only. A proposal is stored with `holder` in the
    /// present term of that holder only; without, it is an older proposal that is stored again.
    async fn put_row(
        &self,
        row: &NewRow,
        holder: Option<&str>,
    ) -> Result<RowOutcome, EngineError>;

    /// The rows after a position: at least one if there is any, at most `limit`, and fewer when
    /// they are large.
    async fn rows_after(&self, after: RowId, limit: usize) -> Result<RowsRead, EngineError>;

    /// Appends a certified block, in whatever term: a compare-and-set on size and height. The
    /// stored fence is the higher of the block's and the present one. Appending the block that is
    /// already the head succeeds and writes nothing.
    async fn append(&self, commit: &Arc<BlockCommit>) -> Result<(), EngineError>;

    /// Removes the proposals, accepts and cosignatures of an election at or below a height: its
    /// blocks are in the log.
    async fn remove_rows(&self, law_id: &ElectionId, height: u64) -> Result<(), EngineError>;

    /// Ends the lease of the leader of a term, if it is the present one.
    async fn pass_over(&self, term: u64) -> Result<(), EngineError>;

    /// Stores a key of an election that is sealed to a recipient, unless one is stored: the first
    /// stays.
    async fn put_sealed_key(
        &self,
        law_id: &ElectionId,
        recipient: &[u8; 32],
        sealed: &[u8],
    ) -> Result<(), EngineError>;

    /// The key of an election that is sealed to a recipient.
    async fn sealed_key(
        &self,
        law_id: &ElectionId,
        recipient: &[u8; 32],
    ) -> Result<Option<Vec<u8>>, EngineError>;

    /// Stores the record of an admitted ingest node under its name, in place of an older one.
    async fn put_node_record(&self, name: &str, record: &[u8]) -> Result<(), EngineError>;

    /// The records of all admitted ingest nodes, in the order of their names.
    async fn node_records(&self) -> Result<Vec<(String, Vec<u8>)>, EngineError>;
}
