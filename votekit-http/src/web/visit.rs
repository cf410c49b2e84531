//! A request for a page: its language, the voter's session, and the answer with its header fields.

use askama::Template;
use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, SET_COOKIE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use votekit_node::memory::stack_used;

use super::frame::Frame;
use super::lang::Lang;
use super::moment::Moment;
use crate::context::Api;
use crate::problem::Problem;
use crate::sessions::{Form, Session};

/// A page loads only from its own origin, sends forms only there, and cannot be framed.
pub(super) const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
     connect-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'";

/// With `no-referrer` browsers would send `Origin: null` with the forms of a page.
const PAGE_REFERRER: &str = "same-origin";

/// Browser features that are denied to every page, and so to an injected script.
const PERMISSIONS: &str = "camera=(), geolocation=(), microphone=(), payment=(), usb=(), \
     display-capture=(), clipboard-read=(), interest-cohort=()";

/// The header fields of every page.
fn page_headers() -> [(HeaderName, &'static str); 6] {
    [
        (CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, PAGE_REFERRER),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS),
    ]
}

/// A request for a page.
pub(crate) struct Visit<'a> {
    pub(crate) api: &'a Api,
    pub(crate) lang: Lang,
    /// The voter's session; the answer renews it.
    pub(crate) session: Option<Session>,
}

impl<'a> Visit<'a> {
    /// Opens the session of a request, if it has one.
    pub(crate) fn begin(api: &'a Api, lang: Lang, headers: &HeaderMap) -> Self {
        // The session contains hashes of credentials.
        stack_used();
        Self { api, lang, session: api.sessions.open(headers, api.now()) }
    }

    /// The frame of a page; `path` is the page's path after its language.
    ///
    /// # Errors
    /// [`Problem::Internal`].
    pub(crate) fn frame(&self, title: &str, path: &str) -> Result<Frame, Problem> {
        let mut frame = Frame::new(&self.api.node, self.lang, title, path);
        if self.session.is_some() {
            frame.has_session = true;
            frame.sign_out_token = self.token(&Form::SignOut)?;
            frame.extend_token = self.token(&Form::Extend)?;
        }
        Ok(frame)
    }

    /// The token for a form of this session; empty without a session.
    ///
    /// # Errors
    /// [`Problem::Internal`].
    pub(crate) fn token(&self, form: &Form<'_>) -> Result<String, Problem> {
        let Some(session) = &self.session else { return Ok(String::new()) };
        Ok(self.api.sessions.form_token(session, form, self.api.now())?)
    }

    /// Whether the request has a session, and a form of this session was sent.
    pub(crate) fn has_sent(&self, form: &Form<'_>, token: &str) -> bool {
        let admits = |session| self.api.sessions.admits(session, form, token, self.api.now());
        self.session.as_ref().is_some_and(admits)
    }

    /// A time of a view, for a page. `None` without one.
    pub(crate) fn moment(&self, rfc3339: Option<&str>) -> Option<Moment> {
        let moment = Moment::new(self.lang, rfc3339?)?;
        Some(moment.in_zone_of(self.lang, &self.api.node.config().pages))
    }

    /// Answers with a page.
    ///
    /// # Errors
    /// [`Problem::Internal`].
    pub(crate) fn answer(
        self,
        status: StatusCode,
        page: &impl Template,
    ) -> Result<Response, Problem> {
        let mut response = page_response(status, page)?;
        self.renew(&mut response)?;
        Ok(response)
    }

    /// Sends the browser to another page of this node.
    ///
    /// # Errors
    /// [`Problem::Internal`].
    pub(crate) fn redirect(self, path: &str) -> Result<Response, Problem> {
        let mut response = redirect_response(path)?;
        self.renew(&mut response)?;
        Ok(response)
    }

    /// Answers a script, which needs no page.
    ///
    /// # Errors
    /// [`Problem::Internal`].
    pub(crate) fn no_content(self) -> Result<Response, Problem> {
        let mut response = bare_response(StatusCode::NO_CONTENT);
        self.renew(&mut response)?;
        Ok(response)
    }

    fn renew(self, response: &mut Response) -> Result<(), Problem> {
        if let Some(mut session) = self.session {
            stack_used();
            let now = self.api.now();
            let cookie = self.api.sessions.seal(&mut session, now)?;
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        Ok(())
    }
}

/// A page, with the header fields of all pages.
///
/// # Errors
/// [`Problem::Internal`].
pub(super) fn page_response(status: StatusCode, page: &impl Template) -> Result<Response, Problem> {
    let html = page.render().map_err(|_| Problem::Internal)?;
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    for (name, value) in page_headers() {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// Asks the browser to clear its cache and storage of this site.
pub(super) fn clear_site_data(response: &mut Response) {
    // Not `"cookies"`, which would sign the reader out of every host of the same domain.
    let cleared = HeaderValue::from_static("\"cache\", \"storage\"");
    response.headers_mut().insert(HeaderName::from_static("clear-site-data"), cleared);
}

/// 303 to a path of this node. Paths are made of a language, fixed words and checked ids, so none
/// leads to another site.
///
/// # Errors
/// [`Problem::Internal`].
pub(crate) fn redirect_response(path: &str) -> Result<Response, Problem> {
    let mut response = bare_response(StatusCode::SEE_OTHER);
    let location = HeaderValue::try_from(path).map_err(|_| Problem::Internal)?;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// An answer without a body, with the header fields of all pages.
fn bare_response(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    for (name, value) in page_headers() {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
