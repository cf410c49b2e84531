//! The results of an election: a table first, then bars and turnout. A script follows the events of
//! the election, and puts new figures into the same elements. Under `after_vote` the counts are
//! shown to a session that has cast its vote, here and in the events.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use votekit_core::election::{Choice, ResultsPolicy};
use votekit_core::results::Results;
use votekit_node::{ElectionView, ResultsError};

use crate::api::results::cast_in_session;
use crate::api::{PathText, law_id};
use crate::context::Api;
use crate::problem::Problem;
use crate::published;
use crate::web::assets;
use crate::web::election_row::is_open;
use crate::web::frame::Frame;
use crate::web::lang::Lang;
use crate::web::moment::Moment;
use crate::web::numbers::{basis_points, count, percent, width};
use crate::web::visit::Visit;

#[derive(Template)]
#[template(path = "results.html")]
struct ResultsPage {
    frame: Frame,
    results_of: String,
    /// The status of the figures: provisional, closed, official, annulled.
    standing: &'static str,
    /// Why the counts are not shown.
    withheld: Option<&'static str>,
    /// Why they are shown to this session, if they are not to everyone.
    shown_to_voter: Option<&'static str>,
    rows: Vec<ChoiceRow>,
    total: String,
    turnout: String,
    turnout_width: String,
    figures: Vec<Figure>,
    updated: Option<Moment>,
    /// Whether figures can still change: the page follows them.
    is_followed: bool,
    events: String,
    version: u64,
    state: String,
    vote_href: String,
    results_script: &'static str,
}

struct ChoiceRow {
    id: String,
    label: String,
    count: String,
    share: String,
    width: String,
}

struct Figure {
    id: &'static str,
    label: &'static str,
    count: String,
}

/// `GET /{lang}/results/{law_id}`.
pub(crate) async fn results(
    State(api): State<Arc<Api>>,
    PathText((lang, law)): PathText<(Lang, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let law = law_id(&law)?;
    published::election(&api.node, &law)?;
    // Read before the counts: an event of the same version then changes nothing.
    let (version, election) = api.node.watch(&law).ok_or_else(|| api.unreadable(&law))?.current();
    // The events that the page follows are sent with the same cookie.
    let voter = cast_in_session(&api, &law, &headers);
    let results = match api.node.results(&law, voter).await {
        Ok(results) => Ok(results),
        Err(ResultsError::Withheld { policy, .. }) => Err(policy),
        Err(error) => return Err(error.into()),
    };
    let visit = Visit::begin(&api, lang, &headers);
    let results_of = lang.results_of(lang.pick(&election.title));
    let frame = visit.frame(&results_of, &format!("/results/{law}"))?.about(&election);
    let turnout = basis_points(election.accepted, election.registered);
    let may_vote = is_open(&election, api.now().0)
        && visit.session.as_ref().is_none_or(|session| session.request_for(&law).is_none());
    let page = ResultsPage {
        frame,
        results_of,
        standing: standing(lang, &election.state),
        withheld: results.as_ref().err().map(|policy| withheld(lang, *policy)),
        shown_to_voter: (results.is_ok() && voter.is_some() && !is_final(&election.state))
            .then(|| lang.shown_after_vote()),
        rows: results.as_ref().map(|results| rows(lang, results)).unwrap_or_default(),
        total: results.as_ref().map(|shown| count(lang, total(shown))).unwrap_or_default(),
        turnout: percent(lang, turnout),
        turnout_width: width(turnout),
        figures: figures(lang, &election, results.as_ref().ok()),
        updated: results
            .as_ref()
            .ok()
            .and_then(|results| visit.moment(Some(&results.updated_at.to_rfc3339()))),
        is_followed: matches!(election.state.as_str(), "draft" | "open" | "closing" | "closed"),
        events: format!("/api/v1/results/{law}/events"),
        version,
        state: election.state.clone(),
        vote_href: if may_vote { format!("/{}/vote/{law}", lang.code()) } else { String::new() },
        results_script: assets::results_script(),
    };
    visit.answer(StatusCode::OK, &page)
}

fn standing(lang: Lang, state: &str) -> &'static str {
    match state {
        "draft" => lang.state_draft(),
        "open" => lang.results_provisional(),
        "closing" => lang.results_counting(),
        "certified" => lang.results_official(),
        "annulled" => lang.results_annulled(),
        "halted" => lang.results_halted(),
        _ => lang.results_closed(),
    }
}

/// Whether everyone may see the counts under every policy.
fn is_final(state: &str) -> bool {
    matches!(state, "closed" | "certified" | "annulled")
}

fn withheld(lang: Lang, policy: ResultsPolicy) -> &'static str {
    match policy {
        ResultsPolicy::AfterVote => lang.withheld_after_vote(),
        _ => lang.withheld_after_close(),
    }
}

/// The votes for all choices. Ballots that could not be read are listed apart.
fn total(results: &Results) -> u64 {
    results.counts.choices.iter().sum()
}

fn rows(lang: Lang, results: &Results) -> Vec<ChoiceRow> {
    let total = total(results);
    let choices = results.definition.choices.iter().zip(&results.counts.choices);
    let row = |(choice, votes): (&Choice, &u64)| {
        let share = basis_points(*votes, total);
        let label = match lang {
            Lang::Fr => &choice.fr,
            Lang::En => &choice.en,
        };
        ChoiceRow {
            id: choice.id.to_string(),
            label: label.clone(),
            count: count(lang, *votes),
            share: percent(lang, share),
            width: width(share),
        }
    };
    choices.map(row).collect()
}

fn figures(lang: Lang, election: &ElectionView, results: Option<&Results>) -> Vec<Figure> {
    let figure = |id, label, value| Figure { id, label, count: count(lang, value) };
    let mut figures = vec![
        figure("registered", lang.count_registered(), election.registered),
        figure("received", lang.count_received(), election.received),
        figure("accepted", lang.count_accepted(), election.accepted),
        figure("duplicate", lang.count_duplicate(), election.duplicate),
        figure("invalid", lang.count_invalid(), election.invalid),
    ];
    if let Some(spoiled) = results.map(|results| results.counts.spoiled).filter(|few| *few > 0) {
        figures.push(figure("spoiled", lang.row_spoiled(), spoiled));
    }
    figures
}
