//! Health and gauges: the report of a node about itself, for load balancers and monitoring.

use std::sync::Arc;
use std::time::Duration;

use votekit_core::authority::AuthorityStatus;
use votekit_core::election::{ResultsPolicy, State};
use votekit_core::id::ElectionId;
use votekit_core::log::note::KeyName;
use votekit_store::EngineError;

use crate::config::Role;
use crate::context::NodeContext;
use crate::election::ElectionHandle;
use crate::failure::NodeFailure;
use crate::node::Node;
use crate::status_report::is_silent;
use crate::watch;

/// The state of a node and of its dependencies.
#[derive(Debug, Clone)]
pub struct Health {
    /// Whether votes are accepted.
    pub healthy: bool,
    /// Each dependency, and its fault.
    pub dependencies: Vec<DependencyHealth>,
    /// Votes issued by this node and not yet decided.
    pub votes_pending: u64,
}

/// The state of one dependency.
#[derive(Debug, Clone)]
pub struct DependencyHealth {
    /// `ledger`, `ballot box`, `registry`, `node`, `clock`; `election` and its law id where a fault
    /// halted one.
    pub name: String,
    /// The fault; `None` if it works.
    pub fault: Option<DependencyFault>,
}

/// The fault of a dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
// Exhaustive: the edges have a sentence for each variant.
pub enum DependencyFault {
    /// An engine failed its ping.
    Engine(EngineError),
    /// An engine did not answer its ping in time.
    NoAnswer,
    /// The node has failed and stops.
    Failed(NodeFailure),
    /// The node takes votes, and this open election does not admit it.
    NotAdmitted {
        /// The election.
        law_id: ElectionId,
    },
    /// The clock went back so far that no vote is accepted.
    ClockStepped {
        /// The election with the latest time.
        law_id: ElectionId,
        /// By how many seconds the clock is before that time.
        seconds: u64,
    },
    /// A fault halted the election on this node.
    Halted {
        /// The reason.
        reason: String,
    },
}

/// Numbers for gauges.
#[derive(Debug, Clone, Default)]
pub struct Gauges {
    /// Votes issued by this node and not yet decided.
    pub votes_pending: u64,
    /// Elections that a fault halted here.
    pub elections_halted: u64,
    /// How far the clock is behind the latest time it issued or sealed.
    pub clock_behind: Duration,
    /// The number of seconds by which the clock is ahead of the ledger's, negative if it is behind;
    /// `None` if the ledger belongs to this node only, or was not queried yet.
    pub clock_offset_seconds: Option<f64>,
    /// The statuses of the authorities, as this node has read them; empty if there is one
    /// authority.
    pub authorities: Vec<AuthorityGauges>,
    /// Free bytes in the file system of the data folder, and its size, where known.
    pub data_bytes: Option<(u64, u64)>,
    /// Pairs of address prefix and NAS with wrong codes that the throttle remembers.
    pub throttle_pairs: u64,
    /// The gauges of each election.
    pub elections: Vec<ElectionGauges>,
}

/// Gauges of one of several authorities.
#[derive(Debug, Clone)]
pub struct AuthorityGauges {
    /// Its name.
    pub name: String,
    /// Whether it has reported within the last 15 seconds.
    pub is_up: bool,
    /// By how many seconds its clock is ahead of the ledger's, by its last report.
    pub clock_offset_seconds: Option<f64>,
    /// Elections that a fault halted on it, by its last report.
    pub elections_halted: Option<u64>,
}

/// Gauges of one election.
#[derive(Debug, Clone)]
pub struct ElectionGauges {
    /// The election.
    pub law_id: ElectionId,
    /// Votes waiting for their batch.
    pub queue_depth: u64,
    /// Height of the last block.
    pub block_height: u64,
    /// Leaves in the log.
    pub log_size: u64,
    /// The time of the last checkpoint, in unix seconds.
    pub checkpoint_at: u64,
    /// Counts by choice, where the policy shows them to everyone.
    pub votes_by_choice: Vec<(String, u64)>,
}

/// Timeout for the ping of a dependency.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

async fn fault_of(ping: impl Future<Output = Result<(), EngineError>>) -> Option<DependencyFault> {
    match tokio::time::timeout(PING_TIMEOUT, ping).await {
        Ok(pinged) => pinged.err().map(DependencyFault::Engine),
        Err(_) => Some(DependencyFault::NoAnswer),
    }
}

