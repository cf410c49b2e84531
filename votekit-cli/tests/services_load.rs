//! `votekit load --registry`, on a real Redis Cluster.
#![cfg(feature = "services")]

mod support;

use support::TestDir;
use support::poll::{self, LAW};
use support::redis::{redis, registry};

fn load(dir: &TestDir, url: &str) -> support::Outcome {
    dir.run(&["load", "hashes", "--registry", url, "--pepper-file", "referendum.pepper"])
}

fn registered(dir: &TestDir, url: &str) -> u64 {
    let json = dir.run(&["registry", "check", "--registry", url, "--json"]).json();
    json["elections"][0]["registered"].as_u64().expect("a count")
}

#[test]
fn a_roll_is_loaded_and_loading_it_again_changes_nothing() {
    let (dir, _) = poll::hashed(300);
    let (url, _) = registry();
    let first = load(&dir, &url);
    assert!(
        first.succeeds().starts_with(
            "L2025-001: loaded, 300 electors registered\n\
             unsigned: this node requires no signature\nmanifest: "
        ),
        "{}",
        first.stdout
    );
    assert!(
        load(&dir, &url)
            .succeeds()
            .starts_with("L2025-001: loaded before, nothing changed (300 electors)\n")
    );
    assert_eq!(registered(&dir, &url), 300);
}

#[test]
fn an_interrupted_load_is_run_again_and_lost_electors_are_not_loaded_as_unused() {
    let (dir, _) = poll::hashed(300);
    let (url, prefix) = registry();
    load(&dir, &url).succeeds();
    // As if killed before the end, with one bucket not yet written.
    let (meta, bucket) = (format!("{prefix}:{{{LAW}}}"), format!("{prefix}:{{{LAW}:6:1}}"));
    redis(&["HSET", &meta, "state", "loading"]);
    assert_eq!(redis(&["DEL", &bucket]), ":1");
    assert!(load(&dir, &url).succeeds().contains("loaded, 300 electors"));
    // Loaded completely, then a server lost a part of it.
    assert_eq!(redis(&["DEL", &bucket]), ":1");
    dir.run(&["registry", "check", "--registry", &url]).fails(
        5,
        &["1 of 64 buckets and their electors are missing", "hint: `votekit registry rebuild`"],
    );
    load(&dir, &url).fails(
        4,
        &["part (1 of 64 buckets) of L2025-001 is missing", "hint: `votekit registry rebuild`"],
    );
    // The description of the election is lost too.
    redis(&["DEL", &meta]);
    load(&dir, &url)
        .fails(4, &["its description of L2025-001 is missing", "hint: `votekit registry rebuild`"]);
    // Recovery.
    dir.run(&["load", "hashes", "--data", "node", "--pepper-file", "referendum.pepper"]).succeeds();
    dir.run(&[
        "election",
        "create",
        LAW,
        "--title-fr",
        "Loi",
        "--title-en",
        "Act",
        "--data",
        "node",
    ])
    .succeeds();
    dir.run(&["registry", "rebuild", "--registry", &url, "--data", "node"]).succeeds();
    assert!(load(&dir, &url).succeeds().contains("loaded before, nothing changed (300 electors)"));
    assert_eq!(registered(&dir, &url), 300);
}

#[test]
fn an_interrupted_load_is_ended_before_another_roll_is_begun() {
    let (dir, _) = poll::hashed(30);
    let (url, prefix) = registry();
    load(&dir, &url).succeeds();
    redis(&["HSET", &format!("{prefix}:{{{LAW}}}"), "state", "loading", "manifests", ""]);
    dir.run(&["roll", "sample", "--electors", "40", "--law", LAW, "--seed", "8", "-o", "new.csv"])
        .succeeds();
    dir.run(&["hashgen", "new.csv", "--out", "new", "--pepper-file", "referendum.pepper"])
        .succeeds();
    dir.run(&["load", "new", "--registry", &url, "--pepper-file", "referendum.pepper"])
        .fails(4, &["is unfinished", "hint: run that load again"]);
    assert!(load(&dir, &url).succeeds().contains("loaded, 30 electors"));
}

#[test]
fn loading_again_never_unspends() {
    let (dir, _) = poll::hashed(300);
    let (url, prefix) = registry();
    load(&dir, &url).succeeds();
    let (meta, bucket) = (format!("{prefix}:{{{LAW}}}"), format!("{prefix}:{{{LAW}:6:1}}"));
    // One elector of the bucket has voted.
    let spend =
        "local f = redis.call('HKEYS', KEYS[1])[2]; redis.call('HSET', KEYS[1], f, '77'); return 1";
    assert_eq!(redis(&["EVAL", spend, "1", &bucket]), ":1");
    redis(&["HSET", &meta, "state", "loading"]);
    load(&dir, &url).succeeds();
    let json = dir.run(&["registry", "check", "--registry", &url, "--json"]).json();
    assert_eq!(
        (&json["elections"][0]["used"], &json["elections"][0]["registered"]),
        (&1.into(), &300.into())
    );
}

