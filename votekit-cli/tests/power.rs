//! Power cuts and bad disks under a real node: every answered vote is stored, once; damage is
//! reported and damaged data is never served.
#![cfg(feature = "node")]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use faultdisk::{FaultDisk, Faults};
use support::TestDir;
use support::casting::{Known, Numbers, cast, holds_once};
use support::http::Http;
use support::node::Node;
use support::poll::{self, Elector, LAW};

/// Time limit for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// Puts a folder of a test folder on a disk that can fail.
fn disk(dir: &TestDir, folder: &str) -> FaultDisk {
    let library = faultdisk::preload_library().expect("it builds");
    FaultDisk::new(&dir.path(folder), &dir.path("disk"), &library).expect("a disk")
}

/// An open poll, with the node's folder on such a disk.
fn opened(electors: u32) -> (TestDir, Vec<Elector>, FaultDisk) {
    let (dir, electors) = poll::opened(electors);
    let disk = disk(&dir, "node");
    (dir, electors, disk)
}

/// Casts until a random number of votes is answered, and a little longer, then kills the node.
fn kill_under_load(
    node: Node,
    electors: &[Elector],
    known: &mut BTreeMap<usize, Known>,
    numbers: &mut Numbers,
) {
    let answered = AtomicUsize::new(0);
    let until = 1 + numbers.below(60) as usize;
    let public = node.public.clone();
    std::thread::scope(|scope| {
        let casting = scope.spawn(|| cast(&public, electors, known, &answered));
        while answered.load(Ordering::Relaxed) < until && !casting.is_finished() {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_micros(numbers.below(3000)));
        node.cut_off();
        casting.join().expect("no panic");
    });
}

/// Casts the votes of all voters who have no confirmation of theirs, closes, and compares the log
/// with the voters' knowledge.
fn finish(dir: &TestDir, electors: &[Elector], known: &mut BTreeMap<usize, Known>) {
    let node = Node::serve(dir);
    let http = Http::new();
    for (elector, known) in known.iter() {
        let Known::Taken(request) = known else { continue };
        let status = http.get(&format!("{}/api/v1/vote/{request}", node.public));
        assert_eq!(
            status.status, 200,
            "elector {elector}: {request} was answered and is gone: {}",
            status.body
        );
    }
    // A stopping node waits for an open connection.
    drop(http);
    cast(&node.public, electors, known, &AtomicUsize::new(0));
    assert!(
        known.len() == electors.len()
            && known.values().all(|known| matches!(known, Known::Taken(_)))
    );
    dir.run(&["election", "close", LAW, "--yes", "--node", &node.admin, "--data", "node"])
        .succeeds();
    node.stop();
    holds_once(dir, known);
    assert_eq!(
        dir.run(&["results", "--data", "node", "--json"]).json()["accepted"],
        electors.len()
    );
}

/// Runs a node three times, each run ended by a power cut. Returns the number of unsynced changes
/// that the cuts met.
fn power_is_cut(seed: Option<u64>) -> u64 {
    let mut numbers = Numbers(seed.unwrap_or(0));
    let (dir, electors, disk) = opened(200);
    let (mut known, mut unsynced) = (BTreeMap::new(), 0);
    // A sync is usually in progress, and the power fails in the middle of one.
    disk.set_faults(&Faults { sync_micros: 2000, ..Faults::default() }).expect("ordered");
    for _ in 0..3 {
        kill_under_load(Node::serve_from(&dir, &disk), &electors, &mut known, &mut numbers);
        let report = match seed {
            Some(_) => disk.cut_power(numbers.below(u64::MAX)),
            None => disk.lose_everything_unsynced(),
        };
        let report = report.expect("cut");
        unsynced += report.changes().total();
    }
    finish(&dir, &electors, &mut known);
    unsynced
}

#[test]
fn a_node_that_loses_power_keeps_every_answered_vote_once() {
    // A cut that meets nothing unsynced proves nothing. Where each cut falls is random, so the
    // seeds are summed.
    let unsynced: u64 = [1, 2, 3, 4].into_iter().map(|seed| power_is_cut(Some(seed))).sum();
    assert!(unsynced > 0, "no cut met anything that was not synced");
}

#[test]
fn a_node_whose_disk_loses_all_that_was_not_synced_keeps_every_answered_vote_once() {
    // Where the cuts of a run fall is random too: at most four runs.
    let met = (0..4).any(|_| power_is_cut(None) > 0);
    assert!(met, "no cut met anything that was not synced");
}

#[test]
fn completed_commands_survive_a_power_cut() {
    let (dir, _) = poll::hashed(3);
    let disk = disk(&dir, "volume");
    let run = |arguments: &[&str]| {
        dir.run_from(&disk, &[arguments, &["--data", "volume/node"]].concat()).succeeds();
        disk.lose_everything_unsynced().expect("cut");
        dir.run(&["election", "list", "--json", "--data", "volume/node"]).json()
    };
    let nothing = run(&[
        "load",
        "hashes",
        "--log-base",
        "elections.example",
        "--pepper-file",
        "referendum.pepper",
    ]);
    assert_eq!(nothing, serde_json::json!([]));
    let token = dir.read("volume/node/keys/admin-token");
    assert_eq!(
        run(&["election", "create", LAW, "--title-fr", "Loi", "--title-en", "Act"])[0]["state"],
        "draft"
    );
    assert_eq!(run(&["election", "open", LAW, "--yes"])[0]["state"], "open");
    assert_eq!(run(&["election", "close", LAW, "--yes"])[0]["state"], "closed");
    run(&["election", "certify", LAW, "--yes"]);
    run(&["election", "purge", LAW, "--yes"]);
    assert!(
        !dir.exists(&format!("volume/node/keys/ballot/{LAW}")),
        "a key that was destroyed is back"
    );
    assert_eq!(dir.read("volume/node/keys/admin-token"), token);
}

