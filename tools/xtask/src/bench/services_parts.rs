//! Divides the processor time of a vote on services: one node for each role, each in its own
//! process, and the servers.
//!
//! The nodes share this machine's processors with the servers and the generator, as in the row
//! `vote`; three processes cost more in total than its one.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::node::{self, LAW, Node};
use super::paired::median;
use super::profile::Recording;
use super::row::Row;
use super::wrk::{Load, Mix, Requests};
use super::{Workbench, services};
use crate::services::{self as servers, Rig, Server};

/// Connections of the generator.
const CONNECTIONS: u32 = 512;

/// Seconds of load a run.
const SECONDS: u32 = 15;

/// The roles, as values of `serve --roles`; each node is named after its role.
const ROLES: [&str; 3] = ["ingest", "validate", "seal"];

/// The users of processor time.
const PARTS: [&str; 9] = [
    "ingest node",
    "validate node",
    "seal node: stages and seals",
    "Redis",
    "RabbitMQ",
    "PostgreSQL for the seal node",
    "PostgreSQL for the other nodes",
    "PostgreSQL for itself",
    "generator",
];

/// PostgreSQL's work for the seal node: the schema functions, with the time spent in them,
/// including waiting, without their commits.
const FUNCTIONS: [&str; 2] = ["stage", "commit_block"];
const FUNCTION_TIME: &str =
    "select coalesce(sum(total_time), 0) from pg_stat_user_functions where funcname = ";

/// How long PostgreSQL may delay the counts of a connection.
const COUNTS_DELAY: Duration = Duration::from_secs(3);

/// The figures of one run, in microseconds a vote.
struct Run {
    used: [f64; PARTS.len()],
    in_functions: [f64; FUNCTIONS.len()],
}

/// Measures the processor time of each part.
pub(super) fn run(workbench: &Workbench) -> Result<Vec<Row>> {
    let folder = &workbench.folder;
    let (roll, hashes) = node::hashed_roll(&workbench.votekit, workbench.electors, folder)?;
    let requests = Requests::write(&roll, workbench.electors, Mix::default(), folder)?;
    let runs: Vec<Run> = (0..workbench.runs)
        .map(|_| measure(workbench, &hashes, &requests))
        .collect::<Result<_>>()?;
    let all = median(runs.iter().map(|run| run.used.iter().sum()).collect());
    let part = |index: usize| {
        let values: Vec<f64> = runs.iter().map(|run| run.used[index]).collect();
        let share = median(values.clone()) * 100.0 / all;
        Row::reported(
            PARTS[index],
            values,
            format!("µs of processor a vote: {share:.1} % of {all:.1}"),
        )
    };
    let function = |index: usize| {
        let values = runs.iter().map(|run| run.in_functions[index]).collect();
        Row::reported(
            format!("{}()", FUNCTIONS[index]),
            values,
            "µs a vote that PostgreSQL was in it, its commit not counted".to_owned(),
        )
    };
    Ok((0..PARTS.len()).map(part).chain((0..FUNCTIONS.len()).map(function)).collect())
}

fn measure(workbench: &Workbench, hashes: &Path, requests: &Requests) -> Result<Run> {
    let rig = servers::start_for_a_run()?;
    let data = workbench.folder.join("data");
    rig.ask_postgresql("alter system set track_functions = 'pl'")?;
    rig.ask_postgresql("select pg_reload_conf()")?;
    let nodes = start(workbench, &rig, &data)?;
    let [ingest, _, seal] = &nodes;
    node::load(&workbench.votekit, hashes, &data, Some(seal))?;
    node::create_and_open(&workbench.votekit, &data, Some(seal))?;
    node::wait_until("the nodes know the election", || {
        let election = format!("/api/v1/elections/{LAW}");
        nodes.iter().all(|node| node.get(&election).is_ok_and(|text| text.contains(LAW)))
    })?;
    let recordings = recordings(workbench, &nodes)?;
    let before = processor_seconds(&rig, &nodes)?;
    let seen = Load::start(requests, &ingest.url, CONNECTIONS, SECONDS)?.finish()?;
    ensure!(seen.refused == 0, "{} votes were refused", seen.refused);
    node::wait_until("every vote is decided", || {
        nodes.iter().all(|node| node.decided().is_ok_and(|decided| decided >= seen.requests))
    })?;
    let decided = seal.decided()?;
    let after = processor_seconds(&rig, &nodes)?;
    for (role, recording) in ROLES.iter().zip(recordings) {
        println!("\n{role}:");
        recording.print(decided)?;
    }
    std::thread::sleep(COUNTS_DELAY);
    let mut in_functions = [0.0; FUNCTIONS.len()];
    for (time, function) in in_functions.iter_mut().zip(FUNCTIONS) {
        let rows = rig.ask_postgresql(&format!("{FUNCTION_TIME}'{function}'"))?;
        let milliseconds: f64 = rows
            .first()
            .and_then(|row| row.parse().ok())
            .with_context(|| format!("{rows:?} is not a time"))?;
        *time = milliseconds * 1e3 / decided as f64;
    }
    for node in nodes {
        node.stop()?;
    }
    rig.end()?;
    fs::remove_dir_all(&data)?;
    let a_vote = |seconds: f64| seconds * 1e6 / decided as f64;
    let mut used = std::array::from_fn(|part| a_vote(after[part] - before[part]));
    used[PARTS.len() - 1] = a_vote(seen.processor_seconds);
    Ok(Run { used, in_functions })
}

/// Starts a node of each role.
fn start(workbench: &Workbench, rig: &Rig, data: &Path) -> Result<[Node; 3]> {
    let start = |role: &'static str| {
        let mut options = services::engines(rig.site()).to_vec();
        for (option, url) in &mut options {
            if *option == "--ledger" {
                url.push_str(&format!("?application_name={role}"));
            }
        }
        let query = if role == "seal" { ",query" } else { "" };
        options.push(("--roles", format!("{role}{query}")));
        Node::start_on(&workbench.votekit, data, role, &options)
    };
    let [ingest, validate, seal] = ROLES;
    // The first one creates the installation.
    Ok([start(ingest)?, start(validate)?, start(seal)?])
}

/// Starts a profile of each node, each in its own folder.
fn recordings(workbench: &Workbench, nodes: &[Node; 3]) -> Result<Vec<Recording>> {
    let recorded = ROLES.iter().zip(nodes).filter(|_| workbench.profile);
    recorded
        .map(|(role, node)| {
            let folder = workbench.folder.join(format!("profile-{role}"));
            fs::create_dir_all(&folder)?;
            Recording::start(node.pid(), &folder)
        })
        .collect()
}

/// Processor time used so far, in the order of [`PARTS`]; 0 for the generator.
fn processor_seconds(rig: &Rig, nodes: &[Node; 3]) -> Result<[f64; PARTS.len()]> {
    let [ingest, validate, seal] = [0, 1, 2].map(|index| nodes[index].processor_seconds());
    let redis = Server::all()
        .filter(|server| matches!(server, Server::Redis(_)))
        .map(|server| rig.processor_seconds(server))
        .sum();
    let [for_ingest, for_validate, for_seal] = ROLES.map(|role| rig.postgresql_seconds_for(role));
    let (for_seal, for_others) = (for_seal?, for_ingest? + for_validate?);
    let (postgresql, broker) =
        (rig.processor_seconds(Server::PostgreSql), rig.processor_seconds(Server::RabbitMq));
    Ok([
        ingest?,
        validate?,
        seal?,
        redis,
        broker,
        for_seal,
        for_others,
        postgresql - for_seal - for_others,
        0.0,
    ])
}
