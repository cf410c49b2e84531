//! `GET /api/v1/ws`: live updates over a WebSocket.
//!
//! ```text
//! reader  {"subscribe":["results/L2025-001","elections"],"from":{"elections":17},"token":"…"}
//! node    {"topic":"results/L2025-001","event":"snapshot","data":{"version":41,…}}
//! node    {"topic":"results/L2025-001","event":"update","data":{"version":42,…}}
//! node    {"topic":"results/L2025-001","event":"end","reason":"token-expired"}
//! node    {"event":"bye","reason":"stopping"}
//! ```
//!
//! The reader sends one message, the subscription. The token of a signed-in reader is a member of
//! it, so that it is in no address. After that only pings and pongs may come. `live_access` decides
//! which topics the reader may follow.

mod ending;
mod metered_stream;
mod session_end;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::Response;
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
use votekit_node::metrics::{self, ReaderKind};

use self::ending::Ending;
use self::metered_stream::{MeteredStream, is_used_up};
use self::session_end::session_end;
use super::live_access::{self, Admitted, Handshake, SubscribeRefusal};
use crate::context::Api;
use crate::guard::socket_origin::is_socket_origin;
use crate::live::StaysOpen;
use crate::live::channel::TooSlow;
use crate::live::readers::ClientShares;
use crate::live::subscriptions::{SUBSCRIBE_BYTES_MAX, Subscriptions};
use crate::problem::{Problem, ProblemDocument};

/// The time for the subscription to arrive.
const SUBSCRIBE_TIME: Duration = Duration::from_secs(10);

/// The time for its check, which reads accounts and the log.
const CHECK_TIME: Duration = Duration::from_secs(10);

/// The interval of pings, and the time after which a reader that answers none counts as
/// disconnected.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The most frames of a reader between two pings: it sends only pings and pongs.
const FRAMES_MAX: u32 = 64;

/// The time for the last message and the close: less than a stopping server waits.
const CLOSE_TIME: Duration = Duration::from_secs(3);

/// The largest frame that is read, so that a slightly larger frame is answered with the reason
/// before the connection is closed.
const FRAME_BYTES_MAX: usize = 4 * SUBSCRIBE_BYTES_MAX;

/// The most bytes of a reader between two pings: more than the subscription and all the frames
/// above. Fragments of a message that never ends cannot be counted as frames.
const BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;

