//! The statements and proposals that this authority has read from the ledger and verified.
//!
//! The board is a cache: it can be emptied at any time and read again from the first row. Rows
//! whose signatures do not verify never reach it.
//!
//! The space that a lying authority can fill is bounded for each authority: its blocks and their
//! bytes (`block_room`), the rows that no round needs now (`row_room`), and, at the next height of
//! each election with a certified block, [`LEADERSHIPS_MAX`] proposals, as many accepts and
//! [`COSIGNED_MAX`] cosignatures. A lying authority cannot make a certified block alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use votekit_authority::round::RoundView;
use votekit_core::authority::{
    Accept, BlockProposal, CosignedCheckpoint, LogPoint, StatementBody, Suspect, TermLeader, Vote,
};
use votekit_core::id::{Digest, ElectionId};
use votekit_core::log::checkpoint::Checkpoint;
use votekit_core::log::note::{KeyName, Signature};

use super::block_room::{BlockReservation, BlockRoom};
use super::row_room::{RowReservation, RowRoom};

/// The number of last terms of which the votes, the refusals and the suspicions of each authority
/// are kept. It applies to each authority separately: statements of a lying authority about future
/// terms displace no statement of another authority.
const TERMS_MAX: usize = 16;

/// The number of heights of one election that are kept, from the lowest: a round is about the next
/// height, and rows of a few later heights may arrive before this node has applied the block. Rows
/// about heights far ahead, which a lying authority may write, displace none of them.
const HEIGHTS_MAX: usize = 32;

/// The number of last leaderships of one leader of which the proposals of one height, with their
/// blocks, are kept. A block that may be agreed in an earlier leadership is proposed again in a
/// later one, and an authority that accepted it has it in its memory.
const LEADERSHIPS_MAX: usize = 1024;
const BLOCKS_MAX: usize = 16;

/// The number of cosignatures of one authority at one height that are kept, those over the largest
/// trees. An authority signs one for each height. Further cosignatures come from a lying authority,
/// or are copies of those over earlier blocks, whose trees are smaller: a cosignature does not
/// state its height.
const COSIGNED_MAX: usize = 4;

/// The number of elections of which rows are kept. A lying authority can sign statements about any
/// number of elections.
const ELECTIONS_MAX: usize = 10_000;

/// A verified proposal, with its block.
#[derive(Debug, Clone)]
pub(crate) struct ProposalRow {
    pub(crate) proposal: BlockProposal,
    /// The signed note.
    pub(crate) bytes: Arc<Vec<u8>>,
    /// The leaves of the block, as stored; empty where they are not kept.
    pub(crate) leaves: Arc<Vec<u8>>,
    /// The reservation for the block, while it is kept.
    reservation: Option<Arc<BlockReservation>>,
    /// The reservation for the row, unless it is about the next height.
    row_reservation: Option<Arc<RowReservation>>,
    /// Whether the block is not kept because there was no room.
    is_left_out: bool,
}

impl ProposalRow {
    /// A verified proposal with its signed note and the leaves of its block.
    pub(crate) fn new(proposal: BlockProposal, bytes: Vec<u8>, leaves: Vec<u8>) -> Self {
        let (bytes, leaves) = (Arc::new(bytes), Arc::new(leaves));
        Self {
            proposal,
            bytes,
            leaves,
            reservation: None,
            row_reservation: None,
            is_left_out: false,
        }
    }

    /// Whether the block is kept: each has a leaf.
    pub(crate) fn has_block(&self) -> bool {
        !self.leaves.is_empty()
    }

    fn is_same(&self, other: &Self) -> bool {
        self.proposal == other.proposal
    }

    fn is_by(&self, leader: &KeyName) -> bool {
        self.proposal.leadership.leader == *leader
    }

    fn drop_block(&mut self) {
        (self.leaves, self.reservation, self.is_left_out) = (Arc::default(), None, false);
    }

    /// Keeps the block if there is room.
    fn reserve(&mut self, room: &mut BlockRoom) {
        match room.reserve(self.leaves.len()) {
            Some(reservation) => self.reservation = Some(reservation),
            None => {
                self.drop_block();
                self.is_left_out = true;
            }
        }
    }
}

