//! Snapshots of a serving node: written while votes come in, killed at any moment, damaged, and
//! disabled.
#![cfg(feature = "node")]

mod support;

use std::fs;
use std::time::Duration;

use support::Desk;
use support::http::Http;
use support::node::Node;
use support::poll::{self, Elector, LAW};

/// Takes a snapshot after every few votes.
const CONFIG: &str =
    "snapshot_leaves = 5\nrate_limit_per_second = 0\nread_limit_per_address_per_second = 0\n";

fn serve(desk: &Desk, more: &[&str]) -> Node {
    Node::serve_with(desk, &[&["--config", "node.toml"], more].concat())
}

/// Casts votes one after another until the node is gone, and returns those taken.
fn cast(node: &str, electors: &[Elector]) -> Vec<(usize, String)> {
    let http = Http::new();
    let mut taken = Vec::new();
    for (place, elector) in electors.iter().enumerate() {
        match http.vote(node, elector, "oui", &format!("key-{place:016}"), 0) {
            Ok(answer) if matches!(answer.status, 200 | 202) => {
                taken.push((place, answer.request_id()))
            }
            _ => break,
        }
    }
    taken
}

fn heads_written(desk: &Desk) -> Vec<u8> {
    fs::read(desk.path("node/snapshots").join(LAW).join("head")).unwrap_or_default()
}

#[test]
fn killed_while_snapshots_are_written_nothing_is_lost() {
    let (desk, electors) = poll::opened(400);
    desk.write("node.toml", CONFIG);
    let before = heads_written(&desk);
    let mut taken = Vec::new();
    for round in 0..8_u64 {
        let node = serve(&desk, &[]);
        let public = node.public.clone();
        std::thread::scope(|scope| {
            let casting = scope.spawn(|| cast(&public, &electors));
            std::thread::sleep(Duration::from_millis(130 + 37 * round));
            node.cut_off();
            taken.extend(casting.join().expect("no panic"));
        });
    }
    assert_ne!(heads_written(&desk), before, "snapshots are written while votes go on");
    let node = serve(&desk, &[]);
    let http = Http::new();
    for (place, request) in &taken {
        let status = http.get(&format!("{}/api/v1/vote/{request}?", node.public));
        assert_eq!(
            status.status, 200,
            "elector {place}: {request} was answered and is gone: {}",
            status.body
        );
    }
    assert!(
        !node.log().contains("snapshot_rejected"),
        "one that was cut off was believed: {}",
        node.log()
    );
    desk.run(&["election", "close", LAW, "--yes", "--node", &node.admin, "--data", "node"])
        .succeeds();
    drop(http);
    node.stop();
    let places: std::collections::BTreeSet<_> = taken.iter().map(|(place, _)| place).collect();
    let shown = desk.run(&["results", "--data", "node", "--json"]).json();
    // The last vote of a round may have been taken although its answer was lost.
    let accepted = shown["accepted"].as_u64().expect("a number") as usize;
    assert!(
        accepted >= places.len() && accepted <= electors.len(),
        "{accepted} of {}",
        places.len()
    );
    assert!(
        desk.run(&["recount", "--data", "node"])
            .succeeds()
            .contains("the published totals are confirmed")
    );
}

#[test]
fn a_damaged_snapshot_is_said_aloud() {
    let (desk, electors) = poll::opened(20);
    desk.write("node.toml", CONFIG);
    let node = serve(&desk, &[]);
    let taken = cast(&node.public, &electors);
    node.stop();
    let head = desk.path("node/snapshots").join(LAW).join("head");
    let mut bytes = fs::read(&head).expect("a snapshot");
    bytes[100] ^= 1;
    fs::write(&head, bytes).expect("written");
    let node = serve(&desk, &[]);
    assert!(
        node.log().contains("snapshot_rejected") && node.log().contains("SHA-256"),
        "{}",
        node.log()
    );
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
    let (desk, electors) = poll::opened(20);
    desk.write("node.toml", CONFIG);
    let node = serve(&desk, &[]);
    cast(&node.public, &electors);
    node.stop();
    let lines = |log: &str| log.matches(r#""from_snapshot":0"#).count();
    let node = serve(&desk, &[]);
    let before = lines(&node.log());
    node.stop();
    let node = serve(&desk, &["--replay"]);
    assert_eq!(lines(&node.log()), before + 1, "{}", node.log());
    node.stop();
}
