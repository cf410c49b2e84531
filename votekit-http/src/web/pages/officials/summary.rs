//! An election in the words of officials: state, turnout, times. The list and the page of the
//! election show the same.

use votekit_core::election::State;
use votekit_core::instant::UnixMinutes;
use votekit_node::{ElectionView, OfficialView};

use crate::web::lang::Lang;
use crate::web::moment::Moment;
use crate::web::numbers::{basis_points, count, percent, width};

/// The summary of an election.
pub(super) struct ElectionSummary {
    pub(super) law_id: String,
    pub(super) title: String,
    pub(super) href: String,
    pub(super) state: &'static str,
    /// The class of the state in the style sheet.
    pub(super) state_class: &'static str,
    pub(super) is_test: bool,
    pub(super) turnout: String,
    pub(super) turnout_width: String,
    /// Votes accepted of electors registered, as a phrase.
    pub(super) turnout_of: String,
    pub(super) opens: Option<Moment>,
    pub(super) closes: Option<Moment>,
}

impl ElectionSummary {
    pub(super) fn new(lang: Lang, election: &ElectionView, view: &OfficialView) -> Self {
        let points = basis_points(view.report.accepted, view.registered);
        let accepted = count(lang, view.report.accepted);
        let registered = count(lang, view.registered);
        Self {
            law_id: election.law_id.clone(),
            title: lang.pick(&election.title).to_owned(),
            href: format!("/{}/officials/elections/{}", lang.code(), election.law_id),
            state: state_name(lang, view.state),
            state_class: state_class(view.state),
            is_test: !election.binding,
            turnout: percent(lang, points),
            turnout_width: width(points),
            turnout_of: lang.turnout_of(&accepted, &registered),
            opens: moment(lang, view.opened.or(view.definition.opens)),
            closes: moment(lang, view.closed.or(view.definition.closes)),
        }
    }

    /// An election whose log cannot be read: its turnout is not known.
    pub(super) fn from_damaged(lang: Lang, election: &ElectionView) -> Self {
        let moment = |time: Option<&str>| Moment::new(lang, time?);
        Self {
            law_id: election.law_id.clone(),
            title: lang.pick(&election.title).to_owned(),
            href: format!("/{}/officials/elections/{}", lang.code(), election.law_id),
            state: lang.official_halted(),
            state_class: "void",
            is_test: !election.binding,
            turnout: lang.turnout_unknown().to_owned(),
            turnout_width: width(0),
            turnout_of: String::new(),
            opens: moment(election.opens.as_deref()),
            closes: moment(election.closes.as_deref()),
        }
    }
}

/// The state in the words of officials.
pub(super) fn state_name(lang: Lang, state: State) -> &'static str {
    match state {
        State::Draft => lang.official_draft(),
        State::Open => lang.official_open(),
        State::Closing => lang.official_closing(),
        State::Certified => lang.official_certified(),
        State::Annulled => lang.official_annulled(),
        _ => lang.official_closed(),
    }
}

fn state_class(state: State) -> &'static str {
    match state {
        State::Open => "open",
        State::Closing | State::Closed => "waiting",
        State::Annulled => "void",
        _ => "",
    }
}

/// A minute in the language of the page.
pub(super) fn moment(lang: Lang, minute: Option<UnixMinutes>) -> Option<Moment> {
    Moment::new(lang, &minute?.to_rfc3339())
}
