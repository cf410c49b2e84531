//! `votekit registry`, on a real Redis Cluster.
#![cfg(feature = "services")]

mod support;

use support::node::Node;
use support::poll::{self, LAW};
use support::redis::{redis, registry};
use support::{Outcome, TestDir};

fn check(dir: &TestDir, url: &str, more: &[&str]) -> Outcome {
    dir.run(&[&["registry", "check", "--registry", url][..], more].concat())
}

fn rebuild(dir: &TestDir, url: &str) -> Outcome {
    dir.run(&["registry", "rebuild", "--registry", url, "--data", "node"])
}

/// A node with 30 electors, one of them revoked, and two of whom have voted, and the address of an
/// empty registry.
fn voted() -> (TestDir, String, String) {
    let (dir, electors) = poll::opened(30);
    poll::revoke(&dir, &electors[0]);
    dir.run(&["load", "supplement", "--data", "node"]).succeeds();
    let node = Node::serve(&dir);
    dir.write("votes.csv", poll::votes([(&electors[1], "oui"), (&electors[2], "non")]));
    dir.run(&["cast", "--node", &node.public, "--from", "votes.csv"]).succeeds();
    let (url, prefix) = registry();
    (dir, url, prefix)
}

#[test]
fn a_registry_is_rebuilt_from_the_ledger_and_its_rolls() {
    let (dir, url, prefix) = voted();
    check(&dir, &url, &["--data", "node"]).fails(
        5,
        &["L2025-001: the load of its roll is unfinished", "hint: `votekit registry rebuild`"],
    );
    assert_eq!(
        rebuild(&dir, &url).succeeds(),
        "L2025-001: rebuilt, 29 electors registered, 2 of them have voted\n"
    );
    let checked = check(&dir, &url, &["--data", "node", "--full", "--json"]).json();
    let election = &checked["elections"][0];
    assert_eq!(
        [&election["registered"], &election["used"], &election["revoked"], &election["compared"]],
        [&29.into(), &2.into(), &1.into(), &serde_json::json!(30)]
    );
    assert_eq!(
        (election["faults"].clone(), election["remarks"].clone()),
        (serde_json::json!([]), serde_json::json!([]))
    );
    assert_eq!(election["manifests"].as_array().expect("a list").len(), 2);
    assert_eq!(checked["cluster"], true);
    // A second load of the same rolls is recognised.
    let again = dir.run(&["load", "hashes", "--registry", &url, "--data", "node"]);
    assert!(again.succeeds().contains("loaded before, nothing changed (29 electors)"));
    // A whole election is lost, with its description.
    redis(&["DEL", &format!("{prefix}:{{{LAW}}}")]);
    assert!(
        rebuild(&dir, &url).succeeds().contains("29 electors registered, 2 of them have voted")
    );
    check(&dir, &url, &["--data", "node", "--full"]).succeeds();
}

#[test]
fn differences_from_the_log_are_reported() {
    let (dir, url, prefix) = voted();
    rebuild(&dir, &url).succeeds();
    // All marks are lost, as by a failover.
    let forget = "for _, f in ipairs(redis.call('HKEYS', KEYS[1])) do
        local v = redis.call('HGET', KEYS[1], f)
        if v ~= '0' and v ~= '-1' and v ~= 'v1' then redis.call('HSET', KEYS[1], f, '0') end end return 1";
    for bucket in 0..64 {
        redis(&["EVAL", forget, "1", &format!("{prefix}:{{{LAW}:6:{bucket:x}}}")]);
    }
    let report = check(&dir, &url, &["--data", "node"]);
    assert!(
        report.succeeds().contains(
            "remark: L2025-001: 2 of 30 credentials: voted in the log, unmarked in the registry"
        ),
        "{}",
        report.stdout
    );
    // The revoked elector is live again in the registry.
    let unrevoke = forget.replace("v ~= '0' and v ~= '-1' and v ~= 'v1'", "v == '-1'");
    for bucket in 0..64 {
        redis(&["EVAL", &unrevoke, "1", &format!("{prefix}:{{{LAW}:6:{bucket:x}}}")]);
    }
    check(&dir, &url, &["--data", "node"]).fails(
        5,
        &["30 electors are registered, 29 by the log", "revoked by the log, not in the registry"],
    );
    rebuild(&dir, &url).succeeds();
    check(&dir, &url, &["--data", "node"]).succeeds();
}

#[test]
fn without_a_ledger_there_is_nothing_to_rebuild_from() {
    let (dir, _) = poll::loaded(3);
    let (url, _) = registry();
    dir.run(&["registry", "rebuild", "--registry", &url]).fails(2, &["give --data"]);
    assert!(rebuild(&dir, &url).succeeds().contains("nothing to rebuild"));
    dir.run(&["registry", "rebuild", "--registry", &url, "--data", "node", "--election", "L9"])
        .fails(3, &["there is no election L9 in the ledger"]);
    dir.run(&["registry", "check", "--registry", "redis://127.0.0.1:1"])
        .fails(4, &["connection refused", "hint: "]);
    assert!(check(&dir, &url, &[]).succeeds().contains("no roll is loaded"));
}
