//! `GET /api/v1/openapi.json`: the whole interface, as OpenAPI 3.1. A test holds document and
//! routes together.

use std::sync::LazyLock;

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use utoipa::openapi::header::Header;
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Content, Object, OpenApi as Document, Ref, Response as ApiResponse, ResponseBuilder,
};
use utoipa::{Modify, OpenApi};

use super::problem::KINDS;
use super::{
    admin, elections, exposition, health, log_tiles, nodes, receipt, results, status, vote,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "votekit", license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")),
    paths(
        vote::cast_vote,
        status::vote_status,
        receipt::vote_receipt,
        results::results,
        results::all_results,
        elections::elections,
        elections::election,
        health::health,
        openapi_json,
        log_tiles::checkpoint,
        log_tiles::policy,
        log_tiles::manifest,
        log_tiles::tile,
        exposition::exposition,
        admin::create_election,
        admin::list_elections,
        admin::show_election,
        admin::open_election,
        admin::close_election,
        admin::certify_election,
        admin::purge_election,
        nodes::list_nodes,
        nodes::admit_node,
        nodes::retire_node,
        admin::load_roll,
    ),
    tags(
        (name = "vote", description = "Casting a vote, and what became of it"),
        (name = "elections", description = "What is put to the vote"),
        (name = "results", description = "Counts, by the election's policy"),
        (name = "log", description = "The log, for auditors: C2SP tlog-tiles"),
        (name = "operation", description = "For operators. `/metrics` is on a listener of its own"),
        (name = "administration", description = "For officials and operators: on a listener of its own, with the administrator's token"),
    ),
    modifiers(&Additions),
)]
struct Interface;

struct Additions;

impl Modify for Additions {
    fn modify(&self, document: &mut Document) {
        let mut description = "Errors are problem details (RFC 9457, `application/problem+json`). \
            Their `code` is stable; any address answers `unknown-route` or `method-not-allowed` when it is not listed here.\n\n| code | status | meaning |\n| --- | --- | --- |\n"
            .to_owned();
        for kind in KINDS {
            description.push_str(&format!(
                "| `{}` | {} | {} |\n",
                kind.code,
                kind.status.as_u16(),
                kind.title
            ));
        }
        document.info.description = Some(description);
        let public =
            document.paths.paths.iter_mut().filter(|(path, _)| {
                path.as_str() != "/metrics" && !path.starts_with("/api/v1/admin/")
            });
        for operation in public.filter_map(|(_, item)| item.get.as_mut()) {
            operation.responses.responses.insert("429".to_owned(), too_many_reads().into());
        }
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The administrator's token, from the node's data folder"))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("administrator", SecurityScheme::Http(bearer));
    }
}

/// What every request to read may be answered at the gate.
fn too_many_reads() -> ApiResponse {
    let seconds = Header::new(Object::with_type(Type::Integer));
    let problem = Ref::from_schema_name("ProblemDocument");
    ResponseBuilder::new()
        .description("`rate-limited`: your network reads more than one address may")
        .content("application/problem+json", Content::new(Some(problem)))
        .header("Retry-After", seconds)
        .build()
}

/// The document.
pub(crate) fn document() -> Document {
    Interface::openapi()
}

static JSON: LazyLock<Bytes> = LazyLock::new(|| {
    let json = document().to_pretty_json().expect("the document has text keys only");
    Bytes::from(json)
});

/// This document.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "operation", operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1", body = Object))
)]
pub(crate) async fn openapi_json() -> Response {
    let mut response = JSON.clone().into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
