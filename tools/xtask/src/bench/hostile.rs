//! Honest votes during attacks, under the default limits: 10,000 busy connections, replays,
//! readers. No honest vote may be refused or unanswered; its latency is reported without and with
//! each attack.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::Workbench;
use super::node::{self, Node};
use super::row::Row;
use crate::project;

/// Honest votes a second, the seconds of load, and the source addresses: one address may use a
/// fifth of the rate.
const RATE: u64 = 800;
const SECONDS: u64 = 20;
const ADDRESSES: u64 = 8;

/// The attacks during the honest votes, as options of `votekit loadtest`.
const ATTACKS: [(&str, &[&str]); 4] = [
    ("alone", &[]),
    ("10,000 busy connections", &["--busy-connections", "10000", "--hostile-addresses", "10"]),
    ("replays from 12 addresses", &["--replay-connections", "120", "--hostile-addresses", "12"]),
    ("readers from 12 addresses", &["--reader-connections", "120", "--hostile-addresses", "12"]),
];

/// JSON pointers into the report; the values are in microseconds.
const QUANTILES: [(&str, &str); 3] =
    [("p50", "/to_taken_us/p50"), ("p95", "/to_taken_us/p95"), ("p99", "/to_taken_us/p99")];

/// Runs the benchmark: three rows for each attack.
pub(super) fn run(workbench: &Workbench) -> Result<Vec<Row>> {
    let folder = &workbench.folder;
    let (roll, hashes) = node::hashed_roll(&workbench.votekit, 2 * RATE * SECONDS, folder)?;
    let mut rows = Vec::new();
    for (attack, options) in ATTACKS {
        let mut figures: [Vec<f64>; QUANTILES.len()] = Default::default();
        for number in 0..workbench.runs {
            let data = folder.join(format!("data-{number}"));
            node::open_election(&workbench.votekit, &hashes, &data)?;
            let node = Node::start_with_limits(&workbench.votekit, &data)?;
            let report = measure(workbench, &node, &roll, options)
                .with_context(|| format!("beside {attack}"))?;
            for (figure, (_, path)) in figures.iter_mut().zip(QUANTILES) {
                let value = report.pointer(path).and_then(serde_json::Value::as_f64);
                figure.push(value.with_context(|| format!("{path} in {report}"))? / 1000.0);
            }
            node.stop()?;
            fs::remove_dir_all(&data)?;
        }
        for ((quantile, _), values) in QUANTILES.iter().zip(figures) {
            let detail = format!("{RATE} votes/s for {SECONDS} s, all answered 202; {attack}");
            rows.push(Row::reported(format!("hostile: {quantile} to 202, ms"), values, detail));
        }
    }
    Ok(rows)
}

fn measure(
    workbench: &Workbench,
    node: &Node,
    roll: &Path,
    attack: &[&str],
) -> Result<serde_json::Value> {
    let report = workbench.folder.join("report.json");
    // Each run writes its own report.
    let _ = fs::remove_file(&report);
    let mut load = Command::new(&workbench.votekit);
    load.args(["loadtest", "--node", &node.url, "--idempotency-keys", "--roll"]).arg(roll);
    load.args(["--rate", &RATE.to_string(), "--duration", &format!("{SECONDS}s")]);
    load.args(["--addresses", &ADDRESSES.to_string()]).args(attack).arg("--report").arg(&report);
    project::succeed(load.stdout(Stdio::null()).stderr(Stdio::null()))?;
    let report: serde_json::Value = serde_json::from_slice(&fs::read(&report)?)?;
    let answered = report.pointer("/taken").and_then(serde_json::Value::as_u64);
    ensure!(answered == Some(RATE * SECONDS), "not every vote was answered 202: {report}");
    Ok(report)
}
