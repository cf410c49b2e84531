//! Several authorities against one: the same load of votes, with the same processes around it.
//!
//! One process takes votes, in every installation; each authority is a further process. Everything
//! runs on this machine: the generator, the nodes and the servers share its processors, so that the
//! figures compare installations, and say little about an installation with a machine for each
//! authority.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::Workbench;
use super::installation::Installation;
use super::node;
use super::row::Row;
use crate::project;
use crate::services::{self, Rig};

/// The numbers of authorities that are compared.
const AUTHORITIES: [usize; 3] = [1, 3, 4];

/// Votes a second, and the seconds of load.
const RATE: u64 = 1000;
const SECONDS: u64 = 20;

/// How long PostgreSQL may delay the counts of a connection.
const COUNTS_DELAY: Duration = Duration::from_secs(3);

/// Upper bound for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(120);

/// The figures of a run, with the JSON pointers of those that the generator reports, in
/// microseconds.
const FIGURES: [(&str, Option<&str>); 8] = [
    ("p50 to 202, ms", Some("/to_taken_us/p50")),
    ("p95 to 202, ms", Some("/to_taken_us/p95")),
    ("p50 to decision, ms", Some("/decisions/to_decision_us/p50")),
    ("p95 to decision, ms", Some("/decisions/to_decision_us/p95")),
    ("processor a vote, µs", None),
    ("blocks", None),
    ("statements a block", None),
    ("transactions a block", None),
];

/// The counts in the ledger.
struct Counts {
    blocks: f64,
    /// Signed statements and proposals of authorities, those that were removed since too.
    statements: f64,
    transactions: f64,
}

/// The rows, for each number of authorities.
pub(super) fn run(workbench: &Workbench) -> Result<Vec<Row>> {
    let folder = &workbench.folder;
    let (roll, hashes) = node::hashed_roll(&workbench.votekit, 2 * RATE * SECONDS, folder)?;
    let mut rows = Vec::new();
    for count in AUTHORITIES {
        let mut values: [Vec<f64>; FIGURES.len()] = Default::default();
        for number in 0..workbench.runs {
            let run_folder = folder.join(format!("authorities-{count}-{number}"));
            fs::create_dir(&run_folder)?;
            let rig = services::start_for_a_run()?;
            let installation =
                Installation::start(&workbench.votekit, &run_folder, rig.site(), count)?;
            installation.open_poll(&hashes)?;
            let figures = measure(workbench, &installation, &rig, &roll)?;
            for (values, figure) in values.iter_mut().zip(figures) {
                values.push(figure);
            }
            installation.stop()?;
            rig.end()?;
            fs::remove_dir_all(&run_folder)?;
        }
        for ((figure, _), values) in FIGURES.iter().zip(values) {
            let detail = format!("{RATE} votes/s for {SECONDS} s");
            rows.push(Row::reported(format!("{count} authorities: {figure}"), values, detail));
        }
    }
    Ok(rows)
}

/// One run: the values of [`FIGURES`].
fn measure(
    workbench: &Workbench,
    installation: &Installation,
    rig: &Rig,
    roll: &Path,
) -> Result<[f64; FIGURES.len()]> {
    let report = workbench.folder.join("report.json");
    std::thread::sleep(COUNTS_DELAY);
    let (before, used_before) = (counts(rig)?, installation.processor_seconds()?);
    let mut load = Command::new(&workbench.votekit);
    load.args(["loadtest", "--node", &installation.intake.url, "--roll"]).arg(roll);
    let (rate, duration) = (RATE.to_string(), format!("{SECONDS}s"));
    load.args(["--rate", &rate, "--duration", &duration, "--follow", "5%"]);
    load.args(["--follow-interval", "5ms", "--report"]).arg(&report);
    project::succeed(load.stdout(Stdio::null()))?;
    let begun = Instant::now();
    while installation.intake.decided()? < RATE * SECONDS {
        ensure!(begun.elapsed() < WAIT_TIMEOUT, "not every vote is decided");
        std::thread::sleep(Duration::from_millis(10));
    }
    let used = installation.processor_seconds()? - used_before;
    std::thread::sleep(COUNTS_DELAY);
    let after = counts(rig)?;
    let read = fs::read(&report)?;
    // The generator of the next run never overwrites a file.
    fs::remove_file(&report)?;
    let report: serde_json::Value = serde_json::from_slice(&read)?;
    let read = |path: &str| {
        let value = report.pointer(path).and_then(serde_json::Value::as_f64);
        value.with_context(|| format!("{path} in {report}"))
    };
    ensure!(read("/taken")? as u64 == RATE * SECONDS, "not every vote was answered 202: {report}");
    let blocks = after.blocks - before.blocks;
    let mut figures = [0.0; FIGURES.len()];
    for (figure, (_, path)) in figures.iter_mut().zip(FIGURES) {
        if let Some(path) = path {
            *figure = read(path)? / 1000.0;
        }
    }
    figures[4] = used * 1e6 / (RATE * SECONDS) as f64;
    figures[5] = blocks;
    figures[6] = (after.statements - before.statements) / blocks;
    figures[7] = (after.transactions - before.transactions) / blocks;
    Ok(figures)
}

fn counts(rig: &Rig) -> Result<Counts> {
    let number = |sql: &str| -> Result<f64> {
        let rows = rig.ask_postgresql(sql)?;
        let number = rows.first().and_then(|row| row.parse().ok());
        number.with_context(|| format!("{rows:?} is not a number: {sql}"))
    };
    Ok(Counts {
        blocks: number("select count(*) from votekit.block")?,
        statements: number(
            "select coalesce(sum(n_tup_ins), 0) from pg_stat_user_tables \
             where schemaname = 'votekit' and relname = 'round_row'",
        )?,
        transactions: number("select sum(xact_commit + xact_rollback) from pg_stat_database")?,
    })
}
