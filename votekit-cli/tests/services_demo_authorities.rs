//! `votekit demo --authorities --engine services`, on real servers: each authority is a process.
#![cfg(feature = "services")]

mod support;

use support::{TestDir, services};

#[test]
fn another_process_leads_after_the_kill_and_the_bundle_verifies() {
    let dir = TestDir::new();
    let options = services::options();
    let options: Vec<&str> =
        ["--engine", "services"].into_iter().chain(options.iter().map(String::as_str)).collect();
    let demo = ["demo", "--authorities", "3", "--electors", "40", "--dir", "there", "--json"];
    let report = dir.run(&[&demo[..], &options[..]].concat()).json();
    assert_eq!((&report["authorities"], &report["quorum"]), (&3.into(), &2.into()));
    assert_ne!(report["killed_leader"], report["next_leader"]);
    assert_eq!(report["false_count"]["proposed_by"], report["killed_leader"]);
    assert_eq!(report["false_count"]["rule"], "differs");
    assert!(report["network_cut"].is_string(), "{report}");
    for name in ["quebec", "montreal", "laval", "ingest-1"] {
        assert!(dir.exists(&format!("there/{name}.log")), "{name} has a process of its own");
    }
    dir.run(&["verify", "bundle", "there/bundle", "--policy", "there/policy"]).succeeds();
}
