//! `votekit serve` keeps running and reports faults: unread log lines, full disks, irregular files,
//! signals.
#![cfg(feature = "node")]

mod support;

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use faultdisk::{FaultDisk, Faults};
use rustix::process::Signal;
use serde_json::{Value, json};
use support::http::{Answer, Http};
use support::node::{Node, signal};
use support::poll::{self, Elector, LAW};
use support::private;

/// Time limit for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// Polls until the condition is true.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < WAIT_TIMEOUT, "waited for: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn health(http: &Http, node: &Node) -> Answer {
    http.get(&format!("{}/api/v1/health", node.public))
}

/// Reads the value of a metric.
#[track_caller]
fn metric(http: &Http, node: &Node, name: &str) -> f64 {
    let text = http.get(&node.metrics).body;
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
}

fn vote(http: &Http, node: &Node, elector: &Elector, key: &str) -> Answer {
    http.vote(&node.public, elector, "oui", key, 10).expect("an answer")
}

/// Opens, votes in and closes a poll on a node whose log lines cannot be written.
fn poll_without_a_log(prepare: impl FnOnce(&mut std::process::Command)) {
    let (dir, electors) = poll::drafted(3, &[]);
    let node = Node::serve_prepared(&dir, &["--rate-limit", "0"], prepare);
    let admin = |verb: &str| {
        let words = ["election", verb, LAW, "--yes", "--node", &node.admin, "--data", "node"];
        dir.run(&words).succeeds();
    };
    let http = Http::new();
    admin("open");
    for (number, elector) in electors.iter().enumerate() {
        let answer = vote(&http, &node, elector, &format!("key-{number:016}"));
        assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("accepted")));
    }
    assert_eq!(health(&http, &node).status, 200);
    admin("close");
    wait_until("lines to be counted", || metric(&http, &node, "log_lines_dropped_total") > 0.0);
    drop(http);
    node.stop();
    let shown = dir.run(&["results", "--data", "node", "--json"]).json();
    assert_eq!((&shown["state"], &shown["accepted"]), (&json!("closed"), &json!(3)));
}

#[test]
fn closed_log_reader_does_not_affect_the_node() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    poll_without_a_log(|command| {
        command.stderr(writer);
    });
}

#[test]
fn a_log_on_a_full_disk_changes_nothing() {
    let full = OpenOptions::new().write(true).open("/dev/full").expect("a full device");
    poll_without_a_log(|command| {
        command.stderr(full);
    });
}

#[test]
fn a_stalled_log_reader_does_not_delay_other_clients() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    // So small that the first lines fill it.
    rustix::pipe::fcntl_setpipe_size(&writer, 4096).expect("set");
    let (dir, electors) = poll::opened(200);
    let node =
        Node::serve_prepared(&dir, &["--rate-limit", "0", "--log-level", "trace"], |command| {
            command.stderr(writer);
        });
    let http = Http::new();
    for (number, elector) in electors.iter().enumerate() {
        assert_eq!(vote(&http, &node, elector, &format!("key-{number:016}")).status, 200);
    }
    drop(http);
    node.stop();
    drop(reader);
}

