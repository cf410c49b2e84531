//! All routes in one table, with the permission of the caller and the role of the node that each
//! requires.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, any, delete, get, post};
use votekit_node::config::Role;

use crate::api::admin::{self, nodes};
use crate::api::{
    elections, exposition, health, live_events, live_socket, log_tiles, openapi, receipt, results,
    status, vote,
};
use crate::context::{Api, VOTE_PATH};
use crate::guard::response_headers::any_origin;
use crate::guard::timing::Timing;
use crate::live::SOCKET_PATH;
use crate::problem::Problem;
use crate::web;
use crate::web::official_visit::{ACCOUNT_READERS, ADMINISTRATORS, OFFICIALS};
use crate::web::pages::{
    accounts as account_pages, articles, ballot, cast, officials, outcome, sign_in, sign_out, start,
};

/// The permission that a route requires; it determines the listener that serves the route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    /// None: for voters and readers, on the public listener.
    Public,
    /// None, and readable by pages of any origin: the data that auditors verify.
    PublicFromAnyOrigin,
    /// None: pages for people, on the public listener. They are not part of the interface for
    /// programs, and a form requires the origin of this node, the steps of a vote also a session.
    Page,
    /// The administrator's token, on the administration listener.
    Administrator,
    /// Access to the metrics listener.
    Monitoring,
}

/// A path, its permission, the roles that serve it, and its handlers.
pub(crate) struct Route {
    pub(crate) path: &'static str,
    pub(crate) permission: Permission,
    /// A node with one of these roles serves it; if there are none, every node does.
    pub(crate) roles: &'static [Role],
    handlers: MethodRouter<Arc<Api>>,
}

const QUERY: &[Role] = &[Role::Query];

/// The table of routes.
pub(crate) fn routes() -> Vec<Route> {
    [interface(), pages(), official_pages()].into_iter().flatten().collect()
}

/// The pages for people.
fn pages() -> Vec<Route> {
    let page = |path, handlers| Route { path, permission: Permission::Page, roles: &[], handlers };
    vec![
        page("/", get(start::root)),
        page("/fr", get(start::french_root)),
        page("/en", get(start::english_root)),
        page("/static/{name}", get(web::assets::asset)),
        page("/{lang}/", get(start::start)),
        page("/{lang}/elections", get(start::elections)),
        Route {
            roles: QUERY,
            ..page("/{lang}/results/{law_id}", get(web::pages::results::results))
        },
        page("/{lang}/vote/{law_id}", get(sign_in::form).post(sign_in::sign_in)),
        page("/{lang}/vote/{law_id}/ballot", get(ballot::form).post(ballot::choose)),
        page("/{lang}/vote/{law_id}/cast", post(cast::cast)),
        page("/{lang}/votes/{request_id}", get(outcome::outcome)),
        page("/{lang}/sign-out", post(sign_out::sign_out)),
        page("/{lang}/help", get(articles::help)),
        page("/{lang}/accessibility", get(articles::accessibility)),
        page("/{lang}/receipts", get(articles::receipts)),
    ]
}

/// The pages of accounts and officials. Observers read, administrators change.
fn official_pages() -> Vec<Route> {
    use Permission::{AccountPage, Page};
    let page = |path, permission, handlers| Route { path, permission, roles: &[], handlers };
    let of_all = |path, handlers| page(path, AccountPage(OFFICIALS), handlers);
    let of_readers = |path, handlers| page(path, AccountPage(ACCOUNT_READERS), handlers);
    let of_changers = |path, handlers| page(path, AccountPage(ADMINISTRATORS), handlers);
    vec![
        page(
            "/{lang}/accounts/sign-in",
            Page,
            get(account_pages::sign_in::form).post(account_pages::sign_in::sign_in),
        ),
        page("/{lang}/accounts/sign-out", Page, post(account_pages::sign_out::sign_out)),
        page(
            "/{lang}/accounts/invitation",
            Page,
            get(account_pages::invitation::form).post(account_pages::invitation::accept),
        ),
        of_all("/{lang}/officials", get(officials::home::home)),
        of_changers(
            "/{lang}/officials/new",
            get(officials::create::new_form).post(officials::create::create),
        ),
        of_all("/{lang}/officials/elections/{law_id}", get(officials::election::election)),
        of_changers(
            "/{lang}/officials/elections/{law_id}/amend",
            get(officials::create::amend_form).post(officials::create::amend),
        ),
        of_readers("/{lang}/officials/elections/{law_id}/roll", get(officials::roll::roll)),
        of_changers("/{lang}/officials/elections/{law_id}/roll", post(officials::roll::change)),
        of_changers(
            "/{lang}/officials/elections/{law_id}/{step}",
            get(officials::steps::form).post(officials::steps::take),
        ),
        Route {
            roles: QUERY,
            ..of_all(
                "/{lang}/officials/elections/{law_id}/results/{format}",
                get(officials::result_files::result_file),
            )
        },
        of_readers("/{lang}/officials/accounts", get(officials::accounts::accounts)),
        of_changers("/{lang}/officials/accounts", post(officials::invite::invite)),
        of_changers(
            "/{lang}/officials/accounts/{account}/{change}",
            post(officials::accounts::change_state),
        ),
    ]
}

