//! `votekit demo --authorities`: the leader is killed, a false count is refused, a network is cut,
//! and the result is signed by a quorum.
#![cfg(feature = "node")]

mod support;

use support::{TestDir, names_in};

#[test]
fn another_authority_leads_after_the_kill_and_the_bundle_verifies() {
    let dir = TestDir::new();
    let demo = dir.run(&["demo", "--authorities", "3", "--electors", "40", "--dir", "there"]);
    demo.succeeds();
    for part in [
        "A referendum of 40 electors, decided by 3 authorities with a quorum of 2, in ",
        "The leader was killed",
        " ms until the first vote was decided",
        "A false count was proposed by ",
        ", by the rule differs",
        " was cut, and restored",
        "Verified: bundle and receipt, against the pinned policy",
        "there/bundle",
    ] {
        assert!(demo.stdout.contains(part), "no {part:?} in {}", demo.stdout);
    }
    let name = |line: &str| {
        let name = demo.stdout.lines().find_map(|other| other.trim().strip_prefix(line));
        name.expect("a name").trim().to_owned()
    };
    let (before, after) = (name("before"), name("after"));
    assert_ne!(before, after);
    for part in [
        "quorum 2 of 3; the policy of the election is pinned".to_owned(),
        format!("{before} is killed"),
        format!("{after} leads now: the vote was decided "),
        format!("{before} leads for a moment, and exchanges the counts of two choices"),
        " made the block too, and refused it at leaf ".to_owned(),
        format!("{before} has checked the log, and has what the others have"),
        " is cut off: the others decide the vote without it".to_owned(),
        "VERIFIED".to_owned(),
    ] {
        assert!(demo.stderr.contains(&part), "no {part:?} in {}", demo.stderr);
    }
    // Only the node that takes the votes can hash a credential.
    let peppers = |node: &str| names_in(&dir.path(&format!("there/{node}/keys/pepper"))).len();
    assert_eq!(["quebec", "montreal", "laval", "ingest-1"].map(peppers), [0, 0, 0, 1]);
    // The policy that was pinned before the first vote is that of the file of the authorities.
    let file = ["policy", "show", "--authorities", "there/authorities", "L2025-001"];
    assert_eq!(dir.run(&file).succeeds().as_bytes(), dir.read("there/policy"));
    let bundle = ["verify", "bundle", "there/bundle", "--policy", "there/policy", "--json"];
    let verified = dir.run(&bundle).json();
    assert_eq!(verified["verified"], true);
    let cosigned_by = verified["cosigned_by"].as_array().expect("names");
    assert!(cosigned_by.len() >= 2, "{cosigned_by:?}");
}

#[test]
fn four_authorities_have_a_quorum_of_three() {
    let dir = TestDir::new();
    let four = ["demo", "--authorities", "4", "--electors", "20", "--dir", "there", "--json"];
    let demo = dir.run(&four);
    let report = demo.json();
    assert_eq!((&report["authorities"], &report["quorum"]), (&4.into(), &3.into()));
    assert_ne!(report["killed_leader"], report["next_leader"]);
    assert!(report["failover_milliseconds"].as_u64().is_some_and(|took| took > 0), "{report}");
    let false_count = &report["false_count"];
    assert_eq!(false_count["proposed_by"], report["killed_leader"]);
    assert_eq!(false_count["rule"], "differs");
    let refused_by = false_count["refused_by"].as_array().expect("names");
    assert!(!refused_by.is_empty() && !refused_by.contains(&report["killed_leader"]), "{report}");
    let cut = &report["network_cut"];
    assert!(cut.is_string() && *cut != report["killed_leader"], "{report}");
    assert_eq!(demo.stderr, "");
}

#[test]
fn other_numbers_and_a_kept_node_are_refused() {
    let dir = TestDir::new();
    for number in ["1", "2", "5"] {
        dir.run(&["demo", "--authorities", number]).fails(2, &["--authorities"]);
    }
    for other in ["--keep", "--web"] {
        dir.run(&["demo", "--authorities", "3", other]).fails(2, &[other]);
    }
    assert!(!dir.exists("votekit-demo"));
}