/// The rows that were read about one height of one election.
#[derive(Debug, Clone)]
pub(crate) struct HeightRows {
    pub(crate) proposals: Vec<ProposalRow>,
    pub(crate) view: RoundView,
    /// Cosignatures by their authority.
    cosigned: BTreeMap<KeyName, Vec<CosignedRow>>,
    accept_reservations: Vec<Arc<RowReservation>>,
}

/// A cosignature, and where its row is counted.
#[derive(Debug, Clone)]
struct CosignedRow {
    cosigned: CosignedCheckpoint,
    _reservation: Option<Arc<RowReservation>>,
}

impl CosignedRow {
    fn size(&self) -> u64 {
        self.cosigned.checkpoint.size()
    }
}

impl HeightRows {
    /// The cosignature of an authority over the end of the log.
    pub(crate) fn cosignature(
        &self,
        authority: &KeyName,
        checkpoint: &Checkpoint,
    ) -> Option<&Signature> {
        let mut cosigned = self.cosigned.get(authority)?.iter().map(|row| &row.cosigned);
        cosigned.find(|one| one.checkpoint == *checkpoint).map(|one| &one.line)
    }
}

/// All verified rows that are still needed.
#[derive(Debug, Default)]
pub(crate) struct Board {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By authority, then by term.
    votes: BTreeMap<KeyName, BTreeMap<u64, Vote>>,
    suspects: BTreeMap<KeyName, BTreeMap<u64, Suspect>>,
    /// The leaderships of which each authority refused a block.
    refused: BTreeMap<KeyName, BTreeSet<TermLeader>>,
    elections: BTreeMap<ElectionId, ElectionRows>,
    /// The room for the blocks of each leader.
    rooms: BTreeMap<KeyName, BlockRoom>,
    /// The room for the rows of each authority that no round needs now.
    row_rooms: BTreeMap<KeyName, RowRoom>,
    /// Whether rows that were left out may be needed by now.
    is_incomplete: bool,
    /// When the last statement of each authority was read.
    heard: BTreeMap<KeyName, Instant>,
}

#[derive(Debug)]
struct ElectionRows {
    heights: BTreeMap<u64, HeightRows>,
    /// The last block that is known to be certified: rows up to it are not needed.
    settled: LogPoint,
    /// The lowest height whose rows were left out, because there was no room.
    left_out: Option<u64>,
    changes: watch::Sender<u64>,
}

impl Default for ElectionRows {
    fn default() -> Self {
        let changes = watch::Sender::new(0);
        Self { heights: BTreeMap::new(), settled: LogPoint::empty(), left_out: None, changes }
    }
}

impl ElectionRows {
    /// The rows of a height, for adding rows; `None` if its block is in the log.
    fn height(&mut self, height: u64) -> Option<&mut HeightRows> {
        if height <= self.settled.height {
            return None;
        }
        let rows = self.heights.entry(height).or_insert_with(|| HeightRows {
            proposals: Vec::new(),
            view: RoundView::new(height),
            cosigned: BTreeMap::new(),
            accept_reservations: Vec::new(),
        });
        self.changes.send_modify(|changes| *changes += 1);
        Some(rows)
    }

    fn bound(&mut self) {
        while self.heights.len() > HEIGHTS_MAX {
            if let Some((height, _)) = self.heights.pop_last() {
                self.note_left_out(height);
            }
        }
    }

    fn note_left_out(&mut self, height: u64) {
        let known = self.left_out.unwrap_or(height);
        self.left_out = Some(known.min(height));
    }

    /// Whether the rows of a height are those of the present round.
    fn is_next(&self, height: u64) -> bool {
        self.settled.height > 0 && height == self.settled.height.saturating_add(1)
    }

    /// Drops the rows through a certified block. Returns whether rows that were left out fit now.
    fn forget(&mut self, certified: LogPoint) -> bool {
        if certified.height >= self.settled.height {
            self.settled = certified;
        }
        self.heights.retain(|height, _| *height > certified.height);
        // Copies of cosignatures of earlier blocks, which another program has stored.
        let size = self.settled.size;
        for rows in self.heights.values_mut() {
            rows.cosigned.retain(|_, known| {
                known.retain(|row| row.size() > size);
                !known.is_empty()
            });
        }
        let next = certified.height.saturating_add(HEIGHTS_MAX as u64);
        let fits = self.left_out.is_some_and(|height| height <= next);
        if fits {
            self.left_out = None;
        }
        fits
    }
}

