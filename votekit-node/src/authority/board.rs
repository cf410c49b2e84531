//! The statements and proposals that this authority has read from the ledger and verified.
//!
//! The board is a cache: it can be emptied at any time and read again from the first row. Rows
//! whose signatures do not verify never reach it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use votekit_authority::round::RoundView;
use votekit_core::authority::{Accept, BlockProposal, StatementBody, Suspect, TermLeader, Vote};
use votekit_core::id::ElectionId;
use votekit_core::log::note::KeyName;

/// Terms whose votes are kept.
const TERMS_MAX: usize = 16;

/// Heights of one election that are kept: a round is about the next height, and rows of a few
/// later ones may arrive before this node has applied the block.
const HEIGHTS_MAX: usize = 32;

/// A verified proposal, with the block it is about.
#[derive(Debug, Clone)]
pub(crate) struct ProposalRow {
    pub(crate) proposal: BlockProposal,
    /// The signed note.
    pub(crate) bytes: Arc<Vec<u8>>,
    /// The leaves of the block, as stored.
    pub(crate) leaves: Arc<Vec<u8>>,
}

/// What was read about one height of one election.
#[derive(Debug, Clone)]
pub(crate) struct HeightRows {
    pub(crate) proposals: Vec<ProposalRow>,
    pub(crate) view: RoundView,
    /// Cosignature lines by their authority. They are verified when the block they are about is
    /// known: a line does not state it.
    pub(crate) cosign_lines: BTreeMap<KeyName, Vec<u8>>,
}

/// All verified rows that are still of use.
#[derive(Debug, Default)]
pub(crate) struct Board {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By term, then by authority.
    votes: BTreeMap<u64, BTreeMap<KeyName, Vote>>,
    suspects: BTreeMap<u64, BTreeMap<KeyName, Suspect>>,
    refusers: BTreeMap<u64, BTreeSet<(KeyName, TermLeader)>>,
    elections: BTreeMap<ElectionId, ElectionRows>,
    /// When the last statement of each authority was read.
    heard: BTreeMap<KeyName, Instant>,
}

#[derive(Debug)]
struct ElectionRows {
    heights: BTreeMap<u64, HeightRows>,
    changes: watch::Sender<u64>,
}

impl Default for ElectionRows {
    fn default() -> Self {
        Self { heights: BTreeMap::new(), changes: watch::Sender::new(0) }
    }
}

impl ElectionRows {
    fn height(&mut self, height: u64) -> &mut HeightRows {
        let rows = self.heights.entry(height).or_insert_with(|| HeightRows {
            proposals: Vec::new(),
            view: RoundView::new(height),
            cosign_lines: BTreeMap::new(),
        });
        self.changes.send_modify(|changes| *changes += 1);
        rows
    }

    fn bound(&mut self) {
        while self.heights.len() > HEIGHTS_MAX {
            self.heights.pop_first();
        }
    }
}

impl Board {
    /// Adds a verified statement.
    pub(crate) fn add_statement(&self, authority: &KeyName, body: StatementBody) {
        let mut inner = self.inner.lock();
        inner.heard.insert(authority.clone(), Instant::now());
        match body {
            StatementBody::Vote(vote) => inner.add_vote(authority, vote),
            StatementBody::Accept(accept) => {
                let Accept { law_id, point, .. } = &accept;
                let election = inner.elections.entry(law_id.clone()).or_default();
                election.height(point.height).view.add_accept(authority.clone(), &accept);
                election.bound();
            }
            StatementBody::Refuse(refuse) => {
                let term = refuse.leadership.term;
                let refusers = inner.refusers.entry(term).or_default();
                refusers.insert((authority.clone(), refuse.leadership));
                bound_terms(&mut inner.refusers);
            }
            StatementBody::Suspect(suspect) => {
                let term = suspect.leadership.term;
                inner.suspects.entry(term).or_default().insert(authority.clone(), suspect);
                bound_terms(&mut inner.suspects);
            }
            _ => {}
        }
    }

