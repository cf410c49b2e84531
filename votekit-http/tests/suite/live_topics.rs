//! Topics of a WebSocket that depend on the reader: one's own vote, the nodes for officials, the
//! counts for those who have voted; tokens that are refused, and that expire.

use crate::account_support::{account, send, token_of};
use crate::http_support::{Answer, Client, Served, ballot, config, guess};
use crate::live_support::{
    Events, PATH, QUIET_TIME, Socket, WAIT, close_of, connect_to, receive, rest, socket,
};
use crate::officials::official_token;
use crate::support::{LAW, create_request, credential, law};
use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use votekit_core::credential::Credential;
use votekit_core::election::ResultsPolicy;
use votekit_node::config::Config;
use votekit_node::{CreateElection, OpenElection};
use votekit_store::AccountRole;

const KEY: (&str, &str) = ("idempotency-key", "8e03978e-40d5-43e8-bc93-6894a57f9324");

fn results() -> String {
    format!("results/{LAW}")
}

fn nodes() -> String {
    format!("nodes/{LAW}")
}

async fn open(config: Config, policy: ResultsPolicy) -> Served {
    let request = CreateElection { results: Some(policy), ..create_request() };
    Served::open_with(config, request).await
}

/// Closes the poll, which a socket receives on the topic of all elections, and nothing else.
async fn close_and_follow(served: &Served, socket: &mut Socket) {
    served.node.close(&law()).await.expect("closed");
    loop {
        let message = receive(socket).await;
        assert_eq!(message["topic"], "elections", "{message}");
        if message["data"]["elections"][0]["state"] == "closed" {
            return;
        }
    }
}

/// A socket that has subscribed to a topic with a token.
async fn with_token(served: &Served, topic: &str, token: &str) -> Socket {
    let subscribe = json!({"subscribe": [topic], "token": token});
    socket(served.at.public, subscribe.to_string()).await
}

