//! The table caller × route: who reaches each route, and how the others are refused.

use axum::body::{Body, to_bytes};
use axum::http::header::{AUTHORIZATION, COOKIE, LOCATION};
use axum::http::{HeaderName, Method, Request, StatusCode};
use tower::ServiceExt as _;
use votekit_core::instant::UnixSeconds;
use votekit_node::config::Config;
use votekit_store::{Account, AccountId, AccountState};

use super::tests::{METHODS, api_with};
use super::*;
use crate::sessions::Session;

/// Who reaches a route.
#[derive(Debug, Clone, Copy)]
enum Access {
    /// Everyone: a handler may still require a form, a session or a key.
    Open,
    /// All of them; but a token that comes along must be valid.
    OpenOrToken,
    /// The same, and the administrator's token is valid too.
    OpenOrAnyToken,
    /// Those with the administrator's token.
    AdminToken,
    /// Callers with an access token of an account with one of the roles.
    Token(&'static [AccountRole]),
    /// Callers with the cookie of an account with one of the roles.
    Session(&'static [AccountRole]),
}

use Access::{AdminToken, Open, OpenOrAnyToken, OpenOrToken, Session as Cookie, Token};

const ADMINISTRATOR: &[AccountRole] = &[AccountRole::Administrator];
const READERS: &[AccountRole] = &[AccountRole::Administrator, AccountRole::Auditor];
const OFFICIALS: &[AccountRole] =
    &[AccountRole::Administrator, AccountRole::Auditor, AccountRole::Observer];
const MEMBER: &[AccountRole] = &[AccountRole::Voter];

/// Every route with its methods. A route without its row here fails the test.
const TABLE: &[(&str, &str, Access)] = &[
    ("POST", "/api/v1/vote", Open),
    ("GET", "/api/v1/vote/{request_id}", Open),
    ("GET", "/api/v1/vote/{request_id}/receipt", Open),
    ("GET", "/api/v1/elections", OpenOrToken),
    ("GET", "/api/v1/elections/{law_id}", OpenOrToken),
    ("GET", "/api/v1/elections/{law_id}/candidates", Open),
    ("POST", "/api/v1/elections", Token(ADMINISTRATOR)),
    ("POST", "/api/v1/elections/{law_id}/open", Token(ADMINISTRATOR)),
    ("POST", "/api/v1/elections/{law_id}/close", Token(ADMINISTRATOR)),
    ("POST", "/api/v1/elections/{law_id}/certify", Token(ADMINISTRATOR)),
    ("POST", "/api/v1/elections/{law_id}/amend", Token(ADMINISTRATOR)),
    ("POST", "/api/v1/elections/{law_id}/annul", Token(ADMINISTRATOR)),
    ("GET", "/api/v1/elections/{law_id}/roll", Token(ADMINISTRATOR)),
    ("DELETE", "/api/v1/elections/{law_id}/roll", Token(ADMINISTRATOR)),
    ("POST", "/api/v1/elections/{law_id}/roll/load", Token(ADMINISTRATOR)),
    ("PUT", "/api/v1/elections/{law_id}/roll/{file}", Token(ADMINISTRATOR)),
    ("GET", "/api/v1/elections/{law_id}/bundle", Token(OFFICIALS)),
    ("POST", "/api/v1/session", Open),
    ("DELETE", "/api/v1/session", Open),
    ("PUT", "/api/v1/votes/{law_id}", Open),
    ("GET", "/api/v1/user/voted-elections", OpenOrToken),
    ("GET", "/api/v1/results", Open),
    ("GET", "/api/v1/results/{law_id}", OpenOrToken),
    ("GET", "/api/v1/results/{law_id}/events", Open),
    ("GET", "/api/v1/ws", Open),
    ("GET", "/api/v1/health", Open),
    ("GET", "/api/v1/openapi.json", Open),
    ("GET", "/log/{law_id}/checkpoint", OpenOrAnyToken),
    ("GET", "/log/{law_id}/policy", OpenOrAnyToken),
    ("GET", "/log/{law_id}/manifest/{digest}", OpenOrAnyToken),
    ("GET", "/log/{law_id}/tile/{*path}", OpenOrAnyToken),
    ("POST", "/api/v1/auth/login", Open),
    ("POST", "/api/v1/auth/refresh", Open),
    ("POST", "/api/v1/auth/logout", Open),
    ("GET", "/api/v1/auth/me", Token(ALL_ROLES)),
    ("PUT", "/api/v1/auth/password", Token(ALL_ROLES)),
    ("POST", "/api/v1/accounts", Token(ADMINISTRATOR)),
    ("GET", "/api/v1/accounts", Token(READERS)),
    ("POST", "/api/v1/accounts/{id}/disable", Token(ADMINISTRATOR)),
    ("POST", "/api/v1/accounts/{id}/enable", Token(ADMINISTRATOR)),
    ("POST", "/api/v1/accounts/{id}/reset", Token(ADMINISTRATOR)),
    ("GET", "/api/v1/admin/elections", AdminToken),
    ("POST", "/api/v1/admin/elections", AdminToken),
    ("GET", "/api/v1/admin/elections/{law_id}", AdminToken),
    ("POST", "/api/v1/admin/elections/{law_id}/open", AdminToken),
    ("POST", "/api/v1/admin/elections/{law_id}/close", AdminToken),
    ("POST", "/api/v1/admin/elections/{law_id}/certify", AdminToken),
    ("POST", "/api/v1/admin/elections/{law_id}/amend", AdminToken),
    ("POST", "/api/v1/admin/elections/{law_id}/annul", AdminToken),
    ("POST", "/api/v1/admin/elections/{law_id}/purge", AdminToken),
    ("POST", "/api/v1/admin/elections/{law_id}/ballot-key", AdminToken),
    ("GET", "/api/v1/admin/elections/{law_id}/nodes", AdminToken),
    ("POST", "/api/v1/admin/elections/{law_id}/nodes", AdminToken),
    ("POST", "/api/v1/admin/elections/{law_id}/nodes/{node}/retire", AdminToken),
    ("GET", "/api/v1/admin/nodes", AdminToken),
    ("POST", "/api/v1/admin/nodes", AdminToken),
    ("POST", "/api/v1/admin/nodes/{name}/retire", AdminToken),
    ("POST", "/api/v1/admin/leader/step-down", AdminToken),
    ("GET", "/api/v1/admin/rolls", AdminToken),
    ("POST", "/api/v1/admin/rolls", AdminToken),
    ("DELETE", "/api/v1/admin/rolls/{manifest}", AdminToken),
    ("GET", "/metrics", Open),
    ("GET", "/", Open),
    ("GET", "/fr", Open),
    ("GET", "/en", Open),
    ("GET", "/static/{name}", Open),
    ("GET", "/{lang}/", Open),
    ("GET", "/{lang}/elections", Open),
    ("GET", "/{lang}/results/{law_id}", Open),
    ("GET", "/{lang}/vote/{law_id}", Open),
    ("POST", "/{lang}/vote/{law_id}", Open),
    ("GET", "/{lang}/vote/{law_id}/ballot", Open),
    ("POST", "/{lang}/vote/{law_id}/ballot", Open),
    ("POST", "/{lang}/vote/{law_id}/cast", Open),
    ("GET", "/{lang}/votes/{request_id}", Open),
    ("POST", "/{lang}/sign-out", Open),
    ("GET", "/{lang}/help", Open),
    ("GET", "/{lang}/accessibility", Open),
    ("GET", "/{lang}/receipts", Open),
    ("POST", "/{lang}/receipts/check", Open),
    ("GET", "/{lang}/privacy", Open),
    ("GET", "/{lang}/session", Open),
    ("POST", "/{lang}/session/extend", Open),
    ("GET", "/{lang}/members", Cookie(MEMBER)),
    ("GET", "/{lang}/members/{law_id}", Cookie(MEMBER)),
    ("POST", "/{lang}/members/{law_id}", Cookie(MEMBER)),
    ("GET", "/{lang}/accounts/sign-in", Open),
    ("POST", "/{lang}/accounts/sign-in", Open),
    ("POST", "/{lang}/accounts/sign-out", Open),
    ("GET", "/{lang}/accounts/invitation", Open),
    ("POST", "/{lang}/accounts/invitation", Open),
    ("GET", "/{lang}/officials", Cookie(OFFICIALS)),
    ("GET", "/{lang}/officials/new", Cookie(ADMINISTRATOR)),
    ("POST", "/{lang}/officials/new", Cookie(ADMINISTRATOR)),
    ("GET", "/{lang}/officials/elections/{law_id}", Cookie(OFFICIALS)),
    ("GET", "/{lang}/officials/elections/{law_id}/amend", Cookie(ADMINISTRATOR)),
    ("POST", "/{lang}/officials/elections/{law_id}/amend", Cookie(ADMINISTRATOR)),
    ("GET", "/{lang}/officials/elections/{law_id}/roll", Cookie(READERS)),
    ("POST", "/{lang}/officials/elections/{law_id}/roll", Cookie(ADMINISTRATOR)),
    ("POST", "/{lang}/officials/elections/{law_id}/roll/files", Cookie(ADMINISTRATOR)),
    ("GET", "/{lang}/officials/elections/{law_id}/{step}", Cookie(ADMINISTRATOR)),
    ("POST", "/{lang}/officials/elections/{law_id}/{step}", Cookie(ADMINISTRATOR)),
    ("GET", "/{lang}/officials/elections/{law_id}/results/{format}", Cookie(OFFICIALS)),
    ("GET", "/{lang}/officials/elections/{law_id}/bundle.zip", Cookie(OFFICIALS)),
    ("GET", "/{lang}/officials/accounts", Cookie(READERS)),
    ("POST", "/{lang}/officials/accounts", Cookie(ADMINISTRATOR)),
    ("POST", "/{lang}/officials/accounts/{account}/{change}", Cookie(ADMINISTRATOR)),
];

/// The calls that the cookie of a voter or the token of a member signs.
const SIGNED: &[(&str, &str)] =
    &[("PUT", "/api/v1/votes/{law_id}"), ("GET", "/api/v1/user/voted-elections")];

/// The calls that the cookie of a voter changes, and that need none.
const WITH_COOKIE: &[(&str, &str)] = &[
    ("POST", "/api/v1/session"),
    ("DELETE", "/api/v1/session"),
    ("GET", "/api/v1/elections"),
    ("GET", "/api/v1/elections/{law_id}"),
    ("GET", "/api/v1/results/{law_id}"),
    ("GET", "/api/v1/results/{law_id}/events"),
    ("GET", "/api/v1/ws"),
];

/// The security of an operation in the document, by the tables: alternatives, of which an empty one
/// allows calls without credentials.
pub(super) fn security(method: &str, path: &str) -> Option<serde_json::Value> {
    let is_call =
        |of: &str, to: &str| of.eq_ignore_ascii_case(method) && to.replace("{*", "{") == path;
    let row = TABLE.iter().find(|(of, to, _)| is_call(of, to));
    let (_, _, access) = row.unwrap_or_else(|| panic!("{method} {path}"));
    let is_in = |calls: &[(&str, &str)]| calls.iter().any(|(of, to)| is_call(of, to));
    let is_signed = is_in(SIGNED);
    let mut schemes = Vec::new();
    if is_signed || is_in(WITH_COOKIE) {
        schemes.push("voter");
    }
    schemes.extend(match access {
        Open if is_signed => &["account"][..],
        Open => &[],
        OpenOrAnyToken => &["account", "administrator"],
        AdminToken => &["administrator"],
        OpenOrToken | Token(_) | Access::Session(_) => &["account"],
    });
    if schemes.is_empty() {
        return None;
    }
    let is_open = matches!(access, Open | OpenOrToken | OpenOrAnyToken) && !is_signed;
    let none = is_open.then(|| serde_json::json!({}));
    let named = schemes.into_iter().map(|scheme| serde_json::json!({scheme: []}));
    Some(none.into_iter().chain(named).collect())
}

/// A caller: a name, and the header field of its requests.
struct CallerCase {
    name: String,
    /// The role of an account that may be used, with its access token or its cookie.
    token: Option<AccountRole>,
    session: Option<AccountRole>,
    has_admin_token: bool,
    /// Whether it sends a bearer token that is not valid for an account.
    has_bad_token: bool,
    header: Option<(HeaderName, String)>,
}

impl CallerCase {
    fn new(name: &str, header: Option<(HeaderName, String)>) -> Self {
        let name = name.to_owned();
        Self {
            name,
            token: None,
            session: None,
            has_admin_token: false,
            has_bad_token: false,
            header,
        }
    }

    /// Whether a route that needs no token refuses the token of this caller.
    fn is_refused_by(&self, access: Access) -> bool {
        let is_valid = matches!(access, OpenOrAnyToken) && self.has_admin_token;
        self.has_bad_token && !is_valid
    }

    /// How a route answers.
    fn expected(&self, access: Access) -> &'static str {
        let of_role = |role: Option<AccountRole>, roles: &[AccountRole], without| match role {
            Some(role) if roles.contains(&role) => "reached",
            Some(_) => "forbidden",
            None => without,
        };
        match access {
            Open => "reached",
            OpenOrToken | OpenOrAnyToken if self.is_refused_by(access) => "token-refused",
            OpenOrToken | OpenOrAnyToken => "reached",
            AdminToken if self.has_admin_token => "reached",
            AdminToken => "unauthorized",
            Token(roles) => of_role(self.token, roles, "token-refused"),
            Access::Session(roles) => of_role(self.session, roles, "sign-in"),
        }
    }
}

fn account(number: u8, role: AccountRole) -> Account {
    Account {
        state: AccountState::Active,
        ..Account::new(
            AccountId([number; 16]),
            format!("account-{number}@exemple.ca"),
            role,
            UnixSeconds(0),
        )
    }
}

/// The access token of an account, as a header field.
async fn bearer(api: &Api, account: &Account) -> Option<(HeaderName, String)> {
    let pair = api.accounts.tokens(account).await.expect("tokens");
    Some((AUTHORIZATION, format!("Bearer {}", *pair.access)))
}

async fn callers(api: &Api) -> Vec<CallerCase> {
    let mut voter = Session::begin().expect("random bytes");
    let voter = api.sessions.seal(&mut voter, api.now()).expect("sealed");
    let pair = |set: &axum::http::HeaderValue| {
        let set = set.to_str().expect("visible ASCII");
        Some((COOKIE, set.split(';').next().expect("a pair").to_owned()))
    };
    let admin = Some((AUTHORIZATION, "Bearer token".to_owned()));
    let mut callers = vec![
        CallerCase::new("none", None),
        CallerCase::new("the cookie of a voter", pair(&voter)),
        CallerCase {
            has_admin_token: true,
            has_bad_token: true,
            ..CallerCase::new("the administrator's token", admin)
        },
    ];
    for (number, role) in (1..).zip(ALL_ROLES.iter().copied()) {
        let account = account(number, role);
        api.node.accounts().add(std::slice::from_ref(&account)).await.expect("added");
        callers.push(CallerCase {
            token: Some(role),
            ..CallerCase::new(&format!("a token, {role:?}"), bearer(api, &account).await)
        });
        let set = api.accounts.begin_page_session(&account).await.expect("begun");
        callers.push(CallerCase {
            session: Some(role),
            ..CallerCase::new(&format!("a page session, {role:?}"), pair(&set))
        });
    }
    let account = account(9, AccountRole::Administrator);
    api.node.accounts().add(std::slice::from_ref(&account)).await.expect("added");
    let (token, set) = (
        bearer(api, &account).await,
        api.accounts.begin_page_session(&account).await.expect("begun"),
    );
    let disabled = Account { state: AccountState::Disabled, ..account };
    api.node.accounts().update(&disabled).await.expect("disabled");
    callers.push(CallerCase {
        has_bad_token: true,
        ..CallerCase::new("a token of a disabled account", token)
    });
    callers.push(CallerCase::new("a page session of a disabled account", pair(&set)));
    callers
}

fn listener<'a>(listeners: &'a [Router; 3], path: &str) -> &'a Router {
    let is_admin = path.starts_with("/api/v1/admin/");
    &listeners[if is_admin { 1 } else { usize::from(path == "/metrics") * 2 }]
}

