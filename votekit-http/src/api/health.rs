//! `GET /api/v1/health`: for load balancers and operators.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;
use votekit_messages::InWords as _;
use votekit_node::{DependencyHealth as NodeDependency, Health as NodeHealth};

use crate::context::Api;

/// The state of a node and of its dependencies.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Health {
    /// Whether votes are accepted.
    healthy: bool,
    /// Each dependency: `ok`, or its fault.
    dependencies: Vec<DependencyHealth>,
    /// Votes issued by this node and not yet decided.
    votes_pending: u64,
}

/// The state of one dependency.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct DependencyHealth {
    /// `ledger`, `ballot box`, `registry`, `node`, `clock`; `election` and its law id where a fault
    /// halted one.
    name: String,
    /// `ok`, or the fault.
    state: String,
}

impl From<NodeHealth> for Health {
    fn from(health: NodeHealth) -> Self {
        let NodeHealth { healthy, dependencies, votes_pending } = health;
        let dependencies = dependencies.into_iter().map(DependencyHealth::from).collect();
        Self { healthy, dependencies, votes_pending }
    }
}

impl From<NodeDependency> for DependencyHealth {
    fn from(dependency: NodeDependency) -> Self {
        let state = dependency.fault.map_or_else(|| "ok".to_owned(), |fault| fault.in_words());
        Self { name: dependency.name, state }
    }
}

/// Reports whether this node can take votes, and the state of each dependency.
#[utoipa::path(
    get, path = "/api/v1/health", tag = "operation", operation_id = "health",
    responses(
        (status = 200, description = "Votes can be taken", body = Health),
        (status = 503, description = "They cannot", body = Health),
    )
)]
pub(crate) async fn health(State(api): State<Arc<Api>>) -> Response {
    let health = Health::from(api.node.health().await);
    let status = if health.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = (status, Json(health)).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
