//! The document and the routers describe the same interface.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt as _;
use utoipa::PartialSchema as _;
use votekit_core::ballot::BallotPublicKey;
use votekit_core::election::{Bilingual, Choice, Definition, ResultsPolicy, State};
use votekit_core::export::json::Document;
use votekit_core::reconcile::Report;
use votekit_core::results::Results;
use votekit_core::tally::Counts;
use votekit_node::CreateElection;
use votekit_node::Node;
use votekit_node::config::Config;
use votekit_node::data_folder::DataFolder;

use super::*;
use crate::api::openapi;

fn document() -> Value {
    serde_json::to_value(openapi::document()).expect("text keys")
}

/// Paths and their methods, according to the document.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let document = document();
    let paths = document["paths"].as_object().expect("paths");
    let methods = |item: &Value| {
        item.as_object().expect("operations").keys().map(|method| method.to_uppercase()).collect()
    };
    paths.iter().map(|(path, item)| (path.clone(), methods(item))).collect()
}

async fn api() -> (tempfile::TempDir, Arc<Api>) {
    api_with(Config::default()).await
}

pub(super) async fn api_with(config: Config) -> (tempfile::TempDir, Arc<Api>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = DataFolder::open(folder.path(), None).expect("a data folder");
    let node = Node::start(data, config).await.expect("a node");
    (folder, Api::new(node, b"token"))
}

async fn exchange(router: &Router, method: &Method, path: &str, token: bool) -> Response {
    let mut request = Request::builder().method(method).uri(path.replace(['{', '}', '*'], ""));
    if token {
        request = request.header("authorization", "Bearer token");
    }
    let request = request.body(Body::empty()).expect("a request");
    router.clone().oneshot(request).await.expect("routers do not fail")
}

pub(super) const METHODS: [Method; 5] =
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// Whether a route is a page for people.
fn is_page(route: &Route) -> bool {
    matches!(route.permission, Permission::Page | Permission::AccountPage(_))
}

/// The table permission × route: each listener serves its own routes and no others, and an
/// administrator's route is never reached without the token.
#[tokio::test]
async fn every_route_is_served_by_the_listener_of_its_permission_alone() {
    let (_folder, api) = api().await;
    type Serves = fn(Permission) -> bool;
    let listeners: [(Router, Serves); 3] = [
        (public(&api), Permission::is_public),
        (administration(&api), |permission| permission == Permission::Administrator),
        (monitoring(&api), |permission| permission == Permission::Monitoring),
    ];
    let mut served = 0;
    for route in routes() {
        for (router, serves) in &listeners {
            let is_own = serves(route.permission);
            let mut answers = Vec::new();
            for method in &METHODS {
                answers.push(exchange(router, method, route.path, true).await.status());
            }
            let is_route = answers.contains(&StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(is_route, is_own, "{} {answers:?}", route.path);
            served += usize::from(is_own);
            if is_own && route.permission == Permission::Administrator {
                for method in &METHODS {
                    let refused = exchange(router, method, route.path, false).await.status();
                    assert_eq!(refused, StatusCode::UNAUTHORIZED, "{method} {}", route.path);
                }
            }
        }
    }
    assert_eq!(served, routes().len());
    api.node.clone().shutdown().await;
}

#[tokio::test]
async fn every_route_is_documented_and_the_reverse() {
    let (_folder, api) = api().await;
    let listeners = [public(&api), administration(&api), monitoring(&api)];
    let documented = documented();
    let mut routed = BTreeSet::new();
    // Pages are for people.
    for route in routes().into_iter().filter(|route| !is_page(route)) {
        let path = route.path.replace("{*", "{");
        let methods = documented.get(&path).unwrap_or_else(|| panic!("{path} is not documented"));
        let listener = match route.permission {
            Permission::Administrator => &listeners[1],
            Permission::Monitoring => &listeners[2],
            _ => &listeners[0],
        };
        for method in METHODS {
            let answer = exchange(listener, &method, &path, true).await;
            let status = answer.status();
            let routed = status != StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(routed, methods.contains(method.as_str()), "{method} {path}: {status}");
            assert!(routed || answer.headers().contains_key("allow"), "{method} {path}");
        }
        routed.insert(path);
    }
    assert_eq!(routed, documented.keys().cloned().collect());
    api.node.clone().shutdown().await;
}

#[test]
fn every_operation_is_described_and_its_problems_have_schemas() {
    let document = document();
    assert!(document["openapi"].as_str().expect("a version").starts_with("3.1"));
    let schemes = &document["components"]["securitySchemes"];
    for (name, format) in [("administrator", Value::Null), ("account", "JWT".into())] {
        assert_eq!(schemes[name]["scheme"], "bearer", "{name}");
        assert_eq!(schemes[name]["bearerFormat"], format, "{name}");
    }
    let voter = &schemes["voter"];
    assert_eq!((voter["type"].as_str(), voter["in"].as_str()), (Some("apiKey"), Some("cookie")));
    assert_eq!(voter["name"], "__Host-votekit");
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            assert!(
                ids.insert(operation["operationId"].as_str().expect("an id").to_owned()),
                "{method} {path}"
            );
            for (status, response) in operation["responses"].as_object().expect("responses") {
                if status.starts_with('4') {
                    let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
                    assert_eq!(
                        schema, "#/components/schemas/ProblemDocument",
                        "{method} {path} {status}"
                    );
                }
            }
            let expected = super::access_tests::security(method, path);
            assert_eq!(operation.get("security"), expected.as_ref(), "{method} {path}");
        }
    }
}

