//! Damaged data folders: the node reports the damage, or serves exactly the stored data; never
//! anything else.
#![cfg(feature = "node")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use faultdisk::{FaultDisk, Faults};
use serde_json::Value;
use support::TestDir;
use support::casting::Numbers;
use support::http::Http;
use support::node::Node;
use support::poll::{self, LAW};

/// Time limit for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// Enough votes, each decided before the next, for a full tile.
const VOTES: usize = 90;

/// The content of an undamaged folder.
struct Truth {
    dir: TestDir,
    /// Request ids, in the order of the votes.
    requests: Vec<String>,
    leaves: Vec<String>,
    tile: String,
    fingerprint: String,
    results: Value,
}

impl Truth {
    /// Makes the folder of a node that was stopped, or killed with a full write-ahead log.
    fn new(killed: bool) -> Self {
        let (dir, electors) = poll::opened(VOTES as u32 + 10);
        let node = Node::serve(&dir);
        let http = Http::new();
        let mut requests = Vec::new();
        for (place, elector) in electors.iter().take(VOTES).enumerate() {
            let vote = if place % 3 == 0 { "non" } else { "oui" };
            let answer = http
                .vote(&node.public, elector, vote, &format!("key-{place:016}"), 10)
                .expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.body);
            requests.push(answer.request_id());
        }
        let results = results(&http, &node);
        let tile = http.get(&format!("{}/log/{LAW}/tile/0/000", node.public));
        assert_eq!(tile.status, 200);
        drop(http);
        if killed {
            node.cut_off()
        } else {
            node.stop()
        }
        let copy = copy_of(&dir);
        let report = copy.run(&["export", "bundle", "bundle", "--data", "node", "--json"]).json();
        let fingerprint = report["policy_fingerprint"].as_str().expect("a fingerprint").to_owned();
        let leaves = leaves(&copy);
        Self { dir, requests, leaves, tile: tile.body, fingerprint, results }
    }

    /// Starts a node on a damaged folder. Returns its error if it refused, or `None` if everything
    /// it serves is true.
    fn refusal(&self, dir: &TestDir, disk: Option<&FaultDisk>, place: &str) -> Option<String> {
        let node = match Node::try_serve(dir, disk) {
            Ok(node) => node,
            Err(said) => return Some(said),
        };
        let http = Http::new();
        let listed = http.get(&format!("{}/api/v1/elections", node.public)).json();
        if listed[0]["state"] == "halted" {
            let law = listed[0]["law_id"].as_str().expect("an id");
            let said = halted(&http, &node, law, &self.requests[0]);
            drop(http);
            node.stop();
            return Some(said);
        }
        for request in &self.requests {
            let status = http.get(&format!("{}/api/v1/vote/{request}", node.public));
            if status.status >= 500 {
                return Some(format!("status: {} {}", status.body, node.log()));
            }
            assert_eq!(
                status.json()["status"],
                "accepted",
                "{place}: {} {}",
                status.status,
                status.body
            );
        }
        assert_eq!(results(&http, &node), self.results, "{place}");
        let tile = http.get(&format!("{}/log/{LAW}/tile/0/000", node.public));
        if tile.status >= 500 {
            return Some(format!("tile: {} {}", tile.body, node.log()));
        }
        assert!(tile.body == self.tile, "{place}: a tile that is not the log's");
        drop(http);
        node.stop();
        let bundle = dir.run(&["export", "bundle", "bundle", "--data", "node"]);
        if bundle.code != 0 {
            return Some(format!("export: {}", bundle.stderr));
        }
        let served = leaves(dir);
        assert!(
            served.starts_with(&self.leaves),
            "{place}: a log that is not the one that was signed"
        );
        dir.run(&["verify", "bundle", "bundle", "--fingerprint", &self.fingerprint]).succeeds();
        None
    }
}