#[test]
fn a_full_disk_refuses_votes_until_there_is_room() {
    for space_bytes in [0, 30_000, 90_000] {
        let (dir, electors, disk) = opened(120);
        let node = Node::serve_from(&dir, &disk);
        let (mut known, answered) = (BTreeMap::new(), AtomicUsize::new(0));
        cast(&node.public, &electors[..40], &mut known, &answered);
        assert_eq!(answered.load(Ordering::Relaxed), 40);
        disk.set_faults(&Faults { space_bytes: Some(space_bytes), ..Faults::default() })
            .expect("ordered");
        cast(&node.public, &electors, &mut known, &answered);
        let last = &electors[electors.len() - 1];
        let refused = Http::new().vote(&node.public, last, "oui", "another", 0).expect("an answer");
        assert_eq!(refused.status, 503, "{}", refused.body);
        assert_eq!(refused.json()["detail"], "this attempt was not stored; try again");
        // Lines are written by a thread that no answer waits for.
        let begun = Instant::now();
        let is_whole = |log: &str| {
            log.ends_with('\n')
                && ["the disk is full", "vote_store_failed"].iter().all(|part| log.contains(part))
        };
        let mut log = node.log();
        while !is_whole(&log) {
            assert!(begun.elapsed() < WAIT_TIMEOUT, "{log}");
            std::thread::sleep(Duration::from_millis(20));
            log = node.log();
        }
        // More than eighty refusals are logged as a few lines that count them.
        let lines: Vec<&str> =
            log.lines().filter(|line| line.contains("vote_store_failed")).collect();
        let count = |line: &&str| {
            let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
            line["count"].as_u64().expect("a count")
        };
        let seconds: std::collections::BTreeSet<&str> =
            lines.iter().filter_map(|line| line.get(..34)).collect();
        assert!(!lines.is_empty() && lines.len() <= seconds.len() + 1, "{log}");
        assert!(lines.iter().map(count).sum::<u64>() >= lines.len() as u64, "{log}");
        assert!(
            disk.faults_met()
                .expect("read")
                .iter()
                .any(|met| met.starts_with("ENOSPC write ledger.sqlite"))
        );
        disk.set_faults(&Faults::default()).expect("lifted");
        let before = answered.load(Ordering::Relaxed);
        cast(&node.public, &electors, &mut known, &answered);
        assert!(
            answered.load(Ordering::Relaxed) > before,
            "it does not recover by itself: {}",
            node.log()
        );
        // Votes get 503 until a vote detects that the disk has room again; from then on every vote
        // is accepted.
        cast(&node.public, &electors, &mut known, &answered);
        assert!(known.values().all(|known| matches!(known, Known::Taken(_))), "{}", node.log());
        node.cut_off();
        disk.cut_power(space_bytes).expect("cut");
        finish(&dir, &electors, &mut known);
    }
}

#[test]
fn a_failed_sync_stops_the_node_and_loses_nothing_that_was_answered() {
    for (failing_sync, failing_sync_takes_back) in [(1, false), (2, true), (3, false), (4, true)] {
        let (dir, electors, disk) = opened(120);
        let node = Node::serve_from(&dir, &disk);
        let (mut known, answered) = (BTreeMap::new(), AtomicUsize::new(0));
        cast(&node.public, &electors[..30], &mut known, &answered);
        let faults = Faults {
            failing_sync: Some(failing_sync),
            failing_sync_takes_back,
            ..Faults::default()
        };
        disk.set_faults(&faults).expect("ordered");
        cast(&node.public, &electors, &mut known, &answered);
        let log = node.log_path();
        let ended = node.ended();
        let log = std::fs::read_to_string(log).expect("a log");
        assert_eq!(ended.code(), Some(4), "{log}");
        assert!(log.contains("the node failed and stopped: "), "{log}");
        assert!(log.contains("every vote that was answered is stored"), "{log}");
        assert_eq!(disk.faults_met().expect("read"), ["EIO sync ledger.sqlite-wal"]);
        disk.cut_power(failing_sync).expect("cut");
        finish(&dir, &electors, &mut known);
    }
}

#[test]
fn a_sync_that_fails_while_the_log_is_emptied_loses_nothing() {
    for failing_sync_takes_back in [false, true] {
        let (dir, electors, disk) = opened(60);
        let node = Node::serve_from(&dir, &disk);
        let (mut known, answered) = (BTreeMap::new(), AtomicUsize::new(0));
        cast(&node.public, &electors[..30], &mut known, &answered);
        let file = "ledger.sqlite".to_owned();
        disk.set_faults(&Faults {
            failing_sync: Some(1),
            failing_sync_takes_back,
            file,
            ..Faults::default()
        })
        .expect("ordered");
        let log = node.log_path();
        node.stop();
        let log = std::fs::read_to_string(log).expect("a log");
        assert!(log.contains("a sync to disk failed"), "{log}");
        assert_eq!(disk.faults_met().expect("read"), ["EIO sync ledger.sqlite"]);
        disk.lose_everything_unsynced().expect("cut");
        finish(&dir, &electors, &mut known);
    }
}
