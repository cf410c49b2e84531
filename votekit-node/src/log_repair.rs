//! Rolls the log of an election back to a block that a quorum of the authorities has certified,
//! when the head in the ledger does not verify: for an operator.
//!
//! ```text
//! ledger:       blocks 1 … h, h+1 … n      the head at n is not certified
//! certificate:  block h, by a quorum ─▶ the leaves below hash to its root? ─▶ discard h+1 … n
//! ```
//!
//! Each authority of the quorum made the block durable in its memory before it cosigned. Blocks
//! that were certified above `h`, and are discarded with the rest, are in such memories too, and
//! authorities append them again when they start.

use std::collections::BTreeMap;

use votekit_core::authority::{AuthoritySet, StatementBody};
use votekit_core::election_log::leaves_of_block;
use votekit_core::id::ElectionId;
use votekit_core::log::merkle::{TreeBuilder, TreeHash, leaf_hash};
use votekit_core::log::note::KeyName;
use votekit_core::log::policy::{Policy, PolicyError, VerifyError};
use votekit_store::memory::{AuthorityMemory, MemoryError};
use votekit_store::{
    EngineError, Head, Ledger, LogRepair, LogRow, LogStore, Rounds, RowId, RowKind, StagingId,
};

use crate::data_folder::DataFolder;

/// Blocks, and rows of rounds, read in one call.
const READ_LEN: usize = 256;

/// Why a log is not taken back. Nothing was changed.
#[derive(Debug, thiserror::Error)]
// Exhaustive: the edges have a sentence for each variant.
pub enum RepairError {
    /// The ledger failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The memory of the authority cannot be read.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The checkpoint does not carry the signatures of a quorum.
    #[error("checkpoint of {law_id} not certified: {fault}")]
    NotCertified {
        /// The election.
        law_id: ElectionId,
        /// The fault.
        fault: CertificateFault,
    },
    /// The ledger has no log of the election.
    #[error("no log of {law_id} in the ledger")]
    NoLog {
        /// The election.
        law_id: ElectionId,
    },
    /// The head is certified.
    #[error("head of {law_id} at block {height} verifies")]
    HeadVerifies {
        /// The election.
        law_id: ElectionId,
        /// Its height.
        height: u64,
    },
    /// The ledger does not contain the blocks of the checkpoint.
    #[error("ledger without the {size} leaves of {law_id}: {reason}")]
    NotHeld {
        /// The election.
        law_id: ElectionId,
        /// The size of the checkpoint.
        size: u64,
        /// The difference.
        reason: String,
    },
    /// A quorum has certified a higher block.
    #[error("checkpoint of {law_id} at block {height}, {certified} is certified")]
    NewerCertified {
        /// The election.
        law_id: ElectionId,
        /// The height of the checkpoint.
        height: u64,
        /// The height that a quorum states.
        certified: u64,
    },
    /// The rows changed after they were read.
    #[error("rows of {law_id} changed since they were read")]
    Changed {
        /// The election.
        law_id: ElectionId,
    },
}

