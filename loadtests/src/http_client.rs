//! A client of one node: sends votes and queries, over the hand-written plain HTTP/1.1 client or
//! over TLS through reqwest.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use reqwest::Url;
use serde::Serialize;
use votekit_core::id::RequestId;

pub use crate::answer::{NodeAnswer, ProblemCode, VoteState};
use crate::error::LoadError;
use crate::http1::{Connection, ConnectionError};
use crate::zeroed::SecretBuffer;

/// A node's address, `http://host:port` or `https://host:port`, optionally with a path before
/// `/api`.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeUrl(Url);

impl NodeUrl {
    /// Parses an address.
    ///
    /// # Errors
    /// [`LoadError::NodeAddress`] unless it is an http or https URL with a host, without user,
    /// query or fragment.
    pub fn parse(text: &str) -> Result<Self, LoadError> {
        let refused = |problem: &str| LoadError::NodeAddress { problem: problem.to_owned() };
        let url = Url::parse(text).map_err(|error| refused(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused("expected http:// or https://"));
        }
        if !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some()
        {
            return Err(refused("expected no user, query or fragment"));
        }
        Ok(Self(url))
    }

    /// The address without a trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.0.scheme() == "https"
    }

    fn path(&self) -> &str {
        self.0.path().trim_end_matches('/')
    }

    fn authority(&self) -> &str {
        self.0.authority()
    }

    /// The head of a vote request over plain HTTP, up to the first part that differs between votes.
    pub(crate) fn vote_head(&self) -> Vec<u8> {
        let (path, host) = (self.path(), self.authority());
        format!(
            "POST {path}/api/v1/vote HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
        )
        .into_bytes()
    }

    /// A GET request over plain HTTP.
    pub(crate) fn get_request(&self, below: &str) -> Vec<u8> {
        let (path, host) = (self.path(), self.authority());
        format!("GET {path}{below} HTTP/1.1\r\nhost: {host}\r\n\r\n").into_bytes()
    }

    /// The first socket address the host resolves to.
    pub(crate) fn resolve(&self) -> Result<SocketAddr, LoadError> {
        let unreachable =
            |problem: String| LoadError::Unreachable { node: self.as_str().to_owned(), problem };
        let host = self.0.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let port = self.0.port_or_known_default().unwrap_or(80);
        let mut addresses =
            (host, port).to_socket_addrs().map_err(|error| unreachable(error.to_string()))?;
        addresses.next().ok_or_else(|| unreachable("the host name cannot be resolved".to_owned()))
    }
}

impl fmt::Display for NodeUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for NodeUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The reason a request has no answer. Only [`Connect`](Self::Connect) guarantees that the node did
/// not receive it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ExchangeError {
    /// No connection could be made.
    Connect,
    /// The timeout passed.
    Timeout,
    /// The connection ended before the answer was complete.
    Closed,
    /// The bytes received are not an answer of a node.
    Malformed,
}

impl ExchangeError {
    /// The kind's name in journals and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Malformed => "malformed",
        }
    }
}

/// Options shared by all clients of a run.
#[derive(Debug, Clone)]
pub(crate) struct ClientOptions {
    /// Timeout from sending to the complete answer, including the connection setup.
    pub(crate) timeout: Duration,
    /// Sent as `Prefer: wait=N`, in seconds.
    pub(crate) wait_s: Option<u32>,
    /// Local address of the connections; `None`: the system's choice.
    pub(crate) source: Option<IpAddr>,
}

/// A client with one connection, opened on demand and kept.
pub(crate) struct Client {
    transport: Transport,
    options: ClientOptions,
    wire: SecretBuffer,
}

enum Transport {
    Plain {
        address: SocketAddr,
        vote_head: Vec<u8>,
        ask_head: Vec<u8>,
        ask_tail: Vec<u8>,
        connection: Option<Connection>,
    },
    Tls {
        client: reqwest::Client,
        vote_url: Url,
    },
}

impl Client {
    /// Creates a client of `node` at `address`. `tls` is used for https only.
    pub(crate) fn new(
        node: &NodeUrl,
        address: SocketAddr,
        tls: &reqwest::Client,
        options: ClientOptions,
    ) -> Self {
        let transport = if node.is_tls() {
            let mut vote_url = node.0.clone();
            vote_url.set_path(&format!("{}/api/v1/vote", node.path()));
            Transport::Tls { client: tls.clone(), vote_url }
        } else {
            let prefer =
                options.wait_s.map_or_else(String::new, |wait| format!("prefer: wait={wait}\r\n"));
            let (path, host) = (node.path(), node.authority());
            Transport::Plain {
                address,
                vote_head: [node.vote_head().as_slice(), prefer.as_bytes()].concat(),
                ask_head: format!("GET {path}/api/v1/vote/").into_bytes(),
                ask_tail: format!(" HTTP/1.1\r\nhost: {host}\r\n\r\n").into_bytes(),
                connection: None,
            }
        };
        Self { transport, options, wire: SecretBuffer::with_capacity(1024) }
    }

