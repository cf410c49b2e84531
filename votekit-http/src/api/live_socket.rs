//! `GET /api/v1/ws`: live updates over a WebSocket.
//!
//! ```text
//! reader  {"subscribe":["results/L2025-001","elections"],"from":{"elections":17}}
//! node    {"topic":"results/L2025-001","event":"snapshot","data":{"version":41,…}}
//! node    {"topic":"results/L2025-001","event":"update","data":{"version":42,…}}
//! node    {"event":"bye","reason":"stopping"}
//! ```
//!
//! The reader sends one message, the subscription; the token of a signed-in reader will be a member
//! of it, so that it is in no address. After that only pings and pongs may come.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Response};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{Error as SocketError, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use votekit_node::memory::overwriting_stack;
use votekit_node::metrics::{self, ReaderDrop, ReaderKind};

use crate::context::Api;
use crate::live::StaysOpen;
use crate::live::channel::TooSlow;
use crate::live::hub::LiveHub;
use crate::live::readers::ClientShares;
use crate::live::subscriptions::{SUBSCRIBE_BYTES_MAX, Subscriptions};
use crate::problem::{Problem, ProblemDocument};

/// The time for the subscription to arrive.
const SUBSCRIBE_TIME: Duration = Duration::from_secs(10);

/// The interval of pings, and the time after which a reader that answers none is gone.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The most frames of a reader between two pings: it has nothing to say but pings and pongs.
const FRAMES_MAX: u32 = 64;

/// The time for the goodbye and the close: less than a stopping server waits.
const CLOSE_TIME: Duration = Duration::from_secs(3);

/// The largest frame that is read, so that one somewhat too large is answered with its reason
/// before the connection is closed.
const FRAME_BYTES_MAX: usize = 4 * SUBSCRIBE_BYTES_MAX;

/// The buffers of a socket: there are thousands, and messages are small.
const READ_BUFFER_BYTES: usize = 4 * 1024;
const WRITE_BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Follows topics over a WebSocket.
#[utoipa::path(
    get, path = "/api/v1/ws", tag = "results", operation_id = "liveSocket",
    responses(
        (
            status = 101,
            description = "A WebSocket (RFC 6455). Within 10 seconds the reader sends its one \
                message, `{\"subscribe\":[TOPIC,…],\"from\":{TOPIC:VERSION}}`, of at most 4 KiB and \
                32 topics: `elections`, `blocks/LAW`, `turnout/LAW`, `results/LAW`. `from` is \
                optional: the versions that it has. It receives \
                `{\"topic\":TOPIC,\"event\":\"snapshot\",\"data\":{\"version\":VERSION,…}}`, then \
                `update` instead of `snapshot`, at most four a second a topic, each with the whole \
                state. `{\"event\":\"bye\",\"reason\":REASON}` is the last message when the node \
                stops (`stopping`) or the reader is too slow (`slow`). The close frame has a code \
                and a reason"
        ),
        (status = 403, description = "`foreign-origin`", body = ProblemDocument, content_type = "application/problem+json"),
        (
            status = 421, body = ProblemDocument, content_type = "application/problem+json",
            description = "`not-served-here`: ask a node with the role query"
        ),
        (status = 426, description = "`upgrade-required`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`too-many-readers`", body = ProblemDocument, content_type = "application/problem+json", headers(("Retry-After" = String, description = "Seconds"))),
    )
)]
pub(crate) async fn live_socket(
    State(api): State<Arc<Api>>,
    mut request: Request,
) -> Result<Response<Body>, Problem> {
    let mut response =
        create_response_with_body(&request, Body::empty).map_err(|_| Problem::UpgradeRequired)?;
    if !is_own_origin(request.headers(), &api.node.config().live_origins) {
        return Err(Problem::ForeignOrigin);
    }
    let shares = request.extensions().get::<ClientShares>().map(|shares| shares.0);
    let place = api.live.places().take(ReaderKind::Socket, shares)?;
    let upgrade = hyper::upgrade::on(&mut request);
    let hub = Arc::clone(&api.live);
    tokio::spawn(overwriting_stack(async move {
        if let Ok(upgraded) = upgrade.await {
            Reader::serve(upgraded, &hub).await;
        }
        drop(place);
    }));
    response.extensions_mut().insert(StaysOpen);
    Ok(response)
}

