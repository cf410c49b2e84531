//! The check page: the choice once more, and the one button that votes. It is the answer to the
//! ballot's form, and has choice and idempotency key in its own form. The key follows from session,
//! election and choice: a browser that loads the page again repeats the same request.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse as _, Response};
use votekit_core::election::ChoiceId;
use votekit_core::id::ElectionId;
use votekit_node::{ChoiceView, ElectionView};
use zeroize::Zeroize as _;

use crate::guard::form_body::FormBody;
use crate::problem::Problem;
use crate::sessions::{Form, RETRY_KEY_CHARS};
use crate::support_code;
use crate::web::error_page::retry_sentence;
use crate::web::frame::Frame;
use crate::web::lang::Lang;
use crate::web::visit::Visit;

#[derive(Template)]
#[template(path = "check.html")]
struct CheckPage {
    frame: Frame,
    question: String,
    label: String,
    law_id: String,
    choice: String,
    key: String,
    token: String,
    problem_title: &'static str,
    problem_advice: &'static str,
    retry: String,
    support: String,
}

/// A choice on its way, and the key that makes its repetition the same request.
#[derive(Clone, Default)]
pub(super) struct Attempt {
    /// The id of the choice, as sent.
    pub(super) choice: String,
    /// The idempotency key; empty before the check page.
    pub(super) key: String,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.choice.zeroize();
    }
}

impl Attempt {
    /// The choice and the key of a form. A key of another form than this node's is dropped.
    pub(super) fn from_form(form: &FormBody) -> Self {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let key = form.text("key");
        let is_key = key.len() == RETRY_KEY_CHARS && key.bytes().all(is_digit);
        Self {
            choice: form.text("choice").to_owned(),
            key: if is_key { key.to_owned() } else { String::new() },
        }
    }

    /// Whether the ballot of this election has the choice.
    pub(super) fn is_on(&self, election: &ElectionView) -> bool {
        election.choices.iter().any(|choice| choice.id == self.choice)
    }

    /// The id of the choice.
    ///
    /// # Errors
    /// [`Problem::UnknownChoice`].
    pub(super) fn choice_id(&self) -> Result<ChoiceId, Problem> {
        self.choice.parse().map_err(|_| Problem::UnknownChoice)
    }
}

/// The page. With a problem it shows why the vote was not accepted; the same button retries.
pub(super) fn page(
    visit: Visit<'_>,
    law: &ElectionId,
    election: &ElectionView,
    mut attempt: Attempt,
    problem: Option<Problem>,
) -> Result<Response, Problem> {
    let lang = visit.lang;
    let chosen = election.choices.iter().find(|choice| choice.id == attempt.choice);
    let chosen = chosen.ok_or(Problem::UnknownChoice)?;
    if attempt.key.is_empty() {
        // Only a voter with a session has come here without a key.
        let session = visit.session.as_ref().ok_or(Problem::Internal)?;
        attempt.key = session.retry_key(law, &attempt.choice);
    }
    let support = problem.as_ref().map(|problem| support(&visit, problem)).unwrap_or_default();
    let shown = problem.as_ref().map(|problem| lang.problem(problem.kind().code));
    let refusal = problem.map(Problem::into_response);
    let frame = visit
        .frame(lang.check_title(), &format!("/vote/{law}/ballot"))?
        .about(election)
        .with_error(refusal.is_some());
    let page = CheckPage {
        frame,
        question: lang.pick(&election.title).to_owned(),
        label: label(lang, chosen).to_owned(),
        law_id: law.to_string(),
        choice: attempt.choice.clone(),
        key: attempt.key.clone(),
        token: visit.token(&Form::Cast { law, key: &attempt.key })?,
        problem_title: shown.map_or("", |text| text.title),
        problem_advice: shown.map_or("", |text| text.advice),
        retry: refusal
            .as_ref()
            .map(|refusal| retry_sentence(lang, refusal.headers()))
            .unwrap_or_default(),
        support,
    };
    let status = refusal.as_ref().map_or(StatusCode::OK, Response::status);
    let mut response = visit.answer(status, &page)?;
    if let Some(retry_after) =
        refusal.and_then(|refusal| refusal.headers().get(RETRY_AFTER).cloned())
    {
        response.headers_mut().insert(RETRY_AFTER, retry_after);
    }
    Ok(response)
}

/// The label of a choice.
pub(super) fn label(lang: Lang, choice: &ChoiceView) -> &str {
    match lang {
        Lang::Fr => &choice.fr,
        Lang::En => &choice.en,
    }
}

/// The code of the request that was issued, or one for the problem.
fn support(visit: &Visit<'_>, problem: &Problem) -> String {
    match problem {
        Problem::OutcomeUnknown { request } => support_code::from_request(&request.to_hex()),
        _ => visit.api.support.issue(problem.kind().code, problem.kind().status),
    }
}
