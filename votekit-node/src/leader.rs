//! The leader lease, as this node counts it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use votekit_store::Leadership;

use crate::metrics;

/// This node's part in leading.
#[derive(Debug)]
pub(crate) struct LeaderLease {
    /// The node's name and a number that is new at each start of the process.
    pub(crate) holder: String,
    state: Mutex<State>,
    /// The term in which this node leads; moves when that changes.
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

    /// Who leads instead, as far as is known.
    pub(crate) fn other_leader(&self) -> Option<String> {
        self.lock().leader.clone()
    }

    /// Records that another node has begun a later term.
    pub(crate) fn lost(&self) {
        self.lock().term = None;
        self.changes.send_replace(None);
    }

    /// Changes when this node begins or ceases to lead, as far as it was reported. That a lease ran
    /// out is not: see [`LeaderLease::term`].
    pub(crate) fn changes(&self) -> watch::Receiver<Option<u64>> {
        self.changes.subscribe()
    }

    pub(crate) fn record(&self, asked: Instant, length: Duration, answer: Leadership) {
        let mut state = self.lock();
        let led = state.term.map(|(term, _)| term);
        match answer {
            Leadership::Leading { term } => {
                if led != Some(term) {
                    tracing::info!(term, holder = self.holder, "this node leads");
                }
                state.leader = None;
                // The ledger counts from when it answers, which is later.
                state.term = Some((term, asked + length));
            }
            Leadership::Following { leader, .. } => {
                if led.is_some() || state.leader.as_ref() != Some(&leader) {
                    tracing::info!(leader, "another node leads");
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
        self.state.lock()
    }
}
