//! `votekit batch`.
#![cfg(feature = "node")]

mod support;

use serde_json::Value;
use support::TestDir;
use support::node::Node;
use support::poll::{self, Elector, LAW};

/// A poll in which three electors have voted, and the number of its first batch.
fn voted() -> (TestDir, Vec<Elector>, String) {
    let (dir, electors) = poll::opened(5);
    let node = Node::serve(&dir);
    dir.write("votes.csv", poll::votes(electors[..3].iter().map(|elector| (elector, "oui"))));
    dir.run(&["cast", "--node", &node.public, "--from", "votes.csv"]).succeeds();
    node.stop();
    dir.run(&["export", "bundle", "bundle", "--data", "node"]).succeeds();
    let leaves = String::from_utf8(dir.read("bundle/leaves.jsonl")).expect("UTF-8");
    let leaves: Vec<Value> =
        leaves.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let first = leaves.iter().find(|leaf| leaf["leaf"] == "batch").expect("a batch");
    let number = format!(
        "{}/{}/{}",
        first["node"].as_str().expect("a node"),
        first["epoch"],
        first["sequence"]
    );
    (dir, electors, number)
}

#[test]
fn a_batch_is_shown_by_its_number_and_from_a_file() {
    let (dir, _, number) = voted();
    let stored = dir.run(&["batch", "show", &number, "--data", "node", "-o", "saved.batch"]);
    assert!(
        stored.succeeds().starts_with(&format!("batch {number} of {LAW}")),
        "{}",
        stored.stdout
    );
    assert!(stored.stdout.contains("envelopes, choices sealed\n"));
    assert_eq!(dir.run(&["batch", "show", "saved.batch"]).succeeds(), stored.stdout);
    let json = dir.run(&["batch", "show", "saved.batch", "--json"]).json();
    assert_eq!(
        (&json["law_id"], json["count"].as_u64()),
        (&LAW.into(), json["envelopes"].as_array().map(|all| all.len() as u64))
    );
    assert!(stored.stdout.contains(json["digest"].as_str().expect("a digest")));
}

#[test]
fn a_cut_file_is_refused() {
    let (dir, _, number) = voted();
    dir.run(&["batch", "show", &number, "--data", "node", "-o", "saved.batch"]).succeeds();
    let whole = dir.read("saved.batch");
    for length in [0, 7, 8, 40, 100, whole.len() / 2, whole.len() - 1] {
        dir.write("cut.batch", &whole[..length]);
        dir.run(&["batch", "show", "cut.batch"]).fails(3, &["cut.batch: "]);
    }
    dir.write("cut.batch", [&whole[..], b"x"].concat());
    dir.run(&["batch", "show", "cut.batch"])
        .fails(3, &["cut.batch: a batch of", "bytes was announced"]);
    dir.run(&["batch", "show", "nothing.batch"]).fails(3, &["cannot read nothing.batch"]);
}

#[test]
fn unknown_batch_numbers_are_reported() {
    let (dir, _, number) = voted();
    for wrong in
        ["7", "3f1c9a0b7e55d2c4/1", "3f1c9a0b7e55d2c4/1/7/9", "3F1C9A0B7E55D2C4/1/7", "x/1/1"]
    {
        dir.run(&["batch", "show", wrong, "--data", "node"]).fails(
            2,
            &["is not a batch number", "hint: a batch number is", "such as 3f1c9a0b7e55d2c4/1/7"],
        );
    }
    let absent = format!("{}/9/9", number.split('/').next().expect("a node"));
    dir.run(&["batch", "show", &absent, "--data", "node"]).fails(3, &["has no batch", &absent]);
    dir.run(&["batch", "show", &number, "--data", "node", "--election", "NOPE"])
        .fails(3, &["no election NOPE"]);
    dir.run(&["batch", "show", &number, "--election", LAW]).fails(2, &["--data"]);
}