/// The buffers of a socket: there are thousands, and messages are small.
const READ_BUFFER_BYTES: usize = 4 * 1024;
const WRITE_BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Follows topics over a WebSocket.
#[utoipa::path(
    get, path = "/api/v1/ws", tag = "results", operation_id = "liveSocket",
    security((), ("voter" = [])),
    responses(
        (
            status = 101,
            description = "A WebSocket (RFC 6455). Within 10 seconds the reader sends its one \
                message, \
                `{\"subscribe\":[TOPIC,…],\"from\":{TOPIC:VERSION},\"token\":TOKEN}`, of at most \
                4 KiB and 32 topics. `from` is optional: the versions that it has. So is `token`: \
                the access token of an account.\n\n\
                | topic | readers | data beside `version` |\n| --- | --- | --- |\n\
                | `elections` | anyone | `elections`: each with `id` and `state` |\n\
                | `blocks/LAW` | anyone | `height`, `log_size` |\n\
                | `turnout/LAW` | anyone | `state`, `received`, `accepted`, `duplicate`, \
                `invalid`, `registered` |\n\
                | `results/LAW` | anyone | the same and `counts`, which is null unless the reader \
                may see them: everyone by the policy; under `after_vote` before the close a member \
                whose token is in the message and who has voted, and a page of this node with the \
                cookie of a session whose vote was accepted |\n\
                | `vote/REQUEST_ID`, at most 4 | anyone with the request id | as \
                `GET /api/v1/vote/{request_id}`; the topic ends with the decision |\n\
                | `nodes/LAW` | with the token of an administrator or auditor | `nodes`: as \
                `GET /api/v1/admin/elections/{law_id}/nodes` |\n\n\
                The reader receives \
                `{\"topic\":TOPIC,\"event\":\"snapshot\",\"data\":{\"version\":VERSION,…}}`, then \
                `update` instead of `snapshot`, at most four a second a topic, each with the whole \
                state. `{\"topic\":TOPIC,\"event\":\"end\",\"reason\":REASON}` is the last message \
                of a topic that ends: `decided`, `unknown-request` (the vote was not stored after \
                all), `unavailable`, or `token-expired`, for what the reader sees by its token \
                alone. `{\"event\":\"bye\",\"reason\":REASON}` is the last message of the socket \
                when the node stops (`stopping`), the reader is too slow (`slow`), all topics have \
                ended (`ended`), or the session of the token has ended or its account was disabled \
                (`session-ended`, within ten seconds, with the code 1008). The close frame has a \
                code and a reason: a refused subscription, a message after it and too many frames \
                or bytes 1008, with a rule or one of `token-refused`, `forbidden`, \
                `unknown-election`, `unknown-request` and `not-open-yet`; a subscription that is \
                too large 1009; other kinds of messages \
                1002, 1003 or 1007; a fault 1011, `internal`; 1013 with `unavailable`, `halted` or \
                `slow` means that the reader should connect again later. A version that the node \
                has not reached is waited for, for five seconds"
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
    if !is_socket_origin(request.headers(), &api.node.config().live_origins) {
        return Err(Problem::ForeignOrigin);
    }
    let shares = request.extensions().get::<ClientShares>().map(|shares| shares.0);
    let slot = api.live.reader_slots().take(ReaderKind::Socket, shares)?;
    let handshake = Handshake::read(&api, request.headers(), request.extensions());
    let upgrade = hyper::upgrade::on(&mut request);
    let live = Arc::clone(&api.live);
    live.reader_thread().spawn(overwriting_stack(async move {
        if let Ok(upgraded) = upgrade.await {
            Reader::serve(upgraded, &api, handshake).await;
        }
        drop(slot);
    }));
    response.extensions_mut().insert(StaysOpen);
    Ok(response)
}

/// One reader.
struct Reader {
    socket: WebSocketStream<MeteredStream<TokioIo<Upgraded>>>,
}

impl Reader {
    /// Serves a socket to its end.
    async fn serve(upgraded: Upgraded, api: &Api, handshake: Handshake) {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            // Each message is written at once.
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        let stream = MeteredStream::new(TokioIo::new(upgraded), BYTES_MAX);
        let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        let mut reader = Self { socket };
        let mut end = api.live.end_signal();
        // Also ends a write to a reader that takes nothing.
        let ending = tokio::select! {
            biased;
            () = end.ended() => Ending::Stopping,
            ending = reader.follow(api, handshake) => ending,
        };
        if let Some(reason) = ending.drop_reason() {
            metrics::live_reader_dropped(reason);
        }
        reader.close(ending).await;
    }

    async fn follow(&mut self, api: &Api, handshake: Handshake) -> Ending {
        let Admitted { subscriptions, session } = match self.subscribe(api, handshake).await {
            Ok(admitted) => admitted,
            Err(ending) => return ending,
        };
        tokio::select! {
            biased;
            () = session_end(api, session) => Ending::SessionEnded,
            ending = self.follow_topics(subscriptions) => ending,
        }
    }

    async fn follow_topics(&mut self, mut subscriptions: Subscriptions) -> Ending {
        let mut pings = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        let (mut heard, mut frames) = (Instant::now(), 0);
        loop {
            tokio::select! {
                next = subscriptions.next() => {
                    let text = match next {
                        Some(Ok(text)) => text,
                        Some(Err(TooSlow)) => return Ending::Slow,
                        None => return Ending::Over,
                    };
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
                    self.socket.get_mut().renew();
                    if self.socket.send(Message::Ping(Bytes::new())).await.is_err() {
                        return Ending::Gone;
                    }
                }
            }
        }
    }

    /// Waits for the subscription, and checks it.
    async fn subscribe(&mut self, api: &Api, handshake: Handshake) -> Result<Admitted, Ending> {
        let late = |_| Ending::refused(CloseCode::Policy, "no subscription came in time");
        let text = timeout(SUBSCRIBE_TIME, self.receive_subscription()).await.map_err(late)??;
        // Boxed, so that the future of a reader stays small: there are thousands.
        let subscribing = Box::pin(live_access::subscribe(api, handshake, &text));
        match timeout(CHECK_TIME, subscribing).await {
            Ok(Ok(admitted)) => Ok(admitted),
            Ok(Err(SubscribeRefusal { code, reason })) => Err(Ending::refused(code, reason)),
            Err(_) => Err(Ending::refused(CloseCode::Again, "unavailable")),
        }
    }

    async fn receive_subscription(&mut self) -> Result<Utf8Bytes, Ending> {
        for _ in 0..FRAMES_MAX {
            if let Some(text) = self.receive().await? {
                let is_too_large = text.len() > SUBSCRIBE_BYTES_MAX;
                return if is_too_large { Err(Ending::too_large()) } else { Ok(text) };
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
            Some(Err(SocketError::Capacity(_))) => Err(Ending::too_large()),
            Some(Err(SocketError::Io(error))) if is_used_up(&error) => {
                Err(Ending::refused(CloseCode::Policy, "too many bytes"))
            }
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
            // Discards further input of the reader, so that the close frame reaches it.
            self.socket.into_inner().shutdown().await?;
            Ok::<_, SocketError>(())
        };
        // Whatever fails here, the connection is dropped.
        let _ = timeout(CLOSE_TIME, closing).await;
    }
}

/// Whether an error of the protocol is only the end of the connection.
fn is_end(error: &ProtocolError) -> bool {
    matches!(error, ProtocolError::ResetWithoutClosingHandshake | ProtocolError::SendAfterClosing)
}