/// Calls a route, and returns its status with the part of the answer about the caller.
async fn exchange(
    router: &Router,
    method: &Method,
    path: &str,
    header: Option<&(HeaderName, String)>,
) -> (StatusCode, &'static str) {
    let path = path.replace("{lang}", "fr").replace(['{', '}', '*'], "");
    let mut request = Request::builder().method(method).uri(path);
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let request = request.body(Body::empty()).expect("a request");
    let answer = router.clone().oneshot(request).await.expect("routers do not fail");
    let status = answer.status();
    let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    if location.is_some_and(|location| location.starts_with("/fr/accounts/sign-in")) {
        return (status, "sign-in");
    }
    if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return (status, "reached");
    }
    let body = to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
    let body = String::from_utf8(body.to_vec()).expect("UTF-8");
    // A page shows the code of its problem too.
    let codes = ["unauthorized", "token-refused", "forbidden"];
    (status, codes.into_iter().find(|code| body.contains(code)).unwrap_or("reached"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_admits_its_callers_and_no_others() {
    let (_folder, api) = api_with(Config::default()).await;
    let listeners = [public(&api), administration(&api), monitoring(&api)];
    let admin = (AUTHORIZATION, "Bearer token".to_owned());
    for route in routes() {
        for method in METHODS {
            let router = listener(&listeners, route.path);
            let (status, _) = exchange(router, &method, route.path, Some(&admin)).await;
            let is_row =
                TABLE.iter().any(|(of, path, _)| *of == method.as_str() && *path == route.path);
            let is_routed = status != StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(is_row, is_routed, "{method} {}: {status}", route.path);
        }
    }
    let callers = callers(&api).await;
    for (method, path, access) in TABLE {
        let method: Method = method.parse().expect("a method");
        for caller in &callers {
            let router = listener(&listeners, path);
            let (status, found) = exchange(router, &method, path, caller.header.as_ref()).await;
            let case = format!("{method} {path} with {}: {status}", caller.name);
            assert_eq!(found, caller.expected(*access), "{case}");
        }
    }
    api.node.clone().shutdown().await;
}

#[tokio::test]
async fn officials_are_refused_from_other_networks_and_members_are_not() {
    let officials_from = vec!["10.0.0.0/8".parse().expect("a range")];
    let (_folder, api) = api_with(Config { officials_from, ..Config::default() }).await;
    let router = public(&api);
    for (number, role) in (1..).zip(ALL_ROLES.iter().copied()) {
        let account = account(number, role);
        api.node.accounts().add(std::slice::from_ref(&account)).await.expect("added");
        let token = bearer(&api, &account).await;
        // The gate, which records the network, is not before this router.
        let (_, found) = exchange(&router, &Method::GET, "/api/v1/auth/me", token.as_ref()).await;
        let expected = if role == AccountRole::Voter { "reached" } else { "forbidden" };
        assert_eq!(found, expected, "{role:?}");
    }
    api.node.clone().shutdown().await;
}
