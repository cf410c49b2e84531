//! Problems as pages: what happened and what to do, in the language of the address.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::middleware::Next;

use super::frame::Frame;
use super::lang::Lang;
use super::visit::page_response;
use crate::context::Api;
use crate::problem::ProblemMark;

/// A message by itself: a problem, or the end of a session.
#[derive(Template)]
#[template(path = "message.html")]
pub(super) struct MessagePage {
    pub(super) frame: Frame,
    pub(super) text: String,
    /// When to try again.
    pub(super) retry: String,
    /// The code of the problem.
    pub(super) code: String,
    pub(super) support: String,
}

/// The fields of a problem that a page keeps.
const KEPT: [axum::http::HeaderName; 3] = [RETRY_AFTER, ALLOW, CONNECTION];

/// Answers problems under the address of a page as pages.
pub(crate) async fn as_page(
    State(api): State<Arc<Api>>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let path = request.uri().path();
    let Some(lang) = Lang::of_path(path) else { return next.run(request).await };
    let path = path.to_owned();
    localized(&api, lang, &path, next.run(request).await)
}

/// The page for an answer that is a problem; any other answer is returned as it is.
pub(crate) fn localized(
    api: &Api,
    lang: Lang,
    path: &str,
    answer: Response<Body>,
) -> Response<Body> {
    let is_problem = answer
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes() == b"application/problem+json");
    if !is_problem {
        return answer;
    }
    let mark = answer.extensions().get::<ProblemMark>().copied();
    // The gate's refusals, whose bodies are made once, have no mark.
    let code = mark.map_or(code_of(answer.status()), |mark| mark.kind.code);
    let text = lang.problem(code);
    let frame = Frame::new(&api.node, lang, text.title, shown_path(path)).with_error(true);
    let request = mark.and_then(|mark| mark.request);
    let page = MessagePage {
        frame,
        text: text.advice.to_owned(),
        retry: retry_sentence(lang, answer.headers()),
        code: code.to_owned(),
        support: request.map(|request| support_code(&request.to_hex())).unwrap_or_default(),
    };
    let Ok(mut page) = page_response(answer.status(), &page) else { return answer };
    for name in KEPT {
        if let Some(value) = answer.headers().get(&name) {
            page.headers_mut().insert(name, value.clone());
        }
    }
    page
}

fn code_of(status: StatusCode) -> &'static str {
    if status == StatusCode::TOO_MANY_REQUESTS { "rate-limited" } else { "internal" }
}

/// The path of the page in the other language: one that a `GET` opens.
fn shown_path(path: &str) -> &str {
    let path = path.get(3..).filter(|path| !path.is_empty()).unwrap_or("/");
    match path {
        "/sign-out" => "/",
        "/accounts/sign-out" | "/accounts/invitation" => "/accounts/sign-in",
        _ if path.starts_with("/officials/accounts/") => "/officials/accounts",
        _ => path.strip_suffix("/cast").unwrap_or(path),
    }
}

/// When to try again, by `Retry-After`.
pub(super) fn retry_sentence(lang: Lang, headers: &HeaderMap) -> String {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    seconds.map(|seconds| lang.try_again_in(&lang.seconds(seconds))).unwrap_or_default()
}

/// The support code of a request: enough to find it in the log, without identity.
pub(super) fn support_code(request: &str) -> String {
    let first = request.get(..8).unwrap_or(request);
    first.to_ascii_uppercase()
}
