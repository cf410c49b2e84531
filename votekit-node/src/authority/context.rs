//! The keys, the memory and the verified rows of this authority.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, RwLock, RwLockReadGuard, RwLockWriteGuard, watch};
use votekit_authority::round::{ElectionMemory, Quorum, RoundMemory};
use votekit_core::authority::{
    AuthoritySet, LogPoint, Statement, StatementBody, StatementKey, TermLeader,
};
use votekit_core::id::{Digest, ElectionId};
use votekit_core::log::note::KeyName;
use votekit_store::memory::{AuthorityMemory, MemoryError};
use votekit_store::{NewRow, RowId, RowKind};

use super::rows_progress::RowsProgress;
use super::{Board, LedgerLog};
use crate::data_folder::DataFolder;
use crate::error::{ElectionFault, NodeError};

/// This node as one of several authorities.
pub(crate) struct AuthorityContext {
    pub(crate) set: AuthoritySet,
    pub(crate) name: KeyName,
    key: StatementKey,
    incarnation: u64,
    memory: Arc<AuthorityMemory>,
    /// The part of the memory that the guards read. Changed after the memory, never before.
    state: Mutex<RoundMemory>,
    /// Locked shared while an accept is decided and written, and exclusively for a vote, so that
    /// each vote reports every accept of the earlier terms.
    promise_lock: RwLock<()>,
    pub(crate) board: Board,
    /// The leaders whose blocks this authority refused, and when it last did.
    refused: Mutex<BTreeMap<KeyName, Instant>>,
    /// The last term whose leader was passed over.
    passed_over: AtomicU64,
    /// The last term that was too far ahead to vote in it.
    far_term: AtomicU64,
    /// Whether a statement of this authority was found that its memory does not contain.
    rolled_back: AtomicBool,
    /// Whether the rows of the ledger have to be read again from the first.
    rows_rolled_back: AtomicBool,
    rows_wanted: Notify,
    rows_progress: Mutex<RowsProgress>,
    rollbacks: Mutex<Rollbacks>,
    /// The number of times that the ledger was found restored from an older copy, in any way.
    rollback_changes: watch::Sender<u64>,
    /// The digest of the records of nodes as they were read last.
    records: watch::Sender<Option<Digest>>,
    /// The elections of which the ledger lacks certified blocks, and its height in each.
    lacking: Mutex<BTreeMap<ElectionId, u64>>,
    /// The part of their logs in the ledger that was verified last.
    verified_logs: Mutex<BTreeMap<ElectionId, LedgerLog>>,
    /// The rounds about blocks that this authority has proposed.
    open_rounds: AtomicUsize,
}

/// The number of times that the ledger was found restored from an older copy.
#[derive(Debug, Default)]
struct Rollbacks {
    of_all: u64,
    of_elections: BTreeMap<ElectionId, u64>,
}

impl Rollbacks {
    fn note(&mut self, law_id: &ElectionId) {
        *self.of_elections.entry(law_id.clone()).or_default() += 1;
    }

    /// The number only rises, with each rollback of the ledger that concerns the election.
    fn concerning(&self, law_id: &ElectionId) -> u64 {
        self.of_all + self.of_elections.get(law_id).copied().unwrap_or(0)
    }
}

/// A round about a block that this authority has proposed. It counts as open until this is dropped.
pub(crate) struct OpenRound(Arc<AuthorityContext>);

