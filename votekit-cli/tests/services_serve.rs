//! `votekit serve --roles`, on real servers: one process per role, and processes that join and
//! leave while the poll is open.
#![cfg(feature = "services")]

mod support;

use std::time::{Duration, Instant};

use support::http::Http;
use support::node::Node;
use support::poll::{self, Elector, LAW};
use support::{Outcome, TestDir, services};

/// Time limit for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// Returns the options for the servers, with a prefix and a schema that no other test uses.
fn corner() -> Vec<String> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos();
    let name = format!("serve_{}_{now}", std::process::id());
    let with = |option: &str, variable: &str, parameter: &str| {
        [
            option.to_owned(),
            format!("{}?{parameter}={name}", services::address(variable).trim_end_matches('/')),
        ]
    };
    [
        with("--registry", "VOTEKIT_TEST_REDIS", "prefix"),
        with("--ballot-box", "VOTEKIT_TEST_AMQP", "prefix"),
        with("--ledger", "VOTEKIT_TEST_POSTGRES", "schema"),
    ]
    .concat()
}

fn serve(dir: &TestDir, corner: &[String], name: &str, role: &str) -> Node {
    let mut options = vec![
        "--name",
        name,
        "--roles",
        role,
        "--rate-limit",
        "0",
        "--log-base",
        "elections.example",
    ];
    options.extend(corner.iter().map(String::as_str));
    Node::serve_with(dir, &options)
}

/// Retries until it succeeds: a node becomes leader shortly after its start, and the log reaches
/// the others shortly after it has grown.
fn insist(what: &str, mut done: impl FnMut() -> Option<Outcome>) -> Outcome {
    let begun = Instant::now();
    loop {
        if let Some(outcome) = done() {
            return outcome;
        }
        assert!(begun.elapsed() < WAIT_TIMEOUT, "waited for: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn admin(dir: &TestDir, sealer: &Node, arguments: &[&str]) -> Outcome {
    let arguments = [arguments, &["--node", &sealer.admin, "--data", "node"]].concat();
    insist(&format!("{arguments:?}"), || {
        Some(dir.run(&arguments)).filter(|outcome| !outcome.stderr.contains("lead"))
    })
}

/// Waits until a node accepts votes, then casts one vote of each elector.
fn cast(dir: &TestDir, node: &Node, electors: &[Elector]) {
    let http = Http::new();
    let begun = Instant::now();
    let ready = || {
        let election = http.get(&format!("{}/api/v1/elections/{LAW}", node.public));
        let health = http.get(&format!("{}/api/v1/health", node.public));
        health.status == 200 && election.status == 200 && election.json()["state"] == "open"
    };
    while !ready() {
        assert!(begun.elapsed() < WAIT_TIMEOUT, "a node does not take votes");
        std::thread::sleep(Duration::from_millis(50));
    }
    dir.write("votes.csv", poll::votes(electors.iter().map(|elector| (elector, "oui"))));
    dir.run(&["cast", "--node", &node.public, "--from", "votes.csv"]).succeeds();
}

#[test]
fn each_role_is_a_process_and_processes_come_and_go() {
    let (dir, electors) = poll::hashed(60);
    let corner = corner();
    let sealer = serve(&dir, &corner, "sealer-1", "seal");
    let validator = serve(&dir, &corner, "validator-1", "validate");
    let first = serve(&dir, &corner, "ingest-1", "ingest");
    admin(&dir, &sealer, &["load", "hashes", "--pepper-file", "referendum.pepper"]).succeeds();
    admin(&dir, &sealer, &["election", "create", LAW, "--title-fr", "Loi", "--title-en", "Act"])
        .succeeds();
    admin(&dir, &sealer, &["election", "open", LAW, "--yes"]).succeeds();
    cast(&dir, &first, &electors[..20]);

    // Another ingest node joins while the poll is open; no other node is restarted for it.
    let second = serve(&dir, &corner, "ingest-2", "ingest");
    let health = Http::new().get(&format!("{}/api/v1/health", second.public));
    assert!(health.status == 503 && health.body.contains("does not admit it"), "{}", health.body);
    admin(&dir, &sealer, &["node", "admit", LAW, "ingest-2"]).succeeds();
    cast(&dir, &second, &electors[20..40]);
    second.stop();

    // Another validator replaces the first.
    let other = serve(&dir, &corner, "validator-2", "validate");
    validator.stop();
    cast(&dir, &first, &electors[40..]);

    let closed = admin(&dir, &sealer, &["election", "close", LAW, "--yes"]);
    assert!(closed.succeeds().contains("received     60 (accepted 60,"), "{}", closed.stdout);
    // A node that accepts votes serves no results; a node that follows the log does.
    let refused = Http::new().get(&format!("{}/api/v1/results/{LAW}", first.public));
    assert!(refused.status == 421 && refused.body.contains("role query"), "{}", refused.body);
    let query = serve(&dir, &corner, "query-1", "query");
    let results = Http::new().get(&format!("{}/api/v1/results/{LAW}", query.public)).json();
    assert_eq!((&results["state"], &results["accepted"]), (&"closed".into(), &60.into()));
    query.stop();
    [first, other, sealer].into_iter().for_each(Node::stop);
    // Without its options a folder does not become a new installation.
    dir.run(&["serve", "--data", "node", "--name", "ingest-1"])
        .fails(4, &["its ledger is on services", "hint: "]);
}