    /// Opens the connection before the first request. TLS connections open with their first
    /// request.
    pub(crate) async fn connect(&mut self) -> Result<(), ExchangeError> {
        let Transport::Plain { address, connection, .. } = &mut self.transport else {
            return Ok(());
        };
        let open = Connection::open(self.options.source, *address);
        let opened = tokio::time::timeout(self.options.timeout, open).await;
        *connection =
            Some(opened.map_err(|_| ExchangeError::Timeout)?.map_err(|_| ExchangeError::Connect)?);
        Ok(())
    }

    /// Posts a vote whose JSON body is `body`.
    pub(crate) async fn vote(
        &mut self,
        body: &[u8],
        key: Option<&str>,
    ) -> Result<NodeAnswer, ExchangeError> {
        match &mut self.transport {
            Transport::Plain { address, vote_head, connection, .. } => {
                self.wire.clear();
                self.wire.extend_from_slice(vote_head);
                if let Some(key) = key {
                    self.wire.extend_from_slice(b"idempotency-key: ");
                    self.wire.extend_from_slice(key.as_bytes());
                    self.wire.extend_from_slice(b"\r\n");
                }
                // The body is a few hundred bytes at most: its length always fits into the digits
                // of a u32.
                self.wire.extend_from_slice(
                    format!("content-length: {}\r\n\r\n", body.len()).as_bytes(),
                );
                self.wire.extend_from_slice(body);
                exchange_plain(*address, connection, &self.wire, &self.options).await
            }
            Transport::Tls { client, vote_url } => {
                let mut request = client
                    .post(vote_url.clone())
                    .header("content-type", "application/json")
                    .body(body.to_vec());
                if let Some(key) = key {
                    request = request.header("idempotency-key", key);
                }
                if let Some(wait) = self.options.wait_s {
                    request = request.header("prefer", format!("wait={wait}"));
                }
                exchange_tls(request, self.options.timeout).await
            }
        }
    }

    /// Queries the state of a vote.
    pub(crate) async fn fetch_status(
        &mut self,
        request_id: RequestId,
    ) -> Result<NodeAnswer, ExchangeError> {
        match &mut self.transport {
            Transport::Plain { address, ask_head, ask_tail, connection, .. } => {
                self.wire.clear();
                self.wire.extend_from_slice(ask_head);
                self.wire.extend_from_slice(request_id.to_hex().as_bytes());
                self.wire.extend_from_slice(ask_tail);
                exchange_plain(*address, connection, &self.wire, &self.options).await
            }
            Transport::Tls { client, vote_url } => {
                let url = format!("{vote_url}/{request_id}");
                exchange_tls(client.get(url), self.options.timeout).await
            }
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.transport {
            Transport::Plain { .. } => "Client(plain)",
            Transport::Tls { .. } => "Client(tls)",
        })
    }
}

async fn exchange_plain(
    address: SocketAddr,
    connection: &mut Option<Connection>,
    request: &[u8],
    options: &ClientOptions,
) -> Result<NodeAnswer, ExchangeError> {
    // Taken out, so that an exchange abandoned half-way drops its connection too.
    let kept = connection.take().filter(Connection::is_open);
    let exchange = async {
        let mut open = match kept {
            Some(open) => open,
            None => Connection::open(options.source, address)
                .await
                .map_err(|_| ExchangeError::Connect)?,
        };
        let answer = match open.exchange(request).await {
            Ok(answer) => NodeAnswer::parse(answer.status, answer.body),
            Err(ConnectionError::Closed) => return Err(ExchangeError::Closed),
            Err(ConnectionError::Malformed) => return Err(ExchangeError::Malformed),
        };
        Ok((answer, open))
    };
    let (answer, open) = tokio::time::timeout(options.timeout, exchange)
        .await
        .map_err(|_| ExchangeError::Timeout)??;
    *connection = Some(open);
    Ok(answer)
}

async fn exchange_tls(
    request: reqwest::RequestBuilder,
    timeout: Duration,
) -> Result<NodeAnswer, ExchangeError> {
    let kind = |error: reqwest::Error| match () {
        () if error.is_timeout() => ExchangeError::Timeout,
        () if error.is_connect() => ExchangeError::Connect,
        () => ExchangeError::Closed,
    };
    let response = request.timeout(timeout).send().await.map_err(kind)?;
    let status = response.status().as_u16();
    let body = response.bytes().await.map_err(kind)?;
    Ok(NodeAnswer::parse(status, &body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        for text in [
            "127.0.0.1:8080",
            "ftp://host",
            "http://user@host",
            "http://host/?q",
            "http://",
            "https://host/#x",
        ] {
            assert!(matches!(NodeUrl::parse(text), Err(LoadError::NodeAddress { .. })), "{text}");
        }
        let node = NodeUrl::parse("http://[::1]:8080/prefix/").expect("address");
        assert_eq!(
            (node.as_str(), node.path(), node.authority()),
            ("http://[::1]:8080/prefix", "/prefix", "[::1]:8080")
        );
        assert_eq!(node.resolve().expect("address").port(), 8080);
    }
}
