//! The state of an authority that survives every restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use votekit_core::authority::{AcceptedBlock, LogPoint, Statement, TermLeader};
use votekit_core::batch::Batch;
use votekit_core::id::{BatchNumber, ElectionId};

use super::row::{CertifiedBlock, ProposedBlock};
use crate::round::{ElectionMemory, RoundMemory};

/// The own memory of an authority. One copy is durable, and each process works with another.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    pub(super) round: RoundMemory,
    /// How many times a process has begun with it.
    pub(super) incarnation: u64,
    /// The last vote, as it was stated.
    pub(super) vote: Option<Arc<Statement>>,
    /// The last suspicion, as it was stated.
    pub(super) suspicion: Option<Arc<Statement>>,
    /// The block accepted above the certified blocks, and the statement of the accept.
    pub(super) accepted: Option<(Arc<ProposedBlock>, Arc<Statement>)>,
    /// Refusals above the certified blocks, by height and term.
    pub(super) refusals: BTreeMap<(u64, u64), Arc<Statement>>,
    pub(super) batches: BTreeMap<BatchNumber, Arc<Batch>>,
    /// The certified blocks, by height.
    pub(super) blocks: BTreeMap<u64, Arc<CertifiedBlock>>,
}

/// One durable write.
#[derive(Debug)]
pub(super) enum Write {
    Vote { leadership: TermLeader, statement: Arc<Statement> },
    Batches(Vec<Arc<Batch>>),
    Accepted { accepted: AcceptedBlock, block: Arc<ProposedBlock>, statement: Arc<Statement> },
    Refused { height: u64, term: u64, statement: Arc<Statement> },
    Suspected(Arc<Statement>),
    Cosigned(LogPoint),
    Certified(Arc<CertifiedBlock>),
}

impl Memory {
    pub(super) fn write(&mut self, law_id: &ElectionId, write: &Write) {
        match write {
            Write::Vote { leadership, statement } => {
                self.round.record_vote(leadership.clone());
                self.vote = Some(Arc::clone(statement));
            }
            Write::Batches(batches) => {
                let numbered = batches.iter().map(|batch| (batch.number(), Arc::clone(batch)));
                self.batches.extend(numbered);
            }
            Write::Accepted { accepted, block, statement } => {
                self.round.record_accepted(law_id, *accepted);
                self.accepted = Some((Arc::clone(block), Arc::clone(statement)));
            }
            Write::Refused { height, term, statement } => {
                self.refusals.insert((*height, *term), Arc::clone(statement));
            }
            Write::Suspected(statement) => self.suspicion = Some(Arc::clone(statement)),
            Write::Cosigned(point) => self.round.record_cosigned(law_id, *point),
            Write::Certified(block) => {
                let height = block.point.height;
                self.round.record_certified(law_id, block.point);
                self.blocks.insert(height, Arc::clone(block));
                if let Some((accepted, _)) = &self.accepted
                    && accepted.proposal.point.height <= height
                {
                    self.accepted = None;
                }
                self.refusals.retain(|(refused, _), _| *refused > height);
            }
        }
    }

    /// The part of the memory that the guards read about an election.
    pub(super) fn election(&self, law_id: &ElectionId) -> ElectionMemory {
        self.round.election(law_id)
    }

    /// The end of the certified log.
    pub(super) fn certified(&self, law_id: &ElectionId) -> LogPoint {
        self.round.election(law_id).certified
    }
}
