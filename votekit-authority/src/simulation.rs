//! Simulates several authorities, with crashes, partitions, and a ledger that loses answers and is
//! restored from an older copy. A seed determines a run, and repeats it exactly.
//!
//! A run uses the guards of [`crate::round`], the machine of [`crate::leader_election`], and for
//! each of 3 to 5 authorities a whole [`votekit_core::election_log::ElectionLog`] with 20 electors.
//! One or two ingest nodes stage batches. The ledger is in memory. Every message has its own delay;
//! some are lost or arrive much later; rows are read in any order, and some twice. Authorities
//! crash between any two writes, durable or to the ledger, and keep only their memory; they are
//! disconnected from the ledger; their clocks drift; leases end early. The ledger is restored from
//! an older copy at most once, when the memory of some authority contains all blocks certified
//! since that copy. A leader may propose one false block. In some runs an authority only acquires
//! and renews the lease, and the others do not vote for it.
//!
//! ```text
//! poll opens, votes, faults ──▶ faults end ──▶ closing, last batches, close ──▶ checks of the end
//!       └── checks after each step: Rule ──────────────┘
//! ```
//!
//! Left out: signatures (statements are typed values), suspicions for other reasons than a holder
//! of the lease that is not elected, retired epochs, more than one election, ingest leases and the
//! clocks of voters, authorities that lie beyond a false block and an idle lease, and a memory that
//! is lost or restored from an older copy.
//!
//! A [`Mutation`] removes one guard from every authority. The checks must detect each mutation
//! within a number of seeds; otherwise they are too weak.

mod random;
mod election;
mod row;
mod violation;
mod reference;
mod checks;
mod ledger;
mod scenario;
mod network;
mod environment;
mod memory;
mod readings;
mod authority;
mod ingest;
mod world;

use std::fmt;

pub use scenario::{Mutation, UnknownMutation};
pub use violation::{Rule, Violation};

use world::World;

/// The result of a run, with counts of its events.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// The guard that was removed.
    pub mutation: Option<Mutation>,
    /// Whether an authority held the lease without being elected.
    pub has_idle_holder: bool,
    /// The number of authorities.
    pub authorities: usize,
    /// How many of them had to agree.
    pub quorum: usize,
    /// Steps until the end.
    pub steps: u64,
    /// The height of the ledger at the end.
    pub height: u64,
    /// The number of terms that the ledger began.
    pub terms: u64,
    /// Blocks that a leader of a later term proposed again.
    pub proposed_again: u64,
    /// Suspicions of holders of the lease that are not elected.
    pub suspicions: u64,
    /// Crashes.
    pub crashes: u64,
    /// Partitions.
    pub cuts: u64,
    /// How many times the ledger was restored from an older copy.
    pub rollbacks: u64,
    /// False blocks proposed.
    pub false_blocks: u32,
    /// The rule that it broke, if any.
    pub violation: Option<Violation>,
    /// Its last events.
    pub schedule: Vec<String>,
}

/// Runs one seed, with a mutation or without.
#[must_use]
pub fn run(seed: u64, mutation: Option<Mutation>) -> Run {
    run_world(seed, World::new(seed, mutation, false))
}

/// Runs one seed with or without a mutation, and with an authority that acquires the lease whenever
/// it can and that no other authority votes for.
#[must_use]
pub fn run_with_idle_holder(seed: u64, mutation: Option<Mutation>) -> Run {
    run_world(seed, World::new(seed, mutation, true))
}

fn run_world(seed: u64, mut world: World) -> Run {
    world.run();
    let World { env, ledger, steps, crashes, cuts, rollbacks, .. } = world;
    let scenario = env.scenario;
    Run {
        seed,
        mutation: scenario.mutation,
        has_idle_holder: scenario.idle_holder.is_some(),
        authorities: scenario.quorum.authorities,
        quorum: scenario.quorum.quorum,
        steps,
        height: ledger.head().height,
        terms: ledger.term(),
        proposed_again: env.proposed_again,
        suspicions: env.suspicions,
        crashes,
        cuts,
        rollbacks,
        false_blocks: u32::from(scenario.faults.false_block) - env.false_blocks,
        violation: env.checks.violation,
        schedule: env.events.into(),
    }
}

/// The first of some seeds with which a mutation breaks a rule.
#[must_use]
pub fn find_violation(mutation: Mutation, mut seeds: impl Iterator<Item = u64>) -> Option<Run> {
    seeds.find_map(|seed| {
        let run = run(seed, Some(mutation));
        run.violation.is_some().then_some(run)
    })
}

impl Run {
    /// The command that repeats the run.
    #[must_use]
    pub fn repeat_command(&self) -> String {
        let command = "cargo run -p votekit-authority --example simulate --";
        let holder = if self.has_idle_holder { " --holder idle" } else { "" };
        let mutation = self.mutation.map(|mutation| format!(" --mutation {mutation}"));
        format!("{command} --seed {}{holder}{}", self.seed, mutation.unwrap_or_default())
    }
}

/// The broken rule, the schedule, and how to repeat the run.
impl fmt::Display for Run {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for event in &self.schedule {
            writeln!(formatter, "{event}")?;
        }
        let Self { seed, authorities, quorum, steps, height, terms, .. } = self;
        writeln!(
            formatter,
            "seed {seed}: {authorities} authorities, quorum {quorum}, {steps} steps, height \
             {height}, {terms} terms"
        )?;
        match &self.violation {
            Some(violation) => writeln!(formatter, "broken: {violation}")?,
            None => writeln!(formatter, "every rule was kept")?,
        }
        write!(formatter, "repeat: {}", self.repeat_command())
    }
}
