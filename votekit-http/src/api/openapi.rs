//! `GET /api/v1/openapi.json`: the whole interface, as OpenAPI 3.1. A test compares the document
//! with the routes.

mod text_sets;

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{HeaderMap, Response};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::server::{Server, ServerBuilder};
use utoipa::openapi::{OpenApi as Document, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::admin::{self, ballot_key, cluster, nodes};
use super::{
    accounts, auth, bundle, election_admin, elections, exposition, health, live_events,
    live_socket, log_tiles, receipt, results, roll_upload, session, status, user, vote, votes,
};
use crate::guard::representation::{Representation, accepts_gzip};
use crate::problem::{self, KINDS, Kind};
use crate::sessions::VOTER_COOKIE;

#[derive(OpenApi)]
#[openapi(
    info(title = "votekit", license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")),
    paths(
        vote::cast_vote,
        session::sign_in,
        session::sign_out,
        votes::put_vote,
        user::voted_elections,
        status::vote_status,
        receipt::vote_receipt,
        results::results,
        results::all_results,
        live_events::result_events,
        live_socket::live_socket,
        elections::elections,
        elections::election,
        elections::candidates,
        election_admin::create,
        election_admin::open,
        election_admin::close,
        election_admin::certify,
        election_admin::amend,
        election_admin::annul,
        roll_upload::put_file,
        roll_upload::show,
        roll_upload::discard,
        roll_upload::load,
        bundle::download,
        health::health,
        openapi_json,
        log_tiles::checkpoint,
        log_tiles::policy,
        log_tiles::manifest,
        log_tiles::tile,
        auth::login,
        auth::refresh,
        auth::logout,
        auth::me,
        auth::password,
        accounts::invite,
        accounts::list,
        accounts::disable,
        accounts::enable,
        accounts::reset,
        exposition::exposition,
        admin::create_election,
        admin::list_elections,
        admin::show_election,
        admin::open_election,
        admin::close_election,
        admin::certify_election,
        admin::amend_election,
        admin::annul_election,
        admin::purge_election,
        ballot_key::install_ballot_key,
        nodes::list_nodes,
        nodes::admit_node,
        nodes::retire_node,
        cluster::cluster_view,
        cluster::admit_record,
        cluster::retire_record,
        cluster::step_down,
        admin::load_roll,
        admin::list_rolls,
        admin::discard_roll,
    ),
    tags(
        (name = "vote", description = "Casting a vote, and its outcome"),
        (name = "elections", description = "What is put to the vote"),
        (name = "officials", description = "What signed-in officials do, with the token of their account"),
        (name = "results", description = "Counts, by the election's policy"),
        (name = "log", description = "The log, for auditors: C2SP tlog-tiles"),
        (name = "accounts", description = "Officials and members: sign-in, tokens, invitations"),
        (name = "operation", description = "For operators. `/metrics` is on a separate listener"),
        (name = "administration", description = "For officials and operators: on a separate listener, with the administrator's token"),
    ),
    modifiers(&Additions),
)]
struct Interface;

/// The security scheme of the access token of an account.
const ACCOUNT: &str = "account";

struct Additions;

impl Modify for Additions {
    fn modify(&self, document: &mut Document) {
        let mut description = "Errors are problem details (RFC 9457, `application/problem+json`). \
            Their `code` is stable. Any address answers `unknown-route` (404) or \
            `method-not-allowed` (405) when it is not listed here; `HEAD` is answered as `GET` \
            without the body. The pages for people, under `/`, `/fr/` and `/en/`, are not listed: \
            they are no interface for programs.\n\n\
            The log, the results and the ballots can be read by a page of any origin (CORS, plain \
             requests only; results and logs with a token by pages of the origins below). Calls \
             that take the token of an account, those that issue it, and the status and receipt of \
             a vote can be made by pages of the origins that the node \
             names (`cors_origins`); nothing else can.\n\n\
            | code | status | meaning |\n| --- | --- | --- |\n"
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
        document.servers =
            Some(vec![server("/", "The public listener of the node that served this document")]);
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The administrator's token, from the node's data folder"))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("administrator", SecurityScheme::Http(bearer));
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("The access token of an account, from `POST /api/v1/auth/login`"))
            .build();
        components.add_security_scheme(ACCOUNT, SecurityScheme::Http(bearer));
        let text = "The session of a voter, from `POST /api/v1/session`; for pages of the node \
            only. Without TLS, on a node's own machine, its name is `votekit-local`";
        let cookie = ApiKeyValue::with_description(VOTER_COOKIE.name(true), text);
        components.add_security_scheme("voter", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        text_sets::add_to(components);
        for (path, item) in &mut document.paths.paths {
            let is_admin = path.starts_with("/api/v1/admin/");
            let operations =
                [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                if is_admin {
                    let text = "The administration listener (--admin-listen)";
                    operation.servers = Some(vec![server("http://127.0.0.1:8081", text)]);
                } else if path == "/metrics" {
                    let text = "The metrics listener (--metrics-listen)";
                    operation.servers = Some(vec![server("http://127.0.0.1:9090", text)]);
                }
                add_common_answers(operation, path);
            }
        }
    }
}

