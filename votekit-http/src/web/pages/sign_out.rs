//! The sign-out: ends the session, so that a copied cookie is void too, and removes the cookie and
//! the data of this site that the browser kept.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::Response;

use crate::api::PathText;
use crate::context::Api;
use crate::problem::Problem;
use crate::sessions::Form;
use crate::web::error_page::MessagePage;
use crate::web::lang::Lang;
use crate::web::page_form::read_page_form;
use crate::web::visit::{Visit, clear_site_data};

/// `POST /{lang}/sign-out`.
pub(crate) async fn sign_out(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, form) = read_page_form(&api, request).await?;
    let mut visit = Visit::begin(&api, lang, &head.headers);
    if visit.session.is_some() && !visit.has_sent(&Form::SignOut, form.text("token")) {
        return Err(Problem::ForeignOrigin);
    }
    visit.session = None;
    let page = MessagePage::new(visit.frame(lang.signed_out_title(), "/")?, lang.signed_out_text());
    let mut response = visit.answer(StatusCode::OK, &page)?;
    let cleared = api.sessions.end(&head.headers, api.now());
    response.headers_mut().insert(SET_COOKIE, cleared);
    clear_site_data(&mut response);
    Ok(response)
}
