//! Transactions a second on PostgreSQL while several nodes with many elections are at rest.
//!
//! A node that polls each election costs in proportion to nodes and elections; a node that is
//! notified costs in proportion to nodes alone.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Workbench;
use super::node::{self, Node};
use super::row::Row;
use super::services::engines;
use crate::services::{self, Rig};

/// The names of the nodes.
const NODES: [&str; 6] = ["node-1", "node-2", "node-3", "node-4", "node-5", "node-6"];

const ELECTIONS: usize = 20;

/// How long the nodes are left alone before they are measured, and how long they are measured.
const SETTLING_TIME: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(20);

/// The rows, and each run's rate.
pub(super) fn run(workbench: &Workbench) -> Result<Vec<Row>> {
    let mut rates = Vec::new();
    for number in 0..workbench.runs {
        let rig = services::start_for_a_run()?;
        let data = workbench.folder.join(format!("data-{number}"));
        let mut nodes = Vec::new();
        for name in NODES {
            nodes.push(match nodes.is_empty() {
                true => Node::start_on(&workbench.votekit, &data, name, &engines(rig.site()))?,
                false => Node::join_on(&workbench.votekit, &data, name, &engines(rig.site()))?,
            });
        }
        for election in 1..=ELECTIONS {
            let law_id = format!("L{election}");
            node::create(&workbench.votekit, &law_id, &data, &nodes[0])?;
        }
        let last = &nodes[nodes.len() - 1];
        let path = format!("/api/v1/elections/L{ELECTIONS}");
        let until = Instant::now() + Duration::from_secs(60);
        // A draft is not public: by its id one learns that it is not open yet.
        while !last.get(&path)?.contains("not-open-yet") {
            ensure!(Instant::now() < until, "the last node has not read the last election");
            thread::sleep(Duration::from_millis(100));
        }
        thread::sleep(SETTLING_TIME);
        let (before, begun) = (transactions(&rig)?, Instant::now());
        thread::sleep(MEASURED);
        let rate = (transactions(&rig)? - before) / begun.elapsed().as_secs_f64();
        rates.push(rate);
        for node in nodes {
            node.stop()?;
        }
        rig.end()?;
    }
    let detail = format!("{} nodes, {ELECTIONS} drafts, no vote", NODES.len());
    Ok(vec![Row::reported("services at rest: transactions a second", rates, detail)])
}

/// Transactions of all databases so far. Each statement of a node is one.
fn transactions(rig: &Rig) -> Result<f64> {
    // The counts of a connection may lag by a second.
    let rows =
        rig.ask_postgresql("select sum(xact_commit + xact_rollback) from pg_stat_database")?;
    rows.first()
        .and_then(|row| row.parse().ok())
        .with_context(|| format!("{rows:?} is not a count of transactions"))
}
