//! Signed-in administrators create, open, close, certify, amend and annul elections, on the public
//! listener. The bodies and the answers are those of the administration listener.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use votekit_core::id::ElectionId;
use votekit_node::{
    AmendElection, AnnulElection, CertifyElection, CloseElection, CreatedElection,
    CreatedWithMembers, ElectionView, OpenElection,
};

use super::election_actions::{self, NewElection};
use crate::accounts::Caller;
use crate::api::{LawPath, PathText, law_id};
use crate::context::Api;
use crate::problem::{Problem, ProblemDocument};

/// Creates an election, as a draft.
///
/// The account is recorded as its creator. Every wrong field is named at once. With
/// `eligible_voters` the voters are members, who vote with the tokens of their accounts.
#[utoipa::path(
    post, path = "/api/v1/elections", tag = "officials", operation_id = "postElection", security(("account" = [])),
    request_body(content = NewElection, content_type = "application/json", example = json!({"law_id": "L2025-001", "title_fr": "Loi sur l’eau", "title_en": "Water Act", "blank": true, "opens": "2036-11-21T08:00:00-05:00", "closes": "2036-11-22T08:00:00-05:00"})),
    responses(
        (status = 201, description = "Created, with warnings for its officials, and one-time links for members who have no password yet", body = CreatedWithMembers, headers(("Location" = String, description = "Where the election is: `/api/v1/elections/{law_id}`"))),
        (status = 400, description = "`malformed`, with each wrong field under errors", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: only an administrator may", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`election-exists`, `roll-conflict`, `not-leading`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let mut created = election_actions::create(&api, request).await?;
    let election = &created.created.election;
    let location = format!("/api/v1/elections/{}", election.law_id);
    let law = law_id(&election.law_id)?;
    record_act("create", &law, &caller);
    // The election exists: a failure here must not read as if it did not.
    if let Err(error) = api.node.accounts().record_creator(&law, caller.id).await {
        tracing::warn!(event = "creator_not_recorded", law_id = %law, %error, "creator not recorded");
        let warning = "the account that created this could not be recorded".to_owned();
        created.created.warnings.push(warning);
    }
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(created)).into_response())
}

/// Opens the poll, with its zero report.
#[utoipa::path(
    post, path = "/api/v1/elections/{law_id}/open", tag = "officials", operation_id = "openPoll", security(("account" = [])),
    params(LawPath),
    request_body(content = Option<OpenElection>, content_type = "application/json", description = "May be left out", example = json!({"waivers": []})),
    responses(
        (status = 200, description = "Open", body = ElectionView),
        (status = 403, description = "`forbidden`: only an administrator may", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`wrong-state`, `refused-by-log`, `not-safe`, `admin-busy`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn open(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    PathText(law): PathText<String>,
    request: Request,
) -> Result<Json<ElectionView>, Problem> {
    let opened = election_actions::open(&api, &law, request).await?;
    record_act("open", &law_id(&law)?, &caller);
    Ok(opened)
}

/// Closes the poll: decides the received votes, reconciles them and opens the totals.
///
/// Resumes an interrupted close. Before the planned end a reason is required, and recorded in the
/// log.
#[utoipa::path(
    post, path = "/api/v1/elections/{law_id}/close", tag = "officials", operation_id = "closePoll", security(("account" = [])),
    params(LawPath),
    request_body(content = Option<CloseElection>, content_type = "application/json", description = "May be left out once the planned end has come", example = json!({"reason": "The building was evacuated"})),
    responses(
        (status = 200, description = "Closed", body = ElectionView),
        (status = 403, description = "`forbidden`: only an administrator may", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`wrong-state`, `early-close`, `refused-by-log`, `admin-busy`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn close(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    PathText(law): PathText<String>,
    request: Request,
) -> Result<Json<ElectionView>, Problem> {
    let closed = election_actions::close(&api, &law, request).await?;
    record_act("close", &law_id(&law)?, &caller);
    Ok(closed)
}

/// Declares the result official.
///
/// Where outside witnesses have to cosign the closed log, it waits a moment for them; a reason to
/// do without them is recorded in the log.
#[utoipa::path(
    post, path = "/api/v1/elections/{law_id}/certify", tag = "officials", operation_id = "certifyResult", security(("account" = [])),
    params(LawPath),
    request_body(content = Option<CertifyElection>, content_type = "application/json", description = "May be left out unless outside witnesses are missing", example = json!({"witness_waiver": "The witnesses have been out of reach since Monday"})),
    responses(
        (status = 200, description = "Certified", body = ElectionView),
        (status = 403, description = "`forbidden`: only an administrator may", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`wrong-state`, `witnesses-missing`, `admin-busy`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn certify(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    PathText(law): PathText<String>,
    request: Request,
) -> Result<Json<ElectionView>, Problem> {
    let certified = election_actions::certify(&api, &law, request).await?;
    record_act("certify", &law_id(&law)?, &caller);
    Ok(certified)
}

/// Changes the definition of a draft. Fields that are not given keep their values.
#[utoipa::path(
    post, path = "/api/v1/elections/{law_id}/amend", tag = "officials", operation_id = "amendDraft", security(("account" = [])),
    params(LawPath),
    request_body(content = AmendElection, content_type = "application/json", example = json!({"closes": "2036-11-22T20:00:00-05:00"})),
    responses(
        (status = 200, description = "The election after the call", body = CreatedElection),
        (status = 400, description = "`malformed`, with each wrong field under errors", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: only an administrator may", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`wrong-state`, `refused-by-log`, `admin-busy`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn amend(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    PathText(law): PathText<String>,
    request: Request,
) -> Result<Json<CreatedElection>, Problem> {
    let amended = election_actions::amend(&api, &law, request).await?;
    record_act("amend", &law_id(&law)?, &caller);
    Ok(amended)
}

/// Declares an election void, with the reason in its log.
#[utoipa::path(
    post, path = "/api/v1/elections/{law_id}/annul", tag = "officials", operation_id = "annulPoll", security(("account" = [])),
    params(LawPath),
    request_body(content = AnnulElection, content_type = "application/json", example = json!({"reason": "The roll lacked a district"})),
    responses(
        (status = 200, description = "Annulled", body = ElectionView),
        (status = 403, description = "`forbidden`: only an administrator may", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`wrong-state`, `refused-by-log`, `admin-busy`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn annul(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    PathText(law): PathText<String>,
    request: Request,
) -> Result<Json<ElectionView>, Problem> {
    let annulled = election_actions::annul(&api, &law, request).await?;
    record_act("annul", &law_id(&law)?, &caller);
    Ok(annulled)
}

/// Records which account has changed an election: the election's log names no person.
pub(crate) fn record_act(action: &'static str, law_id: &ElectionId, caller: &Caller) {
    let account = const_hex::encode(caller.id.0);
    tracing::info!(
        event = "official_acted",
        action,
        %law_id,
        account,
        "election changed by an official"
    );
}
