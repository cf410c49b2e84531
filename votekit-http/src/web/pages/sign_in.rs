//! The sign-in: NAS and code, checked under the throttle's rules without voting, for the election
//! of the page and for the other elections of its roll. The typed values are never part of an
//! answer.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use votekit_core::credential::{AccessCode, CredentialHash, Nas};
use votekit_core::id::ElectionId;
use votekit_node::{ElectionView, SubmitError};

use super::check::{self, Attempt};
use super::members;
use crate::api::{PathText, law_id};
use crate::context::Api;
use crate::guard::form_body::FormBody;
use crate::problem::{Problem, seconds_up};
use crate::sessions::Session;
use crate::web::election_row::check_open;
use crate::web::frame::Frame;
use crate::web::lang::Lang;
use crate::web::page_form::Post;
use crate::web::visit::Visit;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    frame: Frame,
    /// The election that the sign-in is for, as a phrase.
    lead: String,
    law_id: String,
    notice: &'static str,
    /// The summary: each error with its field.
    errors: Vec<FieldMessage>,
    nas_error: String,
    code_error: String,
    /// The session that the browser has already.
    session: SessionNote,
    /// A choice made before the session ended.
    choice: String,
    /// Its idempotency key.
    key: String,
    support: String,
}

/// The note about a session that the browser has already; empty without a session.
#[derive(Default)]
struct SessionNote {
    text: &'static str,
    /// The address at which the voter continues without another sign-in.
    href: String,
    label: &'static str,
}

struct FieldMessage {
    field: &'static str,
    message: String,
}

/// The errors of a sign-in: a message at a field, or at both.
#[derive(Default)]
struct SignInErrors {
    nas: String,
    code: String,
}

/// The notice before the form.
#[derive(Default)]
struct SignIn {
    status: StatusCode,
    notice: &'static str,
    errors: SignInErrors,
    /// The choice and the key to keep.
    kept: Attempt,
    support: String,
}

