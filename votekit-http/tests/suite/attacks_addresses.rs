//! Pages in frames, addresses that lead to other sites, header fields smuggled into answers, and
//! secrets in addresses.

use crate::account_support::{PASSWORD, RECOVERY_CODES, add, login};
use crate::attack_support::{VOTER_COOKIE, begin_session, check_inert, get, post, raw, sign_in};
use crate::http_support::{Answer, Client, Served, config};
use crate::support::{LAW, create_request};
use votekit_node::config::Config;
use votekit_store::AccountRole;

/// Checks the fields of a page that keep it out of frames, caches and other windows.
fn check_page(answer: &Answer, context: &str) {
    let policy = answer.header("content-security-policy");
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.split(';').any(|part| part.trim() == rule), "{context}: {policy}");
    }
    for never in ["unsafe", "http:", "https:", "*"] {
        assert!(!policy.contains(never), "{context}: {policy}");
    }
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), value, "{context}: {name}");
    }
    let referrer = answer.header("referrer-policy");
    assert!(["same-origin", "strict-origin"].contains(&referrer), "{context}: {referrer}");
    assert!(answer.header("access-control-allow-origin").is_empty(), "{context}");
    for leak in ["server", "x-powered-by", "etag", "last-modified"] {
        assert!(answer.header(leak).is_empty(), "{context}: {leak}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_stands_in_a_frame_whatever_its_status() {
    let served = Served::open().await;
    let administrator = add(&served.node, "admin@exemple.ca", AccountRole::Administrator).await;
    let official = begin_session(&served.node, administrator.id, "pages").await;
    let auditor = add(&served.node, "auditor@exemple.ca", AccountRole::Auditor).await;
    let auditor = begin_session(&served.node, auditor.id, "pages").await;
    let voter = sign_in(&served, LAW, 1).await;
    let ballot = format!("/fr/vote/{LAW}/ballot");
    let election = format!("/fr/officials/elections/{LAW}");
    for (status, path, cookie) in [
        (303, "/", ""),
        (200, "/fr/", ""),
        (200, "/en/elections", ""),
        (200, "/fr/session", ""),
        (200, "/fr/help", ""),
        (200, "/fr/accounts/sign-in", ""),
        (200, &ballot, &voter),
        (303, &ballot, ""),
        (200, "/fr/officials", &official),
        (200, &election, &official),
        (200, &format!("{election}/close"), &official),
        (303, "/fr/officials", ""),
        (403, "/fr/officials/new", &auditor),
        (404, "/fr/nothing", ""),
        (404, "/fr/vote/L9", ""),
        (404, "/fr/votes/00", ""),
        (405, "/fr/sign-out", ""),
        (409, &format!("{election}/amend"), &official),
        (410, "/fr/accounts/invitation?token=x", ""),
    ] {
        let answer = get(&served, path, cookie).await;
        assert_eq!(answer.status, status, "{path}");
        check_page(&answer, path);
    }
    let large = "a".repeat(5000);
    for (status, path, cookie, fields) in [
        (403, "/fr/sign-out", voter.as_str(), &[("token", "x")][..]),
        (422, ballot.trim_end_matches("/ballot"), "", &[("nas", "1")]),
        (422, "/fr/accounts/sign-in", "", &[("email", "")]),
        (413, "/fr/accounts/sign-in", "", &[("email", large.as_str())]),
        (404, "/fr/receipts/check", "", &[("request", "zz")]),
        (303, "/fr/officials/new", "", &[("token", "x")]),
    ] {
        let answer = post(&served, path, cookie, fields).await;
        assert_eq!(answer.status, status, "{path}");
        check_page(&answer, path);
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_before_the_router_stands_in_no_frame_either() {
    let limited = Config { read_limit_per_address_per_second: 1, ..config() };
    let served = Served::open_with(limited, create_request()).await;
    let mut client = Client::connect(served.at.public).await;
    let mut answer = client.get("/fr/").await;
    while answer.status != 429 {
        answer = client.get("/fr/").await;
    }
    check_page(&answer, "the gate");
    served.end().await;
    let served = Served::open().await;
    for message in [
        "GET /fr/ HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".to_owned(),
        "GET /fr/ HTTP/1.1\r\n\r\n".to_owned(),
        "nonsense\r\n\r\n".to_owned(),
        format!("GET /fr/{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(70_000)),
        format!("GET /fr/ HTTP/1.1\r\nhost: a\r\ncookie: {}\r\n\r\n", "a".repeat(300_000)),
    ] {
        let answer = raw(served.at.public, &message).await;
        let (head, _) = answer.split_once("\r\n\r\n").expect("a head");
        let start = message.get(..40).unwrap_or(&message);
        assert!(head.starts_with("HTTP/1.1 4"), "{start}: {head}");
        assert!(head.contains("frame-ancestors 'none'"), "{start}: {head}");
        assert!(head.contains("x-content-type-options: nosniff"), "{start}: {head}");
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_leads_to_another_site_or_adds_a_header_field() {
    let served = Served::open().await;
    let voter = sign_in(&served, LAW, 1).await;
    for path in [
        "//evil.example",
        "//evil.example/fr/",
        "//evil.example/%2e%2e",
        "/\\evil.example/",
        "/https:evil.example",
        "/https://evil.example/",
        "/%2f%2fevil.example",
        "/%5cevil.example",
        "/evil.example/officials",
        "/.evil.example/elections",
        "/fr//evil.example",
        "/fr/%2f%2fevil.example",
        "/fr/..//evil.example",
        "/fr?next=//evil.example",
        "/en?lang=https://evil.example",
        "/?lang=//evil.example/",
        "/fr/vote/%2f%2fevil.example",
        "/fr/vote/evil.example/ballot",
        "/fr/members/%2f%2fevil.example",
        "/fr/accounts/sign-in?next=//evil.example&return=https:evil",
        "/fr%0d%0aset-cookie:%20x=1/",
        "/fr/vote/L%0d%0alocation:%20https:%2f%2fevil.example",
        "/fr/results/%0d%0a%0d%0a%3Cscript%3E",
        "/fr/votes/%00%0d%0aset-cookie:x",
        "/fr/officials/elections/%e2%80%ae/open",
        "/static/%2e%2e%2fcargo.toml",
        "/static/..%2f..%2fkeys",
        "/%66r/vote/L2025-001/ballot",
        "/%66r/officials",
        "/FR/officials",
        "/fr;/officials",
    ] {
        let answer = raw(
            served.at.public,
            format!(
                "GET {path} HTTP/1.1\r\nhost: evil.example\r\ncookie: {voter}\r\n\
                 accept-language: //evil.example, fr\r\nconnection: close\r\n\r\n"
            ),
        )
        .await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let lines = || head.lines().filter_map(|line| line.split_once(": "));
        let to = lines().find(|(name, _)| *name == "location").map(|(_, to)| to);
        let is_own = |to: &str| to.starts_with("/fr/") || to.starts_with("/en/");
        assert!(to.is_none_or(is_own), "{path}: {head}");
        // The cookie is random.
        let (cookies, others): (Vec<_>, Vec<_>) = lines().partition(|line| line.0 == "set-cookie");
        assert!(others.iter().all(|(_, value)| !value.contains("evil")), "{path}: {head}");
        assert!(cookies.iter().all(|(_, value)| value.starts_with(VOTER_COOKIE)), "{path}: {head}");
        if head.contains("text/html") {
            check_inert(body);
        }
    }
    // Each of these is the page of a language spelt in another way.
    for path in ["/%66r/vote/L2025-001/ballot", "/%66r/officials", "/FR/officials", "/f%72/"] {
        let answer = served.get(path).await;
        assert_eq!(answer.problem(), (404, "unknown-route".to_owned()), "{path}");
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_or_a_password_in_an_address_opens_nothing() {
    let served = Served::open().await;
    let administrator = add(&served.node, "admin@exemple.ca", AccountRole::Administrator).await;
    let page = begin_session(&served.node, administrator.id, "pages").await;
    let (_, session) = page.split_once('=').expect("a value");
    let pair = login(&served, "admin@exemple.ca", PASSWORD, RECOVERY_CODES[0]).await.json();
    let access = pair["access_token"].as_str().expect("a token");
    let refresh = pair["refresh_token"].as_str().expect("a token");
    for name in ["access_token", "token", "bearer", "authorization", "jwt"] {
        for path in ["/api/v1/auth/me", "/api/v1/accounts", "/api/v1/user/voted-elections"] {
            let answer = served.get(&format!("{path}?{name}={access}")).await;
            let status = answer.status.as_u16();
            assert!([400, 401].contains(&status), "{path} {name}: {status}");
            assert!(!answer.text().contains(access), "{path} {name}");
        }
        let public = served.get(&format!("/api/v1/elections?{name}={access}")).await;
        assert!(public.json()[0].get("created_by").is_none());
        assert_eq!(public.header("cache-control"), "no-cache", "{name}: the public answer");
    }
    for query in [format!("session={session}"), page.clone(), format!("token={session}")] {
        let answer = served.get(&format!("/fr/officials?{query}")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (303, "/fr/accounts/sign-in")
        );
    }
    let typed = format!("email=admin@exemple.ca&password={PASSWORD}").replace(' ', "+");
    for path in [
        format!("/api/v1/auth/login?{typed}"),
        format!("/api/v1/auth/refresh?refresh_token={refresh}"),
    ] {
        let headers = [("content-type", "application/json")];
        let mut client = Client::connect(served.at.public).await;
        let answer = client.send("POST", &path, &headers, "{}").await;
        assert_eq!(answer.problem(), (400, "malformed".to_owned()), "{path}");
    }
    let answer = post(&served, &format!("/fr/accounts/sign-in?{typed}"), "", &[]).await;
    assert_eq!(answer.status, 422);
    assert!(!answer.text().contains("admin@exemple.ca"), "{}", answer.text());
    served.end().await;
}