impl Drop for OpenRound {
    fn drop(&mut self) {
        self.0.open_rounds.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AuthorityContext {
    /// Opens the memory of the authority whose keys are in the folder.
    ///
    /// # Errors
    /// [`NodeError`] when the folder's keys are not those of the `authorities` file, or its memory
    /// is missing, damaged or locked by another process.
    pub(crate) fn open(folder: &DataFolder, set: AuthoritySet) -> Result<Self, NodeError> {
        let name = folder.authority()?;
        folder
            .own_authority(&set)?
            .ok_or_else(|| NodeError::NotAnAuthority { name: name.clone() })?;
        let key = StatementKey::from_seed(set.base(), &name, &*folder.statement_seed()?);
        let memory = AuthorityMemory::open(&folder.memory_path())?;
        let rows = memory.state()?;
        let mut state = RoundMemory { promise: rows.promise, ..RoundMemory::default() };
        let board = Board::default();
        for (law_id, certified, accepted, cosigned) in rows.elections {
            let certified = certified.unwrap_or_else(LogPoint::empty);
            board.forget(&law_id, certified);
            state.elections.insert(law_id, ElectionMemory { certified, accepted, cosigned });
        }
        Ok(Self {
            set,
            name,
            key,
            incarnation: memory.incarnation(),
            memory: Arc::new(memory),
            state: Mutex::new(state),
            promise_lock: RwLock::new(()),
            board,
            refused: Mutex::default(),
            passed_over: AtomicU64::new(0),
            far_term: AtomicU64::new(0),
            rolled_back: AtomicBool::new(false),
            rows_rolled_back: AtomicBool::new(false),
            rows_wanted: Notify::new(),
            rows_progress: Mutex::default(),
            rollbacks: Mutex::default(),
            rollback_changes: watch::Sender::new(0),
            records: watch::Sender::new(None),
            lacking: Mutex::default(),
            verified_logs: Mutex::default(),
            open_rounds: AtomicUsize::new(0),
        })
    }

    /// How many authorities there are, and how many are a quorum.
    pub(crate) fn quorum(&self) -> Quorum {
        Quorum { authorities: self.set.members().len(), quorum: self.set.quorum() }
    }

    /// How often this authority has been started with this memory.
    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The name under which this process asks for the leader lease.
    pub(crate) fn holder(&self) -> String {
        format!("{}/{}", self.name, self.incarnation)
    }

    /// The leadership that this authority has promised to follow.
    pub(crate) fn promise(&self) -> Option<TermLeader> {
        self.state.lock().promise.clone()
    }

    /// Prevents a change of the promise until the returned guard is dropped: for an accept, from
    /// the check of its conditions until it is recorded.
    pub(crate) async fn hold_promise(&self) -> RwLockReadGuard<'_, ()> {
        self.promise_lock.read().await
    }

    /// Waits for accepts in progress, and blocks further accepts until the returned guard is
    /// dropped: for a vote, from the report of the accepted blocks until the promise is recorded.
    pub(crate) async fn change_promise(&self) -> RwLockWriteGuard<'_, ()> {
        self.promise_lock.write().await
    }

    /// The elections that this authority knows to have certified blocks.
    pub(crate) fn certified_elections(&self) -> Vec<ElectionId> {
        let state = self.state.lock();
        let certified = state.elections.iter().filter(|(_, one)| one.certified.height > 0);
        certified.map(|(law_id, _)| law_id.clone()).collect()
    }

    /// Reads the state that the guards read.
    pub(crate) fn with_state<T>(&self, read: impl FnOnce(&RoundMemory) -> T) -> T {
        read(&self.state.lock())
    }

    /// Changes the state that the guards read, after the memory was changed.
    pub(crate) fn record<T>(&self, change: impl FnOnce(&mut RoundMemory) -> T) -> T {
        change(&mut self.state.lock())
    }

    /// Records that a block of a leader was refused.
    pub(crate) fn note_refused(&self, leader: &KeyName) {
        self.refused.lock().insert(leader.clone(), Instant::now());
    }

    /// Whether a block of this leader was refused within `pause`.
    pub(crate) fn has_refused(&self, leader: &KeyName, pause: Duration) -> bool {
        self.refused.lock().get(leader).is_some_and(|at| at.elapsed() < pause)
    }

    /// Whether this is the first call for a term.
    pub(crate) fn first_pass_over(&self, term: u64) -> bool {
        self.passed_over.fetch_max(term, Ordering::Relaxed) < term
    }

