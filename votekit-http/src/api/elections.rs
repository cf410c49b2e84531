//! `GET /api/v1/elections` and `GET /api/v1/elections/{law_id}`: the elections and their states.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use serde::Serialize;
use votekit_node::ElectionView;

use crate::api::{PathText, law_id};
use crate::context::Api;
use crate::guard::representation::{REVALIDATE, Representation};
use crate::problem::{Problem, ProblemDocument};

/// Lists the elections.
#[utoipa::path(
    get, path = "/api/v1/elections", tag = "elections", operation_id = "elections",
    responses((status = 200, description = "Every election of this node", body = Vec<ElectionView>))
)]
pub(crate) async fn elections(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    page(&headers, &api.node.elections())
}

/// Shows one election.
#[utoipa::path(
    get, path = "/api/v1/elections/{law_id}", tag = "elections", operation_id = "election",
    params(("law_id" = String, Path, description = "The law put to the vote", example = "L2025-001", pattern = "^[A-Za-z0-9._-]+$", min_length = 1, max_length = 50)),
    responses(
        (status = 200, description = "The election", body = ElectionView),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn election(
    State(api): State<Arc<Api>>,
    PathText(law): PathText<String>,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    page(&headers, &api.node.election(&law_id(&law)?).ok_or(Problem::UnknownElection)?)
}

fn page(headers: &HeaderMap, views: &impl Serialize) -> Result<Response<Body>, Problem> {
    let json = serde_json::to_vec(views).map_err(|_| Problem::Internal)?;
    Ok(Representation::plain(json, "application/json").answer(headers, REVALIDATE, ""))
}