impl Board {
    /// Adds a verified statement.
    pub(crate) fn add_statement(&self, authority: &KeyName, body: StatementBody) {
        let mut inner = self.inner.lock();
        inner.heard.insert(authority.clone(), Instant::now());
        match body {
            StatementBody::Vote(vote) => inner.add_vote(authority, vote),
            StatementBody::Accept(accept) => inner.add_accept(authority, &accept),
            StatementBody::Refuse(refuse) => {
                let refused = inner.refused.entry(authority.clone()).or_default();
                refused.insert(refuse.leadership);
                if refused.len() > TERMS_MAX {
                    refused.pop_first();
                }
            }
            StatementBody::Suspect(suspect) => {
                let suspects = inner.suspects.entry(authority.clone()).or_default();
                suspects.insert(suspect.leadership.term, suspect);
                bound_terms(suspects);
            }
            _ => {}
        }
    }

    /// Adds a verified proposal, unless it is known.
    pub(crate) fn add_proposal(&self, row: ProposalRow) {
        let mut inner = self.inner.lock();
        let leader = row.proposal.leadership.leader.clone();
        let mut room = inner.rooms.remove(&leader).unwrap_or_default();
        inner.add_proposal(row, &mut room);
        inner.rooms.insert(leader, room);
    }

    /// Adds a verified cosignature.
    pub(crate) fn add_cosigned(
        &self,
        authority: KeyName,
        law_id: &ElectionId,
        height: u64,
        cosigned: CosignedCheckpoint,
    ) {
        self.inner.lock().add_cosigned(authority, law_id, height, cosigned);
    }

    /// The votes of a leadership.
    pub(crate) fn votes(&self, leadership: &TermLeader) -> BTreeMap<KeyName, Vote> {
        let inner = self.inner.lock();
        let votes = inner
            .votes
            .iter()
            .filter_map(|(name, votes)| Some((name, votes.get(&leadership.term)?)));
        votes
            .filter(|(_, vote)| vote.leadership == *leadership)
            .map(|(name, vote)| (name.clone(), vote.clone()))
            .collect()
    }

    /// The highest term such that at least `count` authorities have voted in it or in a later term;
    /// 0 if fewer have voted.
    pub(crate) fn voted_term(&self, count: usize) -> u64 {
        let inner = self.inner.lock();
        let last = |votes: &BTreeMap<u64, Vote>| votes.keys().next_back().copied();
        let mut terms: Vec<u64> = inner.votes.values().filter_map(last).collect();
        terms.sort_unstable_by(|one, other| other.cmp(one));
        count.checked_sub(1).and_then(|index| terms.get(index).copied()).unwrap_or(0)
    }

    /// The leader for whom an authority has voted in a term, as far as its vote was read.
    pub(crate) fn voted_for(&self, authority: &KeyName, term: u64) -> Option<KeyName> {
        let inner = self.inner.lock();
        Some(inner.votes.get(authority)?.get(&term)?.leadership.leader.clone())
    }

    /// The authorities that suspect the leader of a term.
    pub(crate) fn suspects(&self, term: u64) -> Vec<KeyName> {
        let inner = self.inner.lock();
        let suspects = inner.suspects.iter().filter(|(_, terms)| terms.contains_key(&term));
        suspects.map(|(by, _)| by.clone()).collect()
    }

    /// The authorities that refused a block of a leadership.
    pub(crate) fn refusers(&self, leadership: &TermLeader) -> Vec<KeyName> {
        let inner = self.inner.lock();
        let refusers = inner.refused.iter().filter(|(_, of)| of.contains(leadership));
        refusers.map(|(by, _)| by.clone()).collect()
    }

    /// Whether a statement of another authority was read within a time.
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

    /// Drops the rows up to a certified block, and accepts no more of them.
    pub(crate) fn forget(&self, law_id: &ElectionId, certified: LogPoint) {
        let mut inner = self.inner.lock();
        let fits = inner.elections.entry(law_id.clone()).or_default().forget(certified);
        inner.is_incomplete |= fits;
    }