#[test]
fn health_follows_writes_and_a_full_disk_passes_by_itself() {
    let (dir, electors) = poll::opened(6);
    let library = faultdisk::preload_library().expect("it builds");
    let disk = FaultDisk::new(&dir.path("node"), &dir.path("disk"), &library).expect("a disk");
    let log = OpenOptions::new().write(true).open("/dev/full").expect("a full device");
    // The log is on a full disk, too.
    let node = Node::serve_prepared(&dir, &["--rate-limit", "0"], |command| {
        disk.apply(command);
        command.stderr(log);
    });
    let http = Http::new();
    assert_eq!(vote(&http, &node, &electors[0], "k0").status, 200);
    assert_eq!(health(&http, &node).status, 200);
    assert_eq!(metric(&http, &node, "node_healthy"), 1.0);
    // Measured by a task that the start does not wait for.
    for name in ["data_free_bytes", "data_size_bytes"] {
        let begin = format!("{name} ");
        let is_measured = |page: String| page.lines().any(|line| line.starts_with(&begin));
        wait_until(name, || is_measured(http.get(&node.metrics).body));
        assert!(metric(&http, &node, name) > 0.0);
    }
    let fill = || {
        disk.set_faults(&Faults { space_bytes: Some(0), ..Faults::default() }).expect("ordered");
    };
    fill();
    let refused = vote(&http, &node, &electors[1], "k1");
    assert_eq!((refused.status, &refused.json()["code"]), (503, &json!("unavailable")));
    // From the first failed write, for as long as it lasts.
    for _ in 0..30 {
        let sick = health(&http, &node);
        assert_eq!(sick.status, 503, "{}", sick.body);
        assert!(sick.body.contains("the disk is full"), "{}", sick.body);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(metric(&http, &node, "node_healthy"), 0.0);
    assert!(metric(&http, &node, "ledger_writes_failed_total") > 0.0);
    // Once there is room, health recovers without a vote: a balancer sends none to an unhealthy
    // node.
    disk.set_faults(&Faults::default()).expect("lifted");
    wait_until("health", || health(&http, &node).status == 200);
    assert_eq!(vote(&http, &node, &electors[1], "k1").status, 200);
    drop(http);
    node.stop();
    let shown = dir.run(&["results", "--data", "node", "--json"]).json();
    assert_eq!(shown["accepted"], 2);
}

#[test]
fn a_node_that_starts_on_a_full_disk_is_not_healthy() {
    let (dir, _) = poll::opened(3);
    let library = faultdisk::preload_library().expect("it builds");
    let disk = FaultDisk::new(&dir.path("node"), &dir.path("disk"), &library).expect("a disk");
    // Enough for the start itself, which writes little.
    disk.set_faults(&Faults { space_bytes: Some(2000), ..Faults::default() }).expect("ordered");
    let Ok(node) = Node::try_serve(&dir, Some(&disk)) else {
        panic!("it needs more room to start: {}", String::from_utf8_lossy(&dir.read("node.log")))
    };
    let http = Http::new();
    let sick = health(&http, &node);
    assert!(sick.status == 503 && sick.body.contains("the disk is full"), "{}", sick.body);
    disk.set_faults(&Faults::default()).expect("lifted");
    wait_until("health", || health(&http, &node).status == 200);
    drop(http);
    node.stop();
}

#[test]
fn special_files_are_refused_and_the_node_keeps_answering() {
    let (dir, electors) = poll::opened(3);
    let node = Node::serve(&dir);
    let http = Http::new();
    let token = String::from_utf8(dir.read("node/keys/admin-token")).expect("text");
    let load = |folder: &str| {
        let body = json!({ "folder": dir.path(folder) });
        let request = http
            .request(reqwest::Method::POST, &format!("{}/api/v1/admin/rolls", node.admin))
            .header("authorization", format!("Bearer {}", token.trim()))
            .header("content-type", "application/json");
        http.send(request.body(body.to_string())).expect("an answer")
    };
    for folder in ["fifo", "zero", "folder", "link", "huge", "shard"] {
        fs::create_dir(dir.path(folder)).expect("made");
    }
    let manifest = |folder: &str| dir.path(folder).join("manifest.json");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let fifo = |path| {
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0)
            .expect("made");
    };
    fifo(manifest("fifo"));
    std::os::unix::fs::symlink("/dev/zero", manifest("zero")).expect("made");
    fs::create_dir(manifest("folder")).expect("made");
    std::os::unix::fs::symlink(dir.path("hashes/manifest.json"), manifest("link")).expect("made");
    fs::File::create(manifest("huge")).and_then(|file| file.set_len(1 << 40)).expect("made");
    fs::copy(dir.path("hashes/manifest.json"), manifest("shard")).expect("copied");
    let listed: Value = serde_json::from_slice(&dir.read("hashes/manifest.json")).expect("JSON");
    let shard = listed["shards"][0]["file"].as_str().expect("a name").to_owned();
    fifo(dir.path("shard").join(&shard));
    for (folder, expected) in [
        ("fifo", "not a regular file but a FIFO"),
        ("zero", "not a regular file but a symbolic link"),
        ("folder", "not a regular file but a folder"),
        ("link", "not a regular file but a symbolic link"),
        ("huge", "larger than the maximum of 16777216 bytes"),
        ("shard", "not a regular file but a FIFO"),
    ] {
        let answer = load(folder);
        assert_eq!(answer.status, 422, "{folder}: {}", answer.body);
        assert_eq!(answer.json()["code"], "roll-refused");
        assert!(answer.body.contains(expected), "{folder}: {}", answer.body);
        assert_eq!(health(&http, &node).status, 200);
    }
    assert_eq!(load("hashes").status, 200, "the roll itself is taken as before");
    assert_eq!(vote(&http, &node, &electors[0], "k").status, 200);
    drop(http);
    node.stop();
    dir.run(&["load", "fifo", "--data", "node"])
        .fails(3, &["not a regular file but a FIFO", "hint: "]);
}

