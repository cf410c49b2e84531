//! The rows of all authorities, as far as an authority has read them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use votekit_core::authority::{LogPoint, StatementBody, TermLeader, Vote};
use votekit_core::log::note::KeyName;

use super::row::{ProposedBlock, Row, RowBody};
use crate::round::RoundView;

/// The statements and proposals that a process has read, in any order and number of times.
#[derive(Debug, Default)]
pub(super) struct Readings {
    views: BTreeMap<u64, RoundView>,
    cosigns: BTreeMap<u64, BTreeMap<KeyName, LogPoint>>,
    proposals: BTreeMap<u64, Vec<Arc<ProposedBlock>>>,
    votes: BTreeMap<TermLeader, BTreeMap<KeyName, Vote>>,
    suspecting: BTreeMap<u64, BTreeSet<KeyName>>,
}

impl Readings {
    pub(super) fn add(&mut self, row: &Row) {
        let authority = &row.authority;
        match &row.body {
            RowBody::Proposal(block) => {
                let blocks = self.proposals.entry(block.proposal.point.height).or_default();
                if !blocks.contains(block) {
                    blocks.push(Arc::clone(block));
                }
            }
            RowBody::Cosign(point) => {
                let cosigns = self.cosigns.entry(point.height).or_default();
                cosigns.entry(authority.clone()).or_insert(*point);
            }
            RowBody::Statement(statement) => match &statement.body {
                StatementBody::Vote(vote) => {
                    let votes = self.votes.entry(vote.leadership.clone()).or_default();
                    votes.entry(authority.clone()).or_insert_with(|| vote.clone());
                }
                StatementBody::Accept(accept) => {
                    let height = accept.point.height;
                    let view = self.views.entry(height).or_insert_with(|| RoundView::new(height));
                    view.add_accept(authority.clone(), accept);
                }
                StatementBody::Suspect(suspect) => {
                    let suspecting = self.suspecting.entry(suspect.leadership.term).or_default();
                    suspecting.insert(authority.clone());
                }
                _ => {}
            },
        }
    }

    /// The accepts at a height.
    pub(super) fn view(&self, height: u64) -> Cow<'_, RoundView> {
        match self.views.get(&height) {
            Some(view) => Cow::Borrowed(view),
            None => Cow::Owned(RoundView::new(height)),
        }
    }

    /// The votes for a leadership.
    pub(super) fn votes(&self, leadership: &TermLeader) -> BTreeMap<KeyName, Vote> {
        self.votes.get(leadership).cloned().unwrap_or_default()
    }

    /// The authorities that suspect the leader of a term.
    pub(super) fn suspecting(&self, term: u64) -> BTreeSet<KeyName> {
        self.suspecting.get(&term).cloned().unwrap_or_default()
    }

    pub(super) fn proposals(&self, height: u64) -> &[Arc<ProposedBlock>] {
        self.proposals.get(&height).map_or(&[], Vec::as_slice)
    }

    /// The block of a height that a quorum has cosigned, with its cosigners.
    pub(super) fn cosigned_by(
        &self,
        quorum: usize,
        height: u64,
    ) -> Option<(LogPoint, BTreeSet<KeyName>)> {
        let mut by_point: BTreeMap<LogPoint, BTreeSet<KeyName>> = BTreeMap::new();
        for (authority, point) in self.cosigns.get(&height)? {
            by_point.entry(*point).or_default().insert(authority.clone());
        }
        by_point.into_iter().find(|(_, cosigners)| cosigners.len() >= quorum)
    }
}
