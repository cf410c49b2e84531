//! Hostile load during honest votes, against a real HTTP server.

use std::path::Path;
use std::sync::Arc;

use votekit_loadtests::LoadError;
use votekit_loadtests::ballot_mix::{BallotMix, MixOptions};
use votekit_loadtests::hostile::HostilePlan;
use votekit_loadtests::http_client::NodeUrl;
use votekit_loadtests::open_loop::{OpenLoopPlan, RunControl, run_open_loop};
use votekit_loadtests::report::OpenLoopReport;
use votekit_loadtests::roll_source::RollSource;
use votekit_loadtests::schedule::{Schedule, parse_duration};

use crate::node::{Action, Node, pending, write_roll};

fn run(folder: &Path, url: &str, hostile: HostilePlan) -> Result<OpenLoopReport, LoadError> {
    let roll = RollSource::open(&write_roll(folder, 100), &[]).expect("a good roll");
    let mix = Arc::new(BallotMix::new(roll, MixOptions::default()).expect("a good mix"));
    let schedule =
        Schedule::new("100".parse().expect("rate"), parse_duration("1s").expect("duration"))
            .expect("schedule");
    let plan = OpenLoopPlan {
        hostile,
        ..OpenLoopPlan::new(vec![NodeUrl::parse(url).expect("address")], schedule)
    };
    run_open_loop(&plan, mix, Arc::new(RunControl::default()))
}

/// The generator invents codes of 10 digits; those of the roll begin with a letter.
fn is_guess(code: &str) -> bool {
    code.len() == 10 && code.bytes().all(|byte| byte.is_ascii_digit())
}

#[test]
fn guesses_are_counted_apart_from_votes() {
    let folder = tempfile::tempdir().expect("folder");
    let refused = || Action::Answer(429, r#"{"code":"back-off"}"#.to_owned());
    let node = Node::start(move |n, vote| {
        let guess = is_guess(vote.body["code"].as_str().expect("a code"));
        if guess && n % 3 > 0 { refused() } else { pending(n) }
    });
    let plan = HostilePlan { guesses_per_second: 300, addresses: 3, ..HostilePlan::default() };
    let report = run(folder.path(), &node.url, plan).expect("the run");
    assert_eq!((report.sent, report.taken, report.to_taken_us.count), (100, 100, 100));
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    let hostile = report.hostile.clone().expect("there was some");
    let guesses = hostile.guesses.expect("there were some");
    assert!(guesses.refused_429 > 0 && guesses.stored_202 > 0, "{guesses:?}");
    assert_eq!((guesses.other, guesses.rate_asked, hostile.addresses), (0, 300, 3));
    let received = node
        .votes()
        .iter()
        .filter(|vote| is_guess(vote.body["code"].as_str().expect("a code")))
        .count() as u64;
    assert!(
        guesses.sent >= received && received >= guesses.refused_429 + guesses.stored_202,
        "{guesses:?} {received}"
    );
    assert!(hostile.idle.is_none() && hostile.slow.is_none());
    assert!(report.to_string().contains("300/s requested"), "{report}");
}

#[test]
fn connections_are_held_for_the_whole_run() {
    let folder = tempfile::tempdir().expect("folder");
    let node = Node::start(|n, _| pending(n));
    let plan = HostilePlan { idle_connections: 20, slow_connections: 10, ..HostilePlan::default() };
    let report = run(folder.path(), &node.url, plan).expect("the run");
    assert_eq!(report.taken, 100);
    assert_eq!(node.votes().len(), 100, "no request of a slow connection is ever whole");
    let hostile = report.hostile.expect("there was some");
    for (held, asked) in [(hostile.idle, 20), (hostile.slow, 10)] {
        let held = held.expect("there were some");
        assert_eq!(
            (held.asked, held.made, held.open_max, held.open_at_end),
            (asked, asked as u64, asked as u64, asked as u64)
        );
        assert_eq!((held.failed, held.closed_by_node), (0, 0));
    }
    assert!(hostile.guesses.is_none());
}

#[test]
fn busy_connections_replays_and_readers_are_counted_apart() {
    let folder = tempfile::tempdir().expect("folder");
    let node = Node::start(|n, _| pending(n));
    let plan = HostilePlan {
        busy_connections: 3,
        replay_connections: 2,
        reader_connections: 1,
        addresses: 2,
        ..HostilePlan::default()
    };
    let report = run(folder.path(), &node.url, plan).expect("the run");
    assert_eq!((report.sent, report.taken), (100, 100));
    let hostile = report.hostile.clone().expect("there was some");
    for (busy, connections) in [(&hostile.busy, 3), (&hostile.replays, 2), (&hostile.readers, 1)] {
        let busy = busy.as_ref().expect("there were some");
        assert_eq!((busy.connections, busy.failed), (connections, 0));
        assert!(busy.made >= connections as u64, "{busy:?}");
    }
    let replays = hostile.replays.expect("there were some").answers_by_status;
    let [votes, replayed] = [node.votes().len() as u64, replays.values().sum()];
    assert!(replays.keys().eq([&202]) && replayed > 0, "{replays:?}");
    // The last answer of a connection may not have been read.
    assert!((100 + replayed..=102 + replayed).contains(&votes), "{votes} {replayed}");
    assert!(report.to_string().contains("replays"), "{report}");
}

#[test]
fn impossible_plans_are_refused_before_the_run() {
    let folder = tempfile::tempdir().expect("folder");
    let refused = |url: &str, hostile| match run(folder.path(), url, hostile) {
        Err(LoadError::Plan { option, .. }) => option,
        other => panic!("{other:?}"),
    };
    let guesses = HostilePlan { guesses_per_second: 1, ..HostilePlan::default() };
    assert!(refused("https://127.0.0.1:1", guesses).contains("--guesses"));
    assert_eq!(
        refused("http://192.0.2.1:1", HostilePlan { addresses: 2, ..guesses }),
        "--hostile-addresses"
    );
    assert_eq!(
        refused("http://127.0.0.1:1", HostilePlan { addresses: 70_000, ..guesses }),
        "--hostile-addresses"
    );
}
