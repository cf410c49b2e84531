//! All routes in one table, with the permission of the caller and the role of the node that each
//! requires.

mod language;
mod permissions;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, any, delete, get, post, put};
use votekit_node::config::Role;
use votekit_store::AccountRole;

use self::language::require_language;
use self::permissions::{RoleCheck, require_page_role, require_role};
use crate::api::admin::{self, ballot_key, cluster, nodes};
use crate::api::{
    accounts, auth, bundle, election_admin, elections, exposition, health, live_events,
    live_socket, log_tiles, openapi, receipt, results, roll_upload, session as voter_session,
    status, user, vote, votes,
};
use crate::context::{Api, LOGIN_PATH, PASSWORD_PATH, REFRESH_PATH, SESSION_PATH, VOTE_PATH};
use crate::guard::cors::{OriginAccess, OriginRules};
use crate::guard::timing::Timing;
use crate::live::SOCKET_PATH;
use crate::problem::Problem;
use crate::web;
use crate::web::official_visit::{ACCOUNT_READERS, ADMINISTRATORS, OFFICIALS};
use crate::web::pages::{
    accounts as account_pages, articles, ballot, cast, members, officials, outcome, receipts,
    session, sign_in, start,
};

/// The permission that a route requires; it determines the listener that serves the route. A path
/// may have several routes, for different methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    /// None: for voters and readers, on the public listener.
    Public,
    /// None, and more for the access token of an account, which the handler checks: on the public
    /// listener.
    PublicOrToken,
    /// None, and readable by pages of any origin: the data that auditors verify.
    PublicFromAnyOrigin,
    /// As [`Permission::PublicFromAnyOrigin`], and more for the access token of an account, or for
    /// the administrator's token if the call can read drafts. The handler checks the token. With a
    /// token, readable only by pages of known origins.
    PublicFromAnyOriginOrToken,
    /// None: pages for people, on the public listener. They are not part of the interface for
    /// programs, and a form requires the origin of this node, the steps of a vote also a session.
    Page,
    /// An access token of an account with one of these roles, on the public listener. The handler
    /// gets the [`Caller`](crate::accounts::Caller).
    Role(&'static [AccountRole]),
    /// An access token of any account, on the public listener.
    SignedIn,
    /// The cookie of an account with one of these roles: pages of officials and members, on the
    /// public listener. Without a session the browser is sent to the sign-in.
    AccountPage(&'static [AccountRole]),
    /// The administrator's token, on the administration listener.
    Administrator,
    /// Access to the metrics listener.
    Monitoring,
}

/// A path, its permission, the roles that serve it, and its handlers.
pub(crate) struct Route {
    pub(crate) path: &'static str,
    pub(crate) permission: Permission,
    /// The roles whose nodes serve it; if the list is empty, every node does.
    pub(crate) roles: &'static [Role],
    handlers: MethodRouter<Arc<Api>>,
}

impl Permission {
    /// Whether the public listener serves it.
    fn is_public(self) -> bool {
        !matches!(self, Self::Administrator | Self::Monitoring)
    }
}

const QUERY: &[Role] = &[Role::Query];

/// Every role of an account.
const ALL_ROLES: &[AccountRole] = &AccountRole::ALL;

/// The role of a member with an account.
const MEMBER: &[AccountRole] = &[AccountRole::Voter];

/// The table of routes.
pub(crate) fn routes() -> Vec<Route> {
    [interface(), account_calls(), official_calls(), pages(), official_pages()]
        .into_iter()
        .flatten()
        .collect()
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
        page("/{lang}/sign-out", post(session::sign_out)),
        page("/{lang}/help", get(articles::help)),
        page("/{lang}/accessibility", get(articles::accessibility)),
        page("/{lang}/privacy", get(articles::privacy)),
        page("/{lang}/receipts", get(receipts::receipts)),
        Route { roles: QUERY, ..page("/{lang}/receipts/check", post(receipts::check)) },
    ]
}