/// Why a checkpoint is not certified.
#[derive(Debug, thiserror::Error)]
// Exhaustive: the edges have a sentence for each variant.
pub enum CertificateFault {
    /// It is of an empty log.
    #[error("no leaf")]
    NoLeaf,
    /// The authorities have no policy for the election.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A quorum of the authorities has not signed it.
    #[error(transparent)]
    Checkpoint(#[from] VerifyError),
}

/// The fault of the head of a log.
#[derive(Debug, thiserror::Error)]
// Exhaustive: the edges have a sentence for each variant.
pub enum HeadFault {
    /// The ledger cannot decode it.
    #[error("{reason}")]
    Corrupt {
        /// The reason of the engine.
        reason: String,
    },
    /// A quorum of the authorities has not signed its checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] VerifyError),
    /// Its checkpoint is of another size.
    #[error("{size} leaves, checkpoint of {signed}")]
    Size {
        /// Leaves of the head.
        size: u64,
        /// Leaves of its checkpoint.
        signed: u64,
    },
    /// Its checkpoint is of another root.
    #[error("root, not of the checkpoint")]
    Root,
}

/// The blocks of a log to be discarded, and the head that remains.
#[derive(Debug)]
pub struct Discard {
    law_id: ElectionId,
    head: Head,
    fault: HeadFault,
    rows: Vec<LogRow>,
}

impl Discard {
    /// Verifies that the head of a log is not certified, that the checkpoint is, and that the
    /// ledger contains the blocks below it. Reads the blocks above it.
    ///
    /// # Errors
    /// [`RepairError`].
    pub async fn plan(
        ledger: &dyn Ledger,
        set: &AuthoritySet,
        law_id: &ElectionId,
        checkpoint: &[u8],
    ) -> Result<Self, RepairError> {
        let Certified { policy, size, root } = certified(set, law_id, checkpoint)?;
        let fault = fault_of_head(ledger, &policy, law_id).await?;
        let height = height_of(ledger, law_id, size, root).await?;
        let by_quorum = certified_by_quorum(ledger, set, law_id).await;
        if by_quorum > height {
            let (law_id, certified) = (law_id.clone(), by_quorum);
            return Err(RepairError::NewerCertified { law_id, height, certified });
        }
        let rows = ledger.log_rows_above(law_id, height, size).await?;
        let head = Head {
            size,
            height,
            root,
            fence: 0,
            checkpoint: checkpoint.to_vec(),
            sealed_through: StagingId(0),
            takes_votes: false,
        };
        Ok(Self { law_id: law_id.clone(), head, fault, rows })
    }

    /// The height of the block that remains the last.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.head.height
    }

    /// The leaves that remain.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.head.size
    }

    /// The fault of the present head.
    #[must_use]
    pub fn fault(&self) -> &HeadFault {
        &self.fault
    }

    /// The row of the present head, and the rows to discard: to be kept in a file first.
    #[must_use]
    pub fn rows(&self) -> &[LogRow] {
        &self.rows
    }

    /// Discards the rows, in one step.
    ///
    /// # Errors
    /// [`RepairError::Changed`], [`RepairError::Engine`].
    pub async fn execute(&self, ledger: &dyn LogRepair) -> Result<(), RepairError> {
        let seen = LogRow::digest_of(&self.rows);
        match ledger.discard_above(&self.law_id, &self.head, &seen).await? {
            true => Ok(()),
            false => Err(RepairError::Changed { law_id: self.law_id.clone() }),
        }
    }
}

/// The certificate of the last block that the authority of a data folder knows. `None` if it knows
/// none. No node may be running on the folder.
///
/// # Errors
/// [`MemoryError`].
pub fn own_certificate(
    folder: &DataFolder,
    law_id: &ElectionId,
) -> Result<Option<Vec<u8>>, MemoryError> {
    let memory = AuthorityMemory::open(&folder.memory_path())?;
    let elections = memory.state()?.elections;
    let known = elections.into_iter().find(|(of, ..)| of == law_id);
    let Some(point) = known.and_then(|(_, certified, ..)| certified) else { return Ok(None) };
    Ok(memory.block(law_id, point.height)?.and_then(|block| block.checkpoint))
}

struct Certified {
    policy: Policy,
    size: u64,
    root: TreeHash,
}

/// Verifies a checkpoint of an election, which may be binding or a test.
fn certified(
    set: &AuthoritySet,
    law_id: &ElectionId,
    checkpoint: &[u8],
) -> Result<Certified, RepairError> {
    let refused = |fault| RepairError::NotCertified { law_id: law_id.clone(), fault };
    let mut fault = CertificateFault::NoLeaf;
    for binding in [true, false] {
        let policy = set.policy(law_id, binding).map_err(|error| refused(error.into()))?;
        match policy.verify_strict_by_authorities(checkpoint) {
            Ok(verified) if verified.checkpoint().size() > 0 => {
                let (size, root) = (verified.checkpoint().size(), verified.checkpoint().root());
                return Ok(Certified { policy, size, root });
            }
            Ok(_) => {}
            Err(error) => fault = error.into(),
        }
    }
    Err(refused(fault))
}

