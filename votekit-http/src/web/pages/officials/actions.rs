//! The steps of an election that an administrator can take in its present state.

use serde::Deserialize;
use votekit_core::election::State;

use crate::web::lang::Lang;

/// A step that cannot be undone, as in its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Step {
    /// Opens the poll.
    Open,
    /// Closes the poll, or resumes the close.
    Close,
    /// Declares the result official.
    Certify,
    /// Declares the election void.
    Annul,
}

impl Step {
    /// Its name in addresses and form tokens.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Close => "close",
            Self::Certify => "certify",
            Self::Annul => "annul",
        }
    }

    /// Whether the state of an election allows the step.
    pub(super) fn is_possible(self, state: State) -> bool {
        match self {
            Self::Open => state == State::Draft,
            Self::Close => matches!(state, State::Open | State::Closing),
            Self::Certify => state == State::Closed,
            Self::Annul => matches!(state, State::Closed | State::Certified),
        }
    }

    /// The name of the action.
    pub(super) fn action(self, lang: Lang, state: State) -> &'static str {
        match self {
            Self::Open => lang.action_open(),
            Self::Close if state == State::Closing => lang.action_resume(),
            Self::Close => lang.action_close(),
            Self::Certify => lang.action_certify(),
            Self::Annul => lang.action_annul(),
        }
    }

    /// The purpose of its form, for the token: bound to the election.
    pub(super) fn purpose(self, law_id: &str) -> String {
        format!("{}\n{law_id}", self.code())
    }

    /// The step that comes next in this state; annulling is never next.
    pub(super) fn next(state: State) -> Option<Self> {
        let steps = [Self::Open, Self::Close, Self::Certify];
        steps.into_iter().find(|step| step.is_possible(state))
    }
}

/// A link to a step, or to another page of an election.
pub(super) struct ActionLink {
    pub(super) href: String,
    /// The action without its object, as on the button.
    pub(super) name: &'static str,
    /// The action with the title of its election, for those who hear links out of context.
    pub(super) label: String,
    /// Whether it is the step to take next.
    pub(super) is_next: bool,
    /// Whether it takes something away.
    pub(super) is_danger: bool,
}

impl ActionLink {
    fn new(lang: Lang, law_id: &str, title: &str, page: &str, name: &'static str) -> Self {
        Self {
            href: format!("/{}/officials/elections/{law_id}/{page}", lang.code()),
            name,
            label: lang.action_on(name, title),
            is_next: false,
            is_danger: false,
        }
    }

    /// The next step of an election, if there is one.
    pub(super) fn next(lang: Lang, law_id: &str, title: &str, state: State) -> Option<Self> {
        let step = Step::next(state)?;
        let link = Self::new(lang, law_id, title, step.code(), step.action(lang, state));
        Some(Self { is_next: true, ..link })
    }

    /// Everything an administrator can do with an election, the next step first.
    pub(super) fn all(lang: Lang, law_id: &str, title: &str, state: State) -> Vec<Self> {
        let mut links = Vec::from_iter(Self::next(lang, law_id, title, state));
        if state == State::Draft {
            links.push(Self::new(lang, law_id, title, "amend", lang.action_amend()));
        }
        if matches!(state, State::Draft | State::Open) {
            links.push(Self::new(lang, law_id, title, "roll", lang.action_roll()));
        }
        if Step::Annul.is_possible(state) {
            let link = Self::new(lang, law_id, title, Step::Annul.code(), lang.action_annul());
            links.push(Self { is_danger: true, ..link });
        }
        links
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_its_steps() {
        for (state, expected) in [
            (State::Draft, "open amend roll"),
            (State::Open, "close roll"),
            (State::Closing, "close"),
            (State::Closed, "certify annul"),
            (State::Certified, "annul"),
            (State::Annulled, ""),
        ] {
            let links = ActionLink::all(Lang::En, "L1", "Act", state);
            let pages: Vec<_> =
                links.iter().map(|link| link.href.rsplit('/').next().expect("a page")).collect();
            assert_eq!(pages.join(" "), expected, "{state}");
            assert!(links.iter().all(|link| link.label.ends_with(": Act")));
        }
        assert_eq!(Step::Close.action(Lang::En, State::Closing), "Resume the close");
        assert_eq!(Step::Open.purpose("L1"), "open\nL1");
    }
}
