//! Peak memory of a node of each role beside a loaded election, over servers, while it takes votes.
//!
//! An ingest node holds no roll and no log, only the index of decided request ids: its memory must
//! not grow with the roll. The node that seals holds the electorate.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use super::Workbench;
use super::node::{self, LAW, Node, ServeOption};
use super::row::Row;
use super::services::engines;
use crate::project;
use crate::services;

/// The names and the roles of the nodes; the first one creates the data folder.
const NODES: [(&str, &str); 4] =
    [("sealer", "seal"), ("query", "query"), ("validator", "validate"), ("ingest", "ingest")];

/// The node that opens the poll, the one that shows the counts, and the one that takes the votes.
const SEALER: usize = 0;
const QUERY: usize = 1;
const INGEST: usize = 3;

/// Votes a second, and for how long.
const RATE: &str = "1000";
const DURATION: &str = "20s";

pub(super) fn run(workbench: &Workbench) -> Result<Vec<Row>> {
    let (roll, hashes) =
        node::hashed_roll(&workbench.votekit, workbench.electors, &workbench.folder)?;
    let mut peaks = NODES.map(|_| Vec::new());
    for number in 0..workbench.runs {
        let data = workbench.folder.join(format!("data-{number}"));
        for (peak, bytes) in peaks.iter_mut().zip(run_once(workbench, &roll, &hashes, &data)?) {
            peak.push(bytes as f64 / 1e6);
        }
    }
    let detail = format!("{} electors loaded, {RATE} votes/s for {DURATION}", workbench.electors);
    Ok(NODES
        .iter()
        .zip(peaks)
        .map(|((_, roles), peaks)| {
            Row::reported(format!("memory of a node: {roles}, MB"), peaks, detail.clone())
        })
        .collect())
}

/// The peak memory of each node, in bytes.
fn run_once(workbench: &Workbench, roll: &Path, hashes: &Path, data: &Path) -> Result<Vec<u64>> {
    let rig = services::start_for_a_run()?;
    let votekit = &workbench.votekit;
    let mut nodes = Vec::new();
    for (name, roles) in NODES {
        let roles: [ServeOption; 1] = [("--roles", roles.to_owned())];
        let options = [&engines(rig.site())[..], &roles].concat();
        nodes.push(if nodes.is_empty() {
            Node::start_on(votekit, data, name, &options)?
        } else {
            Node::join_on(votekit, data, name, &options)?
        });
    }
    let (sealer, query, ingest) = (&nodes[SEALER], &nodes[QUERY], &nodes[INGEST]);
    // Once all nodes have their names in the folder: an opening admits only these.
    node::load(votekit, hashes, data, Some(sealer))?;
    node::create_and_open(votekit, data, Some(sealer))?;
    node::wait_until("the ingest node shows the open poll", || {
        let shown = ingest.get(&format!("/api/v1/elections/{LAW}"));
        shown.is_ok_and(|text| text.contains("\"state\":\"open\""))
    })?;
    let mut load = Command::new(votekit);
    load.args(["loadtest", "--node", &ingest.url, "--roll"]).arg(roll);
    load.args(["--rate", RATE, "--duration", DURATION]);
    project::succeed(load.stdout(Stdio::null()).stderr(Stdio::null()))?;
    node::wait_until("votes are decided", || query.decided().is_ok_and(|decided| decided > 0))?;
    let peaks = nodes.iter().map(Node::memory_bytes_max).collect();
    for node in nodes {
        node.stop()?;
    }
    rig.end()?;
    peaks
}
