//! `votekit review`, in a data folder.
#![cfg(feature = "node")]

mod support;

use support::TestDir;
use support::node::Node;
use support::poll::{self, LAW};

/// A folder with a stopped node that has three accepted votes, two further attempts of the first
/// elector, and one vote with an unknown credential.
fn reviewed() -> TestDir {
    let (dir, electors) = poll::opened(4);
    let mut stranger = electors[3].clone();
    stranger.code = "ZZZZ99".to_owned();
    let first = &electors[0];
    let votes = [(first, "oui"), (&electors[1], "oui"), (&electors[2], "non")];
    let node = Node::serve(&dir);
    for (name, rows) in [
        ("first.csv", &votes[..]),
        ("again.csv", &[(first, "non")]),
        ("third.csv", &[(first, "oui")]),
    ] {
        dir.write(name, poll::votes(rows.iter().copied()));
        dir.run(&["cast", "--node", &node.public, "--from", name]);
    }
    dir.write("stranger.csv", poll::votes([(&stranger, "oui")]));
    dir.run(&["cast", "--node", &node.public, "--from", "stranger.csv"]);
    node.stop();
    dir
}

fn list(dir: &TestDir, more: &[&str]) -> Vec<serde_json::Value> {
    let listed = dir.run(&[&["review", "list", "--data", "node", "--json"], more].concat()).json();
    listed.as_array().expect("a list").clone()
}

#[test]
fn votes_that_did_not_count_are_listed_shown_and_proven() {
    let dir = reviewed();
    let all = list(&dir, &[]);
    let decisions: Vec<_> = all
        .iter()
        .map(|case| (case["decision"].clone(), case["attempt"].clone(), case["reason"].clone()))
        .collect();
    let none = serde_json::Value::Null;
    assert_eq!(
        decisions,
        [
            ("duplicate".into(), 2.into(), none.clone()),
            ("duplicate".into(), 3.into(), none.clone()),
            ("invalid".into(), none, "unknown".into())
        ]
    );
    assert_eq!(list(&dir, &["--decision", "duplicate"]), all[..2]);
    assert_eq!(list(&dir, &["--decision", "invalid", "--reason", "unknown"]), all[2..]);
    assert!(list(&dir, &["--reason", "late"]).is_empty());
    assert!(list(&dir, &["--from-node", "0000000000000000"]).is_empty());
    let table = dir.run(&["review", "list", "--data", "node"]);
    assert!(
        table.succeeds().contains("attempt 2") && table.stdout.ends_with("3 requests\n"),
        "{}",
        table.stdout
    );

    let request = all[0]["request"].as_str().expect("a request");
    let shown = dir
        .run(&["review", "show", request, "--data", "node", "--json", "-o", "request.receipt"])
        .json();
    assert_eq!(
        (&shown["attempts"], &shown["attempt"], &shown["law_id"]),
        (&3.into(), &2.into(), &LAW.into())
    );
    let accepted = shown["accepted_request"].as_str().expect("the request that counts");
    assert!(accepted != request && !shown.to_string().contains("oui"), "{shown}");
    let people = dir.run(&["review", "show", request, "--data", "node"]);
    assert!(
        people.succeeds().contains(&format!("the request that counts is {accepted}")),
        "{}",
        people.stdout
    );

    // The proof is an ordinary receipt: it verifies against the policy of the published bundle.
    dir.run(&["export", "bundle", "publication", "--data", "node"]).succeeds();
    dir.run(&["verify", "receipt", "request.receipt", "--policy", "publication/policy"]).succeeds();
    let never = "00".repeat(16);
    dir.run(&["review", "show", &never, "--data", "node"])
        .fails(3, &["has no request 0000", "hint: `votekit review list`"]);
    dir.run(&["review", "show", "nonsense", "--data", "node"]).fails(2, &[]);
}

#[test]
fn remarks_are_kept_beside_the_log() {
    let dir = reviewed();
    let request = list(&dir, &[])[0]["request"].as_str().expect("a request").to_owned();
    let mark = |text: &str| {
        dir.run(&[
            "review", "annotate", &request, "--by", "M. Roy", "--text", text, "--data", "node",
        ])
    };
    mark("letter returned").succeeds();
    mark("new code sent, \"in time\"").succeeds();
    mark("NAS 123 456 789").fails(3, &["nine digits"]);
    mark(&"x".repeat(2001)).fails(3, &["at most 2000 bytes"]);
    let never = "00".repeat(16);
    dir.run(&["review", "annotate", &never, "--by", "M. Roy", "--text", "what?", "--data", "node"])
        .fails(3, &["has no request"]);

    let marked = &list(&dir, &[])[0];
    let texts: Vec<_> = marked["remarks"]
        .as_array()
        .expect("remarks")
        .iter()
        .map(|remark| remark["text"].clone())
        .collect();
    assert_eq!(texts, ["letter returned", "new code sent, \"in time\""]);
    assert_eq!(list(&dir, &["--unmarked"]).len(), 2);

    let exported = dir.run(&["review", "export", "--format", "csv", "--data", "node"]);
    let mut rows = exported.succeeds().lines();
    assert_eq!(
        rows.next(),
        Some("request_id,status,attempt,reason,minute,batch,leaf_index,remarks")
    );
    assert!(
        rows.next().is_some_and(|row| row.starts_with(&format!("{request},duplicate,2,,"))),
        "{}",
        exported.stdout
    );
    dir.run(&["review", "export", "--format", "json", "--data", "node", "-o", "review.json"])
        .succeeds();
    let exported: serde_json::Value =
        serde_json::from_slice(&dir.read("review.json")).expect("JSON");
    assert_eq!(exported, serde_json::Value::Array(list(&dir, &[])));

    // A node restarted on the folder reads its log as before.
    let node = Node::serve(&dir);
    dir.run(&[
        "review", "annotate", &request, "--by", "M. Roy", "--text", "late", "--data", "node",
    ])
    .fails(4, &["another process has it open", "hint: if a node is running"]);
    assert_eq!(list(&dir, &[]).len(), 3, "lists beside a running node");
    node.stop();
}