/// `GET /{lang}/vote/{law_id}`.
pub(crate) async fn form(
    State(api): State<Arc<Api>>,
    PathText((lang, law)): PathText<(Lang, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let law = law_id(&law)?;
    let election = api.node.election(&law).ok_or(Problem::UnknownElection)?;
    check_open(&api, &election)?;
    let visit = Visit::begin(&api, lang, &headers);
    if api.node.takes_members(&law) {
        return visit.redirect(&format!("/{}/members/{law}", lang.code()));
    }
    page(visit, &law, &election, SignIn::default())
}

/// `POST /{lang}/vote/{law_id}`.
pub(crate) async fn sign_in(
    State(api): State<Arc<Api>>,
    PathText((lang, law)): PathText<(Lang, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let Post { head, form, law, election } = Post::read(&api, &law, request).await?;
    let visit = Visit::begin(&api, lang, &head.headers);
    let kept = Attempt::from_form(&form);
    let prefix = api.client_prefix(&head.extensions);
    let refused = |errors, status, support| {
        let kept = kept.clone();
        SignIn { status, errors, kept, support, ..SignIn::default() }
    };
    let (nas, code) = match typed(lang, &form) {
        Ok(typed) => typed,
        Err(errors) => {
            let sign_in = refused(errors, StatusCode::UNPROCESSABLE_ENTITY, String::new());
            return page(visit, &law, &election, sign_in);
        }
    };
    // Zeroed before the wait for the answer.
    drop((form, head));
    let laws = api.node.sign_in_laws(&law);
    let opened = api.node.recognise_any(&nas, &code, &laws, prefix).await;
    match opened {
        Ok(opened) if opened.is_empty() => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            let errors = SignInErrors::both(lang.not_recognised().to_owned());
            let sign_in = refused(errors, status, api.support.issue("not-recognised", status));
            page(visit, &law, &election, sign_in)
        }
        Ok(opened) => admitted(visit, &nas, (&law, &election), kept, &opened),
        Err(SubmitError::BackOff { retry_after }) => {
            let (status, seconds) = (StatusCode::TOO_MANY_REQUESTS, seconds_up(retry_after));
            let errors = SignInErrors::both(lang.back_off(&lang.seconds(seconds)));
            let sign_in = refused(errors, status, api.support.issue("back-off", status));
            let mut response = page(visit, &law, &election, sign_in)?;
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            Ok(response)
        }
        Err(error) => Err(Problem::not_taken(error)),
    }
}

/// The answer to a sign-in that opened at least one election.
fn admitted(
    mut visit: Visit<'_>,
    nas: &Nas,
    (law, election): (&ElectionId, &ElectionView),
    kept: Attempt,
    opened: &[(ElectionId, CredentialHash)],
) -> Result<Response, Problem> {
    let session = Session::after_sign_in(visit.session.take(), nas, law, opened)?;
    let has_ballot = session.hash_for(law).is_some();
    visit.session = Some(session);
    let code = visit.lang.code();
    match (has_ballot, kept.is_on(election)) {
        (true, true) => check::page(visit, law, election, kept, None),
        // The choice waits for the code of its own election.
        (false, true) => {
            let code = visit.lang.code_of_another_law().to_owned();
            let errors = SignInErrors { code, ..SignInErrors::default() };
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            page(visit, law, election, SignIn { status, errors, kept, ..SignIn::default() })
        }
        (true, false) if opened.len() == 1 => visit.redirect(&format!("/{code}/vote/{law}/ballot")),
        _ => visit.redirect(&format!("/{code}/session")),
    }
}

/// The page for a voter whose session has ended: the choice is kept.
pub(super) fn ended(
    visit: Visit<'_>,
    law: &ElectionId,
    election: &ElectionView,
    kept: Attempt,
) -> Result<Response, Problem> {
    if visit.api.node.takes_members(law) {
        return members::ended(visit, law, election, kept);
    }
    let lang = visit.lang;
    let notice = if kept.is_on(election) { lang.choice_kept() } else { lang.session_ended() };
    let status = StatusCode::FORBIDDEN;
    page(visit, law, election, SignIn { status, notice, kept, ..SignIn::default() })
}

fn page(
    visit: Visit<'_>,
    law: &ElectionId,
    election: &ElectionView,
    sign_in: SignIn,
) -> Result<Response, Problem> {
    let lang = visit.lang;
    let SignIn { status, notice, errors: SignInErrors { nas, code }, kept, support } = sign_in;
    let mut errors = Vec::new();
    if !nas.is_empty() {
        errors.push(FieldMessage { field: "nas", message: nas.clone() });
    }
    if !code.is_empty() && code != nas {
        errors.push(FieldMessage { field: "code", message: code.clone() });
    }
    let frame = visit
        .frame(lang.sign_in_title(), &format!("/vote/{law}"))?
        .about(election)
        .with_error(!errors.is_empty());
    let kept = if kept.is_on(election) { kept } else { Attempt::default() };
    // After the notice that the session has ended, a note about a session would contradict it.
    let session = if notice.is_empty() { session_note(&visit, law) } else { Default::default() };
    let page = SignInPage {
        frame,
        lead: lang.sign_in_lead(lang.pick(&election.title)),
        law_id: law.to_string(),
        notice,
        errors,
        nas_error: nas,
        code_error: code,
        session,
        choice: kept.choice.clone(),
        key: kept.key.clone(),
        support,
    };
    visit.answer(status, &page)
}

fn session_note(visit: &Visit<'_>, law: &ElectionId) -> SessionNote {
    let (lang, code) = (visit.lang, visit.lang.code());
    let Some(session) = &visit.session else { return SessionNote::default() };
    if session.hash_for(law).is_some() {
        return SessionNote {
            text: lang.signed_in_already(),
            href: format!("/{code}/vote/{law}/ballot"),
            label: lang.go_to_ballot(),
        };
    }
    match session.request_for(law) {
        Some(request) => SessionNote {
            text: lang.voted_already_here(),
            href: format!("/{code}/votes/{request}"),
            label: lang.see_confirmation(),
        },
        None => SessionNote { text: lang.adds_to_session(), ..SessionNote::default() },
    }
}

impl SignInErrors {
    fn both(message: String) -> Self {
        Self { nas: message.clone(), code: message }
    }
}

/// NAS and code of a form, or the errors of its fields.
fn typed(lang: Lang, form: &FormBody) -> Result<(Nas, AccessCode), SignInErrors> {
    let wrong = |text: &str, missing: &str, wrong: &str| {
        if text.trim().is_empty() { missing.to_owned() } else { wrong.to_owned() }
    };
    let (nas, code) = (form.text("nas"), form.text("code"));
    match (Nas::parse(nas.trim().as_bytes()), AccessCode::parse(code.as_bytes())) {
        (Ok(nas), Ok(code)) => Ok((nas, code)),
        (parsed_nas, parsed_code) => Err(SignInErrors {
            nas: match parsed_nas {
                Ok(_) => String::new(),
                Err(_) => wrong(nas, lang.nas_missing(), lang.nas_wrong()),
            },
            code: match parsed_code {
                Ok(_) => String::new(),
                Err(_) => wrong(code, lang.code_missing(), lang.code_wrong()),
            },
        }),
    }
}
