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
use crate::error::{AdminError, ElectionFault};
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

/// Whether another node has extended the log, or leads: the proposal is dropped. The endorsement
/// states it, or the ledger with its refusal.
pub(crate) fn is_overtaken(fault: &ElectionFault) -> bool {
    matches!(fault, ElectionFault::Superseded { .. } | ElectionFault::LeadershipLost { .. })
        || matches!(fault.conflict(), Some(Conflict::Head { .. } | Conflict::Term { .. }))
}

/// The present term, if the fault states it.
pub(crate) fn term_found(fault: &ElectionFault) -> Option<u64> {
    match (fault, fault.conflict()) {
        (ElectionFault::LeadershipLost { found, .. }, _)
        | (_, Some(Conflict::Term { found, .. })) => Some(*found),
        _ => None,
    }
}

/// Whether a block came after its deadline.
pub(crate) fn is_too_late(fault: &ElectionFault) -> bool {
    matches!(fault, ElectionFault::TooLate { .. })
        || matches!(fault.conflict(), Some(Conflict::Late { .. }))
}

/// Whether a proposal is refused permanently: another block was appended at its height, it came too
/// late, or it was made before the ledger was restored from an older copy.
pub(crate) fn is_lost(fault: &ElectionFault) -> bool {
    is_overtaken(fault)
        || is_too_late(fault)
        || matches!(fault.conflict(), Some(Conflict::NotStaged { .. }))
}

/// The fault of a call whose proposal [is lost](is_lost): its sealer follows the log again.
pub(crate) fn lost_proposal(error: &AdminError) -> Option<ElectionFault> {
    let fault = match error {
        AdminError::Engine(error) => ElectionFault::Engine(error.clone()),
        AdminError::Election(fault) => fault.clone(),
        _ => return None,
    };
    is_lost(&fault).then_some(fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::NotReady;

    fn law() -> ElectionId {
        "L1".parse().expect("a law id")
    }

    /// What a fault means for the leader: overtaken, the term found, too late, lost.
    fn meaning(fault: &ElectionFault) -> (bool, Option<u64>, bool, bool) {
        (is_overtaken(fault), term_found(fault), is_too_late(fault), is_lost(fault))
    }

    #[test]
    fn a_fault_of_the_node_means_what_the_refusal_of_the_ledger_means() {
        let superseded = ElectionFault::Superseded { law_id: law(), expected: 4, found: 6 };
        let later_term = ElectionFault::LeadershipLost { law_id: law(), offered: 2, found: 3 };
        let too_late = ElectionFault::TooLate { law_id: law() };
        let head = Conflict::Head { law_id: law(), expected: 4, found: 6 };
        let term = Conflict::Term { law_id: law(), offered: 2, found: 3 };
        let late = Conflict::Late { law_id: law() };
        for (fault, conflict, expected) in [
            (superseded, head, (true, None, false, true)),
            (later_term, term, (true, Some(3), false, true)),
            (too_late, late, (false, None, true, true)),
        ] {
            let refused = ElectionFault::Engine(conflict.into());
            assert_eq!(meaning(&fault), expected, "{fault}");
            assert_eq!(meaning(&refused), expected, "{refused}");
            assert_eq!(fault.to_string(), refused.to_string());
            assert_eq!(fault.is_passing(), refused.is_passing(), "{fault}");
        }
    }

    #[test]
    fn only_a_lost_proposal_makes_the_sealer_follow_after_a_call() {
        let fault = ElectionFault::Superseded { law_id: law(), expected: 4, found: 6 };
        let not_staged = Conflict::NotStaged { law_id: law(), position: 7 };
        for error in [AdminError::from(fault), AdminError::Engine(not_staged.into())] {
            let lost = lost_proposal(&error);
            assert_eq!(lost.map(|fault| fault.to_string()), Some(error.to_string()));
        }
        let unavailable = EngineError::Unavailable { engine: "SQLite", reason: String::new() };
        for error in [
            AdminError::Engine(unavailable),
            AdminError::from(ElectionFault::NotReady(NotReady::NotLeading)),
            AdminError::from(ElectionFault::damaged("block 3 is missing")),
            AdminError::OutcomeUnknown,
        ] {
            assert!(lost_proposal(&error).is_none(), "{error}");
        }
    }
}
