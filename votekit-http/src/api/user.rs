//! `GET /api/v1/user/voted-elections`: where the caller has voted.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use votekit_core::id::RequestId;
use votekit_node::config::Role;
use votekit_node::{BilingualView, ElectionView};

use super::viewer::{Viewer, personal};
use crate::api::law_id;
use crate::context::Api;
use crate::problem::{Problem, ProblemDocument};
use crate::published;

/// An election in which the caller has voted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"law_id": "L2025-001", "title": {"fr": "Loi sur l’eau", "en": "Water Act"}, "state": "open", "request_id": "000102030405060708090a0b0c0d0e0f"}))]
pub(crate) struct VotedElection {
    /// The law.
    law_id: String,
    /// Its title.
    title: BilingualView,
    /// The state of the election.
    state: String,
    /// The request that cast the vote, for its status and its receipt. Null for a member: no record
    /// joins an account and a request.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-f]{32}$")]
    request_id: Option<RequestId>,
}

/// Lists the elections in which the caller has voted.
///
/// With the cookie of a voter: those in which this session has cast a vote. With the token of a
/// member: those in which the member has voted, from a node that decides. The list never says for
/// what.
#[utoipa::path(
    get, path = "/api/v1/user/voted-elections", tag = "vote", operation_id = "votedElections",
    security(("voter" = []), ("account" = [])),
    responses(
        (status = 200, description = "The elections, in the order of their ids", body = Vec<VotedElection>),
        (status = 401, description = "`not-signed-in`, `token-refused`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: an official, from a network where officials may not work", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 421, description = "`not-served-here`: for a member, ask a node with the role seal", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn voted_elections(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let viewer = Viewer::identify(&api, &head).await?;
    if matches!(viewer, Viewer::Anyone) {
        return Err(Problem::NotSignedIn);
    }
    let mut voted = Vec::new();
    for election in published::elections(&api.node) {
        let law = law_id(&election.law_id)?;
        let has_voted = viewer.has_voted(&api, &law);
        // A list without the election would state that the member has not voted in it.
        if has_voted.is_none() && viewer.is_member() && api.node.takes_members(&law) {
            return Err(Problem::NotServedHere { needs: Role::Seal });
        }
        if has_voted == Some(true) {
            let ElectionView { law_id, title, state, .. } = election;
            voted.push(VotedElection {
                law_id,
                title,
                state,
                request_id: viewer.request_for(&law),
            });
        }
    }
    Ok(personal(&voted))
}
