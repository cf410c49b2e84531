//! `votekit demo --authorities --engine services`, on real servers: each authority is a process.
#![cfg(feature = "services")]

mod support;

use support::TestDir;

fn server(variable: &str) -> String {
    let unset = |_| {
        panic!(
            "{variable} is not set: `cargo xtask test` starts the servers, or `cargo xtask services up`"
        )
    };
    std::env::var(variable).unwrap_or_else(unset)
}

#[test]
fn another_process_leads_after_the_kill_and_the_bundle_verifies() {
    let dir = TestDir::new();
    let [registry, ballot_box, ledger] =
        ["VOTEKIT_TEST_REDIS", "VOTEKIT_TEST_AMQP", "VOTEKIT_TEST_POSTGRES"].map(server);
    let services = [
        "--engine",
        "services",
        "--registry",
        &registry,
        "--ballot-box",
        &ballot_box,
        "--ledger",
        &ledger,
    ];
    let demo = ["demo", "--authorities", "3", "--electors", "40", "--dir", "there", "--json"];
    let report = dir.run(&[&demo[..], &services].concat()).json();
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
