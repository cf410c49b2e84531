//! `votekit results`.
#![cfg(feature = "node")]

mod support;

use support::node::Node;
use support::poll::{self, LAW};

const RESULTS: [&str; 3] = ["results", "--data", "node"];

#[test]
fn live_results_are_seen_while_voting() {
    let (dir, electors) = poll::opened(9);
    let choices = ["oui", "oui", "oui", "non", "blanc"];
    dir.write("votes.csv", poll::votes(electors.iter().zip(choices)));
    let node = Node::serve(&dir);
    dir.run(&["cast", "--node", &node.public, "--from", "votes.csv"]).succeeds();
    let shown = dir.run(&["results", "--node", &node.public]);
    let row = |name: &str, count: u32| format!("  {name:<24} {count:>10}\n");
    let counts = [row("oui", 3), row("non", 1), row("blanc", 1), row("total", 5)].concat();
    let table = format!(
        "L2025-001: Loi sur l’eau / Water Act (open)\n{counts}  turnout 55.55 % of 9 registered\n"
    );
    assert_eq!(shown.succeeds(), table);
    // The data folder can be read while a node uses it.
    assert_eq!(dir.run(&RESULTS).succeeds(), table);
    let json = dir.run(&["results", "--node", &node.public, "--json"]).json();
    assert_eq!(
        (&json["oui_count"], &json["non_count"], &json["blank_count"]),
        (&3.into(), &1.into(), &1.into())
    );
    assert_eq!(
        (&json["total_votes"], &json["turnout"], &json["state"]),
        (&5.into(), &"55.55".into(), &"open".into())
    );
    node.stop();
    assert_eq!(dir.run(&RESULTS).succeeds(), table);
}

/// Results are updated by several votes at once, with as many votes withheld; turnout is updated
/// with each vote.
#[test]
fn the_votes_that_results_hold_back_are_named() {
    let (dir, electors) = poll::drafted(9, &["--publish-every", "2"]);
    dir.run(&["election", "open", LAW, "--yes", "--data", "node"]).succeeds();
    let node = Node::serve(&dir);
    // One by one, each in a separate block.
    for (elector, choice) in electors.iter().zip(["oui", "oui", "non", "non", "non"]) {
        dir.write("votes.csv", poll::votes([(elector, choice)]));
        dir.run(&["cast", "--node", &node.public, "--from", "votes.csv"]).succeeds();
    }
    let said =
        "  turnout 55.55 % of 9 registered\n  5 votes are accepted, of which the results show 2\n";
    for shown in [dir.run(&["results", "--node", &node.public]), dir.run(&RESULTS)] {
        assert!(shown.succeeds().ends_with(said), "{}", shown.stdout);
        assert!(shown.stdout.contains(&format!("  {:<24} {:>10}\n", "oui", 2)), "{}", shown.stdout);
    }
    dir.run(&["export", "bundle", "bundle", "--data", "node"]).succeeds();
    let verified = dir.run(&["verify", "bundle", "bundle", "--policy", "bundle/policy"]);
    let said = "2  in all, turnout 55.55 %\n           5  accepted, the latest of them held back\n";
    assert!(verified.succeeds().contains(said), "{}", verified.stdout);
    node.stop();
}

#[test]
fn withheld_results_are_not_to_be_had_before_the_close() {
    let (dir, electors) = poll::drafted(4, &["--results", "after_close"]);
    dir.run(&["election", "open", LAW, "--yes", "--data", "node"]).succeeds();
    let node = Node::serve(&dir);
    dir.write("votes.csv", poll::votes(electors.iter().map(|elector| (elector, "oui"))));
    dir.run(&["cast", "--node", &node.public, "--from", "votes.csv"]).succeeds();
    let withheld =
        ["the results of L2025-001 have not been opened", "hint: they are opened at the close"];
    dir.run(&["results", "--node", &node.public]).fails(3, &withheld);
    dir.run(&RESULTS).fails(3, &withheld);
    for format in ["csv", "json", "nist"] {
        dir.run(&["export", "results", "--format", format, "--data", "node", "-o", "out"])
            .fails(3, &withheld);
    }
    assert!(!dir.exists("out"));
    dir.run(&["election", "close", LAW, "--yes", "--node", &node.admin, "--data", "node"])
        .succeeds();
    assert_eq!(dir.run(&["results", "--node", &node.public, "--json"]).json()["oui_count"], 4);
    assert_eq!(dir.run(&[&RESULTS[..], &["--json"]].concat()).json()["oui_count"], 4);
}

#[test]
fn among_several_elections_one_is_chosen() {
    let (dir, _) = poll::opened(3);
    dir.run(&[
        "election",
        "create",
        "L2",
        "--title-fr",
        "Air",
        "--title-en",
        "Air",
        "--data",
        "node",
    ])
    .succeeds();
    dir.run(&RESULTS)
        .fails(2, &["there are several elections", "hint: choose with --election: L2025-001, L2"]);
    dir.run(&[&RESULTS[..], &["--election", "L3"]].concat())
        .fails(3, &["no election L3", "hint: the elections are: L2025-001, L2"]);
    let node = Node::serve(&dir);
    // A draft is not public: the node has one election for voters.
    dir.run(&["results", "--node", &node.public]).fails(3, &["the results of L2025-001"]);
    dir.run(&["results", "--node", &node.public, "--election", "L3"]).fails(3, &["election"]);
    dir.run(&["export", "bundle", "bundle", "--data", "node"]).fails(2, &["several elections"]);
    dir.run(&["recount", "--data", "node"]).fails(2, &["several elections"]);
    dir.run(&["results"]).fails(2, &["--node"]);
    dir.run(&["results", "--node", &node.public, "--data", "node"])
        .fails(2, &["cannot be used with"]);
    dir.run(&["results", "--data", "hashes"]).fails(3, &["hashes", "data folder of a node"]);
}
