//! The leases and the leader lease of one process. They are kept in memory, since every holder ends
//! with the process.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use votekit_core::id::{ElectionId, Epoch, NodeId};

use crate::{Leadership, Lease};

/// By how much a term may lie above the present one.
const TERM_STEP_MAX: u64 = 1000;

type Key = (ElectionId, NodeId, Epoch);

/// All leases of one process.
#[derive(Debug, Default)]
pub(super) struct LeaseTable(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    until: HashMap<Key, Instant>,
    fenced: HashSet<Key>,
    leader: Option<(String, Instant)>,
    term: u64,
}

impl LeaseTable {
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

    /// Grants or renews the leader lease. `stored` is the highest term of a stored block. The first
    /// leader may continue that term, since no other process can use the file. `None` when
    /// `at_least` lies too far ahead.
    pub(super) fn acquire_leadership(
        &self,
        holder: &str,
        length: Duration,
        stored: u64,
        at_least: u64,
    ) -> Option<Leadership> {
        let now = Instant::now();
        let mut state = self.lock();
        match &state.leader {
            Some((leader, until)) if leader != holder && *until > now => {
                return Some(Leadership::Following {
                    leader: leader.clone(),
                    term: state.term,
                    remaining: *until - now,
                });
            }
            _ => {}
        }
        let stored = state.term.max(stored);
        let term = match &state.leader {
            // No other holder led meanwhile, so the term stays, even if the lease had expired.
            Some((leader, _)) if leader == holder => state.term,
            Some(_) => state.term + 1,
            None => stored.max(1),
        };
        if at_least > stored.saturating_add(TERM_STEP_MAX) {
            return None;
        }
        state.term = term.max(at_least);
        state.leader = Some((holder.to_owned(), now + length));
        Some(Leadership::Leading { term: state.term })
    }

    /// Whether a holder has the lease of a term that is the present one.
    pub(super) fn is_leader(&self, holder: &str, term: u64) -> bool {
        let state = self.lock();
        state.term == term && state.leader.as_ref().is_some_and(|(leader, _)| leader == holder)
    }

    /// Ends the lease of the leader of a term, if it is the present one.
    pub(super) fn pass_over(&self, term: u64) {
        let mut state = self.lock();
        if state.term == term
            && let Some((_, until)) = &mut state.leader
        {
            *until = Instant::now();
        }
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

    /// The term of the last leader; 0 when there was none.
    pub(super) fn term(&self) -> u64 {
        self.lock().term
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}
