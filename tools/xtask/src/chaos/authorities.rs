//! Chaos with several authorities: each in its own process, with its own data folder and memory.
//!
//! ```text
//! run ─▶ cluster    the authorities, two nodes that take votes, one open election
//!          ├─ fault     the kinds of faults, chosen at random in rounds
//!          ├─ trial     applies a fault, and measures until votes are decided again
//!          │    ├─ by_hand   PostgreSQL restored from an older copy, rows inserted and changed
//!          │    └─ liar      one authority proposes a false block
//!          ├─ watch     keeps every checkpoint that an authority ever publishes
//!          └─ ending    the close, the bundle of every authority, the check
//! ```
//!
//! All statements of the authorities pass the ledger: a cut wire between one of them and PostgreSQL
//! is a partition. A run has one election. At its end every checkpoint that was ever published must
//! fit the final log and carry the quorum, whichever authority published it.

mod cluster;
mod by_hand;
mod ending;
mod fault;
mod liar;
mod trial;
mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use votekit_checker::Report;

use self::trial::Trial;
use super::fault::Chance;
use super::fleet::end_run;
use super::load::{Load, LoadPlan};
use super::member::Part;
use super::tally::print_report;
use crate::project;
use crate::services::Rig;

pub(crate) use self::by_hand::ByHand;
pub(crate) use self::cluster::{Cluster, member};
pub(crate) use self::fault::Fault;
pub(crate) use self::watch::Watch;

/// The plan of a run.
pub(super) struct Plan {
    /// The binary under test, which also generates the load.
    pub(super) votekit: PathBuf,
    /// The authority that lies; without it no fault is a lie.
    pub(super) liar: Option<PathBuf>,
    /// The library that bends clocks; without it no clock jumps.
    pub(super) clock: Option<PathBuf>,
    pub(super) authorities: u64,
    pub(super) faults: u64,
    pub(super) seed: u64,
    pub(super) votes_per_second: u64,
    /// The only kinds of faults; empty: all of them.
    pub(super) only: Vec<Fault>,
    /// Whether the folder of a run without a failure is kept.
    pub(super) keeps_folder: bool,
}

impl Plan {
    /// The kinds of faults of this run.
    fn kinds(&self) -> Result<Vec<Fault>> {
        let mut kinds = Fault::kinds(self.liar.is_some(), self.clock.is_some());
        if let Some(missing) = self.only.iter().find(|fault| !kinds.contains(fault)) {
            bail!("--fault: '{missing}' needs a tool that this machine or this build lacks");
        }
        kinds.retain(|fault| self.only.is_empty() || self.only.contains(fault));
        Ok(kinds)
    }
}

/// Runs one election under faults.
///
/// # Errors
/// When an invariant is violated, a node or the installation does not recover, or anything else
/// ends unexpectedly. The folder is then kept.
pub(super) fn run(plan: &Plan, rig: Rig) -> Result<()> {
    let folder = project::scratch("chaos-authorities")?;
    let begun = Instant::now();
    let mut tally = Tally::default();
    let mut kept = None;
    let played = play(plan, rig, &folder, &mut tally, &mut kept);
    tally.print(plan, begun.elapsed());
    end_run(&folder, played, kept.map(|cluster| cluster.fleet), plan.keeps_folder)
}

fn play(
    plan: &Plan,
    rig: Rig,
    folder: &Path,
    tally: &mut Tally,
    kept: &mut Option<Cluster>,
) -> Result<()> {
    let kinds = plan.kinds()?;
    let mut chance = Chance::new(plan.seed, 0);
    let load_plan = LoadPlan::for_faults(plan.faults, 0, plan.votes_per_second, &mut chance);
    let cluster =
        kept.insert(Cluster::new(&plan.votekit, folder, rig, plan.authorities, plan.liar.clone())?);
    cluster.clock.clone_from(&plan.clock);
    cluster.open(&load_plan).context("preparing")?;
    let voters = cluster.fleet.addresses(Part::Intake);
    let watch = Watch::start(folder, cluster.named_authorities())?;
    let mut load = Load::start(&plan.votekit, folder, &voters, &load_plan)?;
    let loaded = Instant::now();
    cluster.fleet.recovers("the start")?;
    for (number, fault) in chance.rounds(&kinds, plan.faults, true).into_iter().enumerate() {
        std::thread::sleep(chance.milliseconds(100, 1_000));
        let trial = cluster
            .try_fault(fault, &mut chance)
            .with_context(|| format!("fault {} ({fault})", number + 1))?;
        tally.fault(number + 1, fault, &trial, cluster.fleet.log_size());
        ensure!(
            !load.is_over()?,
            "the voters are through with the roll after {} faults: see {}",
            number + 1,
            folder.display()
        );
    }
    cluster.close(load).context("the close")?;
    tally.loaded = loaded.elapsed();
    let seen = watch.finish()?;
    let report = cluster.check(seen).context("the check")?;
    cluster.fleet.stop()?;
    report.violations.iter().take(10).for_each(|violation| println!("  {violation}"));
    let violations = report.violations.len();
    tally.report = Some(report);
    ensure!(violations == 0, "{violations} violations");
    Ok(())
}

/// The results of a run.
#[derive(Default)]
struct Tally {
    faults: BTreeMap<Fault, Vec<Trial>>,
    loaded: Duration,
    report: Option<Report>,
}

impl Tally {
    fn fault(&mut self, number: usize, fault: Fault, trial: &Trial, leaves: u64) {
        println!(
            "fault {number}: {fault} ({}): votes decided again after {:.1} s, all nodes {:.1} s \
             after the repair, {leaves} leaves",
            trial.description,
            trial.decided_again.as_secs_f64(),
            trial.recovery.as_secs_f64()
        );
        self.faults.entry(fault).or_default().push(trial.clone());
    }

    fn print(&self, plan: &Plan, took: Duration) {
        let count: usize = self.faults.values().map(Vec::len).sum();
        println!(
            "{count} faults with {} authorities; each kind, how often, seconds from the fault until \
             votes were decided again, and from the repair until every node had read them:",
            plan.authorities
        );
        println!(
            "  {:<20} {:>5} {:>9} {:>7} {:>9} {:>7}",
            "fault", "count", "decided", "worst", "repaired", "worst"
        );
        for (fault, trials) in &self.faults {
            let [decided, worst] = median_and_worst(trials, |trial| trial.decided_again);
            let [repaired, longest] = median_and_worst(trials, |trial| trial.recovery);
            println!(
                "  {:<20} {:>5} {decided:>9.1} {worst:>7.1} {repaired:>9.1} {longest:>7.1}",
                fault.to_string(),
                trials.len()
            );
        }
        if let Some(report) = &self.report {
            print_report(report, self.loaded, "");
        }
        println!("chaos: seed {}, {} s", plan.seed, took.as_secs());
    }
}

/// In seconds.
fn median_and_worst(trials: &[Trial], time: impl Fn(&Trial) -> Duration) -> [f64; 2] {
    let seconds: Vec<f64> = trials.iter().map(|trial| time(trial).as_secs_f64()).collect();
    let worst = seconds.iter().copied().fold(0.0, f64::max);
    [crate::bench::median(seconds), worst]
}
