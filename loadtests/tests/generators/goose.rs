//! Goose's users against a real HTTP server.

use std::sync::Arc;

use crate::node::{Action, Node, pending, write_roll};
use votekit_loadtests::ballot_mix::{BallotKind, BallotMix, MixOptions};
use votekit_loadtests::goose_scenarios::{GooseOptions, run_goose};
use votekit_loadtests::http_client::NodeUrl;
use votekit_loadtests::roll_source::RollSource;

/// One test, because goose's stop switch and logger are global to the process.
#[test]
fn users_vote_follow_and_look_until_the_roll_is_used_up() {
    let folder = tempfile::tempdir().expect("folder");
    let node = Node::start(|n, _| {
        if n % 10 == 9 {
            Action::Answer(429, r#"{"code":"rate-limited"}"#.to_owned())
        } else {
            pending(n)
        }
    });
    let roll = RollSource::open(&write_roll(folder.path(), 90), &[]).expect("a good roll");
    let options = MixOptions { duplicates: "10%".parse().expect("share"), ..MixOptions::default() };
    let mix = Arc::new(BallotMix::new(roll, options).expect("a good mix"));
    let report = folder.path().join("report.json");
    let options = GooseOptions {
        users: Some(4),
        hatch_rate: Some("100".to_owned()),
        run_time: Some("60s".to_owned()),
        report_files: vec![report.clone(), folder.path().join("report.html")],
        idempotency_keys: true,
        ..GooseOptions::default()
    };
    let summary =
        run_goose(&NodeUrl::parse(&node.url).expect("address"), &options, mix).expect("the run");

    assert!(summary.roll_used_up, "{summary}");
    assert_eq!(
        (summary.votes_by_kind[&BallotKind::First], summary.votes_by_kind[&BallotKind::Duplicate]),
        (90, 10)
    );
    let votes = node.votes();
    assert_eq!(votes.len(), 100);
    assert!(votes.iter().all(|vote| vote.key.is_some()));
    assert_eq!(summary.errors.len(), 1);
    assert_eq!((summary.errors[0].failure.status, summary.errors[0].count), (Some(429), 10));
    assert!(summary.requests.contains_key("POST vote"), "{:?}", summary.requests.keys());
    let written = std::fs::read_to_string(&report).expect("goose's report");
    assert!(
        !written.contains("SECRET")
            && !serde_json::to_string(&summary).expect("JSON").contains("SECRET")
    );
    assert!(folder.path().join("report.html").exists() && summary.to_string().contains("vote"));
}