    /// Whether this is the first call in a row for a term that is too far ahead.
    pub(crate) fn first_far_term(&self, term: u64) -> bool {
        self.far_term.swap(term, Ordering::Relaxed) != term
    }

    /// Counts a round as open.
    pub(crate) fn open_round(self: &Arc<Self>) -> OpenRound {
        self.open_rounds.fetch_add(1, Ordering::Relaxed);
        OpenRound(Arc::clone(self))
    }

    /// Whether a round about a block of this authority is open.
    pub(crate) fn has_open_round(&self) -> bool {
        self.open_rounds.load(Ordering::Relaxed) > 0
    }

    /// Whether this authority signs nothing more: its keys have signed statements that its memory
    /// has lost, so it could contradict itself.
    pub(crate) fn is_rolled_back(&self) -> bool {
        self.rolled_back.load(Ordering::Relaxed)
    }

    /// Records that this authority signs nothing more. Returns whether this is the first call.
    pub(crate) fn note_rolled_back(&self) -> bool {
        !self.rolled_back.swap(true, Ordering::Relaxed)
    }

    /// Records that the ledger was restored from an older copy: all its rows have to be read again.
    pub(crate) fn note_rows_rolled_back(&self) {
        let mut progress = self.rows_progress.lock();
        self.rows_rolled_back.store(true, Ordering::Relaxed);
        progress.note_rollback();
        drop(progress);
        self.rows_wanted.notify_one();
    }

    /// Resolves when the rows have to be read without a change of the ledger.
    pub(crate) async fn rows_wanted(&self) {
        self.rows_wanted.notified().await;
    }

    /// Records up to where the rows of the ledger were read, and whether these were all.
    pub(crate) fn note_rows_read(&self, through: RowId, is_last: bool) {
        let mut progress = self.rows_progress.lock();
        // After the rollback of the ledger, another row may have the position that was read.
        if !self.rows_rolled_back.load(Ordering::Relaxed) {
            progress.note_read(through, is_last);
        }
    }

    /// Whether the last row of the ledger has to be known to decide whether all votes of a term
    /// were read. The lease of the term was seen.
    pub(crate) fn needs_last_row(&self, term: u64) -> bool {
        self.rows_progress.lock().needs_last_row(term, Instant::now())
    }

    /// Records the last row that the ledger has, for the votes of a term.
    pub(crate) fn note_last_row(&self, term: u64, last: RowId) {
        self.rows_progress.lock().note_last_row(term, last);
    }

    /// Whether all votes were read that the holder of a term needs.
    pub(crate) fn has_read_votes(&self, term: u64) -> bool {
        self.rows_progress.lock().has_read_votes(term)
    }

    /// Records that the content of one election shows that the ledger was restored from an older
    /// copy. Other elections detect their own losses: if each restored election ended the rounds of
    /// all others, the leader would repeatedly lose its leadership.
    pub(crate) fn note_rollback(&self, law_id: &ElectionId) {
        self.verified_logs.lock().remove(law_id);
        self.rollbacks.lock().note(law_id);
        self.rollback_changes.send_modify(|count| *count += 1);
    }

    /// Records that the rows of rounds show that the ledger was restored from an older copy. These
    /// rows have one order for all elections, so in each election the staged batches that were read
    /// may have other positions now.
    pub(crate) fn note_rollback_of_all(&self) {
        self.verified_logs.lock().clear();
        self.rollbacks.lock().of_all += 1;
        self.rollback_changes.send_modify(|count| *count += 1);
    }

    /// The number of times that the ledger was found restored from an older copy, as far as this
    /// concerns an election.
    pub(crate) fn rollbacks(&self, law_id: &ElectionId) -> u64 {
        self.rollbacks.lock().concerning(law_id)
    }

