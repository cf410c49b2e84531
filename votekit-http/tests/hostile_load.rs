//! The node under hostile load: addresses over their share, busy and slow connections, readers,
//! replays, guesses, proxies that lie. Every honest vote is accepted and answered.

mod http_support;
#[path = "../../votekit-node/tests/support/mod.rs"]
mod support;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http_support::{Answer, Client, Served, ballot, config, guess};
use support::{create_request, law};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use votekit_node::config::Config;
use votekit_node::config::ThrottleConfig;

const WAIT: (&str, &str) = ("prefer", "wait=30");

/// An upper bound for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// Opens a connection from the loopback address 127.0.0.`host`.
async fn connect_from(host: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)), 0))
        .expect("a loopback address");
    socket.connect(to).await.expect("a connection")
}

/// What the listener answers to a connection that it refuses.
async fn refusal_from(host: u8, to: SocketAddr) -> String {
    let mut answer = String::new();
    let mut stream = connect_from(host, to).await;
    stream.read_to_string(&mut answer).await.expect("closed in order");
    answer
}

async fn client_from(host: u8, to: SocketAddr) -> Client {
    Client::over(connect_from(host, to).await).await
}

fn code(answer: &Answer) -> (u16, String) {
    if answer.status.is_success() {
        (answer.status.as_u16(), String::new())
    } else {
        answer.problem()
    }
}

