//! 5,000 readers of live results during 1,000 votes a second: the latency of the votes with and
//! without them, the memory of a reader, and the time from a decision to the last reader.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Workbench;
use super::node::{self, Node};
use super::row::Row;
use crate::project;

/// Votes a second, the seconds of load, and their source addresses: one address may use a fifth of
/// the rate.
const RATE: u64 = 1000;
const SECONDS: u64 = 20;
const ADDRESSES: u64 = 8;

/// The number of readers, and of the addresses from which they connect: one address may use only a
/// share of the connections.
const READERS: u64 = 5000;
const READER_ADDRESSES: u64 = 100;

/// The figures of all runs, in milliseconds but for the memory.
#[derive(Default)]
struct Figures {
    alone_p50: Vec<f64>,
    alone_p99: Vec<f64>,
    beside_p50: Vec<f64>,
    beside_p99: Vec<f64>,
    spread_max: Vec<f64>,
    lag_p50: Vec<f64>,
    lag_max: Vec<f64>,
    reader_kib: Vec<f64>,
}

/// Runs the benchmark. Each pair of runs uses new nodes with the default limits.
pub(super) fn run(workbench: &Workbench) -> Result<Vec<Row>> {
    let (roll, hashes) =
        node::hashed_roll(&workbench.votekit, 2 * RATE * SECONDS, &workbench.folder)?;
    let mut figures = Figures::default();
    for number in 0..workbench.runs {
        let (alone, without) = measure(workbench, &roll, &hashes, number, 0)?;
        let (beside, with) = measure(workbench, &roll, &hashes, number, READERS)?;
        figures.alone_p50.push(milliseconds(&alone, "/to_taken_us/p50")?);
        figures.alone_p99.push(milliseconds(&alone, "/to_taken_us/p99")?);
        figures.beside_p50.push(milliseconds(&beside, "/to_taken_us/p50")?);
        figures.beside_p99.push(milliseconds(&beside, "/to_taken_us/p99")?);
        figures.spread_max.push(milliseconds(&beside, "/live/spread_us/max")?);
        figures.lag_p50.push(milliseconds(&beside, "/live/lag_us/p50")?);
        figures.lag_max.push(milliseconds(&beside, "/live/lag_us/max")?);
        figures.reader_kib.push((with - without) / 1024.0 / READERS as f64);
    }
    Ok(figures.rows())
}

/// Sends the votes to a new node with `readers` WebSockets; returns the report, and the peak memory
/// of the node in bytes.
fn measure(
    workbench: &Workbench,
    roll: &Path,
    hashes: &Path,
    number: u32,
    readers: u64,
) -> Result<(Value, f64)> {
    let data = workbench.folder.join(format!("data-{number}-{readers}"));
    node::open_election(&workbench.votekit, hashes, &data)?;
    let node = Node::start_with_limits(&workbench.votekit, &data)?;
    let report = workbench.folder.join(format!("report-{number}-{readers}.json"));
    let mut load = Command::new(&workbench.votekit);
    load.args(["loadtest", "--node", &node.url, "--roll"]).arg(roll);
    load.args(["--rate", &RATE.to_string(), "--duration", &format!("{SECONDS}s")]);
    load.args(["--addresses", &ADDRESSES.to_string()]);
    if readers > 0 {
        load.args(["--live-readers", &readers.to_string()]);
        load.args(["--live-addresses", &READER_ADDRESSES.to_string()]);
    }
    load.arg("--report").arg(&report);
    project::succeed(load.stdout(Stdio::null()).stderr(Stdio::null()))?;
    let report: Value = serde_json::from_slice(&fs::read(&report)?)?;
    let count = |path: &str| report.pointer(path).and_then(Value::as_u64);
    ensure!(count("/taken") == Some(RATE * SECONDS), "not every vote was answered 202: {report}");
    if readers > 0 {
        let is_whole = count("/live/opened") == Some(readers) && count("/live/ended") == Some(0);
        ensure!(is_whole, "not every reader stayed to the end: {report}");
    }
    let memory = node.memory_bytes_max()? as f64;
    node.stop()?;
    fs::remove_dir_all(&data)?;
    Ok((report, memory))
}

fn milliseconds(report: &Value, path: &str) -> Result<f64> {
    let value = report.pointer(path).and_then(Value::as_f64);
    Ok(value.with_context(|| format!("{path} in {report}"))? / 1000.0)
}

impl Figures {
    fn rows(self) -> Vec<Row> {
        let votes = format!("{RATE} votes/s for {SECONDS} s");
        let beside = format!("{votes}, beside {READERS} WebSockets");
        let lag = "from a status with the decision; at most four messages a second";
        vec![
            Row::reported("readers: p50 to 202 alone, ms", self.alone_p50, votes.clone()),
            Row::reported("readers: p99 to 202 alone, ms", self.alone_p99, votes),
            Row::reported("readers: p50 to 202 beside, ms", self.beside_p50, beside.clone()),
            Row::at_most("readers: p99 to 202 beside, ms", self.beside_p99, 50.0, beside),
            Row::reported(
                "readers: first to last, max ms",
                self.spread_max,
                "of one message".to_owned(),
            ),
            Row::reported("readers: to the last, p50 ms", self.lag_p50, lag.to_owned()),
            Row::at_most("readers: to the last, max ms", self.lag_max, 1000.0, lag.to_owned()),
            Row::reported(
                "readers: memory of one, KiB",
                self.reader_kib,
                "peak of the node with them less without".to_owned(),
            ),
        ]
    }
}
