//! A server that looks like a node to the generator, and misbehaves on demand.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// A vote as the server received it.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) body: serde_json::Value,
    pub(crate) key: Option<String>,
    pub(crate) prefer: Option<String>,
}

/// The behaviour for vote `n`, from 0, in the order of arrival.
pub(crate) type Behaviour = dyn Fn(u64, &Received) -> Action + Send + Sync;

/// One way to handle a vote.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    Answer(u16, String),
    AnswerAfter(Duration, u16, String),
    /// Ends the connection without an answer.
    HangUp,
}

/// A 202 for vote `n`.
pub(crate) fn pending(n: u64) -> Action {
    Action::Answer(202, format!(r#"{{"request_id":"{n:032x}","status":"pending"}}"#))
}

/// A running server; dropping it stops the server.
pub(crate) struct Node {
    pub(crate) url: String,
    pub(crate) received: Arc<Mutex<Vec<Received>>>,
    pub(crate) asked: Arc<AtomicU64>,
    _runtime: tokio::runtime::Runtime,
}

impl Node {
    /// Serves on a free loopback port. Queries about a vote are answered "pending" and "accepted"
    /// alternately.
    pub(crate) fn start(
        behaviour: impl Fn(u64, &Received) -> Action + Send + Sync + 'static,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("bind");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        let (received, asked) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU64::new(0)));
        let behaviour: Arc<Behaviour> = Arc::new(behaviour);
        let (votes, questions) = (Arc::clone(&received), Arc::clone(&asked));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (votes, questions, behaviour) =
                    (Arc::clone(&votes), Arc::clone(&questions), Arc::clone(&behaviour));
                let service = service_fn(move |request| {
                    answer(request, votes.clone(), questions.clone(), behaviour.clone())
                });
                let _ = stream.set_nodelay(true);
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { url, received, asked, _runtime: runtime }
    }

    pub(crate) fn votes(&self) -> Vec<Received> {
        self.received.lock().expect("votes").clone()
    }
}

/// This error makes hyper close the connection without an answer.
#[derive(Debug)]
struct HungUp;

impl std::fmt::Display for HungUp {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("hung up")
    }
}

impl std::error::Error for HungUp {}

impl From<Infallible> for HungUp {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

async fn answer(
    request: Request<Incoming>,
    votes: Arc<Mutex<Vec<Received>>>,
    questions: Arc<AtomicU64>,
    behaviour: Arc<Behaviour>,
) -> Result<Response<Full<Bytes>>, HungUp> {
    let path = request.uri().path().to_owned();
    if request.method() == Method::GET {
        let Some(id) = path.strip_prefix("/api/v1/vote/") else {
            return Ok(respond(200, "{}".to_owned()));
        };
        let status = if questions.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            "pending"
        } else {
            "accepted"
        };
        return Ok(respond(200, format!(r#"{{"request_id":"{id}","status":"{status}"}}"#)));
    }
    assert_eq!(path, "/api/v1/vote");
    assert_eq!(request.headers()["content-type"], "application/json");
    let header = |name: &str| {
        request.headers().get(name).map(|value| value.to_str().expect("text").to_owned())
    };
    let (key, prefer) = (header("idempotency-key"), header("prefer"));
    let body = request.into_body().collect().await.map_err(|_| HungUp)?.to_bytes();
    let vote =
        Received { body: serde_json::from_slice(&body).expect("a vote is JSON"), key, prefer };
    let action = {
        let mut votes = votes.lock().expect("votes");
        votes.push(vote.clone());
        behaviour(votes.len() as u64 - 1, &vote)
    };
    match action {
        Action::Answer(status, body) => Ok(respond(status, body)),
        Action::AnswerAfter(delay, status, body) => {
            tokio::time::sleep(delay).await;
            Ok(respond(status, body))
        }
        Action::HangUp => Err(HungUp),
    }
}

fn respond(status: u16, body: String) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::new(Bytes::from(body))).expect("a response")
}

/// Writes a roll of `rows` electors of law `L1`.
pub(crate) fn write_roll(folder: &Path, rows: u32) -> PathBuf {
    let mut text = String::from("nas,code,law_id\n");
    for row in 1..=rows {
        text.push_str(&format!("{row:09},SECRET{row:06},L1\n"));
    }
    let path = folder.join("roll.csv");
    std::fs::write(&path, text).expect("write the roll");
    path
}
