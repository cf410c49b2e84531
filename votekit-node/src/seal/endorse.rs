//! The step between a proposed block and the moved head: the proposer submits a block and learns
//! whether it is in the log.
//!
//! One authority signs alone and appends ([`SoleAuthority`]). Several authorities run a round
//! (`quorum`): the block is accepted and cosigned by a quorum, and any of them may append it.

use std::sync::Arc;

use async_trait::async_trait;
use votekit_core::batch::Batch;
use votekit_core::election_log::Block;
use votekit_core::id::ElectionId;
use votekit_core::instant::UnixMillis;
use votekit_store::retry::until_definite;
use votekit_store::{BlockCommit, Conflict, EngineError, Head, StoredBlock};

use crate::context::NodeContext;
use crate::election::CheckpointSigner;
use crate::error::ElectionFault;
use crate::seal::seal_queue::StagingMark;

/// A block proposed by its leader.
pub(crate) struct ProposedBlock {
    pub(crate) block: Block,
    /// The batches that it decides.
    pub(crate) batches: Vec<Arc<Batch>>,
    /// The term of the leader that appends the block: the ledger's fence. The leaf keeps the term
    /// in which the block was first made.
    pub(crate) term: u64,
    /// All batches up to this position are in the log with this block, or were refused.
    pub(crate) sealed_through: StagingMark,
    /// Whether nodes get leases to answer voters after this block.
    pub(crate) takes_votes: bool,
    /// The deadline for appending, on the ledger's clock.
    pub(crate) not_after: Option<UnixMillis>,
}

/// The outcome of a proposed block.
#[derive(Debug)]
pub(crate) enum Endorsement {
    /// It is in the log, with the signatures that the policy requires.
    Certified(Head),
    /// Another block was appended at its height: drop the proposal and follow the log.
    Superseded {
        /// The present head of the log.
        by: Head,
    },
    /// A later term has begun: this node no longer leads.
    LeadershipLost {
        /// The term found.
        term: u64,
    },
}

/// Endorses and appends proposed blocks.
#[async_trait]
pub(crate) trait Endorse: Send + Sync {
    /// Returns once the outcome of the block is known. Safe to repeat with the same bytes.
    ///
    /// # Errors
    /// [`ElectionFault`] when the block cannot be signed, breaks a rule of the ledger, came too
    /// late ([`Conflict::Late`]), or seals batches that the ledger has lost since, because it was
    /// restored from an older copy ([`Conflict::NotStaged`]). A call with an unknown outcome is
    /// retried until the outcome is known.
    async fn endorse(&self, proposed: ProposedBlock) -> Result<Endorsement, ElectionFault>;
}

/// The only authority of an election: signs alone and appends.
pub(crate) struct SoleAuthority {
    context: Arc<NodeContext>,
    signer: Arc<CheckpointSigner>,
    law_id: ElectionId,
}

impl SoleAuthority {
    /// The authority of an election whose keys this node has.
    pub(crate) fn new(
        context: Arc<NodeContext>,
        signer: Arc<CheckpointSigner>,
        law_id: ElectionId,
    ) -> Self {
        Self { context, signer, law_id }
    }
}

#[async_trait]
impl Endorse for SoleAuthority {
    async fn endorse(&self, proposed: ProposedBlock) -> Result<Endorsement, ElectionFault> {
        let ProposedBlock { block, term, sealed_through, takes_votes, not_after, .. } = proposed;
        let signed = self.signer.sign(&block, self.context.now().seconds());
        let checkpoint = signed.map_err(|error| ElectionFault::damaged(error.to_string()))?;
        let head = Head {
            size: block.size_after(),
            height: block.height,
            root: block.root,
            fence: term,
            checkpoint,
            sealed_through: sealed_through.id,
            takes_votes,
        };
        let commit = Arc::new(BlockCommit {
            law_id: self.law_id.clone(),
            block: StoredBlock {
                height: block.height,
                first_leaf: block.first_leaf,
                leaf_count: block.leaf_count,
                leaves: block.leaves,
            },
            full_tiles: block.full_tiles,
            head,
            sealed_batch: sealed_through.batch,
            not_after,
        });
        let ledger = &self.context.ledger;
        // Commits the same bytes again until the outcome is known: they may be durable.
        match until_definite("commit_block", || ledger.commit(&commit)).await {
            Ok(()) => Ok(Endorsement::Certified(commit.head.clone())),
            Err(EngineError::Conflict(Conflict::Term { found, .. })) => {
                Ok(Endorsement::LeadershipLost { term: found })
            }
            Err(error @ EngineError::Conflict(Conflict::Head { .. })) => {
                match until_definite("commit_block", || ledger.head(&self.law_id)).await? {
                    Some(by) => Ok(Endorsement::Superseded { by }),
                    // A missing log supersedes nothing.
                    None => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether the ledger reports that another node has extended the log.
pub(crate) fn is_overtaken(conflict: Option<&Conflict>) -> bool {
    matches!(conflict, Some(Conflict::Head { .. } | Conflict::Term { .. }))
}

/// The present term of the ledger, if its refusal states it.
pub(crate) fn term_found(conflict: Option<&Conflict>) -> Option<u64> {
    match conflict {
        Some(Conflict::Term { found, .. }) => Some(*found),
        _ => None,
    }
}

/// Whether the ledger refused a proposal permanently: another block was appended at its height, it
/// came too late, or it was made before the ledger was restored from an older copy.
pub(crate) fn is_lost(conflict: Option<&Conflict>) -> bool {
    is_overtaken(conflict)
        || matches!(conflict, Some(Conflict::Late { .. } | Conflict::NotStaged { .. }))
}