    /// Whether the rows have to be read again: some were left out that may be needed by now.
    /// Returns `true` once for each occasion.
    pub(crate) fn take_incomplete(&self) -> bool {
        let mut inner = self.inner.lock();
        let mut is_incomplete = std::mem::take(&mut inner.is_incomplete);
        for room in inner.rooms.values_mut() {
            is_incomplete |= room.take_left_out();
        }
        for room in inner.row_rooms.values_mut() {
            is_incomplete |= room.take_left_out();
        }
        is_incomplete
    }

    /// Elections of which a first block is proposed under a leadership, and kept.
    pub(crate) fn drafts(&self, leadership: &TermLeader) -> Vec<ElectionId> {
        let inner = self.inner.lock();
        let is_of = |row: &ProposalRow| row.proposal.leadership == *leadership && row.has_block();
        let drafted = inner.elections.iter().filter(|(_, rows)| {
            rows.heights.get(&1).is_some_and(|rows| rows.proposals.iter().any(is_of))
        });
        drafted.map(|(law_id, _)| law_id.clone()).collect()
    }
}

/// Adds a proposal. The first proposal of a leadership counts; one of the others is kept as
/// evidence, without its block.
fn add_bounded(proposals: &mut Vec<ProposalRow>, mut row: ProposalRow, room: &mut BlockRoom) {
    let leadership = &row.proposal.leadership;
    let is_of = |known: &&ProposalRow| known.proposal.leadership == *leadership;
    let is_first = match proposals.iter().filter(is_of).count() {
        0 => true,
        1 => false,
        _ => return,
    };
    let digest = row.proposal.digest;
    let same = |known: &&ProposalRow| known.proposal.digest == digest && known.has_block();
    match proposals.iter().find(same) {
        // A block that is proposed again is kept once.
        Some(known) => {
            row.leaves = Arc::clone(&known.leaves);
            row.reservation.clone_from(&known.reservation);
        }
        None if is_first => row.reserve(room),
        None => row.drop_block(),
    }
    let leader = row.proposal.leadership.leader.clone();
    proposals.push(row);
    bound_leader(proposals, &leader);
}

/// Bounds the proposals and blocks that are kept of one leader to those of its last leaderships.
/// The first proposal of a block that another leader has proposed again stays.
fn bound_leader(proposals: &mut Vec<ProposalRow>, leader: &KeyName) {
    let mut terms: Vec<u64> = proposals
        .iter()
        .filter(|known| known.is_by(leader))
        .map(|known| known.proposal.leadership.term)
        .collect();
    terms.sort_unstable_by(|one, other| other.cmp(one));
    terms.dedup();
    let Some(last_without) = terms.get(BLOCKS_MAX).copied() else { return };
    for known in proposals.iter_mut().filter(|known| known.is_by(leader)) {
        if known.proposal.leadership.term <= last_without {
            known.drop_block();
        }
    }
    let lowest = terms.last().copied().filter(|_| terms.len() > LEADERSHIPS_MAX);
    if let Some(lowest) = lowest {
        let of_others: BTreeSet<Digest> = proposals
            .iter()
            .filter(|known| !known.is_by(leader))
            .map(|known| known.proposal.digest)
            .collect();
        proposals.retain(|known| {
            !known.is_by(leader)
                || known.proposal.leadership.term != lowest
                || of_others.contains(&known.proposal.digest)
        });
    }
}

/// A row that cannot be kept now.
struct NoRoom;

impl Inner {
    /// The rows of an election, for adding rows; `None` if there are too many elections.
    fn election(&mut self, law_id: &ElectionId) -> Option<&mut ElectionRows> {
        if !self.elections.contains_key(law_id) && self.elections.len() >= ELECTIONS_MAX {
            return None;
        }
        Some(self.elections.entry(law_id.clone()).or_default())
    }

    /// The rows of a height, if there are any.
    fn rows(&self, law_id: &ElectionId, height: u64) -> Option<&HeightRows> {
        self.elections.get(law_id)?.heights.get(&height)
    }

