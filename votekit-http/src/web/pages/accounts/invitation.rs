//! The invitation: its holder chooses a password and sets up the second factor, and gets recovery
//! codes, once. Opening the link changes nothing: programs that look at links in mail would
//! otherwise use it up.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::header::REFERRER_POLICY;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use votekit_store::{Account, AccountRole};

use super::second_factor::SecondFactor;
use crate::accounts::{NewCredentials, RecoveryCode};
use crate::api::PathText;
use crate::context::Api;
use crate::problem::Problem;
use crate::web::form_fields::{FormErrors, TextField};
use crate::web::frame::Frame;
use crate::web::lang::Lang;
use crate::web::official_visit::role_name;
use crate::web::page_form::read_page_form;
use crate::web::visit::{page_response, redirect_response};

/// The address of the page contains the token of the link, and must not be sent to other addresses:
/// browsers send only the origin. With `no-referrer` older browsers would send `Origin: null` with
/// the form.
const REFERRER: &str = "strict-origin";

#[derive(Template)]
#[template(path = "account_invitation.html")]
struct InvitationPage {
    frame: Frame,
    errors: FormErrors,
    lead: String,
    email: String,
    token: String,
    passwords: Vec<TextField>,
    factor: SecondFactor,
    code: TextField,
}

#[derive(Template)]
#[template(path = "account_recovery_codes.html")]
struct RecoveryCodesPage {
    frame: Frame,
    email: String,
    codes: Vec<RecoveryCode>,
}

/// The token of the link.
#[derive(Deserialize)]
pub(crate) struct LinkToken {
    #[serde(default)]
    token: String,
}

/// `GET /{lang}/accounts/invitation`.
pub(crate) async fn form(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    query: Result<Query<LinkToken>, QueryRejection>,
) -> Result<Response, Problem> {
    let token = query.map(|Query(link)| link.token).unwrap_or_default();
    let account = api.accounts.invited(&token).await?;
    page(&api, lang, &account, Typed { token: &token, secret: "" }, FormErrors::default())
}

/// `POST /{lang}/accounts/invitation`.
pub(crate) async fn accept(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    request: Request,
) -> Result<Response, Problem> {
    let (_, form) = read_page_form(&api, request).await?;
    let typed = Typed { token: form.text("token"), secret: form.text("secret") };
    let account = api.accounts.invited(typed.token).await?;
    let (password, code) = (form.text("password"), form.text("code").trim());
    // A member may do without a second factor.
    let has_factor = account.role != AccountRole::Voter || !code.is_empty();
    let mut errors = FormErrors::default();
    if password.is_empty() {
        errors.add("password", lang.password_missing());
    } else if password != form.text("repeat") {
        errors.add("repeat", lang.passwords_differ());
    }
    if has_factor && code.is_empty() {
        errors.add("code", lang.factor_missing());
    }
    if !errors.is_empty() {
        return page(&api, lang, &account, typed, errors);
    }
    let totp_secret = if has_factor { typed.secret } else { "" };
    let choice = NewCredentials { password, totp_secret, code };
    match api.accounts.accept_invitation(typed.token, choice).await {
        Ok(codes) if codes.is_empty() => {
            redirect_response(&format!("/{}/accounts/sign-in", lang.code()))
        }
        Ok(codes) => recovery_codes(&api, lang, account.email, codes),
        Err(Problem::Malformed { errors: refused }) => {
            for error in refused {
                match &*error.field {
                    "password" => errors.add("password", lang.password_weak()),
                    "code" => errors.add("code", lang.factor_wrong()),
                    field => errors.add(field, lang.field_refused()),
                }
            }
            page(&api, lang, &account, typed, errors)
        }
        Err(problem) => Err(problem),
    }
}

/// The values of a form.
#[derive(Clone, Copy)]
struct Typed<'a> {
    token: &'a str,
    /// The secret of the second factor that the page showed.
    secret: &'a str,
}

fn page(
    api: &Api,
    lang: Lang,
    account: &Account,
    typed: Typed<'_>,
    errors: FormErrors,
) -> Result<Response, Problem> {
    let password = |name: &str, label: &'static str| {
        TextField::new(name, label).kind("password").autocomplete("new-password").errors(&errors)
    };
    let code = TextField::new("code", lang.factor_confirm_label())
        .hint(lang.factor_confirm_hint())
        .autocomplete("one-time-code")
        .errors(&errors);
    let passwords = vec![
        password("password", lang.new_password_label()).hint(lang.new_password_hint()),
        password("repeat", lang.repeat_password_label()),
    ];
    let status = errors.status();
    let page = InvitationPage {
        frame: Frame::new(&api.node, lang, lang.invitation_title(), "/accounts/invitation")
            .with_error(!errors.is_empty())
            .keeping("token", typed.token),
        lead: lang.invitation_lead(role_name(lang, account.role)),
        email: account.email.clone(),
        token: typed.token.to_owned(),
        passwords,
        factor: SecondFactor::offer(&api.accounts, account, typed.secret)?,
        code: if account.role == AccountRole::Voter { code.optional() } else { code },
        errors,
    };
    let mut response = page_response(status, &page)?;
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static(REFERRER));
    Ok(response)
}

fn recovery_codes(
    api: &Api,
    lang: Lang,
    email: String,
    codes: Vec<RecoveryCode>,
) -> Result<Response, Problem> {
    // The page cannot be opened again: in the other language there is the sign-in.
    let frame = Frame::new(&api.node, lang, lang.recovery_title(), "/accounts/sign-in");
    page_response(StatusCode::OK, &RecoveryCodesPage { frame, email, codes })
}
