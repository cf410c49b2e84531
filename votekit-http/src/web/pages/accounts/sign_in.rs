//! The sign-in of officials and members: e-mail, password and second factor on one page. A refusal
//! does not say which of the three was wrong. The answer repeats only the e-mail address.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::header::{RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde::Deserialize;

use crate::accounts::SignInAttempt;
use crate::api::PathText;
use crate::context::Api;
use crate::guard::officials_network::is_officials_network;
use crate::problem::{Problem, seconds_up};
use crate::web::ReturnPath;
use crate::web::form_fields::{FormErrors, TextField};
use crate::web::frame::Frame;
use crate::web::lang::Lang;
use crate::web::page_form::read_page_form;
use crate::web::visit::{page_response, redirect_response};

#[derive(Template)]
#[template(path = "account_sign_in.html")]
struct AccountSignInPage {
    frame: Frame,
    errors: FormErrors,
    fields: Vec<TextField>,
    /// The page to which the sign-in leads back; empty if none was asked for.
    next: ReturnPath,
}

/// The page to which the sign-in leads back.
#[derive(Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    next: String,
}

/// `GET /{lang}/accounts/sign-in`: for those who have a session already, the page that follows.
pub(crate) async fn form(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    headers: HeaderMap,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    let next = wanted.map(|Query(wanted)| ReturnPath::parse(&wanted.next)).unwrap_or_default();
    match api.accounts.page_session(&headers).await? {
        Some(caller) => redirect_response(&next.href(lang, caller.role)),
        None => page(&api, lang, Typed { email: "", next }, FormErrors::default(), StatusCode::OK),
    }
}

/// `POST /{lang}/accounts/sign-in`.
pub(crate) async fn sign_in(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, form) = read_page_form(&api, request).await?;
    let attempt = SignInAttempt {
        email: form.text("email"),
        password: form.text("password"),
        code: form.text("code").trim(),
        from_officials_network: is_officials_network(&head.extensions, api.node.config()),
    };
    let (email, next) = (attempt.email.trim(), ReturnPath::parse(form.text("next")));
    let mut errors = FormErrors::default();
    if email.is_empty() {
        errors.add("email", lang.email_missing());
    }
    if attempt.password.is_empty() {
        errors.add("password", lang.password_missing());
    }
    if !errors.is_empty() {
        let typed = Typed { email, next };
        return page(&api, lang, typed, errors, StatusCode::UNPROCESSABLE_ENTITY);
    }
    match api.accounts.sign_in(attempt, api.client_prefix(&head.extensions)).await {
        Ok(account) => {
            let cookie = api.accounts.begin_page_session(&account).await?;
            let mut response = redirect_response(&next.href(lang, account.role))?;
            response.headers_mut().insert(SET_COOKIE, cookie);
            Ok(response)
        }
        Err(Problem::SignInRefused) => {
            errors.add("email", lang.account_refused());
            let typed = Typed { email, next };
            page(&api, lang, typed, errors, StatusCode::UNPROCESSABLE_ENTITY)
        }
        Err(Problem::BackOff { retry_after }) => {
            let seconds = seconds_up(retry_after);
            errors.add("email", lang.account_back_off(&lang.seconds(seconds)));
            let typed = Typed { email, next };
            let mut response = page(&api, lang, typed, errors, StatusCode::TOO_MANY_REQUESTS)?;
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            Ok(response)
        }
        Err(problem) => Err(problem),
    }
}

/// The values of the form.
struct Typed<'a> {
    email: &'a str,
    next: ReturnPath,
}

fn page(
    api: &Api,
    lang: Lang,
    Typed { email, next }: Typed<'_>,
    errors: FormErrors,
    status: StatusCode,
) -> Result<Response, Problem> {
    let fields = vec![
        TextField::new("email", lang.email_label())
            .value(email)
            .kind("email")
            .autocomplete("username")
            .errors(&errors),
        TextField::new("password", lang.password_label())
            .kind("password")
            .autocomplete("current-password")
            .errors(&errors),
        TextField::new("code", lang.factor_label())
            .hint(lang.factor_hint())
            .autocomplete("one-time-code")
            .optional()
            .errors(&errors),
    ];
    let frame = Frame::new(&api.node, lang, lang.account_title(), "/accounts/sign-in")
        .with_error(!errors.is_empty())
        .keeping("next", next.as_str());
    page_response(status, &AccountSignInPage { frame, errors, fields, next })
}