/// The interface for programs.
fn interface() -> Vec<Route> {
    use Permission::{Administrator, Monitoring, Public, PublicFromAnyOrigin};
    let route = |path, permission, handlers| Route { path, permission, roles: &[], handlers };
    let query =
        |path, permission, handlers| Route { roles: QUERY, ..route(path, permission, handlers) };
    vec![
        route(VOTE_PATH, Public, post(vote::cast_vote)),
        route("/api/v1/vote/{request_id}", Public, get(status::vote_status)),
        query("/api/v1/vote/{request_id}/receipt", Public, get(receipt::vote_receipt)),
        route("/api/v1/elections", Public, get(elections::elections)),
        route("/api/v1/elections/{law_id}", Public, get(elections::election)),
        query("/api/v1/results", PublicFromAnyOrigin, get(results::all_results)),
        query("/api/v1/results/{law_id}", PublicFromAnyOrigin, get(results::results)),
        query(
            "/api/v1/results/{law_id}/events",
            PublicFromAnyOrigin,
            get(live_events::result_events),
        ),
        query(SOCKET_PATH, Public, get(live_socket::live_socket)),
        route("/api/v1/health", Public, get(health::health)),
        route("/api/v1/openapi.json", Public, get(openapi::openapi_json)),
        query("/log/{law_id}/checkpoint", PublicFromAnyOrigin, get(log_tiles::checkpoint)),
        query("/log/{law_id}/policy", PublicFromAnyOrigin, get(log_tiles::policy)),
        query("/log/{law_id}/manifest/{digest}", PublicFromAnyOrigin, get(log_tiles::manifest)),
        query("/log/{law_id}/tile/{*path}", PublicFromAnyOrigin, get(log_tiles::tile)),
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
    use Permission::{Page, Public, PublicFromAnyOrigin};
    let is_public = |permission| matches!(permission, Public | PublicFromAnyOrigin | Page);
    let pages = from_fn_with_state(Arc::clone(api), web::as_page);
    router(api, is_public).layer(pages).with_state(Arc::clone(api))
}

/// The routes of the administration listener. Every request requires the administrator's token,
/// also one for an unknown path.
pub(crate) fn administration(api: &Arc<Api>) -> Router {
    let token = from_fn_with_state(Arc::clone(api), require_token);
    router(api, |permission| permission == Permission::Administrator)
        .layer(token)
        .with_state(Arc::clone(api))
}

/// The routes of the metrics listener.
pub(crate) fn monitoring(api: &Arc<Api>) -> Router {
    router(api, |permission| permission == Permission::Monitoring).with_state(Arc::clone(api))
}

impl Route {
    /// Whether a node with these roles serves the route.
    pub(crate) fn is_served_by(&self, roles: &[Role]) -> bool {
        self.roles.is_empty() || self.roles.iter().any(|role| roles.contains(role))
    }
}

fn router(api: &Api, serves: impl Fn(Permission) -> bool) -> Router<Arc<Api>> {
    let roles = &api.node.config().roles;
    let served = routes().into_iter().filter(|route| serves(route.permission));
    let timed = served.fold(Router::new(), |router, route| {
        let is_served = route.is_served_by(roles);
        let Route { path, permission, handlers, .. } = route;
        let handlers =
            if is_served { handlers.fallback(method_not_allowed) } else { any(not_served_here) };
        let handlers = match permission {
            Permission::PublicFromAnyOrigin => handlers.layer(from_fn(any_origin)),
            _ => handlers,
        };
        router.route(path, handlers.layer(Timing::new(path)))
    });
    timed.fallback_service(any(unknown_route).layer(Timing::new("unknown")))
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

async fn not_served_here() -> Problem {
    Problem::NotServedHere { needs: Role::Query }
}

async fn method_not_allowed() -> Problem {
    Problem::MethodNotAllowed
}

#[cfg(test)]
#[path = "routes_test.rs"]
mod tests;
