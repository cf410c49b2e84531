//! Snapshots of a serving node: written while votes come in, killed at any moment, damaged, and
//! disabled.
#![cfg(feature = "node")]

mod support;

use std::fs;
use std::time::{Duration, Instant};

use support::TestDir;
use support::http::Http;
use support::node::Node;
use support::poll::{self, Elector, LAW};

/// Time limit for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// Takes a snapshot after every few votes.
const CONFIG: &str =
    "snapshot_leaves = 5\nrate_limit_per_second = 0\nread_limit_per_address_per_second = 0\n";

fn serve(dir: &TestDir, more: &[&str]) -> Node {
    Node::serve_with(dir, &[&["--config", "node.toml"], more].concat())
}

/// Casts votes one after another until the node has ended, and returns the accepted votes.
fn cast(node: &str, electors: &[Elector]) -> Vec<(usize, String)> {
    let http = Http::new();
    let mut taken = Vec::new();
    for (index, elector) in electors.iter().enumerate() {
        match http.vote(node, elector, "oui", &format!("key-{index:016}"), 0) {
            Ok(answer) if matches!(answer.status, 200 | 202) => {
                taken.push((index, answer.request_id()))
            }
            _ => break,
        }
    }
    taken
}

fn heads_written(dir: &TestDir) -> Vec<u8> {
    fs::read(dir.path("node/snapshots").join(LAW).join("head")).unwrap_or_default()
}

#[test]
fn killed_while_snapshots_are_written_nothing_is_lost() {
    let (dir, electors) = poll::opened(400);
    dir.write("node.toml", CONFIG);
    let before = heads_written(&dir);
    let mut taken = Vec::new();
    for round in 0..8_u64 {
        let node = serve(&dir, &[]);
        let public = node.public.clone();
        std::thread::scope(|scope| {
            let casting = scope.spawn(|| cast(&public, &electors));
            std::thread::sleep(Duration::from_millis(130 + 37 * round));
            // On a slow machine none of these times may have been enough for a snapshot.
            let begun = Instant::now();
            while round == 7 && heads_written(&dir) == before {
                assert!(begun.elapsed() < WAIT_TIMEOUT, "no snapshot is written: {}", node.log());
                std::thread::sleep(Duration::from_millis(10));
            }
            node.cut_off();
            taken.extend(casting.join().expect("no panic"));
        });
    }
    assert_ne!(heads_written(&dir), before, "snapshots are written while votes go on");
    let node = serve(&dir, &[]);
    let http = Http::new();
    for (index, request) in &taken {
        let status = http.get(&format!("{}/api/v1/vote/{request}?", node.public));
        assert_eq!(
            status.status, 200,
            "elector {index}: {request} was answered and is gone: {}",
            status.body
        );
    }
    assert!(
        !node.log().contains("snapshot_rejected"),
        "one that was cut off was believed: {}",
        node.log()
    );
    dir.run(&["election", "close", LAW, "--yes", "--node", &node.admin, "--data", "node"])
        .succeeds();
    drop(http);
    node.stop();
    let indices: std::collections::BTreeSet<_> = taken.iter().map(|(index, _)| index).collect();
    let shown = dir.run(&["results", "--data", "node", "--json"]).json();
    // The last vote of a round may have been taken although its answer was lost.
    let accepted = shown["accepted"].as_u64().expect("a number") as usize;
    assert!(
        accepted >= indices.len() && accepted <= electors.len(),
        "{accepted} of {}",
        indices.len()
    );
    assert!(
        dir.run(&["recount", "--data", "node"])
            .succeeds()
            .contains("the published totals are confirmed")
    );
}

#[test]
fn damaged_snapshot_is_reported() {
    let (dir, electors) = poll::opened(20);
    dir.write("node.toml", CONFIG);
    let node = serve(&dir, &[]);
    let taken = cast(&node.public, &electors);
    node.stop();
    let head = dir.path("node/snapshots").join(LAW).join("head");
    let mut bytes = fs::read(&head).expect("a snapshot");
    bytes[100] ^= 1;
    fs::write(&head, bytes).expect("written");
    let node = serve(&dir, &[]);
    // Lines are written by a thread that the start does not wait for.
    let begun = Instant::now();
    while !(node.log().contains("snapshot_rejected") && node.log().contains("SHA-256")) {
        assert!(begun.elapsed() < WAIT_TIMEOUT, "{}", node.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    let http = Http::new();
    assert!(http.get(&node.metrics).body.contains("\nsnapshots_refused_total 1"), "it is counted");
    for (_, request) in &taken {
        assert_eq!(http.get(&format!("{}/api/v1/vote/{request}", node.public)).status, 200);
    }
    drop(http);
    node.stop();
}

#[test]
fn a_replay_reads_the_whole_log() {
    let (dir, electors) = poll::opened(20);
    dir.write("node.toml", CONFIG);
    let node = serve(&dir, &[]);
    cast(&node.public, &electors);
    node.stop();
    // All lines are written once a node has stopped.
    let log = || String::from_utf8(dir.read("node.log")).expect("UTF-8");
    let replays = || log().matches(r#""from_snapshot":0"#).count();
    serve(&dir, &[]).stop();
    let before = replays();
    serve(&dir, &["--no-snapshot"]).stop();
    assert_eq!(replays(), before + 1, "{}", log());
}
