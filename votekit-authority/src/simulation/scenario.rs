//! The parameters that a seed determines before a run begins: how many authorities, which faults,
//! and how often.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use votekit_core::log::note::KeyName;

use super::random::Random;
use crate::round::Quorum;

/// A guard that every authority of a run lacks: shows that the checks notice it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Mutation {
    /// Cosigns a block that it has accepted, without waiting for the accepts of a quorum.
    CosignWithoutAccepts,
    /// The same, even if it has cosigned another block of that height.
    TwoRoots,
    /// Accepts blocks before its promise is durable.
    AcceptBeforePromise,
    /// Sends its vote before it is durable.
    VoteBeforeDurable,
    /// Never makes its vote durable.
    VoteForgotten,
    /// Accepts blocks of any term.
    AcceptUnpromised,
    /// As leader, proposes a new block, whatever blocks the votes report.
    LeaderFree,
    /// As leader, applies its block as soon as it proposes it.
    ApplyEarly,
    /// Accepts blocks as proposed, without recomputing them.
    DecideByReplay,
    /// Never suspects a holder of the lease that is not elected. The run contains such a holder.
    NeverSuspect,
}

impl Mutation {
    /// All mutations.
    pub const ALL: [Self; 10] = [
        Self::CosignWithoutAccepts,
        Self::TwoRoots,
        Self::AcceptBeforePromise,
        Self::VoteBeforeDurable,
        Self::VoteForgotten,
        Self::AcceptUnpromised,
        Self::LeaderFree,
        Self::ApplyEarly,
        Self::DecideByReplay,
        Self::NeverSuspect,
    ];

    /// The name on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CosignWithoutAccepts => "cosign-without-accepts",
            Self::TwoRoots => "two-roots",
            Self::AcceptBeforePromise => "accept-before-promise",
            Self::VoteBeforeDurable => "vote-before-durable",
            Self::VoteForgotten => "vote-forgotten",
            Self::AcceptUnpromised => "accept-unpromised",
            Self::LeaderFree => "leader-free",
            Self::ApplyEarly => "apply-early",
            Self::DecideByReplay => "decide-by-replay",
            Self::NeverSuspect => "never-suspect",
        }
    }

    /// Whether the ledger's fence would hide what the mutation does: it refuses late accepts.
    const fn is_hidden_by_the_fence(self) -> bool {
        matches!(
            self,
            Self::AcceptBeforePromise
                | Self::VoteBeforeDurable
                | Self::VoteForgotten
                | Self::AcceptUnpromised
        )
    }
}

impl fmt::Display for Mutation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A text is not the name of a mutation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a mutation")]
pub struct UnknownMutation;

impl FromStr for Mutation {
    type Err = UnknownMutation;

    fn from_str(text: &str) -> Result<Self, UnknownMutation> {
        Self::ALL.into_iter().find(|one| one.as_str() == text).ok_or(UnknownMutation)
    }
}

/// The parameters of a run.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) mutation: Option<Mutation>,
    pub(super) quorum: Quorum,
    /// The authorities, `a1` and so on.
    pub(super) names: Vec<KeyName>,
    /// The authority that only acquires and renews the lease, if there is one. The others have
    /// refused its blocks, and do not vote for it.
    pub(super) idle_holder: Option<usize>,
    /// The number of ingest nodes, 1 or 2.
    pub(super) ingest_nodes: usize,
    /// Whether the ledger refuses accepts of earlier terms. Among honest authorities the log is
    /// safe without it.
    pub(super) is_fenced: bool,
    /// Whether authorities refuse a block once they see that a quorum has accepted another block.
    /// Among honest authorities this never happens.
    pub(super) has_accept_guard: bool,
    pub(super) faults: Faults,
    pub(super) lease_length: Duration,
    /// The maximum delay of a message that is not late, in milliseconds.
    pub(super) latency: u64,
}

/// Which faults happen, and how often.
#[derive(Debug)]
pub(super) struct Faults {
    /// Whether the ledger is restored from an older copy once.
    pub(super) rolled_back: bool,
    /// Whether a leader proposes a block with a false decision once.
    pub(super) false_block: bool,
    /// Lost messages, out of 40.
    pub(super) loss: u64,
    /// Requests that arrive up to [`Faults::LATE_MAX`] later, out of 100.
    pub(super) late: u64,
    /// Crashes, in 600 steps.
    pub(super) crash: u64,
    /// Partitions of an authority from the ledger, in 600 steps.
    pub(super) cut: u64,
    /// Leases that end early, in 600 steps.
    pub(super) expire: u64,
}

impl Faults {
    /// The maximum extra delay of a late request, in milliseconds: longer than any lease.
    pub(super) const LATE_MAX: u64 = 2500;
}

/// The lengths of leases, in milliseconds. The shortest are shorter than some rounds.
const LEASE_LENGTHS: [u64; 4] = [2000, 1000, 600, 400];

impl Scenario {
    pub(super) fn new(
        mutation: Option<Mutation>,
        has_idle_holder: bool,
        random: &mut Random,
    ) -> Self {
        let (authorities, quorum) = [(3, 2), (4, 3), (5, 3), (5, 4)][random.index(4)];
        // Runs with few faults reach more heights; runs with many faults contest more rounds.
        // Mutations break rules only in runs with many faults.
        let storm = match mutation {
            None => random.below(4),
            Some(_) => 2 + random.below(2),
        };
        let is_fenced = random.happens(2, 3);
        let false_block = random.happens(1, 6);
        let faults = Faults {
            rolled_back: random.happens(1, 3),
            false_block: false_block || mutation == Some(Mutation::DecideByReplay),
            loss: random.below(1 + storm),
            late: random.below(1 + 5 * storm),
            crash: random.below(1 + 3 * storm),
            cut: random.below(1 + 3 * storm),
            expire: random.below(1 + 2 * storm),
        };
        let length = usize::try_from(random.below(1 + storm)).expect("at most 3");
        let has_idle_holder = has_idle_holder || mutation == Some(Mutation::NeverSuspect);
        Self {
            mutation,
            quorum: Quorum { authorities, quorum },
            names: (1..=authorities).map(|number| name(&format!("a{number}"))).collect(),
            idle_holder: has_idle_holder.then_some(authorities - 1),
            ingest_nodes: 1 + random.index(2),
            is_fenced: is_fenced && !mutation.is_some_and(Mutation::is_hidden_by_the_fence),
            has_accept_guard: random.happens(3, 4),
            faults,
            lease_length: Duration::from_millis(LEASE_LENGTHS[length]),
            latency: 3 + random.below(20),
        }
    }

    /// Whether this is the authority that only acquires and renews the lease.
    pub(super) fn is_idle_holder(&self, name: &KeyName) -> bool {
        self.idle_holder.is_some_and(|number| self.names[number] == *name)
    }
}

fn name(text: &str) -> KeyName {
    text.parse().expect("a key name")
}
