//! Quiescence: no vote that a node has answered is in flight any more.
//!
//! Before a poll is closed, and before the epochs of a node that is gone are ended, everything that
//! was answered with 202 has to be in the log. The log alone cannot show that, because a batch that
//! never reached the log leaves no trace in it. So the process reads four sources in turn. Each
//! read is called a poll, and the order matters:
//!
//! 1. **leases**: all have expired, so no node answers voters from now on;
//! 2. **ballot box**: all batches published before are staged;
//! 3. **staging**: all staged batches are sealed;
//! 4. **epochs**: for each epoch, the sealed batches are exactly the staged batches.
//!
//! In any other order a batch could enter a stage after the poll of that stage.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use votekit_core::id::{Epoch, NodeId, Sequence};
use votekit_core::instant::{UnixMillis, UnixMinutes};

use crate::monotonic::Monotonic;

/// A process of several steps, driven to its end.
pub trait Process {
    /// Processes the outcome of the last command, and returns the next command.
    ///
    /// # Panics
    /// When the event is not an outcome of the last command: an error of the driver.
    fn step(&mut self, event: Event, now: Monotonic) -> Command;
}

/// The next action of the driver. Each command has one kind of event as its outcome. A command that
/// fails ends the process; only a failed look is reported, as [`Event::Unavailable`], and a closing
/// that was refused, as [`Event::Refused`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Read the clocks: [`Event::Clocks`].
    ReadClocks,
    /// Read the term in which this node leads: [`Event::Term`].
    ReadTerm,
    /// Stop granting leases in the election: [`Event::LeasesStopped`].
    StopLeases,
    /// Grant leases in the election again: [`Event::LeasesGranted`].
    GrantLeases,
    /// Record a closing: [`Event::Recorded`], or [`Event::Refused`].
    RecordClosing {
        /// Votes with this stamp or a later stamp do not count.
        closes: UnixMinutes,
        /// The ledger refuses the record after this time by its own clock. `None` for a record
        /// without a deadline.
        not_after: Option<UnixMillis>,
    },
    /// Make the intake of this node publish all votes that it has received, and end its epoch:
    /// [`Event::IntakeFinished`].
    FinishIntake,
    /// Stop granting a node leases in its present epochs: [`Event::Fenced`].
    Fence(NodeId),
    /// Read the unexpired leases, by the ledger's clock: [`Event::Leases`].
    ReadLeases,
    /// Wait until all batches published before this command are staged: [`Event::Settled`].
    SettleBallotBox,
    /// Seal the staged batches: [`Event::Sealed`].
    SealStaged,
    /// Compare the epochs of ledger and log: [`Event::Epochs`].
    ReadEpochs,
    /// Wait this long: [`Event::Waited`].
    Wait(Duration),
    /// Record that epochs end with their last sealed batch: [`Event::Recorded`].
    RecordRetirements(Vec<(NodeId, Epoch)>),
    /// Record the close with report and totals: [`Event::Recorded`].
    RecordClose,
    /// Nothing: the process has reached its end.
    Done,
    /// Nothing: the process cannot reach its end now. All records so far stay in the log; the
    /// process can be started again.
    GiveUp(Obstacle),
}

/// The outcome of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The clocks were read.
    Clocks(Clocks),
    /// The term in which this node leads; `None` if it does not lead.
    Term(Option<u64>),
    /// The ledger grants no more leases in the election.
    LeasesStopped,
    /// The ledger grants leases in the election again.
    LeasesGranted,
    /// The events are in the log.
    Recorded,
    /// The closing is not in the log and will not be: the log refuses it, or it came too late.
    Refused,
    /// The intake of this node accepts no more votes, and has published all votes that it received.
    IntakeFinished,
    /// The ledger grants the node no more leases in its present epochs.
    Fenced,
    /// The unexpired leases. Empty for an embedded ledger, whose only node is this one.
    Leases(Vec<(NodeId, Epoch)>),
    /// All published batches are staged.
    Settled,
    /// All batches that could be sealed are sealed.
    Sealed,
    /// The epochs that the ledger has allocated or that are open in the log.
    Epochs(Vec<EpochProgress>),
    /// The time has passed.
    Waited,
    /// A poll failed: the ledger or the ballot box is unavailable.
    Unavailable,
}

