//! `cargo xtask byzantine`: three authorities in processes of their own, and every known lie and
//! manipulation once. Each must be refused by its name, with an alarm, and votes must be decided
//! again.
//!
//! ```text
//! run ─▶ cluster       three authorities, two nodes that take votes, voters (from chaos)
//!          ├─ case       what is played, in which order
//!          │    ├─ lie        one authority lies: the others' refusals, against the table
//!          │    │    └─ expected   lie ─▶ rule, and the verdict on the liar's report
//!          │    └─ intruder   a node that is not admitted, a batch of an unknown key
//!          ├─ table      a row a case
//!          └─ ending     the close, the bundle of every authority, the check (from chaos)
//! ```
//!
//! The cases that need no lie are shared with chaos: the ledger is restored from an older copy, and
//! rows are inserted and changed by hand.

mod expected;
mod table;
mod intruder;
mod lie;
mod case;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use self::case::Case;
use self::table::Row;
use crate::chaos::Profile;
use crate::chaos::authorities::{Cluster, Watch};
use crate::chaos::fleet::end_run;
use crate::chaos::load::{Load, LoadPlan};
use crate::chaos::member::Part;
use crate::chaos::tally::print_report;
use crate::project;
use crate::services::Rig;

/// Number of authorities: two are a quorum, so a single liar never has a quorum.
const AUTHORITIES: u64 = 3;

/// How long voters may send votes, in seconds: several times as long as a run takes.
const LOAD_SECONDS: u64 = 3_600;

/// Play every known lie and manipulation once against three authorities; each must be refused by
/// its name.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Play only this case; may be given several times.
    #[arg(long = "case", value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(case::names()))]
    cases: Vec<String>,
    /// Votes a second.
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u64).range(5..=50))]
    rate: u64,
    /// The seed of the voters.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The build profile of node and liar.
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,
    /// Run this votekit, and the votekit-liar beside it, instead of building them.
    #[arg(long, value_name = "FILE", conflicts_with = "profile")]
    votekit: Option<PathBuf>,
}

impl Arguments {
    /// The run as part of all checks: one lie about a decision, one about a round, and what is
    /// changed by hand.
    pub(crate) fn short() -> Self {
        let cases = ["accept-unregistered", "second-root", "ledger-rolled-back"];
        Self {
            cases: cases.map(str::to_owned).into(),
            rate: 25,
            seed: 1,
            profile: Profile::Dev,
            votekit: None,
        }
    }
}

/// Plays the cases, closes the poll, and checks what every authority publishes.
///
/// # Errors
/// When a case is not refused as expected, votes are not decided afterwards, or the check finds a
/// violation. The folder is then kept.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    // First of all: the guard of the servers runs this program's file, which the build may replace.
    let rig = crate::services::start_for_a_run()?;
    let (votekit, liar) =
        crate::chaos::programs_with_liar(arguments.votekit.as_deref(), arguments.profile)?;
    let liar = liar.context("there is no votekit-liar beside votekit")?;
    let folder = project::scratch("byzantine")?;
    let begun = Instant::now();
    let mut rows = Vec::new();
    let mut cluster = None;
    let programs = Programs { votekit, liar };
    let played = play(arguments, &programs, rig, &folder, &mut rows, &mut cluster);
    table::print(&rows);
    println!("byzantine: {} cases, {} s", rows.len(), begun.elapsed().as_secs());
    end_run(&folder, played, cluster.map(|cluster| cluster.fleet), false)
}

/// The programs under test.
struct Programs {
    votekit: PathBuf,
    liar: PathBuf,
}

fn play(
    arguments: &Arguments,
    programs: &Programs,
    rig: Rig,
    folder: &Path,
    rows: &mut Vec<Row>,
    kept: &mut Option<Cluster>,
) -> Result<()> {
    let liar = Some(programs.liar.clone());
    let cluster = kept.insert(Cluster::new(&programs.votekit, folder, rig, AUTHORITIES, liar)?);
    let load_plan = LoadPlan {
        seed: arguments.seed,
        votes_per_second: arguments.rate,
        duration_s: LOAD_SECONDS,
        wait: false,
    };
    cluster.open(&load_plan).context("preparing")?;
    let watch = Watch::start(folder, cluster.named_authorities())?;
    let voters = cluster.fleet.addresses(Part::Intake);
    let mut load = Load::start(&programs.votekit, folder, &voters, &load_plan)?;
    let loaded = Instant::now();
    cluster.fleet.recovers("the start")?;
    for (number, case) in case::chosen(&arguments.cases).iter().enumerate() {
        let row = play_case(cluster, case, number)?;
        println!("{row}");
        rows.push(row);
        ensure!(!load.is_over()?, "the voters are through with the roll");
    }
    cluster.close(load).context("the close")?;
    let report = cluster.check(watch.finish()?).context("the check")?;
    cluster.fleet.stop()?;
    report.violations.iter().take(10).for_each(|violation| println!("  {violation}"));
    print_report(&report, loaded.elapsed(), "");
    ensure!(report.violations.is_empty(), "{} violations", report.violations.len());
    let failed: Vec<&str> =
        rows.iter().filter(|row| !row.is_refused()).map(|row| row.case).collect();
    ensure!(failed.is_empty(), "not refused as expected: {}", failed.join(", "));
    Ok(())
}

/// Plays a case. If a case fails, the next cases still run, as long as all nodes work again.
fn play_case(cluster: &mut Cluster, case: &Case, number: usize) -> Result<Row> {
    match case.play(cluster, number) {
        Ok(row) => Ok(row),
        Err(error) => {
            let row = Row::failed(case.name, &error);
            cluster.restore().with_context(|| format!("after {}: {error:#}", case.name))?;
            Ok(row)
        }
    }
}