/// Administration runs on a separate thread: nodes accept votes while a roll is loaded, and refuse
/// a second load.
#[test]
fn votes_go_on_while_a_roll_is_loaded() {
    let (dir, electors) = poll::opened(40);
    let big = ["--electors", "400000", "--law", "L2", "--seed", "8", "-o", "big.csv"];
    dir.run(&[&["roll", "sample"][..], &big].concat()).succeeds();
    dir.run(&["hashgen", "big.csv", "--out", "big"]).succeeds();
    dir.run(&["roll", "sample", "--electors", "3", "--law", "L3", "-o", "small.csv"]).succeeds();
    dir.run(&["hashgen", "small.csv", "--out", "small"]).succeeds();
    let node = Node::serve(&dir);
    let admin = ["--node", &node.admin, "--data", "node"];
    let http = Http::new();
    let (mut meanwhile, mut refused) = (0, false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| dir.run(&[&["load", "big"][..], &admin].concat()));
        for (number, elector) in electors.iter().enumerate() {
            let answer = vote(&http, &node, elector, &format!("key-{number:016}"));
            assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("accepted")));
            meanwhile += u32::from(!load.is_finished());
            if !load.is_finished() && !refused {
                let second = dir.run(&[&["load", "small"][..], &admin].concat());
                refused = second.stderr.contains("another roll is being loaded");
            }
        }
        load.join().expect("no panic").succeeds();
    });
    assert!(meanwhile > 0 && refused, "{meanwhile} votes meanwhile, refused: {refused}");
    node.stop();
}

/// Sends half of a vote's body, then stops.
fn half_a_vote(node: &Node) -> TcpStream {
    let address = node.public.strip_prefix("http://").expect("a URL");
    let mut stream = TcpStream::connect(address).expect("connected");
    let head = "POST /api/v1/vote HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 200\r\n\r\n{\"nas\":";
    stream.write_all(head.as_bytes()).expect("sent");
    stream
}

#[test]
fn a_half_sent_body_does_not_hold_up_the_stop() {
    let (dir, electors) = poll::opened(3);
    let node = Node::serve(&dir);
    let http = Http::new();
    assert_eq!(vote(&http, &node, &electors[0], "k").status, 200);
    drop(http);
    let mut stream = half_a_vote(&node);
    wait_until("the connection to be served", || {
        metric(&Http::new(), &node, "http_connections") >= 1.0
    });
    let log = node.log_path();
    node.stop();
    let log = fs::read_to_string(log).expect("a log");
    for event in ["stop_begun", "accepting_stopped", "incomplete_requests_dropped", "node_stopped"]
    {
        assert!(log.contains(event), "{event}: {log}");
    }
    assert!(!log.contains("requests_cut_off"), "{log}");
    let mut rest = Vec::new();
    // Closed in any way.
    let _ = stream.read_to_end(&mut rest);
    assert_eq!(rest, b"");
    let shown = dir.run(&["results", "--data", "node", "--json"]).json();
    assert_eq!(shown["accepted"], 1);
}

#[test]
fn a_second_signal_ends_the_node_at_once() {
    let (dir, electors) = poll::opened(3);
    for (first, second, expected) in
        [(Signal::TERM, Signal::TERM, 15), (Signal::INT, Signal::TERM, 15)]
    {
        let node = Node::serve(&dir);
        let http = Http::new();
        vote(&http, &node, &electors[0], "k");
        drop(http);
        let _stream = half_a_vote(&node);
        wait_until("the connection to be served", || {
            metric(&Http::new(), &node, "http_connections") >= 1.0
        });
        let (id, log) = (node.id(), node.log_path());
        let before = node.log().matches("accepting_stopped").count();
        signal(id, first);
        wait_until("the stop to begin", || {
            fs::read_to_string(&log).expect("a log").matches("accepting_stopped").count() > before
        });
        signal(id, second);
        let ended = node.ended();
        assert_eq!(ended.signal(), Some(expected), "{ended}");
        let log = fs::read_to_string(&log).expect("a log");
        assert!(log.contains("stop_forced"), "{log}");
    }
    let shown = dir.run(&["results", "--data", "node", "--json"]).json();
    assert_eq!(shown["accepted"], 1, "what was answered is there: {shown}");
}

