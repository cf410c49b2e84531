//! The installation as a whole: its authorities, the nodes that join it, and its leader.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use votekit_messages::InWords as _;
use votekit_node::node_name::{NodeName, NodeNameError};
use votekit_node::node_record::{NodeRecord, NodeRecordError};
use votekit_node::{AdmittedNode, ClusterView, RetiredNode};

use crate::api::PathText;
use crate::context::Api;
use crate::guard::json_body::json;
use crate::problem::{Problem, ProblemDocument};

/// The record of a node, as `votekit node show` prints it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdmitRecord {
    /// Its name: 1 to 40 of `a-z`, `0-9` and `-`.
    #[schema(pattern = "^[a-z0-9-]+$", min_length = 1, max_length = 40)]
    name: String,
    /// The key that verifies its batches, 64 hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{64}$", min_length = 64, max_length = 64)]
    public_key: String,
    /// The key to which the keys of elections are sealed for it, 64 hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{64}$", min_length = 64, max_length = 64)]
    transport_key: String,
}

impl AdmitRecord {
    fn record(&self) -> Result<NodeRecord, Problem> {
        let digits = |field: &'static str| Problem::field(field, "64 hexadecimal digits");
        let unnamed = |error: NodeNameError| Problem::field("name", error.in_words());
        let name: NodeName = self.name.parse().map_err(unnamed)?;
        let key = self.public_key.parse().map_err(|_| digits("public_key"))?;
        let transport = self.transport_key.parse().map_err(|_| digits("transport_key"))?;
        NodeRecord::new(name, key, transport).map_err(|error| {
            let field = match error {
                NodeRecordError::TransportKey => "transport_key",
                _ => "public_key",
            };
            Problem::field(field, error.in_words())
        })
    }
}

/// Shows the authorities as the ledger's rows show them, the elections that are halted on this
/// node, and the nodes that were admitted by their record.
#[utoipa::path(
    get, path = "/api/v1/admin/nodes", tag = "administration", operation_id = "clusterView", security(("administrator" = [])),
    responses(
        (status = 200, description = "The authorities and the nodes", body = ClusterView),
    )
)]
pub(crate) async fn cluster_view(
    State(api): State<Arc<Api>>,
) -> Result<Json<ClusterView>, Problem> {
    Ok(Json(api.node.cluster_view().await?))
}

/// Admits a node with a data folder of its own to the installation. Admitting it again changes
/// nothing.
#[utoipa::path(
    post, path = "/api/v1/admin/nodes", tag = "administration", operation_id = "admitRecord", security(("administrator" = [])),
    request_body(content = AdmitRecord, content_type = "application/json"),
    responses(
        (status = 200, description = "Admitted", body = AdmittedNode),
        (status = 400, description = "`malformed`: also a name or a key that another node or an authority has", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`not-leading`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn admit_record(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Json<AdmittedNode>, Problem> {
    let body: AdmitRecord = json(request).await?;
    Ok(Json(api.node.admit_record(&body.record()?).await?))
}

/// Retires a node from the installation: it begins no more epochs, and in each election that takes
/// votes its epochs are ended. Retiring it again completes failed steps.
#[utoipa::path(
    post, path = "/api/v1/admin/nodes/{name}/retire", tag = "administration", operation_id = "retireRecord", security(("administrator" = [])),
    params(("name" = String, Path, description = "The name under which it was admitted", example = "ingest-1", pattern = "^[a-z0-9-]+$", min_length = 1, max_length = 40)),
    responses(
        (status = 200, description = "Retired", body = RetiredNode),
        (status = 400, description = "`malformed`: also a name under which no node was admitted", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`wrong-state`, `refused-by-log`, `not-leading`, `admin-busy`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn retire_record(
    State(api): State<Arc<Api>>,
    PathText(name): PathText<String>,
) -> Result<Json<RetiredNode>, Problem> {
    let unnamed = |error: NodeNameError| Problem::field("name", error.in_words());
    let name: NodeName = name.parse().map_err(unnamed)?;
    Ok(Json(api.node.retire_record(&name).await?))
}

/// Asks for another leader. The authority that answers states that it wants the present leader to
/// step down; the leader changes once a quorum has stated it, or if the leader is asked itself.
#[utoipa::path(
    post, path = "/api/v1/admin/leader/step-down", tag = "administration", operation_id = "stepDown", security(("administrator" = [])),
    responses(
        (status = 202, description = "The request is stored"),
        (status = 421, description = "`not-served-here`: this node is not one of several authorities", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn step_down(State(api): State<Arc<Api>>) -> Result<StatusCode, Problem> {
    api.node.request_step_down().await?;
    Ok(StatusCode::ACCEPTED)
}
