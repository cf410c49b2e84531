//! The close: ends the voting, waits until every answered vote is sealed, and opens the totals.
//!
//! ```text
//! clocks ─▶ closing recorded ─▶ own intake finished ─▶ looks until nothing is in flight
//!                                                         │
//!              closed ◀── close recorded ◀── unused epochs retired
//! ```
//!
//! The closing is durable before the looks begin. After a close gives up, or its node ends,
//! [`Close::resume`] resumes it, on any node.

use std::time::Duration;

use votekit_core::id::{Epoch, NodeId};
use votekit_core::instant::{UnixMillis, UnixMinutes};

use crate::monotonic::Monotonic;
use crate::quiescence::{Clocks, Command, EpochProgress, Event, Look, Looks, Obstacle, Process};

/// The parameters of a close.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Whether other nodes may answer voters.
    pub has_other_nodes: bool,
    /// Length of the leases under which nodes answer voters.
    pub lease_length: Duration,
    /// The maximum difference between the clocks of nodes.
    pub clock_margin: Duration,
    /// How long the ledger may take to store the closing. Other nodes can get leases until then, so
    /// the closing time depends on this duration. The ledger refuses a closing that it would store
    /// later.
    pub recording: Duration,
    /// How long a close waits for other nodes before it gives up.
    pub timeout: Duration,
    /// The pause between two looks.
    pub poll_interval: Duration,
}

/// A close in progress.
#[derive(Debug, Clone)]
pub struct Close {
    rules: Rules,
    step: Step,
    looks: Looks,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Clocks,
    Closing,
    Intake,
    Looks,
    Retirements,
    Close,
    Ended,
}

impl Close {
    /// Begins the close of an open election.
    #[must_use]
    pub fn begin(rules: Rules, now: Monotonic) -> (Self, Command) {
        (Self::at(Step::Clocks, rules, rules.timeout, now), Command::ReadClocks)
    }

    /// Continues a close whose closing is recorded, on request of an official.
    #[must_use]
    pub fn finish(rules: Rules, now: Monotonic) -> (Self, Command) {
        (Self::at(Step::Intake, rules, rules.timeout, now), Command::FinishIntake)
    }

    /// Continues a close whose closing is recorded, without waiting: gives up at the first
    /// obstacle.
    #[must_use]
    pub fn resume(rules: Rules, now: Monotonic) -> (Self, Command) {
        (Self::at(Step::Looks, rules, Duration::ZERO, now), Looks::begin())
    }

    fn at(step: Step, rules: Rules, timeout: Duration, now: Monotonic) -> Self {
        Self { rules, step, looks: Looks::new(now + timeout, rules.poll_interval) }
    }

    /// The closing time, and the deadline for storing it.
    ///
    /// No vote that a node answers may have this stamp or a later stamp. Nodes answer until the
    /// leases expire that the ledger granted before it stored the closing, and their clocks may be
    /// ahead of the clock of this node.
    fn closing(&self, clocks: Clocks) -> (UnixMinutes, Option<UnixMillis>) {
        let rules = &self.rules;
        let not_after = clocks.ledger.map(|ledger| ledger + rules.recording);
        let mut latest = clocks.own;
        if not_after.is_some() {
            latest = latest + rules.recording;
        }
        if rules.has_other_nodes {
            latest = latest + rules.lease_length + rules.clock_margin;
        }
        // A vote answered a moment ago was in time, and its stamp is a whole minute.
        let closes = latest.minutes().max(clocks.latest_stamp.minutes()).max(clocks.log_time);
        (closes.next(), not_after)
    }

    fn compare(&mut self, epochs: &[EpochProgress], now: Monotonic) -> Command {
        match obstacle(epochs) {
            Some(obstacle) => self.looks.retry(obstacle, now),
            None => {
                let unused = unused(epochs);
                if unused.is_empty() {
                    self.step = Step::Close;
                    return Command::RecordClose;
                }
                self.step = Step::Retirements;
                Command::RecordRetirements(unused)
            }
        }
    }
}

impl Process for Close {
    fn step(&mut self, event: Event, now: Monotonic) -> Command {
        match (&self.step, event) {
            (Step::Clocks, Event::Clocks(clocks)) => {
                self.step = Step::Closing;
                let (closes, not_after) = self.closing(clocks);
                Command::RecordClosing { closes, not_after }
            }
            (Step::Closing, Event::Recorded) => {
                self.step = Step::Intake;
                Command::FinishIntake
            }
            (Step::Intake, Event::IntakeFinished) => {
                self.step = Step::Looks;
                self.looks = Looks::new(now + self.rules.timeout, self.rules.poll_interval);
                Looks::begin()
            }
            (Step::Looks, event) => match self.looks.step(event, now, |_, _| true) {
                Look::Next(command) => command,
                Look::Taken(epochs) => self.compare(&epochs, now),
            },
            (Step::Retirements, Event::Recorded) => {
                self.step = Step::Close;
                Command::RecordClose
            }
            (Step::Close, Event::Recorded) => {
                self.step = Step::Ended;
                Command::Done
            }
            (step, event) => panic!("{event:?} is not an outcome of {step:?}"),
        }
    }
}

/// An epoch with a difference between staged and sealed batches, or without an end.
fn obstacle(epochs: &[EpochProgress]) -> Option<Obstacle> {
    // An epoch that the ledger has not allocated, or has lost, counts if a batch of it was seen.
    let has_rows =
        |epoch: &EpochProgress| epoch.staged_through.max(epoch.unsigned_through).is_some();
    let known = epochs.iter().filter(|epoch| epoch.is_given || has_rows(epoch));
    known.map(EpochProgress::check_rows).find_map(Result::err).or_else(|| {
        let open = epochs.iter().find(|epoch| epoch.is_open)?;
        Some(Obstacle::OpenEpoch { node: open.node, epoch: open.epoch })
    })
}

/// The epochs in which nothing was published: their node ended before its first batch, or the
/// ledger has lost them. They are retired, so that the log records the end of every epoch.
fn unused(epochs: &[EpochProgress]) -> Vec<(NodeId, Epoch)> {
    epochs
        .iter()
        .filter(|epoch| {
            (epoch.is_given || epoch.is_missing)
                && epoch.staged_through.is_none()
                && !epoch.is_ended
                && epoch.is_admitted
        })
        .map(|epoch| (epoch.node, epoch.epoch))
        .collect()
}

#[cfg(test)]
#[path = "close_test.rs"]
mod tests;
