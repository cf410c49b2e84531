//! The ballot key of an election that is about to be created.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::{LawPath, PathText, law_id};
use crate::context::Api;
use crate::guard::json_body::json;
use crate::problem::{Problem, ProblemDocument};

/// The file of the key, by its path on the node's machine.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"file": "/var/lib/votekit/incoming/L2025-001.key"}))]
pub(crate) struct InstallBallotKey {
    /// The key file, as `votekit ballot-key generate` wrote it.
    #[schema(value_type = String)]
    file: PathBuf,
}

/// The public half of an installed ballot key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstalledBallotKey {
    /// 64 hexadecimal digits.
    public_key: String,
}

/// Installs the ballot key that officials made, before its election is created. Installing it again
/// changes nothing. No call sends the key itself.
#[utoipa::path(
    post, path = "/api/v1/admin/elections/{law_id}/ballot-key", tag = "administration", operation_id = "installBallotKey", security(("administrator" = [])),
    params(LawPath),
    request_body(content = InstallBallotKey, content_type = "application/json"),
    responses(
        (status = 200, description = "Installed", body = InstalledBallotKey),
        (status = 400, description = "`malformed`: also a file that is no key file, a key of another election, or another key of this one", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`election-exists`, `not-leading`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn install_ballot_key(
    State(api): State<Arc<Api>>,
    PathText(law): PathText<String>,
    request: Request,
) -> Result<Json<InstalledBallotKey>, Problem> {
    let InstallBallotKey { file } = json(request).await?;
    let key = api.node.install_ballot_key(&law_id(&law)?, &file).await?;
    Ok(Json(InstalledBallotKey { public_key: key.to_hex() }))
}