/// The messages of a vote's topic to the end of its socket, for a reader that has this version.
async fn follow_vote(served: &Served, request: &str, from: Option<u64>) -> Vec<Value> {
    let topic = format!("vote/{request}");
    let mut subscribe = json!({"subscribe": [topic]});
    if let Some(from) = from {
        subscribe["from"] = json!({ (topic.as_str()): from });
    }
    let mut socket = socket(served.at.public, subscribe.to_string()).await;
    let (mut messages, close) = rest(&mut socket).await;
    assert_eq!(close, (1000, "ended".to_owned()));
    assert_eq!(messages.pop(), Some(json!({"event": "bye", "reason": "ended"})));
    let end = json!({"topic": topic, "event": "end", "reason": "decided"});
    assert_eq!(messages.pop(), Some(end));
    assert!(messages.iter().all(|message| message["topic"] == topic), "{messages:?}");
    messages
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_is_followed_to_its_decision() {
    let served = open(config(), ResultsPolicy::AfterClose).await;
    for (body, status) in
        [(ballot(1, "oui"), "accepted"), (ballot(1, "non"), "duplicate"), (guess(2, 0), "invalid")]
    {
        let taken = served.vote(&body, &[]).await;
        assert_eq!(taken.status, 202, "{taken:?}");
        let request = taken.request_id();
        let mut messages = follow_vote(&served, &request, None).await;
        let mut decided = messages.pop().expect("the decision");
        // Where the log is slower than this test, a message comes before it.
        if let Some(pending) = messages.first() {
            assert_eq!(
                (&pending["event"], &pending["data"]["version"]),
                (&json!("snapshot"), &json!(1))
            );
            assert_eq!(pending["data"]["status"], "pending", "{pending}");
        }
        assert!(messages.len() <= 1, "{messages:?}");
        let kind = if messages.is_empty() { "snapshot" } else { "update" };
        assert_eq!(decided["event"], kind, "{decided}");
        let data = decided["data"].as_object_mut().expect("data");
        assert_eq!(data.remove("version"), Some(json!(2)));
        assert_eq!(data["status"], status);
        // The same as the answer to a request.
        let asked = served.get(&format!("/api/v1/vote/{request}")).await.json();
        assert_eq!(decided["data"], asked);
        // A reader that returns gets the messages that it lacks.
        let again = follow_vote(&served, &request, Some(1)).await;
        assert_eq!((again.len(), &again[0]["event"]), (1, &json!("snapshot")));
        assert!(follow_vote(&served, &request, Some(2)).await.is_empty());
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_continues_after_the_end_of_a_vote_and_unknown_votes_are_refused() {
    let served = open(config(), ResultsPolicy::AfterClose).await;
    let request = served.vote(&ballot(1, "oui"), &[WAIT]).await.request_id();
    let vote = format!("vote/{request}");
    let subscribe = json!({"subscribe": ["elections", vote]}).to_string();
    let mut both = socket(served.at.public, subscribe).await;
    while receive(&mut both).await != json!({"topic": vote, "event": "end", "reason": "decided"}) {}
    close_and_follow(&served, &mut both).await;
    let unknown = format!("vote/{}", "0".repeat(32));
    for (topics, reason) in [
        (vec![unknown.clone()], "unknown-request"),
        (vec![vote.clone(), unknown], "unknown-request"),
        ((0..5).map(|number| format!("vote/{number:032}")).collect(), "at most 4 votes"),
        (vec![vote.to_uppercase()], "a topic is"),
    ] {
        let subscribe = json!({"subscribe": topics}).to_string();
        let (messages, close) = rest(&mut socket(served.at.public, subscribe).await).await;
        assert!(close.0 == 1008 && close.1.contains(reason), "{close:?}");
        assert!(messages.is_empty() && !close.1.contains("000"), "{messages:?}");
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn officials_follow_the_nodes_as_the_administration_shows_them() {
    let served = open(config(), ResultsPolicy::Live).await;
    let token = official_token(&served, AccountRole::Auditor).await;
    let listed = served.admin("GET", &format!("/api/v1/admin/elections/{LAW}/nodes"), None).await;
    let mut following = with_token(&served, &nodes(), &token).await;
    let first = receive(&mut following).await;
    assert_eq!((&first["topic"], &first["event"]), (&json!(nodes()), &json!("snapshot")));
    assert_eq!(first["data"]["nodes"], listed.json());
    assert_eq!(first["data"]["nodes"][0]["answering"], true);

    let version = first["data"]["version"].as_u64().expect("a version");
    let subscribe =
        json!({"subscribe": [nodes()], "from": {(nodes().as_str()): version}, "token": token});
    let mut again = socket(served.at.public, subscribe.to_string()).await;
    assert!(timeout(QUIET_TIME, receive(&mut again)).await.is_err(), "the reader has it");
    served.vote(&ballot(1, "oui"), &[WAIT]).await;
    for socket in [&mut following, &mut again] {
        loop {
            let update = receive(socket).await;
            assert_eq!(update["event"], "update", "{update}");
            assert!(update["data"]["version"].as_u64() > Some(version));
            if update["data"]["nodes"][0]["epochs"][0]["sealed"] == 1 {
                break;
            }
        }
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_are_for_administrators_and_auditors_and_tokens_are_no_part_of_an_address() {
    let served = open(config(), ResultsPolicy::Live).await;
    let administrator = official_token(&served, AccountRole::Administrator).await;
    let mut following = with_token(&served, &nodes(), &administrator).await;
    assert_eq!(receive(&mut following).await["event"], "snapshot");
    for role in [AccountRole::Observer, AccountRole::Voter] {
        let token = token_of(&served, &format!("{role:?}@exemple.ca").to_lowercase(), role).await;
        let close = close_of(&mut with_token(&served, &nodes(), &token).await).await;
        assert_eq!(close, (1008, "forbidden".to_owned()), "{role:?}");
        let mut public = with_token(&served, "elections", &token).await;
        assert_eq!(receive(&mut public).await["event"], "snapshot", "{role:?}");
    }
    let refused = (1008, "token-refused".to_owned());
    for wrong in ["x", &administrator[1..], &"a".repeat(2100)] {
        for topic in [nodes(), "elections".to_owned()] {
            let close = close_of(&mut with_token(&served, &topic, wrong).await).await;
            assert_eq!(close, refused, "{topic}");
        }
    }
    let subscribe = json!({"subscribe": [nodes()]}).to_string();
    assert_eq!(close_of(&mut socket(served.at.public, subscribe.clone()).await).await, refused);
    let bearer = format!("Bearer {administrator}");
    for (path, fields) in [
        (format!("{PATH}?token={administrator}"), &[][..]),
        (PATH.to_owned(), &[("authorization", bearer.as_str())]),
    ] {
        let mut elsewhere = connect_to(served.at.public, &path, fields).await.expect("a socket");
        elsewhere.send(Message::text(subscribe.clone())).await.expect("sent");
        assert_eq!(close_of(&mut elsewhere).await, refused);
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_by_token_end_when_the_token_expires() {
    let served = open(config(), ResultsPolicy::Live).await;
    let token = official_token(&served, AccountRole::Auditor).await;
    // Eight seconds are left.
    served.node.step_clock(592_000);
    let subscribe = json!({"subscribe": ["elections", nodes()], "token": token});
    let mut both = socket(served.at.public, subscribe.to_string()).await;
    let mut alone = with_token(&served, &nodes(), &token).await;
    let end = json!({"topic": nodes(), "event": "end", "reason": "token-expired"});
    let mut is_followed = false;
    loop {
        let message = receive(&mut both).await;
        if message == end {
            break;
        }
        is_followed |= message["topic"] == nodes();
    }
    assert!(is_followed, "before that the topic was followed");
    let (messages, close) = rest(&mut alone).await;
    assert_eq!(messages[messages.len() - 2..], [end, json!({"event": "bye", "reason": "ended"})]);
    assert_eq!(close, (1000, "ended".to_owned()));
    let close = close_of(&mut with_token(&served, "elections", &token).await).await;
    assert_eq!(close, (1008, "token-refused".to_owned()));
    // The public topic continues.
    close_and_follow(&served, &mut both).await;
    served.end().await;
}

/// A call of a front end on this node's origin. Returns the answer, and the cookie after it.
async fn call(
    served: &Served,
    method: &str,
    path: &str,
    cookie: &str,
    body: Value,
) -> (Answer, String) {
    let headers = [
        ("origin", "http://localhost"),
        ("content-type", "application/json"),
        ("cookie", cookie),
        KEY,
        WAIT,
    ];
    let mut client = Client::connect(served.at.public).await;
    let answer = client.send(method, path, &headers, body.to_string()).await;
    let cookie = answer.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    (answer, cookie)
}

/// Signs in the elector with index `index`, and returns the cookie.
async fn sign_in(served: &Served, index: u32) -> String {
    let Credential { nas, code, .. } = credential(index);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("ASCII");
    let body =
        json!({"nas": text(nas.as_bytes()), "code": text(code.as_bytes()), "law_ids": [LAW]});
    let (answer, cookie) = call(served, "POST", "/api/v1/session", "", body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    cookie
}

/// Votes with the session of a cookie: the cookie after it, and the status of the vote.
async fn cast(served: &Served, cookie: &str, choice: &str) -> (String, Value) {
    let path = format!("/api/v1/votes/{LAW}");
    let (answer, cookie) = call(served, "PUT", &path, cookie, json!({"vote": choice})).await;
    (cookie, answer.json()["status"].clone())
}

/// A socket that follows the results, with the cookie and from a page of the origin.
async fn page(served: &Served, cookie: &str, origin: Option<&str>) -> Socket {
    let mut fields = vec![("cookie", cookie)];
    fields.extend(origin.map(|origin| ("origin", origin)));
    let mut socket = connect_to(served.at.public, PATH, &fields).await.expect("a socket");
    let subscribe = json!({"subscribe": [results()]}).to_string();
    socket.send(Message::text(subscribe)).await.expect("sent");
    socket
}

/// The counts of the first message.
async fn first_counts(socket: &mut Socket) -> Value {
    let message = receive(socket).await;
    assert_eq!((&message["topic"], &message["event"]), (&json!(results()), &json!("snapshot")));
    message["data"]["counts"].clone()
}

/// Reads until the count of `oui` is this. Every message has counts.
async fn until_count(socket: &mut Socket, count: u64) {
    loop {
        let data = receive(socket).await["data"].clone();
        assert!(data["counts"].is_array(), "{data}");
        if data["counts"][0] == json!({"id": "oui", "count": count}) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_has_voted_follows_the_counts_under_after_vote() {
    let live_origins = vec!["https://results.example".to_owned()];
    let served = open(Config { live_origins, ..config() }, ResultsPolicy::AfterVote).await;
    let own = format!("http://{}", served.at.public);
    let cookie = sign_in(&served, 1).await;
    let mut before = page(&served, &cookie, Some(&own)).await;
    assert_eq!(first_counts(&mut before).await, Value::Null, "not cast yet");
    let (cookie, status) = cast(&served, &cookie, "oui").await;
    assert_eq!(status, "accepted");

    let mut voter = page(&served, &cookie, Some(&own)).await;
    until_count(&mut voter, 1).await;
    let mut events = Events::open(served.at.public, &format!("cookie: {cookie}\r\n")).await;
    while events.next().await.expect("an event").data["counts"][0]["count"] != 1 {}
    // Without the origin of this node a cookie counts for nothing.
    for origin in [None, Some("https://results.example")] {
        let mut socket = page(&served, &cookie, origin).await;
        assert_eq!(first_counts(&mut socket).await, Value::Null, "{origin:?}");
    }
    let mut public = Events::open(served.at.public, "").await;
    assert_eq!(public.next().await.expect("an event").data["counts"], Value::Null);
    // A second vote with the credential opens nothing.
    let (again, status) = cast(&served, &sign_in(&served, 1).await, "non").await;
    assert_eq!(status, "duplicate");
    let mut again = page(&served, &again, Some(&own)).await;
    assert_eq!(first_counts(&mut again).await, Value::Null);

    served.vote(&ballot(2, "oui"), &[WAIT]).await;
    until_count(&mut voter, 2).await;
    while events.next().await.expect("an event").data["counts"][0]["count"] != 2 {}
    served.node.close(&law()).await.expect("closed");
    for socket in [&mut voter, &mut before] {
        loop {
            let data = receive(socket).await["data"].clone();
            if data["state"] == "closed" {
                assert_eq!(data["counts"][0]["count"], 2, "{data}");
                break;
            }
        }
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_who_has_voted_follows_the_counts_to_the_end_of_its_token() {
    let served = Served::empty(config()).await;
    let email = "membre@exemple.ca";
    let members = [account(email, AccountRole::Voter).id];
    let request = CreateElection { results: Some(ResultsPolicy::AfterVote), ..create_request() };
    served.node.create_with_members(request, &members).await.expect("created");
    served.node.open(&law(), OpenElection::default()).await.expect("opened");
    let token = token_of(&served, email, AccountRole::Voter).await;
    let mut before = with_token(&served, &results(), &token).await;
    assert_eq!(first_counts(&mut before).await, Value::Null, "has not voted");
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), KEY, WAIT];
    let path = format!("/api/v1/votes/{LAW}");
    let voted = send(&served, "PUT", &path, &headers, Some(json!({"vote": "oui"}))).await;
    assert_eq!(voted.json()["status"], "accepted", "{voted:?}");
    until_count(&mut with_token(&served, &results(), &token).await, 1).await;
    // Officials see the data that the policy shows to everyone.
    for role in [AccountRole::Administrator, AccountRole::Auditor, AccountRole::Observer] {
        let token = official_token(&served, role).await;
        let mut official = with_token(&served, &results(), &token).await;
        assert_eq!(first_counts(&mut official).await, Value::Null, "{role:?}");
    }
    let elsewhere = token_of(&served, "ailleurs@exemple.ca", AccountRole::Voter).await;
    let mut elsewhere = with_token(&served, &results(), &elsewhere).await;
    assert_eq!(first_counts(&mut elsewhere).await, Value::Null, "a member of nothing here");
    served.node.step_clock(590_000);
    let mut late = with_token(&served, &results(), &token).await;
    let end = json!({"topic": results(), "event": "end", "reason": "token-expired"});
    while receive(&mut late).await != end {}
    assert_eq!(close_of(&mut late).await, (1000, "ended".to_owned()));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_after_close_no_reader_sees_counts_before_the_close() {
    let served = open(config(), ResultsPolicy::AfterClose).await;
    let own = format!("http://{}", served.at.public);
    let (cookie, _) = cast(&served, &sign_in(&served, 1).await, "oui").await;
    let administrator = official_token(&served, AccountRole::Administrator).await;
    let mut sockets = [
        page(&served, &cookie, Some(&own)).await,
        with_token(&served, &results(), &administrator).await,
    ];
    for socket in &mut sockets {
        assert_eq!(first_counts(socket).await, Value::Null);
    }
    let mut events = Events::open(served.at.public, &format!("cookie: {cookie}\r\n")).await;
    assert_eq!(events.next().await.expect("an event").data["counts"], Value::Null);
    served.node.close(&law()).await.expect("closed");
    for socket in &mut sockets {
        loop {
            let data = receive(socket).await["data"].clone();
            if data["state"] == "closed" {
                assert!(data["counts"].is_array(), "{data}");
                break;
            }
            assert_eq!(data["counts"], Value::Null, "{data}");
        }
    }
    served.end().await;
}
