//! One connection, from accept to close.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::TlsAcceptor;
use tower::Service as _;
use votekit_node::memory::OverwritingStream;
use zeroize::Zeroizing;

use super::activity::WatchedBody;
use super::parse_refusal::ParseRefusals;
use super::slots::{Linger, Slot};
use super::tls::TlsIdentity;
use crate::gate::Gate;
use crate::guard::message_rules::refuse_message;
use crate::guard::response_headers::complete;
use crate::live::StaysOpen;

/// The phase of a server's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Requests are accepted.
    Serving,
    /// Requests in flight finish.
    Draining,
    /// Requests in progress finish; incomplete requests are dropped.
    Finishing,
    /// All remaining requests are dropped.
    Ended,
}

/// The limits of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The longest time for a request head, a TLS handshake, or an idle connection.
    pub(super) header_time: Duration,
    /// The longest time in which a client may read nothing of an answer.
    pub(super) stall_time: Duration,
    /// The longest life of a connection; a request in progress is still answered.
    pub(super) life_max: Option<Duration>,
    /// The most requests answered on one connection.
    pub(super) requests_max: Option<u32>,
}

/// The service shared by the connections of one listener.
pub(super) struct Service {
    pub(super) router: Router,
    /// Checks requests before the router; only on the public listener.
    pub(super) gate: Option<Gate>,
    pub(super) tls: Option<Arc<TlsIdentity>>,
    /// Whether callers need a token: an answer other than 401 then proves one.
    pub(super) wants_token: bool,
    pub(super) limits: Limits,
}

impl Service {
    /// Refuses a connection that gets no slot. Writes as much of the refusal as the system takes at
    /// once, without waiting.
    pub(super) fn refuse(&self, stream: &TcpStream, refusal: &[u8]) {
        if self.tls.is_none() {
            let _ = stream.try_write(refusal);
        }
    }

    /// Serves one connection until either side closes it, or it is evicted, or a WebSocket takes it
    /// over.
    pub(super) async fn serve(
        &self,
        stream: TcpStream,
        peer: IpAddr,
        slot: &Arc<Slot>,
        mut phase: watch::Receiver<Phase>,
    ) {
        // Nothing is set up before the first byte arrives: there may be thousands of silent
        // connections.
        tokio::select! {
            spoken = tokio::time::timeout(self.limits.header_time, stream.readable()) => {
                if !matches!(spoken, Ok(Ok(()))) {
                    return;
                }
            }
            () = slot.dismissed() => return,
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
        }
        // Boxed, so that the future of a connection that still waits above stays small.
        match &self.tls {
            None => Box::pin(self.serve_requests(stream, peer, slot, phase)).await,
            Some(tls) => Box::pin(self.serve_tls(&tls.acceptor(), stream, peer, slot, phase)).await,
        }
    }

    async fn serve_tls(
        &self,
        tls: &TlsAcceptor,
        stream: TcpStream,
        peer: IpAddr,
        slot: &Arc<Slot>,
        mut phase: watch::Receiver<Phase>,
    ) {
        let handshake = tokio::time::timeout(
            self.limits.header_time,
            tls.accept(OverwritingStream::new(stream)),
        );
        let stream = tokio::select! {
            handshake = handshake => handshake,
            () = slot.dismissed() => return,
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
        };
        // A client that fails the handshake speaks another protocol or has disconnected: it gets no
        // answer.
        if let Ok(Ok(stream)) = stream {
            self.serve_requests(stream, peer, slot, phase).await;
        }
    }

