//! Where the rules report a failure: one line of `leaves.jsonl`.

use crate::bundle::{Failures, Rule, file};

/// The failures of one line of `leaves.jsonl`.
pub(super) struct Line<'a> {
    pub(super) failures: &'a mut Failures,
    /// The line number, from 1.
    pub(super) number: u64,
}

impl Line<'_> {
    pub(super) fn fail(&mut self, rule: Rule, found: std::fmt::Arguments<'_>) {
        self.failures.add(file::LEAVES, Some(self.number), rule, found);
    }
}
