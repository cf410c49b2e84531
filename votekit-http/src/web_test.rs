//! The pages, requested from the router: status, language, title, header fields, forbidden content.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_SECURITY_POLICY, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use votekit_core::credential::CredentialHasher;
use votekit_node::{ChoiceRequest, CreateElection, OpenElection};

use self::support::{LAW, TestDir, create_request, credential, law};
use super::lang::Lang;
use super::visit::PAGE_POLICY;
use crate::context::Api;
use crate::gate::Gate;
use crate::routes;

#[path = "web_ballots_test.rs"]
mod ballots;
#[path = "web_states_test.rs"]
mod states;
use crate::test_support as support;

/// A node with an open election, its gate and its router.
struct Site {
    api: Arc<Api>,
    gate: Gate,
    router: Router,
    _dir: TestDir,
}

/// An answer.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    html: String,
}

impl Site {
    async fn open_with(request: CreateElection) -> Self {
        let dir = TestDir::new(30);
        let node = dir.start().await;
        node.load(&dir.path("hashes"), None).await.expect("loaded");
        node.create(request).await.expect("created");
        node.open(&law(), OpenElection::default()).await.expect("opened");
        let api = Api::new(node, b"token");
        Self { gate: Gate::new(&api), router: routes::public(&api), api, _dir: dir }
    }

    async fn open() -> Self {
        Self::open_with(create_request()).await
    }

    async fn exchange(&self, request: Request<Body>) -> Answer {
        let answer = self.gate.pass(&self.router, request).await;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let html = String::from_utf8(body.to_vec()).expect("UTF-8");
        Answer { status: head.status, headers: head.headers, html }
    }

    async fn get(&self, path: &str, cookie: &str) -> Answer {
        let request = Request::get(path).header(HOST, "localhost").header(COOKIE, cookie);
        self.exchange(request.body(Body::empty()).expect("a request")).await
    }

    async fn post(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
        let body: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = Request::post(path)
            .header(HOST, "localhost")
            .header(COOKIE, cookie)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded");
        self.exchange(request.body(Body::from(body.join("&"))).expect("a request")).await
    }

