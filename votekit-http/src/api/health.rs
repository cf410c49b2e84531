//! `GET /api/v1/health`: for load balancers and operators.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use votekit_node::Health;

use crate::context::Api;

/// Reports whether this node can take votes, and the state of each dependency.
#[utoipa::path(
    get, path = "/api/v1/health", tag = "operation", operation_id = "health",
    responses(
        (status = 200, description = "Votes can be taken", body = Health),
        (status = 503, description = "They cannot", body = Health),
    )
)]
pub(crate) async fn health(State(api): State<Arc<Api>>) -> Response {
    let health = api.node.health().await;
    let status = if health.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = (status, Json(health)).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