/// Checks the answers of a node that halted its only election, and returns the reason.
fn halted(http: &Http, node: &Node, law: &str, request: &str) -> String {
    for path in [
        format!("/api/v1/vote/{request}"),
        format!("/api/v1/vote/{request}/receipt"),
        format!("/api/v1/results/{law}"),
        format!("/log/{law}/checkpoint"),
        format!("/log/{law}/tile/0/000"),
    ] {
        let answer = http.get(&format!("{}{path}", node.public));
        assert_eq!((answer.status, &answer.json()["code"]), (503, &"halted".into()), "{path}");
    }
    let health = http.get(&format!("{}/api/v1/health", node.public));
    assert_eq!(health.status, 503, "{}", health.body);
    // Lines are written by a thread that no answer waits for.
    let begun = Instant::now();
    loop {
        let log = node.log();
        if let Some(alarm) = log.lines().find(|line| line.contains("\"election_halted\"")) {
            return format!("halted: {alarm}");
        }
        assert!(begun.elapsed() < WAIT_TIMEOUT, "no alarm: {log}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn results(http: &Http, node: &Node) -> Value {
    let results = http.get(&format!("{}/api/v1/results/{LAW}", node.public)).json();
    // The other fields depend on the log, which grows when a restarted node ends its earlier epoch.
    let names = [
        "state",
        "received",
        "accepted",
        "duplicate",
        "invalid",
        "oui_count",
        "non_count",
        "registered",
    ];
    names.iter().map(|name| results[name].clone()).collect()
}

fn leaves(dir: &TestDir) -> Vec<String> {
    String::from_utf8(dir.read("bundle/leaves.jsonl"))
        .expect("UTF-8")
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Copies a data folder to a new test folder, without its snapshots, so that everything is read at
/// the start. Damage covered by a snapshot is tested in the node's own tests.
fn copy_of(dir: &TestDir) -> TestDir {
    let copy = TestDir::new();
    copy_folder(&dir.path("node"), &copy.path("node"));
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    let permissions = fs::metadata(from).expect("a folder").permissions();
    fs::set_permissions(to, permissions).expect("set");
    for entry in fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.ends_with("snapshots") {
            continue;
        }
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            fs::copy(&from, &to).expect("copied");
        }
    }
}

/// Flips one bit of a file in a copy of the folder.
fn damaged(truth: &Truth, file: &Path, at: usize, bit: u64) -> TestDir {
    let copy = copy_of(&truth.dir);
    let path = copy.path("node").join(file);
    let mut bytes = fs::read(&path).expect("a file");
    bytes[at] ^= 1 << bit;
    fs::write(path, bytes).expect("written");
    copy
}

/// Lists the files of a data folder, by their paths in it.
fn files_of(dir: &TestDir) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![dir.path("node")]);
    while let Some(folder) = folders.pop() {
        for path in
            fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path())
        {
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
        .iter()
        .map(|file| file.strip_prefix(dir.path("node")).expect("below").to_owned())
        .collect()
}

#[test]
fn damage_in_the_ledger_is_reported_or_has_no_effect() {
    let truth = Truth::new(false);
    let bytes = truth.dir.read("node/ledger.sqlite");
    let (mut numbers, mut reported) = (Numbers(1), 0);
    for _ in 0..24 {
        let at = 100 + numbers.below(bytes.len() as u64 - 200) as usize;
        let place =
            format!("ledger.sqlite, byte {at} (page {}, byte {})", at / 4096 + 1, at % 4096);
        if let Some(said) = truth.refusal(
            &damaged(&truth, Path::new("ledger.sqlite"), at, numbers.below(8)),
            None,
            &place,
        ) {
            assert!(said.contains("damaged") || said.contains("L2025-001"), "{place}: {said}");
            reported += 1;
        }
    }
    assert!(reported > 0, "no damage was reported");
}

#[test]
fn damage_in_the_write_ahead_log_is_reported() {
    let truth = Truth::new(true);
    let length = truth.dir.read("node/ledger.sqlite-wal").len();
    let mut numbers = Numbers(2);
    // Damage to the last transaction is indistinguishable from a write torn by a power cut.
    let random = (0..8).map(|_| numbers.below(length as u64 * 9 / 10) as usize);
    for at in [0, 9, 20, 31, 32, 40, 60].into_iter().chain(random.collect::<Vec<_>>()) {
        let said = truth.refusal(
            &damaged(&truth, Path::new("ledger.sqlite-wal"), at, at as u64 % 8),
            None,
            "the log",
        );
        let said = said
            .unwrap_or_else(|| panic!("byte {at} of {length} was flipped, and the node serves"));
        assert!(
            said.starts_with("exit status: 4") && said.contains("ledger.sqlite-wal: "),
            "byte {at}: {said}"
        );
    }
}

