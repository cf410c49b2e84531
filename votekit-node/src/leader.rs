//! The state of the leader lease on this node.

use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use votekit_store::Leadership;

use crate::metrics;

/// This node's view of the leader lease.
#[derive(Debug)]
pub(crate) struct LeaderLease {
    /// The node's name and a number that differs at each start of the process.
    pub(crate) holder: String,
    state: Mutex<State>,
    /// The term in which this node leads; receivers are notified of each change.
    changes: watch::Sender<Option<u64>>,
}

#[derive(Debug, Default)]
struct State {
    /// The term, and the instant until which no other node can lead.
    term: Option<(u64, Instant)>,
    leader: Option<String>,
}

impl LeaderLease {
    /// A lease that is not held. `life` is a random number of this process, so that a restarted
    /// node is not taken for its predecessor.
    pub(crate) fn new(name: &str, life: [u8; 4]) -> Self {
        let mut holder = format!("{name}/");
        for byte in life {
            let _ = write!(holder, "{byte:02x}");
        }
        Self { holder, state: Mutex::default(), changes: watch::Sender::new(None) }
    }

    /// The term in which this node leads, if it does.
    pub(crate) fn term(&self) -> Option<u64> {
        self.lock().term.filter(|(_, until)| Instant::now() < *until).map(|(term, _)| term)
    }

    /// The other node that leads, if known.
    pub(crate) fn other_leader(&self) -> Option<String> {
        self.lock().leader.clone()
    }

    /// Clears the term: another node has begun a later one, or this node resigns.
    pub(crate) fn lost(&self) {
        self.lock().term = None;
        self.changes.send_replace(None);
    }

    /// Notifies when this node is recorded to begin or to cease leading. An expired lease does not
    /// notify: see [`LeaderLease::term`].
    pub(crate) fn changes(&self) -> watch::Receiver<Option<u64>> {
        self.changes.subscribe()
    }

    pub(crate) fn record(&self, asked: Instant, length: Duration, answer: Leadership) {
        let mut state = self.lock();
        let led = state.term.map(|(term, _)| term);
        match answer {
            Leadership::Leading { term } => {
                if led != Some(term) {
                    tracing::info!(
                        event = "leadership_acquired",
                        term,
                        leader = self.holder,
                        "this node leads"
                    );
                }
                state.leader = None;
                // The ledger counts from its answer, which is later, so this node stops first.
                state.term = Some((term, asked + length));
            }
            Leadership::Following { leader, .. } => {
                if led.is_some() || state.leader.as_ref() != Some(&leader) {
                    tracing::info!(event = "leader_changed", leader, "another node leads");
                }
                state.leader = Some(leader);
                state.term = None;
            }
        }
        let term = state.term.map(|(term, _)| term);
        metrics::leading(term.is_some());
        self.changes.send_if_modified(|known| std::mem::replace(known, term) != term);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