/// The fault of the head of a log.
async fn fault_of_head(
    ledger: &dyn LogStore,
    policy: &Policy,
    law_id: &ElectionId,
) -> Result<HeadFault, RepairError> {
    let head = match ledger.head(law_id).await {
        Ok(Some(head)) => head,
        Ok(None) => return Err(RepairError::NoLog { law_id: law_id.clone() }),
        Err(EngineError::Corrupt { reason, .. }) => return Ok(HeadFault::Corrupt { reason }),
        Err(error) => return Err(error.into()),
    };
    match policy.verify_strict_by_authorities(&head.checkpoint) {
        Err(error) => Ok(error.into()),
        Ok(signed) if signed.checkpoint().size() != head.size => {
            Ok(HeadFault::Size { size: head.size, signed: signed.checkpoint().size() })
        }
        Ok(signed) if signed.checkpoint().root() != head.root => Ok(HeadFault::Root),
        Ok(_) => {
            let (law_id, height) = (law_id.clone(), head.height);
            Err(RepairError::HeadVerifies { law_id, height })
        }
    }
}

/// The height of the block that ends a log of this size and root.
async fn height_of(
    ledger: &dyn LogRepair,
    law_id: &ElectionId,
    size: u64,
    root: TreeHash,
) -> Result<u64, RepairError> {
    let not_held = |reason: String| {
        let law_id = law_id.clone();
        RepairError::NotHeld { law_id, size, reason }
    };
    let (mut tree, mut height) = (TreeBuilder::new(), 0);
    while tree.size() < size {
        let blocks = ledger.blocks_in_doubt(law_id, height + 1, READ_LEN).await?;
        if blocks.is_empty() {
            return Err(not_held(format!("block {} is missing", height + 1)));
        }
        for block in blocks {
            if tree.size() >= size {
                break;
            }
            height += 1;
            if block.height != height || block.first_leaf != tree.size() {
                return Err(not_held(format!("block {height} does not follow the one before it")));
            }
            for leaf in leaves_of_block(&block.leaves) {
                let cut_off = || not_held(format!("block {height} is cut off"));
                tree.append(leaf_hash(leaf.ok_or_else(cut_off)?), &mut Vec::new());
            }
        }
    }
    if tree.size() == size && tree.root() == root {
        return Ok(height);
    }
    Err(not_held(format!("the leaves up to block {height} do not have its root")))
}

/// The highest block that a quorum states to have certified, by the votes in the ledger: at least.
/// Rows that cannot be read prove nothing.
async fn certified_by_quorum(ledger: &dyn Rounds, set: &AuthoritySet, law_id: &ElectionId) -> u64 {
    let mut stated: BTreeMap<KeyName, u64> = BTreeMap::new();
    let mut after = RowId(0);
    while let Ok(read) = ledger.rows_after(after, READ_LEN).await {
        let Some(through) = read.through() else { break };
        after = through;
        for row in read.rows.iter().filter(|row| row.kind == RowKind::Vote) {
            let Ok(statement) = set.verify_statement(&row.bytes) else { continue };
            let StatementBody::Vote(vote) = statement.body else { continue };
            let of_law = vote.elections.iter().find(|election| election.law_id == *law_id);
            let height = of_law.map_or(0, |election| election.certified.height);
            let known = stated.entry(statement.authority).or_default();
            *known = height.max(*known);
        }
    }
    let mut heights: Vec<u64> = stated.into_values().collect();
    heights.sort_unstable_by(|one, other| other.cmp(one));
    heights.get(set.quorum() - 1).copied().unwrap_or(0)
}