impl Node {
    /// Returns the state of this node and of its dependencies.
    pub async fn health(&self) -> Health {
        let NodeContext { ledger, ballot_box, registry, .. } = &*self.context;
        let (ledger, ballot_box, registry) = tokio::join!(
            fault_of(ledger.ping()),
            fault_of(ballot_box.ping()),
            fault_of(registry.ping())
        );
        let failed = self.failure().map(DependencyFault::Failed);
        let (node, clock) = (failed.or_else(|| self.not_admitted()), self.clock_stepped());
        let (elections, damaged) = (self.context.elections(), self.context.damaged_elections());
        let is_open = |election: &&Arc<ElectionHandle>| election.committed().state() == State::Open;
        let (halted, taking): (Vec<_>, Vec<_>) =
            elections.iter().filter(is_open).partition(|election| election.halted().is_some());
        // A halted election must not turn away the voters of another election. It is not known
        // whether an election whose log cannot be read is open.
        let all_halted = taking.is_empty() && !(halted.is_empty() && damaged.is_empty());
        // Without the registry votes are still accepted and decided.
        let healthy = !all_halted
            && [&ledger, &ballot_box, &node, &clock].iter().all(|fault| fault.is_none());
        let mut dependencies = [
            ("ledger", ledger),
            ("ballot box", ballot_box),
            ("registry", registry),
            ("node", node),
            ("clock", clock),
        ]
        .map(|(name, fault)| DependencyHealth { name: name.to_owned(), fault })
        .to_vec();
        let halted = |law_id: &ElectionId, reason: &str| DependencyHealth {
            name: format!("election {law_id}"),
            fault: Some(DependencyFault::Halted { reason: reason.to_owned() }),
        };
        let read = elections.iter();
        dependencies.extend(read.filter_map(|one| Some(halted(one.law_id(), one.halted()?))));
        dependencies.extend(damaged.iter().map(|one| halted(one.law_id(), one.reason())));
        Health { healthy, dependencies, votes_pending: self.context.pending.len() as u64 }
    }

    /// The reason for which no vote is accepted, if the clock went back too far.
    fn clock_stepped(&self) -> Option<DependencyFault> {
        let (law_id, stepped) = watch::stepped(&self.context)?;
        Some(DependencyFault::ClockStepped { law_id, seconds: stepped.by.div_ceil(1000) })
    }

    /// The reason for which an ingest node would refuse votes, if an open election does not admit
    /// it.
    fn not_admitted(&self) -> Option<DependencyFault> {
        let lacking = |election: &Arc<ElectionHandle>| {
            let committed = election.committed();
            committed.state() == State::Open && !committed.admits_this_node
        };
        let election = self
            .context
            .has(Role::Ingest)
            .then(|| self.context.elections().into_iter().find(lacking))??;
        Some(DependencyFault::NotAdmitted { law_id: election.law_id().clone() })
    }

    /// Returns the numbers for gauges.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        let elections = self.context.elections().into_iter().map(|election| {
            let committed = election.committed();
            // The choices of a draft are not announced yet.
            let shown = committed.state() >= State::Closed
                || (committed.state() != State::Draft
                    && committed.results.definition.results == ResultsPolicy::Live);
            let counts =
                committed.results.definition.choices.iter().zip(&committed.results.counts.choices);
            ElectionGauges {
                law_id: election.law_id().clone(),
                queue_depth: (election.intake.max_capacity() - election.intake.capacity()) as u64,
                block_height: committed.height,
                log_size: committed.size(),
                checkpoint_at: committed.results.updated_at.0,
                votes_by_choice: counts
                    .filter(|_| shown)
                    .map(|(choice, count)| (choice.id.to_string(), *count))
                    .collect(),
            }
        });
        let halted =
            self.context.elections().iter().filter(|election| election.halted().is_some()).count();
        Gauges {
            votes_pending: self.context.pending.len() as u64,
            elections_halted: (halted + self.context.damaged_elections().len()) as u64,
            clock_behind: self.context.observed.clock_behind(),
            clock_offset_seconds: self.context.observed.clock_offset().map(seconds),
            authorities: self.authority_gauges(),
            data_bytes: self.context.observed.space().map(|space| (space.free, space.size)),
            throttle_pairs: self.context.throttle.pairs() as u64,
            elections: elections.collect(),
        }
    }

    fn authority_gauges(&self) -> Vec<AuthorityGauges> {
        let Some(set) = &self.context.authorities else { return Vec::new() };
        let (statuses, now) =
            (self.context.observed.statuses(), self.context.observed.ledger_time());
        let gauges = |name: &KeyName| {
            let status = statuses.iter().find(|status| status.authority == *name);
            let halted = |status: &AuthorityStatus| {
                status.elections.iter().filter(|election| election.is_halted).count() as u64
            };
            AuthorityGauges {
                name: name.to_string(),
                is_up: status
                    .zip(now)
                    .is_some_and(|(status, now)| !is_silent(status, now.seconds())),
                clock_offset_seconds: status.map(|status| seconds(status.clock_offset)),
                elections_halted: status.map(halted),
            }
        };
        set.members().iter().map(|member| gauges(&member.name)).collect()
    }
}

fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}
