//! The retirement of a permanently lost node: its epochs end with their last sealed batches.
//!
//! ```text
//! epochs ─▶ fenced ─▶ polls until nothing of them is in flight ─▶ retirements recorded
//! ```
//!
//! The node gets no more leases in its present epochs. If it returns, it begins another epoch, in
//! which it answers voters.
//!
//! A row of staging that the node has not signed delays the retirement for three quarters of its
//! timeout, in which a node that has the batch stages it again. Then the row is passed over: any
//! number can be written into a row, and no batch would ever follow.

use std::collections::BTreeSet;
use std::time::Duration;

use votekit_core::id::{Epoch, NodeId};

use crate::monotonic::Monotonic;
use crate::quiescence::{Command, EpochProgress, Event, PollOutcome, Process, QuiescencePolls};

/// A retirement in progress.
#[derive(Debug, Clone)]
pub struct Retirement {
    node: NodeId,
    /// The epochs to end.
    epochs: BTreeSet<Epoch>,
    step: Step,
    polls: QuiescencePolls,
    /// From this time on, rows that the node has not signed are passed over.
    pass_over_from: Monotonic,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Epochs,
    Fence,
    Polls,
    Retirements,
    Ended,
}

impl Retirement {
    /// Begins the retirement of a node. It gives up if a lease of the node has not expired after
    /// `timeout`.
    #[must_use]
    pub fn begin(
        node: NodeId,
        timeout: Duration,
        poll_interval: Duration,
        now: Monotonic,
    ) -> (Self, Command) {
        let polls = QuiescencePolls::new(now + timeout, poll_interval);
        let pass_over_from = now + timeout / 4 * 3;
        let (epochs, step) = (BTreeSet::new(), Step::Epochs);
        let process = Self { node, epochs, step, polls, pass_over_from };
        (process, Command::ReadEpochs)
    }

    fn own(&self, epoch: &EpochProgress) -> bool {
        epoch.node == self.node && self.epochs.contains(&epoch.epoch)
    }

    fn compare(&mut self, epochs: &[EpochProgress], now: Monotonic) -> Command {
        let own = || epochs.iter().filter(|epoch| self.own(epoch));
        let check = match now < self.pass_over_from {
            true => EpochProgress::check_rows,
            false => EpochProgress::check_sealed,
        };
        if let Some(obstacle) = own().map(check).find_map(Result::err) {
            return self.polls.retry(obstacle, now);
        }
        let open: Vec<(NodeId, Epoch)> =
            own().filter(|epoch| !epoch.is_ended).map(|epoch| (epoch.node, epoch.epoch)).collect();
        if open.is_empty() {
            self.step = Step::Ended;
            return Command::Done;
        }
        self.step = Step::Retirements;
        Command::RecordRetirements(open)
    }
}

impl Process for Retirement {
    fn step(&mut self, event: Event, now: Monotonic) -> Command {
        match (&self.step, event) {
            (Step::Epochs, Event::Epochs(epochs)) => {
                let own = epochs.iter().filter(|epoch| epoch.node == self.node);
                self.epochs = own.map(|epoch| epoch.epoch).collect();
                self.step = Step::Fence;
                Command::Fence(self.node)
            }
            (Step::Fence, Event::Fenced) => {
                self.step = Step::Polls;
                QuiescencePolls::begin()
            }
            (Step::Polls, event) => {
                let concerns = |node, epoch| node == self.node && self.epochs.contains(&epoch);
                match self.polls.step(event, now, concerns) {
                    PollOutcome::Next(command) => command,
                    PollOutcome::Taken(epochs) => self.compare(&epochs, now),
                }
            }
            (Step::Retirements, Event::Recorded) => {
                self.step = Step::Ended;
                Command::Done
            }
            (step, event) => panic!("{event:?} is not an outcome of {step:?}"),
        }
    }
}

#[cfg(test)]
#[path = "retirement_test.rs"]
mod tests;
