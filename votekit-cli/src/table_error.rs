//! Reports the faults of a roll or a file of votes, with the same texts for every command that
//! reads such a file: by line, field and rule, never by value.

use std::fmt::Write as _;

use serde_json::{Value, json};
use votekit_core::roll::{RollError, RowFault, RuleCount, count_by_rule};
use votekit_messages::InWords as _;

use crate::error::CommandError;

/// Maximum lines printed of a list; the rest is counted.
pub(crate) const PRINTED_MAX: usize = 100;
/// Maximum entries of a list in JSON errors; the rest is counted.
pub(crate) const DETAILED_MAX: usize = 10_000;

/// The bad rows of one or two files.
pub(crate) struct BadRows<'a> {
    /// File names with their faults.
    pub(crate) files: &'a [(&'a str, &'a [RowFault])],
    /// The consequence of the faults, such as "nothing was written".
    pub(crate) outcome: &'a str,
    /// Hint that applies to all rules.
    pub(crate) hint: &'a str,
}

impl BadRows<'_> {
    /// Fails if there is a bad row. Lists the rows, then counts them by rule.
    pub(crate) fn refuse(&self) -> Result<(), CommandError> {
        let total = self.faults().count();
        if total == 0 {
            return Ok(());
        }
        let outcome = self.outcome;
        let mut message = format!("{total} bad {}; {outcome}", plural(total as u64, "row"));
        self.list(&mut message);
        Err(self.error(message, total))
    }

    /// Fails if a fault may hide further rows: skipping its row would lose them too.
    pub(crate) fn refuse_lost_position(&self) -> Result<(), CommandError> {
        let Some((name, fault)) = self.faults().find(|(_, fault)| fault.rule.loses_position())
        else {
            return Ok(());
        };
        let message = format!(
            "{name}: {}; rows after it may be lost, so it is never skipped; {}",
            fault.in_words(),
            self.outcome
        );
        Err(CommandError::bad_input(message)
            .hint_if(fault.hint())
            .details(json!({ "faults": [described(name, fault)], "faults_total": 1 })))
    }

    /// Returns an error with the given message, followed by the counts by rule.
    pub(crate) fn refuse_as(&self, message: String) -> CommandError {
        self.error(message, self.faults().count())
    }

    /// The number of bad rows.
    pub(crate) fn total(&self) -> usize {
        self.faults().count()
    }

    /// The bad rows, for programs.
    pub(crate) fn described(&self) -> Vec<Value> {
        self.faults().take(DETAILED_MAX).map(|(name, fault)| described(name, fault)).collect()
    }

    /// Appends the bad rows to the message of an error that has another cause; nothing if there are
    /// none.
    pub(crate) fn append(&self, message: &mut String) {
        let total = self.total();
        if total > 0 {
            let _ = write!(message, "\n{total} bad {} as well:", plural(total as u64, "row"));
            self.list(message);
        }
    }

    fn faults(&self) -> impl Iterator<Item = (&str, &RowFault)> {
        self.files.iter().flat_map(|(name, faults)| faults.iter().map(move |fault| (*name, fault)))
    }

    fn list(&self, message: &mut String) {
        for (name, fault) in self.faults().take(PRINTED_MAX) {
            let _ = write!(message, "\n  {name}: {}", fault.in_words());
        }
        and_more(message, self.faults().count());
    }

    fn error(&self, mut message: String, total: usize) -> CommandError {
        let rules = count_by_rule(self.faults().map(|(_, fault)| fault));
        if total > 1 {
            message.push_str("\nby rule:");
            for rule in &rules {
                let _ = write!(message, "\n  {}", RuleLine(rule));
            }
        }
        let listed = self.described();
        // The hint of the most frequent rule that has one.
        let hint = match rules.iter().find_map(|rule| rule.first.hint()) {
            Some(advice) => format!("{advice}; {}", self.hint),
            None => self.hint.to_owned(),
        };
        let by_rule: Vec<Value> = rules.iter().map(counted).collect();
        CommandError::bad_input(message)
            .hint(hint)
            .details(json!({ "faults": listed, "faults_total": total, "faults_by_rule": by_rule }))
    }
}

/// One line of the counts by rule, with the first row as an example.
pub(crate) struct RuleLine<'a>(pub(crate) &'a RuleCount);

impl std::fmt::Display for RuleLine<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let RuleCount { first, count } = self.0;
        let first = first.in_words();
        match count {
            1 => write!(formatter, "1: {first}"),
            count => write!(formatter, "{count} like {first}"),
        }
    }
}

/// The count of a rule, for programs.
pub(crate) fn counted(rule: &RuleCount) -> Value {
    json!({
        "field": rule.first.field.to_string(),
        "code": rule.first.rule.code(),
        "count": rule.count,
        "first_line": rule.first.line,
    })
}

fn described(name: &str, fault: &RowFault) -> Value {
    json!({
        "file": name,
        "line": fault.line,
        "field": fault.field.to_string(),
        "code": fault.rule.code(),
        "rule": fault.rule.in_words(),
    })
}

/// Appends how many entries of a list were not printed.
pub(crate) fn and_more(message: &mut String, total: usize) {
    if total > PRINTED_MAX {
        let _ = write!(message, "\n  … and {} more", total - PRINTED_MAX);
    }
}

/// The error for a table that cannot be read, with a hint.
pub(crate) fn unreadable(name: &str, error: &RollError) -> CommandError {
    CommandError::bad_input(format!("{name}: {}", error.in_words())).hint_if(error.hint())
}

/// Returns the word, with an s unless `count` is 1.
pub(crate) fn plural(count: u64, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}