    /// Signs in the elector with index `index`, and returns the cookie.
    async fn sign_in(&self, index: u32) -> String {
        let (nas, code) = typed(index);
        let fields = [("nas", nas.as_str()), ("code", code.as_str())];
        let answer = self.post(&format!("/fr/vote/{LAW}"), "", &fields).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.html);
        assert_eq!(answer.header("location"), format!("/fr/vote/{LAW}/ballot"));
        answer.cookie()
    }

    /// Votes with the session of a cookie, and returns the next cookie and the page of the vote.
    async fn vote(&self, law: &str, choice: &str, cookie: &str) -> (String, String) {
        let (ballot, cast) = (format!("/fr/vote/{law}/ballot"), format!("/fr/vote/{law}/cast"));
        let token = self.get(&ballot, cookie).await.hidden(&ballot, "token");
        let fields = [("choice", choice), ("token", token.as_str())];
        let check = self.post(&ballot, cookie, &fields).await;
        assert_eq!(check.status, StatusCode::OK, "{}", check.html);
        let (key, token) = (check.hidden(&cast, "key"), check.hidden(&cast, "token"));
        let fields = [("choice", choice), ("key", key.as_str()), ("token", token.as_str())];
        let answer = self.post(&cast, cookie, &fields).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.html);
        (answer.cookie(), answer.header("location").to_owned())
    }

    async fn end(self) {
        self.api.node.clone().shutdown().await;
    }
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("visible ASCII"))
    }

    /// The cookie as the browser sends it back.
    fn cookie(&self) -> String {
        let set = self.headers.get(SET_COOKIE).expect("a cookie").to_str().expect("visible ASCII");
        set.split(';').next().expect("a pair").to_owned()
    }

    /// The value of a hidden field of the form with this action.
    fn hidden(&self, action: &str, name: &str) -> String {
        let (_, form) = self.html.split_once(&format!("action=\"{action}\"")).expect("the form");
        let (form, _) = form.split_once("</form>").expect("its end");
        let (_, field) = form.split_once(&format!("name=\"{name}\" value=\"")).expect("the field");
        field.split('"').next().expect("a value").to_owned()
    }

    /// The value of a `data-` attribute.
    fn data(&self, name: &str) -> &str {
        let (_, value) = self.html.split_once(&format!("{name}=\"")).expect("the attribute");
        value.split('"').next().expect("its end")
    }

    fn shows(&self, text: &str) {
        assert!(self.html.contains(text), "no {text:?} in {}", self.html);
    }

    fn lacks(&self, text: &str) {
        assert!(!self.html.contains(text), "{text:?} in {}", self.html);
    }

    fn title(&self) -> &str {
        let (_, title) = self.html.split_once("<title>").expect("a title");
        title.split("</title>").next().expect("its end")
    }

    /// Checks the properties that every page must have, and that none may have.
    fn check_page(&self, lang: Lang) {
        assert_eq!(self.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(self.headers.get(CONTENT_SECURITY_POLICY).expect("one"), PAGE_POLICY);
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(self.header("referrer-policy"), "same-origin");
        assert_eq!(self.header("cross-origin-opener-policy"), "same-origin");
        assert!(self.html.contains(&format!("<html lang=\"{}\">", lang.code())), "{}", self.html);
        assert_eq!(self.html.matches("<h1").count(), 1, "{}", self.html);
        let others_name = lang.other().own_name();
        assert!(self.html.contains(&format!(">{others_name}</a>")), "{}", self.html);
        for never in ["style=", "onclick", "onload", "<script>", "javascript:", "http://"] {
            let html = self.html.replace("http://www.w3.org/2000/svg", "");
            assert!(!html.contains(never), "{never}: {html}");
        }
    }
}

/// NAS and code of the elector with index `index`, as a voter types them: in groups.
fn typed(index: u32) -> (String, String) {
    let nas = format!("0{index:08}");
    (format!("{}+{}-{}", &nas[..3], &nas[3..6], &nas[6..]), format!("code-{index:04}"))
}

#[tokio::test]
async fn each_page_has_its_status_language_title_and_header_fields() {
    let site = Site::open().await;
    for lang in Lang::ALL {
        let code = lang.code();
        for (path, title) in [
            (String::new(), lang.start_title().to_owned()),
            ("elections".to_owned(), lang.elections_title().to_owned()),
            (format!("vote/{LAW}"), lang.sign_in_title().to_owned()),
            ("help".to_owned(), lang.help_title().to_owned()),
            ("accessibility".to_owned(), lang.menu_accessibility().to_owned()),
            ("receipts".to_owned(), lang.menu_receipts().to_owned()),
        ] {
            let answer = site.get(&format!("/{code}/{path}"), "").await;
            assert_eq!(answer.status, StatusCode::OK, "{path}");
            answer.check_page(lang);
            assert_eq!(answer.title(), format!("{title} – {}", lang.site_name()));
            let same = format!("href=\"/{}/{path}\" lang=", lang.other().code());
            assert!(answer.html.contains(&same), "{path}: {}", answer.html);
            assert!(!answer.headers.contains_key(SET_COOKIE), "{path}: no session, no cookie");
        }
        let results = site.get(&format!("/{code}/results/{LAW}"), "").await;
        assert_eq!(results.status, StatusCode::OK);
        results.check_page(lang);
        assert!(results.html.contains("data-count=\"oui\""), "{}", results.html);
        assert!(results.html.contains(&format!("/api/v1/results/{LAW}/events")));
    }
    site.end().await;
}

