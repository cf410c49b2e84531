//! A node with officials for the tests of their pages, and a browser without scripts.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_SECURITY_POLICY, COOKIE, HOST, SET_COOKIE};
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use votekit_store::AccountRole;

use self::form_support::{app_code, form, recovery_codes};
use self::support::{TestDir, create_request};
use super::lang::Lang;
use super::visit::PAGE_POLICY;
use crate::context::Api;
use crate::gate::Gate;
use crate::routes;

#[path = "../../tests/form_support/mod.rs"]
mod form_support;
use crate::test_support as support;

pub(super) use self::form_support::{PASSWORD, hidden};
pub(super) use self::support::{LAW, law};

/// A node with a draft and its roll, its gate and its router.
pub(super) struct Site {
    pub(super) api: Arc<Api>,
    gate: Gate,
    router: Router,
    _dir: TestDir,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) html: String,
}

impl Site {
    pub(super) async fn with_draft() -> Self {
        let dir = TestDir::new(30);
        let node = dir.start().await;
        node.load(&dir.path("hashes"), None).await.expect("loaded");
        node.create(create_request()).await.expect("created");
        let api = Api::new(node, b"token");
        Self { gate: Gate::new(&api), router: routes::public(&api), api, _dir: dir }
    }

    pub(super) async fn exchange(&self, request: Request<Body>) -> Answer {
        let answer = self.gate.pass(&self.router, request).await;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let html = String::from_utf8(body.to_vec()).expect("UTF-8");
        Answer { status: head.status, headers: head.headers, html }
    }

    pub(super) async fn get(&self, path: &str, cookie: &str) -> Answer {
        let request = Request::get(path).header(HOST, "localhost").header(COOKIE, cookie);
        self.exchange(request.body(Body::empty()).expect("a request")).await
    }

    pub(super) async fn post(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
        let request = Request::post(path)
            .header(HOST, "localhost")
            .header(COOKIE, cookie)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded");
        self.exchange(request.body(Body::from(form(fields))).expect("a request")).await
    }

    /// Opens a page and sends its form with this action: its token, and the typed values.
    pub(super) async fn submit(
        &self,
        page: &str,
        action: &str,
        cookie: &str,
        typed: &[(&str, &str)],
    ) -> Answer {
        let token = hidden(&self.get(page, cookie).await.html, action, "token");
        let fields = [&[("token", token.as_str())][..], typed].concat();
        self.post(action, cookie, &fields).await
    }

    /// The address of a new invitation.
    pub(super) async fn invite(&self, email: &str, role: AccountRole) -> String {
        let link = self.api.accounts.invite(email, role).await.expect("invited");
        link.path("fr")
    }

    /// Follows the link of an invitation: password, second factor.
    pub(super) async fn accept(&self, path: &str) -> Answer {
        let action = "/fr/accounts/invitation";
        let secret = hidden(&self.get(path, "").await.html, action, "secret");
        let code = app_code(&secret, self.api.now().0);
        let typed = [
            ("secret", secret.as_str()),
            ("password", PASSWORD),
            ("repeat", PASSWORD),
            ("code", code.as_str()),
        ];
        let done = self.submit(path, action, "", &typed).await;
        assert_eq!(done.status, StatusCode::OK, "{}", done.html);
        done
    }

    /// Activates a new account and returns its recovery codes.
    pub(super) async fn activate(&self, email: &str, role: AccountRole) -> Vec<String> {
        let path = self.invite(email, role).await;
        recovery_codes(&self.accept(&path).await.html)
    }

    /// Signs a new account in and returns its cookie.
    pub(super) async fn sign_in(&self, email: &str, role: AccountRole) -> String {
        let codes = self.activate(email, role).await;
        let typed = [("email", email), ("password", PASSWORD), ("code", codes[0].as_str())];
        let answer = self.post("/fr/accounts/sign-in", "", &typed).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.html);
        answer.cookie()
    }

    pub(super) async fn administrator(&self) -> String {
        self.sign_in("admin@example.ca", AccountRole::Administrator).await
    }

    pub(super) async fn end(self) {
        self.api.node.clone().shutdown().await;
    }
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("visible ASCII"))
    }

    pub(super) fn cookie(&self) -> String {
        let set = self.headers.get(SET_COOKIE).expect("a cookie").to_str().expect("visible ASCII");
        set.split(';').next().expect("a pair").to_owned()
    }

    pub(super) fn title(&self) -> &str {
        let (_, title) = self.html.split_once("<title>").expect("a title");
        title.split("</title>").next().expect("its end")
    }

    /// Checks the properties that every page must have, and that none may have.
    pub(super) fn check_page(&self, lang: Lang) {
        assert_eq!(self.header("content-type"), "text/html; charset=utf-8", "{}", self.html);
        assert_eq!(self.headers.get(CONTENT_SECURITY_POLICY).expect("one"), PAGE_POLICY);
        assert_eq!(self.header("cache-control"), "no-store");
        assert!(self.html.contains(&format!("<html lang=\"{}\">", lang.code())), "{}", self.html);
        assert_eq!(self.html.matches("<h1").count(), 1, "{}", self.html);
        for never in ["style=", "onclick", "onload", "<script>", "javascript:", "alert(1)<"] {
            assert!(!self.html.contains(never), "{never}: {}", self.html);
        }
    }

    /// Checks that the page reports these fields, in its summary and at the fields.
    pub(super) fn reports(&self, fields: &[&str]) {
        assert!(self.title().starts_with("Erreur\u{a0}: "), "{}", self.title());
        assert!(self.html.contains("tabindex=\"-1\" autofocus data-focus"), "{}", self.html);
        assert_eq!(self.html.matches("<li><a href=\"#").count(), fields.len(), "{}", self.html);
        for field in fields {
            let link = format!("<li><a href=\"#{field}\">");
            assert!(self.html.contains(&link), "{field}: {}", self.html);
            assert!(self.html.contains(&format!("id=\"{field}\"")), "{field}: {}", self.html);
            assert!(self.html.contains(&format!("id=\"{field}-error\"")), "{field}");
        }
    }
}
