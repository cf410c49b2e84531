//! Inviting an official. The node sends no e-mail: the one-time link is shown once, in the answer
//! to the form, and is stored nowhere.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use votekit_store::AccountRole;

use super::accounts::{INVITE, PATH, Typed, page};
use crate::accounts::Caller;
use crate::api::PathText;
use crate::context::Api;
use crate::problem::Problem;
use crate::web::form_fields::FormErrors;
use crate::web::frame::Frame;
use crate::web::lang::Lang;
use crate::web::moment::Moment;
use crate::web::official_visit::{OfficialBar, OfficialVisit, read_form};

#[derive(Template)]
#[template(path = "official_link.html")]
struct LinkPage {
    frame: Frame,
    bar: OfficialBar,
    text: String,
    link: String,
    expires: Option<Moment>,
    back_href: String,
}

/// `POST /{lang}/officials/accounts`.
pub(crate) async fn invite(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let form = read_form(&api, &caller, INVITE, request).await?;
    let visit = OfficialVisit::new(&api, lang, &caller);
    let email = form.text("email").trim().to_owned();
    let typed = Typed { email, role: form.text("role").to_owned() };
    let mut errors = FormErrors::default();
    if typed.email.is_empty() {
        errors.add("email", lang.email_missing());
    }
    let role = role(&typed.role);
    if role.is_none() {
        errors.add("role", lang.role_missing());
    }
    let Some(role) = role.filter(|_| errors.is_empty()) else {
        return page(&visit, "", "", errors, typed).await;
    };
    match api.accounts.invite(&typed.email, role).await {
        Ok(link) => {
            let by = const_hex::encode(caller.id.0);
            tracing::info!(event = "account_invited", by, ?role, "account invited");
            let link_page = LinkPage {
                frame: visit.frame(lang.link_title(), PATH),
                bar: visit.bar(),
                text: lang.link_text(&typed.email),
                link: format!("{}{}", origin(&api, &headers), link.path(lang.code())),
                expires: Moment::new(lang, &link.expires.to_rfc3339()),
                back_href: format!("/{}{PATH}", lang.code()),
            };
            return visit.answer(StatusCode::OK, &link_page);
        }
        Err(Problem::AccountExists) => errors.add("email", lang.email_taken()),
        Err(Problem::Malformed { .. }) => errors.add("email", lang.email_wrong()),
        Err(problem) => return Err(problem),
    }
    page(&visit, "", "", errors, typed).await
}

/// The role of a form. Members are not invited here.
fn role(name: &str) -> Option<AccountRole> {
    Some(match name {
        "administrator" => AccountRole::Administrator,
        "auditor" => AccountRole::Auditor,
        "observer" => AccountRole::Observer,
        _ => return None,
    })
}

/// The address of this node as the browser of the administrator has it: the link begins with it.
fn origin(api: &Api, headers: &HeaderMap) -> String {
    let scheme = if api.sessions.is_confidential() { "https" } else { "http" };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if host.is_empty() { String::new() } else { format!("{scheme}://{host}") }
}