#[test]
fn a_supplement_follows_its_roll() {
    let (dir, electors) = poll::hashed(30);
    let (url, _) = registry();
    poll::revoke(&dir, &electors[0]);
    let supplement =
        ["load", "supplement", "--registry", &url, "--pepper-file", "referendum.pepper"];
    dir.run(&supplement)
        .fails(3, &["which has not been loaded into this registry", "hint: load that one first"]);
    load(&dir, &url).succeeds();
    assert!(dir.run(&supplement).succeeds().contains("loaded, 29 electors registered"));
    assert!(
        dir.run(&supplement).succeeds().contains("loaded before, nothing changed (29 electors)")
    );
    assert!(load(&dir, &url).succeeds().contains("nothing changed (29 electors)"));
}

#[test]
fn another_pepper_or_another_roll_is_refused() {
    let (dir, _) = poll::hashed(30);
    let (url, _) = registry();
    load(&dir, &url).succeeds();
    dir.run(&["hashgen", "roll.csv", "--out", "plain"]).succeeds();
    dir.run(&["load", "plain", "--registry", &url])
        .fails(4, &["under another pepper or hash scheme", "hint: ", "prefix"]);
    dir.run(&["pepper", "generate", "-o", "other.pepper"]).succeeds();
    dir.run(&["hashgen", "roll.csv", "--out", "other", "--pepper-file", "other.pepper"]).succeeds();
    dir.run(&["load", "other", "--registry", &url, "--pepper-file", "other.pepper"])
        .fails(4, &["under another pepper"]);
    dir.run(&["roll", "sample", "--electors", "40", "--law", LAW, "--seed", "8", "-o", "new.csv"])
        .succeeds();
    dir.run(&["hashgen", "new.csv", "--out", "new", "--pepper-file", "referendum.pepper"])
        .succeeds();
    dir.run(&["load", "new", "--registry", &url, "--pepper-file", "referendum.pepper"]).fails(
        3,
        &["the registry holds another roll", "hint: changes to a roll are loaded as supplements"],
    );
    assert_eq!(registered(&dir, &url), 30);
}

#[test]
fn the_roll_is_checked_before_anything_changes() {
    let (dir, _) = poll::hashed(30);
    let (url, _) = registry();
    dir.run(&["load", "hashes", "--registry", &url])
        .fails(3, &["the manifest was made with the pepper", "none was given"]);
    dir.run(&["pepper", "generate", "-o", "other.pepper"]).succeeds();
    dir.run(&["load", "hashes", "--registry", &url, "--pepper-file", "other.pepper"])
        .fails(3, &["the one given is"]);
    let whole = dir.read("hashes/L2025-001.0001.json");
    dir.write("hashes/L2025-001.0001.json", String::from_utf8_lossy(&whole).replacen('0', "1", 20));
    load(&dir, &url).fails(3, &["L2025-001.0001.json", "has been changed"]);
    dir.write("hashes/L2025-001.0001.json", whole);
    // With --data, the rules of that node's folder apply.
    let vkey = dir
        .run(&["manifest", "keygen", "--name", "elections.example/marie", "-o", "marie"])
        .succeeds()
        .trim()
        .to_owned();
    dir.run(&["load", "hashes", "--data", "node", "--pepper-file", "referendum.pepper"]).succeeds();
    dir.write("node/officials", format!("{vkey}\n"));
    let with_data = ["load", "hashes", "--registry", &url, "--data", "node"];
    dir.run(&with_data).fails(3, &["requires signed manifests"]);
    assert!(
        dir.run(&["registry", "check", "--registry", &url])
            .succeeds()
            .contains("no roll is loaded")
    );
    dir.run(&["manifest", "sign", "hashes", "--key", "marie"]).succeeds();
    // The folder already has the pepper.
    assert!(dir.run(&with_data).succeeds().contains("loaded, 30 electors"));
}

#[test]
fn each_bad_address_is_one_line_with_a_hint() {
    let (dir, _) = poll::hashed(3);
    let (url, _) = registry();
    let tls = url.replace("redis://", "rediss://");
    let password = url.replace("redis://", "redis://:geheim@");
    for (url, expected) in [
        ("http://127.0.0.1:6379", "begins with http://, expected redis:// or rediss://"),
        ("redis://no-such-host.invalid", "the host name cannot be resolved"),
        ("redis://127.0.0.1:1", "connection refused"),
        (&password, "refuses the user or the password"),
        (&tls, "does not"),
        ("redis://127.0.0.1:1/votes", "is not a database number"),
    ] {
        let failed = load(&dir, url);
        failed.fails(4, &[expected, "hint: "]);
        assert_eq!(failed.stderr.trim_end().lines().count(), 2, "{}", failed.stderr);
        assert!(!failed.stderr.contains("geheim"), "{}", failed.stderr);
    }
    dir.run(&["load", "hashes", "--registry", &url, "--node", "http://127.0.0.1:1"])
        .fails(2, &["--node"]);
}