fn server(url: &str, description: &str) -> Server {
    ServerBuilder::new().url(url).description(Some(description)).build()
}

/// Operations whose answers carry an entity tag.
const TAGGED: [&str; 10] = [
    "elections",
    "election",
    "candidates",
    "results",
    "allResults",
    "openapi",
    "checkpoint",
    "policy",
    "manifest",
    "tile",
];

/// Operations that read from an engine.
const READS: [&str; 15] = [
    "elections",
    "election",
    "votedElections",
    "voteStatus",
    "voteReceipt",
    "results",
    "allResults",
    "checkpoint",
    "policy",
    "manifest",
    "tile",
    "downloadBundle",
    "listNodes",
    "clusterView",
    "listRolls",
];

/// Operations with the administrator's token that change nothing.
const ADMIN_READS: [&str; 5] =
    ["adminElections", "adminElection", "listNodes", "clusterView", "listRolls"];

/// Operations that are refused for an election that is halted, besides reads and changes.
const REFUSED_WHEN_HALTED: [&str; 2] = ["resultEvents", "showRollUpload"];

/// Operations of officials that change an election or its roll.
const CHANGES: [&str; 9] = [
    "postElection",
    "openPoll",
    "closePoll",
    "certifyResult",
    "amendDraft",
    "annulPoll",
    "putRollFile",
    "discardRollUpload",
    "loadRollUpload",
];

/// Adds the answers that depend only on the kind of an operation. An operation lists such an answer
/// only to say more about it.
fn add_common_answers(operation: &mut Operation, path: &str) {
    let id = operation.operation_id.clone().unwrap_or_default();
    let is_one_of = |ids: &[&str]| ids.contains(&id.as_str());
    let is_admin = path.starts_with("/api/v1/admin/");
    let has_body = operation.request_body.is_some();
    let has_path_parts = operation.parameters.iter().flatten().any(|parameter| match parameter {
        RefOr::T(parameter) => parameter.parameter_in == ParameterIn::Path,
        RefOr::Ref(_) => false,
    });
    let is_change = is_one_of(&CHANGES) || is_admin && !is_one_of(&ADMIN_READS);
    let mut kinds = vec![
        &problem::MALFORMED,
        &problem::URI_TOO_LONG,
        &problem::HEADERS_TOO_LARGE,
        &problem::TRANSFER_CODING,
    ];
    if is_admin {
        kinds.push(&problem::UNAUTHORIZED);
    } else if path != "/metrics" {
        // The gate may refuse any request.
        kinds.extend([&problem::TOO_MANY_CONNECTIONS, &problem::RATE_LIMITED]);
    }
    let of_account = SecurityRequirement::new(ACCOUNT, [""; 0]);
    let takes_token =
        operation.security.as_ref().is_some_and(|schemes| schemes.contains(&of_account));
    if takes_token {
        kinds.extend([&problem::TOKEN_REFUSED, &problem::FORBIDDEN]);
    }
    if takes_token || path.starts_with("/api/v1/auth/") {
        kinds.extend([&problem::INTERNAL, &problem::UNAVAILABLE]);
    }
    if has_path_parts {
        kinds.push(&problem::UNKNOWN_ROUTE);
    }
    if has_body {
        kinds.extend([
            &problem::REQUEST_TIMEOUT,
            &problem::BODY_TOO_LARGE,
            &problem::NOT_JSON,
            &problem::CONTENT_CODING,
        ]);
    }
    if is_one_of(&READS) {
        kinds.extend([&problem::INTERNAL, &problem::UNAVAILABLE, &problem::HALTED]);
    }
    if is_one_of(&REFUSED_WHEN_HALTED) {
        kinds.push(&problem::HALTED);
    }
    if is_change {
        kinds.extend([
            &problem::WRONG_STATE,
            &problem::REFUSED_BY_LOG,
            &problem::ADMIN_BUSY,
            &problem::NOT_LEADING,
            &problem::INTERNAL,
            &problem::UNAVAILABLE,
            &problem::OUTCOME_UNKNOWN,
            &problem::STOPPING,
            &problem::HALTED,
        ]);
    }
    if is_one_of(&["createElection", "openElection", "postElection", "openPoll"]) {
        kinds.push(&problem::ROLL_REFUSED);
    }
    kinds.into_iter().for_each(|kind| add_problem(operation, kind));
    add_advice(operation);
    if is_one_of(&TAGGED) {
        let unchanged = ResponseBuilder::new()
            .description("Unchanged: `If-None-Match` names this entity tag")
            .header("ETag", text_header("The entity tag"))
            .build();
        operation.responses.responses.insert("304".to_owned(), unchanged.into());
        if let Some(RefOr::T(page)) = operation.responses.responses.get_mut("200") {
            let tag = text_header("For `If-None-Match`, to check whether this has changed");
            page.headers.insert("ETag".to_owned(), RefOr::T(tag));
        }
    }
}

