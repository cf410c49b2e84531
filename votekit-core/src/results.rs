//! The results of an election, for any output format.

use crate::election::{Definition, State};
use crate::id::{Digest, ElectionId};
use crate::instant::UnixMinutes;
use crate::reconcile::Report;
use crate::tally::Counts;

/// Everything that the results files state. Pure data: the exporters encode it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Results {
    /// The definition of the election.
    pub definition: Definition,
    /// The state of the election.
    pub state: State,
    /// When the poll opened.
    pub opened: Option<UnixMinutes>,
    /// When it closed.
    pub closed: Option<UnixMinutes>,
    /// Electors registered.
    pub registered: u64,
    /// Counts of what was received, by outcome.
    pub report: Report,
    /// Accepted votes by choice.
    pub counts: Counts,
    /// The size of the log that the result was read from, in leaves.
    pub log_size: u64,
    /// The log's root at that size.
    pub log_root: Digest,
    /// The time of the last block.
    pub updated_at: UnixMinutes,
}

impl Results {
    /// The results of these counts, before anything else is known: without times and electors, of
    /// an empty log. The other fields can be set afterwards.
    #[must_use]
    pub fn new(definition: Definition, state: State, report: Report, counts: Counts) -> Self {
        Self {
            definition,
            state,
            opened: None,
            closed: None,
            registered: 0,
            report,
            counts,
            log_size: 0,
            // The root of the empty tree (RFC 6962).
            log_root: Digest::compute(b""),
            updated_at: UnixMinutes::MIN,
        }
    }

    /// The law id, which identifies the election.
    #[must_use]
    pub fn law_id(&self) -> &ElectionId {
        &self.definition.law_id
    }

    /// The results as the file whose digest a `certified` leaf states: a state after the close is
    /// written as `closed`, so that the file does not change with the certification.
    #[must_use]
    pub fn as_certified(&self) -> Self {
        Self { state: self.state.min(State::Closed), ..self.clone() }
    }

    /// Turnout in hundredths of a per cent, rounded down; 0 if no elector is registered.
    #[must_use]
    pub fn turnout_basis_points(&self) -> u64 {
        let accepted = u128::from(self.report.accepted) * 10_000;
        u64::try_from(accepted.checked_div(u128::from(self.registered)).unwrap_or(0))
            .unwrap_or(u64::MAX)
    }

    /// Turnout in per cent with two decimals, rounded down.
    #[must_use]
    pub fn turnout_percent(&self) -> String {
        let basis_points = self.turnout_basis_points();
        format!("{}.{:02}", basis_points / 100, basis_points % 100)
    }

    /// Whether the ballot has a choice with this id.
    pub(crate) fn has_choice(&self, id: &str) -> bool {
        self.definition.choices.iter().any(|choice| choice.id.as_str() == id)
    }

    /// The count of a choice by its id; 0 if the ballot lacks it.
    #[must_use]
    pub fn count_of(&self, id: &str) -> u64 {
        let choices = self.definition.choices.iter().zip(&self.counts.choices);
        choices
            .into_iter()
            .find(|(choice, _)| choice.id.as_str() == id)
            .map_or(0, |(_, count)| *count)
    }
}