#[test]
fn ids_keys_and_tokens_have_a_pattern_and_lengths() {
    let document = document();
    let is_bounded = |schema: &Value| {
        ["pattern", "minLength", "maxLength"].iter().all(|rule| schema.get(rule).is_some())
    };
    let mut bounded = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for operation in item.as_object().expect("operations").values() {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().expect("a name");
                if !["Prefer", "path"].contains(&name) {
                    assert!(is_bounded(&parameter["schema"]), "{path}: {name} {parameter}");
                    bounded.insert(name);
                }
            }
        }
    }
    let expected = [
        "Idempotency-Key",
        "Last-Event-ID",
        "Votekit-Voter-Token",
        "after",
        "digest",
        "file",
        "id",
        "law_id",
        "manifest",
        "name",
        "node",
        "request_id",
    ];
    assert_eq!(bounded.into_iter().collect::<Vec<_>>(), expected);
    let schemas = &document["components"]["schemas"];
    for (schema, field) in [
        ("VoteBody", "law_id"),
        ("VoteBody", "vote"),
        ("ChoiceBody", "vote"),
        ("NewElection", "law_id"),
        ("AdmitNode", "public_key"),
        ("AdmitRecord", "name"),
        ("AdmitRecord", "public_key"),
        ("AdmitRecord", "transport_key"),
        ("VoteReceived", "request_id"),
        ("RefreshBody", "refresh_token"),
        ("TokenDocument", "refresh_token"),
        ("CallerDocument", "id"),
        ("AccountDocument", "id"),
    ] {
        assert!(is_bounded(&schemas[schema]["properties"][field]), "{schema} {field}");
    }
    for body in ["VoteBody", "VoterSignInBody"] {
        for field in ["nas", "code"] {
            assert!(schemas[body]["properties"][field]["pattern"].is_string(), "{body} {field}");
        }
    }
    for body in ["VoteBody", "VoterSignInBody", "ChoiceBody", "LoadUpload", "NewElection"] {
        assert_eq!(schemas[body]["additionalProperties"], false, "{body}");
    }
    for schema in ["SignInBody", "RefreshBody", "PasswordBody"] {
        assert_eq!(schemas[schema]["additionalProperties"], false, "{schema}");
    }
    let waivers = &schemas["OpenElection"]["properties"]["waivers"];
    assert_eq!(waivers["items"]["$ref"], "#/components/schemas/Waiver");
    assert_eq!(schemas["Waiver"]["enum"], serde_json::json!(["results"]));
}

