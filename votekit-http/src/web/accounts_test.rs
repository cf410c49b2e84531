//! The pages of accounts, asked of the router: sign-in, sign-out, invitation, the list of accounts.

use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use votekit_store::AccountRole;

use super::lang::Lang;
use super::official_site::{LAW, PASSWORD, Site, hidden};

const SIGN_IN: &str = "/fr/accounts/sign-in";
const INVITATION: &str = "/fr/accounts/invitation";

#[tokio::test]
async fn sign_in_reports_missing_fields_and_not_which_value_was_wrong() {
    let site = Site::with_draft().await;
    site.activate("admin@example.ca", AccountRole::Administrator).await;
    let empty = site.post(SIGN_IN, "", &[]).await;
    assert_eq!(empty.status, StatusCode::UNPROCESSABLE_ENTITY);
    empty.check_page(Lang::Fr);
    empty.reports(&["email", "password"]);
    let mut refusals = Vec::new();
    for (email, password, code) in [
        ("admin@example.ca", "another password", "000000"),
        ("admin@example.ca", PASSWORD, "000000"),
        ("unknown@example.ca", PASSWORD, "000000"),
        ("admin@example.ca\"><script>", PASSWORD, ""),
    ] {
        let typed = [("email", email), ("password", password), ("code", code)];
        let refused = site.post(SIGN_IN, "", &typed).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{email}");
        refused.check_page(Lang::Fr);
        refused.reports(&["email"]);
        assert!(!refused.html.contains(password) && !refused.headers.contains_key(SET_COOKIE));
        let (_, summary) = refused.html.split_once("class=\"summary").expect("a summary");
        refusals.push(summary.split("</div>").next().expect("its end").to_owned());
    }
    refusals.dedup();
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    site.end().await;
}

#[tokio::test]
async fn the_sign_in_leads_to_the_first_page_of_the_role_and_nowhere_else() {
    let site = Site::with_draft().await;
    let codes = site.activate("admin@example.ca", AccountRole::Administrator).await;
    let typed = [
        ("email", "Admin@Example.ca"),
        ("password", PASSWORD),
        ("code", codes[1].as_str()),
        ("next", "https://evil.example/"),
        ("return", "//evil.example"),
    ];
    let path = "/fr/accounts/sign-in?next=//evil.example&redirect=https://evil.example";
    let answer = site.post(path, "", &typed).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.html);
    assert_eq!(answer.header("location"), "/fr/officials");
    assert!(answer.header("set-cookie").contains("HttpOnly; SameSite=Strict"));
    let cookie = answer.cookie();
    assert_eq!(site.get(SIGN_IN, &cookie).await.header("location"), "/fr/officials");
    let again = site.post(SIGN_IN, "", &typed).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY, "a recovery code works once");
    let member = site.activate("member@example.ca", AccountRole::Voter).await;
    let typed =
        [("email", "member@example.ca"), ("password", PASSWORD), ("code", member[0].as_str())];
    let answer = site.post("/en/accounts/sign-in", "", &typed).await;
    assert_eq!(answer.header("location"), "/en/members");
    let mine = site.get("/en/members", &answer.cookie()).await;
    assert_eq!(mine.status, StatusCode::OK, "the list of the member's elections");
    let refused = site.get("/en/officials", &answer.cookie()).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "a member is not an official");
    site.end().await;
}

#[tokio::test]
async fn the_sign_in_leads_back_to_the_page_that_was_asked_for() {
    let site = Site::with_draft().await;
    let codes = site.activate("admin@example.ca", AccountRole::Administrator).await;
    let asked = format!("/officials/elections/{LAW}/roll");
    let page = site.get(&format!("{SIGN_IN}?next={asked}"), "").await;
    page.check_page(Lang::Fr);
    assert!(page.html.contains(Lang::Fr.account_needed()), "{}", page.html);
    let other = format!("href=\"/en/accounts/sign-in?next={asked}\" lang=");
    assert!(page.html.contains(&other), "the other language keeps it: {}", page.html);
    let next = hidden(&page.html, SIGN_IN, "next");
    assert_eq!(next, asked);
    let wrong = [("email", "admin@example.ca"), ("password", "wrong"), ("next", next.as_str())];
    let refused = site.post(SIGN_IN, "", &wrong).await;
    refused.reports(&["email"]);
    assert_eq!(hidden(&refused.html, SIGN_IN, "next"), asked, "a refusal keeps it");
    let typed = [
        ("email", "admin@example.ca"),
        ("password", PASSWORD),
        ("code", codes[0].as_str()),
        ("next", next.as_str()),
    ];
    let answer = site.post("/en/accounts/sign-in", "", &typed).await;
    assert_eq!(answer.header("location"), format!("/en{asked}"), "{}", answer.html);
    let cookie = answer.cookie();
    let again = site.get(&format!("{SIGN_IN}?next={asked}"), &cookie).await;
    assert_eq!(again.header("location"), format!("/fr{asked}"));
    let shown = site.get(&format!("/fr{asked}"), &cookie).await;
    let link = format!("href=\"/fr/accounts/sign-in?next={asked}\" hidden");
    assert!(shown.html.contains(&link), "the end of the session leads back too: {}", shown.html);
    site.end().await;
}

