//! `GET /api/v1/vote/{request_id}/receipt`: a tlog-proof that the decision is recorded. It proves
//! nothing about the choice.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};

use crate::api::PathText;
use crate::api::status::request_id;
use crate::context::Api;
use crate::problem::{Problem, ProblemDocument};

/// Returns the receipt of a vote: a proof that its decision is in the log, which anyone can verify
/// with the election's policy.
#[utoipa::path(
    get, path = "/api/v1/vote/{request_id}/receipt", tag = "vote", operation_id = "voteReceipt",
    params(("request_id" = String, Path, description = "From the answer to the vote", example = "000102030405060708090a0b0c0d0e0f", pattern = "^[0-9a-f]{32}$", min_length = 32, max_length = 32)),
    responses(
        (status = 200, description = "A C2SP tlog-proof whose extra data is the leaf", body = String, content_type = "text/plain; charset=utf-8"),
        (status = 404, description = "`unknown-request`: never issued", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`not-recorded-yet`: retry", body = ProblemDocument, content_type = "application/problem+json", headers(("Retry-After" = u64, description = "Seconds"))),
        (
            status = 421, body = ProblemDocument, content_type = "application/problem+json",
            description = "`not-served-here`: ask a node with the role query"
        ),
        (status = 503, description = "`unavailable`, `halted`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn vote_receipt(
    State(api): State<Arc<Api>>,
    PathText(request): PathText<String>,
) -> Result<Response, Problem> {
    let request = request_id(&request)?;
    let mut response = api.node.receipt(request).await?.into_response();
    let disposition = format!("attachment; filename=\"{request}.tlog-proof\"");
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        CONTENT_DISPOSITION,
        HeaderValue::try_from(disposition).expect("hexadecimal digits are visible ASCII"),
    );
    Ok(response)
}
