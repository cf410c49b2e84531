//! The pages that explain: help with every problem code, accessibility, personal information.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use crate::api::PathText;
use crate::context::Api;
use crate::problem::Problem;
use crate::web::catalogue::articles::Section;
use crate::web::catalogue::problems::{Audience, ProblemText};
use crate::web::frame::Frame;
use crate::web::lang::Lang;
use crate::web::visit::Visit;

#[derive(Template)]
#[template(path = "article.html")]
struct ArticlePage {
    frame: Frame,
    /// The organisation's own text, in paragraphs.
    own: Vec<String>,
    sections: &'static [Section],
    groups: Vec<ProblemGroup>,
}

/// The problems that can occur to some readers.
struct ProblemGroup {
    /// The id of its section.
    id: &'static str,
    heading: &'static str,
    problems: Vec<ProblemRow>,
}

/// A problem, as the help explains it.
struct ProblemRow {
    code: &'static str,
    title: &'static str,
    cause: &'static str,
    advice: &'static str,
}

/// `GET /{lang}/help`.
pub(crate) async fn help(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let groups = [
        (Audience::Voters, "problems", lang.help_problems()),
        (Audience::Officials, "problems-officials", lang.help_problems_officials()),
        (Audience::Programs, "problems-programs", lang.help_problems_programs()),
    ];
    let groups = groups.map(|(audience, id, heading)| ProblemGroup {
        id,
        heading,
        problems: problems(lang, audience),
    });
    let visit = Visit::begin(&api, lang, &headers);
    let frame = visit.frame(lang.help_title(), "/help")?;
    let (own, sections, groups) = (Vec::new(), lang.article_help(), groups.into());
    visit.answer(StatusCode::OK, &ArticlePage { frame, own, sections, groups })
}

fn problems(lang: Lang, audience: Audience) -> Vec<ProblemRow> {
    let row = |(code, text): (&'static str, ProblemText)| ProblemRow {
        code,
        title: text.title,
        cause: lang.cause(code),
        advice: text.advice,
    };
    lang.problems_of(audience).map(row).collect()
}

/// `GET /{lang}/accessibility`.
pub(crate) async fn accessibility(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let visit = Visit::begin(&api, lang, &headers);
    let frame = visit.frame(lang.menu_accessibility(), "/accessibility")?;
    article(visit, frame, Vec::new(), lang.article_accessibility())
}

/// `GET /{lang}/privacy`.
pub(crate) async fn privacy(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let pages = &api.node.config().pages;
    let own = match lang {
        Lang::Fr => &pages.privacy_fr,
        Lang::En => &pages.privacy_en,
    };
    let own = paragraphs(own);
    let visit = Visit::begin(&api, lang, &headers);
    let frame = visit.frame(lang.help_privacy(), "/privacy")?;
    article(visit, frame, own, lang.article_privacy())
}

fn article(
    visit: Visit<'_>,
    frame: Frame,
    own: Vec<String>,
    sections: &'static [Section],
) -> Result<Response, Problem> {
    let page = ArticlePage { frame, own, sections, groups: Vec::new() };
    visit.answer(StatusCode::OK, &page)
}

/// The paragraphs of a text from the configuration: empty lines are between them.
fn paragraphs(text: &str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    for line in text.lines().map(str::trim) {
        match paragraphs.last_mut() {
            Some(last) if !line.is_empty() => {
                if !last.is_empty() {
                    last.push(' ');
                }
                last.push_str(line);
            }
            _ => paragraphs.push(String::new()),
        }
    }
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lines_are_between_paragraphs() {
        let text = "\n One line,\nand more of it.\n\n \n\nAnother.\n";
        assert_eq!(paragraphs(text), ["One line, and more of it.", "Another."]);
        assert!(paragraphs(" \n").is_empty());
    }
}
