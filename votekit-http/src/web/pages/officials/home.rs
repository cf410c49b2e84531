//! The first page of officials: every election with its state, its turnout and the next step;
//! matters that need attention come first.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use votekit_node::ElectionView;

use super::actions::ActionLink;
use super::attention::Attention;
use super::summary::ElectionSummary;
use crate::accounts::Caller;
use crate::api::{PathText, law_id};
use crate::context::Api;
use crate::problem::Problem;
use crate::web::frame::Frame;
use crate::web::lang::Lang;
use crate::web::official_visit::{OfficialBar, OfficialVisit};

#[derive(Template)]
#[template(path = "official_home.html")]
struct HomePage {
    frame: Frame,
    bar: OfficialBar,
    /// The matters that need attention, over all elections.
    matters: Vec<Matter>,
    rows: Vec<Row>,
}

/// An election in the list.
struct Row {
    election: ElectionSummary,
    /// The next step, for administrators.
    actions: Vec<ActionLink>,
}

/// A matter that needs attention, with its election.
struct Matter {
    urgency: Attention,
    title: String,
    href: String,
    text: &'static str,
}

/// `GET /{lang}/officials`.
pub(crate) async fn home(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    let visit = OfficialVisit::new(&api, lang, &caller);
    let (mut matters, mut rows) = (Vec::new(), Vec::new());
    for election in api.node.elections() {
        let (row, found) = row(&visit, &election)?;
        rows.push(row);
        matters.extend(found);
    }
    // Stable: elections keep their order within one urgency.
    matters.sort_by_key(|matter| matter.urgency);
    let frame = visit.frame(lang.officials_title(), "/officials");
    visit.answer(StatusCode::OK, &HomePage { frame, bar: visit.bar(), matters, rows })
}

fn row(visit: &OfficialVisit<'_>, election: &ElectionView) -> Result<(Row, Vec<Matter>), Problem> {
    let (api, lang) = (visit.api, visit.lang);
    let law = law_id(&election.law_id)?;
    let is_halted = api.node.halted(&law).is_some();
    let now = api.now().minute_floor();
    let (summary, urgent, next) = match api.node.official_view(&law) {
        Some(view) => {
            let summary = ElectionSummary::new(lang, election, &view);
            let next = ActionLink::next(lang, &summary.law_id, &summary.title, view.state);
            (summary, Attention::for_election(&view, is_halted, now), next)
        }
        // Its log cannot be read.
        None => (ElectionSummary::from_damaged(lang, election), vec![Attention::Halted], None),
    };
    let matters = urgent.into_iter().map(|urgency| Matter {
        urgency,
        title: summary.title.clone(),
        href: summary.href.clone(),
        text: urgency.text(lang),
    });
    let matters = matters.collect();
    let actions = next.into_iter().filter(|_| visit.is_administrator()).collect();
    Ok((Row { election: summary, actions }, matters))
}
