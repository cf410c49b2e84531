//! The sign-in: NAS and code, tested by the throttle's rules without voting. What was typed is
//! never part of an answer.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use votekit_core::credential::{AccessCode, Credential, CredentialHash, Nas};
use votekit_core::id::ElectionId;
use votekit_node::limits::throttle::Prefix;
use votekit_node::{ElectionView, SubmitError};

use super::check::{self, Attempt};
use super::post::Post;
use crate::api::{PathText, law_id};
use crate::context::{Api, ClientPrefix};
use crate::guard::form_body::FormBody;
use crate::problem::Problem;
use crate::sessions::{Session, SessionError};
use crate::web::election_row::check_open;
use crate::web::frame::Frame;
use crate::web::lang::Lang;
use crate::web::visit::{Visit, session_failed};

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
    /// A choice made before the session ended.
    choice: String,
    /// Its idempotency key.
    key: String,
}

struct FieldMessage {
    field: &'static str,
    message: String,
}

/// What is wrong with a sign-in: a message at the field, or at both.
#[derive(Default)]
pub(super) struct SignInErrors {
    nas: String,
    code: String,
}

/// What the page says before the form.
pub(super) struct SignIn {
    pub(super) status: StatusCode,
    pub(super) notice: &'static str,
    pub(super) errors: SignInErrors,
    /// The choice and the key to keep.
    pub(super) kept: Attempt,
}

/// `GET /{lang}/vote/{law_id}`.
pub(crate) async fn form(
    State(api): State<Arc<Api>>,
    PathText((lang, law)): PathText<(Lang, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let law = law_id(&law)?;
    let election = api.node.election(&law).ok_or(Problem::UnknownElection)?;
    check_open(&election, api.now().0)?;
    let visit = Visit::begin(&api, lang, &headers);
    let sign_in = SignIn {
        status: StatusCode::OK,
        notice: "",
        errors: SignInErrors::default(),
        kept: Attempt::default(),
    };
    page(visit, &law, &election, sign_in)
}

/// `POST /{lang}/vote/{law_id}`.
pub(crate) async fn sign_in(
    State(api): State<Arc<Api>>,
    PathText((lang, law)): PathText<(Lang, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let Post { head, form, law, election } = Post::read(&api, &law, request).await?;
    let mut visit = Visit::begin(&api, lang, &head.headers);
    let kept = Attempt::from_form(&form);
    let prefix = prefix(&api, &head);
    let refused = |errors, status| SignIn { status, notice: "", errors, kept: kept.clone() };
    let credential = match credential(lang, &form, &law) {
        Ok(credential) => credential,
        Err(errors) => {
            let sign_in = refused(errors, StatusCode::UNPROCESSABLE_ENTITY);
            return page(visit, &law, &election, sign_in);
        }
    };
    // Zeroed before the wait for the answer.
    drop((form, head));
    let recognised = api.node.recognise(&credential, prefix).await;
    match recognised {
        Ok(Some(hash)) => {
            visit.session = Some(admitted(visit.session.take(), &law, &hash)?);
            if kept.is_on(&election) {
                return check::page(visit, &law, &election, kept, None);
            }
            let path = format!("/{}/vote/{law}/ballot", lang.code());
            visit.redirect(&path)
        }
        Ok(None) => {
            let errors = SignInErrors::both(lang.not_recognised().to_owned());
            let sign_in = refused(errors, StatusCode::UNPROCESSABLE_ENTITY);
            page(visit, &law, &election, sign_in)
        }
        Err(SubmitError::BackOff { retry_after }) => {
            let seconds = whole_seconds(retry_after);
            let errors = SignInErrors::both(lang.back_off(&lang.seconds(seconds)));
            let sign_in = refused(errors, StatusCode::TOO_MANY_REQUESTS);
            let mut response = page(visit, &law, &election, sign_in)?;
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            Ok(response)
        }
        Err(error) => Err(Problem::not_taken(error)),
    }
}

/// The page for a voter whose session has ended: the choice is kept.
pub(super) fn ended(
    visit: Visit<'_>,
    law: &ElectionId,
    election: &ElectionView,
    kept: Attempt,
) -> Result<Response, Problem> {
    let lang = visit.lang;
    let notice = if kept.is_on(election) { lang.choice_kept() } else { lang.session_ended() };
    let errors = SignInErrors::default();
    page(visit, law, election, SignIn { status: StatusCode::FORBIDDEN, notice, errors, kept })
}

fn page(
    visit: Visit<'_>,
    law: &ElectionId,
    election: &ElectionView,
    sign_in: SignIn,
) -> Result<Response, Problem> {
    let lang = visit.lang;
    let SignIn { status, notice, errors: SignInErrors { nas, code }, kept } = sign_in;
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
    let page = SignInPage {
        frame,
        lead: lang.sign_in_lead(lang.pick(&election.title)),
        law_id: law.to_string(),
        notice,
        errors,
        nas_error: nas,
        code_error: code,
        choice: kept.choice.clone(),
        key: kept.key.clone(),
    };
    visit.answer(status, &page)
}

impl SignInErrors {
    fn both(message: String) -> Self {
        Self { nas: message.clone(), code: message }
    }
}

/// The credential of a form, or what is wrong with its fields.
fn credential(lang: Lang, form: &FormBody, law: &ElectionId) -> Result<Credential, SignInErrors> {
    let wrong = |text: &str, missing: &str, wrong: &str| {
        if text.trim().is_empty() { missing.to_owned() } else { wrong.to_owned() }
    };
    let (nas, code) = (form.text("nas"), form.text("code"));
    match (Nas::parse(nas.trim().as_bytes()), AccessCode::parse(code.as_bytes())) {
        (Ok(nas), Ok(code)) => Ok(Credential { nas, code, law_id: law.clone() }),
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

/// The session with the election added. A session that knows the election already is another
/// person's, at the same browser: a new one begins. So it does when the old one is full.
fn admitted(
    session: Option<Session>,
    law: &ElectionId,
    hash: &CredentialHash,
) -> Result<Session, Problem> {
    let begin = || Session::begin().map_err(session_failed);
    let mut session = match session.filter(|session| !session.knows(law)) {
        Some(session) => session,
        None => begin()?,
    };
    if session.admit(law, hash) == Err(SessionError::Full) {
        session = begin()?;
        session.admit(law, hash).map_err(session_failed)?;
    }
    Ok(session)
}

/// The address prefix that the gate has determined; tests call the router without a gate.
fn prefix(api: &Api, head: &Parts) -> Prefix {
    let known = head.extensions.get::<ClientPrefix>().map(|client| client.0);
    known.unwrap_or_else(|| api.node.throttle().prefix(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
}

fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}
