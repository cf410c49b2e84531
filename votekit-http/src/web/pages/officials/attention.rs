//! The matters in an election that need an official's attention, the most urgent first.

use votekit_core::election::State;
use votekit_core::instant::UnixMinutes;
use votekit_node::OfficialView;

use crate::web::lang::Lang;

/// A matter that needs attention. The most urgent comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Attention {
    /// A fault halted the election on this node.
    Halted,
    /// The planned closing has passed, and no close was commanded.
    CloseLate,
    /// A close has begun and is not finished.
    CloseUnfinished,
    /// The planned opening has passed, and the election is a draft.
    OpenLate,
    /// A draft has no roll.
    NoRoll,
    /// The result is not official yet.
    Certify,
}

impl Attention {
    /// Every matter of an election at this minute, the most urgent first.
    pub(super) fn for_election(
        view: &OfficialView,
        is_halted: bool,
        now: UnixMinutes,
    ) -> Vec<Self> {
        let has_passed = |planned: Option<UnixMinutes>| planned.is_some_and(|time| time <= now);
        let mut found = Vec::new();
        if is_halted {
            found.push(Self::Halted);
        }
        match view.state {
            State::Draft => {
                if has_passed(view.definition.opens) {
                    found.push(Self::OpenLate);
                }
                if view.manifests.is_empty() {
                    found.push(Self::NoRoll);
                }
            }
            State::Open if has_passed(view.definition.closes) => found.push(Self::CloseLate),
            State::Closing => found.push(Self::CloseUnfinished),
            State::Closed => found.push(Self::Certify),
            _ => {}
        }
        found
    }

    /// The advice, as a sentence.
    pub(super) fn text(self, lang: Lang) -> &'static str {
        match self {
            Self::Halted => lang.attention_halted(),
            Self::CloseLate => lang.attention_close_late(),
            Self::CloseUnfinished => lang.attention_close_unfinished(),
            Self::OpenLate => lang.attention_open_late(),
            Self::NoRoll => lang.attention_no_roll(),
            Self::Certify => lang.attention_certify(),
        }
    }
}

#[cfg(test)]
mod tests {
    use votekit_core::ballot::BallotPublicKey;
    use votekit_core::election::{Bilingual, Choice, Definition, ResultsPolicy};
    use votekit_core::id::Digest;
    use votekit_core::reconcile::Report;

    use super::*;

    const NOW: UnixMinutes = UnixMinutes(29_900_000);

    fn view(state: State, opens: u64, closes: u64, has_roll: bool) -> OfficialView {
        let text = |text: &str| Bilingual { fr: text.to_owned(), en: text.to_owned() };
        let choices = ["oui", "non"]
            .map(|id| Choice::with_customary_labels(id.parse().expect("a choice id")));
        let definition = Definition {
            law_id: "L1".parse().expect("a law id"),
            title: text("Loi"),
            description: text(""),
            choices: choices.to_vec(),
            binding: false,
            results: ResultsPolicy::AfterClose,
            publish_every: 20,
            opens: Some(UnixMinutes(opens)),
            closes: Some(UnixMinutes(closes)),
            ballot_key: BallotPublicKey::from_bytes([9; 32]),
        };
        OfficialView {
            definition,
            state,
            opened: None,
            closed: None,
            registered: 0,
            report: Report::default(),
            counts: None,
            manifests: if has_roll { vec![Digest::compute(b"roll")] } else { Vec::new() },
        }
    }

    #[test]
    fn the_most_urgent_matter_comes_first() {
        let (past, future) = (NOW.0 - 1, NOW.0 + 1);
        for (state, opens, closes, has_roll, expected) in [
            (State::Draft, future, future + 1, true, vec![]),
            (State::Draft, future, future + 1, false, vec![Attention::NoRoll]),
            (State::Draft, past, future, false, vec![Attention::OpenLate, Attention::NoRoll]),
            (State::Open, past, future, true, vec![]),
            (State::Open, past, NOW.0, true, vec![Attention::CloseLate]),
            (State::Closing, past, past, true, vec![Attention::CloseUnfinished]),
            (State::Closed, past, past, true, vec![Attention::Certify]),
            (State::Certified, past, past, true, vec![]),
            (State::Annulled, past, past, true, vec![]),
        ] {
            let view = view(state, opens, closes, has_roll);
            assert_eq!(Attention::for_election(&view, false, NOW), expected, "{state}");
            let halted = Attention::for_election(&view, true, NOW);
            assert_eq!(halted.first(), Some(&Attention::Halted));
            assert!(halted.is_sorted(), "{halted:?}");
        }
    }
}
