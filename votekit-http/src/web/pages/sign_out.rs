//! The sign-out: removes the cookie, and what the browser kept of this site.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;

use crate::api::PathText;
use crate::context::Api;
use crate::guard::form_body::FormBody;
use crate::guard::same_origin::check_same_origin;
use crate::problem::Problem;
use crate::sessions::Form;
use crate::web::error_page::MessagePage;
use crate::web::lang::Lang;
use crate::web::visit::Visit;

static CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// Not `"cookies"`, which would sign the reader out of every host of the same domain.
const CLEARED: &str = "\"cache\", \"storage\"";

/// `POST /{lang}/sign-out`.
pub(crate) async fn sign_out(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    check_same_origin(&head.headers, api.sessions.is_confidential())?;
    let time = api.node.config().request_timeout();
    let form = FormBody::read(&head.headers, body, time).await?;
    let mut visit = Visit::begin(&api, lang, &head.headers);
    if visit.session.is_some() && !visit.has_sent(&Form::SignOut, form.text("token")) {
        return Err(Problem::ForeignOrigin);
    }
    visit.session = None;
    let page = MessagePage {
        frame: visit.frame(lang.signed_out_title(), "/")?,
        text: lang.signed_out_text().to_owned(),
        retry: String::new(),
        code: String::new(),
        support: String::new(),
    };
    let mut response = visit.answer(StatusCode::OK, &page)?;
    let headers = response.headers_mut();
    headers.insert(SET_COOKIE, api.sessions.clear());
    headers.insert(&CLEAR_SITE_DATA, HeaderValue::from_static(CLEARED));
    Ok(response)
}
