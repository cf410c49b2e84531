//! `GET /api/v1/vote/{request_id}`: the status of a vote. Decisions are read from the ledger only.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;
use votekit_core::decision::Decision;
use votekit_core::id::RequestId;
use votekit_node::VoteStatus;
use votekit_store::Hint;

use crate::api::PathText;
use crate::context::Api;
use crate::guard::prefer::{PREFERENCE_APPLIED, Wait};
use crate::problem::{Problem, ProblemDocument};

/// The status of a vote.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"request_id": "000102030405060708090a0b0c0d0e0f", "status": "duplicate", "attempt_count": 2}))]
pub(crate) struct VoteStatusDocument {
    /// The request.
    #[schema(value_type = String, example = "000102030405060708090a0b0c0d0e0f", pattern = "^[0-9a-f]{32}$")]
    request_id: RequestId,
    /// `pending` (issued, not yet recorded), `accepted`, `duplicate` or `invalid`.
    status: &'static str,
    /// While pending: the registry's hint, once there is one. `accepted`, `duplicate`, `unknown` or
    /// `revoked`. The log decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<&'static str>,
    /// For a duplicate: the number of this attempt of the credential, from 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt_count: Option<u32>,
    /// For an invalid vote: `unknown`, `revoked`, `early` or `late`; `clash` if its request id was
    /// decided before with another credential.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

impl VoteStatusDocument {
    /// Writes a status.
    pub(crate) fn new(request_id: RequestId, status: VoteStatus) -> Self {
        let blank = Self {
            request_id,
            status: "pending",
            expected: None,
            attempt_count: None,
            reason: None,
        };
        match status {
            VoteStatus::Pending { expected: None } => blank,
            VoteStatus::Pending { expected: Some(expected) } => {
                let (expected, attempt_count) = match expected {
                    Hint::Accepted => ("accepted", None),
                    Hint::Duplicate { attempt } => ("duplicate", Some(attempt)),
                    Hint::Revoked => ("revoked", None),
                    Hint::Unknown => ("unknown", None),
                };
                Self { expected: Some(expected), attempt_count, ..blank }
            }
            VoteStatus::Decided(decision) => match decision {
                Decision::Accepted { .. } => Self { status: "accepted", ..blank },
                Decision::Duplicate { attempt, .. } => {
                    Self { status: "duplicate", attempt_count: Some(attempt), ..blank }
                }
                Decision::Invalid { reason, .. } => {
                    Self { status: "invalid", reason: Some(reason.as_str()), ..blank }
                }
                // No log of this version contains an unknown kind of decision.
                _ => blank,
            },
        }
    }
}

/// Reports the status of a vote.
#[utoipa::path(
    get, path = "/api/v1/vote/{request_id}", tag = "vote", operation_id = "voteStatus",
    params(
        ("request_id" = String, Path, description = "From the answer to the vote", example = "000102030405060708090a0b0c0d0e0f", pattern = "^[0-9a-f]{32}$", min_length = 32, max_length = 32),
        ("Prefer" = Option<String>, Header, description = "`wait=N` (RFC 7240): waits up to N seconds, 30 at the most, while the vote is pending", example = "wait=10"),
    ),
    responses(
        (status = 200, description = "Pending, or decided", body = VoteStatusDocument, headers(("Preference-Applied" = Option<String>, description = "The wait that was applied, when one was requested"))),
        (status = 404, description = "`unknown-request`: never issued", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable`, `halted`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn vote_status(
    State(api): State<Arc<Api>>,
    PathText(request): PathText<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let request = request_id(&request)?;
    let wait = Wait::from_headers(&headers);
    let status = match wait {
        None => api.node.status(request).await,
        Some(wait) => api.node.wait(request, wait.duration()).await,
    };
    let mut response = status_response(request, status?.ok_or(Problem::UnknownRequest)?);
    if let Some(wait) = wait {
        response.headers_mut().insert(&PREFERENCE_APPLIED, wait.applied());
    }
    Ok(response)
}

/// Parses a request id from a path. A text that is not a request id was never issued.
pub(crate) fn request_id(text: &str) -> Result<RequestId, Problem> {
    text.parse().map_err(|_| Problem::UnknownRequest)
}

pub(crate) fn status_response(request: RequestId, status: VoteStatus) -> Response {
    let mut response = Json(VoteStatusDocument::new(request, status)).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use votekit_core::credential::CredentialHash;
    use votekit_core::decision::InvalidReason;

    use super::*;

    #[test]
    fn each_status_has_its_members_and_no_hash() {
        let hash = CredentialHash::from_bytes([0xab; 32]);
        let json = |status| {
            let document = VoteStatusDocument::new(RequestId::from_bytes([1; 16]), status);
            serde_json::to_string(&document)
                .expect("texts and numbers")
                .replace(&"01".repeat(16), "ID")
        };
        let pending = |expected| VoteStatus::Pending { expected };
        let decided = VoteStatus::Decided;
        let envelope = votekit_core::envelope::EnvelopeDigest::from_bytes([4; 32]);
        let cases = [
            (pending(None), r#"{"request_id":"ID","status":"pending"}"#),
            (
                pending(Some(Hint::Revoked)),
                r#"{"request_id":"ID","status":"pending","expected":"revoked"}"#,
            ),
            (
                pending(Some(Hint::Duplicate { attempt: 2 })),
                r#"{"request_id":"ID","status":"pending","expected":"duplicate","attempt_count":2}"#,
            ),
            (decided(Decision::Accepted { hash }), r#"{"request_id":"ID","status":"accepted"}"#),
            (
                decided(Decision::Duplicate { hash, attempt: 3 }),
                r#"{"request_id":"ID","status":"duplicate","attempt_count":3}"#,
            ),
            (
                decided(Decision::Invalid { reason: InvalidReason::Late, envelope }),
                r#"{"request_id":"ID","status":"invalid","reason":"late"}"#,
            ),
        ];
        for (status, expected) in cases {
            assert_eq!(json(status), expected);
        }
    }
}
