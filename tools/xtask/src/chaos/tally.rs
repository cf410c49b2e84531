//! The results of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use votekit_checker::{Report, Rule};

use super::fault::Fault;

/// Sums over rounds and episodes.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) episodes: u64,
    pub(super) rounds: u64,
    pub(super) faults: BTreeMap<Fault, u64>,
    /// Writes and names that power cuts removed, in whole or in part.
    pub(super) cut_changes: u64,
    /// The longest time from the start of a process until it was ready.
    pub(super) ready_max: Duration,
    /// Time during which voters sent votes.
    pub(super) loaded: Duration,
    pub(super) votes: u64,
    pub(super) sendings: u64,
    pub(super) answered: u64,
    pub(super) unanswered: u64,
    pub(super) decided: u64,
    /// Copies of a vote that reached the log again, and have no entry.
    pub(super) replayed: u64,
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) violations: u64,
    /// Checkpoints fetched and compared with the final log.
    pub(super) checkpoints: u64,
    /// Episodes that did not finish, or had a violation.
    pub(super) failures: u64,
}

/// Prints the results of the check of a run on services. `notes` are inserted before the number of
/// decided votes.
pub(crate) fn print_report(report: &Report, loaded: Duration, notes: &str) {
    println!(
        "votes: {} sent {} times in {:.0} s, {} answered, {} unanswered{notes}; {} decided ({} accepted, {} duplicate, {} invalid), {} replayed",
        report.sent,
        report.sendings,
        loaded.as_secs_f64(),
        report.answered,
        report.unanswered,
        report.decided,
        report.accepted,
        report.duplicate,
        report.invalid,
        report.replayed
    );
    println!(
        "lost {}, doubled {}, violations {}, checkpoints held {}",
        report.violations_of(Rule::Lost),
        report.violations_of(Rule::Doubled) + report.violations_of(Rule::AcceptedTwice),
        report.violations.len(),
        report.checkpoints
    );
}

impl Tally {
    pub(super) fn fault(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// Adds the results of a check.
    pub(super) fn checked(&mut self, report: &Report) {
        self.votes += report.sent;
        self.sendings += report.sendings;
        self.answered += report.answered;
        self.unanswered += report.unanswered;
        self.decided += report.decided;
        self.replayed += report.replayed;
        self.lost += report.violations_of(Rule::Lost);
        self.doubled +=
            report.violations_of(Rule::Doubled) + report.violations_of(Rule::AcceptedTwice);
        self.violations += report.violations.len() as u64;
        self.checkpoints += report.checkpoints;
    }

    /// Adds an episode.
    pub(super) fn add(&mut self, other: &Self) {
        self.episodes += other.episodes;
        self.rounds += other.rounds;
        other
            .faults
            .iter()
            .for_each(|(fault, count)| *self.faults.entry(*fault).or_default() += count);
        self.cut_changes += other.cut_changes;
        self.ready_max = self.ready_max.max(other.ready_max);
        self.loaded += other.loaded;
        self.votes += other.votes;
        self.sendings += other.sendings;
        self.answered += other.answered;
        self.unanswered += other.unanswered;
        self.decided += other.decided;
        self.replayed += other.replayed;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.violations += other.violations;
        self.checkpoints += other.checkpoints;
        self.failures += other.failures;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<_> =
            self.faults.iter().map(|(fault, count)| format!("{count} {fault}")).collect();
        write!(formatter, "{} rounds in {} episodes", self.rounds, self.episodes)?;
        writeln!(
            formatter,
            "; faults: {}; power cuts undid {} changes",
            faults.join(", "),
            self.cut_changes
        )?;
        let seconds = self.loaded.as_secs_f64().max(0.001);
        writeln!(
            formatter,
            "votes: {} sent {} times, {} answered, {} unanswered; {} decided, {} replayed; {:.0} answered a second under faults; longest start {:.2} s",
            self.votes,
            self.sendings,
            self.answered,
            self.unanswered,
            self.decided,
            self.replayed,
            self.answered as f64 / seconds,
            self.ready_max.as_secs_f64()
        )?;
        write!(
            formatter,
            "lost {}, doubled {}, violations {}, checkpoints held {}, episodes failed {}",
            self.lost, self.doubled, self.violations, self.checkpoints, self.failures
        )
    }
}
