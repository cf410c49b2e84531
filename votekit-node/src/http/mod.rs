//! The HTTP interface: one resource a file, problems in one place, three routers for three
//! listeners.
//!
//! ```text
//! server ─▶ gate ─▶ router ─▶ timing ─▶ handler ─▶ node
//!            │                             │
//!            └───── problem: RFC 9457 ─────┘
//! ```

mod address_rate;
mod admin;
mod client_address;
mod elections;
mod exposition;
mod gate;
mod health;
mod idempotency_key;
mod json_body;
mod limits;
mod log_tiles;
mod message_rules;
mod nodes;
mod openapi;
mod path_text;
mod prefer;
mod problem;
mod receipt;
mod representation;
mod response_headers;
mod results;
mod status;
mod timing;
mod vote;

use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::routing::{MethodRouter, any, delete, get, post};

use self::address_rate::AddressRate;
use self::admin::TokenDigest;
pub(crate) use self::gate::Gate;
pub(crate) use self::message_rules::{refuse_message, unreadable_message};
pub use self::openapi::openapi_json_text;
use self::problem::Problem;
use self::response_headers::any_origin;
pub(crate) use self::response_headers::complete;
use self::timing::Timing;
use crate::node::Node;

/// What every handler has at hand.
pub(crate) struct Api {
    node: Node,
    vote_rate: AddressRate,
    read_rate: AddressRate,
    admin_token: RwLock<TokenDigest>,
}

impl Api {
    /// The interface of a node whose administrator holds this token.
    pub(crate) fn new(node: Node, admin_token: &[u8]) -> Arc<Self> {
        let config = node.config();
        let vote_rate = AddressRate::per_second(config.rate_limit_per_address());
        let read_rate = AddressRate::per_second(config.read_limit_per_address_per_second);
        let admin_token = RwLock::new(TokenDigest::of(admin_token));
        Arc::new(Self { node, vote_rate, read_rate, admin_token })
    }

    /// From here on the administrator holds this token.
    pub(crate) fn set_admin_token(&self, token: &[u8]) {
        *self.admin_token.write().unwrap_or_else(PoisonError::into_inner) = TokenDigest::of(token);
    }

    fn admits(&self, headers: &axum::http::HeaderMap) -> bool {
        self.admin_token.read().unwrap_or_else(PoisonError::into_inner).admits(headers)
    }

    /// Lets go of what is remembered of addresses that are quiet. Called every few seconds.
    pub(crate) fn forget_quiet(&self) {
        self.vote_rate.forget_quiet();
        self.read_rate.forget_quiet();
        self.node.forget_quiet();
    }
}

/// Where votes go.
const VOTE_PATH: &str = "/api/v1/vote";

/// The answer to a connection over the share of its address, before it is closed: whole, as bytes.
/// Only a listener without TLS can send it.
pub(crate) fn too_many_connections() -> Vec<u8> {
    message_rules::closing_answer(
        StatusCode::SERVICE_UNAVAILABLE,
        Problem::TooManyConnections,
        &format!("retry-after: {}\r\n", problem::CONNECTIONS_RETRY.as_secs()),
        false,
    )
}

type Routes = Vec<(&'static str, MethodRouter<Arc<Api>>)>;

/// What voters and readers reach.
pub(crate) fn public(api: &Arc<Api>) -> Router {
    router(public_routes()).with_state(Arc::clone(api))
}

/// What administrators reach.
pub(crate) fn administration(api: &Arc<Api>) -> Router {
    let token = axum::middleware::from_fn_with_state(Arc::clone(api), admin::require_token);
    router(administration_routes()).layer(token).with_state(Arc::clone(api))
}

/// What monitoring reaches.
pub(crate) fn monitoring(api: &Arc<Api>) -> Router {
    router(monitoring_routes()).with_state(Arc::clone(api))
}

fn public_routes() -> Routes {
    // What auditors verify, and everyone may read: pages of any origin too.
    let public = |handlers: MethodRouter<Arc<Api>>| handlers.layer(from_fn(any_origin));
    vec![
        (VOTE_PATH, post(vote::cast_vote)),
        ("/api/v1/vote/{request_id}", get(status::vote_status)),
        ("/api/v1/vote/{request_id}/receipt", get(receipt::vote_receipt)),
        ("/api/v1/elections", get(elections::elections)),
        ("/api/v1/elections/{law_id}", get(elections::election)),
        ("/api/v1/results", public(get(results::all_results))),
        ("/api/v1/results/{law_id}", public(get(results::results))),
        ("/api/v1/health", get(health::health)),
        ("/api/v1/openapi.json", get(openapi::openapi_json)),
        ("/log/{law_id}/checkpoint", public(get(log_tiles::checkpoint))),
        ("/log/{law_id}/policy", public(get(log_tiles::policy))),
        ("/log/{law_id}/manifest/{digest}", public(get(log_tiles::manifest))),
        ("/log/{law_id}/tile/{*path}", public(get(log_tiles::tile))),
    ]
}

fn administration_routes() -> Routes {
    vec![
        ("/api/v1/admin/elections", get(admin::list_elections).post(admin::create_election)),
        ("/api/v1/admin/elections/{law_id}", get(admin::show_election)),
        ("/api/v1/admin/elections/{law_id}/open", post(admin::open_election)),
        ("/api/v1/admin/elections/{law_id}/close", post(admin::close_election)),
        ("/api/v1/admin/elections/{law_id}/certify", post(admin::certify_election)),
        ("/api/v1/admin/elections/{law_id}/amend", post(admin::amend_election)),
        ("/api/v1/admin/elections/{law_id}/annul", post(admin::annul_election)),
        ("/api/v1/admin/elections/{law_id}/purge", post(admin::purge_election)),
        ("/api/v1/admin/elections/{law_id}/nodes", get(nodes::list_nodes).post(nodes::admit_node)),
        ("/api/v1/admin/elections/{law_id}/nodes/{node}/retire", post(nodes::retire_node)),
        ("/api/v1/admin/rolls", get(admin::list_rolls).post(admin::load_roll)),
        ("/api/v1/admin/rolls/{manifest}", delete(admin::discard_roll)),
    ]
}

fn monitoring_routes() -> Routes {
    vec![("/metrics", get(exposition::exposition))]
}

fn router(routes: Routes) -> Router<Arc<Api>> {
    let timed = routes.into_iter().fold(Router::new(), |router, (path, handlers)| {
        router.route(path, handlers.fallback(method_not_allowed).layer(Timing::of(path)))
    });
    timed.fallback_service(any(unknown_route).layer(Timing::of("unknown")))
}

async fn unknown_route() -> Problem {
    Problem::UnknownRoute
}

async fn method_not_allowed() -> Problem {
    Problem::MethodNotAllowed
}

#[cfg(test)]
#[path = "interface_test.rs"]
mod tests;
