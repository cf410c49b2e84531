//! One keep-alive client connection with a minimal HTTP/1.1 (RFC 9112): one request at a time, no
//! pipelining.
//!
//! Written by hand because the generator shares a machine with the node it measures: a request
//! costs one write, one read and parsing the head. `cargo xtask bench http1` compares it with
//! hyper's client.

use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// Maximum length of a head and of a body.
const HEAD_LENGTH_MAX: usize = 16 * 1024;
const BODY_LENGTH_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 64;

/// A connection to a node.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    reusable: bool,
}

/// Connects from the given local address, or from one the system chooses.
pub(crate) async fn connect_from(
    source: Option<IpAddr>,
    address: SocketAddr,
) -> std::io::Result<TcpStream> {
    let Some(source) = source else { return TcpStream::connect(address).await };
    let socket = if source.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(address).await
}

/// The reason an exchange ended without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionError {
    /// The connection ended first.
    Closed,
    /// The bytes received are not an HTTP/1.1 answer, or it is too long.
    Malformed,
}

/// The parts of an answer, borrowed from the connection's buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RawAnswer<'connection> {
    pub(crate) status: u16,
    pub(crate) body: &'connection [u8],
}

impl From<std::io::Error> for ConnectionError {
    fn from(_: std::io::Error) -> Self {
        Self::Closed
    }
}

impl Connection {
    pub(crate) async fn open(source: Option<IpAddr>, address: SocketAddr) -> std::io::Result<Self> {
        let stream = connect_from(source, address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(2048), reusable: true })
    }

    /// Whether another request may be sent: the last answer allowed it, and the node has not closed
    /// the connection since.
    pub(crate) fn is_open(&self) -> bool {
        let mut probe = [0];
        // An idle connection has nothing to read: end of file, an error or unexpected bytes all
        // make it unusable.
        self.reusable
            && self
                .stream
                .try_read(&mut probe)
                .is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Sends `request` unchanged and reads the answer. After an error, or when dropped half-way,
    /// the connection is not reusable.
    pub(crate) async fn exchange(
        &mut self,
        request: &[u8],
    ) -> Result<RawAnswer<'_>, ConnectionError> {
        self.reusable = false;
        self.received.clear();
        self.stream.write_all(request).await?;
        self.receive().await?;
        let head = loop {
            match Head::parse(&self.received)? {
                Some(head) if head.is_interim() => drop(self.received.drain(..head.length)),
                Some(head) => break head,
                None if self.received.len() > HEAD_LENGTH_MAX => {
                    return Err(ConnectionError::Malformed);
                }
                None => self.receive().await?,
            }
        };
        self.received.drain(..head.length);
        match head.framing {
            Framing::Length(length) => self.receive_length(length).await?,
            Framing::Chunked => self.receive_chunks().await?,
            Framing::UntilClose => self.receive_to_end().await?,
        }
        self.reusable = head.keep_alive && head.framing != Framing::UntilClose;
        Ok(RawAnswer { status: head.status, body: &self.received })
    }

    async fn receive(&mut self) -> Result<(), ConnectionError> {
        if self.stream.read_buf(&mut self.received).await? == 0 {
            Err(ConnectionError::Closed)
        } else {
            Ok(())
        }
    }

    async fn receive_length(&mut self, length: usize) -> Result<(), ConnectionError> {
        if length > BODY_LENGTH_MAX {
            return Err(ConnectionError::Malformed);
        }
        while self.received.len() < length {
            self.receive().await?;
        }
        // Bytes beyond the announced length do not belong to any request.
        if self.received.len() == length { Ok(()) } else { Err(ConnectionError::Malformed) }
    }

    async fn receive_to_end(&mut self) -> Result<(), ConnectionError> {
        while self.received.len() <= BODY_LENGTH_MAX {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Ok(());
            }
        }
        Err(ConnectionError::Malformed)
    }

    async fn receive_chunks(&mut self) -> Result<(), ConnectionError> {
        while self.received.len() <= 2 * BODY_LENGTH_MAX {
            if let Some(body) = join_chunks(&self.received)? {
                self.received = body;
                return Ok(());
            }
            self.receive().await?;
        }
        Err(ConnectionError::Malformed)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    status: u16,
    length: usize,
    framing: Framing,
    keep_alive: bool,
}

impl Head {
    /// Parses a head; `None` while it is incomplete.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, ConnectionError> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let length = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(ConnectionError::Malformed),
        };
        let status = response.code.ok_or(ConnectionError::Malformed)?;
        let mut head = Self {
            status,
            length,
            framing: Framing::UntilClose,
            keep_alive: response.version == Some(1),
        };
        for header in response.headers.iter() {
            head.apply(header)?;
        }
        if head.is_interim() || status == 204 || status == 304 {
            head.framing = Framing::Length(0);
        }
        Ok(Some(head))
    }

    fn apply(&mut self, header: &httparse::Header<'_>) -> Result<(), ConnectionError> {
        let value = header.value.trim_ascii();
        if header.name.eq_ignore_ascii_case("content-length") && self.framing != Framing::Chunked {
            let text = std::str::from_utf8(value).map_err(|_| ConnectionError::Malformed)?;
            let length = text.parse().map_err(|_| ConnectionError::Malformed)?;
            if matches!(self.framing, Framing::Length(other) if other != length) {
                return Err(ConnectionError::Malformed);
            }
            self.framing = Framing::Length(length);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(ConnectionError::Malformed);
            }
            self.framing = Framing::Chunked;
        } else if header.name.eq_ignore_ascii_case("connection") {
            let mut tokens = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            self.keep_alive &= !tokens.any(|token| token.eq_ignore_ascii_case(b"close"));
        }
        Ok(())
    }

    /// Whether this is an interim answer (100 Continue, 103 Early Hints): the final one follows.
    fn is_interim(&self) -> bool {
        (100..200).contains(&self.status)
    }
}

/// The body of a chunked answer; `None` until its last chunk arrived. Trailers are rejected.
fn join_chunks(bytes: &[u8]) -> Result<Option<Vec<u8>>, ConnectionError> {
    let mut body = Vec::new();
    let mut rest = bytes;
    loop {
        let (start, size) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete((start, size))) => (start, size),
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(ConnectionError::Malformed),
        };
        let size = usize::try_from(size)
            .ok()
            .filter(|size| *size <= BODY_LENGTH_MAX - body.len())
            .ok_or(ConnectionError::Malformed)?;
        let Some(chunk) = rest.get(start..start + size + 2) else { return Ok(None) };
        if !chunk.ends_with(b"\r\n") {
            return Err(ConnectionError::Malformed);
        }
        body.extend_from_slice(&chunk[..size]);
        rest = &rest[start + size + 2..];
        if size == 0 {
            return if rest.is_empty() { Ok(Some(body)) } else { Err(ConnectionError::Malformed) };
        }
    }
}

#[cfg(test)]
#[path = "http1_test.rs"]
mod tests;
