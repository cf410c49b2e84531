//! The calls that create an election and change its state: the same for the administrator's token
//! on the administration listener and for an official's account on the public listener.

use axum::Json;
use axum::extract::Request;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};
use votekit_node::{
    AdminError, CreateElection, CreatedElection, CreatedWithMembers, ElectionView, MemberFault,
    Node, OpenElection,
};

use crate::api::law_id;
use crate::context::Api;
use crate::guard::json_body::{json, json_with, optional_json};
use crate::problem::{FieldProblem, Problem};

/// A new election: its definition and, for an election of members, the e-mail addresses of those
/// who may vote.
// Only for the documentation: the definition and the list are parsed separately.
pub(crate) struct NewElection;

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
            object.properties.insert(MemberFault::LIST.to_owned(), emails.into());
        }
        schema
    }
}

impl ToSchema for NewElection {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        CreateElection::schemas(schemas);
    }
}

/// Creates an election, with a roll or for members. Every wrong field is named at once.
pub(crate) async fn create(api: &Api, request: Request) -> Result<CreatedWithMembers, Problem> {
    let (election, emails): (CreateElection, Option<Vec<String>>) =
        json_with(request, MemberFault::LIST).await?;
    match emails {
        None => Ok(api.node.create(election).await?.into()),
        Some(emails) => {
            check_fields(&api.node, &election, &emails)?;
            Ok(api.node.create_with_addresses(election, &emails).await?)
        }
    }
}

/// Refuses wrong fields of an election of members: those of the definition, the addresses, and the
/// two together.
fn check_fields(node: &Node, election: &CreateElection, emails: &[String]) -> Result<(), Problem> {
    let mut errors = Vec::new();
    for checked in [node.check_creation(election).map(drop), Node::check_addresses(emails)] {
        // Other reasons for a refusal are checked once the fields are right.
        if let Err(
            error @ (AdminError::Field { .. }
            | AdminError::Fields { .. }
            | AdminError::Members { .. }),
        ) = checked
            && let Problem::Malformed { errors: wrong } = error.into()
        {
            errors.extend(wrong);
        }
    }
    if election.binding {
        let rule = "is for elections that are not binding, as the operator of the node can vote \
                    for any member: a binding election has a roll";
        errors.push(FieldProblem { field: MemberFault::LIST.into(), rule: rule.to_owned() });
    }
    if errors.is_empty() { Ok(()) } else { Err(Problem::Malformed { errors }) }
}

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

/// Declares the result official. The body may be left out.
pub(crate) async fn certify(
    api: &Api,
    law: &str,
    request: Request,
) -> Result<Json<ElectionView>, Problem> {
    let law = law_id(law)?;
    let request = optional_json(request).await?.unwrap_or_default();
    Ok(Json(api.node.certify_with(&law, request).await?))
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