/// Whether a page of the request's origin may open a socket: one of the host it calls, or of a
/// configured origin. Other programs than browsers send no origin.
fn is_own_origin(headers: &HeaderMap, allowed: &[String]) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    let origin = match (origins.next(), origins.next()) {
        (None, _) => return true,
        (Some(origin), None) => origin.as_bytes(),
        _ => return false,
    };
    if allowed.iter().any(|allowed| allowed.as_bytes() == origin) {
        return true;
    }
    // The scheme may differ from the node's own behind a proxy that terminates TLS.
    let host = origin.strip_prefix(b"https://").or_else(|| origin.strip_prefix(b"http://"));
    let called = headers.get(HOST).map(|host| host.as_bytes());
    host.zip(called).is_some_and(|(host, called)| host.eq_ignore_ascii_case(called))
}

/// Why a socket ends.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ending {
    /// The reader has left, or the connection failed.
    Gone,
    /// The node stops.
    Stopping,
    /// The reader is too slow.
    Slow,
    /// Nothing arrives from the reader.
    Silent,
    /// The reader sent something else than a subscription.
    Refused(CloseCode, Cow<'static, str>),
}

impl Ending {
    fn refused(code: CloseCode, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Refused(code, reason.into())
    }

    /// The last message, the code and the reason for the reader; `None` for one that has left.
    fn goodbye(self) -> Option<(Option<&'static str>, CloseCode, Cow<'static, str>)> {
        const BYE_STOPPING: &str = r#"{"event":"bye","reason":"stopping"}"#;
        const BYE_SLOW: &str = r#"{"event":"bye","reason":"slow"}"#;
        match self {
            Self::Gone => None,
            Self::Stopping => Some((Some(BYE_STOPPING), CloseCode::Away, "stopping".into())),
            Self::Slow => Some((Some(BYE_SLOW), CloseCode::Again, "slow".into())),
            Self::Silent => Some((None, CloseCode::Policy, "no answer to a ping".into())),
            Self::Refused(code, reason) => Some((None, code, reason)),
        }
    }

    fn drop_reason(&self) -> Option<ReaderDrop> {
        match self {
            Self::Gone | Self::Stopping => None,
            Self::Slow => Some(ReaderDrop::Slow),
            Self::Silent => Some(ReaderDrop::Silent),
            Self::Refused(..) => Some(ReaderDrop::Refused),
        }
    }
}

/// One reader.
struct Reader {
    socket: WebSocketStream<TokioIo<Upgraded>>,
}

impl Reader {
    /// Serves a socket to its end.
    async fn serve(upgraded: Upgraded, hub: &LiveHub) {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            // Each message is written at once.
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        let stream = TokioIo::new(upgraded);
        let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        let mut reader = Self { socket };
        let mut end = hub.end_signal();
        // Also ends a write to a reader that takes nothing.
        let ending = tokio::select! {
            biased;
            () = end.ended() => Ending::Stopping,
            ending = reader.follow(hub) => ending,
        };
        if let Some(reason) = ending.drop_reason() {
            metrics::live_reader_dropped(reason);
        }
        reader.close(ending).await;
    }

    async fn follow(&mut self, hub: &LiveHub) -> Ending {
        let mut subscriptions = match timeout(SUBSCRIBE_TIME, self.subscribe(hub)).await {
            Ok(Ok(subscriptions)) => subscriptions,
            Ok(Err(ending)) => return ending,
            Err(_) => return Ending::refused(CloseCode::Policy, "no subscription came in time"),
        };
        let mut pings = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        let (mut heard, mut frames) = (Instant::now(), 0);
        loop {
            tokio::select! {
                delivered = subscriptions.next() => {
                    let delivery = match delivered {
                        Ok(delivery) => delivery,
                        Err(TooSlow) => return Ending::Slow,
                    };
                    let text = delivery.message.text(delivery.kind);
                    if self.socket.send(Message::Text(text)).await.is_err() {
                        return Ending::Gone;
                    }
                }
                received = self.receive() => {
                    heard = Instant::now();
                    frames += 1;
                    match received {
                        Ok(None) if frames <= FRAMES_MAX => {}
                        Ok(None) => return Ending::refused(CloseCode::Policy, "too many frames"),
                        Ok(Some(_)) => {
                            let reason = "nothing is expected after the subscription";
                            return Ending::refused(CloseCode::Policy, reason);
                        }
                        Err(ending) => return ending,
                    }
                }
                _ = pings.tick() => {
                    if heard.elapsed() >= SILENCE_MAX {
                        return Ending::Silent;
                    }
                    frames = 0;
                    if self.socket.send(Message::Ping(Bytes::new())).await.is_err() {
                        return Ending::Gone;
                    }
                }
            }
        }
    }

