//! Problems as pages: an explanation and advice, in the language of the address.

use askama::Template;
use axum::body::Body;
use axum::http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, Response, StatusCode};

use super::frame::Frame;
use super::lang::Lang;
use super::moment::Moment;
use super::page_path::shown_path;
use super::visit::page_response;
use crate::context::Api;
use crate::problem::{self, ProblemMark};
use crate::support_code;

/// A page with only a message: a problem, or the end of a session.
#[derive(Template)]
#[template(path = "message.html")]
pub(super) struct MessagePage {
    pub(super) frame: Frame,
    pub(super) text: String,
    /// When to retry; empty if not at all.
    pub(super) retry: String,
    /// The code of the problem; empty without one.
    pub(super) code: String,
    /// The code by which support finds this page in the log; empty without one.
    pub(super) support: String,
}

impl MessagePage {
    /// A message that is not about a problem.
    pub(super) fn new(frame: Frame, text: &str) -> Self {
        let (retry, code, support) = (String::new(), String::new(), String::new());
        Self { frame, text: text.to_owned(), retry, code, support }
    }
}

/// A poll that is not open: when it opens, or when it closed.
#[derive(Template)]
#[template(path = "not_open.html")]
struct NotOpenPage {
    frame: Frame,
    text: &'static str,
    label: &'static str,
    moment: Moment,
    code: &'static str,
    support: String,
}

/// The fields of a problem that a page keeps.
const KEPT: [axum::http::HeaderName; 3] = [RETRY_AFTER, ALLOW, CONNECTION];

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
    let status = answer.status();
    // The gate's refusals get no code: a flood of them is not worth a line each.
    let support = mark.map(|mark| support(api, mark, status)).unwrap_or_default();
    let page = match mark.and_then(|mark| moment(api, lang, mark)) {
        Some((label, moment)) => {
            let text = text.advice;
            page_response(status, &NotOpenPage { frame, text, label, moment, code, support })
        }
        None => {
            let page = MessagePage {
                frame,
                text: text.advice.to_owned(),
                retry: retry_sentence(lang, answer.headers()),
                code: code.to_owned(),
                support,
            };
            page_response(status, &page)
        }
    };
    let Ok(mut page) = page else { return answer };
    for name in KEPT {
        if let Some(value) = answer.headers().get(&name) {
            page.headers_mut().insert(name, value.clone());
        }
    }
    page
}

/// The code of the request that was issued, or one for the problem.
fn support(api: &Api, mark: ProblemMark, status: StatusCode) -> String {
    match mark.request {
        Some(request) => support_code::from_request(&request.to_hex()),
        None => api.support.issue(mark.kind.code, status),
    }
}

/// When the poll opens or closed, with its label.
fn moment(api: &Api, lang: Lang, mark: ProblemMark) -> Option<(&'static str, Moment)> {
    let moment = Moment::new(lang, &mark.when?.to_rfc3339())?;
    let is_early = *mark.kind == problem::NOT_OPEN_YET;
    let label = if is_early { lang.column_opens() } else { lang.column_closes() };
    Some((label, moment.in_zone_of(lang, &api.node.config().pages)))
}

fn code_of(status: StatusCode) -> &'static str {
    if status == StatusCode::TOO_MANY_REQUESTS { "rate-limited" } else { "internal" }
}

/// When to try again, by `Retry-After`.
pub(super) fn retry_sentence(lang: Lang, headers: &HeaderMap) -> String {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    seconds.map(|seconds| lang.try_again_in(&lang.seconds(seconds))).unwrap_or_default()
}
