//! `votekit serve`: how a node starts, what prevents a start, how it stops.
#![cfg(feature = "node")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::http::Http;
use support::node::{Node, terminate};
use support::poll::{self, LAW};
use support::{Outcome, TestDir, mode_of, private};

/// Time limit for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

const ANY_PORTS: &str =
    "--listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0";

/// Runs a node that must refuse to start; a node that serves instead is killed after 30 seconds.
fn refused(dir: &TestDir, environment: &str, arguments: &str) -> Outcome {
    dir.shell(&format!(
        "{environment} exec timeout 30 \"$VOTEKIT\" serve --init --data node {arguments}"
    ))
}

#[test]
fn a_node_creates_its_folder_and_prints_its_addresses() {
    let dir = TestDir::new();
    let node = Node::serve(&dir);
    let http = Http::new();
    assert_eq!(http.get(&format!("{}/api/v1/health", node.public)).status, 200);
    assert_eq!(
        http.get(&format!("{}/api/v1/elections", node.public)).json(),
        serde_json::json!([])
    );
    assert_eq!(http.get(&format!("{}/api/v1/admin/elections", node.admin)).status, 401);
    // Each listener serves only its own routes.
    assert_eq!(http.get(&format!("{}/api/v1/admin/elections", node.public)).status, 404);
    assert_eq!(mode_of(&dir.path("node")), 0o700);
    assert_eq!(mode_of(&dir.path("node/keys")), 0o700);
    assert_eq!(mode_of(&dir.path("node/keys/admin-token")), 0o600);
    drop(http);
    // All lines are written once the node has stopped.
    node.stop();
    let log = String::from_utf8(dir.read("node.log")).expect("UTF-8");
    for line in log.lines() {
        assert!(
            serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()),
            "no line of JSON: {line}"
        );
    }
}

#[test]
fn a_second_node_on_the_same_data_is_refused() {
    let dir = TestDir::new();
    let node = Node::serve(&dir);
    refused(&dir, "", ANY_PORTS).fails(4, &["node is in use by another votekit process", "hint: "]);
    assert_eq!(Http::new().get(&format!("{}/api/v1/health", node.public)).status, 200);
    let taken = format!(
        "{} --listen {}",
        ANY_PORTS.replacen("--listen 127.0.0.1:0 ", "", 1),
        node.public.replace("http://", "")
    );
    let other =
        dir.shell(&format!("exec timeout 30 \"$VOTEKIT\" serve --init --data other {taken}"));
    other.fails(4, &["cannot listen on 127.0.0.1:"]);
    node.stop();
    // The folder is free again.
    Node::serve(&dir).stop();
}

#[test]
fn beyond_this_machine_it_wants_tls() {
    let dir = TestDir::new();
    let wants = "beyond this machine requires TLS";
    refused(&dir, "", "--listen 0.0.0.0:0").fails(4, &["listening on 0.0.0.0:0", wants]);
    refused(&dir, "", "--listen [::]:0").fails(4, &["listening on [::]:0", wants]);
    refused(&dir, "VOTEKIT_LISTEN=0.0.0.0:0", "").fails(4, &[wants]);
    // Administration and metrics stay local, even with a proxy before the votes.
    let stays = "set admin_beyond_loopback = true";
    refused(&dir, "", "--admin-listen 0.0.0.0:0").fails(4, &["admin_listen = 0.0.0.0:0", stays]);
    refused(&dir, "", "--metrics-listen 0.0.0.0:0 --tls-proxy 10.0.0.5")
        .fails(4, &["metrics_listen = 0.0.0.0:0", stays]);
    refused(&dir, "", "--tls-proxy 10.0.0.5/24")
        .fails(2, &["--tls-proxy", "bits set after the network's length"]);
    refused(&dir, "", "--tls-cert cert.pem").fails(2, &["--tls-key"]);
    assert!(!dir.exists("node"), "a refused node made its folder");
}

#[test]
fn a_configuration_is_read_and_its_faults_are_placed() {
    let dir = TestDir::new();
    for (text, said) in [
        (
            "listen = \"127.0.0.1:0\"\nlistn = \"127.0.0.1:0\"\n",
            &["node.toml: ", "line 2", "listn"][..],
        ),
        ("\n\nrate_limit_per_second = \"many\"\n", &["node.toml: ", "line 3"]),
        ("[throttle]\nfree = 3\n", &["node.toml: ", "line 2", "free"]),
        ("listen = \n", &["node.toml: ", "line 1"]),
        ("tls_cert = \"cert.pem\"\n", &["tls_cert and tls_key belong together"]),
        ("batch_votes_max = 0\n", &["batch_votes_max must be at least 1"]),
    ] {
        dir.write("node.toml", text);
        refused(&dir, "", "--config node.toml").fails(4, said);
    }
    refused(&dir, "", "--config nothing.toml").fails(4, &["cannot read nothing.toml"]);
    refused(&dir, "", "--log-level loud")
        .fails(2, &["--log-level: a log level is one of error, warn, info"]);
    refused(&dir, "", "--rate-limit few").fails(2, &["--rate-limit"]);
    refused(&dir, "", "--log-base 'a b'")
        .fails(2, &["--log-base", "hint: such as elections.example.ca"]);
    assert!(!dir.exists("node"));
    // Flag over environment over file: the file's address is not on this machine, those of the
    // flags are.
    dir.write(
        "node.toml",
        "listen = \"192.0.2.1:80\"\ntls_proxies = [\"192.0.2.7\"]\n[throttle]\nenabled = false\n",
    );
    let node =
        Node::serve_with(&dir, &["--config", "node.toml", "--log-base", "elections.example"]);
    assert!(node.public.contains("127.0.0.1:"));
    node.stop();
    refused(&dir, "", "--log-base other.example")
        .fails(4, &["named under 'elections.example'", "omit --log-base"]);
}

