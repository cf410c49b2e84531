//! Chaos with several nodes and their shared servers: Redis, RabbitMQ, PostgreSQL.
//!
//! ```text
//! run ─▶ installation   two nodes of each kind on one folder, one open election, voters
//!          ├─ fault        the kinds of faults, chosen at random in rounds
//!          ├─ trial        applies a fault, repairs it, waits for recovery
//!          └─ ending       a close that loses a node, and the check
//! ```
//!
//! A run has one election. Faults come one at a time: after each one the log must grow again, every
//! node must have read the new leaves, and both ingest nodes must accept votes.

mod installation;
mod ending;
mod fault;
mod trial;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use votekit_checker::Report;

use self::fault::Fault;
use self::installation::Installation;
use self::trial::Trial;
use super::fault::Chance;
use super::fleet::end_run;
use super::load::{Load, LoadPlan};
use super::member::Part;
use super::tally::print_report;
use crate::project;
use crate::services::Rig;

/// The plan of a run.
pub(super) struct Plan {
    /// The binary under test, which also generates the load.
    pub(super) votekit: PathBuf,
    pub(super) faults: u64,
    pub(super) seed: u64,
    pub(super) votes_per_second: u64,
    /// How long PostgreSQL is down once.
    pub(super) outage: Duration,
    /// Whether the folder of a run without a failure is kept.
    pub(super) keeps_folder: bool,
}

/// Runs one election under faults.
///
/// # Errors
/// When an invariant is violated, a node or the installation does not recover, or anything else
/// ends unexpectedly. The folder is then kept.
pub(super) fn run(plan: &Plan, rig: Rig) -> Result<()> {
    let folder = project::scratch("chaos-services")?;
    let begun = Instant::now();
    let mut tally = Tally::default();
    let mut installation = None;
    let played = play(plan, rig, &folder, &mut tally, &mut installation);
    tally.print(plan, begun.elapsed());
    let fleet = installation.map(|installation| installation.fleet);
    end_run(&folder, played, fleet, plan.keeps_folder)
}

fn play(
    plan: &Plan,
    rig: Rig,
    folder: &Path,
    tally: &mut Tally,
    kept: &mut Option<Installation>,
) -> Result<()> {
    let mut chance = Chance::new(plan.seed, 0);
    let load_plan = LoadPlan::for_faults(
        plan.faults,
        plan.outage.as_secs(),
        plan.votes_per_second,
        &mut chance,
    );
    let installation = kept
        .insert(Installation::open(&plan.votekit, folder, rig, &load_plan).context("preparing")?);
    let voters = installation.fleet.addresses(Part::Ingest);
    let mut load = Load::start(&plan.votekit, folder, &voters, &load_plan)?;
    let loaded = Instant::now();
    installation.fleet.recovers("the start")?;
    let faults = chance.rounds(&Fault::ALL, plan.faults, false);
    let outage_at = faults.len() / 2;
    for (number, fault) in faults.iter().enumerate() {
        if number == outage_at && !plan.outage.is_zero() {
            let trial = installation.outage(plan.outage).context("the outage")?;
            tally.outage(&trial);
        }
        std::thread::sleep(chance.milliseconds(100, 1_000));
        let index =
            usize::try_from(chance.between(0, installation.fleet.members.len() as u64 - 1))?;
        installation.see_checkpoint(index);
        let trial = installation
            .try_fault(*fault, &mut chance)
            .with_context(|| format!("fault {} ({fault})", number + 1))?;
        tally.fault(number + 1, *fault, &trial, installation.fleet.log_size());
        ensure!(
            !load.is_over()?,
            "the voters are through with the roll after {} faults: see {}",
            number + 1,
            folder.display()
        );
    }
    let printed = installation.close(load).context("the close")?;
    tally.loaded = loaded.elapsed();
    println!(
        "the close waited for a lost node and reported: {}",
        printed.lines().next().unwrap_or_default()
    );
    let report = installation.check().context("the check")?;
    tally.come_back = installation.refused_with_retry_after()?;
    tally.takeovers = std::mem::take(&mut installation.takeovers);
    let violations = report.violations.clone();
    tally.report = Some(report);
    violations.iter().take(10).for_each(|violation| println!("  {violation}"));
    installation.verify_and_recount().context("the check")?;
    ensure!(violations.is_empty(), "{} violations", violations.len());
    Ok(())
}

/// The results of a run.
#[derive(Default)]
struct Tally {
    faults: BTreeMap<Fault, (u64, Duration)>,
    outage: Option<Duration>,
    takeovers: Vec<Duration>,
    loaded: Duration,
    come_back: usize,
    report: Option<Report>,
}

impl Tally {
    fn fault(&mut self, number: usize, fault: Fault, trial: &Trial, leaves: u64) {
        let (count, longest) = self.faults.entry(fault).or_default();
        *count += 1;
        *longest = (*longest).max(trial.recovery);
        println!(
            "fault {number}: {fault} ({}): over after {:.1} s, {leaves} leaves",
            trial.description,
            trial.recovery.as_secs_f64()
        );
    }

    fn outage(&mut self, trial: &Trial) {
        self.outage = Some(trial.recovery);
        println!(
            "outage of PostgreSQL: {}: over after {:.1} s",
            trial.description,
            trial.recovery.as_secs_f64()
        );
    }

    fn print(&self, plan: &Plan, took: Duration) {
        let count: u64 = self.faults.values().map(|(count, _)| count).sum();
        println!(
            "{count} faults; each kind, how often, and the longest recovery once it was repaired:"
        );
        for (fault, (count, longest)) in &self.faults {
            println!("  {:<20} {count:>4} {:>7.1} s", fault.to_string(), longest.as_secs_f64());
        }
        if let Some(recovery) = self.outage {
            println!(
                "  {:<20} {:>4} {:>7.1} s",
                format!("{} s outage", plan.outage.as_secs()),
                1,
                recovery.as_secs_f64()
            );
        }
        if let Some(longest) = self.takeovers.iter().max() {
            let seconds = self.takeovers.iter().map(Duration::as_secs_f64).collect();
            let middle = crate::bench::median(seconds);
            let count = self.takeovers.len();
            println!(
                "leader killed {count} times: another sealed after {middle:.1} s (median), {:.1} s at the most",
                longest.as_secs_f64()
            );
        }
        if let Some(report) = &self.report {
            let notes = format!(", {} answered 503", self.come_back);
            print_report(report, self.loaded, &notes);
        }
        println!("chaos: seed {}, {} s", plan.seed, took.as_secs());
    }
}