/// Sign-in with an account, and the accounts.
fn account_calls() -> Vec<Route> {
    use Permission::{Public, Role, SignedIn};
    let route = |path, permission, handlers| Route { path, permission, roles: &[], handlers };
    vec![
        route(LOGIN_PATH, Public, post(auth::login)),
        route(REFRESH_PATH, Public, post(auth::refresh)),
        route("/api/v1/auth/logout", Public, post(auth::logout)),
        route("/api/v1/auth/me", SignedIn, get(auth::me)),
        route(PASSWORD_PATH, SignedIn, put(auth::password)),
        route("/api/v1/accounts", Role(ADMINISTRATORS), post(accounts::invite)),
        route("/api/v1/accounts", Role(ACCOUNT_READERS), get(accounts::list)),
        route("/api/v1/accounts/{id}/disable", Role(ADMINISTRATORS), post(accounts::disable)),
        route("/api/v1/accounts/{id}/enable", Role(ADMINISTRATORS), post(accounts::enable)),
        route("/api/v1/accounts/{id}/reset", Role(ADMINISTRATORS), post(accounts::reset)),
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
            "/{lang}/officials/elections/{law_id}/roll/files",
            post(officials::roll_files::upload),
        ),
        of_changers(
            "/{lang}/officials/elections/{law_id}/{step}",
            get(officials::steps::form).post(officials::steps::take),
        ),
        Route {
            roles: QUERY,
            ..of_all(
                "/{lang}/officials/elections/{law_id}/results/{format}",
                get(officials::files::result_file),
            )
        },
        Route {
            roles: QUERY,
            ..of_all(
                "/{lang}/officials/elections/{law_id}/bundle.zip",
                get(officials::files::bundle_file),
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
    use Permission::{
        Administrator, Monitoring, Public, PublicFromAnyOrigin, PublicFromAnyOriginOrToken,
        PublicOrToken,
    };
    let route = |path, permission, handlers| Route { path, permission, roles: &[], handlers };
    let query =
        |path, permission, handlers| Route { roles: QUERY, ..route(path, permission, handlers) };
    vec![
        route(VOTE_PATH, Public, post(vote::cast_vote)),
        route("/api/v1/vote/{request_id}", Public, get(status::vote_status)),
        query("/api/v1/vote/{request_id}/receipt", Public, get(receipt::vote_receipt)),
        // The cookie or the token of the caller is checked where the law is known.
        route("/api/v1/votes/{law_id}", PublicOrToken, put(votes::put_vote)),
        route(SESSION_PATH, Public, post(voter_session::sign_in).delete(voter_session::sign_out)),
        route("/api/v1/user/voted-elections", PublicOrToken, get(user::voted_elections)),
        route("/api/v1/elections", PublicOrToken, get(elections::elections)),
        route("/api/v1/elections/{law_id}", PublicOrToken, get(elections::election)),
        route(
            "/api/v1/elections/{law_id}/candidates",
            PublicFromAnyOrigin,
            get(elections::candidates),
        ),
        query("/api/v1/results", PublicFromAnyOrigin, get(results::all_results)),
        query("/api/v1/results/{law_id}", PublicFromAnyOriginOrToken, get(results::results)),
        query(
            "/api/v1/results/{law_id}/events",
            PublicFromAnyOrigin,
            get(live_events::result_events),
        ),
        query(SOCKET_PATH, Public, get(live_socket::live_socket)),
        route("/api/v1/health", Public, get(health::health)),
        route("/api/v1/openapi.json", Public, get(openapi::openapi_json)),
        query("/log/{law_id}/checkpoint", PublicFromAnyOriginOrToken, get(log_tiles::checkpoint)),
        query("/log/{law_id}/policy", PublicFromAnyOriginOrToken, get(log_tiles::policy)),
        query(
            "/log/{law_id}/manifest/{digest}",
            PublicFromAnyOriginOrToken,
            get(log_tiles::manifest),
        ),
        query("/log/{law_id}/tile/{*path}", PublicFromAnyOriginOrToken, get(log_tiles::tile)),
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
            "/api/v1/admin/elections/{law_id}/ballot-key",
            Administrator,
            post(ballot_key::install_ballot_key),
        ),
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
        route(
            "/api/v1/admin/nodes",
            Administrator,
            get(cluster::cluster_view).post(cluster::admit_record),
        ),
        route("/api/v1/admin/nodes/{name}/retire", Administrator, post(cluster::retire_record)),
        route("/api/v1/admin/leader/step-down", Administrator, post(cluster::step_down)),
        route("/api/v1/admin/rolls", Administrator, get(admin::list_rolls).post(admin::load_roll)),
        route("/api/v1/admin/rolls/{manifest}", Administrator, delete(admin::discard_roll)),
        route("/metrics", Monitoring, get(exposition::exposition)),
    ]
}

/// The calls of signed-in officials about elections.
fn official_calls() -> Vec<Route> {
    let permission = Permission::Role(ADMINISTRATORS);
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
        Route {
            path: "/api/v1/elections/{law_id}/bundle",
            permission: Permission::Role(OFFICIALS),
            roles: QUERY,
            handlers: get(bundle::download),
        },
    ]
}

