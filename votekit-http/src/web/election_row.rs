//! An election in a list.

use votekit_core::election::State;
use votekit_node::ElectionView;

use super::lang::Lang;
use super::moment::{Moment, is_between};
use super::visit::Visit;
use crate::problem::Problem;

/// An election in a list, in the language of the page.
pub(crate) struct ElectionRow {
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) state: &'static str,
    /// Its class in the style sheet.
    pub(crate) state_class: &'static str,
    pub(crate) opens: Option<Moment>,
    pub(crate) closes: Option<Moment>,
    pub(crate) is_test: bool,
    /// Whether it takes votes now.
    pub(crate) is_open: bool,
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
        let cast = visit.session.as_ref().and_then(|session| {
            let law = law_id.parse().ok()?;
            session.request_for(&law)
        });
        let code = lang.code();
        let is_open = is_open(election, visit.api.now().0);
        let moment = |text: &Option<String>| Moment::new(lang, text.as_deref()?);
        Self {
            title: title.to_owned(),
            description: lang.pick(&election.description).to_owned(),
            state: state_name(lang, election, is_open),
            state_class: if is_open { "open" } else { "" },
            opens: moment(&election.opens),
            closes: moment(&election.closes),
            is_test: !election.binding,
            is_open,
            vote_href: format!("/{code}/vote/{law_id}"),
            vote_label: lang.vote_in(title),
            results_href: format!("/{code}/results/{law_id}"),
            results_label: lang.results_of(title),
            voted_href: cast.map(|request| format!("/{code}/votes/{request}")).unwrap_or_default(),
        }
    }
}

/// Whether an election takes votes at this second.
pub(crate) fn is_open(election: &ElectionView, now: u64) -> bool {
    election.state == "open"
        && is_between(election.opens.as_deref(), election.closes.as_deref(), now)
}

/// Checks that an election takes votes at this second, so that no voter types a code in vain.
///
/// # Errors
/// [`Problem::NotOpen`].
pub(crate) fn check_open(election: &ElectionView, now: u64) -> Result<(), Problem> {
    if is_open(election, now) {
        return Ok(());
    }
    let early = election.state == "draft"
        || (election.state == "open" && !is_between(election.opens.as_deref(), None, now));
    let state = if early { State::Draft } else { State::Closed };
    Err(Problem::NotOpen { early, state, opens: None, closes: None })
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
        _ => lang.state_closed(),
    }
}
