//! `GET /api/v1/elections`, `GET /api/v1/elections/{law_id}`, `GET …/candidates`: the elections,
//! their states and their ballots; for a known caller also the data about the caller.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use votekit_core::id::ElectionId;
use votekit_node::{ChoiceView, ElectionView};

use super::viewer::{VARY_BY_VIEWER, Viewer, personal};
use crate::api::{LawPath, PathText, law_id};
use crate::context::Api;
use crate::guard::representation::{REVALIDATE, Representation};
use crate::problem::{Problem, ProblemDocument};
use crate::published;

/// An election, and the data about the caller.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ElectionForCaller {
    /// The election.
    #[serde(flatten)]
    election: ElectionView,
    /// Whether the caller has voted: with the cookie of a voter, in this session; with the token of
    /// a member, at all. Absent for other callers.
    #[serde(skip_serializing_if = "Option::is_none")]
    has_voted: Option<bool>,
    /// The e-mail address of the official who created the election, if one did. For officials
    /// alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
}

/// Lists the elections that were opened. Officials see drafts too.
///
/// Without a cookie and a token the answer is public, with an entity tag. With the session of a
/// voter, or the token of an account, each election also has the data about the caller, and no
/// cache keeps the answer.
#[utoipa::path(
    get, path = "/api/v1/elections", tag = "elections", operation_id = "elections",
    security((), ("voter" = []), ("account" = [])),
    responses(
        (status = 200, description = "The elections of this node, in the order of their ids", body = Vec<ElectionForCaller>),
        (status = 401, description = "`token-refused`: a token was sent and is not valid", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: an official, from a network where officials may not work", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn elections(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let viewer = Viewer::identify(&api, &head).await?;
    let elections = match viewer.is_official() {
        true => api.node.elections(),
        false => published::elections(&api.node),
    };
    if matches!(viewer, Viewer::Anyone) {
        return public(&head.headers, &elections, VARY_BY_VIEWER);
    }
    Ok(personal(&for_viewer(&api, &viewer, elections).await?))
}

/// Shows one election.
#[utoipa::path(
    get, path = "/api/v1/elections/{law_id}", tag = "elections", operation_id = "election",
    security((), ("voter" = []), ("account" = [])),
    params(LawPath),
    responses(
        (status = 200, description = "The election, as in the list", body = ElectionForCaller),
        (status = 401, description = "`token-refused`: a token was sent and is not valid", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: an official, from a network where officials may not work", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`not-open-yet`: a draft, which is for officials", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn election(
    State(api): State<Arc<Api>>,
    PathText(law): PathText<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let viewer = Viewer::identify(&api, &head).await?;
    let election = known(&api, &law)?;
    if !viewer.is_official() {
        published::check(&api.node, &election)?;
    }
    if matches!(viewer, Viewer::Anyone) {
        return public(&head.headers, &election, VARY_BY_VIEWER);
    }
    let mut elections = for_viewer(&api, &viewer, vec![election]).await?;
    elections.pop().map(|election| personal(&election)).ok_or(Problem::UnknownElection)
}

/// Lists the choices on the ballot of an election.
///
/// In the order of the ballot, with their labels in both languages. A page of any origin can read
/// them.
#[utoipa::path(
    get, path = "/api/v1/elections/{law_id}/candidates", tag = "elections", operation_id = "candidates",
    params(LawPath),
    responses(
        (status = 200, description = "The choices", body = Vec<ChoiceView>, example = json!([{"id": "oui", "fr": "Oui", "en": "Yes"}, {"id": "non", "fr": "Non", "en": "No"}])),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`not-open-yet`: a draft, which is for officials", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn candidates(
    State(api): State<Arc<Api>>,
    PathText(law): PathText<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let election = published::election(&api.node, &law_id(&law)?)?;
    public(&headers, &election.choices, "")
}

fn known(api: &Api, law: &str) -> Result<ElectionView, Problem> {
    api.node.election(&law_id(law)?).ok_or(Problem::UnknownElection)
}

async fn for_viewer(
    api: &Api,
    viewer: &Viewer,
    elections: Vec<ElectionView>,
) -> Result<Vec<ElectionForCaller>, Problem> {
    let mut creators = viewer.creators(api).await?;
    let for_caller = |election: ElectionView| -> Result<_, Problem> {
        let law: ElectionId = law_id(&election.law_id)?;
        let has_voted = viewer.has_voted(api, &law);
        Ok(ElectionForCaller { election, has_voted, created_by: creators.remove(&law) })
    };
    elections.into_iter().map(for_caller).collect()
}

fn public(
    headers: &HeaderMap,
    answer: &impl Serialize,
    vary: &'static str,
) -> Result<Response, Problem> {
    let json = serde_json::to_vec(answer).map_err(|_| Problem::Internal)?;
    Ok(Representation::plain(json, "application/json").answer(headers, REVALIDATE, vary))
}