    /// Serves one request after another.
    async fn serve_requests<S>(
        &self,
        stream: S,
        peer: IpAddr,
        slot: &Arc<Slot>,
        mut phase: watch::Receiver<Phase>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let answered = AtomicU32::new(0);
        let service = service_fn(|request| self.answer(request, peer, slot, &answered));
        let stream = OverwritingStream::new(stream);
        let stream = TimedStream::new(stream, self.limits.stall_time, Arc::clone(slot));
        let stream = TokioIo::new(ParseRefusals::new(stream, self.tls.is_some()));
        // HTTP/2 would be selected here, by ALPN: a reader would then be one of many streams of a
        // connection, so it could not release the slot, and a WebSocket would begin with CONNECT
        // (RFC 8441).
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.limits.header_time)
                .max_buf_size(BUFFER_BYTES_MAX)
                .serve_connection(stream, service)
                // The future is ready when a WebSocket has taken the stream; the stream keeps the
                // server from stopping until it is dropped.
                .with_upgrades()
        );
        tokio::select! {
            _ = connection.as_mut() => return,
            () = slot.dismissed() => return,
            () = outlived(self.limits.life_max) => connection.as_mut().graceful_shutdown(),
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => {
                connection.as_mut().graceful_shutdown();
            }
        }
        // A request in progress is still answered; a waiting connection may be evicted.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = slot.dismissed() => return,
            _ = phase.wait_for(|phase| *phase >= Phase::Finishing) => {}
        }
        // The rest of an incomplete request may never arrive.
        if slot.activity().waiting_since().is_some() {
            slot.count_dropped();
            return;
        }
        tokio::select! {
            _ = connection.as_mut() => {}
            () = slot.dismissed() => {}
            _ = phase.wait_for(|phase| *phase == Phase::Ended) => {}
        }
    }

    async fn answer(
        &self,
        mut request: Request<Incoming>,
        peer: IpAddr,
        slot: &Slot,
        answered: &AtomicU32,
    ) -> Result<Response<Body>, Infallible> {
        let refused = self.gate.as_ref().and_then(|gate| gate.refuse(&mut request, peer));
        let mut answer = match refused.or_else(|| refuse_message(&request)) {
            Some(refusal) => match &self.gate {
                Some(gate) => gate.complete_refusal(&request, refusal),
                None => refusal,
            },
            None => self.route(request, slot).await?,
        };
        if answer.status() == StatusCode::TOO_MANY_REQUESTS
            && let Some(gate) = &self.gate
        {
            // Meanwhile the connection counts as waiting, and may be evicted.
            gate.pace_refusal().await;
        }
        let answered = answered.fetch_add(1, Ordering::Relaxed) + 1;
        // A WebSocket has its own close.
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS
            && (stays_open(&answer) || self.is_last(&answer, slot, answered))
        {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        complete(&mut answer, self.tls.is_some());
        Ok(answer)
    }

    /// Whether the connection closes after this answer.
    fn is_last(&self, answer: &Response<Body>, slot: &Slot, answered: u32) -> bool {
        if self.wants_token {
            if answer.status() == StatusCode::UNAUTHORIZED {
                return true;
            }
            slot.trust();
        }
        self.limits.requests_max.is_some_and(|most| answered >= most) || slot.must_yield()
    }

    async fn route(
        &self,
        request: Request<Incoming>,
        slot: &Slot,
    ) -> Result<Response<Body>, Infallible> {
        let activity = slot.activity();
        let request = if !request.body().is_end_stream() {
            request.map(|body| Body::new(WatchedBody::new(body, Arc::clone(activity))))
        } else if activity.work() {
            request.map(|_| Body::empty())
        } else {
            // This connection was evicted and is being dropped.
            return std::future::pending().await;
        };
        let answer = match &self.gate {
            Some(gate) => gate.pass(&self.router, request).await,
            // A router is always ready.
            None => self.router.clone().call(request).await?,
        };
        if stays_open(&answer) {
            // From here on the connection counts as a reader. Released before it counts as waiting,
            // so that it is not evicted in between.
            slot.release();
        }
        // A stopping server does not wait for it as for a request in progress.
        activity.wait(slot.now_ms());
        Ok(answer)
    }
}

/// Whether an answer continues until its reader disconnects.
fn stays_open(answer: &Response<Body>) -> bool {
    answer.extensions().get::<StaysOpen>().is_some()
}

/// Resolves when a connection that begins now has reached its longest life.
async fn outlived(life_max: Option<Duration>) {
    match life_max {
        Some(life_max) => sleep(life_max).await,
        None => std::future::pending().await,
    }
}

/// The most bytes that a connection buffers: the head of a request must fit.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// The time and the number of bytes for which a client may continue to send after the last answer.
/// Closing at once would reset the connection, and a client in the middle of a refused body would
/// not see the refusal.
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A stream with a write-stall timeout and a lingering close. Keeps the slot: a WebSocket takes the
/// stream over.
struct TimedStream<S> {
    slot: Arc<Slot>,
    stream: S,
    stall_time: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    closing: Option<LingeringClose>,
}

struct LingeringClose {
    _linger: Option<Linger>,
    deadline: Pin<Box<Sleep>>,
    bytes_left: usize,
}

impl<S> TimedStream<S> {
    fn new(stream: S, stall_time: Duration, slot: Arc<Slot>) -> Self {
        Self { slot, stream, stall_time, stalled: None, closing: None }
    }

    /// Returns the result of a write; fails a write that has been pending for longer than
    /// `stall_time`.
    fn within_stall_time<T>(
        &mut self,
        context: &mut Context<'_>,
        write: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.stalled = None;
            return write;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.stall_time)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TimedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.within_stall_time(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.within_stall_time(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.within_stall_time(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.closing.is_none() {
            let shut = Pin::new(&mut this.stream).poll_shutdown(context);
            ready!(this.within_stall_time(context, shut))?;
        }
        let slot = &this.slot;
        let closing = this.closing.get_or_insert_with(|| {
            // From here on the slot belongs to another connection.
            let linger = slot.release_and_linger();
            LingeringClose {
                deadline: Box::pin(tokio::time::sleep_until(Instant::now() + LINGER_TIME)),
                bytes_left: if linger.is_some() { LINGER_BYTES_MAX } else { 0 },
                _linger: linger,
            }
        });
        // Zeroed, because it may contain the rest of a vote.
        let mut discarded = Zeroizing::new([0; 16 * 1024]);
        while closing.bytes_left > 0 {
            let mut buffer = ReadBuf::new(&mut *discarded);
            match Pin::new(&mut this.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    closing.bytes_left = closing.bytes_left.saturating_sub(buffer.filled().len());
                }
                Poll::Ready(_) => break,
                Poll::Pending => {
                    ready!(closing.deadline.as_mut().poll(context));
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}