/// A flipped bit may change an account without a trace; it changes nothing about votes.
#[test]
fn damage_in_the_accounts_is_reported_or_hinders_no_vote() {
    let truth = Truth::new(false);
    let add = ["user", "add", "a@example.org", "--role", "auditor", "--data", "node"];
    truth.dir.run(&add).succeeds();
    let length = truth.dir.read("node/accounts.sqlite").len() as u64;
    let mut numbers = Numbers(3);
    let flip = |at: usize, bit: u64| {
        let place = format!("accounts.sqlite, byte {at}, bit {bit}");
        truth.refusal(&damaged(&truth, Path::new("accounts.sqlite"), at, bit), None, &place)
    };
    // The magic text of SQLite, and the mark of the file.
    for at in [0, 68] {
        let said = flip(at, 0).unwrap_or_else(|| panic!("byte {at} was flipped"));
        assert!(said.starts_with("exit status: 4") && said.contains("accounts"), "{said}");
    }
    for _ in 0..6 {
        let at = 100 + numbers.below(length - 100) as usize;
        if let Some(said) = flip(at, numbers.below(8)) {
            assert!(said.contains("accounts"), "byte {at}: {said}");
        }
    }
}

#[test]
fn damage_in_any_other_file_is_reported() {
    let truth = Truth::new(true);
    // SQLite rebuilds its index after a crash, and a damaged token is answered with 401.
    let harmless =
        ["lock", "ledger.lock", "ledger.sqlite-shm", "accounts.sqlite-shm", "keys/admin-token"];
    let databases =
        ["ledger.sqlite", "ledger.sqlite-wal", "accounts.sqlite", "accounts.sqlite-wal"];
    let files = files_of(&truth.dir);
    let is_other = |file: &Path| {
        !file.starts_with("snapshots")
            && ![&harmless[..], &databases].concat().iter().any(|name| file == Path::new(name))
    };
    let files: Vec<_> = files.iter().filter(|file| is_other(file)).collect();
    // The format; node, log, cosigner, transport, ballot and request keys, pepper; manifest and
    // shard.
    assert_eq!(files.len(), 10, "{files:?}");
    for file in files {
        let length =
            fs::metadata(truth.dir.path("node").join(file)).expect("a file").len() as usize;
        for (at, bit) in [(0, 0), (length / 2, 0), (length / 2, 6), (length - 2, 1)] {
            let place = format!("{}, byte {at} of {length}, bit {bit}", file.display());
            let said = truth.refusal(&damaged(&truth, file, at, bit), None, &place);
            let said = said.unwrap_or_else(|| panic!("{place}: flipped, and the node serves"));
            // Damage to files of one election halts it; the other files belong to all elections.
            let is_of_election =
                ["keys/ballot", "keys/request", "rolls"].iter().any(|of| file.starts_with(of));
            // Another base is that of other logs: each election is halted.
            let is_base = file == Path::new("votekit.toml") && said.contains("not by this node");
            let expected = if is_of_election || is_base { "halted: " } else { "exit status: 4" };
            assert!(said.starts_with(expected), "{place}: {said}");
        }
    }
    for (at, bit) in [(0, 0), (16_000, 6), (100, 1)] {
        let dir = damaged(&truth, Path::new("ledger.sqlite-shm"), at, bit);
        assert_eq!(truth.refusal(&dir, None, "the index of the log"), None);
    }
}

#[test]
fn an_unreadable_ledger_is_reported() {
    let truth = Truth::new(false);
    for file in ["ledger.sqlite", "keys/node", "votekit.toml"] {
        let dir = copy_of(&truth.dir);
        let library = faultdisk::preload_library().expect("it builds");
        let disk = FaultDisk::new(&dir.path("node"), &dir.path("disk"), &library).expect("a disk");
        disk.set_faults(&Faults { failing_reads: true, file: file.into(), ..Faults::default() })
            .expect("ordered");
        let said = truth
            .refusal(&dir, Some(&disk), file)
            .unwrap_or_else(|| panic!("{file} cannot be read, and the node serves"));
        assert!(said.starts_with("exit status: 4"), "{said}");
        assert!(
            said.contains("disk I/O error")
                || said.contains(&format!("{file}: input/output error")),
            "{said}"
        );
        // Nothing was changed: once the disk works again, the node serves as before.
        disk.set_faults(&Faults::default()).expect("lifted");
        assert_eq!(truth.refusal(&dir, Some(&disk), file), None);
    }
}
