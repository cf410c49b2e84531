//! The plan of an open-loop run: what [`open_loop`](crate::open_loop) sends, and how.

use std::path::PathBuf;
use std::time::Duration;

use crate::ballot_mix::BallotMix;
use crate::error::LoadError;
use crate::hostile::{ADDRESSES_MAX, HostilePlan};
use crate::http_client::NodeUrl;
use crate::live::LivePlan;
use crate::schedule::Schedule;
use crate::share::Share;

/// The plan of an open-loop run.
#[derive(Debug, Clone)]
pub struct OpenLoopPlan {
    /// The nodes; connections are distributed among them. Not empty.
    pub nodes: Vec<NodeUrl>,
    /// The intended send times.
    pub schedule: Schedule,
    /// Number of keep-alive connections, over all threads.
    pub connections: usize,
    /// The number of loopback source addresses (from 127.2.0.1) that the connections use
    /// round-robin, as if voters came from as many networks; 0: one address, chosen by the system.
    pub addresses: u32,
    /// Threads that run the connections.
    pub threads: usize,
    /// Timeout from sending a vote to its complete answer.
    pub timeout: Duration,
    /// After the last intended send time, votes still waiting for a connection are sent for this
    /// long; the rest count as unsent.
    pub drain: Duration,
    /// `Prefer: wait=N`, in seconds: the node answers with the decision (200), or when the time is
    /// over (202).
    pub wait_s: Option<u32>,
    /// Whether each vote carries an `Idempotency-Key`.
    pub idempotency_keys: bool,
    /// Whether a vote without an answer, or with an answer that asks to retry (408, 429, 503), is
    /// retried under its key, until it is answered or the drain is over. The run then survives the
    /// crash and restart of a node. Requires `idempotency_keys`.
    pub retry: bool,
    /// Share of the taken votes to send once more under their key, like voters who missed the
    /// answer. Requires `idempotency_keys`.
    pub resend: Share,
    /// Share of the votes to follow to their decision by polling.
    pub follow: Share,
    /// Pause between two polls of a followed vote.
    pub follow_interval: Duration,
    /// Maximum time a followed vote may stay pending.
    pub follow_patience: Duration,
    /// The journal file, which must not exist.
    pub journal: Option<PathBuf>,
    /// The hostile load in addition to the votes.
    pub hostile: HostilePlan,
    /// The readers of live updates in addition to the votes, at the first node.
    pub live: LivePlan,
    /// Certificate authorities (PEM) to trust in addition to the system's, for https.
    pub tls_ca_pem: Option<Vec<u8>>,
}

impl OpenLoopPlan {
    /// A plan with 64 connections on one thread, a timeout of 10 s for each vote, and nothing else.
    #[must_use]
    pub fn new(nodes: Vec<NodeUrl>, schedule: Schedule) -> Self {
        Self {
            nodes,
            schedule,
            connections: 64,
            addresses: 0,
            threads: 1,
            timeout: Duration::from_secs(10),
            drain: Duration::from_secs(10),
            wait_s: None,
            idempotency_keys: false,
            retry: false,
            resend: Share::NONE,
            follow: Share::NONE,
            follow_interval: Duration::from_millis(20),
            follow_patience: Duration::from_secs(30),
            journal: None,
            hostile: HostilePlan::default(),
            live: LivePlan::default(),
            tls_ca_pem: None,
        }
    }

    /// Refuses a plan that cannot be run with the votes of `mix`.
    pub(crate) fn check(&self, mix: &BallotMix) -> Result<(), LoadError> {
        let refused =
            |option, problem: &str| Err(LoadError::Plan { option, problem: problem.to_owned() });
        if self.nodes.is_empty() {
            return refused("--node", "at least one is needed");
        }
        if !(1..=50_000).contains(&self.connections) {
            return refused("--connections", "expected 1 to 50000");
        }
        if !(1..=64).contains(&self.threads) || self.threads > self.connections {
            return refused("--threads", "expected 1 to 64, and no more than connections");
        }
        if (self.retry || self.resend > Share::NONE) && !self.idempotency_keys {
            return refused(
                "--retry and --resend",
                "they require --idempotency-keys: without a key, a resend is another vote",
            );
        }
        if self.addresses > ADDRESSES_MAX {
            return refused("--addresses", "expected at most 65000");
        }
        mix.check_capacity(self.schedule.total())
    }
}