    /// Reserves the room that a row of an authority needs, if any. Fails if there is no room: then
    /// the row has to be left out.
    fn reserve_row(
        &mut self,
        by: &KeyName,
        law_id: &ElectionId,
        height: u64,
    ) -> Result<Option<Arc<RowReservation>>, NoRoom> {
        let election = self.elections.get_mut(law_id);
        if election.as_ref().is_some_and(|rows| rows.is_next(height)) {
            return Ok(None);
        }
        match self.row_rooms.entry(by.clone()).or_default().reserve() {
            Some(reservation) => Ok(Some(reservation)),
            None => {
                if let Some(rows) = election.filter(|rows| height > rows.settled.height) {
                    rows.note_left_out(height);
                }
                Err(NoRoom)
            }
        }
    }

    fn add_accept(&mut self, by: &KeyName, accept: &Accept) {
        let Accept { law_id, leadership, point } = accept;
        let known = self.rows(law_id, point.height);
        if known.is_some_and(|rows| rows.view.has_accept(by, leadership.term)) {
            return;
        }
        let Ok(reservation) = self.reserve_row(by, law_id, point.height) else { return };
        let Some(election) = self.election(law_id) else { return };
        if let Some(rows) = election.height(point.height) {
            rows.view.add_accept(by.clone(), accept);
            rows.accept_reservations.extend(reservation);
        }
        election.bound();
    }

    fn add_cosigned(
        &mut self,
        by: KeyName,
        law_id: &ElectionId,
        height: u64,
        cosigned: CosignedCheckpoint,
    ) {
        let size = cosigned.checkpoint.size();
        let known = self.rows(law_id, height).and_then(|rows| rows.cosigned.get(&by));
        let is_same = |row: &CosignedRow| row.cosigned.checkpoint == cosigned.checkpoint;
        if known.is_some_and(|known| known.iter().any(is_same))
            || self.elections.get(law_id).is_some_and(|rows| size <= rows.settled.size)
        {
            return;
        }
        let Ok(reservation) = self.reserve_row(&by, law_id, height) else { return };
        let Some(election) = self.election(law_id) else { return };
        if let Some(rows) = election.height(height) {
            let known = rows.cosigned.entry(by).or_default();
            let at = known.partition_point(|row| row.size() >= size);
            known.insert(at, CosignedRow { cosigned, _reservation: reservation });
            known.truncate(COSIGNED_MAX);
        }
        election.bound();
    }

    fn add_proposal(&mut self, mut row: ProposalRow, room: &mut BlockRoom) {
        let TermLeader { term, leader } = &row.proposal.leadership;
        if room.clears_before(*term, row.leaves.len()) {
            self.drop_blocks_before(*term, leader);
        }
        let (law_id, height) = (row.proposal.law_id.clone(), row.proposal.point.height);
        let known = self.rows(&law_id, height);
        if known.is_none_or(|rows| !rows.proposals.iter().any(|one| one.is_same(&row))) {
            let Ok(reservation) = self.reserve_row(leader, &law_id, height) else { return };
            row.row_reservation = reservation;
        }
        let Some(election) = self.election(&law_id) else { return };
        let Some(rows) = election.height(height) else { return };
        match rows.proposals.iter_mut().find(|known| known.is_same(&row)) {
            None => add_bounded(&mut rows.proposals, row, room),
            Some(known) if known.is_left_out => {
                row.reserve(room);
                row.row_reservation = known.row_reservation.take();
                *known = row;
            }
            Some(_) => {}
        }
        election.bound();
    }

    /// Drops the blocks of a leader's earlier terms: an accepted block is in the memory of each
    /// authority that accepted it.
    fn drop_blocks_before(&mut self, term: u64, leader: &KeyName) {
        let heights = self.elections.values_mut().flat_map(|rows| rows.heights.values_mut());
        for known in heights.flat_map(|rows| &mut rows.proposals) {
            if known.is_by(leader) && known.proposal.leadership.term < term {
                known.drop_block();
            }
        }
    }

    fn add_vote(&mut self, authority: &KeyName, vote: Vote) {
        let votes = self.votes.entry(authority.clone()).or_default();
        votes.entry(vote.leadership.term).or_insert(vote);
        bound_terms(votes);
    }
}

fn bound_terms<T>(terms: &mut BTreeMap<u64, T>) {
    while terms.len() > TERMS_MAX {
        terms.pop_first();
    }
}

#[cfg(test)]
#[path = "board_test.rs"]
mod tests;
