//! The checks: what is compared after each step, from everything that ever left an authority.
//!
//! They see more than any node: a statement counts from the moment it is sent, even if it is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use votekit_core::authority::{AcceptedBlock, LogPoint, Statement, StatementBody};
use votekit_core::log::note::KeyName;

use super::election::Election;
use super::reference::Reference;
use super::row::{CertifiedBlock, Row, RowBody};
use super::violation::{Rule, Violation};

/// Everything that the authorities have published so far.
#[derive(Debug)]
pub(super) struct Checks {
    /// The first rule that was broken.
    pub(super) violation: Option<Violation>,
    pub(super) reference: Reference,
    quorum: usize,
    certified: BTreeMap<u64, LogPoint>,
    cosigned: BTreeMap<(u64, KeyName), LogPoint>,
    votes: BTreeMap<(u64, KeyName), Arc<Statement>>,
    latest_vote: BTreeMap<KeyName, u64>,
    accepts: BTreeMap<(u64, u64, KeyName), LogPoint>,
    /// The authorities that have accepted a block in a term.
    accepted: BTreeMap<AcceptedBlock, BTreeSet<KeyName>>,
    /// Blocks with the term in which they were proposed.
    proposed: BTreeSet<AcceptedBlock>,
    /// The height of the last block that the reference has read.
    read: u64,
}

impl Checks {
    /// Checks of a log that begins with these blocks.
    pub(super) fn new(quorum: usize, base: &[Arc<CertifiedBlock>], choices: usize) -> Self {
        Self {
            violation: None,
            reference: Reference::new(choices),
            quorum,
            certified: base.iter().map(|block| (block.point.height, block.point)).collect(),
            cosigned: BTreeMap::new(),
            votes: BTreeMap::new(),
            latest_vote: BTreeMap::new(),
            accepts: BTreeMap::new(),
            accepted: BTreeMap::new(),
            proposed: BTreeSet::new(),
            read: base.len() as u64,
        }
    }

    /// Records a broken rule, unless one was broken before.
    pub(super) fn fail(&mut self, rule: Rule, detail: String) {
        self.violation.get_or_insert(Violation { rule, detail });
    }

    /// Checks a row that leaves an authority.
    pub(super) fn sent(&mut self, row: &Row) {
        match &row.body {
            RowBody::Proposal(block) => {
                let term = block.proposal.leadership.term;
                self.proposed.insert(AcceptedBlock { term, point: block.proposal.point });
                self.check_proposals(block.proposal.point.height);
            }
            RowBody::Statement(statement) => self.stated(statement),
            RowBody::Cosign(point) => self.cosigned_by(&row.authority, point),
        }
    }

    fn stated(&mut self, statement: &Arc<Statement>) {
        let authority = &statement.authority;
        match &statement.body {
            StatementBody::Vote(vote) => {
                let term = vote.leadership.term;
                let first = self.votes.entry((term, authority.clone()));
                if *first.or_insert_with(|| Arc::clone(statement)) != *statement {
                    let detail = format!("{authority} makes two votes in term {term}");
                    self.fail(Rule::OneStatement, detail);
                }
                let latest = self.latest_vote.entry(authority.clone()).or_default();
                *latest = term.max(*latest);
            }
            StatementBody::Accept(accept) => {
                let (point, term) = (accept.point, accept.leadership.term);
                self.accepted_by(authority, AcceptedBlock { term, point });
            }
            _ => {}
        }
    }

    fn accepted_by(&mut self, authority: &KeyName, block: AcceptedBlock) {
        let AcceptedBlock { term, point } = block;
        let key = (point.height, term, authority.clone());
        if *self.accepts.entry(key).or_insert(point) != point {
            let height = point.height;
            let detail = format!("{authority} makes two accepts at height {height} in term {term}");
            self.fail(Rule::OneStatement, detail);
        }
        if let Some(voted) = self.latest_vote.get(authority).filter(|voted| term < **voted) {
            let detail = format!("{authority} accepts in term {term}, and voted in term {voted}");
            self.fail(Rule::AcceptBelowVote, detail);
        }
        let by = self.accepted.entry(block).or_default();
        if by.insert(authority.clone()) && by.len() == self.quorum {
            self.check_proposals(point.height);
        }
    }

    /// Compares what a quorum has accepted at a height with the proposals of later terms.
    fn check_proposals(&mut self, height: u64) {
        let is_here = |block: &&AcceptedBlock| block.point.height == height;
        let chosen = self.accepted.iter().filter(|(_, by)| by.len() >= self.quorum);
        let broken = chosen.map(|(block, _)| block).filter(is_here).find_map(|chosen| {
            let other =
                self.proposed.iter().filter(is_here).find(|proposed| {
                    proposed.term > chosen.term && proposed.point != chosen.point
                })?;
            Some((chosen.term, other.term))
        });
        if let Some((chosen, other)) = broken {
            let detail = format!(
                "at height {height} a quorum accepted a block in term {chosen}, and another one \
                 is proposed in term {other}"
            );
            self.fail(Rule::ProposalAgainstQuorum, detail);
        }
    }

    fn cosigned_by(&mut self, authority: &KeyName, point: &LogPoint) {
        let height = point.height;
        let key = (height, authority.clone());
        if *self.cosigned.entry(key).or_insert(*point) != *point {
            let detail = format!("{authority} cosigns two roots at height {height}");
            self.fail(Rule::OneCosignedRoot, detail);
        }
        let by = self.cosigned.iter().filter(|((at, _), other)| *at == height && *other == point);
        if by.count() >= self.quorum {
            self.certify(point);
        }
    }

    fn certify(&mut self, point: &LogPoint) {
        if *self.certified.entry(point.height).or_insert(*point) != *point {
            let detail = format!("two roots have a quorum at height {}", point.height);
            self.fail(Rule::OneCertifiedRoot, detail);
        }
    }

    /// Checks a block that the ledger has appended.
    pub(super) fn appended(&mut self, block: &CertifiedBlock, election: &Election) {
        let CertifiedBlock { point, cosigners, .. } = block;
        let accepted = self.accepted.iter().filter(|(block, _)| block.point == *point);
        let accepts = accepted.map(|(_, by)| by.len()).max().unwrap_or(0);
        let is_cosigned = |name: &KeyName| {
            self.cosigned.get(&(point.height, name.clone())).is_some_and(|own| own == point)
        };
        if accepts < self.quorum
            || cosigners.len() < self.quorum
            || !cosigners.iter().all(is_cosigned)
        {
            let detail = format!("height {}", point.height);
            self.fail(Rule::AppendedWithoutQuorum, detail);
        }
        self.certify(point);
        // A block that is appended again, after the ledger was restored from an older copy, was
        // read before.
        if point.height == self.read + 1 {
            self.read = point.height;
            if let Err(violation) = self.reference.read(&block.leaves, election) {
                self.violation.get_or_insert(violation);
            }
        }
    }

    /// Checks the end of the log that an authority has applied.
    pub(super) fn applied(&mut self, authority: &KeyName, point: &LogPoint) {
        if self.certified.get(&point.height) != Some(point) {
            let detail = format!("{authority} at height {}", point.height);
            self.fail(Rule::AppliedUncertified, detail);
        }
    }
}
