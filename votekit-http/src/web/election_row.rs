//! An election in a list.

use votekit_core::id::ElectionId;
use votekit_node::ElectionView;

use super::lang::Lang;
use super::moment::{Moment, is_between};
use super::visit::Visit;
use crate::context::Api;
use crate::problem::Problem;
use crate::published;

/// An election in a list, in the language of the page.
pub(crate) struct ElectionRow {
    pub(crate) law_id: String,
    pub(crate) title: String,
    pub(crate) description: String,
    /// The state as the interface names it, for the script that follows it.
    pub(crate) state_id: String,
    pub(crate) state: &'static str,
    /// Its class in the style sheet.
    pub(crate) state_class: &'static str,
    pub(crate) opens: Option<Moment>,
    pub(crate) closes: Option<Moment>,
    pub(crate) is_test: bool,
    /// Whether it takes votes now.
    pub(crate) is_open: bool,
    /// Whether it is to open.
    pub(crate) is_upcoming: bool,
    /// The ballot for a voter who is signed in for the election, the sign-in for others.
    pub(crate) vote_href: String,
    pub(crate) vote_label: String,
    pub(crate) results_href: String,
    pub(crate) results_label: String,
    /// The page of the vote that this session cast; empty if it cast none.
    pub(crate) voted_href: String,
}

impl ElectionRow {
    pub(crate) fn new(visit: &Visit<'_>, election: &ElectionView) -> Self {
        let (lang, law_id) = (visit.lang, &election.law_id);
        let title = lang.pick(&election.title);
        let session = visit.session.as_ref().zip(law_id.parse::<ElectionId>().ok());
        let cast = session.as_ref().and_then(|(session, law)| session.request_for(law));
        let has_ballot = session.is_some_and(|(session, law)| session.hash_for(&law).is_some());
        let code = lang.code();
        let now = visit.api.now().0;
        let is_open = is_open(election, now);
        let step = if has_ballot { "/ballot" } else { "" };
        Self {
            law_id: law_id.clone(),
            title: title.to_owned(),
            description: lang.pick(&election.description).to_owned(),
            state_id: election.state.clone(),
            state: state_name(lang, election, is_open),
            state_class: if is_open { "open" } else { "" },
            opens: visit.moment(election.opens.as_deref()),
            closes: visit.moment(election.closes.as_deref()),
            is_test: !election.binding,
            is_open,
            is_upcoming: is_early(election, now),
            vote_href: format!("/{code}/vote/{law_id}{step}"),
            vote_label: lang.vote_in(title),
            results_href: format!("/{code}/results/{law_id}"),
            results_label: lang.see_results_of(title),
            voted_href: cast.map(|request| format!("/{code}/votes/{request}")).unwrap_or_default(),
        }
    }
}

/// Whether an election takes votes at this second.
pub(crate) fn is_open(election: &ElectionView, now: u64) -> bool {
    election.state == "open"
        && is_between(election.opens.as_deref(), election.closes.as_deref(), now)
}

/// Whether an election is to open.
fn is_early(election: &ElectionView, now: u64) -> bool {
    election.state == "draft"
        || (election.state == "open" && !is_between(election.opens.as_deref(), None, now))
}

/// Checks that an election takes votes here at this second, so that no voter types a code, or fills
/// in a ballot, in vain.
///
/// # Errors
/// [`Problem::NotOpen`] with the times of the poll; [`Problem::Halted`].
pub(crate) fn check_open(api: &Api, election: &ElectionView) -> Result<(), Problem> {
    if election.is_halted() {
        return Err(Problem::Halted);
    }
    let now = api.now();
    if !is_open(election, now.0) {
        return Err(published::not_open(election, is_early(election, now.0), now));
    }
    Ok(())
}

/// The state in words. An open election outside its hours is upcoming or being counted.
fn state_name(lang: Lang, election: &ElectionView, is_open: bool) -> &'static str {
    match election.state.as_str() {
        "open" if is_open => lang.state_open(),
        "open" if election.received > 0 => lang.state_closing(),
        "draft" | "open" => lang.state_draft(),
        "closing" => lang.state_closing(),
        "certified" => lang.state_certified(),
        "annulled" => lang.state_annulled(),
        "halted" => lang.state_halted(),
        _ => lang.state_closed(),
    }
}
