//! Live updates over real connections: event streams and WebSockets, the data that they show and
//! withhold, the treatment of bad readers, the slots of readers, the stop.

use std::time::{Duration, Instant};

use crate::http_support::{Client, Served, ballot, config};
use crate::live_support::{Event, Events, WAIT, WAIT_TIMEOUT, close_of, connect, receive, socket};
use crate::support::{LAW, create_request, law};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};
use votekit_core::election::ResultsPolicy;
use votekit_node::CreateElection;
use votekit_node::config::Config;

async fn open(config: Config, policy: ResultsPolicy) -> Served {
    let request = CreateElection { results: Some(policy), ..create_request() };
    Served::open_with(config, request).await
}

async fn vote(served: &Served, index: u32) {
    let answer = served.vote(&ballot(index, "oui"), &[WAIT]).await;
    assert_eq!(answer.json()["status"], "accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_moves_an_open_result_and_a_reader_that_returns_misses_nothing() {
    let served = open(config(), ResultsPolicy::Live).await;
    let mut events = Events::open(served.at.public, "").await;
    for line in [
        "HTTP/1.1 200 OK\r\n",
        "\r\ncontent-type: text/event-stream\r\n",
        "\r\nconnection: close\r\n",
        "\r\ncache-control: no-store\r\n",
        "\r\naccess-control-allow-origin: *\r\n",
    ] {
        assert!(events.text.contains(line), "{line}{}", events.text);
    }
    let snapshot = events.next().await.expect("an event");
    assert_eq!(snapshot.name, "snapshot");
    assert_eq!(snapshot.data["version"].as_u64(), snapshot.id);
    assert_eq!(
        (&snapshot.data["state"], &snapshot.data["registered"]),
        (&json!("open"), &json!(30))
    );
    vote(&served, 1).await;
    let update = events.accepted(1).await;
    assert_eq!(update.name, "update");
    assert!(update.id > snapshot.id);
    vote(&served, 2).await;
    events.accepted(2).await;
    let ids = |event: Option<Event>| event.and_then(|event| event.id);
    let last = ids(events.last().await);
    drop(events);
    // The rest of the counts may have been opened by a later block.
    let mut events = Events::open(served.at.public, "").await;
    let mut current = ids(events.next().await).expect("a snapshot");
    assert!(last.is_none_or(|last| last <= current));
    drop(events);
    let begun = Instant::now();
    let mut events = loop {
        let mut events =
            Events::open(served.at.public, &format!("last-event-id: {current}\r\n")).await;
        let Some(later) = ids(events.last().await) else { break events };
        assert!(later > current, "the reader has it");
        assert!(begun.elapsed() < WAIT_TIMEOUT, "the result moves without votes");
        current = later;
    };
    vote(&served, 3).await;
    assert_eq!(events.accepted(3).await.name, "update");
    drop(events);
    for behind in ["0", "x"] {
        let mut events =
            Events::open(served.at.public, &format!("last-event-id: {behind}\r\n")).await;
        assert_eq!(events.next().await.expect("an event").name, "snapshot", "{behind}");
    }
    let metrics = Client::connect(served.at.metrics).await.get("/metrics").await;
    for line in ["live_readers{kind=\"events\"} ", "live_fan_out_seconds_count "] {
        assert!(metrics.text().contains(line), "{line}");
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_come_after_the_close_and_never_earlier() {
    for policy in [ResultsPolicy::AfterClose, ResultsPolicy::AfterVote] {
        let served = open(config(), policy).await;
        let topics = [format!("results/{LAW}"), format!("turnout/{LAW}"), format!("blocks/{LAW}")];
        let subscribe = json!({"subscribe": topics}).to_string();
        let mut socket = socket(served.at.public, subscribe).await;
        let mut events = Events::open(served.at.public, "").await;
        vote(&served, 1).await;
        assert_eq!(events.accepted(1).await.data["counts"], Value::Null);
        served.node.close(&law()).await.expect("closed");
        let closed = loop {
            let event = events.next().await.expect("the stream goes on");
            if event.data["state"] == "closed" {
                break event;
            }
            assert_eq!(event.data["counts"], Value::Null, "{event:?}");
        };
        assert_eq!(closed.data["counts"][0], json!({"id": "oui", "count": 1}));
        loop {
            let message = receive(&mut socket).await;
            let data = &message["data"];
            let is_results = message["topic"] == topics[0];
            assert_eq!(data.get("counts").is_some(), is_results, "{message}");
            if is_results && data["state"] == "closed" {
                assert_eq!(data["counts"], closed.data["counts"]);
                break;
            }
            assert!(data["counts"].is_null(), "{message}");
        }
        served.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_follows_topics_from_the_versions_that_it_has() {
    let served = open(config(), ResultsPolicy::Live).await;
    let turnout = format!("turnout/{LAW}");
    let subscribe = json!({"subscribe": ["elections", turnout]}).to_string();
    let mut first = socket(served.at.public, subscribe).await;
    let mut versions = std::collections::BTreeMap::new();
    while versions.len() < 2 {
        let message = receive(&mut first).await;
        let topic = message["topic"].as_str().expect("a topic").to_owned();
        if !versions.contains_key(&topic) {
            assert_eq!(message["event"], "snapshot", "{message}");
        }
        versions.insert(topic, message["data"]["version"].as_u64().expect("a version"));
    }
    vote(&served, 1).await;
    loop {
        let message = receive(&mut first).await;
        let version = message["data"]["version"].as_u64().expect("a version");
        let topic = message["topic"].as_str().expect("a topic").to_owned();
        let before = versions.insert(topic, version).expect("known");
        assert!(before < version && message["event"] == "update", "{message}");
        if message["data"]["accepted"] == 1 {
            break;
        }
    }
    drop(first);
    let subscribe = json!({
        "subscribe": ["elections", turnout],
        "from": {"elections": versions["elections"], (turnout.as_str()): 0},
    });
    let mut again = socket(served.at.public, subscribe.to_string()).await;
    let message = loop {
        let message = receive(&mut again).await;
        if message["topic"] != "elections" {
            break message;
        }
        // A later block may have changed the list after the last message that was read.
        let version = message["data"]["version"].as_u64();
        assert!(version > Some(versions["elections"]), "the reader has it: {message}");
    };
    assert_eq!((&message["topic"], &message["event"]), (&json!(turnout), &json!("snapshot")));
    served.node.close(&law()).await.expect("closed");
    loop {
        let message = receive(&mut again).await;
        assert_eq!(message["event"], "update", "{message}");
        if message["topic"] == "elections" {
            let list = &message["data"]["elections"];
            assert_eq!(list[0]["id"], LAW);
            if list[0]["state"] == "closed" {
                break;
            }
        }
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_sends_something_else_is_refused_with_a_code_and_a_reason() {
    let served = open(config(), ResultsPolicy::Live).await;
    let at = served.at.public;
    let good = json!({"subscribe": ["elections"]}).to_string();
    for (message, code) in [
        (Message::text("hello"), 1008),
        (Message::text("{}"), 1008),
        (Message::text(r#"{"subscribe":["votes/L1"]}"#), 1008),
        (Message::text(r#"{"subscribe":["results/L9"]}"#), 1008),
        (Message::text(format!("{good}{}", " ".repeat(5000))), 1009),
        (Message::text(" ".repeat(40_000)), 1009),
        (Message::binary(good.clone().into_bytes()), 1003),
    ] {
        let mut socket = connect(at, None).await.expect("a socket");
        socket.send(message.clone()).await.expect("sent");
        let (closed, reason) = close_of(&mut socket).await;
        assert_eq!(closed, code, "{reason}");
        assert!(!reason.is_empty() && !reason.contains("L9"), "{reason}");
    }
    let mut twice = socket(at, good.clone()).await;
    twice.send(Message::text(good.clone())).await.expect("sent");
    assert_eq!(close_of(&mut twice).await.0, 1008);
    // A ping is answered and is nothing bad.
    let mut pinging = connect(at, None).await.expect("a socket");
    pinging.send(Message::Ping(vec![7_u8].into())).await.expect("sent");
    let pong = timeout(WAIT_TIMEOUT, pinging.next()).await.expect("in time");
    assert_eq!(pong.expect("open").expect("a message"), Message::Pong(vec![7_u8].into()));
    pinging.send(Message::text(good)).await.expect("sent");
    assert_eq!(receive(&mut pinging).await["event"], "snapshot");
    pinging.close(None).await.expect("closed");
    let closed = timeout(WAIT_TIMEOUT, pinging.next()).await.expect("in time");
    assert!(matches!(closed, Some(Ok(Message::Close(_)))), "{closed:?}");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_foreign_origin_opens_no_socket() {
    let live_origins = vec!["https://results.example".to_owned()];
    let served = open(Config { live_origins, ..config() }, ResultsPolicy::Live).await;
    let at = served.at.public;
    for origin in ["https://results.example".to_owned(), format!("http://{at}")] {
        connect(at, Some(&origin)).await.expect(&origin);
    }
    for origin in ["https://evil.example", "null", "https://results.example.evil.example"] {
        match connect(at, Some(origin)).await {
            Err(Error::Http(response)) => assert_eq!(response.status().as_u16(), 403, "{origin}"),
            other => panic!("{origin}: {other:?}"),
        }
    }
    let handshake = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("origin", "https://evil.example"),
    ];
    let mut client = Client::connect(at).await;
    let refused = client.send("GET", "/api/v1/ws", &handshake, "").await;
    assert_eq!(refused.problem(), (403, "foreign-origin".to_owned()));
    let plain = Client::connect(at).await.get("/api/v1/ws").await;
    assert_eq!(plain.problem(), (426, "upgrade-required".to_owned()));
    assert_eq!(plain.header("upgrade"), "websocket");
    let unknown = served.get("/api/v1/results/L9/events").await;
    assert_eq!(unknown.problem(), (404, "unknown-election".to_owned()));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_have_places_of_their_own_and_stay() {
    let config = Config {
        connections_max: 2,
        connection_seconds_max: 1,
        header_timeout_seconds: 1,
        live_readers_max: 4,
        ..config()
    };
    let served = open(config, ResultsPolicy::Live).await;
    let at = served.at.public;
    let subscribe = json!({"subscribe": [format!("turnout/{LAW}")]}).to_string();
    let mut streams = [Events::open(at, "").await, Events::open(at, "").await];
    let mut sockets = [socket(at, subscribe.clone()).await, socket(at, subscribe.clone()).await];
    for socket in &mut sockets {
        assert_eq!(receive(socket).await["event"], "snapshot");
    }
    let full = served.get(&format!("/api/v1/results/{LAW}/events")).await;
    assert_eq!(full.problem(), (503, "too-many-readers".to_owned()));
    match connect(at, None).await {
        Err(Error::Http(response)) => assert_eq!(response.status().as_u16(), 503),
        other => panic!("{other:?}"),
    }
    // Longer than the life and the idle time of a connection, with all slots busy meanwhile.
    for index in 1..=4 {
        let mut clients = [Client::connect(at).await, Client::connect(at).await];
        for client in &mut clients {
            assert_eq!(client.get("/api/v1/elections").await.status, 200);
        }
        drop(clients);
        vote(&served, index).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    for events in &mut streams {
        events.accepted(4).await;
    }
    for socket in &mut sockets {
        while receive(socket).await["data"]["accepted"] != 4 {}
    }
    // A reader that disconnects releases its slot.
    drop(streams);
    let begun = Instant::now();
    loop {
        match connect(at, None).await {
            Ok(_) => break,
            Err(_) => assert!(begun.elapsed() < WAIT_TIMEOUT, "no place was given back"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(sockets);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_takes_its_share_of_the_places_only() {
    let config = Config { connections_per_address_max: 2, ..config() };
    let served = open(config, ResultsPolicy::Live).await;
    let streams =
        [Events::open(served.at.public, "").await, Events::open(served.at.public, "").await];
    // Its requests have their own share.
    assert_eq!(served.get("/api/v1/elections").await.status, 200);
    let refused = served.get(&format!("/api/v1/results/{LAW}/events")).await;
    assert_eq!(refused.problem(), (503, "too-many-connections".to_owned()));
    drop(streams);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_node_sends_a_close_frame_to_its_readers() {
    let served = open(config(), ResultsPolicy::Live).await;
    let (node, at) = (served.node.clone(), served.at.public);
    let mut events = Events::open(at, "").await;
    assert_eq!(events.next().await.expect("an event").name, "snapshot");
    let mut following = socket(at, json!({"subscribe": ["elections"]}).to_string()).await;
    assert_eq!(receive(&mut following).await["event"], "snapshot");
    // One reader has not subscribed yet, and another does not read at all.
    let mut silent = connect(at, None).await.expect("a socket");
    let _unread = Events::open(at, "").await;
    let begun = Instant::now();
    let ended = served.stop();
    let bye = events.next().await.expect("a last event");
    assert_eq!((bye.name.as_str(), &bye.data), ("bye", &json!({"reason": "stopping"})));
    assert_eq!(events.next().await, None);
    assert!(events.text.ends_with("0\r\n\r\n"), "a whole body: {}", events.text);
    drop(events);
    assert_eq!(receive(&mut following).await, json!({"event": "bye", "reason": "stopping"}));
    for socket in [&mut following, &mut silent] {
        assert_eq!(close_of(socket).await, (1001, "stopping".to_owned()));
    }
    drop((following, silent));
    ended.await.expect("no panic").expect("an orderly end");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    node.shutdown().await;
}
