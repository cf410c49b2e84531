//! Readers of live updates who send their token late, never subscribe, begin messages without an
//! end, come from the future, or stay after their session.

use std::time::{Duration, Instant};

use crate::account_support::{PASSWORD, add, app_code, change, login, send, token_of};
use crate::http_support::{Served, ballot};
use crate::live_support::{
    Events, PATH, Socket, WAIT, close_of, connect, connect_to, receive, rest, socket,
};
use crate::officials::official_token;
use crate::support::LAW;
use futures_util::SinkExt as _;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use votekit_store::{AccountRole, AccountState};

/// A piece of a text that is not its last.
fn piece(kind: Data, bytes: usize) -> Message {
    Message::Frame(Frame::message(vec![b' '; bytes], OpCode::Data(kind), false))
}

/// Reads until the number of accepted votes is this. Every message is an update.
async fn until_accepted(socket: &mut Socket, accepted: u64) {
    loop {
        let update = receive(socket).await;
        assert_eq!(update["event"], "update", "{update}");
        if update["data"]["accepted"] == accepted {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_counts_in_the_first_message_alone() {
    let served = Served::open().await;
    let at = served.at.public;
    let token = official_token(&served, AccountRole::Auditor).await;
    let nodes = format!("nodes/{LAW}");
    let alone = json!({ "token": token }).to_string();
    let (code, reason) = close_of(&mut socket(at, alone.clone()).await).await;
    assert!(code == 1008 && !reason.contains(&token), "{code} {reason}");
    let public = json!({"subscribe": ["elections"]}).to_string();
    for second in [alone, json!({"subscribe": [nodes], "token": token}).to_string()] {
        let mut late = socket(at, public.clone()).await;
        assert_eq!(receive(&mut late).await["event"], "snapshot");
        late.send(Message::text(second)).await.expect("sent");
        let (messages, close) = rest(&mut late).await;
        assert!(messages.iter().all(|message| message["topic"] == "elections"), "{messages:?}");
        assert_eq!(close, (1008, "nothing is expected after the subscription".to_owned()));
    }
    let cookie = format!("access_token={token}; token={token}");
    let mut elsewhere =
        connect_to(at, PATH, &[("cookie", cookie.as_str())]).await.expect("a socket");
    let subscribe = json!({"subscribe": [nodes]}).to_string();
    elsewhere.send(Message::text(subscribe)).await.expect("sent");
    assert_eq!(close_of(&mut elsewhere).await, (1008, "token-refused".to_owned()));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_never_subscribes_is_closed_with_a_reason() {
    let served = Served::open().await;
    let begun = Instant::now();
    let mut silent = connect(served.at.public, None).await.expect("a socket");
    let mut unfinished = connect(served.at.public, None).await.expect("a socket");
    unfinished.send(piece(Data::Text, 1)).await.expect("sent");
    unfinished.send(piece(Data::Continue, 0)).await.expect("sent");
    for socket in [&mut silent, &mut unfinished] {
        let close = close_of(socket).await;
        assert_eq!(close, (1008, "no subscription came in time".to_owned()));
    }
    assert!(begun.elapsed() >= Duration::from_secs(9), "{:?}", begun.elapsed());
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_message_holds_up_no_update_and_does_not_grow() {
    let served = Served::open().await;
    let subscribe = json!({"subscribe": [format!("turnout/{LAW}")]}).to_string();
    let mut reader = socket(served.at.public, subscribe).await;
    assert_eq!(receive(&mut reader).await["event"], "snapshot");
    reader.send(piece(Data::Text, 1)).await.expect("sent");
    served.vote(&ballot(1, "oui"), &[WAIT]).await;
    until_accepted(&mut reader, 1).await;
    // The last of these goes beyond the largest message.
    for _ in 0..17 {
        reader.send(piece(Data::Continue, 1000)).await.expect("sent");
    }
    assert_eq!(close_of(&mut reader).await.0, 1009);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_from_the_future_gets_what_the_node_has() {
    let served = Served::open().await;
    let at = served.at.public;
    let turnout = format!("turnout/{LAW}");
    let subscribe = json!({"subscribe": [turnout], "from": {(turnout.as_str()): u64::MAX}});
    let mut ahead = socket(at, subscribe.to_string()).await;
    let mut events = Events::open(at, &format!("last-event-id: {}\r\n", u64::MAX)).await;
    let first = receive(&mut ahead).await;
    assert_eq!((&first["topic"], &first["event"]), (&json!(turnout), &json!("snapshot")));
    assert!(first["data"]["version"].as_u64().is_some_and(|version| version < 1000), "{first}");
    assert_eq!(events.next().await.expect("an event").name, "snapshot");
    served.vote(&ballot(1, "oui"), &[WAIT]).await;
    until_accepted(&mut ahead, 1).await;
    assert_eq!(events.accepted(1).await.name, "update");
    // A number beyond all versions is none.
    let beyond = "18446744073709551616";
    let text = format!(r#"{{"subscribe":["{turnout}"],"from":{{"{turnout}":{beyond}}}}}"#);
    assert_eq!(close_of(&mut socket(at, text).await).await.0, 1008);
    let mut events = Events::open(at, &format!("last-event-id: {beyond}\r\n")).await;
    assert_eq!(events.next().await.expect("an event").name, "snapshot");
    served.end().await;
}

/// A socket that follows the turnout with a token, after its first message.
async fn follower(served: &Served, token: &str) -> Socket {
    let subscribe = json!({"subscribe": [format!("turnout/{LAW}")], "token": token});
    let mut socket = socket(served.at.public, subscribe.to_string()).await;
    assert_eq!(receive(&mut socket).await["event"], "snapshot");
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_ends_within_ten_seconds_of_its_session_or_account() {
    let served = Served::open().await;
    let email = "sortie@exemple.ca";
    add(&served.node, email, AccountRole::Voter).await;
    let tokens = login(&served, email, PASSWORD, &app_code(&served.node, 0)).await.json();
    let token = tokens["access_token"].as_str().expect("a token");
    let mut signed_out = follower(&served, token).await;
    let token = token_of(&served, "fermee@exemple.ca", AccountRole::Auditor).await;
    let mut disabled = follower(&served, &token).await;
    let token = token_of(&served, "autre@exemple.ca", AccountRole::Administrator).await;
    let mut demoted = follower(&served, &token).await;
    let token = token_of(&served, "reste@exemple.ca", AccountRole::Observer).await;
    let mut stays = follower(&served, &token).await;

    let begun = Instant::now();
    let refresh = json!({"refresh_token": tokens["refresh_token"]});
    let ended = send(&served, "POST", "/api/v1/auth/logout", &[], Some(refresh)).await;
    assert_eq!(ended.status, 204, "{ended:?}");
    change(&served.node, "fermee@exemple.ca", |account| account.state = AccountState::Disabled)
        .await;
    change(&served.node, "autre@exemple.ca", |account| account.role = AccountRole::Observer).await;
    for socket in [&mut signed_out, &mut disabled, &mut demoted] {
        let (messages, close) = rest(socket).await;
        assert_eq!(messages, [json!({"event": "bye", "reason": "session-ended"})]);
        assert_eq!(close, (1008, "session-ended".to_owned()));
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // The others continue.
    served.vote(&ballot(1, "oui"), &[WAIT]).await;
    until_accepted(&mut stays, 1).await;
    served.end().await;
}
