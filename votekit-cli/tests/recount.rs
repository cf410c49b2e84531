//! `votekit recount`.
#![cfg(feature = "node")]

mod support;

use rusqlite::Connection;
use support::TestDir;
use support::node::Node;
use support::poll::{self, LAW};

const RECOUNT: [&str; 3] = ["recount", "--data", "node"];

/// A closed election with 9 electors: 3 oui, 2 non, 1 blank, and one duplicate.
fn closed() -> TestDir {
    let (dir, electors) = poll::opened(9);
    let node = Node::serve(&dir);
    let cast = ["cast", "--node", &node.public, "--from", "votes.csv"];
    dir.write(
        "votes.csv",
        poll::votes(electors.iter().zip(["oui", "oui", "oui", "non", "non", "blanc"])),
    );
    dir.run(&cast).succeeds();
    dir.write("votes.csv", poll::votes([(&electors[0], "non")]));
    assert!(dir.run(&cast).succeeds().contains("duplicate"));
    node.stop();
    refused_before_the_close(&dir, "open");
    dir.run(&["election", "close", LAW, "--yes", "--data", "node"]).succeeds();
    dir
}

#[test]
fn the_published_totals_are_confirmed() {
    let dir = closed();
    let counted = dir.run(&RECOUNT);
    let row = |name: &str, count: u32| format!("  {name:<24} {count:>10}\n");
    for (name, count) in [("oui", 3), ("non", 2), ("blanc", 1), ("accepted", 6)] {
        assert!(counted.succeeds().contains(&row(name, count)), "{}", counted.stdout);
    }
    assert!(counted.stdout.ends_with(
        "every vote was looked up in the rolls that the log names\nthe published totals are confirmed\n"
    ));
    // Officials use the rolls from their own medium.
    let own = dir.run(&[&RECOUNT[..], &["--shards", "hashes"]].concat());
    assert_eq!(own.succeeds(), counted.stdout);
    let other = dir.run(&[&RECOUNT[..], &["--shards", "nope"]].concat());
    other.fails(3, &["nope/manifest.json"]);
    let json = dir.run(&[&RECOUNT[..], &["--json"]].concat()).json();
    assert_eq!(
        (&json["accepted"], &json["envelopes"], &json["spoiled"]),
        (&6.into(), &7.into(), &0.into())
    );
    assert_eq!(json["published"], serde_json::json!([3, 2, 1, 0]));
    assert_eq!(json["differences"], serde_json::json!([]));
    // The recount also works while a node runs.
    let node = Node::serve(&dir);
    dir.run(&RECOUNT).succeeds();
    node.stop();
}

#[track_caller]
fn refused_before_the_close(dir: &TestDir, state: &str) {
    let refused = dir.run(&RECOUNT);
    let said = format!("L2025-001 is {state}: stored votes are counted again only after the close");
    refused.fails(3, &[&said, "hint: `votekit election close`"]);
    assert_eq!(refused.stdout, "", "nothing is counted");
}

#[test]
fn before_the_close_nothing_is_counted() {
    let (dir, _) = poll::drafted(3, &["--results", "after_close"]);
    refused_before_the_close(&dir, "draft");
}

/// The stored batches: row id, number as in the log, bytes.
fn batches(ledger: &Connection) -> Vec<(i64, String, Vec<u8>)> {
    let mut statement = ledger
        .prepare("SELECT id, lower(hex(node)), epoch, sequence, bytes FROM batch ORDER BY id")
        .expect("SQL");
    let rows = statement.query_map([], |row| {
        let number = format!(
            "{}/{}/{}",
            row.get::<_, String>(1)?,
            row.get::<_, i64>(2)?,
            row.get::<_, i64>(3)?
        );
        Ok((row.get(0)?, number, row.get(4)?))
    });
    rows.expect("rows").collect::<Result<_, _>>().expect("readable")
}

#[test]
fn an_altered_batch_is_named() {
    let dir = closed();
    let ledger = Connection::open(dir.path("node/ledger.sqlite")).expect("the ledger");
    let stored = batches(&ledger);
    let (id, number, bytes) = stored.first().expect("a batch");
    let put = |bytes: &[u8]| {
        ledger.execute("UPDATE batch SET bytes = ?1 WHERE id = ?2", (bytes, id)).expect("written")
    };
    // The end of the bytes is the signature; before it are the sealed choices, and near the start
    // the envelopes.
    for index in [bytes.len() - 70, 120] {
        let mut altered = bytes.clone();
        altered[index] ^= 1;
        put(&altered);
        dir.run(&RECOUNT).fails(
            5,
            &[
                "the recount does not agree with the log",
                &format!("the evidence of batch {number} is damaged"),
            ],
        );
    }
    put(&bytes[..bytes.len() - 1]);
    dir.run(&RECOUNT).fails(5, &[number]);
    ledger.execute("UPDATE batch SET bytes = NULL WHERE id = ?1", [id]).expect("written");
    dir.run(&RECOUNT).fails(5, &[&format!("batch {number} is missing from the evidence")]);
    put(bytes);
    dir.run(&RECOUNT).succeeds();
}

#[test]
fn recount_after_the_purge_is_refused_with_a_reason() {
    let dir = closed();
    dir.run(&["election", "certify", LAW, "--yes", "--data", "node"]).succeeds();
    dir.run(&RECOUNT).succeeds();
    dir.run(&["election", "purge", LAW, "--yes", "--data", "node"]).succeeds();
    let gone = [
        "the ballot key of L2025-001 is not in the data folder",
        "hint: `votekit election purge` destroys it",
    ];
    dir.run(&RECOUNT).fails(3, &gone);
    let ledger = Connection::open(dir.path("node/ledger.sqlite")).expect("the ledger");
    let left: i64 = ledger
        .query_row("SELECT count(*) FROM batch WHERE bytes IS NOT NULL", [], |row| row.get(0))
        .expect("SQL");
    assert_eq!(left, 0);
    drop(ledger);
    // Log, results and bundle are kept, and a node still serves them.
    assert_eq!(dir.run(&["results", "--data", "node", "--json"]).json()["oui_count"], 3);
    let report = dir.run(&["export", "bundle", "bundle", "--data", "node", "--json"]).json();
    let fingerprint = report["policy_fingerprint"].as_str().expect("a fingerprint");
    dir.run(&["verify", "bundle", "bundle", "--fingerprint", fingerprint]).succeeds();
    let node = Node::serve(&dir);
    assert_eq!(dir.run(&["results", "--node", &node.public, "--json"]).json()["oui_count"], 3);
    node.stop();
}