/// The body of a new election, on both listeners, is a definition and one more member.
#[test]
fn a_new_election_is_a_definition_with_its_members() {
    let document = document();
    for path in ["/api/v1/elections", "/api/v1/admin/elections"] {
        let body = &document["paths"][path]["post"]["requestBody"]["content"]["application/json"];
        assert_eq!(body["schema"]["$ref"], "#/components/schemas/NewElection", "{path}");
    }
    let new = &document["components"]["schemas"]["NewElection"];
    let definition = serde_json::to_value(CreateElection::schema()).expect("text keys");
    let mut properties = new["properties"].as_object().expect("properties").clone();
    let emails = properties.remove("eligible_voters").expect("the list of members");
    assert_eq!(emails["type"], "array");
    // The document adds the policies to the schema of the type.
    let policies = properties["results"].as_object_mut().expect("a schema").remove("enum");
    let policies = policies.expect("the policies");
    assert_eq!(policies, serde_json::json!(["live", "after_vote", "after_close", null]));
    assert_eq!(Some(&properties), definition["properties"].as_object());
    assert_eq!(new["required"], definition["required"]);
}

#[test]
fn openapi_document_names_each_listener_and_shows_a_vote() {
    let document = document();
    assert_eq!(document["servers"][0]["url"], "/");
    for (path, item) in document["paths"].as_object().expect("paths") {
        for operation in item.as_object().expect("operations").values() {
            let elsewhere = path.starts_with("/api/v1/admin/") || path == "/metrics";
            assert_eq!(operation.get("servers").is_some(), elsewhere, "{path}");
        }
    }
    let cast = &document["paths"]["/api/v1/vote"]["post"];
    let example = &cast["requestBody"]["content"]["application/json"]["example"];
    let body = serde_json::to_vec(example).expect("text keys");
    votekit_core::envelope::VoteRequest::parse(&body).expect("the example is a vote");
    assert!(cast["responses"]["202"]["content"]["application/json"]["example"].is_object());
    assert!(cast["responses"]["202"]["headers"]["Location"].is_object());
}

/// The document lists each kind of problem for at least one operation, or for all addresses that it
/// does not list.
#[test]
fn every_kind_of_problem_is_documented_where_it_can_occur() {
    let document = document();
    // Of every address, and of the pages.
    let mut documented = BTreeSet::from(
        ["method-not-allowed", "foreign-origin", "invitation-void"].map(str::to_owned),
    );
    for item in document["paths"].as_object().expect("paths").values() {
        for operation in item.as_object().expect("operations").values() {
            for response in operation["responses"].as_object().expect("responses").values() {
                let text = response["description"].as_str().expect("a description");
                documented.extend(text.split('`').skip(1).step_by(2).map(str::to_owned));
            }
        }
    }
    for kind in crate::problem::KINDS {
        assert!(documented.contains(kind.code), "{}", kind.code);
    }
}

#[test]
fn every_reference_of_the_document_resolves() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("a local reference");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn codes_in_the_document_are_those_there_are() {
    let document = document();
    let described = document["info"]["description"].as_str().expect("a description");
    let codes: BTreeSet<_> = crate::problem::KINDS.iter().map(|kind| kind.code).collect();
    assert!(codes.iter().all(|code| described.contains(&format!("| `{code}` |"))));
    for (path, item) in document["paths"].as_object().expect("paths") {
        for operation in item.as_object().expect("operations").values() {
            for (status, response) in operation["responses"].as_object().expect("responses") {
                let text = response["description"].as_str().expect("a description");
                for code in
                    text.split('`').skip(1).step_by(2).filter(|_| status.starts_with(['4', '5']))
                {
                    let kind = crate::problem::KINDS.iter().find(|kind| kind.code == code);
                    let known = kind.is_some_and(|kind| kind.status.as_str() == status);
                    assert!(known, "{path} {status}: {code}");
                }
            }
        }
    }
}

#[test]
fn refusals_are_documented_with_the_fields_that_a_program_acts_on() {
    let document = document();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for operation in item.as_object().expect("operations").values() {
            for (status, response) in operation["responses"].as_object().expect("responses") {
                let text = response["description"].as_str().expect("a description");
                let field = match status.as_str() {
                    "401" => "WWW-Authenticate",
                    "426" => "Upgrade",
                    "429" | "503" => "Retry-After",
                    "409" if text.contains("`admin-busy`") => "Retry-After",
                    _ => continue,
                };
                assert!(response["headers"][field].is_object(), "{path} {status}: {field}");
            }
        }
    }
}

