//! The administration listener: officials create, open, close and certify elections, operators load
//! rolls. Every call needs the administrator's token.

pub(crate) mod ballot_key;
pub(crate) mod cluster;
pub(crate) mod nodes;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::ToSchema;
use votekit_node::ElectionView;
use votekit_node::roll_store::RollView;
use votekit_node::{
    AmendElection, AnnulElection, CertifyElection, CloseElection, CreatedElection,
    CreatedWithMembers, LoadReport, OpenElection,
};

use crate::api::election_actions::NewElection;
use crate::api::{LawPath, PathText, election_actions, law_id};
use crate::context::Api;
use crate::guard::json_body::json;
use crate::problem::{Problem, ProblemDocument};

/// The roll to load, by its path on the node's machine.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"folder": "/var/lib/votekit/incoming/L2025-001", "pepper_file": null, "replace": false}))]
pub(crate) struct LoadRoll {
    /// The folder with the manifest and its shards, as `votekit hashgen` wrote it.
    #[schema(value_type = String)]
    folder: PathBuf,
    /// The pepper's file, if the roll is hashed under a pepper that this node does not have yet.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pepper_file: Option<PathBuf>,
    /// Whether the roll replaces the present roll of its laws, while their elections are drafts.
    /// The log keeps both.
    #[serde(default)]
    replace: bool,
}

/// Creates an election, as a draft.
///
/// With `eligible_voters` the voters are members, who vote with the tokens of their accounts.
#[utoipa::path(
    post, path = "/api/v1/admin/elections", tag = "administration", operation_id = "createElection", security(("administrator" = [])),
    request_body(content = NewElection, content_type = "application/json"),
    responses(
        (status = 201, description = "Created, with warnings for its officials, and one-time links for members who have no password yet", body = CreatedWithMembers),
        (status = 409, description = "`election-exists`, `roll-conflict`, `not-leading`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create_election(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    let created = election_actions::create(&api, request).await?;
    Ok((StatusCode::CREATED, Json(created)).into_response())
}

/// Lists the elections.
#[utoipa::path(
    get, path = "/api/v1/admin/elections", tag = "administration", operation_id = "adminElections", security(("administrator" = [])),
    responses(
        (status = 200, description = "Every election of this node", body = Vec<ElectionView>),
    )
)]
pub(crate) async fn list_elections(State(api): State<Arc<Api>>) -> Json<Vec<ElectionView>> {
    Json(api.node.elections())
}

