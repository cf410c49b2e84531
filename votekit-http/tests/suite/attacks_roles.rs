//! Role escalation over real connections: every call and every page of officials with the
//! credentials of every other caller, and the ways around a route.

use crate::account_support::{PASSWORD, RECOVERY_CODES, add, call, login, token_of};
use crate::attack_support::{
    ACCOUNT_COOKIE, JSON, VOTER_COOKIE, begin_session, get, post, sign_in,
};
use crate::elections_api::administrator_calls;
use crate::http_support::{Client, Served};
use crate::support::LAW;
use votekit_store::AccountId;
use votekit_store::AccountRole::{self, Administrator, Auditor, Observer, Voter};

const ELECTIONS: &str = "/api/v1/elections";

const PASSWORD_CALL: &str = "/api/v1/auth/password";

/// The calls of administrators, calls that auditors may make too, and a call of all accounts.
fn calls(account: &str) -> Vec<(&'static str, String)> {
    let of_account = |verb: &str| format!("/api/v1/accounts/{account}/{verb}");
    let of_accounts = [
        ("PUT", PASSWORD_CALL.to_owned()),
        ("GET", "/api/v1/accounts".to_owned()),
        ("POST", "/api/v1/accounts".to_owned()),
        ("POST", of_account("disable")),
        ("POST", of_account("enable")),
        ("POST", of_account("reset")),
    ];
    of_accounts.into_iter().chain(administrator_calls()).collect()
}

