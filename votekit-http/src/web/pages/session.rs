//! The session of a voter: its ballots, its renewal, and the sign-out.
//!
//! A session can cover several elections. Each vote has its own outcome and its own idempotency
//! key; the page of the ballots only lists them.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use votekit_core::decision::Decision;
use votekit_core::id::{ElectionId, RequestId};
use votekit_node::{ElectionView, VoteStatus};

use crate::api::PathText;
use crate::context::Api;
use crate::problem::Problem;
use crate::sessions::Form;
use crate::web::election_row::ElectionRow;
use crate::web::error_page::MessagePage;
use crate::web::frame::Frame;
use crate::web::lang::Lang;
use crate::web::page_form::read_page_form;
use crate::web::visit::{Visit, clear_site_data};

#[derive(Template)]
#[template(path = "session.html")]
struct SessionPage {
    frame: Frame,
    lead: String,
    to_vote: Vec<ElectionRow>,
    cast: Vec<CastRow>,
    /// Open elections that the session does not know.
    more: Vec<MoreRow>,
}

/// A vote that this session sent.
struct CastRow {
    title: String,
    state: &'static str,
    /// Its class in the style sheet.
    state_class: &'static str,
    href: String,
    label: String,
}

/// An election that the voter may add.
struct MoreRow {
    election: ElectionRow,
    label: String,
}

/// `GET /{lang}/session`.
pub(crate) async fn ballots(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let visit = Visit::begin(&api, lang, &headers);
    let votes: Vec<_> = visit
        .session
        .iter()
        .flat_map(|session| session.votes_cast())
        .map(|(law, request)| (law.clone(), request))
        .collect();
    let mut cast = Vec::new();
    for (law, request) in votes {
        if let Some(election) = api.node.election(&law) {
            cast.push(cast_row(&visit, &election, request).await);
        }
    }
    let (mut to_vote, mut more) = (Vec::new(), Vec::new());
    for election in api.node.elections() {
        let Ok(law) = election.law_id.parse::<ElectionId>() else { continue };
        let session = visit.session.as_ref();
        let row = ElectionRow::new(&visit, &election);
        if session.is_some_and(|session| session.hash_for(&law).is_some()) {
            to_vote.push(row);
        } else if row.is_open && session.is_none_or(|session| !session.knows(&law)) {
            let label = lang.add_code_for(&row.title);
            more.push(MoreRow { election: row, label });
        }
    }
    let left = to_vote.iter().filter(|row| row.is_open).count();
    let lead = match (visit.session.is_some(), left) {
        (false, _) => lang.ballots_signed_out().to_owned(),
        (true, 0) => lang.ballots_all_done().to_owned(),
        (true, 1) => lang.ballots_left_one().to_owned(),
        (true, left) => lang.ballots_left(left),
    };
    let frame = visit.frame(lang.ballots_title(), "/session")?;
    visit.answer(StatusCode::OK, &SessionPage { frame, lead, to_vote, cast, more })
}

async fn cast_row(visit: &Visit<'_>, election: &ElectionView, request: RequestId) -> CastRow {
    let lang = visit.lang;
    let (state, state_class) = match visit.api.node.status(request).await {
        Ok(Some(VoteStatus::Decided(decision))) => match decision {
            Decision::Accepted { .. } => (lang.cast_recorded(), "open"),
            Decision::Duplicate { .. } => (lang.cast_duplicate(), "caution"),
            _ => (lang.cast_not_counted(), "bad"),
        },
        Ok(Some(VoteStatus::Pending { .. })) => (lang.cast_pending(), ""),
        // The page of the vote reports the failed read.
        Ok(None) | Err(_) => (lang.cast_unknown(), "caution"),
    };
    let title = lang.pick(&election.title);
    CastRow {
        title: title.to_owned(),
        state,
        state_class,
        href: format!("/{}/votes/{request}", lang.code()),
        label: lang.see_confirmation_of(title),
    }
}

/// `POST /{lang}/session/extend`: renews the session for a script that warns of its end.
pub(crate) async fn extend(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, form) = read_page_form(&api, request).await?;
    let visit = Visit::begin(&api, lang, &head.headers);
    if visit.has_sent(&Form::Extend, form.text("token")) {
        return visit.no_content();
    }
    if visit.session.is_some() {
        return Err(Problem::ForeignOrigin);
    }
    let page =
        MessagePage::new(visit.frame(lang.session_over_title(), "/session")?, lang.session_ended());
    visit.answer(StatusCode::FORBIDDEN, &page)
}

/// `POST /{lang}/sign-out`: ends the session, so that a copied cookie is void too, and removes the
/// cookie and the data of this site that the browser kept.
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