fn refused(code: &str) -> (u16, String) {
    (429, code.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_over_its_share_of_the_rate_is_refused_and_another_is_served() {
    let served = Served::open_with(
        Config { rate_limit_per_address_per_second: Some(1), ..config() },
        create_request(),
    )
    .await;
    let mut greedy = client_from(1, served.at.public).await;
    let mut codes = Vec::new();
    while codes.len() < 50 && !codes.contains(&refused("address-share")) {
        codes.push(code(&greedy.vote("not json", &[]).await));
    }
    assert_eq!(codes.last(), Some(&refused("address-share")));
    assert_eq!(greedy.get("/api/v1/elections").await.status, 200, "only votes are limited");
    let mut other = client_from(2, served.at.public).await;
    assert_eq!(other.vote(&ballot(1, "oui"), &[WAIT]).await.json()["status"], "accepted");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_over_its_share_of_connections_is_refused_and_another_is_served() {
    let served =
        Served::open_with(Config { connections_per_address_max: 3, ..config() }, create_request())
            .await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut client = client_from(1, served.at.public).await;
        assert_eq!(client.get("/api/v1/elections").await.status, 200);
        held.push(client);
    }
    let answer = refusal_from(1, served.at.public).await;
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: 5\r\n"),
        "{answer}"
    );
    assert!(answer.contains("\"code\":\"too-many-connections\""), "{answer}");
    let mut other = client_from(2, served.at.public).await;
    assert_eq!(other.vote(&ballot(1, "oui"), &[WAIT]).await.json()["status"], "accepted");
    // Held connections keep their slots; when one closes, another is accepted.
    assert_eq!(held[0].get("/api/v1/elections").await.status, 200);
    held.pop();
    while {
        let mut stream = connect_from(1, served.at.public).await;
        stream
            .write_all(b"GET /api/v1/elections HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
            .await
            .expect("written");
        let mut answer = Vec::new();
        // A refusal may arrive as a reset.
        let _ = stream.read_to_end(&mut answer).await;
        !answer.starts_with(b"HTTP/1.1 200")
    } {}
    drop((held, other));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn votes_go_on_beside_slow_and_idle_connections() {
    // More hostile connections than slots.
    let served =
        Served::open_with(Config { connections_max: 200, ..config() }, create_request()).await;
    let at = served.at.public;
    let mut hostile = JoinSet::new();
    for number in 0..230_u32 {
        hostile.spawn(async move {
            let said: &[u8] = match number % 4 {
                0 => b"",
                1 => b"POST /api/v1/vote HTTP/1.1\r\nhost: h\r\nx-slow: ",
                2 => b"POST /api/v1/vote HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{",
                _ => b"GET /api/v1/elections HTTP/1.1\r\nhost: h\r\n\r\n",
            };
            loop {
                let mut stream = connect_from((number % 100) as u8 + 100, at).await;
                // The node may close at any time; then this connection is opened again.
                let _ = stream.write_all(said).await;
                let mut discarded = [0; 4096];
                while matches!(stream.read(&mut discarded).await, Ok(1..)) {}
            }
        });
    }
    for index in 0..10 {
        // Each vote on its own connection, as voters arrive.
        let answer = client_from(1, at).await.vote(&ballot(index, "oui"), &[WAIT]).await;
        assert_eq!(code(&answer), (200, String::new()), "{index}");
        assert_eq!(answer.json()["status"], "accepted");
    }
    hostile.shutdown().await;
    served.end().await;
}

/// Sends a request over one connection after another from an address, as fast as it is answered,
/// until the task is stopped. Counts the answers.
async fn send_for_ever(host: u8, at: SocketAddr, request: Arc<[u8]>, answers: Arc<AtomicU64>) {
    loop {
        let mut stream = connect_from(host, at).await;
        let mut answer = vec![0; 128 * 1024];
        // The node may close at any time; then a new connection is opened.
        while stream.write_all(&request).await.is_ok() {
            match stream.read(&mut answer).await {
                Ok(1..) => answers.fetch_add(1, Ordering::Relaxed),
                Ok(0) | Err(_) => break,
            };
        }
    }
}

/// Opens `connections` hostile connections in all, from `addresses` addresses (127.0.0.100 and on).
fn storm(
    at: SocketAddr,
    (addresses, connections): (u8, usize),
    request: &str,
) -> (JoinSet<()>, Arc<AtomicU64>) {
    let (mut tasks, answers) = (JoinSet::new(), Arc::new(AtomicU64::new(0)));
    let request: Arc<[u8]> = request.as_bytes().into();
    for number in 0..connections {
        let host = 100 + (number % usize::from(addresses)) as u8;
        tasks.spawn(send_for_ever(host, at, Arc::clone(&request), Arc::clone(&answers)));
    }
    (tasks, answers)
}

/// Waits until the hostile part has received `count` more answers.
async fn under_way(answers: &AtomicU64, count: u64) {
    let (before, begun) = (answers.load(Ordering::Relaxed), Instant::now());
    while answers.load(Ordering::Relaxed) < before + count {
        assert!(begun.elapsed() < WAIT_TIMEOUT, "the hostile part gets no answers");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Casts the votes of the first 20 electors, each on its own connection, and those of the next ten
/// on one connection that stays open. All must be accepted.
async fn vote_all(at: SocketAddr) {
    let mut staying = client_from(1, at).await;
    for index in 0..20 {
        let answer = client_from(1, at).await.vote(&ballot(index, "oui"), &[WAIT]).await;
        assert_eq!(code(&answer), (200, String::new()), "{index}");
        assert_eq!(answer.json()["status"], "accepted");
        if index % 2 == 0 {
            let answer = staying.vote(&ballot(20 + index / 2, "non"), &[WAIT]).await;
            assert_eq!(code(&answer), (200, String::new()), "{index}");
            assert_eq!(answer.header("connection"), "", "its address holds least: it stays");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn votes_go_on_beside_busy_connections_that_fill_every_slot() {
    let config = Config { connections_max: 60, connections_per_address_max: 6, ..config() };
    let served = Served::open_with(config, create_request()).await;
    let request = "GET /x HTTP/1.1\r\nhost: h\r\n\r\n";
    let (mut busy, answers) = storm(served.at.public, (10, 60), request);
    under_way(&answers, 300).await;
    vote_all(served.at.public).await;
    under_way(&answers, 1).await;
    busy.shutdown().await;
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn votes_go_on_beside_readers_at_full_speed() {
    let config = Config { read_limit_per_address_per_second: 5, ..config() };
    let served = Served::open_with(config, create_request()).await;
    let request = "GET /api/v1/openapi.json HTTP/1.1\r\nhost: h\r\n\r\n";
    let (mut readers, answers) = storm(served.at.public, (12, 24), request);
    under_way(&answers, 300).await;
    vote_all(served.at.public).await;
    // The reader is over its share; the voters of its own address are not.
    let mut reader = client_from(50, served.at.public).await;
    let mut codes = Vec::new();
    while codes.len() < 1000 && !codes.contains(&refused("rate-limited")) {
        codes.push(code(&reader.get("/api/v1/elections").await));
    }
    assert_eq!(codes.last(), Some(&refused("rate-limited")));
    assert_eq!(reader.vote(&ballot(1, "oui"), &[]).await.status, 202);
    readers.shutdown().await;
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replays_cost_neither_rate_nor_log() {
    // The rate allows 40 votes a second: the honest votes would not get through if the replays,
    // which arrive by the hundred, took from it.
    let config = Config { rate_limit_per_second: 40, ..config() };
    let config = Config { rate_limit_per_address_per_second: Some(0), ..config };
    let served = Served::open_with(config, create_request()).await;
    let key = ("idempotency-key", "a-key-of-its-own");
    let first = client_from(1, served.at.public).await.vote(&ballot(29, "oui"), &[key, WAIT]).await;
    assert_eq!(first.json()["status"], "accepted");
    let body = ballot(29, "oui");
    let request = format!(
        "POST /api/v1/vote HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\nidempotency-key: {}\r\ncontent-length: {}\r\n\r\n{body}",
        key.1,
        body.len()
    );
    let (mut replays, answers) = storm(served.at.public, (12, 24), &request);
    under_way(&answers, 300).await;
    let mut voter = client_from(1, served.at.public).await;
    for index in 0..20 {
        let answer = voter.vote(&ballot(index, "oui"), &[WAIT]).await;
        assert_eq!(code(&answer), (200, String::new()), "{index}");
        let again = voter.vote(&body, &[key]).await;
        assert_eq!((again.status.as_u16(), again.request_id()), (202, first.request_id()));
    }
    replays.shutdown().await;
    served.node.close(&law()).await.expect("closed");
    let results = served.node.results(&law(), None).await.expect("shown");
    assert_eq!((results.report.accepted, results.report.replayed), (21, 0));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_sent_many_times_at_once_is_one_envelope() {
    let served = Served::open_with(config(), create_request()).await;
    let at = served.at.public;
    let mut copies = JoinSet::new();
    for _ in 0..40 {
        copies.spawn(async move {
            let key = ("idempotency-key", "a-key-of-its-own");
            let answer = client_from(1, at).await.vote(&ballot(1, "oui"), &[key]).await;
            (answer.status.as_u16(), answer.request_id())
        });
    }
    let answers = copies.join_all().await;
    assert!(answers.iter().all(|answer| *answer == (202, answers[0].1.clone())), "{answers:?}");
    served.node.close(&law()).await.expect("closed");
    let results = served.node.results(&law(), None).await.expect("shown");
    assert_eq!((results.report.received, results.report.replayed), (1, 0));
    served.end().await;
}

/// A throttle that makes no attempt wait while a test runs, so that only the budget is tested.
fn budget_only(per_second: u32, per_address_per_second: u32) -> ThrottleConfig {
    ThrottleConfig {
        wrong_free: 1_000_000,
        wrong_stored_per_second: per_second,
        wrong_stored_per_address_per_second: per_address_per_second,
        ..ThrottleConfig::default()
    }
}

/// A throttle whose waits outlast the test, and under which every wrong code is stored.
fn long_waits() -> ThrottleConfig {
    ThrottleConfig {
        delay_seconds_min: 600,
        delay_seconds_max: 600,
        wrong_stored_per_second: 0,
        wrong_stored_per_address_per_second: 0,
        ..ThrottleConfig::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_guesses_adds_no_more_than_its_budget_and_every_known_credential_gets_through() {
    let (per_second, per_address) = (5, 2);
    let throttle = budget_only(per_second, per_address);
    let served = Served::open_with(Config { throttle, ..config() }, create_request()).await;
    let (at, begin) = (served.at.public, Instant::now());
    let mut storm = JoinSet::new();
    for guesser in 0..10_u32 {
        storm.spawn(async move {
            let mut client = client_from(guesser as u8 + 10, at).await;
            let mut refusals = 0;
            for number in 0..100 {
                let answer = client.vote(&guess(1000 + guesser * 100 + number, 0), &[]).await;
                if answer.status != 202 {
                    assert_eq!(answer.problem(), refused("not-recognised"));
                    refusals += 1;
                }
            }
            refusals
        });
    }
    let mut voter = client_from(1, at).await;
    for index in 0..30 {
        let answer = voter.vote(&ballot(index, "non"), &[WAIT]).await;
        assert_eq!(answer.json()["status"], "accepted", "{index}: {answer:?}");
    }
    let refusals: u64 = storm.join_all().await.into_iter().sum();
    let elapsed_s = begin.elapsed().as_secs() + 1;
    let (stored, burst) = (1000 - refusals, u64::from(per_second));
    assert!((burst..=burst + burst * elapsed_s).contains(&stored), "{stored}");
    // Each wrong code within the budget gets an entry; those beyond it get none.
    served.node.close(&law()).await.expect("closed");
    let election = served.node.election(&law()).expect("there");
    assert_eq!((election.accepted, election.invalid), (30, stored));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_in_back_off_holds_up_neither_the_elector_nor_the_neighbours() {
    let served =
        Served::open_with(Config { throttle: long_waits(), ..config() }, create_request()).await;
    let mut attacker = client_from(1, served.at.public).await;
    for number in 0..6 {
        assert_eq!(attacker.vote(&guess(1, number), &[]).await.status, 202);
    }
    assert_eq!(code(&attacker.vote(&guess(1, 7), &[]).await), refused("back-off"));
    let mut neighbour = client_from(1, served.at.public).await;
    assert_eq!(neighbour.vote(&ballot(2, "oui"), &[WAIT]).await.json()["status"], "accepted");
    let mut elector = client_from(2, served.at.public).await;
    assert_eq!(elector.vote(&ballot(1, "oui"), &[WAIT]).await.json()["status"], "accepted");
    assert_eq!(code(&attacker.vote(&guess(1, 8), &[]).await), refused("back-off"));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correct_vote_shows_in_no_answer_to_wrong_codes() {
    let served =
        Served::open_with(Config { throttle: long_waits(), ..config() }, create_request()).await;
    let mut all_answers = Vec::new();
    for (index, votes_after) in [(1, None), (2, Some(0)), (3, Some(3)), (4, Some(6))] {
        let mut attacker = client_from(1, served.at.public).await;
        let mut answers = Vec::new();
        for number in 0..9 {
            if votes_after == Some(number) {
                // From the attacker's own address as long as it is admitted, and from another
                // address.
                for host in [1, 2] {
                    let mut voter = client_from(host, served.at.public).await;
                    let key = ("idempotency-key", "a-key-of-its-own");
                    for headers in [&[WAIT, key][..], &[WAIT, key], &[WAIT]] {
                        let answer = voter.vote(&ballot(index, "oui"), headers).await;
                        assert!(answer.status == 200 || (host, number) == (1, 6), "{answer:?}");
                    }
                }
            }
            answers.push(code(&attacker.vote(&guess(index, number), &[]).await));
        }
        all_answers.push(answers);
    }
    assert_eq!(all_answers[0].iter().filter(|answer| answer.0 == 202).count(), 6);
    assert!(all_answers.iter().all(|answers| *answers == all_answers[0]), "{all_answers:?}");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_credential_adds_a_few_duplicates_and_no_more() {
    let served = Served::open_with(config(), create_request()).await;
    let mut greedy = client_from(1, served.at.public).await;
    let first = [WAIT, ("idempotency-key", "the-first-one-of-all")];
    assert_eq!(greedy.vote(&ballot(1, "oui"), &first).await.json()["status"], "accepted");
    let mut codes = Vec::new();
    for _ in 0..40 {
        codes.push(code(&greedy.vote(&ballot(1, "non"), &[]).await));
    }
    let stored = codes.iter().filter(|code| code.0 == 202).count() as u64;
    assert!((10..=12).contains(&stored), "{stored}: ten, and one a minute");
    assert_eq!(codes.last(), Some(&refused("too-many-duplicates")));
    // The accepted vote may be repeated without limit, and no other voter is refused.
    for _ in 0..20 {
        assert_eq!(greedy.vote(&ballot(1, "oui"), &first).await.json()["status"], "accepted");
    }
    assert_eq!(greedy.vote(&ballot(2, "oui"), &[WAIT]).await.json()["status"], "accepted");
    served.node.close(&law()).await.expect("closed");
    let election = served.node.election(&law()).expect("there");
    assert_eq!((election.accepted, election.duplicate), (2, stored));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_in_parallel_gain_nothing() {
    let served =
        Served::open_with(Config { throttle: long_waits(), ..config() }, create_request()).await;
    let at = served.at.public;
    let mut burst = JoinSet::new();
    for number in 0..100 {
        let mut client = client_from(1, at).await;
        burst.spawn(async move { code(&client.vote(&guess(1, number), &[]).await) });
    }
    let codes = burst.join_all().await;
    let stored = codes.iter().filter(|code| code.0 == 202).count();
    assert_eq!(stored, 6, "five are free, and one begins the waits");
    assert!(codes.iter().all(|code| code.0 == 202 || *code == refused("back-off")));
    served.end().await;
}

/// The number of local connections that keep each internal listener busy: as many as it has slots.
const BUSY: usize = 64;

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_is_closed_and_watched_beside_busy_local_connections() {
    let served = Served::open_with(config(), create_request()).await;
    client_from(1, served.at.public).await.vote(&ballot(1, "oui"), &[WAIT]).await;
    let mut storms = Vec::new();
    for (at, path) in [(served.at.administration, "/x"), (served.at.metrics, "/metrics")] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n");
        // From the addresses 127.0.0.100 and on, and from the address of the officials.
        let (mut tasks, answers) = storm(at, (4, BUSY / 2), &request);
        let request: Arc<[u8]> = request.as_bytes().into();
        for _ in 0..BUSY / 2 {
            tasks.spawn(send_for_ever(1, at, Arc::clone(&request), Arc::clone(&answers)));
        }
        storms.push((tasks, answers));
    }
    for (_, answers) in &storms {
        under_way(answers, 200).await;
    }
    let metrics = client_from(1, served.at.metrics).await.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    let path = "/api/v1/admin/elections/L2025-001/close";
    let closed = served.admin("POST", path, Some(serde_json::json!({}))).await;
    assert_eq!((closed.status.as_u16(), &closed.json()["accepted"]), (200, &1.into()));
    for (mut tasks, answers) in storms {
        under_way(&answers, 1).await;
        tasks.shutdown().await;
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_leaves_slots_of_monitoring_to_others() {
    let served = Served::open().await;
    let mut held = Vec::new();
    for _ in 0..48 {
        let mut client = client_from(1, served.at.metrics).await;
        assert_eq!(client.get("/metrics").await.status, 200);
        held.push(client);
    }
    let answer = refusal_from(1, served.at.metrics).await;
    assert!(answer.contains("\"code\":\"too-many-connections\""), "{answer}");
    for host in 2..18 {
        let mut other = client_from(host, served.at.metrics).await;
        assert_eq!(other.get("/metrics").await.status, 200);
        held.push(other);
    }
    drop(held);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_valid_token_a_connection_ends_with_its_answer() {
    let served = Served::open_with(config(), create_request()).await;
    let mut stranger = Client::connect(served.at.administration).await;
    let refusal = stranger.get("/api/v1/admin/elections").await;
    assert_eq!((refusal.status.as_u16(), refusal.header("connection")), (401, "close"));
    let token = format!("Bearer {}", served.node.admin_token().expect("a token").as_str());
    let mut official = Client::connect(served.at.administration).await;
    for _ in 0..2 {
        let headers = [("authorization", token.as_str())];
        let shown = official.send("GET", "/api/v1/admin/elections", &headers, "").await;
        assert_eq!((shown.status.as_u16(), shown.header("connection")), (200, ""));
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_proxy_of_ours_is_believed() {
    let tls_proxies = vec!["127.0.0.2".parse().expect("a range")];
    let config = Config {
        tls_proxies,
        rate_limit_per_address_per_second: Some(1),
        connections_per_address_max: 1,
        ..config()
    };
    let served = Served::open_with(config, create_request()).await;
    // A client that invents addresses still counts as one client.
    let mut liar = client_from(1, served.at.public).await;
    let mut codes = Vec::new();
    for host in 1..50 {
        codes.push(code(
            &liar.vote("not json", &[("x-forwarded-for", &format!("203.0.113.{host}"))]).await,
        ));
    }
    assert!(codes.contains(&refused("address-share")));
    // A proxy may have any number of connections, and each of its clients has its own share.
    let mut proxy =
        [client_from(2, served.at.public).await, client_from(2, served.at.public).await];
    for host in 1..50 {
        let header = ("x-forwarded-for", &*format!("198.51.100.7, 203.0.{host}.7"));
        assert_eq!(code(&proxy[host % 2].vote("not json", &[header]).await).0, 400, "{host}");
    }
    let mut codes = Vec::new();
    while codes.len() < 50 && !codes.contains(&refused("address-share")) {
        codes.push(code(&proxy[0].vote("not json", &[("x-forwarded-for", "203.0.113.200")]).await));
    }
    assert_eq!(codes.last(), Some(&refused("address-share")));
    drop((liar, proxy));
    served.end().await;
}
