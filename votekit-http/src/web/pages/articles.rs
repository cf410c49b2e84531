//! The pages that explain: help with every problem code, accessibility, what a receipt proves.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use crate::api::PathText;
use crate::context::Api;
use crate::problem::Problem;
use crate::web::catalogue::articles::Section;
use crate::web::frame::Frame;
use crate::web::lang::Lang;
use crate::web::visit::Visit;

#[derive(Template)]
#[template(path = "article.html")]
struct ArticlePage {
    frame: Frame,
    sections: &'static [Section],
    privacy: String,
    problems: Vec<ProblemRow>,
}

struct ProblemRow {
    code: &'static str,
    title: &'static str,
    advice: &'static str,
}

/// `GET /{lang}/help`.
pub(crate) async fn help(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let pages = &api.node.config().pages;
    let privacy = match lang {
        Lang::Fr => pages.privacy_fr.clone(),
        Lang::En => pages.privacy_en.clone(),
    };
    let problems = lang.problems_of_voters().map(|(code, text)| ProblemRow {
        code,
        title: text.title,
        advice: text.advice,
    });
    let visit = Visit::begin(&api, lang, &headers);
    let frame = visit.frame(lang.help_title(), "/help")?;
    let sections = lang.article_help();
    let problems = problems.collect();
    visit.answer(StatusCode::OK, &ArticlePage { frame, sections, privacy, problems })
}

/// `GET /{lang}/accessibility`.
pub(crate) async fn accessibility(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let visit = Visit::begin(&api, lang, &headers);
    let frame = visit.frame(lang.menu_accessibility(), "/accessibility")?;
    article(visit, frame, lang.article_accessibility())
}

/// `GET /{lang}/receipts`.
pub(crate) async fn receipts(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let visit = Visit::begin(&api, lang, &headers);
    let frame = visit.frame(lang.menu_receipts(), "/receipts")?;
    article(visit, frame, lang.article_receipts())
}

fn article(
    visit: Visit<'_>,
    frame: Frame,
    sections: &'static [Section],
) -> Result<Response, Problem> {
    let page = ArticlePage { frame, sections, privacy: String::new(), problems: Vec::new() };
    visit.answer(StatusCode::OK, &page)
}
