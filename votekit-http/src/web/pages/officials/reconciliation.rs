//! The accounts of an election as a table: the received votes, by outcome, and by choice where
//! every results policy shows it.

use votekit_core::election::State;
use votekit_node::OfficialView;

use crate::web::lang::Lang;
use crate::web::numbers::count;

/// A line of the accounts.
pub(super) struct Figure {
    pub(super) label: String,
    pub(super) count: String,
}

/// The accounts of an election.
pub(super) struct Reconciliation {
    pub(super) registered: String,
    /// Envelopes received, then by outcome.
    pub(super) rows: Vec<Figure>,
    /// Accepted votes by choice, then the unreadable votes; empty while the policy may withhold
    /// them.
    pub(super) choices: Vec<Figure>,
    /// The sum of all choices.
    pub(super) sum: String,
    /// Whether all sums agree.
    pub(super) is_balanced: bool,
    /// Whether the numbers still move.
    pub(super) is_moving: bool,
}

impl Reconciliation {
    pub(super) fn new(lang: Lang, view: &OfficialView) -> Self {
        let figure =
            |label: &str, value| Figure { label: label.to_owned(), count: count(lang, value) };
        let report = &view.report;
        let rows = vec![
            figure(lang.account_received(), report.received),
            figure(lang.account_accepted(), report.accepted),
            figure(lang.account_duplicate(), report.duplicate),
            figure(lang.account_invalid(), report.invalid),
            figure(lang.account_replayed(), report.replayed),
        ];
        let mut choices = Vec::new();
        if let Some(counts) = &view.counts {
            for (choice, votes) in view.definition.choices.iter().zip(&counts.choices) {
                let label = match lang {
                    Lang::Fr => &choice.fr,
                    Lang::En => &choice.en,
                };
                choices.push(figure(label, *votes));
            }
            choices.push(figure(lang.row_spoiled(), counts.spoiled));
        }
        let decided = report.accepted + report.duplicate + report.invalid + report.replayed;
        let is_balanced = match &view.counts {
            Some(counts) => report.reconcile(counts, view.registered).is_ok(),
            None => report.received == decided,
        };
        Self {
            registered: count(lang, view.registered),
            rows,
            choices,
            sum: view.counts.as_ref().map(|counts| count(lang, counts.total())).unwrap_or_default(),
            is_balanced,
            is_moving: matches!(view.state, State::Open | State::Closing),
        }
    }
}
