//! Texts that a browser would run: in every field that officials, voters and the configuration fill
//! in, on every page, and in the answers to programs.

use crate::account_support::{add, call, token_of};
use crate::attack_support::{begin_session, check_inert, get, post, typed};
use crate::browser_support::Browser;
use crate::form_support::hidden;
use crate::http_support::{Answer, Served, config};
use crate::support::{LAW, create_request, law};
use serde_json::json;
use votekit_node::config::{Config, PagesConfig};
use votekit_node::{AnnulElection, ChoiceRequest, CloseElection, CreateElection};
use votekit_store::AccountRole;

/// Leaves an attribute, an element, a script and a template.
const NASTY: &str = "'\"><script>xss()</script><b onmouseover='xss()'>{{7*7}}&lt;<!--";

/// The texts of the configuration.
fn pages_config() -> PagesConfig {
    let text = || NASTY.to_owned();
    PagesConfig {
        organisation_fr: text(),
        organisation_en: text(),
        contact: text(),
        privacy_fr: text(),
        privacy_en: text(),
        time_zone: Some("EST5EDT,M3.2.0,M11.1.0".parse().expect("a zone")),
        time_zone_fr: text(),
        time_zone_en: text(),
    }
}

/// A definition with such a text in each field.
fn definition() -> CreateElection {
    let text = || NASTY.to_owned();
    let choice = |id: &str| ChoiceRequest::Labelled {
        id: id.to_owned(),
        fr: format!("{id}{NASTY}"),
        en: format!("{id}{NASTY}"),
    };
    CreateElection {
        title_fr: text(),
        title_en: text(),
        description_fr: text(),
        description_en: text(),
        choices: vec![choice("oui"), choice("non")],
        closes: Some("2036-11-22T08:00:00-05:00".to_owned()),
        ..create_request()
    }
}

async fn served() -> Served {
    Served::open_with(Config { pages: pages_config(), ..config() }, definition()).await
}

/// The token of a form of a page.
async fn token(served: &Served, cookie: &str, page: &str, action: &str) -> String {
    hidden(get(served, page, cookie).await.text(), action, "token")
}

/// Checks a page: its texts are rendered as text, and it shows one of them.
fn check(page: &Answer, context: &str) {
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8", "{context}");
    assert!(!page.text().contains(NASTY), "{context}: {}", page.text());
    assert!(page.text().contains("xss()"), "{context} shows the text");
    assert!(page.text().contains("{{7*7}}"), "{context} runs no template");
    check_inert(page.text());
}

