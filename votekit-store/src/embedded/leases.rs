//! Who may answer voters, and who leads, in one process: in memory, since whoever held a lease
//! ended with the process.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use votekit_core::id::{ElectionId, Epoch, NodeId};

use crate::{Leadership, Lease};

type Key = (ElectionId, NodeId, Epoch);

/// The leases of one process.
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
    /// Gives a lease, unless the epoch is fenced.
    pub(super) fn hold(&self, key: Key, length: Duration) -> bool {
        let mut state = self.lock();
        if state.fenced.contains(&key) {
            return false;
        }
        let until = Instant::now() + length;
        state.until.entry(key).and_modify(|known| *known = until.max(*known)).or_insert(until);
        true
    }

    /// Those of an election that last.
    pub(super) fn of(&self, law_id: &ElectionId) -> Vec<Lease> {
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

    /// Gives no lease to an epoch any more.
    pub(super) fn fence(&self, key: Key) {
        self.lock().fenced.insert(key);
    }

    /// Makes a holder the leader. `stored` is the highest term there is a block of: nobody else can
    /// have gone on with it, since this process holds the file.
    pub(super) fn lead(&self, holder: &str, length: Duration, stored: u64) -> Leadership {
        let now = Instant::now();
        let mut state = self.lock();
        match &state.leader {
            Some((leader, until)) if leader != holder && *until > now => {
                return Leadership::Following { leader: leader.clone(), remaining: *until - now };
            }
            Some((leader, _)) if leader == holder => {}
            Some(_) => state.term += 1,
            None => state.term = state.term.max(stored).max(1),
        }
        state.leader = Some((holder.to_owned(), now + length));
        Leadership::Leading { term: state.term }
    }

    /// Ends a holder's lead. The next one begins a new term.
    pub(super) fn resign(&self, holder: &str) {
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
