//! `votekit ballot-key`, and the elections that are created with such a key.
#![cfg(feature = "node")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use support::node::Node;
use support::{Outcome, TestDir, mode_of, poll};

/// Generates a key, and returns its public half.
fn generate(dir: &TestDir, file: &str) -> String {
    dir.run(&["ballot-key", "generate", "-o", file]).succeeds().trim_end().to_owned()
}

/// Creates an election with a key.
fn create(dir: &TestDir, law: &str, key: &str, more: &[&str]) -> Outcome {
    let create = ["election", "create", law, "--title-fr", "Eau", "--title-en", "Water"];
    dir.run(&[&create[..], &["--ballot-key", key, "--data", "node"], more].concat())
}

#[test]
fn a_ballot_key_is_private_and_its_public_half_is_printed() {
    let dir = TestDir::new();
    let made = dir.run(&["ballot-key", "generate", "-o", "k"]);
    let public = made.succeeds().trim_end().to_owned();
    assert_eq!((public.len(), mode_of(&dir.path("k"))), (64, 0o600));
    let file = String::from_utf8(dir.read("k")).expect("text");
    let secret = &file[..64];
    assert_ne!(secret, public);
    assert!(!made.stdout.contains(secret) && !made.stderr.contains(secret));
    let shown = dir.run(&["ballot-key", "show", "k"]);
    assert_eq!(shown.succeeds().trim_end(), public);
    assert_eq!(dir.run(&["--json", "ballot-key", "show", "k"]).json()["public_key"], public);
    dir.run(&["ballot-key", "generate", "-o", "k"]).fails(4, &["k already exists"]);
    assert_ne!(generate(&dir, "other"), public);
    dir.write("bad", format!("1{}", &file[1..]));
    let refused = dir.run(&["ballot-key", "show", "bad"]);
    refused.fails(3, &["bad: the key does not match its check"]);
    assert!(!refused.stderr.contains(&secret[1..]));
    dir.write("short", "c0ffee");
    dir.run(&["ballot-key", "show", "short"]).fails(3, &["short: not a key file"]);
}

#[test]
fn an_election_is_created_with_the_key_of_the_officials() {
    let (dir, _) = poll::loaded(3);
    let public = generate(&dir, "k");
    let created = create(&dir, poll::LAW, "k", &[]);
    created.succeeds();
    assert!(created.stderr.contains(&public), "{}", created.stderr);
    assert_eq!(dir.read(&format!("node/keys/ballot/{}", poll::LAW)), dir.read("k"));
    create(&dir, "L2", "k", &[]).fails(3, &["it is the ballot key of L2025-001"]);
    create(&dir, poll::LAW, "k", &[]).fails(3, &["already exists"]);
    // A refused creation is repeated with the same key.
    generate(&dir, "second");
    generate(&dir, "third");
    create(&dir, "L2", "second", &["--opens", "2001-01-01T00:00:00Z"]).fails(3, &["opens: "]);
    create(&dir, "L2", "third", &[]).fails(3, &["contains another ballot key"]);
    create(&dir, "L2", "second", &[]).succeeds();
    // The log states the public half.
    dir.run(&["election", "open", poll::LAW, "--yes", "--data", "node"]).succeeds();
    let export = ["export", "bundle", "bundle", "--election", poll::LAW, "--data", "node"];
    dir.run(&export).succeeds();
    let stated = dir.shell(&format!("grep -raq {public} bundle"));
    stated.succeeds();
}

#[test]
fn files_that_are_no_private_keys_are_refused() {
    let (dir, _) = poll::loaded(3);
    generate(&dir, "k");
    fs::set_permissions(dir.path("k"), Permissions::from_mode(0o644)).expect("changed");
    create(&dir, poll::LAW, "k", &[]).fails(4, &["other accounts have access to it (mode 0644)"]);
    create(&dir, poll::LAW, "absent", &[]).fails(3, &["the node cannot read this file"]);
    create(&dir, poll::LAW, ".", &[]).fails(3, &["it is a folder"]);
    fs::set_permissions(dir.path("k"), Permissions::from_mode(0o600)).expect("changed");
    let node = Node::serve(&dir);
    create(&dir, poll::LAW, "k", &["--node", &node.admin]).succeeds();
    assert_eq!(dir.read(&format!("node/keys/ballot/{}", poll::LAW)), dir.read("k"));
    node.stop();
}
