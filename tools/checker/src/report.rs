//! The report of a check: the counts of what was compared, and every violation.

use std::fmt;
use std::path::Path;

use crate::violation::{Rule, Violation};

/// The result of a check. As text: a violation a line, then the counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Votes announced in the journals.
    pub votes: u64,
    /// Votes that were sent at least once, or may have been: those without an outcome.
    pub sent: u64,
    /// Attempts to send a vote, retries included.
    pub sendings: u64,
    /// Votes the node reported as stored.
    pub answered: u64,
    /// Votes without a definite answer.
    pub unanswered: u64,
    /// Votes reported as not stored, or never sent.
    pub refused: u64,
    /// Entries of the log: votes with a decision.
    pub decided: u64,
    /// Entries that accept a vote.
    pub accepted: u64,
    /// Entries that decide a vote as duplicate.
    pub duplicate: u64,
    /// Entries that decide a vote as invalid.
    pub invalid: u64,
    /// Envelopes with a replay leaf instead of an entry: their request was decided before.
    pub replayed: u64,
    /// Decisions reported to voters.
    pub decisions: u64,
    /// Checkpoints compared with the leaves.
    pub checkpoints: u64,
    /// Every violation, in the order found.
    pub violations: Vec<Violation>,
}

impl Report {
    /// The number of violations of one rule.
    #[must_use]
    pub fn violations_of(&self, rule: Rule) -> u64 {
        self.violations.iter().filter(|violation| violation.rule == rule).count() as u64
    }

    pub(crate) fn violated(
        &mut self,
        rule: Rule,
        path: &Path,
        line: usize,
        what: impl Into<String>,
    ) {
        self.violations.push(Violation::new(rule, path, line, what));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for violation in &self.violations {
            writeln!(formatter, "{violation}")?;
        }
        writeln!(
            formatter,
            "votes {} (sendings {}): answered {}, unanswered {}, not stored {}",
            self.votes, self.sendings, self.answered, self.unanswered, self.refused
        )?;
        writeln!(
            formatter,
            "log: decided {}: accepted {}, duplicate {}, invalid {}; replayed {}; \
             decisions reported {}, checkpoints {}",
            self.decided,
            self.accepted,
            self.duplicate,
            self.invalid,
            self.replayed,
            self.decisions,
            self.checkpoints
        )?;
        write!(formatter, "violations {}", self.violations.len())
    }
}