#[test]
fn a_hangup_reloads_certificate_and_token_and_ends_nothing() {
    let (dir, electors) = poll::opened(3);
    let tls = concat!(env!("CARGO_MANIFEST_DIR"), "/../votekit-http/tests/tls");
    let copy = |from: &str, to: &str| {
        fs::copy(format!("{tls}/{from}"), dir.path(to)).expect("copied");
        private(&dir.path(to));
    };
    copy("cert.pem", "chain.pem");
    copy("key.pem", "key.pem");
    let node = Node::serve_with(&dir, &["--tls-cert", "chain.pem", "--tls-key", "key.pem"]);
    let cast = |elector: &Elector, trusted: &str| {
        dir.write("vote", format!("{}\n{}\noui\n", elector.nas, elector.code));
        let line = format!(
            "SSL_CERT_FILE={tls}/{trusted} \"$VOTEKIT\" cast --node {} --law {LAW} < vote",
            node.public
        );
        dir.shell(&line)
    };
    cast(&electors[0], "cert.pem").succeeds();
    cast(&electors[1], "other-cert.pem").fails(4, &["cannot be reached"]);
    let token = |text: &str| {
        let request = Http::new();
        let asked = request
            .request(reqwest::Method::GET, &format!("{}/api/v1/admin/elections", node.admin))
            .header("authorization", format!("Bearer {}", text.trim()));
        request.send(asked).expect("an answer").status
    };
    let old_token = String::from_utf8(dir.read("node/keys/admin-token")).expect("text");
    assert_eq!(token(&old_token), 200);
    // With a key that does not match the certificate, the earlier certificate and key stay in use.
    copy("other-key.pem", "key.pem");
    signal(node.id(), Signal::HUP);
    wait_until("the refusal", || node.log().contains("certificate_reload_failed"));
    cast(&electors[0], "cert.pem").succeeds();
    copy("other-cert.pem", "chain.pem");
    let new_token = "7".repeat(64);
    dir.write("node/keys/admin-token", format!("{new_token}\n"));
    signal(node.id(), Signal::HUP);
    wait_until("the reload", || node.log().contains("certificate_and_token_reloaded"));
    cast(&electors[1], "other-cert.pem").succeeds();
    cast(&electors[2], "cert.pem").fails(4, &["cannot be reached"]);
    assert_eq!((token(&old_token), token(&new_token)), (401, 200));
    node.stop();
}

const CHECK: &str = "exec timeout 60 \"$VOTEKIT\" serve --check --data node";

#[test]
fn a_check_reports_every_fault_and_starts_nothing() {
    let (dir, _) = poll::opened(3);
    let free = "--listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0";
    let before = support::names_in(&dir.path("node"));
    let checked = dir.shell(&format!("{CHECK} {free}"));
    assert!(checked.succeeds().contains("the node can start"), "{}", checked.stdout);
    assert_eq!(dir.shell(&format!("{CHECK} {free} --json")).json(), json!({ "ok": true }));
    assert_eq!(support::names_in(&dir.path("node")), before);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let wrong = format!(
        "{CHECK} --listen 127.0.0.1:{port} --admin-listen 127.0.0.1:7 --metrics-listen 127.0.0.1:7 --tls-cert no.pem --tls-key no.pem"
    );
    dir.shell(&wrong).fails(
        4,
        &[
            &format!("cannot listen on 127.0.0.1:{port}: "),
            "(hint: another process listens there",
            "admin_listen and metrics_listen have the same address 127.0.0.1:7 (hint: ",
            "no.pem: ",
        ],
    );
    let faults = dir.shell(&format!("{wrong} --json"));
    let error: Value = serde_json::from_str(&faults.stderr).expect("JSON");
    assert!(error["error"]["details"].as_array().expect("faults").len() >= 3, "{error}");
    let node = Node::serve(&dir);
    dir.shell(&format!("{CHECK} {free}")).fails(4, &["in use by another votekit process", "hint"]);
    node.stop();
    dir.write("wrong.toml", "log_level = \"loud\"\n");
    for check in ["--check", ""] {
        dir.shell(&format!(
            "exec timeout 60 \"$VOTEKIT\" serve {check} --data node --config wrong.toml"
        ))
        .fails(4, &["wrong.toml: log_level = \"loud\" is not a level"]);
    }
    dir.shell("exec timeout 60 \"$VOTEKIT\" serve --data node --log-level loud")
        .fails(2, &["--log-level"]);
}

#[test]
fn a_start_tests_addresses_and_files_before_it_reads_its_logs() {
    let (dir, _) = poll::opened(3);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    // If the log were read first, its damage would be reported.
    dir.write("node/ledger.sqlite", b"no database");
    let start = |more: &str| {
        dir.shell(&format!(
            "exec timeout 60 \"$VOTEKIT\" serve --data node --admin-listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0 {more}"
        ))
    };
    start(&format!("--listen {address}")).fails(4, &["cannot listen on", "hint: another process"]);
    start("--listen 127.0.0.1:0 --tls-cert no.pem --tls-key no.pem").fails(4, &["no.pem: "]);
    start("--listen 127.0.0.1:0").fails(4, &["holds damaged data"]);
}