/// Shows one election.
#[utoipa::path(
    get, path = "/api/v1/admin/elections/{law_id}", tag = "administration", operation_id = "adminElection", security(("administrator" = [])),
    params(LawPath),
    responses(
        (status = 200, description = "The election", body = ElectionView),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show_election(
    State(api): State<Arc<Api>>,
    PathText(law): PathText<String>,
) -> Result<Json<ElectionView>, Problem> {
    api.node.election(&law_id(&law)?).map(Json).ok_or(Problem::UnknownElection)
}

/// Opens the poll, with its zero report.
#[utoipa::path(
    post, path = "/api/v1/admin/elections/{law_id}/open", tag = "administration", operation_id = "openElection", security(("administrator" = [])),
    params(LawPath),
    request_body(content = Option<OpenElection>, content_type = "application/json", description = "May be left out"),
    responses(
        (status = 200, description = "Open", body = ElectionView),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`wrong-state`, `refused-by-log`, `not-safe`, `admin-busy`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn open_election(
    State(api): State<Arc<Api>>,
    PathText(law): PathText<String>,
    request: Request,
) -> Result<Json<ElectionView>, Problem> {
    election_actions::open(&api, &law, request).await
}

/// Closes the poll: decides the received votes, reconciles them and opens the totals. Resumes an
/// interrupted close. Before the planned end a reason is required, and recorded in the log.
#[utoipa::path(
    post, path = "/api/v1/admin/elections/{law_id}/close", tag = "administration", operation_id = "closeElection", security(("administrator" = [])),
    params(LawPath),
    request_body(content = Option<CloseElection>, content_type = "application/json", description = "May be left out once the planned end has come"),
    responses(
        (status = 200, description = "Closed", body = ElectionView),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`wrong-state`, `early-close`, `refused-by-log`, `admin-busy`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn close_election(
    State(api): State<Arc<Api>>,
    PathText(law): PathText<String>,
    request: Request,
) -> Result<Json<ElectionView>, Problem> {
    election_actions::close(&api, &law, request).await
}

/// Declares the result official. Where outside witnesses have to cosign the closed log, it waits a
/// moment for them; a reason to do without them is recorded in the log.
#[utoipa::path(
    post, path = "/api/v1/admin/elections/{law_id}/certify", tag = "administration", operation_id = "certifyElection", security(("administrator" = [])),
    params(LawPath),
    request_body(content = Option<CertifyElection>, content_type = "application/json", description = "May be left out unless outside witnesses are missing"),
    responses(
        (status = 200, description = "Certified", body = ElectionView),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`wrong-state`, `witnesses-missing`, `admin-busy`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn certify_election(
    State(api): State<Arc<Api>>,
    PathText(law): PathText<String>,
    request: Request,
) -> Result<Json<ElectionView>, Problem> {
    election_actions::certify(&api, &law, request).await
}

/// Changes the definition of a draft. Fields that are not given keep their values.
#[utoipa::path(
    post, path = "/api/v1/admin/elections/{law_id}/amend", tag = "administration", operation_id = "amendElection", security(("administrator" = [])),
    params(LawPath),
    request_body(content = AmendElection, content_type = "application/json"),
    responses(
        (status = 200, description = "The election after the call", body = CreatedElection),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`wrong-state`, `refused-by-log`, `admin-busy`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn amend_election(
    State(api): State<Arc<Api>>,
    PathText(law): PathText<String>,
    request: Request,
) -> Result<Json<CreatedElection>, Problem> {
    election_actions::amend(&api, &law, request).await
}

/// Declares an election void, with the reason in its log.
#[utoipa::path(
    post, path = "/api/v1/admin/elections/{law_id}/annul", tag = "administration", operation_id = "annulElection", security(("administrator" = [])),
    params(LawPath),
    request_body(content = AnnulElection, content_type = "application/json"),
    responses(
        (status = 200, description = "Annulled", body = ElectionView),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`wrong-state`, `refused-by-log`, `admin-busy`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn annul_election(
    State(api): State<Arc<Api>>,
    PathText(law): PathText<String>,
    request: Request,
) -> Result<Json<ElectionView>, Problem> {
    election_actions::annul(&api, &law, request).await
}

/// Destroys the evidence and the ballot key of a certified or annulled election. The log stays.
#[utoipa::path(
    post, path = "/api/v1/admin/elections/{law_id}/purge", tag = "administration", operation_id = "purgeElection", security(("administrator" = [])),
    params(LawPath),
    responses(
        (status = 200, description = "Purged", body = ElectionView),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`wrong-state`, `admin-busy`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn purge_election(
    State(api): State<Arc<Api>>,
    PathText(law): PathText<String>,
) -> Result<Json<ElectionView>, Problem> {
    let law = law_id(&law)?;
    api.node.purge(&law).await?;
    api.node.election(&law).map(Json).ok_or(Problem::UnknownElection)
}

/// Loads a hashed roll or supplement, after checking every digest, count and signature. Loading it
/// again changes nothing.
#[utoipa::path(
    post, path = "/api/v1/admin/rolls", tag = "administration", operation_id = "loadRoll", security(("administrator" = [])),
    request_body(content = LoadRoll, content_type = "application/json"),
    responses(
        (status = 200, description = "Loaded, kept for later, or already loaded: per law", body = LoadReport),
        (status = 409, description = "`refused-by-log`, `wrong-state`, `roll-conflict`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`roll-refused`: a file does not match the manifest", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn load_roll(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Json<LoadReport>, Problem> {
    let roll: LoadRoll = json(request).await?;
    let (folder, pepper) = (roll.folder.as_path(), roll.pepper_file.as_deref());
    let report = match roll.replace {
        false => api.node.load(folder, pepper).await?,
        true => api.node.replace_roll(folder, pepper).await?,
    };
    Ok(Json(report))
}

/// Lists the kept rolls of the node, each with the elections that use it.
#[utoipa::path(
    get, path = "/api/v1/admin/rolls", tag = "administration", operation_id = "listRolls", security(("administrator" = [])),
    responses(
        (status = 200, description = "Every roll and supplement, each after the one it follows", body = Vec<RollView>),
    )
)]
pub(crate) async fn list_rolls(
    State(api): State<Arc<Api>>,
) -> Result<Json<Vec<RollView>>, Problem> {
    Ok(Json(api.node.rolls().await?))
}

/// Removes a roll that no election uses, and its pepper if no other roll is hashed under it.
#[utoipa::path(
    delete, path = "/api/v1/admin/rolls/{manifest}", tag = "administration", operation_id = "discardRoll", security(("administrator" = [])),
    params(("manifest" = String, Path, description = "SHA-256 of the roll's manifest, in hexadecimal digits", pattern = "^[0-9a-f]{64}$", min_length = 64, max_length = 64)),
    responses(
        (status = 200, description = "Removed: the roll as it was", body = RollView),
        (status = 404, description = "`unknown-roll`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`roll-conflict`, `not-leading`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn discard_roll(
    State(api): State<Arc<Api>>,
    PathText(manifest): PathText<String>,
) -> Result<Json<RollView>, Problem> {
    let manifest = manifest.parse().map_err(|_| Problem::UnknownRoll)?;
    Ok(Json(api.node.discard_roll(&manifest).await?))
}
