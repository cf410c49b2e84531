//! The close: ends the voting, waits until every answered vote is sealed, and opens the totals.
//!
//! ```text
//! clocks ─▶ closing recorded ─▶ own intake finished ─▶ polls until nothing is in flight
//!                                                         │
//!              closed ◀── close recorded ◀── unused epochs retired
//! ```
//!
//! With one authority the block of the closing has a deadline: nodes get leases until the block is
//! stored. With several authorities it has none, because it may be certified late. Therefore no
//! leases are granted before it is proposed, and the proposal waits until the last lease has ended:
//!
//! ```text
//! clocks ─▶ term read ─▶ leases stopped ─▶ leases read until none is left ─▶ term read again
//!                                                                              │
//!                           closing recorded, as above ◀── same term, in time ─┤
//!       gives up ◀── leases granted again ◀── too late, or the log refuses it ─┤
//!                                                   gives up ◀── another term ─┘
//! ```
//!
//! A node that does not lead gives up before it stops any lease.
//!
//! The closing is durable before the looks begin. After a close gives up, or its node ends,
//! [`Close::resume`] resumes it, on any node.

use std::time::Duration;

use votekit_core::id::{Epoch, NodeId};
use votekit_core::instant::{UnixMillis, UnixMinutes};

use crate::monotonic::Monotonic;
use crate::quiescence::{
    Clocks, Command, EpochProgress, Event, Obstacle, PollOutcome, Process, QuiescencePolls,
};

/// The parameters of a close.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Whether other nodes may answer voters.
    pub has_other_nodes: bool,
    /// Whether several authorities certify the blocks.
    pub has_several_authorities: bool,
    /// Length of the leases under which nodes answer voters.
    pub lease_length: Duration,
    /// The maximum difference between the clocks of nodes.
    pub clock_margin: Duration,
    /// How long the ledger may take to store the closing. Other nodes can get leases until then, so
    /// the closing time depends on this duration. The ledger refuses a closing that it would store
    /// later. With several authorities: how much longer than a lease the proposal may wait.
    pub recording: Duration,
    /// How long a close waits for other nodes before it gives up.
    pub timeout: Duration,
    /// The pause between two polls.
    pub poll_interval: Duration,
}

/// A close in progress.
#[derive(Debug, Clone)]
pub struct Close {
    rules: Rules,
    step: Step,
    polls: QuiescencePolls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Clocks,
    /// The term is read before the leases are stopped.
    Term {
        closes: UnixMinutes,
    },
    Stop(LeaseWait),
    Leases(LeaseWait),
    /// The term is read again after the wait.
    TermAgain(LeaseWait),
    Closing,
    /// Leases are granted again before the close gives up.
    Grant(Obstacle),
    Intake,
    Polls,
    Retirements,
    Close,
    Ended,
}

/// The wait for the end of the last lease, before a closing without a deadline is proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LeaseWait {
    closes: UnixMinutes,
    /// The term in which this node led when the wait began.
    term: u64,
    /// The end of the wait. The closing time allows for a wait until then.
    until: Monotonic,
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
        (Self::at(Step::Polls, rules, Duration::ZERO, now), QuiescencePolls::begin())
    }

    fn at(step: Step, rules: Rules, timeout: Duration, now: Monotonic) -> Self {
        Self { rules, step, polls: QuiescencePolls::new(now + timeout, rules.poll_interval) }
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

    fn begin_closing(&mut self, clocks: Clocks) -> Command {
        let (closes, not_after) = self.closing(clocks);
        if self.rules.has_several_authorities {
            self.step = Step::Term { closes };
            return Command::ReadTerm;
        }
        self.step = Step::Closing;
        Command::RecordClosing { closes, not_after }
    }

    fn await_leases(&mut self, wait: LeaseWait, now: Monotonic) -> Command {
        if now < wait.until {
            self.step = Step::Leases(wait);
            return Command::ReadLeases;
        }
        self.step = Step::TermAgain(wait);
        Command::ReadTerm
    }

    /// Proposes the closing after the wait, if this node still leads in the same term. The closing
    /// time allows for the whole wait: see [`Close::closing`].
    fn propose_closing(&mut self, wait: LeaseWait, term: Option<u64>, now: Monotonic) -> Command {
        if term != Some(wait.term) {
            // The next leader has granted leases again, or may be closing: nothing is changed.
            return self.give_up(Obstacle::NotLeading);
        }
        if now >= wait.until {
            return self.grant_leases(Obstacle::TooLate);
        }
        self.step = Step::Closing;
        Command::RecordClosing { closes: wait.closes, not_after: None }
    }

    /// Grants leases again after a closing that is certainly not in the log. A closing with an
    /// unknown outcome may still be certified; if it is not, a leader of the next term grants
    /// leases again.
    fn grant_leases(&mut self, obstacle: Obstacle) -> Command {
        self.step = Step::Grant(obstacle);
        Command::GrantLeases
    }

    fn give_up(&mut self, obstacle: Obstacle) -> Command {
        self.step = Step::Ended;
        Command::GiveUp(obstacle)
    }

    fn compare(&mut self, epochs: &[EpochProgress], now: Monotonic) -> Command {
        match obstacle(epochs) {
            Some(obstacle) => self.polls.retry(obstacle, now),
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
        match (self.step, event) {
            (Step::Clocks, Event::Clocks(clocks)) => self.begin_closing(clocks),
            // Another node leads: the leases are its own to stop.
            (Step::Term { .. }, Event::Term(None)) => self.give_up(Obstacle::NotLeading),
            (Step::Term { closes }, Event::Term(Some(term))) => {
                let until = now + self.rules.lease_length + self.rules.recording;
                self.step = Step::Stop(LeaseWait { closes, term, until });
                Command::StopLeases
            }
            (Step::Stop(wait), Event::LeasesStopped) | (Step::Leases(wait), Event::Waited) => {
                self.await_leases(wait, now)
            }
            (Step::Leases(wait), Event::Leases(leases)) => {
                if !leases.is_empty() {
                    return Command::Wait(self.rules.poll_interval);
                }
                self.step = Step::TermAgain(wait);
                Command::ReadTerm
            }
            // Read again: giving up here would leave the leases stopped.
            (Step::Leases(_), Event::Unavailable) => Command::Wait(self.rules.poll_interval),
            (Step::TermAgain(wait), Event::Term(term)) => self.propose_closing(wait, term, now),
            (Step::Closing, Event::Refused) if self.rules.has_several_authorities => {
                self.grant_leases(Obstacle::Refused)
            }
            (Step::Closing, Event::Refused) => self.give_up(Obstacle::Refused),
            (Step::Grant(obstacle), Event::LeasesGranted) => self.give_up(obstacle),
            (Step::Closing, Event::Recorded) => {
                self.step = Step::Intake;
                Command::FinishIntake
            }
            (Step::Intake, Event::IntakeFinished) => {
                self.step = Step::Polls;
                self.polls =
                    QuiescencePolls::new(now + self.rules.timeout, self.rules.poll_interval);
                QuiescencePolls::begin()
            }
            (Step::Polls, event) => match self.polls.step(event, now, |_, _| true) {
                PollOutcome::Next(command) => command,
                PollOutcome::Taken(epochs) => self.compare(&epochs, now),
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