    /// Waits for the subscription.
    async fn subscribe(&mut self, hub: &LiveHub) -> Result<Subscriptions, Ending> {
        for _ in 0..FRAMES_MAX {
            if let Some(text) = self.receive().await? {
                if text.len() > SUBSCRIBE_BYTES_MAX {
                    return Err(too_large());
                }
                let parsed = Subscriptions::parse(&text, hub);
                return parsed.map_err(|rule| Ending::refused(CloseCode::Policy, rule));
            }
        }
        Err(Ending::refused(CloseCode::Policy, "too many frames"))
    }

    /// Receives one frame: a text, or `None` for a ping or pong. Cancel safe.
    async fn receive(&mut self) -> Result<Option<Utf8Bytes>, Ending> {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => Ok(Some(text)),
            // A pong is sent with the next read or write.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
            Some(Ok(Message::Binary(_))) => {
                Err(Ending::refused(CloseCode::Unsupported, "messages are texts"))
            }
            Some(Err(SocketError::Capacity(_))) => Err(too_large()),
            Some(Err(SocketError::Utf8(_))) => {
                Err(Ending::refused(CloseCode::Invalid, "texts are UTF-8"))
            }
            Some(Err(SocketError::Protocol(error))) if !is_end(&error) => {
                Err(Ending::refused(CloseCode::Protocol, "not a frame of RFC 6455"))
            }
            Some(Ok(Message::Close(_) | Message::Frame(_)) | Err(_)) | None => Err(Ending::Gone),
        }
    }

    /// Says why, and closes the connection.
    async fn close(mut self, ending: Ending) {
        let goodbye = ending.goodbye();
        let closing = async {
            if let Some((bye, code, reason)) = goodbye {
                if let Some(bye) = bye {
                    self.socket.send(Message::Text(Utf8Bytes::from_static(bye))).await?;
                }
                let reason = Utf8Bytes::from(&*reason);
                self.socket.close(Some(CloseFrame { code, reason })).await?;
            } else {
                // The answer to a close frame of the reader.
                self.socket.flush().await?;
            }
            // Discards what the reader still sends, so that the close frame reaches it.
            self.socket.into_inner().shutdown().await?;
            Ok::<_, SocketError>(())
        };
        // Whatever fails here, the connection is dropped.
        let _ = timeout(CLOSE_TIME, closing).await;
    }
}

fn too_large() -> Ending {
    Ending::refused(CloseCode::Size, "a subscription has at most 4096 bytes")
}

/// Whether an error of the protocol is only the end of the connection.
fn is_end(error: &ProtocolError) -> bool {
    matches!(error, ProtocolError::ResetWithoutClosingHandshake | ProtocolError::SendAfterClosing)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn pages_of_the_same_host_and_of_configured_origins_may_open_a_socket() {
        let allowed = ["https://results.example".to_owned()];
        let is_own = |fields: &[(HeaderName, &'static str)]| {
            let fields =
                fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            is_own_origin(&fields.collect(), &allowed)
        };
        let host = (HOST, "vote.example:8443");
        assert!(is_own(std::slice::from_ref(&host)), "a program that is no browser");
        for origin in
            ["https://vote.example:8443", "http://VOTE.example:8443", "https://results.example"]
        {
            assert!(is_own(&[host.clone(), (ORIGIN, origin)]), "{origin}");
        }
        for origin in [
            "null",
            "",
            "https://vote.example",
            "https://vote.example:8443.evil.example",
            "https://evil.example",
            "http://results.example",
            "https://results.example/",
            "file://vote.example:8443",
        ] {
            assert!(!is_own(&[host.clone(), (ORIGIN, origin)]), "{origin}");
        }
        let own = (ORIGIN, "https://vote.example:8443");
        assert!(!is_own(std::slice::from_ref(&own)), "without a host there is nothing to compare");
        assert!(!is_own(&[host, own.clone(), own]), "twice");
    }

    #[test]
    fn a_reason_fits_into_a_close_frame() {
        for ending in [Ending::Stopping, Ending::Slow, Ending::Silent, too_large()] {
            let (_, code, reason) = ending.goodbye().expect("a goodbye");
            assert!(code.is_allowed() && reason.len() <= 123, "{reason}");
        }
        assert_eq!(Ending::Gone.goodbye(), None);
    }
}