    /// Adds a verified proposal, unless it is known.
    pub(crate) fn add_proposal(&self, row: ProposalRow) {
        let mut inner = self.inner.lock();
        let (law_id, height) = (row.proposal.law_id.clone(), row.proposal.point.height);
        let election = inner.elections.entry(law_id).or_default();
        let rows = election.height(height);
        if !rows.proposals.iter().any(|known| known.proposal == row.proposal) {
            rows.proposals.push(row);
        }
        election.bound();
    }

    /// Adds a cosignature line, which is not verified yet.
    pub(crate) fn add_cosign_line(
        &self,
        authority: KeyName,
        law_id: ElectionId,
        height: u64,
        line: Vec<u8>,
    ) {
        let mut inner = self.inner.lock();
        let election = inner.elections.entry(law_id).or_default();
        election.height(height).cosign_lines.entry(authority).or_insert(line);
        election.bound();
    }

    /// The votes of a leadership.
    pub(crate) fn votes(&self, leadership: &TermLeader) -> BTreeMap<KeyName, Vote> {
        let inner = self.inner.lock();
        let votes = inner.votes.get(&leadership.term).into_iter().flatten();
        votes
            .filter(|(_, vote)| vote.leadership == *leadership)
            .map(|(name, vote)| (name.clone(), vote.clone()))
            .collect()
    }

    /// The leader for whom an authority has voted in a term, as far as its vote was read.
    pub(crate) fn voted_for(&self, authority: &KeyName, term: u64) -> Option<KeyName> {
        let inner = self.inner.lock();
        Some(inner.votes.get(&term)?.get(authority)?.leadership.leader.clone())
    }

    /// The authorities that suspect the leader of a term.
    pub(crate) fn suspects(&self, term: u64) -> Vec<KeyName> {
        let inner = self.inner.lock();
        inner.suspects.get(&term).into_iter().flat_map(|map| map.keys().cloned()).collect()
    }

    /// The authorities that refused a block of a leadership.
    pub(crate) fn refusers(&self, leadership: &TermLeader) -> Vec<KeyName> {
        let inner = self.inner.lock();
        let refusers = inner.refusers.get(&leadership.term).into_iter().flatten();
        refusers.filter(|(_, of)| of == leadership).map(|(by, _)| by.clone()).collect()
    }

    /// Whether a statement of another authority than this one was read within a time.
    pub(crate) fn has_heard_others(&self, own: &KeyName, within: Duration) -> bool {
        let inner = self.inner.lock();
        inner.heard.iter().any(|(name, at)| name != own && at.elapsed() < within)
    }

    /// The rows about one height.
    pub(crate) fn rows(&self, law_id: &ElectionId, height: u64) -> Option<HeightRows> {
        self.inner.lock().elections.get(law_id)?.heights.get(&height).cloned()
    }

    /// Notifies of each row about an election.
    pub(crate) fn changes(&self, law_id: &ElectionId) -> watch::Receiver<u64> {
        self.inner.lock().elections.entry(law_id.clone()).or_default().changes.subscribe()
    }

    /// Drops the rows of heights that are in the log.
    pub(crate) fn forget(&self, law_id: &ElectionId, through_height: u64) {
        let mut inner = self.inner.lock();
        if let Some(election) = inner.elections.get_mut(law_id) {
            election.heights.retain(|height, _| *height > through_height);
        }
    }

    /// Elections of which a first block is proposed.
    pub(crate) fn drafts(&self) -> Vec<ElectionId> {
        let inner = self.inner.lock();
        let drafted = inner.elections.iter().filter(|(_, rows)| {
            rows.heights.get(&1).is_some_and(|rows| !rows.proposals.is_empty())
        });
        drafted.map(|(law_id, _)| law_id.clone()).collect()
    }
}

impl Inner {
    fn add_vote(&mut self, authority: &KeyName, vote: Vote) {
        let term = vote.leadership.term;
        self.votes.entry(term).or_default().entry(authority.clone()).or_insert(vote);
        bound_terms(&mut self.votes);
    }
}

fn bound_terms<T>(terms: &mut BTreeMap<u64, T>) {
    while terms.len() > TERMS_MAX {
        terms.pop_first();
    }
}