#[test]
fn by_tls_votes_are_cast() {
    let (dir, electors) = poll::opened(3);
    let tls = concat!(env!("CARGO_MANIFEST_DIR"), "/../votekit-http/tests/tls");
    let (cert, key) = (format!("{tls}/cert.pem"), format!("{tls}/key.pem"));
    for file in [&key, &format!("{tls}/other-key.pem")] {
        private(file.as_ref());
    }
    let node = Node::serve_with(&dir, &["--tls-cert", &cert, "--tls-key", &key]);
    assert!(node.public.starts_with("https://127.0.0.1:"), "{}", node.public);
    dir.write("vote", format!("{}\n{}\noui\n", electors[0].nas, electors[0].code));
    let cast = format!("\"$VOTEKIT\" cast --node {} --law {LAW} < vote", node.public);
    dir.shell(&cast).fails(4, &["cannot be reached", "hint: "]);
    let trusting = dir.shell(&format!("SSL_CERT_FILE={cert} {cast}"));
    assert!(trusting.succeeds().starts_with("Your vote is recorded and counts."));
    let plain = dir.shell(&cast.replace("https://", "http://"));
    plain.fails(4, &["cannot be reached"]);
    node.stop();
    let missing = format!("{ANY_PORTS} --tls-cert nothing.pem --tls-key {key}");
    refused(&dir, "", &missing).fails(4, &["nothing.pem"]);
    let mixed = format!("{ANY_PORTS} --tls-cert {cert} --tls-key {tls}/other-key.pem");
    refused(&dir, "", &mixed).fails(4, &["do not match"]);
}

#[test]
fn sigterm_under_load_loses_nothing() {
    let (dir, electors) = poll::opened(400);
    let node = Node::serve(&dir);
    let answered = AtomicUsize::new(0);
    let (taken, ended) = std::thread::scope(|scope| {
        let casting: Vec<_> = electors
            .chunks(100)
            .map(|share| {
                let (public, answered) = (node.public.clone(), &answered);
                scope.spawn(move || {
                    let http = Http::new();
                    // After the first broken connection the node has ended.
                    let answers = share
                        .iter()
                        .map_while(|elector| http.vote(&public, elector, "oui", "k", 0).ok());
                    let taken = answers.filter(|answer| answer.status == 202).map(|answer| {
                        answered.fetch_add(1, Ordering::Relaxed);
                        answer.request_id()
                    });
                    taken.collect::<Vec<_>>()
                })
            })
            .collect();
        let begun = Instant::now();
        while answered.load(Ordering::Relaxed) < 40 {
            assert!(begun.elapsed() < WAIT_TIMEOUT, "votes are not answered: {}", node.log());
            std::thread::yield_now();
        }
        terminate(node.id());
        let taken = casting
            .into_iter()
            .flat_map(|thread| thread.join().expect("no panic"))
            .collect::<Vec<_>>();
        (taken, node.ended())
    });
    assert!(ended.success(), "{ended}");
    // Answered votes are sealed before the node exits, as the folder at rest shows.
    let shown = dir.run(&["results", "--data", "node", "--json"]).json();
    assert_eq!(shown["accepted"], taken.len(), "a vote was answered 202 and is not sealed");
    let node = Node::serve(&dir);
    let http = Http::new();
    for request in &taken {
        assert_eq!(
            http.get(&format!("{}/api/v1/vote/{request}", node.public)).json()["status"],
            "accepted"
        );
    }
    node.stop();
}

#[test]
fn the_metrics_have_their_names() {
    let (dir, electors) = poll::opened(3);
    let node = Node::serve(&dir);
    let http = Http::new();
    for (elector, vote) in [(0, "oui"), (1, "non"), (0, "non")] {
        assert_eq!(
            http.vote(&node.public, &electors[elector], vote, &format!("key-{vote:0>16}"), 10)
                .expect("an answer")
                .status,
            200
        );
    }
    // Votes are counted a moment after they are answered.
    let begun = Instant::now();
    for line in [
        "votes_submitted_total 3",
        "votes_validated_total{status=\"accepted\"} 2",
        "votes_validated_total{status=\"duplicate\"} 1",
        "votes_validated_total{status=\"invalid\"} 0",
        "duplicate_attempts_total 1",
        "votes_per_second ",
        "validation_latency_seconds_count 3",
        "api_request_duration_seconds_bucket{route=\"/api/v1/vote\",method=\"POST\",status=\"200\",",
        "votes_by_law{law_id=\"L2025-001\",choice=\"oui\"} 1",
        "votes_by_law{law_id=\"L2025-001\",choice=\"non\"} 1",
        "queue_depth",
        "block_height",
        "checkpoint_age_seconds",
    ] {
        loop {
            let metrics = http.get(&node.metrics).body;
            if metrics.lines().any(|found| found.starts_with(line)) {
                break;
            }
            assert!(begun.elapsed() < WAIT_TIMEOUT, "{line}\n{metrics}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    node.stop();
    // Metrics do not show counts that the policy withholds.
    let (dir, electors) = poll::drafted(3, &["--results", "after_close"]);
    dir.run(&["election", "open", LAW, "--yes", "--data", "node"]).succeeds();
    let node = Node::serve(&dir);
    http.vote(&node.public, &electors[0], "oui", "k", 10).expect("an answer");
    assert!(!http.get(&node.metrics).body.contains("choice=\"oui\""));
    node.stop();
}