/// Times that a closing depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// The wall clock of this node.
    pub own: UnixMillis,
    /// The ledger's clock. `None` for an embedded ledger, where both are one.
    pub ledger: Option<UnixMillis>,
    /// The latest timestamp of a vote on this node.
    pub latest_stamp: UnixMillis,
    /// The latest time in the log.
    pub log_time: UnixMinutes,
}

/// The progress of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochProgress {
    /// Its node.
    pub node: NodeId,
    /// Its number.
    pub epoch: Epoch,
    /// Whether the ledger has allocated it. False for an epoch that only the log contains, and for
    /// an epoch that does not [count](counted_epochs).
    pub is_given: bool,
    /// Whether the poll is closing, and the ledger has lost this epoch or never had it, although
    /// later epochs of its node are known: see [`missing_epochs`].
    pub is_missing: bool,
    /// Whether the log admits the node.
    pub is_admitted: bool,
    /// Its last staged batch, if any was staged: one that the node has signed.
    pub staged_through: Option<Sequence>,
    /// The last row of staging above, if any, that states a number of the epoch and is not a batch
    /// that the node has signed: another program has written it, or has changed the row of a batch.
    pub unsigned_through: Option<Sequence>,
    /// Its last sealed batch, 0 when there is none.
    pub sealed_through: Sequence,
    /// Whether a batch of it is in the log, and its end is not.
    pub is_open: bool,
    /// Whether the log records its end.
    pub is_ended: bool,
}

/// The reason why a process cannot reach its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// A node may still answer voters.
    Lease {
        /// The node.
        node: NodeId,
        /// Its epoch.
        epoch: Epoch,
    },
    /// Batches are staged and cannot be sealed, or were sealed and are not staged.
    Unsealed {
        /// The node.
        node: NodeId,
        /// Its epoch.
        epoch: Epoch,
        /// The last staged batch.
        staged: Sequence,
        /// The last sealed batch.
        sealed: Sequence,
    },
    /// A node has not recorded the end of its epoch.
    OpenEpoch {
        /// The node.
        node: NodeId,
        /// Its epoch.
        epoch: Epoch,
    },
    /// A poll failed.
    Unavailable,
    /// This node lost the lead, or leads in another term, before it proposed the closing.
    NotLeading,
    /// Leases were left until it was too late for the closing, which was not proposed.
    TooLate,
    /// The closing was refused.
    Refused,
}

/// The maximum distance of an epoch from the last epoch of the same node that has a signed batch.
/// Runs that publish nothing use up far fewer epochs. There are 2³² epochs, and a row written by
/// another program could use them all up. So no node begins an epoch beyond this distance, and such
/// epochs do not count at the close.
pub const EPOCH_STEP_MAX: u32 = 1000;

/// The epochs of a ledger, as far as they count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CountedEpochs {
    /// The epochs that a node may have begun.
    pub counted: Vec<(NodeId, Epoch)>,
    /// The epochs that no node has begun: another program has written their rows.
    pub passed_over: Vec<(NodeId, Epoch)>,
}

/// Splits the epochs that the ledger has allocated by whether they count. `signed` are the epochs
/// of which a batch signed by their node is known; a row in the ledger alone does not make an epoch
/// `signed`.
#[must_use]
pub fn counted_epochs(
    given: impl IntoIterator<Item = (NodeId, Epoch)>,
    signed: impl IntoIterator<Item = (NodeId, Epoch)>,
) -> CountedEpochs {
    let mut highest: BTreeMap<NodeId, Epoch> = BTreeMap::new();
    for (node, epoch) in signed {
        let known = highest.entry(node).or_insert(epoch);
        *known = (*known).max(epoch);
    }
    let counts = |(node, epoch): &(NodeId, Epoch)| {
        let highest = highest.get(node).map_or(0, |epoch| epoch.0);
        epoch.0 > 0 && epoch.0 <= highest.saturating_add(EPOCH_STEP_MAX)
    };
    let (counted, passed_over) = given.into_iter().partition(counts);
    CountedEpochs { counted, passed_over }
}

