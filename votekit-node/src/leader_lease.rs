//! Who seals: one of the nodes that may, for as long as it renews its lease in the ledger.
//!
//! The lease keeps nodes from working in vain. What keeps the log whole is the term: the ledger
//! refuses the blocks of an earlier one.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::metrics;
use crate::node::NodeContext;
use votekit_store::Leadership;

/// How long a leader that is gone is waited for. Two seconds let a new one seal within three.
const LEASE: Duration = Duration::from_secs(2);

/// How often the lease is renewed, or asked for.
const RENEW_EVERY: Duration = Duration::from_millis(400);

/// A lease that nobody else can take: the ledger belongs to this process.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// This node's part in leading.
#[derive(Debug)]
pub(crate) struct LeaderLease {
    /// The node's name, and a number that tells this life of it from others.
    holder: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The term, and until when it is certain that nobody else leads.
    term: Option<(u64, Instant)>,
    leader: Option<String>,
}

impl LeaderLease {
    /// Nobody leads yet. `life` tells this process from others of its name.
    pub(crate) fn new(name: &str, life: [u8; 4]) -> Self {
        let mut holder = format!("{name}/");
        for byte in life {
            let _ = write!(holder, "{byte:02x}");
        }
        Self { holder, state: Mutex::default() }
    }

    /// The term in which this node leads, if it does.
    pub(crate) fn term(&self) -> Option<u64> {
        self.lock().term.filter(|(_, until)| Instant::now() < *until).map(|(term, _)| term)
    }

    /// Who leads instead, as far as is known.
    pub(crate) fn other_leader(&self) -> Option<String> {
        self.lock().leader.clone()
    }

    /// Takes note that somebody else has begun a later term.
    pub(crate) fn lost(&self) {
        self.lock().term = None;
    }

    fn note(&self, asked: Instant, length: Duration, answer: Leadership) {
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
        metrics::leading(state.term.is_some());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the lead of a ledger that belongs to this process.
pub(crate) async fn take_for_ever(shared: &NodeContext) -> Result<(), votekit_store::EngineError> {
    let lead = &shared.lead;
    let answer = shared.ledger.lead(&lead.holder, FOR_EVER).await?;
    lead.note(Instant::now(), FOR_EVER, answer);
    Ok(())
}

/// Asks for the lead, and renews it, for as long as the node lives.
pub(crate) async fn run(shared: Arc<NodeContext>) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        ask(&shared).await;
    }
}

/// Asks for the lead, or for more of it.
pub(crate) async fn ask(shared: &NodeContext) {
    let lead = &shared.lead;
    let asked = Instant::now();
    match tokio::time::timeout(LEASE, shared.ledger.lead(&lead.holder, LEASE)).await {
        Ok(Ok(answer)) => lead.note(asked, LEASE, answer),
        // The lease runs out by itself.
        Ok(Err(error)) => tracing::warn!(%error, "the lead cannot be asked for"),
        Err(_) => tracing::warn!("the lead cannot be asked for: the ledger does not answer"),
    }
}

/// Gives the lead back, so that nobody waits for this node.
pub(crate) async fn resign(shared: &NodeContext) {
    let lead = &shared.lead;
    lead.lost();
    let resigned = tokio::time::timeout(LEASE, shared.ledger.resign(&lead.holder)).await;
    if let Ok(Err(error)) = resigned {
        tracing::warn!(%error, "the lead was not given back; it runs out by itself");
    }
}
