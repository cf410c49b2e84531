//! The generator's HTTP/1.1 client and hyper's, each sending the same votes. The caller measures
//! the processor time of the process.
//!
//! `http1_clients own 127.0.0.1:8090 400000` sends with the generator's client, with `hyper`
//! instead of `own`, hyper's client sends; the example `bare_handler` answers. `cargo xtask bench
//! http1` runs them in pairs.

use std::error::Error;
use std::io::Write as _;
use std::net::SocketAddr;

use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use tikv_jemallocator::Jemalloc;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use zeroizing_alloc::ZeroAlloc;

use self::http1::{Connection, ConnectionError};

// The client is private to the generator.
#[path = "../src/http1.rs"]
mod http1;

/// The allocator of the generator, so that the ratio is that of a real run.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<Jemalloc> = ZeroAlloc(Jemalloc);

type Failure = Box<dyn Error + Send + Sync>;

/// Connections, each with one request at a time.
const CONNECTIONS: u64 = 64;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [client, address, requests] = arguments.as_slice() else {
        return Err("usage: http1_clients own|hyper ADDRESS REQUESTS".into());
    };
    let address: SocketAddr = address.parse()?;
    let share = requests.parse::<u64>()? / CONNECTIONS;
    let mut connections = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let first = connection * share;
        match client.as_str() {
            "own" => connections.spawn(send_with_own(address, first, share)),
            "hyper" => connections.spawn(send_with_hyper(address, first, share)),
            other => return Err(format!("no client is called {other}").into()),
        };
    }
    while let Some(ended) = connections.join_next().await {
        ended??;
    }
    Ok(())
}

async fn send_with_own(address: SocketAddr, first: u64, count: u64) -> Result<(), Failure> {
    let failed = |error: ConnectionError| Failure::from(format!("{error:?}"));
    let mut connection = Connection::open(None, address).await?;
    let mut request = Vec::with_capacity(1024);
    for number in first..first + count {
        if !connection.is_open() {
            connection = Connection::open(None, address).await?;
        }
        let body = vote(number);
        request.clear();
        write!(
            request,
            "POST /api/v1/vote HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let answer = connection.exchange(&request).await.map_err(failed)?;
        check(answer.status, answer.body)?;
    }
    Ok(())
}

async fn send_with_hyper(address: SocketAddr, first: u64, count: u64) -> Result<(), Failure> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let host = HeaderValue::from_str(&address.to_string())?;
    for number in first..first + count {
        sender.ready().await?;
        let request = Request::post("/api/v1/vote")
            .header(HOST, host.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(Full::new(Bytes::from(vote(number))))?;
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        check(status, &answer.into_body().collect().await?.to_bytes())?;
    }
    drop(sender);
    driver.await??;
    Ok(())
}

fn vote(number: u64) -> String {
    let nas = 100_000_000 + number;
    format!(r#"{{"nas":"{nas}","code":"ABCD1234","law_id":"L1","vote":"oui"}}"#)
}

fn check(status: u16, body: &[u8]) -> Result<(), Failure> {
    if status == 202 && !body.is_empty() {
        return Ok(());
    }
    Err(format!("a vote was answered with {status} and {} bytes", body.len()).into())
}