fn hex(account: AccountId) -> String {
    account.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_credential_opens_a_call_of_officials() {
    let served = Served::open().await;
    let administrator = add(&served.node, "admin@exemple.ca", Administrator).await;
    let signed_in = login(&served, "admin@exemple.ca", PASSWORD, RECOVERY_CODES[0]).await.json();
    let of_pair = |name: &str| signed_in[name].as_str().expect("a token").to_owned();
    let (access, refresh) = (of_pair("access_token"), of_pair("refresh_token"));
    let page = begin_session(&served.node, administrator.id, "pages").await;
    let (_, page_token) = page.split_once('=').expect("a value");
    let voter = sign_in(&served, LAW, 1).await;
    let member = token_of(&served, "member@exemple.ca", Voter).await;
    let observer = token_of(&served, "observer@exemple.ca", Observer).await;
    let auditor = token_of(&served, "auditor@exemple.ca", Auditor).await;
    let node = served.node.admin_token().expect("a token");
    let bearer = |token: &str| ("authorization", format!("Bearer {token}"));
    let refused = (401, "token-refused");
    let forbidden = (403, "forbidden");
    let callers = [
        ("nothing", vec![], refused),
        ("the cookie of an administrator", vec![("cookie", page.clone())], refused),
        ("the value of that cookie as a token", vec![bearer(page_token)], refused),
        ("the cookie of a voter", vec![("cookie", voter)], refused),
        ("a refresh token", vec![bearer(&refresh)], refused),
        ("the token of the node", vec![bearer(&node)], refused),
        (
            "an access token as a cookie",
            vec![("cookie", format!("{ACCOUNT_COOKIE}={access}"))],
            refused,
        ),
        ("another scheme", vec![("authorization", format!("Basic {access}"))], refused),
        ("two tokens", vec![bearer(&access), bearer(&member)], refused),
        ("a token and a comma", vec![bearer(&format!("{access},x"))], refused),
        ("a member", vec![bearer(&member)], forbidden),
        ("a member and a cookie", vec![bearer(&member), ("cookie", page.clone())], forbidden),
        ("an observer", vec![bearer(&observer)], forbidden),
        ("an auditor", vec![bearer(&auditor)], forbidden),
    ];
    for (method, path) in calls(&hex(administrator.id)) {
        for (name, headers, (status, code)) in &callers {
            let is_for_caller = match (method, path.as_str()) {
                ("GET", "/api/v1/accounts") => *name == "an auditor",
                (_, PASSWORD_CALL) => *status == 403,
                _ => false,
            };
            if is_for_caller {
                continue;
            }
            let mut headers: Vec<(&str, &str)> =
                headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            headers.push(JSON);
            let mut client = Client::connect(served.at.public).await;
            let answer = client.send(method, &path, &headers, "{}").await;
            assert_eq!(answer.problem(), (*status, (*code).to_owned()), "{method} {path}: {name}");
        }
    }
    assert_eq!(served.node.elections()[0].state, "open");
    let me = call(&served, &access, "GET", "/api/v1/auth/me", None).await;
    assert_eq!(me.status, 200, "the account and its sessions are as before");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_officials_token_opens_no_other_listener_and_the_nodes_token_not_this_one() {
    let served = Served::open().await;
    let official = token_of(&served, "admin@exemple.ca", Administrator).await;
    let official = format!("Bearer {official}");
    let node = format!("Bearer {}", served.node.admin_token().expect("a token").as_str());
    for path in ["elections", "rolls", &format!("elections/{LAW}/close"), "nothing"] {
        let path = format!("/api/v1/admin/{path}");
        let mut client = Client::connect(served.at.administration).await;
        let answer = client.send("POST", &path, &[("authorization", &official), JSON], "{}").await;
        assert_eq!(answer.problem(), (401, "unauthorized".to_owned()), "{path}");
        for at in [served.at.public, served.at.metrics] {
            let mut client = Client::connect(at).await;
            let answer = client.send("POST", &path, &[("authorization", &node), JSON], "{}").await;
            assert_eq!(answer.problem(), (404, "unknown-route".to_owned()), "{path}");
        }
    }
    assert_eq!(served.node.elections()[0].state, "open");
    served.end().await;
}

/// Each page of officials and members, with its methods and the roles that it is for.
fn pages(account: &str) -> Vec<(String, &'static [&'static str], &'static [AccountRole])> {
    const READ: &[&str] = &["GET"];
    const WRITE: &[&str] = &["POST"];
    const BOTH: &[&str] = &["GET", "POST"];
    const ADMINISTRATORS: &[AccountRole] = &[Administrator];
    const READERS: &[AccountRole] = &[Administrator, Auditor];
    const OFFICIALS: &[AccountRole] = &[Administrator, Auditor, Observer];
    const MEMBERS: &[AccountRole] = &[Voter];
    let election = |rest: &str| format!("/fr/officials/elections/{LAW}{rest}");
    let mut pages = vec![
        ("/fr/officials".to_owned(), READ, OFFICIALS),
        ("/fr/officials/new".to_owned(), BOTH, ADMINISTRATORS),
        ("/fr/officials/accounts".to_owned(), READ, READERS),
        ("/fr/officials/accounts".to_owned(), WRITE, ADMINISTRATORS),
        (format!("/fr/officials/accounts/{account}/disable"), WRITE, ADMINISTRATORS),
        (format!("/fr/officials/accounts/{account}/enable"), WRITE, ADMINISTRATORS),
        (election(""), READ, OFFICIALS),
        (election("/roll"), READ, READERS),
        (election("/roll"), WRITE, ADMINISTRATORS),
        (election("/results/csv"), READ, OFFICIALS),
        ("/fr/members".to_owned(), READ, MEMBERS),
        (format!("/fr/members/{LAW}"), BOTH, MEMBERS),
    ];
    for step in ["amend", "open", "close", "certify", "annul"] {
        pages.push((election(&format!("/{step}")), BOTH, ADMINISTRATORS));
    }
    pages
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_cookie_opens_a_page_of_officials_or_members() {
    let served = Served::open().await;
    let mut sessions = Vec::new();
    let mut account = String::new();
    for role in [Administrator, Auditor, Observer, Voter] {
        let added = add(&served.node, &format!("{role:?}@exemple.ca").to_lowercase(), role).await;
        account = hex(added.id);
        sessions.push((role, begin_session(&served.node, added.id, "pages").await));
    }
    let access = token_of(&served, "second@exemple.ca", Administrator).await;
    let voter = sign_in(&served, LAW, 1).await;
    let strangers = [
        String::new(),
        voter.clone(),
        format!("{ACCOUNT_COOKIE}="),
        format!("{ACCOUNT_COOKIE}={}", "A".repeat(43)),
        // The session of a voter under the name of the other cookie.
        voter.replace(VOTER_COOKIE, ACCOUNT_COOKIE),
        // A name that this listener does not use.
        sessions[0].1.replace(ACCOUNT_COOKIE, "__Host-votekit-account"),
    ];
    for (path, methods, roles) in pages(&account) {
        for method in methods {
            for (role, cookie) in sessions.iter().filter(|(role, _)| !roles.contains(role)) {
                let answer = match *method {
                    "GET" => get(&served, &path, cookie).await,
                    _ => post(&served, &path, cookie, &[("confirm", LAW)]).await,
                };
                assert_eq!(answer.status, 403, "{method} {path}: {role:?}");
                assert!(answer.text().contains("#forbidden"), "{method} {path}: {role:?}");
            }
            for cookie in &strangers {
                let bearer = format!("Bearer {access}");
                let headers = [("cookie", cookie.as_str()), ("authorization", bearer.as_str())];
                let mut client = Client::connect(served.at.public).await;
                let answer = client.send(method, &path, &headers, "").await;
                // The rest of the address leads back here.
                let to = answer.header("location").split('?').next().unwrap_or_default();
                assert_eq!((answer.status.as_u16(), to), (303, "/fr/accounts/sign-in"), "{path}");
            }
        }
    }
    assert_eq!(served.node.elections()[0].state, "open");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_path_and_no_header_leads_around_the_check() {
    let served = Served::open().await;
    let observer = token_of(&served, "observer@exemple.ca", Observer).await;
    let observer = format!("Bearer {observer}");
    let close = format!("{ELECTIONS}/{LAW}/close");
    let spellings = [
        format!("/{close}"),
        format!("{close}/"),
        format!("/API/V1/elections/{LAW}/close"),
        format!("/api/v1//elections/{LAW}/close"),
        format!("/api/v1/./elections/{LAW}/close"),
        format!("/api/v1/results/../elections/{LAW}/close"),
        format!("/fr/..{close}"),
        format!("/static/..{close}"),
        format!("{ELECTIONS}/{LAW}%2fclose"),
        format!("{ELECTIONS}/{LAW};/close"),
        format!("{ELECTIONS}/{LAW}/clos%65"),
        format!("{close}?access_token=x"),
        format!("/%66r/officials/elections/{LAW}/close"),
        format!("/FR/officials/elections/{LAW}/close"),
    ];
    let tricks = [
        ("x-http-method-override", "POST"),
        ("x-original-url", close.as_str()),
        ("x-rewrite-url", close.as_str()),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "localhost"),
        ("x-remote-user", "admin@exemple.ca"),
        ("forwarded", "for=127.0.0.1;proto=https"),
    ];
    for path in spellings.iter().chain([&close]) {
        for trick in tricks {
            for method in ["POST", "GET", "HEAD"] {
                let headers = [("authorization", observer.as_str()), JSON, trick];
                let mut client = Client::connect(served.at.public).await;
                let answer = client.send(method, path, &headers, "").await;
                let status = answer.status.as_u16();
                assert!([401, 403, 404, 405].contains(&status), "{method} {path}: {status}");
            }
        }
    }
    assert_eq!(served.node.elections()[0].state, "open");
    served.end().await;
}
