//! The ballot: the question, real radio buttons, nothing selected. Nothing is stored here: the
//! choice goes to the check page in the form.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use votekit_core::election::BLANK;
use votekit_core::id::ElectionId;
use votekit_node::ElectionView;

use super::check::{self, Attempt};
use super::sign_in;
use crate::api::{PathText, law_id};
use crate::context::Api;
use crate::problem::Problem;
use crate::sessions::Form;
use crate::web::election_row::check_open;
use crate::web::frame::Frame;
use crate::web::lang::Lang;
use crate::web::page_form::Post;
use crate::web::visit::Visit;

#[derive(Template)]
#[template(path = "ballot.html")]
struct BallotPage {
    frame: Frame,
    question: String,
    description: String,
    law_id: String,
    choices: Vec<ChoiceOption>,
    has_error: bool,
    token: String,
}

struct ChoiceOption {
    id: String,
    label: String,
    is_blank: bool,
}

/// `GET /{lang}/vote/{law_id}/ballot`: for a voter who is signed in; others sign in first.
pub(crate) async fn form(
    State(api): State<Arc<Api>>,
    PathText((lang, law)): PathText<(Lang, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let law = law_id(&law)?;
    let election = api.node.election(&law).ok_or(Problem::UnknownElection)?;
    let visit = Visit::begin(&api, lang, &headers);
    if let Some(path) = elsewhere(&visit, &law) {
        return visit.redirect(&path);
    }
    check_open(&api, &election)?;
    page(visit, &law, &election, false)
}

/// `POST /{lang}/vote/{law_id}/ballot`: shows the choice again, to be checked.
pub(crate) async fn choose(
    State(api): State<Arc<Api>>,
    PathText((lang, law)): PathText<(Lang, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let Post { head, form, law, election } = Post::read(&api, &law, request).await?;
    let visit = Visit::begin(&api, lang, &head.headers);
    let attempt = Attempt::from_form(&form);
    if let Some(path) = cast_before(&visit, &law) {
        return visit.redirect(&path);
    }
    if !visit.has_sent(&Form::Ballot { law: &law }, form.text("token"))
        || elsewhere(&visit, &law).is_some()
    {
        return sign_in::ended(visit, &law, &election, attempt);
    }
    check_open(&api, &election)?;
    if !attempt.is_on(&election) {
        return page(visit, &law, &election, true);
    }
    check::page(visit, &law, &election, attempt, None)
}

/// The page of the vote that this session cast, if it did.
pub(super) fn cast_before(visit: &Visit<'_>, law: &ElectionId) -> Option<String> {
    let request = visit.session.as_ref()?.request_for(law)?;
    Some(format!("/{}/votes/{request}", visit.lang.code()))
}

/// The path for a voter without a ballot here: the vote cast, or the sign-in.
fn elsewhere(visit: &Visit<'_>, law: &ElectionId) -> Option<String> {
    let has_ballot = visit.session.as_ref().is_some_and(|session| session.hash_for(law).is_some());
    if has_ballot {
        return None;
    }
    let sign_in = || format!("/{}/vote/{law}", visit.lang.code());
    Some(cast_before(visit, law).unwrap_or_else(sign_in))
}

fn page(
    visit: Visit<'_>,
    law: &ElectionId,
    election: &ElectionView,
    has_error: bool,
) -> Result<Response, Problem> {
    let lang = visit.lang;
    let question = lang.pick(&election.title).to_owned();
    let frame = visit
        .frame(&question, &format!("/vote/{law}/ballot"))?
        .about(election)
        .with_error(has_error);
    let choices = election.choices.iter().map(|choice| ChoiceOption {
        id: choice.id.clone(),
        label: check::label(lang, choice).to_owned(),
        is_blank: choice.id == BLANK,
    });
    let page = BallotPage {
        frame,
        question,
        description: lang.pick(&election.description).to_owned(),
        law_id: law.to_string(),
        choices: choices.collect(),
        has_error,
        token: visit.token(&Form::Ballot { law })?,
    };
    let status = if has_error { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    visit.answer(status, &page)
}
