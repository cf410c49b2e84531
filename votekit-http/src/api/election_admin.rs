//! Signed-in administrators create, open, close, certify, amend and annul elections, on the public
//! listener. The bodies and the answers are those of the administration listener.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};
use votekit_core::id::ElectionId;
use votekit_node::{
    AmendElection, AnnulElection, CloseElection, CreateElection, CreatedElection, ElectionView,
    OpenElection,
};

use super::election_actions;
use crate::accounts::Caller;
use crate::api::{PathText, law_id};
use crate::context::Api;
use crate::guard::json_body::json_with;
use crate::members::{CreatedWithMembers, create_with_members};
use crate::problem::{Problem, ProblemDocument};

/// The name of the list of members in a request.
const ELIGIBLE_VOTERS: &str = "eligible_voters";

/// A new election: its definition and, for an election of members, the e-mail addresses of those
/// who may vote.
pub(crate) struct NewElection {
    election: CreateElection,
    /// `None` for an election with a roll.
    eligible_voters: Option<Vec<String>>,
}

/// The schema of the definition with one more property: a reader of the document sees one object.
impl PartialSchema for NewElection {
    fn schema() -> RefOr<Schema> {
        let mut schema = CreateElection::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            let email = ObjectBuilder::new()
                .schema_type(SchemaType::Type(Type::String))
                .max_length(Some(254));
            let emails = ArrayBuilder::new().items(email).description(Some(
                "The e-mail addresses of the members who may vote, in place of a roll. For \
                 elections that are not binding: the operator of the node can vote for any member",
            ));
            object.properties.insert(ELIGIBLE_VOTERS.to_owned(), emails.into());
        }
        schema
    }
}

impl ToSchema for NewElection {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        CreateElection::schemas(schemas);
    }
}

/// Creates an election, as a draft.
///
/// The account is recorded as its creator. Every wrong field is named at once. With
/// `eligible_voters` the election is one of members, who vote with the tokens of their accounts.
#[utoipa::path(
    post, path = "/api/v1/elections", tag = "officials", operation_id = "postElection", security(("account" = [])),
    request_body(content = NewElection, content_type = "application/json", example = json!({"law_id": "L2025-001", "title_fr": "Loi sur l’eau", "title_en": "Water Act", "blank": true, "opens": "2036-11-21T08:00:00-05:00", "closes": "2036-11-22T08:00:00-05:00"})),
    responses(
        (status = 201, description = "Created, with warnings for its officials, and one-time links for members who have no password yet", body = CreatedWithMembers, headers(("Location" = String, description = "Where the election is: `/api/v1/elections/{law_id}`"))),
        (status = 400, description = "`malformed`, with each wrong field under errors", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`token-refused`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: only an administrator may", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`election-exists`, `roll-conflict`, `not-leading`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let (election, eligible_voters) = json_with(request, ELIGIBLE_VOTERS).await?;
    let created = create_by(&api, &caller, NewElection { election, eligible_voters }).await?;
    let location = format!("/api/v1/elections/{}", created.created.election.law_id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(created)).into_response())
}

/// Creates an election in the name of an official.
async fn create_by(
    api: &Api,
    caller: &Caller,
    request: NewElection,
) -> Result<CreatedWithMembers, Problem> {
    let NewElection { election, eligible_voters } = request;
    let mut created: CreatedWithMembers = match eligible_voters {
        None => api.node.create(election).await?.into(),
        Some(_) if election.binding => {
            let rule = "is for elections that are not binding, as the operator of the node can \
                        vote for any member: a binding election has a roll";
            return Err(Problem::field(ELIGIBLE_VOTERS, rule));
        }
        Some(emails) => create_with_members(api, election, emails).await?,
    };
    let law = law_id(&created.created.election.law_id)?;
    record_act("create", &law, caller);
    // The election exists: a failure here must not read as if it did not.
    if let Err(error) = api.node.accounts().record_creator(&law, caller.id).await {
        tracing::warn!(event = "creator_not_recorded", law_id = %law, %error, "creator not recorded");
        let warning = "the account that created this could not be recorded".to_owned();
        created.created.warnings.push(warning);
    }
    Ok(created)
}

