//! A request of a signed-in official for a page: the caller, the language, the bar above the page,
//! and the forms of this session.

use askama::Template;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use votekit_node::config::Role;
use votekit_node::time_zone::TimeZone;
use votekit_store::AccountRole;

use super::account_session::AccountSession;
use super::frame::Frame;
use super::lang::Lang;
use super::visit::{page_response, redirect_response};
use crate::accounts::Caller;
use crate::context::Api;
use crate::guard::form_body::FormBody;
use crate::guard::same_origin::check_same_origin;
use crate::problem::Problem;

/// The roles that read elections.
pub(crate) const OFFICIALS: &[AccountRole] =
    &[AccountRole::Administrator, AccountRole::Auditor, AccountRole::Observer];

/// The roles that read accounts.
pub(crate) const ACCOUNT_READERS: &[AccountRole] =
    &[AccountRole::Administrator, AccountRole::Auditor];

/// The role that changes elections and accounts.
pub(crate) const ADMINISTRATORS: &[AccountRole] = &[AccountRole::Administrator];

/// The form that ends a session.
pub(crate) const SIGN_OUT_FORM: &str = "account-sign-out";

/// The bar above the pages of officials.
pub(crate) struct OfficialBar {
    pub(crate) email: String,
    pub(crate) role: &'static str,
    pub(crate) is_administrator: bool,
    pub(crate) reads_accounts: bool,
    pub(crate) sign_out_token: String,
}

/// A request of a signed-in official.
pub(crate) struct OfficialVisit<'a> {
    pub(crate) api: &'a Api,
    pub(crate) lang: Lang,
    pub(crate) caller: &'a Caller,
}

impl<'a> OfficialVisit<'a> {
    pub(crate) fn new(api: &'a Api, lang: Lang, caller: &'a Caller) -> Self {
        Self { api, lang, caller }
    }

    /// The frame of a page; `path` is the page's path after its language.
    pub(crate) fn frame(&self, title: &str, path: &str) -> Frame {
        let frame = Frame::new(&self.api.node, self.lang, title, path);
        frame.for_account(AccountSession::for_official(self.lang))
    }

    pub(crate) fn bar(&self) -> OfficialBar {
        OfficialBar {
            email: self.caller.email.clone(),
            role: role_name(self.lang, self.caller.role),
            is_administrator: self.is_administrator(),
            reads_accounts: ACCOUNT_READERS.contains(&self.caller.role),
            sign_out_token: self.caller.form_token(SIGN_OUT_FORM),
        }
    }

    pub(crate) fn is_administrator(&self) -> bool {
        self.caller.role == AccountRole::Administrator
    }

    /// The time zone of the poll, if the configuration names one.
    pub(crate) fn zone(&self) -> Option<&'a TimeZone> {
        self.api.node.config().pages.time_zone.as_ref()
    }

    /// Whether this node serves data that is read from the log.
    pub(crate) fn serves_queries(&self) -> bool {
        self.api.node.config().roles.contains(&Role::Query)
    }

    /// Answers with a page.
    ///
    /// # Errors
    /// [`Problem::Internal`].
    pub(crate) fn answer(
        &self,
        status: StatusCode,
        page: &impl Template,
    ) -> Result<Response, Problem> {
        page_response(status, page)
    }

    /// Sends the browser to another page of officials: the path after `/{lang}/officials`.
    ///
    /// # Errors
    /// [`Problem::Internal`].
    pub(crate) fn redirect(&self, path: &str) -> Result<Response, Problem> {
        redirect_response(&format!("/{}/officials{path}", self.lang.code()))
    }
}

/// Reads a form that a page of this session has sent. The origin is checked before anything else;
/// the token binds the form to the session and to its purpose.
///
/// # Errors
/// A form of another origin, of another session or purpose, or a body that is not a form.
pub(crate) async fn read_form(
    api: &Api,
    caller: &Caller,
    purpose: &str,
    request: Request,
) -> Result<FormBody, Problem> {
    let (head, body) = request.into_parts();
    check_same_origin(&head.headers, api.sessions.is_confidential())?;
    let time = api.node.config().request_timeout();
    let form = FormBody::read_long(&head.headers, body, time).await?;
    if caller.admits(purpose, form.text("token")) { Ok(form) } else { Err(Problem::ForeignOrigin) }
}

/// The name of a role.
pub(crate) fn role_name(lang: Lang, role: AccountRole) -> &'static str {
    match role {
        AccountRole::Administrator => lang.role_administrator(),
        AccountRole::Auditor => lang.role_auditor(),
        AccountRole::Observer => lang.role_observer(),
        AccountRole::Voter => lang.role_member(),
    }
}
