//! Power cuts: the node is killed under load and in the middle of a close. No answered vote is lost
//! or counted twice.
#![cfg(feature = "node")]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;
use support::casting::{Known, Numbers, cast, holds_once};
use support::http::Http;
use support::node::Node;
use support::poll::{self, LAW};

/// Time limit for a restarted node to finish a close: it ends the test, and is not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

fn state(http: &Http, node: &Node) -> Value {
    http.get(&format!("{}/api/v1/elections/{LAW}", node.public)).json()["state"].clone()
}

fn killed_under_load(seed: u64) {
    let mut numbers = Numbers(seed);
    let (dir, electors) = poll::opened(240);
    let (mut known, answered) = (BTreeMap::new(), AtomicUsize::new(0));
    for _ in 0..3 {
        let node = Node::serve(&dir);
        let until = answered.load(Ordering::Relaxed) + 1 + numbers.below(70) as usize;
        let (public, known, answered, electors) =
            (node.public.clone(), &mut known, &answered, &electors);
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
    let taken_before: Vec<Known> =
        known.values().filter(|known| matches!(known, Known::Taken(_))).cloned().collect();
    let node = Node::serve(&dir);
    let http = Http::new();
    for known in &taken_before {
        let Known::Taken(request) = known else { continue };
        let status = http.get(&format!("{}/api/v1/vote/{request}", node.public));
        assert_eq!(
            status.status, 200,
            "seed {seed}: {request} was answered and is gone: {}",
            status.body
        );
    }
    // Clients whose connection broke send the same vote again under the same key, as the node's
    // answer demands.
    cast(&node.public, &electors, &mut known, &answered);
    assert!(
        known.len() == electors.len()
            && known.values().all(|known| matches!(known, Known::Taken(_)))
    );
    dir.run(&["election", "close", LAW, "--yes", "--node", &node.admin, "--data", "node"])
        .succeeds();
    // A stopping node waits for an open connection.
    drop(http);
    node.stop();
    holds_once(&dir, &known);
    assert_eq!(
        dir.run(&["results", "--data", "node", "--json"]).json()["accepted"],
        electors.len()
    );
}

#[test]
fn a_node_killed_under_load_keeps_every_answered_vote_once() {
    for seed in [1, 2, 3] {
        killed_under_load(seed);
    }
}

/// Requests a close over HTTP and ignores the answer: the node dies meanwhile.
fn ask_to_close(admin: &str, token: &str) {
    let http = Http::new();
    let request =
        http.request(Method::POST, &format!("{admin}/api/v1/admin/elections/{LAW}/close"));
    let _ = http.send(request.bearer_auth(token));
}

/// Kills the node while it closes with votes in flight.
fn killed_while_closing(seed: u64) {
    let mut numbers = Numbers(seed);
    let (dir, electors) = poll::opened(200);
    let (mut known, answered) = (BTreeMap::new(), AtomicUsize::new(0));
    let node = Node::serve(&dir);
    let token =
        String::from_utf8(dir.read("node/keys/admin-token")).expect("text").trim().to_owned();
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
            // As soon as the close is visible.
            let http = Http::new();
            while !closing.is_finished() && state(&http, &node) == "open" {}
        }
        node.cut_off();
        casting.join().expect("no panic");
        closing.join().expect("no panic");
    });
    let node = Node::serve(&dir);
    let http = Http::new();

    if state(&http, &node) == "open" {
        // The close was not durable yet and not answered, so it is requested again.
        dir.run(&["election", "close", LAW, "--yes", "--node", &node.admin, "--data", "node"])
            .succeeds();
    }
    let started = Instant::now();
    while state(&http, &node) != "closed" {
        assert!(
            started.elapsed() < WAIT_TIMEOUT,
            "seed {seed}: the close does not go on by itself: {}",
            node.log()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(http);
    node.stop();
    holds_once(&dir, &known);
}

#[test]
fn interrupted_close_is_resumed_after_a_restart() {
    for seed in 1..=6 {
        killed_while_closing(seed);
    }
}