/// Opens the poll, with its zero report.
#[utoipa::path(
    post, path = "/api/v1/elections/{law_id}/open", tag = "officials", operation_id = "openPoll", security(("account" = [])),
    params(("law_id" = String, Path, description = "The law put to the vote", example = "L2025-001", pattern = "^[A-Za-z0-9._-]+$", min_length = 1, max_length = 50)),
    request_body(content = Option<OpenElection>, content_type = "application/json", description = "May be left out", example = json!({"waivers": []})),
    responses(
        (status = 200, description = "Open", body = ElectionView),
        (status = 401, description = "`token-refused`", body = ProblemDocument, content_type = "application/problem+json"),
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

/// Closes the poll: decides what was received, reconciles it and opens the totals.
///
/// Resumes an interrupted close. Before the planned end a reason is required, and recorded in the
/// log.
#[utoipa::path(
    post, path = "/api/v1/elections/{law_id}/close", tag = "officials", operation_id = "closePoll", security(("account" = [])),
    params(("law_id" = String, Path, description = "The law put to the vote", example = "L2025-001", pattern = "^[A-Za-z0-9._-]+$", min_length = 1, max_length = 50)),
    request_body(content = Option<CloseElection>, content_type = "application/json", description = "May be left out once the planned end has come", example = json!({"reason": "The building was evacuated"})),
    responses(
        (status = 200, description = "Closed", body = ElectionView),
        (status = 401, description = "`token-refused`", body = ProblemDocument, content_type = "application/problem+json"),
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
#[utoipa::path(
    post, path = "/api/v1/elections/{law_id}/certify", tag = "officials", operation_id = "certifyResult", security(("account" = [])),
    params(("law_id" = String, Path, description = "The law put to the vote", example = "L2025-001", pattern = "^[A-Za-z0-9._-]+$", min_length = 1, max_length = 50)),
    responses(
        (status = 200, description = "Certified", body = ElectionView),
        (status = 401, description = "`token-refused`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: only an administrator may", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`wrong-state`, `admin-busy`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn certify(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    PathText(law): PathText<String>,
) -> Result<Json<ElectionView>, Problem> {
    let certified = election_actions::certify(&api, &law).await?;
    record_act("certify", &law_id(&law)?, &caller);
    Ok(certified)
}

/// Changes the definition of a draft. Fields that are not given keep their values.
#[utoipa::path(
    post, path = "/api/v1/elections/{law_id}/amend", tag = "officials", operation_id = "amendDraft", security(("account" = [])),
    params(("law_id" = String, Path, description = "The law put to the vote", example = "L2025-001", pattern = "^[A-Za-z0-9._-]+$", min_length = 1, max_length = 50)),
    request_body(content = AmendElection, content_type = "application/json", example = json!({"closes": "2036-11-22T20:00:00-05:00"})),
    responses(
        (status = 200, description = "The election after the call", body = CreatedElection),
        (status = 400, description = "`malformed`, with each wrong field under errors", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`token-refused`", body = ProblemDocument, content_type = "application/problem+json"),
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
    params(("law_id" = String, Path, description = "The law put to the vote", example = "L2025-001", pattern = "^[A-Za-z0-9._-]+$", min_length = 1, max_length = 50)),
    request_body(content = AnnulElection, content_type = "application/json", example = json!({"reason": "The roll lacked a district"})),
    responses(
        (status = 200, description = "Annulled", body = ElectionView),
        (status = 400, description = "`malformed`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`token-refused`", body = ProblemDocument, content_type = "application/problem+json"),
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
    tracing::info!(event = "official_acted", action, %law_id, account, "official changed an election");
}
