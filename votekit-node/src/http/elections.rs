//! `GET /api/v1/elections` and `GET /api/v1/elections/{law_id}`: what is put to the vote, and where
//! it stands.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::Api;
use super::path_text::{PathText, law_id};
use super::problem::{Problem, ProblemDocument};
use crate::view::ElectionView;

/// Lists the elections.
#[utoipa::path(
    get, path = "/api/v1/elections", tag = "elections", operation_id = "elections",
    responses((status = 200, description = "Every election of this node", body = Vec<ElectionView>))
)]
pub(crate) async fn elections(State(api): State<Arc<Api>>) -> Json<Vec<ElectionView>> {
    Json(api.node.elections())
}

/// Shows one election.
#[utoipa::path(
    get, path = "/api/v1/elections/{law_id}", tag = "elections", operation_id = "election",
    params(("law_id" = String, Path, description = "The law put to the vote", example = "L2025-001")),
    responses(
        (status = 200, description = "The election as it stands", body = ElectionView),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn election(
    State(api): State<Arc<Api>>,
    PathText(law): PathText<String>,
) -> Result<Json<ElectionView>, Problem> {
    api.node.election(&law_id(&law)?).map(Json).ok_or(Problem::UnknownElection)
}
