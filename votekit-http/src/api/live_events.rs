//! `GET /api/v1/results/{law_id}/events`: the results of an election as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response};
use futures_util::stream::unfold;
use votekit_node::metrics::{self, ReaderDrop, ReaderKind};

use super::results::{cast_in_session, is_opened_by};
use crate::api::{LawPath, PathText, law_id};
use crate::context::Api;
use crate::live::StaysOpen;
use crate::live::channel::{Subscription, TooSlow};
use crate::live::hub::EndSignal;
use crate::live::message::LiveResults;
use crate::live::readers::{ClientShares, ReaderSlot};
use crate::live::topic::Topic;
use crate::problem::{Problem, ProblemDocument};
use crate::published;

/// The version that a browser has, when it connects again.
static LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// For nginx as a proxy: the answer is passed on as it comes.
static BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The time without an event after which a comment keeps the connection from looking dead.
const COMMENT_INTERVAL: Duration = Duration::from_secs(15);

/// Begins a stream: a browser connects again two seconds after an interruption.
const PREAMBLE: &[u8] = b"retry: 2000\n\n";

const COMMENT: &[u8] = b":\n\n";

/// The last event of a stream that the node ends, by reason.
const BYE_STOPPING: &[u8] = b"event: bye\ndata: {\"reason\":\"stopping\"}\n\n";
const BYE_SLOW: &[u8] = b"event: bye\ndata: {\"reason\":\"slow\"}\n\n";

/// Follows the results of an election as server-sent events. Under `after_vote` the cookie of a
/// session that has cast its vote in the election opens the counts before the close, as in
/// `GET /api/v1/results/{law_id}`.
#[utoipa::path(
    get, path = "/api/v1/results/{law_id}/events", tag = "results", operation_id = "resultEvents",
    security((), ("voter" = [])),
    params(
        LawPath,
        ("Last-Event-ID" = Option<String>, Header, description = "The version that the reader has: it gets a snapshot only if that is old. Any other text counts as none", pattern = "^[0-9]+$", min_length = 1, max_length = 20),
    ),
    responses(
        (
            status = 200, body = LiveResults, content_type = "text/event-stream",
            description = "A stream of events, at most four a second: `snapshot` first, then \
                `update`, each with the whole state as its data and the version as its id. A \
                comment comes every 15 seconds without an event. `bye` is the last event when the \
                node stops (`{\"reason\":\"stopping\"}`) or the reader is too slow (`slow`)"
        ),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`not-open-yet`: a draft, which is for officials", body = ProblemDocument, content_type = "application/problem+json"),
        (
            status = 421, body = ProblemDocument, content_type = "application/problem+json",
            description = "`not-served-here`: ask a node with the role query"
        ),
        (status = 503, description = "`too-many-readers`", body = ProblemDocument, content_type = "application/problem+json", headers(("Retry-After" = String, description = "Seconds"))),
    )
)]
pub(crate) async fn result_events(
    State(api): State<Arc<Api>>,
    PathText(law): PathText<String>,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let law = law_id(&law)?;
    published::election(&api.node, &law)?;
    let voter = cast_in_session(&api, &law, request.headers());
    let (topic, from) = if is_opened_by(&api, &law, voter).await {
        // Always with a snapshot: the version may be one without the counts.
        (Topic::VoterResults(law.clone()), None)
    } else {
        (Topic::Results(law.clone()), last_event_id(request.headers()))
    };
    let subscription = api.live.subscribe(&topic, from).ok_or_else(|| api.unreadable(&law))?;
    let shares = request.extensions().get::<ClientShares>().map(|shares| shares.0);
    let slot = api.live.reader_slots().take(ReaderKind::Events, shares)?;
    let stream = EventStream {
        subscription,
        end: api.live.end_signal(),
        phase: Phase::Beginning,
        _slot: slot,
    };
    let mut response = Response::new(Body::from_stream(unfold(stream, EventStream::next)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(BUFFERING.clone(), HeaderValue::from_static("no"));
    response.extensions_mut().insert(StaysOpen);
    Ok(response)
}

fn last_event_id(headers: &HeaderMap) -> Option<u64> {
    headers.get(&LAST_EVENT_ID)?.to_str().ok()?.parse().ok()
}

/// The body of one answer.
struct EventStream {
    subscription: Subscription,
    end: EndSignal,
    phase: Phase,
    _slot: ReaderSlot,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Beginning,
    Following,
    Over,
}

impl EventStream {
    /// The next part of the body, with the rest of it.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let bytes = match self.phase {
            Phase::Beginning => {
                self.phase = Phase::Following;
                Bytes::from_static(PREAMBLE)
            }
            Phase::Following => self.follow().await,
            Phase::Over => return None,
        };
        Some((Ok(bytes), self))
    }

    async fn follow(&mut self) -> Bytes {
        let delivered = tokio::select! {
            biased;
            () = self.end.ended() => {
                self.phase = Phase::Over;
                return Bytes::from_static(BYE_STOPPING);
            }
            delivered = tokio::time::timeout(COMMENT_INTERVAL, self.subscription.next()) => {
                delivered
            }
        };
        match delivered {
            Ok(Ok(delivery)) => delivery.message.event(delivery.kind),
            Ok(Err(TooSlow)) => {
                metrics::live_reader_dropped(ReaderDrop::Slow);
                self.phase = Phase::Over;
                Bytes::from_static(BYE_SLOW)
            }
            Err(_) => Bytes::from_static(COMMENT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_version_is_an_event_id() {
        let id = |text: &'static str| {
            let value = HeaderValue::from_static(text);
            last_event_id(&HeaderMap::from_iter([(LAST_EVENT_ID.clone(), value)]))
        };
        assert_eq!(id("17"), Some(17));
        for text in ["", "x", "-1", "1.5", "99999999999999999999", "1,2"] {
            assert_eq!(id(text), None, "{text}");
        }
        assert_eq!(last_event_id(&HeaderMap::new()), None);
    }
}
