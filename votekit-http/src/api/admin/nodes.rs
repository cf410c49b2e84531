//! The ingest nodes of an election: list, admit, retire.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use serde::Deserialize;
use utoipa::ToSchema;
use votekit_core::batch::NodePublicKey;
use votekit_core::id::NodeId;
use votekit_node::{ElectionView, NodeView};

use crate::api::{LawPath, PathText, law_id};
use crate::context::Api;
use crate::guard::json_body::json;
use crate::problem::{Problem, ProblemDocument};

/// The node to admit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdmitNode {
    /// Its public key, 64 hexadecimal digits, as `votekit node key` prints it.
    #[schema(pattern = "^[0-9a-f]{64}$", min_length = 64, max_length = 64)]
    public_key: String,
}

/// Lists the ingest nodes that an election admits.
#[utoipa::path(
    get, path = "/api/v1/admin/elections/{law_id}/nodes", tag = "administration", operation_id = "listNodes", security(("administrator" = [])),
    params(LawPath),
    responses(
        (status = 200, description = "The nodes", body = Vec<NodeView>),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_nodes(
    State(api): State<Arc<Api>>,
    PathText(law): PathText<String>,
) -> Result<Json<Vec<NodeView>>, Problem> {
    Ok(Json(api.node.nodes(&law_id(&law)?).await?))
}

/// Admits an ingest node. Admitting it again changes nothing.
#[utoipa::path(
    post, path = "/api/v1/admin/elections/{law_id}/nodes", tag = "administration", operation_id = "admitNode", security(("administrator" = [])),
    params(LawPath),
    request_body(content = AdmitNode, content_type = "application/json"),
    responses(
        (status = 200, description = "Admitted", body = ElectionView),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`wrong-state`, `not-leading`, `admin-busy`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn admit_node(
    State(api): State<Arc<Api>>,
    PathText(law): PathText<String>,
    request: Request,
) -> Result<Json<ElectionView>, Problem> {
    let AdmitNode { public_key } = json(request).await?;
    let key: NodePublicKey =
        public_key.parse().map_err(|_| Problem::field("public_key", "64 hexadecimal digits"))?;
    Ok(Json(api.node.admit_node(&law_id(&law)?, key).await?))
}

/// Retires an ingest node that is gone permanently: decides the batches that it confirmed, and
/// voids its higher numbers. Retiring it again changes nothing.
#[utoipa::path(
    post, path = "/api/v1/admin/elections/{law_id}/nodes/{node}/retire", tag = "administration", operation_id = "retireNode", security(("administrator" = [])),
    params(
        LawPath,
        ("node" = String, Path, description = "The node's id", example = "0123456789abcdef", pattern = "^[0-9a-f]{16}$", min_length = 16, max_length = 16),
    ),
    responses(
        (status = 200, description = "Retired", body = ElectionView),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`wrong-state`, `refused-by-log`, `not-leading`, `admin-busy`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn retire_node(
    State(api): State<Arc<Api>>,
    PathText((law, node)): PathText<(String, String)>,
) -> Result<Json<ElectionView>, Problem> {
    let node: NodeId = node
        .parse()
        .map_err(|_| Problem::field("node", "16 hexadecimal digits, as in the list of nodes"))?;
    Ok(Json(api.node.retire_node(&law_id(&law)?, node).await?))
}