/// Documents that an operation can answer with this kind of problem.
fn add_problem(operation: &mut Operation, kind: &Kind) {
    let status = kind.status.as_u16();
    let code = format!("`{}`", kind.code);
    let answers = &mut operation.responses.responses;
    if let Some(RefOr::T(there)) = answers.get_mut(&status.to_string()) {
        if !there.description.contains(&code) {
            there.description = format!("{}; {code}", there.description);
        }
        // `health` answers 503 with its own document, and a full listener with a problem.
        if !there.content.contains_key(PROBLEM) {
            there.content.insert(PROBLEM.to_owned(), problem_content().into());
        }
        return;
    }
    let mut answer = ResponseBuilder::new().description(code).content(PROBLEM, problem_content());
    if matches!(status, 429 | 503) {
        answer = answer.header("Retry-After", text_header("Seconds"));
    }
    answers.insert(status.to_string(), answer.build().into());
}

/// The header fields with advice in problems of these statuses.
const ADVICE: [(&str, &str, &str); 4] = [
    ("401", "WWW-Authenticate", "`Bearer`: the scheme of tokens"),
    ("426", "Upgrade", "`websocket`"),
    ("429", "Retry-After", "Seconds"),
    ("503", "Retry-After", "Seconds"),
];

fn add_advice(operation: &mut Operation) {
    for (status, name, description) in ADVICE {
        if let Some(RefOr::T(answer)) = operation.responses.responses.get_mut(status) {
            let header = || RefOr::T(text_header(description));
            answer.headers.entry(name.to_owned()).or_insert_with(header);
        }
    }
    let busy = format!("`{}`", problem::ADMIN_BUSY.code);
    if let Some(RefOr::T(answer)) = operation.responses.responses.get_mut("409")
        && answer.description.contains(&busy)
    {
        let header = || RefOr::T(text_header("Seconds, with `admin-busy`"));
        answer.headers.entry("Retry-After".to_owned()).or_insert_with(header);
    }
}

const PROBLEM: &str = "application/problem+json";

fn problem_content() -> utoipa::openapi::Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name("ProblemDocument"))).build()
}

fn text_header(description: &str) -> utoipa::openapi::Header {
    let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).build();
    HeaderBuilder::new().schema(Some(text)).description(Some(description)).build()
}

/// Builds the document.
pub(crate) fn document() -> Document {
    Interface::openapi()
}

/// The document as JSON, as `GET /api/v1/openapi.json` returns it.
#[must_use]
pub fn openapi_json_text() -> String {
    document().to_pretty_json().expect("the document has text keys only")
}

/// The document, plain and compressed, built once.
static PAGES: LazyLock<[Representation; 2]> = LazyLock::new(|| {
    let json = openapi_json_text();
    let compressed = Representation::compressed(json.as_bytes(), "application/json");
    [Representation::plain(json, "application/json"), compressed]
});

/// Returns this document.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "operation", operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1, compressed for a client that accepts gzip", body = Object))
)]
pub(crate) async fn openapi_json(headers: HeaderMap) -> Response<Body> {
    let [plain, compressed] = &*PAGES;
    let page = if accepts_gzip(&headers) { compressed } else { plain };
    page.clone().answer(&headers, "public, max-age=300", "Accept-Encoding")
}
