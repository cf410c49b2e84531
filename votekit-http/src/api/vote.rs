//! `POST /api/v1/vote`: the hot path. Checks come in the order of their cost: address and rate at
//! the gate; type, size and form here; then the node takes the vote.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;
use votekit_core::envelope::VoteRequest;
use votekit_core::id::{ElectionId, RequestId};
use votekit_node::VoteStatus;
use votekit_node::memory::stack_used;

use crate::api::status::{VoteStatusDocument, status_response};
use crate::context::{Api, VOTE_PATH};
use crate::guard::idempotency_key::idempotency_key;
use crate::guard::limits;
use crate::guard::message_rules::check_content_coding;
use crate::guard::prefer::{PREFERENCE_APPLIED, Wait};
use crate::guard::response_headers::VOTER_TOKEN;
use crate::problem::{Problem, ProblemDocument};

/// A vote: exactly these four texts, each once.
#[derive(ToSchema)]
#[schema(example = json!({"nas": "000 000 042", "code": "7KQ2M9XA", "law_id": "L2025-001", "vote": "oui"}))]
#[serde(deny_unknown_fields)]
#[allow(
    dead_code,
    reason = "for the documentation: `VoteRequest::parse` reads bodies, and repeats no value in \
              its errors"
)]
pub(crate) struct VoteBody {
    /// The social insurance number: 9 digits, with or without spaces and hyphens.
    #[schema(pattern = r"^[ -]*([0-9][ -]*){9}$", min_length = 9)]
    nas: String,
    /// The access code from the letter: 4 to 32 letters and digits.
    #[schema(pattern = r"^[ \t\r\n]*[A-Za-z0-9]{4,32}[ \t\r\n]*$", min_length = 4)]
    code: String,
    /// The law put to the vote.
    #[schema(pattern = "^[A-Za-z0-9._-]+$", min_length = 1, max_length = 50)]
    law_id: String,
    /// The id of the choice.
    #[schema(pattern = "^[a-z0-9._-]+$", min_length = 1, max_length = 50)]
    vote: String,
}

/// A vote that is durable and will be decided.
#[derive(Serialize, ToSchema)]
pub(crate) struct VoteReceived {
    /// The id with which the decision is requested later: `GET /api/v1/vote/{request_id}`.
    #[schema(
        example = "000102030405060708090a0b0c0d0e0f",
        pattern = "^[0-9a-f]{32}$",
        min_length = 32,
        max_length = 32
    )]
    request_id: String,
    /// `pending`.
    #[schema(example = "pending")]
    status: String,
}

/// Casts a vote.
///
/// A 202 answer means that the vote is stored durably. Repeating a request with the same
/// `Idempotency-Key` is safe: it counts once.
#[utoipa::path(
    post, path = "/api/v1/vote", tag = "vote", operation_id = "castVote",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "16 to 255 visible ASCII characters that you make and others cannot guess, such as a random UUID: makes a retry the same request, on any node. With another credential or choice the same key is another request", pattern = "^[!-~]+$", min_length = 16, max_length = 255, example = "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        ("Prefer" = Option<String>, Header, description = "`wait=N` (RFC 7240): waits up to N \
            seconds, 30 at the most, for the decision. Preferences that are not understood are \
            ignored", example = "wait=10"),
    ),
    request_body(content = VoteBody, content_type = "application/json", description = "JSON in UTF-8, not compressed, with exactly these fields", example = json!({"nas": "000 000 042", "code": "7KQ2M9XA", "law_id": "L2025-001", "vote": "oui"})),
    responses(
        (status = 202, description = "Stored durably, to be decided", body = VoteReceived, headers(("Location" = String, description = "Where to get the decision: `/api/v1/vote/{request_id}`"), ("Votekit-Voter-Token" = Option<String>, description = "Under `after_vote` only: with the request id, the key to the results")), example = json!({"request_id": "000102030405060708090a0b0c0d0e0f", "status": "pending"})),
        (status = 200, description = "Decided within the requested wait", body = VoteStatusDocument, headers(("Preference-Applied" = String, description = "The wait that was applied"), ("Votekit-Voter-Token" = Option<String>, description = "Under `after_vote` only")), example = json!({"request_id": "000102030405060708090a0b0c0d0e0f", "status": "accepted"})),
        (status = 400, description = "`malformed`, with each wrong field under errors; `unknown-choice`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`not-open-yet`, `closed`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "`body-too-large`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, description = "`not-json`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "`rate-limited`, `address-share`, `back-off`, `not-recognised`, `too-many-duplicates`: this attempt was not stored", body = ProblemDocument, content_type = "application/problem+json", headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 503, description = "`busy`, `unavailable`, `halted`, `clock`: this attempt was not stored. `outcome-unknown`: retry with the same key. `too-many-connections`: the connection is closed at once, whatever the request", body = ProblemDocument, content_type = "application/problem+json", headers(("Retry-After" = u64, description = "Seconds"))),
    )
)]
pub(crate) async fn cast_vote(State(api): State<Arc<Api>>, request: Request<Body>) -> Response {
    match cast(&api, request).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn cast(api: &Api, request: Request<Body>) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let key = idempotency_key(&head.headers)?.map(<[u8]>::to_vec);
    check_content_coding(&head.headers)?;
    let wait = Wait::from_headers(&head.headers);
    let config = api.node.config();
    let body =
        limits::read_json(&head.headers, body, config.body_bytes_max, config.request_timeout())
            .await?;
    stack_used();
    let vote = VoteRequest::parse(&body)?;
    let throttle = api.node.throttle();
    let prefix = api.client_prefix(&head.extensions);
    // Dropped early: head and body are slices of the connection's read buffer, which is overwritten
    // while the connection waits, unless it is still in use.
    drop((head, body));
    let origin = throttle.origin(prefix, &vote.credential.nas);
    let submitted = api.node.submit(&vote, key.as_deref(), Some(origin)).await;
    let request = submitted.map_err(Problem::not_taken)?;
    Ok(taken(api, &vote.credential.law_id, request, wait).await)
}

/// The answer to a vote that is durable: a later failure does not change the success.
pub(crate) async fn taken(
    api: &Api,
    law: &ElectionId,
    request: RequestId,
    wait: Option<Wait>,
) -> Response {
    let mut response = match wait {
        None => received(request),
        Some(wait) => decided(api, request, wait).await,
    };
    if let Some(token) = api.node.voter_token(law, &request)
        && let Ok(token) = HeaderValue::from_str(&token.to_hex())
    {
        response.headers_mut().insert(&VOTER_TOKEN, token);
    }
    response
}

async fn decided(api: &Api, request: RequestId, wait: Wait) -> Response {
    let status = api.node.wait(request, wait.duration()).await;
    let mut response = match status {
        Ok(Some(status @ VoteStatus::Decided(_))) => status_response(request, status),
        _ => received(request),
    };
    response.headers_mut().insert(&PREFERENCE_APPLIED, wait.applied());
    response
}

fn received(request: RequestId) -> Response {
    let mut body = Vec::with_capacity(80);
    body.extend_from_slice(b"{\"request_id\":\"");
    let mut digits = [0; 2 * RequestId::LENGTH];
    const_hex::encode_to_slice(request.as_bytes(), &mut digits).expect("two digits a byte");
    body.extend_from_slice(&digits);
    body.extend_from_slice(b"\",\"status\":\"pending\"}");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::ACCEPTED;
    let location = [VOTE_PATH.as_bytes(), b"/", &digits].concat();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        LOCATION,
        HeaderValue::try_from(location).expect("hexadecimal digits are visible ASCII"),
    );
    response
}
