//! `votekit export`: results in formats of other systems, and the publication bundle.
#![cfg(feature = "node")]

mod support;

use std::path::Path;

use support::TestDir;
use support::node::Node;
use support::poll::{self, LAW};
use votekit_core::id::Digest;

/// A certified election whose node has stopped: 3 oui, 2 non, 1 blank, of 9 electors.
fn certified() -> TestDir {
    let (dir, electors) = poll::opened(9);
    let node = Node::serve(&dir);
    let choices = ["oui", "oui", "oui", "non", "non", "blanc"];
    dir.write("votes.csv", poll::votes(electors.iter().zip(choices)));
    dir.run(&["cast", "--node", &node.public, "--from", "votes.csv"]).succeeds();
    for verb in ["close", "certify"] {
        dir.run(&["election", verb, LAW, "--yes", "--node", &node.admin, "--data", "node"])
            .succeeds();
    }
    node.stop();
    dir
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for name in support::names_in(folder) {
        let path = folder.join(&name);
        if path.is_dir() {
            files.extend(support::names_in(&path).into_iter().map(|inner| {
                let bytes = std::fs::read(path.join(&inner)).expect("a file");
                (format!("{name}/{inner}"), bytes)
            }));
        } else {
            files.push((name, std::fs::read(path).expect("a file")));
        }
    }
    files
}

#[test]
fn results_are_written_in_each_format() {
    let dir = certified();
    dir.run(&["export", "bundle", "bundle", "--data", "node"]).succeeds();
    for (format, bundled) in
        [("csv", "results.csv"), ("json", "results.json"), ("nist", "results.nist.json")]
    {
        let printed = dir.run(&["export", "results", "--format", format, "--data", "node"]);
        dir.run(&["export", "results", "--format", format, "--data", "node", "-o", "out"])
            .succeeds();
        let text = |name: &str| String::from_utf8(dir.read(name)).expect("UTF-8");
        assert_eq!(printed.succeeds(), text("out"), "{format}");
        assert_eq!(text("out"), text(&format!("bundle/{bundled}")), "{format}");
    }
    // The log certifies the digest of these bytes.
    let certified = Digest::compute(&dir.read("bundle/results.json")).to_hex();
    let leaves = String::from_utf8(dir.read("bundle/leaves.jsonl")).expect("UTF-8");
    assert!(leaves.contains("\"state\":\"certified\"") && leaves.contains(&certified));
    let csv = String::from_utf8(dir.read("bundle/results.csv")).expect("UTF-8");
    for row in [
        "law_id,kind,id,label_fr,label_en,count\r\n",
        "L2025-001,choice,oui,Oui,Yes,3\r\n",
        "L2025-001,choice,non,Non,No,2\r\n",
        "L2025-001,choice,blanc,Bulletin blanc,Blank ballot,1\r\n",
        "L2025-001,total,registered,",
    ] {
        assert!(csv.contains(row), "{row} in {csv}");
    }
    dir.run(&["export", "results", "--format", "xml", "--data", "node"])
        .fails(2, &["csv, json, nist"]);
    dir.run(&["export", "results", "--format", "csv", "--data", "node", "-o", "no/such/folder"])
        .fails(4, &["no/such/folder"]);
}

#[test]
fn a_bundle_is_the_same_from_the_node_and_from_its_data() {
    let dir = certified();
    let offline = dir.run(&["export", "bundle", "offline", "--data", "node"]);
    assert!(
        offline.succeeds().contains("offline: ") && offline.stdout.contains("leaves (certified)"),
        "{}",
        offline.stdout
    );
    let node = Node::serve(&dir);
    let report = dir.run(&["export", "bundle", "online", "--node", &node.public, "--json"]).json();
    dir.run(&["export", "bundle", "beside", "--data", "node"]).succeeds();
    node.stop();
    let written = files(&dir.path("offline"));
    assert_eq!(files(&dir.path("online")), written);
    assert_eq!(files(&dir.path("beside")), written);
    assert_eq!(report["files"], written.len());
    let fingerprint = report["policy_fingerprint"].as_str().expect("a fingerprint");
    dir.run(&["verify", "bundle", "online", "--fingerprint", fingerprint, "--shards", "hashes"])
        .succeeds();
    dir.run(&["verify", "bundle", "online"]).fails(6, &["hint: "]);
    dir.run(&["verify", "bundle", "online", "--fingerprint", &"0".repeat(64)]).fails(5, &[]);
}