#[test]
fn the_check_finds_what_a_browser_would_run() {
    for html in [
        "<p><script>xss()</script></p>",
        "<script src=\"https://evil.example/x.js\"></script>",
        "<p title=\"\" onmouseover=\"xss()\">",
        "<b onmouseover='xss()'>",
        "<a href=\"//evil.example\">",
        "<a href=\"javascript:xss()\">",
        "<form action=\"https://evil.example/\">",
        "<button formaction=\"\\\\evil.example\">",
        "<p style=\"x\">",
        "<img src=\"/x\">",
        "<base href=\"/x\">",
        NASTY,
    ] {
        let found = std::panic::catch_unwind(|| check_inert(html));
        assert!(found.is_err(), "{html}");
    }
    check_inert("<p lang=\"fr\">a &#60;script&#62; on=x</p><a href=\"/fr/\">b</a>");
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_an_election_and_of_the_organisation_are_text_on_every_page_of_voters() {
    let served = served().await;
    let (nas, code) = typed(1);
    for lang in ["fr", "en"] {
        let mut voter = Browser::open(&served, lang).await;
        check(&voter.page, "the first page");
        let sign_in = format!("/{lang}/vote/{LAW}");
        for path in ["/elections", "/session", "/help", "/accessibility", "/privacy", "/receipts"] {
            voter.get(&format!("/{lang}{path}")).await;
            check(&voter.page, path);
        }
        for path in ["/nothing", "/votes/zz", "/vote/L9", "/officials/x"] {
            voter.get(&format!("/{lang}{path}")).await;
            check(&voter.page, path);
        }
        voter.get(&sign_in).await;
        check(&voter.page, "the sign-in");
        voter.submit(&sign_in, &[("nas", "1"), ("code", "")]).await;
        check(&voter.page, "the sign-in with errors");
        voter.submit(&sign_in, &[("nas", nas.as_str()), ("code", code.as_str())]).await;
        check(&voter.page, "the ballot");
        let ballot = format!("/{lang}/vote/{LAW}/ballot");
        voter.submit(&ballot, &[]).await;
        check(&voter.page, "the ballot without a choice");
        voter.submit(&ballot, &[("choice", "oui")]).await;
        check(&voter.page, "the check");
        voter.submit(&format!("/{lang}/vote/{LAW}/cast"), &[]).await;
        check(&voter.page, "the outcome");
        for path in [format!("/{lang}/session"), format!("/{lang}/results/{LAW}"), sign_in] {
            voter.get(&path).await;
            check(&voter.page, &path);
        }
        voter.submit(&format!("/{lang}/sign-out"), &[]).await;
        check(&voter.page, "signed out");
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_text_on_every_page_of_officials() {
    let served = served().await;
    // An address may have these characters.
    let email = "o'neil&{{7*7}}=/onload@exemple.ca";
    let account = add(&served.node, email, AccountRole::Administrator).await;
    let cookie = begin_session(&served.node, account.id, "pages").await;
    let election = format!("/fr/officials/elections/{LAW}");
    let (new, accounts) = ("/fr/officials/new", "/fr/officials/accounts");
    let close = format!("{election}/close");
    for path in ["/fr/officials", &election, new, &close, &format!("{election}/roll"), accounts] {
        let page = get(&served, path, &cookie).await;
        check(&page, path);
        assert!(page.text().contains("o&#39;neil&#38;{{7*7}}=/onload@exemple.ca"), "{path}");
    }
    let of_new = token(&served, &cookie, new, new).await;
    let names = ["law_id", "title_fr", "title_en", "description_fr", "description_en", "nature"];
    let of_choices = ["choice_0_id", "choice_0_fr", "choice_0_en", "blank", "results"];
    let of_times = ["publish_every", "opens", "opens_offset", "closes", "closes_offset"];
    let mut fields = vec![("token", of_new.as_str()), ("rows", "2")];
    let names = names.into_iter().chain(of_choices).chain(of_times);
    fields.extend(names.map(|name| (name, NASTY)));
    let page = post(&served, new, &cookie, &fields).await;
    assert_eq!(page.status, 422);
    check(&page, "a definition with errors");
    for step in ["add", "remove-0", NASTY] {
        let fields = [&fields[..], &[("step", step)]].concat();
        check(&post(&served, new, &cookie, &fields).await, step);
    }
    let of_invite = token(&served, &cookie, accounts, accounts).await;
    let typed = [("token", of_invite.as_str()), ("email", NASTY), ("role", NASTY)];
    check(&post(&served, accounts, &cookie, &typed).await, "an invitation with errors");
    let of_close = token(&served, &cookie, &close, &close).await;
    let typed = [("token", of_close.as_str()), ("confirm", NASTY), ("reason", NASTY)];
    let page = post(&served, &close, &cookie, &typed).await;
    assert_eq!(page.status, 422);
    check(&page, "a step with errors");

    let reason = Some(NASTY.to_owned());
    served.node.close_with(&law(), CloseElection { reason }).await.expect("closed");
    let reason = NASTY.to_owned();
    served.node.annul(&law(), AnnulElection { reason }).await.expect("annulled");
    for path in [&election, &format!("{election}?done=annul"), &format!("/fr/results/{LAW}")] {
        check(&get(&served, path, &cookie).await, path);
    }
    for format in ["csv", "json", "nist"] {
        let file = get(&served, &format!("{election}/results/{format}"), &cookie).await;
        assert!(!file.header("content-type").contains("html"), "{format}");
        assert!(file.header("content-disposition").starts_with("attachment; "), "{format}");
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_is_text_in_the_answer() {
    let served = served().await;
    let in_address = "%22%3E%3Cscript%3Exss()%3C/script%3E%3Cb%20onmouseover=%27xss()%27%3E";
    for path in [
        format!("/fr/{in_address}"),
        format!("/fr/vote/{in_address}"),
        format!("/en/results/{in_address}"),
        format!("/fr/votes/{in_address}"),
        format!("/fr/receipts?receipt={in_address}"),
        format!("/fr/accounts/sign-in?email={in_address}&next={in_address}"),
        format!("/fr/accounts/invitation?token={in_address}"),
        format!("/fr/elections?lang={in_address}"),
        "/fr/x\"onmouseover=\"xss()".to_owned(),
        "/en/{{7*7}}'onload='xss()".to_owned(),
        "/fr//evil.example/".to_owned(),
        "/fr/..//evil.example/".to_owned(),
    ] {
        let page = get(&served, &path, "").await;
        assert!(!page.text().contains("<script>xss"), "{path}");
        check_inert(page.text());
    }
    let nasty = [("email", NASTY), ("password", NASTY), ("code", NASTY)];
    let page = post(&served, "/fr/accounts/sign-in", "", &nasty).await;
    assert_eq!(page.status, 422);
    check(&page, "the sign-in with an account");
    for (path, fields) in [
        ("/fr/accounts/invitation", &[("token", NASTY), ("secret", NASTY)][..]),
        ("/fr/receipts/check", &[("receipt", NASTY)]),
        ("/fr/receipts/check", &[("request", NASTY)]),
        ("/fr/session/extend", &[("token", NASTY)]),
        ("/fr/accounts/sign-out", &[("token", NASTY)]),
    ] {
        check(&post(&served, path, "", fields).await, path);
    }
    let cookie = crate::attack_support::sign_in(&served, LAW, 2).await;
    let ballot = format!("/fr/vote/{LAW}/ballot");
    let fields = [("choice", NASTY), ("key", NASTY), ("token", NASTY)];
    check(&post(&served, &ballot, &cookie, &fields).await, &ballot);

    // For programs: never a type that a browser shows as a page.
    let token = token_of(&served, "admin@exemple.ca", AccountRole::Administrator).await;
    for body in [
        json!({ (NASTY): NASTY }),
        json!({ "law_id": NASTY, "title_fr": 5, "title_en": [NASTY] }),
        json!({ "law_id": "L1", "title_fr": "a", "title_en": "b", "choices": [NASTY] }),
        json!({ "eligible_voters": [NASTY], "results": NASTY, "opens": NASTY }),
        json!(NASTY),
    ] {
        let refused = call(&served, &token, "POST", "/api/v1/elections", Some(body)).await;
        assert_eq!(refused.problem(), (400, "malformed".to_owned()));
    }
    let path = format!("/api/v1/elections/{LAW}/annul");
    let refused = call(&served, &token, "POST", &path, Some(json!({ "reason": NASTY }))).await;
    assert_eq!(refused.problem().0, 409);
    let shown = served.get("/api/v1/elections").await;
    assert_eq!(shown.header("content-type"), "application/json");
    assert_eq!(shown.json()[0]["title"]["fr"], NASTY);
    served.end().await;
}
