//! A member with a token at a node that accepts votes and reads, but decides nothing, beside a node
//! that seals, on one engine.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::account_support::{PASSWORD, change, hashed};
use crate::http_support::{Answer, Client, config};
use crate::support::{LAW, TestDir, create_request, law};
use serde_json::json;
use tokio::sync::oneshot;
use votekit_core::election::ResultsPolicy;
use votekit_http::listener::Server;
use votekit_node::config::{Config, Role};
use votekit_node::data_folder::DataFolder;
use votekit_node::node_name::NodeName;
use votekit_node::{AdminError, CreateElection, Node, OpenElection};
use votekit_store::embedded::EmbeddedEngine;
use votekit_store::{AccountState, Engines};

const EMAIL: &str = "alice@example.com";

/// An upper bound for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

async fn start(folder: &Path, engines: &Engines, name: &str, roles: &[Role]) -> Node {
    let name: NodeName = name.parse().expect("a name");
    let folder = DataFolder::open_named(folder, None, &name).expect("a data folder");
    let config = Config { name: Some(name), roles: roles.to_vec(), ..config() };
    Node::start_on(folder, config, engines.clone()).await.expect("the node starts")
}

/// Repeats a call until this node leads.
async fn by_leader<T>(call: impl AsyncFn() -> Result<T, AdminError>) -> T {
    let begun = Instant::now();
    loop {
        match call().await {
            Ok(done) => return done,
            Err(error) => assert!(begun.elapsed() < WAIT_TIMEOUT, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn send(
    at: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let headers = [headers, &[("content-type", "application/json")]].concat();
    Client::connect(at).await.send(method, path, &headers, body.to_owned()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_member_votes_at_a_node_that_decides_nothing() {
    let dir = TestDir::new(3);
    let engines = EmbeddedEngine::open(&dir.path("engine")).expect("it opens").into_shared();
    let shared = dir.path("shared");
    let sealer = start(&shared, &engines, "sealer-1", &[Role::Seal, Role::Validate]).await;
    let ingest = start(&shared, &engines, "ingest-1", &[Role::Ingest, Role::Query]).await;
    let server = Server::bind(ingest.clone()).await.expect("free ports");
    let at = server.addresses().public;
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));

    let emails = [EMAIL.to_owned()];
    let request = || CreateElection { results: Some(ResultsPolicy::AfterVote), ..create_request() };
    by_leader(async || sealer.create_with_addresses(request(), &emails).await).await;
    by_leader(async || sealer.open(&law(), OpenElection::default()).await).await;
    change(&sealer, EMAIL, |account| {
        account.state = AccountState::Active;
        account.password = Some(hashed(PASSWORD));
        account.invitation = None;
    })
    .await;
    let begun = Instant::now();
    while ingest.election(&law()).is_none_or(|election| election.state != "open") {
        assert!(begun.elapsed() < WAIT_TIMEOUT, "the node does not see the open poll");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let login = json!({"email": EMAIL, "password": PASSWORD}).to_string();
    let tokens = send(at, "POST", "/api/v1/auth/login", &[], &login).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    let tokens = tokens.json();
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().expect("a token"));
    let token = ("authorization", bearer.as_str());
    let path = format!("/api/v1/votes/{LAW}");
    let key = ("idempotency-key", "a-key-that-others-cannot-guess");
    let wait = ("prefer", "wait=30");
    // A node that has just read of the poll may not have its lease yet: its answer reports this.
    let mut vote = send(at, "PUT", &path, &[token, key, wait], r#"{"vote":"oui"}"#).await;
    while vote.status == 503 {
        assert!(begun.elapsed() < WAIT_TIMEOUT, "{vote:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        vote = send(at, "PUT", &path, &[token, key, wait], r#"{"vote":"oui"}"#).await;
    }
    assert_eq!((vote.status.as_u16(), &vote.json()["status"]), (200, &json!("accepted")));
    let other = ("idempotency-key", "another-key-not-to-be-guessed");
    let again = send(at, "PUT", &path, &[token, other, wait], r#"{"vote":"non"}"#).await;
    assert_eq!(again.json()["status"], "duplicate", "{again:?}");

    // Whether a member has voted is known where votes are decided: no answer is better than an
    // untrue one.
    let voted = send(at, "GET", "/api/v1/user/voted-elections", &[token], "").await;
    assert_eq!(voted.problem(), (421, "not-served-here".to_owned()));
    let shown = send(at, "GET", &format!("/api/v1/elections/{LAW}"), &[token], "").await;
    assert!(shown.status == 200 && shown.json().get("has_voted").is_none(), "{shown:?}");
    // A refusal of the results would say the same of a member who has not voted.
    let results = format!("/api/v1/results/{LAW}");
    let elsewhere = send(at, "GET", &results, &[token], "").await;
    assert_eq!(elsewhere.problem(), (421, "not-served-here".to_owned()));
    let public = send(at, "GET", &results, &[], "").await;
    assert_eq!(public.problem(), (403, "results-withheld".to_owned()));

    stop.send(()).expect("still serving");
    serving.await.expect("no panic").expect("an orderly end");
    ingest.shutdown().await;
    sealer.shutdown().await;
}