#[test]
fn a_bundle_signed_under_another_policy_fails() {
    let (dir, other) = (certified(), certified());
    let fingerprint = |dir: &TestDir| {
        let report = dir.run(&["export", "bundle", "bundle", "--data", "node", "--json"]).json();
        report["policy_fingerprint"].as_str().expect("a fingerprint").to_owned()
    };
    let (pinned, theirs) = (fingerprint(&dir), fingerprint(&other));
    let forged = other.path("bundle");
    let forged = forged.to_str().expect("text");
    dir.run(&["verify", "bundle", forged, "--fingerprint", &theirs]).succeeds();
    let refused = dir.run(&["verify", "bundle", forged, "--fingerprint", &pinned]);
    refused.fails(5, &[]);
    assert!(refused.stdout.contains("policy"), "{}", refused.stdout);
}

#[test]
fn an_occupied_folder_is_refused_and_stays_as_it_is() {
    let dir = certified();
    dir.write("bundle", "a file");
    let refused = ["bundle already exists", "hint: choose another folder"];
    dir.run(&["export", "bundle", "bundle", "--data", "node"]).fails(4, &refused);
    assert_eq!(dir.read("bundle"), b"a file");
    std::fs::create_dir(dir.path("publication")).expect("made");
    dir.write("publication/notes.txt", "mine");
    dir.run(&["export", "bundle", "publication", "--data", "node"])
        .fails(4, &["publication already exists"]);
    assert_eq!(support::names_in(&dir.path("publication")), ["notes.txt"]);
    let before = dir.names();
    dir.run(&["export", "bundle", "new", "--data", "node", "--election", "NOPE"])
        .fails(3, &["no election NOPE"]);
    let node = Node::serve(&dir);
    let limited = format!(
        "trap '' XFSZ; ulimit -f 2; exec \"$VOTEKIT\" export bundle new --node {}",
        node.public
    );
    dir.shell(&limited).fails(4, &["cannot write new/", "hint: free space"]);
    node.stop();
    assert_eq!(dir.names(), before, "something half-written stayed");
    dir.run(&["export", "bundle", "new", "--data", "node"]).succeeds();
}

#[test]
fn a_bundle_can_be_made_while_the_poll_is_open() {
    let (dir, _) = poll::opened(3);
    let report = dir.run(&["export", "bundle", "bundle", "--data", "node", "--json"]).json();
    assert_eq!(report["state"], "open");
    let fingerprint = report["policy_fingerprint"].as_str().expect("a fingerprint");
    dir.run(&["verify", "bundle", "bundle", "--fingerprint", fingerprint]).succeeds();
}

#[test]
fn the_log_of_a_draft_is_read_from_its_data_or_with_the_token() {
    let (dir, _) = poll::drafted(3, &[]);
    let node = Node::serve(&dir);
    let online = ["export", "bundle", "online", "--node", &node.public];
    let hint = "hint: only officials can read the log of a draft until the poll opens";
    dir.run(&online).fails(3, &["no election has been opened yet", hint]);
    let named = [&online[..], &["--election", LAW]].concat();
    dir.run(&named).fails(3, &[hint, "--token-file"]);
    dir.write("wrong", "0".repeat(64));
    dir.run(&[&named[..], &["--token-file", "wrong"]].concat()).fails(4, &["token"]);
    assert!(!dir.path("online").exists(), "something half-written stayed");
    dir.run(&[&named[..], &["--token-file", "node/keys/admin-token"]].concat()).succeeds();
    dir.run(&["export", "bundle", "offline", "--data", "node"]).succeeds();
    assert_eq!(files(&dir.path("online")), files(&dir.path("offline")));
    node.stop();
    dir.run(&["export", "bundle", "x", "--data", "node", "--token-file", "wrong"])
        .fails(2, &["'--data <DIR>' cannot be used with '--token-file"]);
}
