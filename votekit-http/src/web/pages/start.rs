//! The first page, and the list of elections.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::header::{ACCEPT_LANGUAGE, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use votekit_node::config::Role;

use crate::api::PathText;
use crate::context::Api;
use crate::problem::Problem;
use crate::published;
use crate::web::assets;
use crate::web::election_row::ElectionRow;
use crate::web::frame::Frame;
use crate::web::lang::Lang;
use crate::web::visit::{Visit, redirect_response};

#[derive(Template)]
#[template(path = "start.html")]
struct StartPage {
    frame: Frame,
    /// The organisation that conducts the vote, as a sentence.
    held_by: String,
    /// The elections that take votes now.
    rows: Vec<ElectionRow>,
    upcoming: Vec<ElectionRow>,
}

#[derive(Template)]
#[template(path = "elections.html")]
struct ElectionsPage {
    frame: Frame,
    rows: Vec<ElectionRow>,
    /// Whether the page follows the states of the elections: this node has them live.
    is_followed: bool,
    elections_script: &'static str,
}

/// `GET /`: the first page in the language that the browser prefers.
pub(crate) async fn root(headers: HeaderMap) -> Result<Response, Problem> {
    let lang = Lang::preferred(&headers);
    let mut response = redirect_response(&format!("/{}/", lang.code()))?;
    response.headers_mut().insert(VARY, HeaderValue::from(ACCEPT_LANGUAGE));
    Ok(response)
}

/// `GET /fr` and `GET /en`: the first page has a slash at the end.
pub(crate) async fn french_root() -> Result<Response, Problem> {
    redirect_response("/fr/")
}

/// As [`french_root`].
pub(crate) async fn english_root() -> Result<Response, Problem> {
    redirect_response("/en/")
}

/// `GET /{lang}/`.
pub(crate) async fn start(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let visit = Visit::begin(&api, lang, &headers);
    let frame = visit.frame(lang.start_title(), "/")?;
    let held_by = Some(&frame.organisation)
        .filter(|name| !name.is_empty())
        .map(|name| lang.held_by(name))
        .unwrap_or_default();
    let mut upcoming = rows(&visit);
    let rows = upcoming.extract_if(.., |row| row.is_open).collect();
    upcoming.retain(|row| row.is_upcoming);
    visit.answer(StatusCode::OK, &StartPage { frame, held_by, rows, upcoming })
}

/// `GET /{lang}/elections`.
pub(crate) async fn elections(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let visit = Visit::begin(&api, lang, &headers);
    let frame = visit.frame(lang.elections_title(), "/elections")?;
    let page = ElectionsPage {
        frame,
        rows: rows(&visit),
        is_followed: api.node.config().roles.contains(&Role::Query),
        elections_script: assets::elections_script(),
    };
    visit.answer(StatusCode::OK, &page)
}

fn rows(visit: &Visit<'_>) -> Vec<ElectionRow> {
    let elections = published::elections(&visit.api.node);
    elections.iter().map(|election| ElectionRow::new(visit, election)).collect()
}