#[tokio::test]
async fn the_root_leads_to_the_preferred_language() {
    let site = Site::open().await;
    for (wish, expected) in [("en-CA,fr;q=0.5", "/en/"), ("de", "/fr/"), ("", "/fr/")] {
        let request = Request::get("/").header("accept-language", wish);
        let answer = site.exchange(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        assert_eq!(answer.headers.get(LOCATION).expect("a place"), expected);
        assert_eq!(answer.header("vary"), "accept-language");
    }
    assert_eq!(site.get("/fr", "").await.header("location"), "/fr/");
    assert_eq!(site.get("/en", "").await.header("location"), "/en/");
    site.end().await;
}

#[tokio::test]
async fn problems_are_pages_in_the_language_of_the_address() {
    let site = Site::open().await;
    for lang in Lang::ALL {
        let code = lang.code();
        for (path, problem, status) in [
            ("nowhere", "unknown-route", StatusCode::NOT_FOUND),
            ("vote/L9", "unknown-election", StatusCode::NOT_FOUND),
            ("results/L9", "unknown-election", StatusCode::NOT_FOUND),
            ("votes/xyz", "unknown-request", StatusCode::NOT_FOUND),
            ("sign-out", "method-not-allowed", StatusCode::METHOD_NOT_ALLOWED),
        ] {
            let answer = site.get(&format!("/{code}/{path}"), "").await;
            assert_eq!(answer.status, status, "{path}");
            answer.check_page(lang);
            let title = lang.problem(problem).title;
            assert!(answer.title().starts_with(&format!("{}{title}", lang.error_prefix())));
            assert!(answer.html.contains(problem), "{}", answer.html);
        }
    }
    let other = site.get("/de/", "").await;
    assert_eq!(other.header("content-type"), "application/problem+json");
    site.end().await;
}

#[tokio::test]
async fn a_form_of_another_origin_is_refused() {
    let site = Site::open().await;
    let (nas, code) = typed(1);
    for path in [
        format!("/fr/vote/{LAW}"),
        format!("/fr/vote/{LAW}/ballot"),
        format!("/fr/vote/{LAW}/cast"),
    ] {
        for origin in [None, Some("http://evil.example"), Some("null"), Some("https://localhost")] {
            let mut request = Request::post(&path)
                .header(HOST, "localhost")
                .header("content-type", "application/x-www-form-urlencoded");
            if let Some(origin) = origin {
                request = request.header(ORIGIN, origin);
            }
            let body = Body::from(format!("nas={nas}&code={code}&choice=oui"));
            let answer = site.exchange(request.body(body).expect("a request")).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} {origin:?}");
            answer.check_page(Lang::Fr);
            assert!(
                answer.html.contains("foreign-origin") && answer.headers.get(SET_COOKIE).is_none()
            );
        }
    }
    site.end().await;
}

