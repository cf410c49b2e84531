//! The leases and the leader lease of one process. They are kept in memory, since every holder ends
//! with the process; the terms are stored too.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use votekit_core::id::{ElectionId, Epoch, NodeId};

use crate::{Leadership, Lease, TERM_STEP_MAX};

type Key = (ElectionId, NodeId, Epoch);

/// The highest term that the ledger can store.
const TERM_MAX: u64 = u64::MAX / 2;

/// All leases of one process.
#[derive(Debug)]
pub(super) struct LeaseTable(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    until: HashMap<Key, Instant>,
    fenced: HashSet<Key>,
    /// The last leader, until it is passed over.
    leader: Option<(String, Instant)>,
    term: u64,
    /// Whether a holder has led since the ledger was opened.
    has_led: bool,
    /// Whether several nodes of this process use the ledger.
    is_shared: bool,
}

impl LeaseTable {
    /// A table without leases. `term` is the highest stored term.
    pub(super) fn new(term: u64) -> Self {
        Self(Mutex::new(State { term, ..State::default() }))
    }

    /// From now on, several nodes use the ledger: the first leader begins a new term.
    pub(super) fn share(&self) {
        self.lock().is_shared = true;
    }

    /// Whether several nodes use the ledger.
    pub(super) fn is_shared(&self) -> bool {
        self.lock().is_shared
    }

    /// Grants or extends a lease. Returns `false` if the epoch is fenced.
    pub(super) fn hold(&self, key: Key, length: Duration) -> bool {
        let mut state = self.lock();
        if state.fenced.contains(&key) {
            return false;
        }
        let until = Instant::now() + length;
        // Never shortens a lease.
        state.until.entry(key).and_modify(|known| *known = until.max(*known)).or_insert(until);
        true
    }

    /// The unexpired leases of an election.
    pub(super) fn leases_of(&self, law_id: &ElectionId) -> Vec<Lease> {
        let now = Instant::now();
        let mut state = self.lock();
        state.until.retain(|_, until| *until > now);
        let of_election = state.until.iter().filter(|((law, ..), _)| law == law_id);
        let mut leases: Vec<_> = of_election
            .map(|((_, node, epoch), until)| Lease {
                node: *node,
                epoch: *epoch,
                remaining: *until - now,
            })
            .collect();
        leases.sort_by_key(|lease| (lease.node, lease.epoch));
        leases
    }

    /// Refuses further leases for an epoch.
    pub(super) fn fence(&self, key: Key) {
        self.lock().fenced.insert(key);
    }

    /// Grants or renews the leader lease, in a term of at least `at_least`; `None` when that is too
    /// far above the present term. The lease of the term `passed_over` does not last. `stored` is
    /// the highest term of a stored block. The first leader of an exclusive ledger may continue
    /// that term, since no other process can use the file; of a shared one it may not, since
    /// another node may have stated something in it.
    pub(super) fn acquire_leadership(
        &self,
        holder: &str,
        length: Duration,
        at_least: u64,
        passed_over: Option<u64>,
        stored: u64,
    ) -> Option<Leadership> {
        let now = Instant::now();
        let mut state = self.lock();
        let present = state.term.max(stored);
        let next = present.saturating_add(1).max(at_least);
        if at_least > present.saturating_add(TERM_STEP_MAX) || next > TERM_MAX {
            return None;
        }
        if passed_over == Some(state.term) {
            // Its holder has no term to continue.
            state.leader = None;
        }
        let continued = match &state.leader {
            Some((leader, until)) if leader != holder && *until > now => {
                return Some(Leadership::Following {
                    leader: leader.clone(),
                    term: state.term,
                    remaining: *until - now,
                });
            }
            // No other holder has led since, so the term stays, even if the lease had expired.
            Some((leader, _)) if leader == holder => Some(state.term),
            Some(_) => None,
            None => (!state.has_led && !state.is_shared).then_some(present.max(1)),
        };
        state.term = continued.filter(|term| *term >= at_least).unwrap_or(next);
        state.leader = Some((holder.to_owned(), now + length));
        state.has_led = true;
        Some(Leadership::Leading { term: state.term })
    }

    /// Whether a holder has the unexpired leader lease of a term.
    pub(super) fn leads(&self, holder: &str, term: u64) -> bool {
        let now = Instant::now();
        let state = self.lock();
        state.term == term
            && state.leader.as_ref().is_some_and(|(leader, until)| leader == holder && *until > now)
    }

    /// Releases the leader lease, if `holder` has it. Another holder then starts a new term.
    pub(super) fn release_leadership(&self, holder: &str) {
        let now = Instant::now();
        if let Some((leader, until)) = &mut self.lock().leader
            && leader == holder
        {
            *until = now;
        }
    }

    /// The term of the last leader, also of an earlier process; 0 when there was none.
    pub(super) fn term(&self) -> u64 {
        self.lock().term
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}
