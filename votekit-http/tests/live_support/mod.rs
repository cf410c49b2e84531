//! Readers of live updates, over real connections.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::support::LAW;

/// The path of the WebSocket.
pub const PATH: &str = "/api/v1/ws";

pub const WAIT: (&str, &str) = ("prefer", "wait=30");

/// An upper bound for waits, not a target.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// Longer than the time between two messages of a topic.
pub const QUIET_TIME: Duration = Duration::from_millis(1000);

/// An event stream.
pub struct Events {
    stream: TcpStream,
    pub text: String,
    /// The end of the consumed part of the text.
    taken: usize,
}

/// An event of a stream.
#[derive(Debug, PartialEq)]
pub struct Event {
    pub name: String,
    pub id: Option<u64>,
    pub data: Value,
}

impl Events {
    /// Opens a stream of the customary election; `fields` are further header fields, each with its
    /// line end.
    pub async fn open(at: SocketAddr, fields: &str) -> Self {
        Self::open_for(at, LAW, fields).await
    }

    /// Opens a stream of an election.
    pub async fn open_for(at: SocketAddr, law: &str, fields: &str) -> Self {
        let stream = TcpStream::connect(at).await.expect("a connection");
        Self::open_over(stream, law, fields).await
    }

    /// Opens a stream of an election over this connection.
    pub async fn open_over(mut stream: TcpStream, law: &str, fields: &str) -> Self {
        let head =
            format!("GET /api/v1/results/{law}/events HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n");
        stream.write_all(head.as_bytes()).await.expect("written");
        let mut events = Self { stream, text: String::new(), taken: 0 };
        while !events.text.contains("retry: 2000\n\n") {
            assert!(events.read().await, "{}", events.text);
        }
        events.taken = events.text.find("retry: ").expect("read above");
        events
    }

    /// Reads more; `false` at the end.
    async fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let read = timeout(WAIT_TIMEOUT, self.stream.read(&mut bytes)).await.expect("in time");
        let read = read.expect("closed in order");
        self.text.push_str(std::str::from_utf8(&bytes[..read]).expect("ASCII"));
        read > 0
    }

    /// The next event; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let rest = &self.text[self.taken..];
            let event = rest.find("event: ").and_then(|start| {
                let length = rest[start..].find("\n\n")?;
                Some((start, start + length))
            });
            if let Some((start, end)) = event {
                let event = parse(&rest[start..end]);
                self.taken += end;
                return Some(event);
            }
            if !self.read().await {
                return None;
            }
        }
    }

    /// The next event with this number of accepted votes.
    pub async fn accepted(&mut self, accepted: u64) -> Event {
        loop {
            let event = self.next().await.expect("the stream goes on");
            if event.data["accepted"] == accepted {
                return event;
            }
        }
    }

    /// The last event before a quiet time, if any comes.
    pub async fn last(&mut self) -> Option<Event> {
        let mut last = None;
        while let Ok(event) = timeout(QUIET_TIME, self.next()).await {
            last = Some(event.expect("the stream goes on"));
        }
        last
    }
}

fn parse(text: &str) -> Event {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    Event {
        name: field("event: ").expect("a name").to_owned(),
        id: field("id: ").map(|id| id.parse().expect("a version")),
        data: serde_json::from_str(field("data: ").expect("data")).expect("JSON"),
    }
}

/// A WebSocket.
pub type Socket = WebSocketStream<TcpStream>;

/// Opens a socket at this address of the node, with these header fields in its handshake.
pub async fn connect_to(
    at: SocketAddr,
    path: &str,
    fields: &[(&'static str, &str)],
) -> Result<Socket, Error> {
    let stream = TcpStream::connect(at).await.expect("a connection");
    connect_over(stream, path, fields).await
}

/// Opens a socket over this connection.
pub async fn connect_over(
    stream: TcpStream,
    path: &str,
    fields: &[(&'static str, &str)],
) -> Result<Socket, Error> {
    let at = stream.peer_addr().expect("connected");
    let mut request = format!("ws://{at}{path}").into_client_request().expect("a request");
    for (name, value) in fields {
        request.headers_mut().insert(*name, value.parse().expect("a value"));
    }
    client_async(request, stream).await.map(|(socket, _)| socket)
}

/// A connection that buffers some 50 KB, in both systems together, once its reader stops reading.
/// With segments of the usual size on a loopback address it would be megabytes.
pub async fn narrow_connection(at: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    socket.set_recv_buffer_size(2048).expect("a size");
    socket.set_tcp_mss(536).expect("a size");
    socket.connect(&at.into()).expect("a connection");
    socket.set_nonblocking(true).expect("set");
    TcpStream::from_std(socket.into()).expect("a connection")
}

/// Opens a socket, as a page of an origin or as a program.
pub async fn connect(at: SocketAddr, origin: Option<&str>) -> Result<Socket, Error> {
    let fields: Vec<_> = origin.map(|origin| ("origin", origin)).into_iter().collect();
    connect_to(at, PATH, &fields).await
}

/// A socket that has sent this text.
pub async fn socket(at: SocketAddr, text: String) -> Socket {
    let mut socket = connect(at, None).await.expect("a socket");
    socket.send(Message::text(text)).await.expect("sent");
    socket
}

/// The next message, a text in JSON.
pub async fn receive(socket: &mut Socket) -> Value {
    loop {
        let received = timeout(WAIT_TIMEOUT, socket.next()).await.expect("in time");
        match received.expect("open").expect("a message") {
            Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
            // The node asks a quiet reader whether it is there.
            Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The messages up to the close, and the code and the reason of the close.
pub async fn rest(socket: &mut Socket) -> (Vec<Value>, (u16, String)) {
    let mut messages = Vec::new();
    loop {
        let received = timeout(WAIT_TIMEOUT, socket.next()).await.expect("in time");
        match received.expect("a close frame").expect("a message") {
            Message::Close(Some(frame)) => {
                return (messages, (frame.code.into(), frame.reason.to_string()));
            }
            Message::Text(text) => messages.push(serde_json::from_str(&text).expect("JSON")),
            // After half a minute.
            Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The code and the reason with which the node closes, after any texts.
pub async fn close_of(socket: &mut Socket) -> (u16, String) {
    rest(socket).await.1
}
