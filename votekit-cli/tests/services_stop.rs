//! A stop of `votekit serve` while every service is unreachable: the node ends without being
//! killed, and reports the unfinished work.
#![cfg(feature = "services")]

mod support;

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::http::Http;
use support::node::{Node, terminate};
use support::poll::{self, LAW};
use support::{TestDir, services};

/// Time limit for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// A proxy for a server whose connections can be cut.
struct Wire {
    address: String,
    is_cut: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (is_cut, streams) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let wire = Self { address, is_cut: Arc::clone(&is_cut), streams: Arc::clone(&streams) };
        let server = server.to_owned();
        // Ends with the test process.
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(far) = TcpStream::connect(&server) else { continue };
                let clone = |stream: &TcpStream| stream.try_clone().expect("a handle");
                streams.lock().expect("no panic").extend([clone(&near), clone(&far)]);
                let carry = |mut from: TcpStream, mut to: TcpStream| {
                    std::thread::spawn(move || io::copy(&mut from, &mut to));
                };
                carry(clone(&near), clone(&far));
                carry(far, near);
            }
        });
        wire
    }

    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        for stream in self.streams.lock().expect("no panic").drain(..) {
            // An error means that it is closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Replaces host and port of a server's address, from the environment, by those of a wire.
fn wired(variable: &str, parameter: &str) -> (String, Wire) {
    let url = services::address(variable);
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let (authority, path) = rest.split_once('/').map_or((rest, ""), |(left, right)| (left, right));
    let (user, host) =
        authority.rsplit_once('@').map_or(("", authority), |(left, right)| (left, right));
    let wire = Wire::to(host);
    let user = if user.is_empty() { String::new() } else { format!("{user}@") };
    let path = path.trim_end_matches('/');
    let mark = if path.contains('?') { '&' } else { '?' };
    (format!("{scheme}://{user}{}/{path}{mark}{parameter}", wire.address), wire)
}

fn open_poll(dir: &TestDir, node: &Node) {
    for arguments in [
        &["load", "hashes", "--pepper-file", "referendum.pepper"][..],
        &["election", "create", LAW, "--title-fr", "Loi", "--title-en", "Act"],
        &["election", "open", LAW, "--yes"],
    ] {
        let begun = Instant::now();
        loop {
            let arguments = [arguments, &["--node", &node.admin, "--data", "node"]].concat();
            let outcome = dir.run(&arguments);
            // It becomes leader shortly after its start.
            if outcome.code == 0 {
                break;
            }
            assert!(begun.elapsed() < WAIT_TIMEOUT, "{arguments:?}: {}", outcome.stderr);
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

#[test]
fn a_stop_with_every_service_away_ends_by_itself() {
    let (dir, electors) = poll::hashed(10);
    let name = format!("stop_{}", std::process::id());
    let redis = services::address("VOTEKIT_TEST_REDIS");
    let registry = format!("{}?prefix={name}", redis.trim_end_matches('/'));
    let (ballot_box, broker) = wired("VOTEKIT_TEST_AMQP", &format!("prefix={name}"));
    let (ledger, database) = wired("VOTEKIT_TEST_POSTGRES", &format!("schema={name}"));
    let options = [
        "--name",
        "all-1",
        "--rate-limit",
        "0",
        "--log-base",
        "elections.example",
        "--registry",
        &registry,
        "--ballot-box",
        &ballot_box,
        "--ledger",
        &ledger,
    ];
    let checked = dir.shell(&format!(
        "exec timeout 60 \"$VOTEKIT\" serve --check --init --data node --listen 127.0.0.1:0 \
         --admin-listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0 --registry '{registry}' \
         --ballot-box '{ballot_box}' --ledger 'postgres://votekit@127.0.0.1:1/votekit'"
    ));
    checked.fails(4, &["PostgreSQL", "(hint: "]);
    let node = Node::serve_with(&dir, &options);
    open_poll(&dir, &node);
    let http = Http::new();
    let answer = http.vote(&node.public, &electors[0], "oui", "k", 20).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    broker.cut();
    database.cut();
    let begun = Instant::now();
    while http.get(&format!("{}/api/v1/health", node.public)).status != 503 {
        assert!(begun.elapsed() < WAIT_TIMEOUT, "health does not notice");
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(http);
    let log = node.log_path();
    terminate(node.id());
    let ended = node.ended();
    let log = std::fs::read_to_string(log).expect("a log");
    assert_eq!(ended.code(), Some(0), "{log}");
    for event in ["stop_begun", "stop_delayed"] {
        assert!(log.contains(event), "{event}: {log}");
    }
    let timed_out = ["stop_sealing_timed_out", "last_snapshot_timed_out"];
    assert!(timed_out.iter().any(|event| log.contains(event)), "{log}");
}
