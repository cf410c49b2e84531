//! Time to the 202 and to the sealed decision at 1,000 votes a second, open loop: latency counts
//! from the intended send time.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::Workbench;
use super::node::{self, Node};
use super::row::Row;
use crate::project;
use crate::services::{self, Rig};

/// Votes a second, and the seconds of load.
const RATE: u64 = 1000;
const SECONDS: u64 = 20;

/// The targets of an engine: 95th percentiles in milliseconds.
struct Wanted {
    to_taken: f64,
    to_decision: f64,
}

/// The rows on the embedded engine.
pub(super) fn run(workbench: &Workbench) -> Result<Vec<Row>> {
    measure(workbench, Wanted { to_taken: 10.0, to_decision: 500.0 }, |hashes, data| {
        node::open_election(&workbench.votekit, hashes, data)?;
        Ok((Node::start(&workbench.votekit, data)?, None))
    })
}

/// The rows on servers, with one node of all roles.
pub(super) fn run_on_services(workbench: &Workbench) -> Result<Vec<Row>> {
    measure(workbench, Wanted { to_taken: 25.0, to_decision: 1000.0 }, |hashes, data| {
        let rig = services::start_for_a_run()?;
        let node = super::services::ready_node(workbench, &rig, hashes, data)?;
        Ok((node, Some(rig)))
    })
}

/// Sends votes to a new node in each run; `start` creates it from hashes and a data folder.
fn measure(
    workbench: &Workbench,
    wanted: Wanted,
    start: impl Fn(&Path, &Path) -> Result<(Node, Option<Rig>)>,
) -> Result<Vec<Row>> {
    let folder = &workbench.folder;
    let (roll, hashes) = node::hashed_roll(&workbench.votekit, 2 * RATE * SECONDS, folder)?;
    let mut figures: [Vec<f64>; 4] = Default::default();
    for number in 0..workbench.runs {
        let data = folder.join(format!("data-{number}"));
        let (node, rig) = start(&hashes, &data)?;
        let report = folder.join(format!("report-{number}.json"));
        let mut load = Command::new(&workbench.votekit);
        load.args(["loadtest", "--node", &node.url, "--roll"]).arg(&roll);
        let (rate, duration) = (RATE.to_string(), format!("{SECONDS}s"));
        load.args([
            "--rate",
            &rate,
            "--duration",
            &duration,
            "--follow",
            "5%",
            "--follow-interval",
            "5ms",
            "--report",
        ]);
        project::succeed(load.arg(&report).stdout(Stdio::null()).stderr(Stdio::null()))?;
        let report: serde_json::Value = serde_json::from_slice(&fs::read(&report)?)?;
        let read = |path: &str| {
            report
                .pointer(path)
                .and_then(serde_json::Value::as_f64)
                .with_context(|| format!("{path} in {report}"))
        };
        ensure!(
            read("/taken")? as u64 == RATE * SECONDS,
            "not every vote was answered 202: {report}"
        );
        for (figure, path) in figures.iter_mut().zip(PATHS) {
            figure.push(read(path)? / 1000.0);
        }
        node.stop()?;
        rig.map_or(Ok(()), Rig::end)?;
        fs::remove_dir_all(&data)?;
    }
    let [p95, p99, decision_p95, decision_p99] = figures;
    Ok(vec![
        Row::at_most(
            "latency: p95 to 202, ms",
            p95,
            wanted.to_taken,
            format!("{RATE} votes/s for {SECONDS} s, open loop"),
        ),
        Row::reported("latency: p99 to 202, ms", p99, String::new()),
        Row::at_most(
            "latency: p95 to decision, ms",
            decision_p95,
            wanted.to_decision,
            "asked every 5 ms".to_owned(),
        ),
        Row::reported("latency: p99 to decision, ms", decision_p99, String::new()),
    ])
}

/// JSON pointers into the report; the values are in microseconds.
const PATHS: [&str; 4] = [
    "/to_taken_us/p95",
    "/to_taken_us/p99",
    "/decisions/to_decision_us/p95",
    "/decisions/to_decision_us/p99",
];
