//! The first page, and the list of elections.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::header::{ACCEPT_LANGUAGE, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;

use crate::api::PathText;
use crate::context::Api;
use crate::problem::Problem;
use crate::web::election_row::ElectionRow;
use crate::web::frame::Frame;
use crate::web::lang::Lang;
use crate::web::visit::{Visit, redirect_response};

#[derive(Template)]
#[template(path = "start.html")]
struct StartPage {
    frame: Frame,
    /// Who holds the vote, as a sentence.
    held_by: String,
    rows: Vec<ElectionRow>,
}

#[derive(Template)]
#[template(path = "elections.html")]
struct ElectionsPage {
    frame: Frame,
    rows: Vec<ElectionRow>,
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
    let mut rows = rows(&visit);
    rows.retain(|row| row.is_open);
    visit.answer(StatusCode::OK, &StartPage { frame, held_by, rows })
}

/// `GET /{lang}/elections`.
pub(crate) async fn elections(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let visit = Visit::begin(&api, lang, &headers);
    let frame = visit.frame(lang.elections_title(), "/elections")?;
    let rows = rows(&visit);
    visit.answer(StatusCode::OK, &ElectionsPage { frame, rows })
}

fn rows(visit: &Visit<'_>) -> Vec<ElectionRow> {
    let elections = visit.api.node.elections();
    elections.iter().map(|election| ElectionRow::new(visit, election)).collect()
}
