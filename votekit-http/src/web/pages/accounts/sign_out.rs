//! The sign-out of an account: the session ends in the store, so that a copied cookie is void too.
//! The ballot session of a member ends with it: the next person at the browser could cast the
//! member's ballots.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::Response;
use votekit_node::memory::stack_used;
use votekit_store::AccountRole;

use crate::api::PathText;
use crate::context::Api;
use crate::problem::Problem;
use crate::web::error_page::MessagePage;
use crate::web::frame::Frame;
use crate::web::lang::Lang;
use crate::web::official_visit::SIGN_OUT_FORM;
use crate::web::page_form::read_page_form;
use crate::web::visit::{clear_site_data, page_response};

/// `POST /{lang}/accounts/sign-out`.
pub(crate) async fn sign_out(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, form) = read_page_form(&api, request).await?;
    let caller = api.accounts.page_session(&head.headers).await?;
    // A session that has ended already may have been a member's.
    let is_official = caller.as_ref().is_some_and(|caller| caller.role != AccountRole::Voter);
    if caller.is_some_and(|caller| !caller.admits(SIGN_OUT_FORM, form.text("token"))) {
        return Err(Problem::ForeignOrigin);
    }
    let cookie = api.accounts.end_page_session(&head.headers).await?;
    let page = MessagePage::new(
        Frame::new(&api.node, lang, lang.account_ended_title(), "/accounts/sign-in"),
        lang.account_ended_text(),
    );
    let mut response = page_response(StatusCode::OK, &page)?;
    let headers = response.headers_mut();
    headers.insert(SET_COOKIE, cookie);
    if !is_official {
        // The session contains hashes of credentials.
        stack_used();
        headers.append(SET_COOKIE, api.sessions.end(&head.headers, api.now()));
    }
    clear_site_data(&mut response);
    Ok(response)
}
