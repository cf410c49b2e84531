//! Votes decided and sealed a second by a node over a Redis Cluster, RabbitMQ and PostgreSQL,
//! compared with another program that counts votes over its own servers.
//!
//! Everything runs on this machine: the generator, the node with all its roles, and the servers
//! share its processors. Each run has fresh servers, and none of ours runs while the other program
//! does.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::Workbench;
use super::node::{self, Node, ServeOption};
use super::paired::median;
use super::row::Row;
use super::wrk::{Load, Mix, Requests, Seen};
use crate::services::{self, Rig, Server, Site};

/// Connections of the generator: enough that the node never waits for voters. A batch costs the
/// servers nearly the same whatever it contains.
const CONNECTIONS: u32 = 512;

/// Minimum average number of votes in a block under load.
const VOTES_PER_BLOCK_MIN: f64 = 100.0;

/// Seconds of load a run.
const SECONDS: u32 = 15;

/// Minimum ratio to the other program's rate.
const RATIO_MIN: f64 = 20.0;

/// The figures of one run.
struct Run {
    per_second: f64,
    seen: Seen,
    votes_a_block: f64,
    /// Processor time a vote, in microseconds, by process.
    processor_us: [(&'static str, f64); 5],
}

pub(super) fn run(workbench: &Workbench) -> Result<Vec<Row>> {
    let folder = &workbench.folder;
    let (roll, hashes) = node::hashed_roll(&workbench.votekit, workbench.electors, folder)?;
    let requests = Requests::write(&roll, workbench.electors, Mix::default(), folder)?;
    let (mut ours, mut beside) = (Vec::new(), Vec::new());
    for number in 0..workbench.runs {
        // They alternate in going first.
        if number % 2 == 0 {
            ours.push(node_run(workbench, &hashes, &requests)?);
        }
        if let Some(command) = &workbench.beside {
            beside.push(peer_run(command)?);
        }
        if number % 2 == 1 {
            ours.push(node_run(workbench, &hashes, &requests)?);
        }
    }
    Ok(rows(&ours, &beside))
}

fn rows(ours: &[Run], beside: &[f64]) -> Vec<Row> {
    let of = |value: &dyn Fn(&Run) -> f64| median(ours.iter().map(value).collect());
    let split: Vec<String> = (0..5)
        .map(|part| {
            format!("{} {:.1}", ours[0].processor_us[part].0, of(&|run| run.processor_us[part].1))
        })
        .collect();
    let rates: Vec<f64> = ours.iter().map(|run| run.per_second).collect();
    let processor = format!("processor a vote, µs: {}", split.join(", "));
    let mut rows = vec![Row::reported("services vote: decided a second", rates.clone(), processor)];
    if !beside.is_empty() {
        let ratios = rates.iter().zip(beside).map(|(ours, beside)| ours / beside).collect();
        let detail =
            format!("{:.0}/s decided beside {:.0}/s", median(rates), median(beside.to_vec()));
        rows.push(Row::at_least("services vote: times the other", ratios, RATIO_MIN, detail));
    }
    let latency = format!("at that rate; median to 202 {:.1} ms", of(&|run| run.seen.p50_ms));
    rows.push(Row::reported(
        "services vote: p99 to 202, ms",
        ours.iter().map(|run| run.seen.p99_ms).collect(),
        latency,
    ));
    let blocks = ours.iter().map(|run| run.votes_a_block).collect();
    rows.push(Row::at_least(
        "services vote: votes a block",
        blocks,
        VOTES_PER_BLOCK_MIN,
        "leaves, rather: a few are of batches".to_owned(),
    ));
    rows
}

/// The options for the server URLs.
pub(super) fn engines(site: &Site) -> [ServeOption; 3] {
    [
        ("--registry", site.registry_url()),
        ("--ballot-box", site.ballot_box_url()),
        ("--ledger", site.ledger_url()),
    ]
}

/// Starts a node of all roles over new servers and opens an election.
pub(super) fn ready_node(
    workbench: &Workbench,
    rig: &Rig,
    hashes: &Path,
    data: &Path,
) -> Result<Node> {
    let node = Node::start_on(&workbench.votekit, data, "all", &engines(rig.site()))?;
    node::load(&workbench.votekit, hashes, data, Some(&node))?;
    node::create_and_open(&workbench.votekit, data, Some(&node))?;
    Ok(node)
}

fn node_run(workbench: &Workbench, hashes: &Path, requests: &Requests) -> Result<Run> {
    let rig = services::start_for_a_run()?;
    let data = workbench.folder.join("data");
    let node = ready_node(workbench, &rig, hashes, &data)?;
    let before = processor_seconds(&rig, &node)?;
    let begun = Instant::now();
    let seen = Load::start(requests, &node.url, CONNECTIONS, SECONDS)?.finish()?;
    node.wait_until_drained()?;
    let seconds = begun.elapsed().as_secs_f64();
    let after = processor_seconds(&rig, &node)?;
    ensure!(
        seen.requests < requests.count,
        "all votes were sent before the time was over: raise --electors"
    );
    ensure!(seen.refused == 0, "{} votes were refused", seen.refused);
    let decided = node.decided()?;
    // Votes whose answers wrk no longer awaited at its end are decided too.
    ensure!(decided >= seen.requests, "{decided} of {} answered votes are decided", seen.requests);
    let rows = rig.ask_postgresql("select avg(leaf_count) from votekit.block")?;
    let votes_a_block = rows
        .first()
        .and_then(|row| row.parse().ok())
        .with_context(|| format!("{rows:?} is not an average"))?;
    node.stop()?;
    rig.end()?;
    fs::remove_dir_all(&data)?;
    let a_vote = |seconds: f64| seconds * 1e6 / decided as f64;
    let used = |part: usize| (after[part].0, a_vote(after[part].1 - before[part].1));
    let processor_us =
        [used(0), used(1), used(2), used(3), ("generator", a_vote(seen.processor_seconds))];
    Ok(Run { per_second: decided as f64 / seconds, seen, votes_a_block, processor_us })
}

/// Processor time used so far, by process.
fn processor_seconds(rig: &Rig, node: &Node) -> Result<[(&'static str, f64); 4]> {
    let redis = Server::all().filter(|server| matches!(server, Server::Redis(_)));
    Ok([
        ("node", node.processor_seconds()?),
        ("Redis", redis.map(|server| rig.processor_seconds(server)).sum()),
        ("RabbitMQ", rig.processor_seconds(Server::RabbitMq)),
        ("PostgreSQL", rig.processor_seconds(Server::PostgreSql)),
    ])
}

/// Runs the other program, which generates its own load, and reads its rate.
fn peer_run(command: &str) -> Result<f64> {
    let mut words = command.split_whitespace();
    let program = words.next().context("--beside is empty")?;
    let output = Command::new(program)
        .args(words)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("starting {program}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{command} failed: {}\n{text}", output.status);
    peer_rate(&text).with_context(|| {
        format!("{command} printed no line `peer: … N votes/s end to end`:\n{text}")
    })
}

/// Parses the rate from a line `peer: … N votes/s end to end`.
fn peer_rate(text: &str) -> Option<f64> {
    let line = text.lines().rfind(|line| line.starts_with("peer: "))?;
    line.strip_suffix(" votes/s end to end")?
        .split_whitespace()
        .next_back()?
        .parse()
        .ok()
        .filter(|rate| *rate > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_of_the_other_program_is_read() {
        let text = "  99%  187.00ms\npeer: 18021 votes counted, 1190 votes/s end to end\n";
        assert_eq!(peer_rate(text), Some(1190.0));
        assert_eq!(peer_rate("peer: 0 votes counted, 0 votes/s end to end"), None);
        assert_eq!(peer_rate("1190 votes/s"), None);
    }

    #[test]
    fn a_ratio_is_reported_only_with_a_baseline() {
        let seen = Seen {
            requests: 1,
            refused: 0,
            seconds: 1.0,
            p50_ms: 1.0,
            p99_ms: 2.0,
            processor_seconds: 1.0,
        };
        let processor_us = [
            ("node", 1.0),
            ("Redis", 2.0),
            ("RabbitMQ", 3.0),
            ("PostgreSQL", 4.0),
            ("generator", 5.0),
        ];
        let ours = [Run { per_second: 30_000.0, seen, votes_a_block: 800.0, processor_us }];
        assert_eq!(rows(&ours, &[]).len(), 3);
        let with_other: Vec<String> =
            rows(&ours, &[1_000.0]).iter().map(ToString::to_string).collect();
        assert!(
            with_other[0]
                .contains("node 1.0, Redis 2.0, RabbitMQ 3.0, PostgreSQL 4.0, generator 5.0"),
            "{with_other:?}"
        );
        assert!(
            with_other[1].contains("30.000") && with_other[1].contains("yes"),
            "{with_other:?}"
        );
    }
}
