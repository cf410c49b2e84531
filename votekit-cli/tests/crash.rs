//! Power cuts: the node is killed under load and in the middle of a close, and no vote that was answered is lost or counted twice.
#![cfg(feature = "node")]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;
use support::Desk;
use support::http::Http;
use support::node::Node;
use support::poll::{self, Elector, LAW};

/// Threads that cast at the same time.
const CASTERS: usize = 4;

/// How long a restarted node may take to finish a close: an end for the test, not a target.
const PATIENCE: Duration = Duration::from_secs(60);

/// A repeatable row of numbers (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// What a voter knows of his vote.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    /// It was taken, under this request id.
    Taken(String),
    /// It was refused, and nothing is stored.
    Refused,
    /// The connection broke.
    Unknown,
}

/// Casts the votes of those who do not yet know that theirs was taken, each under a key of its own, until the node is gone.
fn cast(node: &str, electors: &[Elector], known: &mut BTreeMap<usize, Known>, answered: &AtomicUsize) {
    let waiting: Vec<usize> = (0..electors.len()).filter(|place| !matches!(known.get(place), Some(Known::Taken(_)))).collect();
    let found: Vec<(usize, Known)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CASTERS)
            .map(|caster| {
                let mine: Vec<usize> = waiting.iter().copied().skip(caster).step_by(CASTERS).collect();
                scope.spawn(move || cast_some(node, electors, &mine, answered))
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    for (place, now) in found {
        known.insert(place, now);
    }
}

fn cast_some(node: &str, electors: &[Elector], places: &[usize], answered: &AtomicUsize) -> Vec<(usize, Known)> {
    let http = Http::new();
    let mut found = Vec::new();
    for &place in places {
        let vote = if place % 3 == 0 { "non" } else { "oui" };
        // Some wait for the decision, most go as soon as their vote is durable.
        let wait = if place % 5 == 0 { 10 } else { 0 };
        match http.vote(node, &electors[place], vote, &format!("key-{place}"), wait) {
            Ok(answer) if matches!(answer.status, 200 | 202) => {
                found.push((place, Known::Taken(answer.request_id())));
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok(answer) => {
                assert!(matches!(answer.status, 409 | 503), "{} {}", answer.status, answer.body);
                found.push((place, if answer.status == 409 { Known::Refused } else { Known::Unknown }));
            }
            Err(_) => {
                found.push((place, Known::Unknown));
                break;
            }
        }
    }
    found
}

fn state(http: &Http, node: &Node) -> Value {
    http.get(&format!("{}/api/v1/elections/{LAW}", node.public)).json()["state"].clone()
}

/// Asserts that the log of a closed election holds each of these requests accepted, once, and nothing that contradicts itself.
#[track_caller]
fn holds_once(desk: &Desk, known: &BTreeMap<usize, Known>) {
    let report = desk.run(&["export", "bundle", "bundle", "--data", "node", "--json"]).json();
    let leaves = String::from_utf8(desk.read("bundle/leaves.jsonl")).expect("UTF-8");
    let mut entries: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for leaf in leaves.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")) {
        if leaf["leaf"] == "entry" {
            let text = |name: &str| leaf[name].as_str().expect("text").to_owned();
            entries.entry(text("request")).or_default().push(text("decision"));
        }
    }
    for (place, known) in known {
        if let Known::Taken(request) = known {
            assert_eq!(entries.get(request).map(Vec::as_slice), Some(&["accepted".to_owned()][..]), "elector {place}, {request}");
        }
    }
    assert!(entries.values().all(|decisions| *decisions == ["accepted"]), "an entry that nobody should have");
    let show = desk.run(&["election", "show", LAW, "--data", "node", "--json"]).json();
    assert_eq!((&show["state"], &show["accepted"], &show["duplicate"]), (&"closed".into(), &entries.len().into(), &0.into()));
    assert!(desk.run(&["recount", "--data", "node"]).succeeds().contains("the published totals are confirmed"));
    let fingerprint = report["policy_fingerprint"].as_str().expect("a fingerprint");
    desk.run(&["verify", "bundle", "bundle", "--fingerprint", fingerprint, "--shards", "hashes"]).succeeds();
}

fn killed_under_load(seed: u64) {
    let mut numbers = Numbers(seed);
    let (desk, electors) = poll::opened(240);
    let (mut known, answered) = (BTreeMap::new(), AtomicUsize::new(0));
    for _ in 0..3 {
        let node = Node::serve(&desk);
        let until = answered.load(Ordering::Relaxed) + 1 + numbers.below(70) as usize;
        let (public, known, answered, electors) = (node.public.clone(), &mut known, &answered, &electors);
        std::thread::scope(|scope| {
            let casting = scope.spawn(move || cast(&public, electors, known, answered));
            while answered.load(Ordering::Relaxed) < until && !casting.is_finished() {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_micros(numbers.below(3000)));
            node.cut_off();
            casting.join().expect("no panic");
        });
    }
    let taken_before: Vec<Known> = known.values().filter(|known| matches!(known, Known::Taken(_))).cloned().collect();
    let node = Node::serve(&desk);
    let http = Http::new();
    for known in &taken_before {
        let Known::Taken(request) = known else { continue };
        let status = http.get(&format!("{}/api/v1/vote/{request}", node.public));
        assert_eq!(status.status, 200, "seed {seed}: {request} was answered and is gone: {}", status.body);
    }
    // Those whose connection broke send the same vote under the same key, as the answer told them to.
    cast(&node.public, &electors, &mut known, &answered);
    assert!(known.len() == electors.len() && known.values().all(|known| matches!(known, Known::Taken(_))));
    desk.run(&["election", "close", LAW, "--node", &node.admin, "--data", "node"]).succeeds();
    // A connection left open is waited for.
    drop(http);
    node.stop();
    holds_once(&desk, &known);
    assert_eq!(desk.run(&["results", "--data", "node", "--json"]).json()["accepted"], electors.len());
}

#[test]
fn a_node_killed_under_load_keeps_every_answered_vote_once() {
    for seed in [1, 2, 3] {
        killed_under_load(seed);
    }
}

/// Closes over HTTP and gives no heed to the answer: the node dies under it.
fn ask_to_close(admin: &str, token: &str) {
    let http = Http::new();
    let request = http.request(Method::POST, &format!("{admin}/api/v1/admin/elections/{LAW}/close"));
    let _ = http.send(request.bearer_auth(token));
}

/// Kills the node while it closes with votes on their way.
fn killed_while_closing(seed: u64) {
    let mut numbers = Numbers(seed);
    let (desk, electors) = poll::opened(200);
    let (mut known, answered) = (BTreeMap::new(), AtomicUsize::new(0));
    let node = Node::serve(&desk);
    let token = String::from_utf8(desk.read("node/keys/admin-token")).expect("text").trim().to_owned();
    let (public, admin) = (node.public.clone(), node.admin.clone());
    std::thread::scope(|scope| {
        let (known, answered, electors) = (&mut known, &answered, &electors);
        let casting = scope.spawn(move || cast(&public, electors, known, answered));
        while answered.load(Ordering::Relaxed) < 100 && !casting.is_finished() {
            std::thread::yield_now();
        }
        let closing = scope.spawn(move || ask_to_close(&admin, &token));
        if seed.is_multiple_of(2) {
            std::thread::sleep(Duration::from_micros(numbers.below(12_000)));
        } else {
            // As soon as the close shows.
            let http = Http::new();
            while !closing.is_finished() && state(&http, &node) == "open" {}
        }
        node.cut_off();
        casting.join().expect("no panic");
        closing.join().expect("no panic");
    });
    let node = Node::serve(&desk);
    let http = Http::new();

    if state(&http, &node) == "open" {
        // The close had not become durable, so nobody was told of it: it is asked for again.
        desk.run(&["election", "close", LAW, "--node", &node.admin, "--data", "node"]).succeeds();
    }
    let started = Instant::now();
    while state(&http, &node) != "closed" {
        assert!(started.elapsed() < PATIENCE, "seed {seed}: the close does not go on by itself: {}", node.log());
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(http);
    node.stop();
    holds_once(&desk, &known);
}

#[test]
fn a_close_that_was_cut_off_goes_on_by_itself() {
    for seed in 1..=6 {
        killed_while_closing(seed);
    }
}
