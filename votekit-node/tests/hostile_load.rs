//! The node under hostile load: addresses over their share, connections that trickle, storms of
//! guesses, proxies that lie.

mod http_support;
mod support;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use http_support::{Answer, Client, Served, ballot, config};
use support::{create_request, law};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use votekit_node::config::Config;
use votekit_node::throttle::ThrottleConfig;

const WAIT: (&str, &str) = ("prefer", "wait=30");

/// A connection from the loopback address 127.0.0.`host`.
async fn connect_from(host: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)), 0))
        .expect("a loopback address");
    socket.connect(to).await.expect("a connection")
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
    let mut answer = String::new();
    connect_from(1, served.at.public)
        .await
        .read_to_string(&mut answer)
        .await
        .expect("closed in order");
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: 5\r\n"),
        "{answer}"
    );
    assert!(answer.contains("\"code\":\"too-many-connections\""), "{answer}");
    let mut other = client_from(2, served.at.public).await;
    assert_eq!(other.vote(&ballot(1, "oui"), &[WAIT]).await.json()["status"], "accepted");
    // Who holds a place keeps it; and when one leaves, another may come.
    assert_eq!(held[0].get("/api/v1/elections").await.status, 200);
    held.pop();
    while {
        let mut stream = connect_from(1, served.at.public).await;
        stream
            .write_all(b"GET /api/v1/elections HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
            .await
            .expect("written");
        let mut answer = Vec::new();
        // A refusal may come as a reset.
        let _ = stream.read_to_end(&mut answer).await;
        !answer.starts_with(b"HTTP/1.1 200")
    } {}
    drop((held, other));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn votes_go_on_beside_slow_and_idle_connections() {
    // More of them than there are places.
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
                // The node may close at any time; then this one comes again.
                let _ = stream.write_all(said).await;
                let mut discarded = [0; 4096];
                while matches!(stream.read(&mut discarded).await, Ok(1..)) {}
            }
        });
    }
    for place in 0..10 {
        // Each on a connection of its own, as voters come.
        let answer = client_from(1, at).await.vote(&ballot(place, "oui"), &[WAIT]).await;
        assert_eq!(code(&answer), (200, String::new()), "{place}");
        assert_eq!(answer.json()["status"], "accepted");
    }
    hostile.shutdown().await;
    served.end().await;
}

/// A throttle that blocks nobody, so that only the budget is at stake.
fn budget_only(guesses_per_second: u32, guesses_burst: u32) -> ThrottleConfig {
    ThrottleConfig {
        prefix_free: 1_000_000,
        nas_free: 1_000_000,
        guesses_per_second,
        guesses_burst,
        ..ThrottleConfig::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_guesses_adds_no_more_than_its_budget_and_every_known_credential_gets_through() {
    let (per_second, burst) = (2, 5);
    let served = Served::open_with(
        Config { throttle: budget_only(per_second, burst), ..config() },
        create_request(),
    )
    .await;
    let (at, begin) = (served.at.public, Instant::now());
    let mut storm = JoinSet::new();
    for guesser in 0..10_u32 {
        storm.spawn(async move {
            let mut client = client_from(guesser as u8 + 10, at).await;
            let mut refusals = 0;
            for guess in 0..100 {
                let answer = client.vote(&ballot(1000 + guesser * 100 + guess, "oui"), &[]).await;
                match answer.status.as_u16() {
                    202 => {}
                    _ => {
                        assert_eq!(answer.problem(), refused("back-off"));
                        refusals += 1;
                    }
                }
            }
            refusals
        });
    }
    let mut voter = client_from(1, at).await;
    for place in 0..30 {
        let answer = voter.vote(&ballot(place, "non"), &[WAIT]).await;
        assert_eq!(answer.json()["status"], "accepted", "{place}: {answer:?}");
    }
    let refusals: u64 = storm.join_all().await.into_iter().sum();
    let elapsed_s = begin.elapsed().as_secs() + 1;
    let stored = 1000 - refusals;
    assert!(
        (u64::from(burst)..=u64::from(burst) + u64::from(per_second) * elapsed_s).contains(&stored),
        "{stored}"
    );
    // Within the budget a mistake gets its entry; beyond it, nothing.
    served.node.close(&law()).await.expect("closed");
    let election = served.node.election(&law()).expect("there");
    assert_eq!((election.accepted, election.invalid), (30, stored));
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
    // The vote that counts may be asked for again without end, and nobody else is held up.
    for _ in 0..20 {
        assert_eq!(greedy.vote(&ballot(1, "oui"), &first).await.json()["status"], "accepted");
    }
    assert_eq!(greedy.vote(&ballot(2, "oui"), &[WAIT]).await.json()["status"], "accepted");
    served.node.close(&law()).await.expect("closed");
    let election = served.node.election(&law()).expect("there");
    assert_eq!((election.accepted, election.duplicate), (2, stored));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_guess_costs_as_much_of_the_back_off_as_a_stored_one() {
    let throttle = ThrottleConfig { prefix_free: 6, ..budget_only(1, 1) };
    let served = Served::open_with(Config { throttle, ..config() }, create_request()).await;
    let mut client = client_from(1, served.at.public).await;
    for guess in 0..7 {
        client.vote(&ballot(1000 + guess, "oui"), &[]).await;
    }
    assert_eq!(
        code(&client.vote(&ballot(1, "oui"), &[]).await),
        refused("back-off"),
        "the prefix is blocked"
    );
    assert_eq!(
        code(&client.vote("not even JSON", &[]).await),
        refused("back-off"),
        "before the body is read"
    );
    let mut other = client_from(2, served.at.public).await;
    assert_eq!(other.vote(&ballot(1, "oui"), &[WAIT]).await.json()["status"], "accepted");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_in_parallel_gain_nothing() {
    let throttle = ThrottleConfig { prefix_free: 5, ..budget_only(0, 0) };
    let served = Served::open_with(Config { throttle, ..config() }, create_request()).await;
    let at = served.at.public;
    let mut burst = JoinSet::new();
    for guess in 0..100 {
        let mut client = client_from(1, at).await;
        burst.spawn(async move { code(&client.vote(&ballot(1000 + guess, "oui"), &[]).await) });
    }
    let codes = burst.join_all().await;
    let stored = codes.iter().filter(|code| code.0 == 202).count();
    // The free ones, the one that spends what is left, and one in each thread that was looked at
    // meanwhile.
    assert!((6..=8).contains(&stored), "{stored}");
    assert!(codes.iter().all(|code| code.0 == 202 || *code == refused("back-off")));
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
    // A client that invents addresses stays one client.
    let mut liar = client_from(1, served.at.public).await;
    let mut codes = Vec::new();
    for host in 1..50 {
        codes.push(code(
            &liar.vote("not json", &[("x-forwarded-for", &format!("203.0.113.{host}"))]).await,
        ));
    }
    assert!(codes.contains(&refused("address-share")));
    // A proxy has as many connections as it likes, and its clients each a share of their own.
    let mut proxy =
        [client_from(2, served.at.public).await, client_from(2, served.at.public).await];
    for host in 1..50 {
        let header = ("x-forwarded-for", &*format!("198.51.100.7, 203.0.113.{host}"));
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
