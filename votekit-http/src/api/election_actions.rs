//! What changes the state of an election: the same for the administrator's token on the
//! administration listener and for an official's account on the public one.

use axum::Json;
use axum::extract::Request;
use votekit_node::{CreatedElection, ElectionView, OpenElection};

use crate::api::law_id;
use crate::context::Api;
use crate::guard::json_body::{json, optional_json};
use crate::problem::Problem;

/// Opens the poll. The body may be left out.
pub(crate) async fn open(
    api: &Api,
    law: &str,
    request: Request,
) -> Result<Json<ElectionView>, Problem> {
    let law = law_id(law)?;
    let request = optional_json(request).await?.unwrap_or(OpenElection { waivers: Vec::new() });
    Ok(Json(api.node.open(&law, request).await?))
}

/// Closes the poll. The body may be left out.
pub(crate) async fn close(
    api: &Api,
    law: &str,
    request: Request,
) -> Result<Json<ElectionView>, Problem> {
    let law = law_id(law)?;
    let request = optional_json(request).await?.unwrap_or_default();
    Ok(Json(api.node.close_with(&law, request).await?))
}

/// Declares the result official.
pub(crate) async fn certify(api: &Api, law: &str) -> Result<Json<ElectionView>, Problem> {
    Ok(Json(api.node.certify(&law_id(law)?).await?))
}

/// Changes the definition of a draft.
pub(crate) async fn amend(
    api: &Api,
    law: &str,
    request: Request,
) -> Result<Json<CreatedElection>, Problem> {
    let law = law_id(law)?;
    Ok(Json(api.node.amend(&law, json(request).await?).await?))
}

/// Declares an election void.
pub(crate) async fn annul(
    api: &Api,
    law: &str,
    request: Request,
) -> Result<Json<ElectionView>, Problem> {
    let law = law_id(law)?;
    Ok(Json(api.node.annul(&law, json(request).await?).await?))
}
