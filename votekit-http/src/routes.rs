//! All routes in one table, with the permission of the caller and the role of the node that each
//! requires.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, any, delete, get, post, put};
use votekit_node::config::Role;
use votekit_store::AccountRole;

use crate::api::admin::{self, nodes};
use crate::api::{
    election_admin, elections, exposition, health, live_events, live_socket, log_tiles, openapi,
    receipt, results, roll_upload, session, status, user, vote, votes,
};
use crate::context::{Api, SESSION_PATH, VOTE_PATH};
use crate::guard::response_headers::any_origin;
use crate::guard::timing::Timing;
use crate::live::SOCKET_PATH;
use crate::problem::Problem;
use crate::web;
use crate::web::pages::{
    articles, ballot, cast, members, outcome, receipts, session, sign_in, sign_out, start,
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

/// The role of a member with an account.
const MEMBER: &[AccountRole] = &[AccountRole::Voter];
const ADMINISTRATOR: &[AccountRole] = &[AccountRole::Administrator];

/// The table of routes.
pub(crate) fn routes() -> Vec<Route> {
    [interface(), official_calls(), pages()].into_iter().flatten().collect()
}

/// The pages for people.
fn pages() -> Vec<Route> {
    let page = |path, handlers| Route { path, permission: Permission::Page, roles: &[], handlers };
    let permission = Permission::AccountPage(MEMBER);
    let member_page = |path, handlers| Route { path, permission, roles: &[], handlers };
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
        member_page("/{lang}/members", get(members::list)),
        member_page("/{lang}/members/{law_id}", get(members::enter).post(members::enter_again)),
        page("/{lang}/session", get(session::ballots)),
        page("/{lang}/session/extend", post(session::extend)),
        page("/{lang}/sign-out", post(sign_out::sign_out)),
        page("/{lang}/help", get(articles::help)),
        page("/{lang}/accessibility", get(articles::accessibility)),
        page("/{lang}/privacy", get(articles::privacy)),
        page("/{lang}/receipts", get(receipts::receipts)),
        Route { roles: QUERY, ..page("/{lang}/receipts/check", post(receipts::check)) },
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
        // The cookie or the token of the caller is checked where the law is known.
        route("/api/v1/votes/{law_id}", Public, put(votes::put_vote)),
        route(SESSION_PATH, Public, post(session::sign_in).delete(session::sign_out)),
        route("/api/v1/user/voted-elections", Public, get(user::voted_elections)),
        route("/api/v1/elections", Public, get(elections::elections)),
        route("/api/v1/elections/{law_id}", Public, get(elections::election)),
        route(
            "/api/v1/elections/{law_id}/candidates",
            PublicFromAnyOrigin,
            get(elections::candidates),
        ),
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

/// What signed-in officials do with elections.
fn official_calls() -> Vec<Route> {
    let permission = Permission::Role(ADMINISTRATOR);
    let administrator = |path, handlers| Route { path, permission, roles: &[], handlers };
    vec![
        administrator("/api/v1/elections", post(election_admin::create)),
        administrator("/api/v1/elections/{law_id}/open", post(election_admin::open)),
        administrator("/api/v1/elections/{law_id}/close", post(election_admin::close)),
        administrator("/api/v1/elections/{law_id}/certify", post(election_admin::certify)),
        administrator("/api/v1/elections/{law_id}/amend", post(election_admin::amend)),
        administrator("/api/v1/elections/{law_id}/annul", post(election_admin::annul)),
        administrator(
            "/api/v1/elections/{law_id}/roll",
            get(roll_upload::show).delete(roll_upload::discard),
        ),
        administrator("/api/v1/elections/{law_id}/roll/load", post(roll_upload::load)),
        administrator("/api/v1/elections/{law_id}/roll/{file}", put(roll_upload::put_file)),
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
