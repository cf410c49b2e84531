//! The data that authorities write to the ledger: rows of statements and proposals, and certified
//! blocks.
//!
//! Statements are typed values without signatures: forged statements are not simulated.

use std::collections::BTreeSet;
use std::sync::Arc;

use votekit_core::authority::{BlockProposal, LogPoint, Statement, StatementBody};
use votekit_core::election_log::Block;
use votekit_core::id::Digest;
use votekit_core::log::note::KeyName;

/// The leaves of a block, as stored, with their digest.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Leaves {
    pub(super) bytes: Vec<u8>,
    pub(super) digest: Digest,
}

impl Leaves {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let digest = Digest::compute(&bytes);
        Self { bytes, digest }
    }
}

/// A proposal with the leaves of its block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProposedBlock {
    pub(super) proposal: BlockProposal,
    pub(super) leaves: Arc<Leaves>,
}

/// A block with the authorities that have cosigned its end.
#[derive(Debug)]
pub(super) struct CertifiedBlock {
    pub(super) first_leaf: u64,
    pub(super) point: LogPoint,
    pub(super) leaves: Arc<Leaves>,
    pub(super) cosigners: BTreeSet<KeyName>,
}

/// The end of a block.
pub(super) fn point_of(block: &Block) -> LogPoint {
    LogPoint { height: block.height, size: block.size_after(), root: block.root }
}

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// The authority that has made the statement; of a proposal, its leader.
    pub(super) authority: KeyName,
    pub(super) body: RowBody,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RowBody {
    Proposal(Arc<ProposedBlock>),
    Statement(Arc<Statement>),
    Cosign(LogPoint),
}

/// Identifies a row: the first one written under a key stays.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RowKey {
    kind: &'static str,
    authority: KeyName,
    height: u64,
    term: u64,
    /// Of a proposal: a second one under the same key is kept as evidence.
    digest: Option<Digest>,
}

impl Row {
    pub(super) fn proposal(block: Arc<ProposedBlock>) -> Self {
        let authority = block.proposal.leadership.leader.clone();
        Self { authority, body: RowBody::Proposal(block) }
    }

    pub(super) fn statement(statement: Arc<Statement>) -> Self {
        Self { authority: statement.authority.clone(), body: RowBody::Statement(statement) }
    }

    pub(super) fn key(&self) -> RowKey {
        let (kind, height, term, digest) = match &self.body {
            RowBody::Proposal(block) => {
                let BlockProposal { leadership, point, .. } = &block.proposal;
                ("proposal", point.height, leadership.term, Some(block.leaves.digest))
            }
            RowBody::Cosign(point) => ("cosign", point.height, 0, None),
            RowBody::Statement(statement) => {
                let (height, term) = match &statement.body {
                    StatementBody::Vote(vote) => (0, vote.leadership.term),
                    StatementBody::Accept(accept) => (accept.point.height, accept.leadership.term),
                    StatementBody::Refuse(refuse) => (refuse.height, refuse.leadership.term),
                    StatementBody::Suspect(suspect) => (0, suspect.leadership.term),
                    _ => (0, 0),
                };
                (statement.body.kind(), height, term, None)
            }
        };
        RowKey { kind, authority: self.authority.clone(), height, term, digest }
    }
}