/// Whether a text names the address of a call: whole, with any value for a variable part, or by its
/// end after an ellipsis.
fn names_call(text: &str, path: &str) -> bool {
    let is_between = |one: char| one.is_whitespace() || "`\"'?,)".contains(one);
    text.split(is_between).any(|word| {
        if let Some(end) = word.strip_prefix('…') {
            return end.len() > 1 && path.ends_with(end);
        }
        let listener = ["$NODE", "$ADMIN"].iter().find_map(|host| word.strip_prefix(host));
        let (parts, given) = (path.split('/'), listener.unwrap_or(word).split('/'));
        let is_part =
            |(part, text): (&str, &str)| part == text || part.starts_with('{') && !text.is_empty();
        parts.clone().count() == given.clone().count() && parts.zip(given).all(is_part)
    })
}

#[test]
fn every_call_is_named_in_the_documents_for_integrators() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let texts = ["docs/http-api.md", "docs/integration.md"]
        .map(|name| std::fs::read_to_string(folder.join(name)).expect("a document"));
    for path in documented().keys() {
        assert!(texts.iter().any(|text| names_call(text, path)), "{path}");
    }
    assert!(!names_call("`GET /api/v1/elections`", "/api/v1/elections/{law_id}"));
}

#[test]
fn the_results_schema_is_that_of_the_results() {
    let text = |text: &str| Bilingual { fr: text.to_owned(), en: text.to_owned() };
    let choices = ["oui", "non", "blanc"]
        .map(|id| Choice::with_customary_labels(id.parse().expect("a choice id")));
    let definition = Definition {
        law_id: "L1".parse().expect("a law id"),
        title: text("Loi"),
        description: text(""),
        choices: choices.to_vec(),
        binding: false,
        results: ResultsPolicy::Live,
        publish_every: 1,
        opens: None,
        closes: None,
        ballot_key: BallotPublicKey::from_bytes([9; 32]),
    };
    let results = Results::new(definition, State::Open, Report::default(), Counts::zero(3));
    let value = serde_json::to_value(Document::new(&results)).expect("text keys");
    let schemas = document()["components"]["schemas"].clone();
    let members = |value: &Value| {
        value.as_object().expect("an object").keys().cloned().collect::<BTreeSet<_>>()
    };
    let properties = |schema: &str| members(&schemas[schema]["properties"]);
    assert_eq!(members(&value), properties("ResultsDocument"));
    assert_eq!(members(&value["choices"][0]), properties("ChoiceCountDocument"));
    assert_eq!(members(&value["log"]), properties("LogHeadDocument"));
}

/// The table role × route: the routes that a node without a role does not serve.
#[test]
fn a_node_serves_the_routes_of_its_roles() {
    let refused = |roles: &[Role]| -> Vec<&'static str> {
        routes().iter().filter(|route| !route.is_served_by(roles)).map(|route| route.path).collect()
    };
    assert_eq!(refused(&Role::ALL), [""; 0]);
    assert_eq!(refused(&[Role::Query]), [""; 0]);
    let of_query = [
        "/api/v1/vote/{request_id}/receipt",
        "/api/v1/results",
        "/api/v1/results/{law_id}",
        "/api/v1/results/{law_id}/events",
        "/api/v1/ws",
        "/log/{law_id}/checkpoint",
        "/log/{law_id}/policy",
        "/log/{law_id}/manifest/{digest}",
        "/log/{law_id}/tile/{*path}",
        "/api/v1/elections/{law_id}/bundle",
        "/{lang}/results/{law_id}",
        "/{lang}/receipts/check",
        "/{lang}/officials/elections/{law_id}/results/{format}",
        "/{lang}/officials/elections/{law_id}/bundle.zip",
    ];
    assert_eq!(refused(&[Role::Ingest, Role::Validate, Role::Seal]), of_query);
}