/// The gaps in the epochs of each node that the ledger or the log contains. No node is given these
/// epochs any more, and the log must record the end of each before it closes. A gap that ends more
/// than [`EPOCH_STEP_MAX`] after the known epoch before it is not filled, because each epoch takes
/// a leaf.
#[must_use]
pub fn missing_epochs(known: impl IntoIterator<Item = (NodeId, Epoch)>) -> Vec<(NodeId, Epoch)> {
    let known: BTreeSet<(NodeId, Epoch)> = known.into_iter().collect();
    let mut earlier: Option<(NodeId, Epoch)> = None;
    let mut missing = Vec::new();
    for (node, epoch) in known {
        let before = earlier.filter(|(of, _)| *of == node).map_or(0, |(_, epoch)| epoch.0);
        earlier = Some((node, epoch));
        if epoch.0.saturating_sub(before) <= EPOCH_STEP_MAX {
            missing.extend((before + 1..epoch.0).map(|number| (node, Epoch(number))));
        }
    }
    missing
}

impl EpochProgress {
    /// Counts a batch as staged that this authority has seen staged, if it is not in the log: the
    /// ledger may have lost it since, and its voters were answered.
    pub fn note_observed(&mut self, observed: Sequence) {
        if observed > self.sealed_through {
            self.staged_through = self.staged_through.max(Some(observed));
        }
    }

    /// Counts a row that the node has not signed as staged: it is not known yet whether a batch is
    /// among the rows that this authority has still to read.
    pub fn count_unsigned(&mut self) {
        self.staged_through = self.staged_through.max(self.unsigned_through.take());
    }

    /// Fails as [`EpochProgress::check_sealed`], or if the epoch has not ended and has a row that
    /// its node has not signed: the batch that it was may be repaired.
    pub(crate) fn check_rows(&self) -> Result<(), Obstacle> {
        let mut all = *self;
        all.count_unsigned();
        all.check_sealed()
    }

    /// Fails if the staged and the sealed batches differ. Batches staged after the end of an epoch
    /// are void and do not count.
    pub(crate) fn check_sealed(&self) -> Result<(), Obstacle> {
        let staged = self.staged_through.unwrap_or(Sequence(0));
        if staged == self.sealed_through || (self.is_ended && staged > self.sealed_through) {
            return Ok(());
        }
        Err(Obstacle::Unsealed {
            node: self.node,
            epoch: self.epoch,
            staged,
            sealed: self.sealed_through,
        })
    }
}

/// The polls, in their order, until nothing is in flight.
#[derive(Debug, Clone)]
pub(crate) struct QuiescencePolls {
    /// The last time to start again; later the process gives up.
    until: Monotonic,
    poll_interval: Duration,
}

/// The outcome of a poll.
pub(crate) enum PollOutcome {
    /// The next one.
    Next(Command),
    /// All polls are done, and no lease is left: these are the epochs.
    Taken(Vec<EpochProgress>),
}

impl QuiescencePolls {
    pub(crate) const fn new(until: Monotonic, poll_interval: Duration) -> Self {
        Self { until, poll_interval }
    }

    /// The first poll.
    pub(crate) const fn begin() -> Command {
        Command::ReadLeases
    }

    /// Processes the outcome of a poll. `concerns` states which leases matter.
    pub(crate) fn step(
        &self,
        event: Event,
        now: Monotonic,
        concerns: impl Fn(NodeId, Epoch) -> bool,
    ) -> PollOutcome {
        PollOutcome::Next(match event {
            Event::Leases(leases) => {
                match leases.into_iter().find(|(node, epoch)| concerns(*node, *epoch)) {
                    Some((node, epoch)) => self.retry(Obstacle::Lease { node, epoch }, now),
                    None => Command::SettleBallotBox,
                }
            }
            Event::Settled => Command::SealStaged,
            Event::Sealed => Command::ReadEpochs,
            Event::Epochs(epochs) => return PollOutcome::Taken(epochs),
            Event::Waited => Self::begin(),
            Event::Unavailable => self.retry(Obstacle::Unavailable, now),
            other => panic!("{other:?} is not the outcome of a poll"),
        })
    }

    /// Starts again after a pause, or gives up.
    pub(crate) fn retry(&self, obstacle: Obstacle, now: Monotonic) -> Command {
        if now >= self.until {
            return Command::GiveUp(obstacle);
        }
        Command::Wait(self.poll_interval)
    }
}