    /// Notifies each time the ledger is found restored from an older copy, for any election.
    pub(crate) fn rollback_changes(&self) -> watch::Receiver<u64> {
        self.rollback_changes.subscribe()
    }

    /// Records the digest of the records of nodes, as they were read.
    pub(crate) fn note_records(&self, digest: Digest) {
        self.records.send_if_modified(|known| known.replace(digest) != Some(digest));
    }

    /// Notifies when the records of nodes have changed.
    pub(crate) fn record_changes(&self) -> watch::Receiver<Option<Digest>> {
        self.records.subscribe()
    }

    /// Records above which height the ledger lacks certified blocks of an election; `None` if it
    /// lacks none. Returns whether that is new.
    pub(crate) fn note_lacking(&self, law_id: &ElectionId, height: Option<u64>) -> bool {
        let mut lacking = self.lacking.lock();
        match height {
            Some(height) => lacking.insert(law_id.clone(), height) != Some(height),
            None => {
                self.verified_logs.lock().remove(law_id);
                lacking.remove(law_id).is_some()
            }
        }
    }

    /// The part of an election's log in the ledger that was verified when the ledger was last found
    /// to lack blocks.
    pub(crate) fn verified_log(&self, law_id: &ElectionId) -> Option<LedgerLog> {
        self.verified_logs.lock().get(law_id).cloned()
    }

    /// Keeps the verified part of an election's log in the ledger, which lacks blocks.
    pub(crate) fn keep_verified_log(&self, law_id: &ElectionId, log: &LedgerLog) {
        self.verified_logs.lock().insert(law_id.clone(), log.clone());
    }

    /// Whether the rows have to be read again from the first; the answer is given once.
    pub(crate) fn take_rows_rolled_back(&self) -> bool {
        self.rows_rolled_back.swap(false, Ordering::Relaxed)
    }

    /// Signs a statement of this authority.
    pub(crate) fn sign(&self, body: StatementBody) -> Vec<u8> {
        let statement =
            Statement { authority: self.name.clone(), incarnation: self.incarnation, body };
        self.key.sign_statement(&statement)
    }

    /// The key under which this authority signs.
    pub(crate) fn key(&self) -> &StatementKey {
        &self.key
    }

    /// Runs a synced write, or a read, of the own memory on a thread that may block.
    pub(crate) async fn durable<T: Send + 'static>(
        &self,
        work: impl FnOnce(&AuthorityMemory) -> Result<T, MemoryError> + Send + 'static,
    ) -> Result<T, ElectionFault> {
        let memory = Arc::clone(&self.memory);
        let done = tokio::task::spawn_blocking(move || work(&memory)).await;
        let done = done.map_err(|error| {
            ElectionFault::damaged(format!("a write to the authority's memory failed: {error}"))
        })?;
        done.map_err(|error| ElectionFault::damaged(format!("the authority's memory: {error}")))
    }

    /// A row of this authority about one height.
    pub(crate) fn row(
        &self,
        kind: RowKind,
        law_id: Option<&ElectionId>,
        height: u64,
        term: u64,
        bytes: Vec<u8>,
    ) -> NewRow {
        NewRow {
            kind,
            authority: self.name.as_str().to_owned(),
            law_id: law_id.cloned(),
            height,
            term,
            bytes,
            leaves: Vec::new(),
        }
    }
}

impl fmt::Debug for AuthorityContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AuthorityContext({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollback_of_one_election_concerns_no_other() {
        let [one, other] = ["L1", "L2"].map(|law_id| law_id.parse().expect("a law id"));
        let mut rollbacks = Rollbacks::default();
        let mut seen = Vec::new();
        for step in 0..3 {
            match step {
                0 => rollbacks.note(&one),
                1 => rollbacks.of_all += 1,
                _ => rollbacks.note(&other),
            }
            seen.push((rollbacks.concerning(&one), rollbacks.concerning(&other)));
        }
        assert_eq!(seen, [(1, 0), (2, 1), (2, 2)]);
    }
}
