//! The report of a check.

use std::fmt;
use std::path::Path;

use crate::violation::{Rule, Violation};

/// The counts of everything compared, and every violation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Votes announced in the journals.
    pub votes: u64,
    /// Votes that were sent at least once, or may have been.
    pub sent: u64,
    /// Sendings, retries included.
    pub sendings: u64,
    /// Votes the node reported as stored.
    pub answered: u64,
    /// Votes without a definite answer.
    pub unanswered: u64,
    /// Votes reported as not stored, or never sent.
    pub refused: u64,
    /// Entries of the log.
    pub decided: u64,
    /// Entries that accept a vote.
    pub accepted: u64,
    /// Entries that decide a vote as duplicate.
    pub duplicate: u64,
    /// Entries that decide a vote as invalid.
    pub invalid: u64,
    /// Envelopes without an entry: replays.
    pub replayed: u64,
    /// Decisions reported to voters.
    pub decisions: u64,
    /// Checkpoints compared with the leaves.
    pub checkpoints: u64,
    /// Every violation, in the order found.
    pub violations: Vec<Violation>,
}

impl Report {
    /// Violations of one rule.
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
            "log: decided {}: accepted {}, duplicate {}, invalid {}; replayed {}; decisions reported {}, checkpoints {}",
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
