//! All routes in one table, with the permission that each requires.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, any, delete, get, post};

use crate::api::admin::{self, nodes};
use crate::api::{
    elections, exposition, health, log_tiles, openapi, receipt, results, status, vote,
};
use crate::context::{Api, VOTE_PATH};
use crate::guard::response_headers::any_origin;
use crate::guard::timing::Timing;
use crate::problem::Problem;

/// The permission that a route requires; it determines the listener that serves the route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    /// None: for voters and readers, on the public listener.
    Public,
    /// None, and readable by pages of any origin: the data that auditors verify.
    PublicFromAnyOrigin,
    /// The administrator's token, on the administration listener.
    Administrator,
    /// Access to the metrics listener.
    Monitoring,
}

/// A path, its permission, and its handlers.
pub(crate) struct Route {
    pub(crate) path: &'static str,
    pub(crate) permission: Permission,
    handlers: MethodRouter<Arc<Api>>,
}

/// The table of routes.
pub(crate) fn routes() -> Vec<Route> {
    use Permission::{Administrator, Monitoring, Public, PublicFromAnyOrigin};
    let route = |path, permission, handlers| Route { path, permission, handlers };
    vec![
        route(VOTE_PATH, Public, post(vote::cast_vote)),
        route("/api/v1/vote/{request_id}", Public, get(status::vote_status)),
        route("/api/v1/vote/{request_id}/receipt", Public, get(receipt::vote_receipt)),
        route("/api/v1/elections", Public, get(elections::elections)),
        route("/api/v1/elections/{law_id}", Public, get(elections::election)),
        route("/api/v1/results", PublicFromAnyOrigin, get(results::all_results)),
        route("/api/v1/results/{law_id}", PublicFromAnyOrigin, get(results::results)),
        route("/api/v1/health", Public, get(health::health)),
        route("/api/v1/openapi.json", Public, get(openapi::openapi_json)),
        route("/log/{law_id}/checkpoint", PublicFromAnyOrigin, get(log_tiles::checkpoint)),
        route("/log/{law_id}/policy", PublicFromAnyOrigin, get(log_tiles::policy)),
        route("/log/{law_id}/manifest/{digest}", PublicFromAnyOrigin, get(log_tiles::manifest)),
        route("/log/{law_id}/tile/{*path}", PublicFromAnyOrigin, get(log_tiles::tile)),
        route(
            "/api/v1/admin/elections",
            Administrator,
            get(admin::list_elections).post(admin::create_election),
        ),
        route("/api/v1/admin/elections/{law_id}", Administrator, get(admin::show_election)),
        route("/api/v1/admin/elections/{law_id}/open", Administrator, post(admin::open_election)),
        route("/api/v1/admin/elections/{law_id}/close", Administrator, post(admin::close_election)),
        route(
            "/api/v1/admin/elections/{law_id}/certify",
            Administrator,
            post(admin::certify_election),
        ),
        route("/api/v1/admin/elections/{law_id}/amend", Administrator, post(admin::amend_election)),
        route("/api/v1/admin/elections/{law_id}/annul", Administrator, post(admin::annul_election)),
        route("/api/v1/admin/elections/{law_id}/purge", Administrator, post(admin::purge_election)),
        route(
            "/api/v1/admin/elections/{law_id}/nodes",
            Administrator,
            get(nodes::list_nodes).post(nodes::admit_node),
        ),
        route(
            "/api/v1/admin/elections/{law_id}/nodes/{node}/retire",
            Administrator,
            post(nodes::retire_node),
        ),
        route("/api/v1/admin/rolls", Administrator, get(admin::list_rolls).post(admin::load_roll)),
        route("/api/v1/admin/rolls/{manifest}", Administrator, delete(admin::discard_roll)),
        route("/metrics", Monitoring, get(exposition::exposition)),
    ]
}

/// The routes of the public listener.
pub(crate) fn public(api: &Arc<Api>) -> Router {
    let is_public =
        |permission| matches!(permission, Permission::Public | Permission::PublicFromAnyOrigin);
    router(is_public).with_state(Arc::clone(api))
}

/// The routes of the administration listener. Every request requires the administrator's token,
/// also one for an unknown path.
pub(crate) fn administration(api: &Arc<Api>) -> Router {
    let token = from_fn_with_state(Arc::clone(api), require_token);
    router(|permission| permission == Permission::Administrator)
        .layer(token)
        .with_state(Arc::clone(api))
}

/// The routes of the metrics listener.
pub(crate) fn monitoring(api: &Arc<Api>) -> Router {
    router(|permission| permission == Permission::Monitoring).with_state(Arc::clone(api))
}

fn router(serves: impl Fn(Permission) -> bool) -> Router<Arc<Api>> {
    let served = routes().into_iter().filter(|route| serves(route.permission));
    let timed = served.fold(Router::new(), |router, Route { path, permission, handlers }| {
        let handlers = match permission {
            Permission::PublicFromAnyOrigin => handlers.layer(from_fn(any_origin)),
            _ => handlers,
        };
        router.route(path, handlers.fallback(method_not_allowed).layer(Timing::of(path)))
    });
    timed.fallback_service(any(unknown_route).layer(Timing::of("unknown")))
}

/// Refuses calls without the administrator's token.
async fn require_token(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    if api.admits(request.headers()) {
        next.run(request).await
    } else {
        Problem::Unauthorized.into_response()
    }
}

async fn unknown_route() -> Problem {
    Problem::UnknownRoute
}

async fn method_not_allowed() -> Problem {
    Problem::MethodNotAllowed
}

#[cfg(test)]
#[path = "routes_test.rs"]
mod tests;
