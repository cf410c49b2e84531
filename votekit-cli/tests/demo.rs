//! `votekit demo`: a whole referendum, as a newcomer runs it.
#![cfg(feature = "node")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;
use support::TestDir;
use support::http::Http;
use support::node::terminate;

#[test]
fn demo_report_names_every_kind_of_vote() {
    let dir = TestDir::new();
    let demo = dir.run(&["demo", "--electors", "60"]);
    for part in [
        "A referendum of 60 electors, held and verified in",
        " accepted ",
        " duplicate ",
        " unknown ",
        " revoked ",
        " refused ",
        " repeated ",
        "The result (turnout ",
        "Verified: bundle and receipt, against the pinned policy",
        "votekit-demo/bundle",
    ] {
        assert!(demo.succeeds().contains(part), "no {part:?} in {}", demo.stdout);
    }
    for part in [
        "$ votekit hashgen ",
        "$ votekit verify bundle ",
        "the published totals are confirmed",
        "VERIFIED",
    ] {
        assert!(demo.stderr.contains(part), "no {part:?} in {}", demo.stderr);
    }
    // The commands that it shows can be run again.
    dir.run(&["verify", "bundle", "votekit-demo/bundle", "--policy", "votekit-demo/policy"])
        .succeeds();
    let receipt =
        ["verify", "receipt", "votekit-demo/receipt.tlog-proof", "--policy", "votekit-demo/policy"];
    dir.run(&[&receipt[..], &["--bundle", "votekit-demo/bundle"]].concat()).succeeds();
    dir.run(&["demo"]).fails(4, &["votekit-demo already exists", "hint: choose another folder"]);
    dir.run(&["demo", "--electors", "3"]).fails(2, &["20.."]);
}

#[test]
fn demo_json_report_is_one_line_with_the_same_content() {
    let dir = TestDir::new();
    let demo = dir.run(&["demo", "--electors", "20", "--dir", "there", "--json"]);
    let report = demo.json();
    assert_eq!(demo.stdout.lines().count(), 1);
    assert_eq!((&report["electors"], &report["node"]), (&20.into(), &Value::Null));
    let bundle = std::fs::read_to_string(dir.path("there/bundle/leaves.jsonl")).expect("the log");
    assert_eq!(report["log_leaves"], bundle.lines().count());
    let results = dir.run(&["results", "--data", "there/node", "--json"]).json();
    for row in report["results"].as_array().expect("rows") {
        let count = results["choices"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|choice| choice["id"] == row[0]);
        assert_eq!(count.expect("the choice")["count"], row[1]);
    }
    assert_eq!(demo.stderr, "");
}

#[test]
fn with_keep_the_node_serves_until_a_signal_stops_it() {
    let dir = TestDir::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_votekit"));
    command
        .args(["demo", "--electors", "20", "--dir", "there", "--keep", "--json"])
        .current_dir(dir.path(""));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut demo = childguard::guard(&mut command).spawn().expect("it starts");
    let mut line = String::new();
    BufReader::new(demo.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
    let report: Value = serde_json::from_str(&line).expect("JSON");
    let node = report["node"].as_str().expect("an address");
    assert_eq!(Http::new().get(&format!("{node}/api/v1/results/L2025-001")).status, 200);
    terminate(demo.id());
    let ended = demo.wait().expect("it ends");
    assert!(ended.success(), "{ended}");
    // The node has stopped too: the folder is free.
    dir.run(&["election", "list", "--data", "there/node"]).succeeds();
}

#[test]
fn with_web_it_prints_the_pages_credentials_and_the_invitations() {
    let dir = TestDir::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_votekit"));
    command.args(["demo", "--web", "--dir", "there", "--json"]).current_dir(dir.path(""));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut demo = childguard::guard(&mut command).spawn().expect("it starts");
    let mut line = String::new();
    BufReader::new(demo.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
    let report: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(report["electors"], 20);
    let http = Http::new();
    let pages = report["pages"].as_array().expect("pages");
    for page in pages {
        let answer = http.get(page["url"].as_str().expect("an address"));
        assert_eq!(answer.status, 200, "{page}");
        assert!(answer.body.contains("<html lang="), "{page}");
    }
    assert_eq!(pages.len(), 6);
    let credentials = report["credentials"].as_array().expect("credentials");
    assert_eq!(credentials.len(), 5);
    for credential in credentials {
        assert_eq!(credential["nas"].as_str().map(str::len), Some(9), "{credential}");
        assert!(credential["code"].is_string(), "{credential}");
    }
    let accounts = report["accounts"].as_array().expect("accounts");
    let expected = [("official@example.com", "administrator"), ("alice@example.com", "voter")];
    assert_eq!(accounts.len(), expected.len());
    for (account, (email, role)) in accounts.iter().zip(expected) {
        assert_eq!((&account["email"], &account["role"]), (&email.into(), &role.into()));
        let link = account["link"].as_str().expect("a link");
        assert!(link.starts_with(report["node"].as_str().expect("an address")), "{link}");
        // Opening it does not use it up.
        for _ in 0..2 {
            assert_eq!(http.get(link).status, 200, "{link}");
        }
    }
    let node = report["node"].as_str().expect("an address");
    let elections = http.get(&format!("{node}/api/v1/elections")).json();
    let open = |index: usize| {
        let election = &elections[index];
        (election["law_id"].as_str(), election["state"].as_str(), election["registered"].as_u64())
    };
    assert_eq!(open(0), (Some("L2025-001"), Some("open"), Some(20)));
    assert_eq!(open(1), (Some("M2025-001"), Some("open"), Some(1)));
    terminate(demo.id());
    let ended = demo.wait().expect("it ends");
    assert!(ended.success(), "{ended}");
    dir.run(&["demo", "--web", "--keep"]).fails(2, &["--keep"]);
}
