//! Votes decided and sealed a second, compared with a bare handler that parses and hashes the same
//! votes and stores nothing.

use std::fs;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::bare_handler::BareHandler;
use super::node::{self, Node};
use super::paired::median;
use super::row::Row;
use super::wrk::{Load, Mix, Requests, Seen};
use super::{Workbench, profile};

/// Connections of the generator: enough that neither side waits for the other's latency.
const CONNECTIONS: u32 = 256;

/// Seconds of load a run.
const SECONDS: u32 = 8;

/// Maximum processor time a vote on a node, as a multiple of the bare handler's.
const PROCESSOR_RATIO_MAX: f64 = 2.2;

/// The figures of one run of one side.
struct Run {
    per_second: f64,
    seen: Seen,
    /// Processor time of the server a vote, in microseconds.
    processor_us: f64,
}

pub(super) fn run(workbench: &Workbench) -> Result<Vec<Row>> {
    BareHandler::build()?;
    let electors = workbench.electors.max(1_000_000);
    let (roll, hashes) = node::hashed_roll(&workbench.votekit, electors, &workbench.folder)?;
    let ready = workbench.folder.join("ready");
    node::open_election(&workbench.votekit, &hashes, &ready)?;
    let requests = Requests::write(&roll, electors, Mix::default(), &workbench.folder)?;
    let (mut ours, mut beside) = (Vec::new(), Vec::new());
    for number in 0..workbench.runs {
        // They alternate in going first.
        if number % 2 == 0 {
            ours.push(node_run(workbench, &ready, &requests)?);
            beside.push(bare_run(workbench, &requests)?);
        } else {
            beside.push(bare_run(workbench, &requests)?);
            ours.push(node_run(workbench, &ready, &requests)?);
        }
    }
    Ok(rows(&ours, &beside))
}

fn rows(ours: &[Run], beside: &[Run]) -> Vec<Row> {
    let of = |runs: &[Run], value: fn(&Run) -> f64| median(runs.iter().map(value).collect());
    let rate = |runs: &[Run]| of(runs, |run| run.per_second);
    let ratios: Vec<f64> =
        ours.iter().zip(beside).map(|(ours, beside)| ours.per_second / beside.per_second).collect();
    let processor_ratios: Vec<f64> = ours
        .iter()
        .zip(beside)
        .map(|(ours, beside)| ours.processor_us / beside.processor_us)
        .collect();
    let generator =
        |runs: &[Run]| of(runs, |run| run.seen.processor_seconds * 1e6 / run.seen.requests as f64);
    let detail = format!(
        "{:.0}/s decided beside {:.0}/s; generator {:.1} and {:.1} µs of processor a vote",
        rate(ours),
        rate(beside),
        generator(ours),
        generator(beside),
    );
    let processor = format!(
        "processor time a vote: node {:.1} µs, bare handler {:.1} µs, both zeroing what they free",
        of(ours, |run| run.processor_us),
        of(beside, |run| run.processor_us),
    );
    let p99 = ours.iter().map(|run| run.seen.p99_ms).collect();
    let latency = format!("at that rate; median to 202 {:.1} ms", of(ours, |run| run.seen.p50_ms));
    vec![
        Row::at_least("vote: rate", ratios, 0.5, detail),
        Row::at_most("vote: processor", processor_ratios, PROCESSOR_RATIO_MAX, processor),
        Row::at_most("vote: p99 to 202, ms", p99, 50.0, latency),
    ]
}

fn node_run(workbench: &Workbench, ready: &std::path::Path, requests: &Requests) -> Result<Run> {
    let data = workbench.folder.join("data");
    node::copy_folder(ready, &data)?;
    let node = Node::start(&workbench.votekit, &data)?;
    let recording = workbench
        .profile
        .then(|| profile::Recording::start(node.pid(), &workbench.folder))
        .transpose()?;
    let begun = Instant::now();
    let seen = Load::start(requests, &node.url, CONNECTIONS, SECONDS)?.finish()?;
    node.wait_until_drained()?;
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(
        seen.requests < requests.count,
        "all votes were sent before the time was over: raise --electors"
    );
    ensure!(seen.refused == 0, "{} votes were refused", seen.refused);
    let decided = node.decided()?;
    // Votes whose answers wrk no longer awaited at its end are decided too.
    ensure!(decided >= seen.requests, "{decided} of {} answered votes are decided", seen.requests);
    if let Some(recording) = recording {
        recording.print(decided)?;
    }
    let processor_us = node.processor_seconds()? * 1e6 / decided as f64;
    node.stop()?;
    fs::remove_dir_all(&data)?;
    Ok(Run { per_second: decided as f64 / seconds, seen, processor_us })
}

fn bare_run(workbench: &Workbench, requests: &Requests) -> Result<Run> {
    let handler = BareHandler::start(&workbench.votekit)?;
    let url = format!("http://{}", handler.address);
    let seen = Load::start(requests, &url, CONNECTIONS, SECONDS)?.finish()?;
    ensure!(seen.refused == 0, "the bare handler refused {} votes", seen.refused);
    let processor_us = handler.processor_seconds()? * 1e6 / seen.requests as f64;
    Ok(Run { per_second: seen.requests as f64 / seen.seconds, seen, processor_us })
}