#[tokio::test]
async fn a_sign_in_leads_to_no_other_site_and_to_no_page_of_another_role() {
    let site = Site::with_draft().await;
    let codes = site.activate("member@example.ca", AccountRole::Voter).await;
    let official = site.administrator().await;
    for next in [
        "https://evil.example/officials/new",
        "//evil.example/officials/new",
        "/%5Cevil.example",
        "%5C%5Cevil.example",
        "/officials//evil.example",
        "/officials/%252f%252fevil.example",
        "/officials/%0d%0alocation:%20https:evil.example",
        "/officials@evil.example/",
        "/officials.evil.example/x",
        "javascript:alert(1)",
        "%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
        "/members/M1",
        "/vote/L1",
        "",
    ] {
        let path = format!("{SIGN_IN}?next={next}");
        let page = site.get(&path, "").await;
        page.check_page(Lang::Fr);
        assert!(!page.html.contains("evil.example"), "{next}: {}", page.html);
        assert_eq!(site.get(&path, &official).await.header("location"), "/fr/officials", "{next}");
    }
    let typed = [
        ("email", "member@example.ca"),
        ("password", PASSWORD),
        ("code", codes[0].as_str()),
        ("next", "/officials/new"),
    ];
    let answer = site.post(SIGN_IN, "", &typed).await;
    assert_eq!(answer.header("location"), "/fr/members", "a member is not an official");
    site.end().await;
}

#[tokio::test]
async fn the_other_language_keeps_what_the_page_reads_and_nothing_else() {
    let site = Site::with_draft().await;
    let cookie = site.administrator().await;
    let accounts = "/officials/accounts";
    for (query, kept) in [
        ("?after=a@example.ca", "?after=a@example.ca"),
        ("?done=disable&after=b%26c", "?after=b%26c&#38;done=disable"),
        ("?done=certify", ""),
        ("?nas=046454286&code=ABCD2345", ""),
        ("?after=%22%3E%3Cscript%3E", "?after=%22%3E%3Cscript%3E"),
    ] {
        let page = site.get(&format!("/fr{accounts}{query}"), &cookie).await;
        page.check_page(Lang::Fr);
        let link = format!("href=\"/en{accounts}{kept}\" lang=");
        assert!(page.html.contains(&link), "{query}: {}", page.html);
        assert!(!page.html.contains("046454286"), "{query}");
    }
    let election = format!("/officials/elections/{LAW}");
    for (query, kept) in [("?done=created", "?done=created"), ("?done=certify", ""), ("?x=1", "")] {
        let page = site.get(&format!("/en{election}{query}"), &cookie).await;
        let link = format!("href=\"/fr{election}{kept}\" lang=");
        assert!(page.html.contains(&link), "{query}: {}", page.html);
    }
    let invitation = site.invite("new@example.ca", AccountRole::Auditor).await;
    let page = site.get(&invitation, "").await;
    let english = invitation.replace("/fr/", "/en/");
    assert!(page.html.contains(&format!("href=\"{english}\" lang=")), "{}", page.html);
    site.end().await;
}

#[tokio::test]
async fn without_a_session_every_page_of_officials_leads_to_the_sign_in() {
    let site = Site::with_draft().await;
    let election = format!("/en/officials/elections/{LAW}");
    for path in [
        "/en/officials",
        "/en/officials/new",
        "/en/officials/accounts",
        &election,
        &format!("{election}/amend"),
        &format!("{election}/open"),
        &format!("{election}/results/csv"),
    ] {
        // The sign-in leads back, and not to a download, which would show no page.
        let back = path.strip_prefix("/en").expect("a page");
        let back = back.strip_suffix("/results/csv").unwrap_or(back);
        let sign_in = match back {
            "/officials" => "/en/accounts/sign-in".to_owned(),
            back => format!("/en/accounts/sign-in?next={back}"),
        };
        for cookie in ["", "votekit-account-local=", "votekit-account-local=AAAA"] {
            for query in ["", "?token=secret&next=//evil.example"] {
                let answer = site.get(&format!("{path}{query}"), cookie).await;
                assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
                assert_eq!(answer.header("location"), sign_in, "{path}");
            }
        }
    }
    let posted = site.post(&format!("{election}/open"), "", &[("confirm", LAW)]).await;
    let sign_in = format!("/en/accounts/sign-in?next=/officials/elections/{LAW}/open");
    assert_eq!(posted.header("location"), sign_in, "the page with the form");
    let posted = site.post("/en/officials/accounts/00ff/disable", "", &[]).await;
    assert_eq!(posted.header("location"), "/en/accounts/sign-in?next=/officials/accounts");
    site.end().await;
}

