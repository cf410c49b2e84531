//! The open loop against a real HTTP server that stalls, refuses, hangs up and forgets.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::node::{Action, Node, pending, write_roll};
use votekit_loadtests::LoadError;
use votekit_loadtests::ballot_mix::{BallotMix, MixOptions};
use votekit_loadtests::http_client::NodeUrl;
use votekit_loadtests::journal::JournalLine;
use votekit_loadtests::open_loop::{OpenLoopPlan, RunControl, run_open_loop};
use votekit_loadtests::report::OpenLoopReport;
use votekit_loadtests::roll_source::RollSource;
use votekit_loadtests::schedule::{Schedule, parse_duration};

/// An upper bound for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

fn mix(folder: &Path, rows: u32, options: MixOptions) -> Arc<BallotMix> {
    let roll = RollSource::open(&write_roll(folder, rows), &[]).expect("a good roll");
    Arc::new(BallotMix::new(roll, options).expect("a good mix"))
}

fn plan(url: &str, rate: &str, duration: &str) -> OpenLoopPlan {
    let schedule =
        Schedule::new(rate.parse().expect("rate"), parse_duration(duration).expect("duration"))
            .expect("schedule");
    OpenLoopPlan::new(vec![NodeUrl::parse(url).expect("address")], schedule)
}

fn run(plan: &OpenLoopPlan, mix: &Arc<BallotMix>) -> OpenLoopReport {
    run_open_loop(plan, Arc::clone(mix), Arc::new(RunControl::default())).expect("the run")
}

fn errors(report: &OpenLoopReport) -> HashMap<(String, Option<u16>, Option<String>), u64> {
    let key = |failure: &votekit_loadtests::report::FailureKind| {
        (
            failure.kind.to_owned(),
            failure.status,
            failure.code.as_ref().map(|code| code.as_str().to_owned()),
        )
    };
    report.errors.iter().map(|error| (key(&error.failure), error.count)).collect()
}

#[test]
fn every_vote_arrives_once_and_is_counted() {
    let folder = tempfile::tempdir().expect("folder");
    let node = Node::start(|n, _| pending(n));
    let options = MixOptions { duplicates: "10%".parse().expect("share"), ..MixOptions::default() };
    let mix = mix(folder.path(), 300, options);
    let plan = OpenLoopPlan {
        idempotency_keys: true,
        threads: 2,
        connections: 8,
        ..plan(&node.url, "300", "1s")
    };
    let report = run(&plan, &mix);
    let votes = node.votes();
    assert_eq!(
        (report.planned, report.sent, report.answered, report.taken, votes.len()),
        (300, 300, 300, 300, 300)
    );
    assert_eq!(report.to_taken_us.count, 300);
    assert_eq!(
        votes.iter().filter_map(|vote| vote.key.clone()).collect::<BTreeSet<_>>().len(),
        300,
        "each has its own key"
    );
    let electors: BTreeSet<_> = votes.iter().map(|vote| vote.body["nas"].to_string()).collect();
    assert_eq!(electors.len(), 270);
    assert_eq!(report.seconds.iter().map(|row| row.votes).sum::<u64>(), 300);
    assert!(report.errors.is_empty() && votes.iter().all(|vote| vote.prefer.is_none()));
    let json = serde_json::to_string(&report).expect("JSON");
    assert!(json.contains("\"p99.9\"") && !json.contains("SECRET"), "{json}");
    assert!(report.to_string().contains("taken: 300"), "{report}");
}

/// One answer delayed by 800 ms blocks the only connection. All votes intended during that time
/// except one are answered at once when they are sent: a closed loop would report one slow vote in
/// a hundred. Measured from the intended times, most votes were slow.
#[test]
fn a_stall_shows_from_the_intended_time() {
    let stall = Duration::from_millis(800);
    let folder = tempfile::tempdir().expect("folder");
    let node = Node::start(move |n, _| match pending(n) {
        Action::Answer(status, body) if n == 10 => Action::AnswerAfter(stall, status, body),
        action => action,
    });
    let mix = mix(folder.path(), 200, MixOptions::default());
    let report = run(&OpenLoopPlan { connections: 1, ..plan(&node.url, "200", "1s") }, &mix);
    assert_eq!(report.taken, 200);
    assert!(report.to_taken_us.max >= 790_000, "{report}");
    // The 160 votes intended during the stall waited 400 ms on average: the median of all votes
    // shows it, the service time does not.
    assert!(report.to_taken_us.p50 >= 100_000, "{report}");
    assert!(report.to_taken_us.p99 >= 700_000, "{report}");
    assert!(report.send_lag_us.p50 >= 100_000, "{report}");
    assert!(report.service_us.p50 < report.to_taken_us.p50, "{report}");
    assert!(report.generator.backlog_max >= 50, "{report}");
}