#[tokio::test]
async fn a_sign_in_reports_each_field_and_repeats_nothing_typed() {
    let site = Site::open().await;
    let path = format!("/en/vote/{LAW}");
    for (nas, code, links) in [
        ("", "", vec!["#nas", "#code"]),
        ("12345", "CODE0001", vec!["#nas"]),
        ("000000001", "x", vec!["#code"]),
        ("000000001", "WRONG9999", vec!["#nas"]),
    ] {
        let answer = site.post(&path, "", &[("nas", nas), ("code", code)]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{nas} {code}");
        answer.check_page(Lang::En);
        assert!(answer.title().starts_with("Error: "), "{}", answer.title());
        for link in links {
            assert!(answer.html.contains(&format!("<li><a href=\"{link}\">")), "{}", answer.html);
        }
        for typed in [nas, code].into_iter().filter(|typed| typed.len() > 3) {
            assert!(!answer.html.contains(typed), "{typed}");
        }
        assert!(!answer.headers.contains_key(SET_COOKIE));
        assert_eq!(answer.html.matches("autocomplete=\"off\"").count(), 2);
    }
    site.end().await;
}

#[tokio::test]
async fn pages_of_a_session_hold_neither_nas_nor_code_nor_hash() {
    let site = Site::open().await;
    let cookie = site.sign_in(3).await;
    assert!(cookie.starts_with("votekit-local="), "without TLS: {cookie}");
    let hash = CredentialHasher::plain().hash(&credential(3)).to_hex();
    let ballot_path = format!("/fr/vote/{LAW}/ballot");
    let ballot = site.get(&ballot_path, &cookie).await;
    assert_eq!(ballot.status, StatusCode::OK);
    ballot.check_page(Lang::Fr);
    assert!(ballot.html.contains("<legend><h1>Loi sur l’eau</h1></legend>"), "{}", ballot.html);
    assert_eq!(ballot.html.matches("type=\"radio\"").count(), 3);
    assert!(!ballot.html.contains("checked"), "nothing is selected");
    let token = ballot.hidden(&ballot_path, "token");
    let check = site
        .post(&ballot_path, &ballot.cookie(), &[("choice", "oui"), ("token", token.as_str())])
        .await;
    assert_eq!(check.status, StatusCode::OK);
    check.check_page(Lang::Fr);
    assert!(check.html.contains("Vous n’avez pas encore voté"), "{}", check.html);
    let key = check.hidden(&format!("/fr/vote/{LAW}/cast"), "key");
    assert_eq!(key.len(), 32);
    for page in [&ballot, &check] {
        for secret in ["000000003", "CODE0003", "code-0003", hash.as_str()] {
            assert!(!page.html.contains(secret), "{secret}");
        }
        let set = page.header("set-cookie");
        assert!(set.contains("HttpOnly; SameSite=Strict"), "{set}");
    }
    site.end().await;
}

#[tokio::test]
async fn a_ballot_without_a_choice_is_shown_again_with_the_error() {
    let site = Site::open().await;
    let cookie = site.sign_in(4).await;
    let path = format!("/fr/vote/{LAW}/ballot");
    let ballot = site.get(&path, &cookie).await;
    let token = ballot.hidden(&path, "token");
    for choice in ["", "peut-etre", "<script>"] {
        let answer =
            site.post(&path, &cookie, &[("choice", choice), ("token", token.as_str())]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{choice}");
        answer.check_page(Lang::Fr);
        assert!(answer.title().starts_with("Erreur\u{a0}: "), "{}", answer.title());
        assert!(answer.html.contains("href=\"#choice-0\""));
    }
    site.end().await;
}

#[tokio::test]
async fn a_session_that_ended_keeps_the_choice() {
    let site = Site::open().await;
    let key = "ab".repeat(16);
    for step in ["ballot", "cast"] {
        let path = format!("/fr/vote/{LAW}/{step}");
        let fields = [("choice", "non"), ("key", key.as_str()), ("token", "stale")];
        let answer = site.post(&path, "", &fields).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{step}");
        answer.check_page(Lang::Fr);
        let sign_in = format!("/fr/vote/{LAW}");
        assert_eq!(answer.hidden(&sign_in, "choice"), "non");
        assert_eq!(answer.hidden(&sign_in, "key"), key);
        assert!(answer.html.contains("Votre choix est conservé"), "{}", answer.html);
        let (nas, code) = typed(5);
        let fields = [("nas", nas.as_str()), ("code", code.as_str())];
        let fields = [&fields[..], &[("choice", "non"), ("key", key.as_str())]].concat();
        let check = site.post(&sign_in, "", &fields).await;
        assert_eq!(check.status, StatusCode::OK, "the check page follows at once");
        let cast = format!("/fr/vote/{LAW}/cast");
        assert_eq!(check.hidden(&cast, "choice"), "non");
        assert_eq!(check.hidden(&cast, "key"), key, "a repetition stays the same request");
    }
    let stranger = site.get(&format!("/fr/vote/{LAW}/ballot"), "").await;
    assert_eq!(stranger.header("location"), format!("/fr/vote/{LAW}"));
    site.end().await;
}

#[tokio::test]
async fn a_form_of_another_session_casts_nothing() {
    let site = Site::open().await;
    let (mine, other) = (site.sign_in(6).await, site.sign_in(7).await);
    let (ballot, cast) = (format!("/fr/vote/{LAW}/ballot"), format!("/fr/vote/{LAW}/cast"));
    let token = site.get(&ballot, &mine).await.hidden(&ballot, "token");
    let check = site.post(&ballot, &mine, &[("choice", "oui"), ("token", token.as_str())]).await;
    let (key, token) = (check.hidden(&cast, "key"), check.hidden(&cast, "token"));
    let fields = [("choice", "oui"), ("key", key.as_str()), ("token", token.as_str())];
    assert_eq!(site.post(&cast, &other, &fields).await.status, StatusCode::FORBIDDEN);
    let changed = "cd".repeat(16);
    let fields = [("choice", "oui"), ("key", changed.as_str()), ("token", token.as_str())];
    assert_eq!(site.post(&cast, &mine, &fields).await.status, StatusCode::FORBIDDEN);
    assert_eq!(site.api.node.election(&law()).expect("it").received, 0);
    site.end().await;
}

#[tokio::test]
async fn texts_of_an_election_are_escaped_everywhere() {
    let nasty = "<script>alert(1)</script>\"'&";
    let choice = |id: &str, label: String| ChoiceRequest::Labelled {
        id: id.to_owned(),
        fr: label.clone(),
        en: label,
    };
    let request = CreateElection {
        title_fr: nasty.to_owned(),
        title_en: nasty.to_owned(),
        description_fr: nasty.to_owned(),
        description_en: nasty.to_owned(),
        choices: vec![choice("oui", format!("{nasty}1")), choice("non", format!("{nasty}2"))],
        ..create_request()
    };
    let site = Site::open_with(request).await;
    let cookie = site.sign_in(8).await;
    let ballot = format!("/fr/vote/{LAW}/ballot");
    let token = site.get(&ballot, &cookie).await.hidden(&ballot, "token");
    let mut pages =
        vec![site.post(&ballot, &cookie, &[("choice", "oui"), ("token", token.as_str())]).await];
    for path in ["/fr/", "/fr/elections", &ballot, &format!("/fr/vote/{LAW}")] {
        pages.push(site.get(path, &cookie).await);
    }
    pages.push(site.get(&format!("/fr/results/{LAW}"), &cookie).await);
    for page in pages {
        assert_eq!(page.status, StatusCode::OK);
        page.check_page(Lang::Fr);
        assert!(!page.html.contains("alert(1)<"), "{}", page.html);
        assert!(page.html.contains("&#60;script&#62;alert(1)&#60;/script&#62;"), "{}", page.html);
    }
    let reflected = site.get("/fr/%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "").await;
    assert_eq!(reflected.status, StatusCode::NOT_FOUND);
    reflected.check_page(Lang::Fr);
    site.end().await;
}

#[tokio::test]
async fn no_answer_leads_to_another_site() {
    let site = Site::open().await;
    for path in
        ["//evil.example", "/fr//evil.example", "/fr/%2f%2fevil.example", "/en/\\evil.example"]
    {
        let Ok(request) = Request::get(path).body(Body::empty()) else { continue };
        let answer = site.exchange(request).await;
        assert_eq!(answer.header("location"), "", "{path}");
        for marker in ["href=\"//", "href=\"http", "action=\"//", "action=\"http"] {
            assert!(!answer.html.contains(marker), "{path}: {}", answer.html);
        }
    }
    for law in ["..", "%2f%2fevil.example", "L1%0d%0aset-cookie:x=1"] {
        let answer =
            site.post(&format!("/fr/vote/{law}"), "", &[("nas", "1"), ("code", "1")]).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{law}");
        assert_eq!(answer.header("location"), "", "{law}");
    }
    site.end().await;
}

#[tokio::test]
async fn test_banner_is_on_every_page_in_both_languages() {
    let site = Site::open().await;
    for path in ["/fr/".to_owned(), "/en/help".to_owned(), format!("/fr/vote/{LAW}")] {
        let html = site.get(&path, "").await.html;
        assert!(html.contains("class=\"banner\""), "{path}");
        assert!(html.contains("<p lang=\"fr\">") && html.contains("<p lang=\"en\">"), "{html}");
    }
    site.end().await;
}

#[tokio::test]
async fn withheld_results_are_nowhere_on_the_page() {
    use votekit_core::election::ResultsPolicy;
    let request = CreateElection {
        results: Some(ResultsPolicy::AfterClose),
        publish_every: None,
        ..create_request()
    };
    let site = Site::open_with(request).await;
    let html = site.get(&format!("/fr/results/{LAW}"), "").await.html;
    assert!(html.contains("Les résultats seront affichés après la fermeture"), "{html}");
    assert!(!html.contains("data-count"), "{html}");
    site.end().await;
}

#[tokio::test]
async fn results_after_the_vote_are_on_the_page_of_the_session_that_cast_it() {
    let policy = votekit_core::election::ResultsPolicy::AfterVote;
    let site = Site::open_with(CreateElection { results: Some(policy), ..create_request() }).await;
    let (path, english) = (format!("/fr/results/{LAW}"), format!("/en/results/{LAW}"));
    let signed_in = site.sign_in(21).await;
    let (cookie, vote) = site.vote(LAW, "oui", &signed_in).await;
    // The page of the vote waits until it is decided.
    site.get(&vote, &cookie).await.shows("outcome good");
    for (path, lang) in [(&path, Lang::Fr), (&english, Lang::En)] {
        let shown = site.get(path, &cookie).await;
        assert_eq!(shown.status, StatusCode::OK);
        shown.check_page(lang);
        shown.shows("data-count=\"oui\">1<");
        shown.shows(lang.shown_after_vote());
        shown.lacks(lang.withheld_heading());
        assert_eq!(shown.header("cache-control"), "no-store");
        // Neither without the session, nor before its vote.
        for other in ["", &signed_in, &site.sign_in(22).await] {
            let withheld = site.get(path, other).await;
            withheld.shows(lang.withheld_after_vote());
            withheld.lacks("data-count");
            withheld.lacks(lang.shown_after_vote());
        }
    }
    site.api.node.close(&law()).await.expect("closed");
    let closed = site.get(&path, &cookie).await;
    closed.shows("data-count=\"oui\">1<");
    closed.lacks(Lang::Fr.shown_after_vote());
    site.end().await;
}

#[tokio::test]
async fn a_sign_out_removes_the_cookie() {
    let site = Site::open().await;
    let cookie = site.sign_in(9).await;
    let page = site.get("/fr/", &cookie).await;
    let token = page.hidden("/fr/sign-out", "token");
    let refused = site.post("/fr/sign-out", &cookie, &[("token", "stale")]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let answer = site.post("/fr/sign-out", &cookie, &[("token", token.as_str())]).await;
    assert_eq!(answer.status, StatusCode::OK);
    answer.check_page(Lang::Fr);
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(answer.header("clear-site-data"), "\"cache\", \"storage\"");
    assert!(!answer.html.contains("action=\"/fr/sign-out\""), "{}", answer.html);
    site.end().await;
}

#[tokio::test]
async fn style_and_scripts_are_kept_by_the_browser() {
    let site = Site::open().await;
    let html = site.get("/fr/", "").await.html;
    for part in html.split('"').filter(|part| part.starts_with("/static/")) {
        let answer = site.get(part, "").await;
        assert_eq!(answer.status, StatusCode::OK, "{part}");
        assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
    }
    for missing in ["/static/page.js", "/static/..", "/static/page-0000000000000000.js"] {
        assert_eq!(site.get(missing, "").await.status, StatusCode::NOT_FOUND, "{missing}");
    }
    let head = Request::builder().method(Method::HEAD).uri("/fr/");
    let answer = site.exchange(head.body(Body::empty()).expect("a request")).await;
    assert_eq!((answer.status, answer.html.as_str()), (StatusCode::OK, ""));
    site.end().await;
}