#[tokio::test]
async fn an_invitation_is_opened_as_often_as_needed_and_used_once() {
    let site = Site::with_draft().await;
    let path = site.invite("auditor@example.ca", AccountRole::Auditor).await;
    for _ in 0..3 {
        let page = site.get(&path, "").await;
        assert_eq!(page.status, StatusCode::OK);
        page.check_page(Lang::Fr);
        assert_eq!(page.header("referrer-policy"), "strict-origin");
        assert_eq!(page.html.matches("autocomplete=\"new-password\"").count(), 2);
        assert!(page.html.contains("auditor@example.ca") && page.html.contains("otpauth://totp/"));
        assert!(page.html.contains("class=\"qr\""), "{}", page.html);
    }
    let secret = hidden(&site.get(&path, "").await.html, INVITATION, "secret");
    let weak = [("secret", secret.as_str()), ("password", "court"), ("repeat", "court")];
    let refused = site.submit(&path, INVITATION, "", &weak).await;
    refused.reports(&["code"]);
    let typed = [&weak[..], &[("code", "000000")]].concat();
    let refused = site.submit(&path, INVITATION, "", &typed).await;
    refused.reports(&["password", "code"]);
    assert_eq!(hidden(&refused.html, INVITATION, "secret"), secret, "the app is set up already");
    assert!(!refused.html.contains("value=\"court\""));
    let typed = [("password", PASSWORD), ("repeat", "another one"), ("code", "000000")];
    site.submit(&path, INVITATION, "", &typed).await.reports(&["repeat"]);
    site.accept(&path).await;
    let void = site.get(&path, "").await;
    assert_eq!(void.status, StatusCode::GONE);
    void.check_page(Lang::Fr);
    for wrong in ["", "?token=", "?token=abc", "?token=%22%3E%3Cscript%3E"] {
        let answer = site.get(&format!("{INVITATION}{wrong}"), "").await;
        assert_eq!(answer.status, StatusCode::GONE, "{wrong}");
        answer.check_page(Lang::Fr);
    }
    site.end().await;
}

#[tokio::test]
async fn recovery_codes_are_shown_once_and_printable() {
    let site = Site::with_draft().await;
    let path = site.invite("admin@example.ca", AccountRole::Administrator).await;
    let done = site.accept(&path).await;
    done.check_page(Lang::Fr);
    assert_eq!(done.html.matches("<li>").count() - done.html.matches("<li><a").count(), 10);
    assert!(done.html.contains("data-print") && done.html.contains("J’ai conservé mes codes"));
    site.end().await;
}

#[tokio::test]
async fn a_sign_out_ends_the_session_in_the_store_too() {
    let site = Site::with_draft().await;
    let cookie = site.administrator().await;
    let sign_out = "/fr/accounts/sign-out";
    let refused = site.post(sign_out, &cookie, &[("token", "stale")]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let answer = site.submit("/fr/officials", sign_out, &cookie, &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    answer.check_page(Lang::Fr);
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(answer.header("clear-site-data"), "\"cache\", \"storage\"");
    let copied = site.get("/fr/officials", &cookie).await;
    assert_eq!(copied.header("location"), "/fr/accounts/sign-in", "a copied cookie is void");
    site.end().await;
}

#[tokio::test]
async fn an_administrator_invites_disables_and_enables() {
    let site = Site::with_draft().await;
    let cookie = site.administrator().await;
    let accounts = "/fr/officials/accounts";
    let empty = site.submit(accounts, accounts, &cookie, &[]).await;
    empty.reports(&["email", "role"]);
    let typed = [("email", "not an address"), ("role", "auditor")];
    site.submit(accounts, accounts, &cookie, &typed).await.reports(&["email"]);
    let typed = [("email", "admin@example.ca"), ("role", "auditor")];
    site.submit(accounts, accounts, &cookie, &typed).await.reports(&["email"]);
    let typed = [("email", "member@example.ca"), ("role", "voter")];
    site.submit(accounts, accounts, &cookie, &typed).await.reports(&["role"]);
    let typed = [("email", "auditor@example.ca"), ("role", "auditor")];
    let link = site.submit(accounts, accounts, &cookie, &typed).await;
    assert_eq!(link.status, StatusCode::OK);
    link.check_page(Lang::Fr);
    assert!(link.html.contains("http://localhost/fr/accounts/invitation?token="), "{}", link.html);
    assert!(!site.get(accounts, &cookie).await.html.contains("token="), "shown once");

    let theirs = site.sign_in("observer@example.ca", AccountRole::Observer).await;
    let page = site.get(accounts, &cookie).await.html;
    assert!(page.contains("(vous)") && page.contains("Désactiver observer@example.ca"), "{page}");
    let (before, _) = page.split_once("Désactiver observer@example.ca").expect("the button");
    let (_, action) = before.rsplit_once("action=\"").expect("its form");
    let action = action.split('"').next().expect("its end").to_owned();
    let done = site.submit(accounts, &action, &cookie, &[]).await;
    assert_eq!(done.header("location"), "/fr/officials/accounts?done=disable", "{}", done.html);
    let shut_out = site.get("/fr/officials", &theirs).await;
    assert_eq!(shut_out.header("location"), "/fr/accounts/sign-in");
    let enable = action.replace("/disable", "/enable");
    let forged = site.post(&enable, &cookie, &[("token", "")]).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    let done = site.submit(accounts, &enable, &cookie, &[]).await;
    assert_eq!(done.header("location"), "/fr/officials/accounts?done=enable", "{}", done.html);
    site.end().await;
}