#[test]
fn errors_are_distinguished() {
    let folder = tempfile::tempdir().expect("folder");
    let node = Node::start(|n, _| match n % 6 {
        0 => pending(n),
        1 => Action::Answer(
            409,
            r#"{"type":"about:blank","status":409,"code":"not-open"}"#.to_owned(),
        ),
        2 => {
            Action::Answer(503, format!(r#"{{"code":"outcome-unknown","request_id":"{n:032x}"}}"#))
        }
        3 => Action::HangUp,
        4 => Action::AnswerAfter(Duration::from_secs(60), 202, String::new()),
        _ => Action::Answer(202, "not what was agreed".to_owned()),
    });
    let mix = mix(folder.path(), 120, MixOptions::default());
    // Long enough for every answer that comes, and connections for the others meanwhile.
    let plan = OpenLoopPlan {
        timeout: Duration::from_secs(5),
        connections: 64,
        ..plan(&node.url, "120", "1s")
    };
    let report = run(&plan, &mix);
    let expected = [
        (("closed".to_owned(), None, None), 20),
        (("http".to_owned(), Some(409), Some("not-open".to_owned())), 20),
        (("http".to_owned(), Some(503), Some("outcome-unknown".to_owned())), 20),
        (("malformed".to_owned(), Some(202), None), 20),
        (("timeout".to_owned(), None, None), 20),
    ];
    assert_eq!(errors(&report), HashMap::from(expected));
    assert_eq!((report.sent, report.answered, report.taken), (120, 80, 20));
    assert_eq!(
        report
            .answers_by_status
            .iter()
            .map(|(status, count)| (*status, *count))
            .collect::<Vec<_>>(),
        [(202, 40), (409, 20), (503, 20)]
    );
}

#[test]
fn lost_node_is_counted_and_ends_the_run() {
    let folder = tempfile::tempdir().expect("folder");
    let node = Node::start(|n, _| pending(n));
    let (url, mix) = (node.url.clone(), mix(folder.path(), 400, MixOptions::default()));
    let control = Arc::new(RunControl::default());
    let runner = {
        let (mix, control, plan) =
            (Arc::clone(&mix), Arc::clone(&control), plan(&url, "200", "2s"));
        std::thread::spawn(move || run_open_loop(&plan, mix, control).expect("the run"))
    };
    let begun = Instant::now();
    while control.answered() < 50 {
        assert!(begun.elapsed() < WAIT_TIMEOUT, "votes are not answered");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(node);
    let report = runner.join().expect("the runner");
    let errors = errors(&report);
    assert!(errors[&("connect".to_owned(), None, None)] > 0, "{report}");
    assert_eq!(report.taken + errors.values().sum::<u64>(), 400, "{report}");
}

#[test]
fn votes_that_cannot_leave_are_counted_as_unsent() {
    let folder = tempfile::tempdir().expect("folder");
    let node = Node::start(|_, _| Action::AnswerAfter(Duration::from_secs(60), 202, String::new()));
    let mix = mix(folder.path(), 100, MixOptions::default());
    let plan = OpenLoopPlan {
        connections: 1,
        timeout: Duration::from_millis(400),
        drain: Duration::from_millis(100),
        ..plan(&node.url, "200", "500ms")
    };
    let report = run(&plan, &mix);
    let errors = errors(&report);
    let unsent = errors[&("unsent".to_owned(), None, None)];
    assert!(unsent > 90, "{report}");
    assert_eq!(report.sent + unsent, 100);
    assert_eq!(report.to_end_us.count, 100, "no vote is left out");
    assert!(report.warnings.iter().any(|warning| warning.contains("were not sent")), "{report}");
}

#[test]
fn the_journal_has_every_vote_before_it_is_sent() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("journal.jsonl");
    let journal = path.clone();
    let missing = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&missing);
    // The server reads the file before it answers the vote: the line must already be there.
    let node = Node::start(move |n, vote| {
        let text = std::fs::read_to_string(&journal).expect("the journal");
        let key = format!("\"key\":\"{}\"", vote.key.as_deref().expect("a key"));
        counter.fetch_add(u64::from(!text.contains(&key)), Ordering::SeqCst);
        if n % 5 == 4 {
            Action::Answer(409, r#"{"code":"not-open"}"#.to_owned())
        } else {
            pending(n)
        }
    });
    let options = MixOptions { unknown: "10%".parse().expect("share"), ..MixOptions::default() };
    let mix = mix(folder.path(), 200, options);
    let plan = OpenLoopPlan {
        journal: Some(path.clone()),
        idempotency_keys: true,
        ..plan(&node.url, "200", "1s")
    };
    run(&plan, &mix);
    assert_eq!(missing.load(Ordering::SeqCst), 0, "votes were sent before they were journaled");

    let text = std::fs::read_to_string(&path).expect("the journal");
    assert!(!text.contains("SECRET") && !text.contains("nas"), "no credential in the journal");
    let lines: Vec<JournalLine<'_>> =
        text.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
    assert!(
        matches!(&lines[0], JournalLine::Start { format, votes: 200, rows: 200, .. } if format == "votekit-load/1")
    );
    assert!(
        matches!(lines.last(), Some(JournalLine::End { votes: 200, outcomes: 200 })),
        "{:?}",
        lines.last()
    );
    check_journal_against_server(&lines, &node);
}

fn check_journal_against_server(lines: &[JournalLine<'_>], node: &Node) {
    let sent: HashMap<String, serde_json::Value> =
        node.votes().into_iter().map(|vote| (vote.key.expect("a key"), vote.body)).collect();
    let mut outcomes = BTreeSet::new();
    for line in lines {
        match line {
            JournalLine::Vote { kind, row, law_id, choice, key, .. } => {
                let body = &sent[key.as_deref().expect("a key")];
                assert_eq!(
                    (body["law_id"].as_str(), body["vote"].as_str()),
                    (Some(&**law_id), Some(&**choice))
                );
                match row {
                    Some(row) => {
                        assert_eq!(body["nas"], format!("{row:09}"), "the row names the elector")
                    }
                    None => assert_eq!(kind, "unknown"),
                }
            }
            JournalLine::Outcome { seq, status, request_id, code, .. } => {
                assert!(outcomes.insert(*seq), "vote {seq} ended twice");
                match status {
                    Some(202) => assert!(request_id.is_some()),
                    other => assert_eq!((*other, code.as_deref()), (Some(409), Some("not-open"))),
                }
            }
            _ => {}
        }
    }
    assert_eq!(outcomes.len(), 200);
}

#[test]
fn a_run_that_is_stopped_reports_and_closes_its_journal() {
    let folder = tempfile::tempdir().expect("folder");
    let node = Node::start(|n, _| pending(n));
    let mix = mix(folder.path(), 6_000, MixOptions::default());
    let path = folder.path().join("journal.jsonl");
    let plan = OpenLoopPlan { journal: Some(path.clone()), ..plan(&node.url, "100", "1m") };
    let control = Arc::new(RunControl::default());
    let runner = {
        let (mix, control) = (Arc::clone(&mix), Arc::clone(&control));
        std::thread::spawn(move || run_open_loop(&plan, mix, control).expect("the run"))
    };
    let begun = Instant::now();
    while control.answered() < 20 {
        assert!(begun.elapsed() < WAIT_TIMEOUT, "votes are not answered");
        std::thread::sleep(Duration::from_millis(5));
    }
    control.stop();
    let report = runner.join().expect("the runner");
    assert!(report.stopped && report.sent < 6_000 && report.sent == report.taken, "{report}");
    let text = std::fs::read_to_string(&path).expect("the journal");
    let count = |kind: &str| {
        text.lines().filter(|line| line.starts_with(&format!("{{\"line\":\"{kind}\""))).count()
    };
    assert_eq!(
        count("vote"),
        count("outcome"),
        "votes written ahead of the stop are reported as unsent"
    );
    assert_eq!(count("end"), 1);
}

#[test]
fn waiting_and_following_measure_the_decision() {
    let folder = tempfile::tempdir().expect("folder");
    let waiting = Node::start(|n, _| {
        Action::Answer(200, format!(r#"{{"request_id":"{n:032x}","status":"accepted"}}"#))
    });
    let mix = mix(folder.path(), 50, MixOptions::default());
    let report = run(&OpenLoopPlan { wait_s: Some(5), ..plan(&waiting.url, "100", "500ms") }, &mix);
    assert_eq!((report.taken, report.decisions.to_decision_us.count), (50, 50), "{report}");
    assert!(report.errors.is_empty(), "{report}");
    assert!(waiting.votes().iter().all(|vote| vote.prefer.as_deref() == Some("wait=5")));

    let following = Node::start(|n, _| pending(n));
    let follow = "100%".parse().expect("share");
    let report = run(&OpenLoopPlan { follow, ..plan(&following.url, "100", "500ms") }, &mix);
    assert_eq!((report.decisions.followed, report.decisions.unresolved), (50, 0), "{report}");
    assert_eq!(report.decisions.by_state.values().sum::<u64>(), 50);
    assert!(following.asked.load(Ordering::SeqCst) >= 100, "each is pending at least once");
}

#[test]
fn impossible_options_are_refused_before_sending() {
    let folder = tempfile::tempdir().expect("folder");
    let node = Node::start(|n, _| pending(n));
    let mix = mix(folder.path(), 50, MixOptions::default());
    let refused = |plan: &OpenLoopPlan| {
        run_open_loop(plan, Arc::clone(&mix), Arc::new(RunControl::default())).expect_err("refused")
    };
    assert!(matches!(
        refused(&plan(&node.url, "100", "1s")),
        LoadError::RollTooSmall { needed: 100, available: 50 }
    ));
    let good = plan(&node.url, "50", "1s");
    assert!(matches!(
        refused(&OpenLoopPlan { connections: 0, ..good.clone() }),
        LoadError::Plan { option: "--connections", .. }
    ));
    assert!(matches!(
        refused(&OpenLoopPlan { nodes: Vec::new(), ..good.clone() }),
        LoadError::Plan { option: "--node", .. }
    ));
    let existing = folder.path().join("roll.csv");
    assert!(matches!(
        refused(&OpenLoopPlan { journal: Some(existing), ..good }),
        LoadError::File { .. }
    ));
    assert!(node.votes().is_empty());
    let url = node.url.clone();
    drop(node);
    assert!(matches!(refused(&plan(&url, "50", "1s")), LoadError::Unreachable { .. }));
}

/// Every vote fails twice before it is answered, and half of the voters miss the answer.
#[test]
fn votes_are_sent_again_under_their_key_until_they_are_answered() {
    let folder = tempfile::tempdir().expect("folder");
    let sendings = std::sync::Mutex::new(HashMap::<String, u64>::new());
    let node = Node::start(move |n, vote| {
        let mut sendings = sendings.lock().expect("no panic");
        let sending = sendings.entry(vote.key.clone().expect("a key")).or_default();
        *sending += 1;
        match *sending {
            1 => Action::HangUp,
            2 => Action::Answer(503, r#"{"code":"busy"}"#.to_owned()),
            _ => pending(n),
        }
    });
    let mix = mix(folder.path(), 100, MixOptions::default());
    let path = folder.path().join("journal.jsonl");
    let resend = "50%".parse().expect("share");
    let plan = OpenLoopPlan {
        idempotency_keys: true,
        retry: true,
        resend,
        journal: Some(path.clone()),
        ..plan(&node.url, "100", "1s")
    };
    let report = run(&plan, &mix);
    assert_eq!((report.taken, report.errors.len()), (100, 0), "{report}");
    let votes = node.votes();
    let again = votes.len() - 300;
    assert!((20..=80).contains(&again), "{again} votes were sent once more");
    let keys: BTreeSet<_> = votes.iter().map(|vote| vote.key.clone()).collect();
    assert_eq!(keys.len(), 100, "a sending keeps its key");
    let text = std::fs::read_to_string(&path).expect("the journal");
    assert_eq!(text.matches("\"outcome\"").count(), votes.len(), "every sending has its line");
    let plan = OpenLoopPlan { idempotency_keys: false, journal: None, ..plan };
    let refused = run_open_loop(&plan, mix, Arc::new(RunControl::default()));
    assert!(
        matches!(refused, Err(LoadError::Plan { option: "--retry and --resend", .. })),
        "{refused:?}"
    );
}
