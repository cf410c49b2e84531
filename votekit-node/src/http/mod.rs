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
mod limits;
mod log_tiles;
mod nodes;
mod openapi;
mod path_text;
mod prefer;
mod problem;
mod receipt;
mod results;
mod status;
mod timing;
mod vote;

use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::routing::{MethodRouter, any, get, post};

use self::address_rate::AddressRate;
use self::admin::TokenDigest;
pub(crate) use self::gate::Gate;
use self::problem::Problem;
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

/// What a connection over the share of its address is told before it is closed: a whole answer, as
/// bytes.
pub(crate) fn too_many_connections() -> Vec<u8> {
    let body = Problem::TooManyConnections.into_body();
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        problem::CONNECTIONS_RETRY.as_secs(),
        body.len()
    );
    [head.as_bytes(), &body].concat()
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
    vec![
        (VOTE_PATH, post(vote::cast_vote)),
        ("/api/v1/vote/{request_id}", get(status::vote_status)),
        ("/api/v1/vote/{request_id}/receipt", get(receipt::vote_receipt)),
        ("/api/v1/elections", get(elections::elections)),
        ("/api/v1/elections/{law_id}", get(elections::election)),
        ("/api/v1/results", get(results::all_results)),
        ("/api/v1/results/{law_id}", get(results::results)),
        ("/api/v1/health", get(health::health)),
        ("/api/v1/openapi.json", get(openapi::openapi_json)),
        ("/log/{law_id}/checkpoint", get(log_tiles::checkpoint)),
        ("/log/{law_id}/policy", get(log_tiles::policy)),
        ("/log/{law_id}/manifest/{digest}", get(log_tiles::manifest)),
        ("/log/{law_id}/tile/{*path}", get(log_tiles::tile)),
    ]
}

fn administration_routes() -> Routes {
    vec![
        ("/api/v1/admin/elections", get(admin::list_elections).post(admin::create_election)),
        ("/api/v1/admin/elections/{law_id}", get(admin::show_election)),
        ("/api/v1/admin/elections/{law_id}/open", post(admin::open_election)),
        ("/api/v1/admin/elections/{law_id}/close", post(admin::close_election)),
        ("/api/v1/admin/elections/{law_id}/certify", post(admin::certify_election)),
        ("/api/v1/admin/elections/{law_id}/purge", post(admin::purge_election)),
        ("/api/v1/admin/elections/{law_id}/nodes", get(nodes::list_nodes).post(nodes::admit_node)),
        ("/api/v1/admin/elections/{law_id}/nodes/{node}/retire", post(nodes::retire_node)),
        ("/api/v1/admin/rolls", post(admin::load_roll)),
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