/// The routes of the public listener. The gate completes their answers.
pub(crate) fn public(api: &Arc<Api>) -> Router {
    router(api, Permission::is_public).with_state(Arc::clone(api))
}

/// Which pages of other origins may read the answers of the public listener.
pub(crate) fn origin_rules(api: &Api) -> OriginRules {
    let mut paths: BTreeMap<&'static str, OriginAccess> = BTreeMap::new();
    for route in routes().into_iter().filter(|route| route.permission.is_public()) {
        let access = paths.entry(route.path).or_insert(OriginAccess::OwnOrigin);
        *access = route.origin_access().max(*access);
    }
    OriginRules::new(&api.node.config().cors_origins, paths)
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

    /// The pages of other origins that may read its answers: pages of any origin, the data that
    /// auditors verify; pages of known origins, the calls with a token, the calls that issue a
    /// token, and the status of a vote that was cast with a token.
    fn origin_access(&self) -> OriginAccess {
        match self.permission {
            Permission::PublicFromAnyOrigin => OriginAccess::AnyOrigin,
            Permission::PublicFromAnyOriginOrToken => OriginAccess::AnyOriginOrToken,
            Permission::Role(_) | Permission::SignedIn | Permission::PublicOrToken => {
                OriginAccess::KnownOrigins
            }
            _ if self.path.starts_with("/api/v1/auth/") => OriginAccess::KnownOrigins,
            _ if self.path.starts_with("/api/v1/vote/") => OriginAccess::KnownOrigins,
            _ => OriginAccess::OwnOrigin,
        }
    }

    /// The handlers behind the check of the permission. Methods that the route does not have are
    /// not checked: the answer to them reveals nothing.
    fn guarded(self, api: &Arc<Api>) -> MethodRouter<Arc<Api>> {
        let needs = self.roles.first().filter(|_| !self.is_served_by(&api.node.config().roles));
        let handlers = match needs {
            Some(needs) => self.handlers.route_layer(from_fn_with_state(*needs, not_served_here)),
            None => self.handlers,
        };
        let check = |roles| RoleCheck::new(api, roles);
        match self.permission {
            Permission::Role(roles) => {
                handlers.route_layer(from_fn_with_state(check(roles), require_role))
            }
            Permission::SignedIn => {
                handlers.route_layer(from_fn_with_state(check(ALL_ROLES), require_role))
            }
            Permission::AccountPage(roles) => {
                handlers.route_layer(from_fn_with_state(check(roles), require_page_role))
            }
            Permission::Public
            | Permission::PublicOrToken
            | Permission::PublicFromAnyOrigin
            | Permission::PublicFromAnyOriginOrToken
            | Permission::Page
            | Permission::Administrator
            | Permission::Monitoring => handlers,
        }
    }
}

fn router(api: &Arc<Api>, serves: impl Fn(Permission) -> bool) -> Router<Arc<Api>> {
    // One path may have routes with different permissions.
    let mut paths: BTreeMap<&'static str, MethodRouter<Arc<Api>>> = BTreeMap::new();
    for route in routes().into_iter().filter(|route| serves(route.permission)) {
        let path = route.path;
        let handlers = paths.remove(path).unwrap_or_default();
        paths.insert(path, handlers.merge(route.guarded(api)));
    }
    let served = paths.into_iter().fold(Router::new(), |router, (path, handlers)| {
        let handlers = match path.starts_with(language::PREFIX) {
            true => handlers.route_layer(from_fn(require_language)),
            false => handlers,
        };
        let handlers = handlers.fallback(method_not_allowed);
        router.route(path, handlers.layer(Timing::new(path)))
    });
    served.fallback_service(any(unknown_route).layer(Timing::new("unknown")))
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

/// Answers instead of the handler.
async fn not_served_here(State(needs): State<Role>, _: Request, _: Next) -> Problem {
    Problem::NotServedHere { needs }
}

async fn method_not_allowed() -> Problem {
    Problem::MethodNotAllowed
}

#[cfg(test)]
#[path = "routes_test.rs"]
mod tests;

#[cfg(test)]
#[path = "routes_access_test.rs"]
mod access_tests;
