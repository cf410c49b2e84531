//! Why an authority does not accept a block that the log's check accepts.

use votekit_core::binding::BindingRule;
use votekit_core::id::{Digest, ElectionId, Epoch, NodeId, Sequence};
use votekit_core::instant::{UnixMinutes, UnixSeconds};

/// Why a block is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventRefusal {
    /// A leaf breaks a rule: the authority signs a refusal.
    #[error("leaf {leaf}: {rule}")]
    Refused {
        /// The index of the leaf in the log.
        leaf: u64,
        /// The rule.
        rule: EventRule,
    },
    /// A fact is missing: the authority waits, and reports what it waits for.
    #[error("the block cannot be judged yet: {what}")]
    Undecided {
        /// The fact.
        what: MissingFact,
    },
}

impl EventRefusal {
    /// The rule's name, for refusals, logs and metrics: `a-z`, `0-9` and `-`.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Refused { rule, .. } => rule.as_str(),
            Self::Undecided { what } => what.as_str(),
        }
    }
}

/// The rule that a leaf breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventRule {
    /// The block does not parse, which the log's check refuses too.
    #[error("the block does not parse")]
    Malformed,
    /// The term of a block is not above that of its proposal.
    #[error("the block is of term {term}, and its proposal of term {proposed}")]
    TermAhead {
        /// The term of the block.
        term: u64,
        /// The term of the proposal.
        proposed: u64,
    },
    /// The maker of a block is an authority.
    #[error("'{leader}' is not an authority of this installation")]
    LeaderUnknown {
        /// The leader that the block names.
        leader: String,
    },
    /// The maker of a block of the proposal's term is the proposal's leader.
    #[error("'{leader}' does not lead in this term")]
    LeaderOther {
        /// The leader that the block names.
        leader: String,
    },
    /// A block of the proposal's term is at most a minute behind the clock.
    #[error("the block is dated {minute}, and the clock allows {earliest} at the earliest")]
    BlockMinuteBehind {
        /// The minute of the block.
        minute: UnixMinutes,
        /// The earliest minute allowed.
        earliest: UnixMinutes,
    },
    /// A block is at most a minute ahead of the clock.
    #[error("the block is dated {minute}, and the clock allows {latest} at the latest")]
    BlockMinuteAhead {
        /// The minute of the block.
        minute: UnixMinutes,
        /// The latest minute allowed.
        latest: UnixMinutes,
    },
    /// The proposal of a new block is at most a minute behind the clock.
    #[error("the proposal is dated {at}, and the clock allows {earliest} at the earliest")]
    ProposalBehind {
        /// The time of the proposal.
        at: UnixSeconds,
        /// The earliest time allowed.
        earliest: UnixSeconds,
    },
    /// A proposal is at most a minute ahead of the clock.
    #[error("the proposal is dated {at}, and the clock allows {latest} at the latest")]
    ProposalAhead {
        /// The time of the proposal.
        at: UnixSeconds,
        /// The latest time allowed.
        latest: UnixSeconds,
    },
    /// Nodes answer voters while the poll is open, and at no other time.
    #[error("after the block nodes get leases: proposed {proposed}, by the block {own}")]
    TakesVotes {
        /// The value in the proposal.
        proposed: bool,
        /// Whether the poll is open after the block.
        own: bool,
    },
    /// A draft belongs to the election of the proposal.
    #[error("the draft is of {law_id}, another election than the proposal's")]
    DraftLaw {
        /// The law of the draft.
        law_id: ElectionId,
    },
    /// An election is defined once.
    #[error("the election exists already")]
    ElectionExists,
    /// Every authority holds the secret half of the ballot key.
    #[error("the ballot key of the definition is not the one that this authority holds")]
    BallotKey,
    /// A manifest is signed as the file of officials requires.
    #[error("manifest {manifest} is not signed by an official")]
    ManifestUnsigned {
        /// The manifest.
        manifest: Digest,
    },
    /// A roll hashes credentials as its manifest states.
    #[error("the leaf states another hash scheme than manifest {manifest}")]
    RollScheme {
        /// The manifest.
        manifest: Digest,
    },
    /// A supplement names the manifest that it supplements as its parent; a roll has no parent.
    #[error("the leaf states another parent than manifest {manifest}")]
    RollParent {
        /// The manifest.
        manifest: Digest,
    },
    /// No ingest node has a key of an authority.
    #[error("the key of node {node} is a key of an authority")]
    AuthorityKey {
        /// The node.
        node: NodeId,
    },
    /// A poll opens now, or at its planned opening.
    #[error("the poll would open at {opens}, later than {latest}")]
    OpeningAhead {
        /// The opening.
        opens: UnixMinutes,
        /// The latest opening allowed.
        latest: UnixMinutes,
    },
    /// A binding election meets every requirement, or waives it where that is allowed.
    #[error("the binding election does not meet a requirement: {requirement}")]
    BindingRule {
        /// The requirement.
        requirement: BindingRule,
    },
    /// A poll is not closed in the past, except at its planned closing.
    #[error("the poll would have closed at {closes}, more than a minute ago")]
    ClosingPast {
        /// The closing.
        closes: UnixMinutes,
    },
    /// The closing time is not before the stamp of an answered vote, unless it is the planned
    /// closing time.
    #[error("the poll would close at {closes}, and a vote stamped {stamp} is staged")]
    ClosingStamp {
        /// The closing.
        closes: UnixMinutes,
        /// The latest stamp seen.
        stamp: UnixMinutes,
    },
    /// Only an epoch that the ledger has allocated, or that is in the log, is retired.
    #[error("epoch {epoch} of node {node} was never allocated", epoch = epoch.0)]
    RetiredNotGiven {
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: Epoch,
    },
    /// While the poll is open, an epoch is fenced before it is retired.
    #[error("epoch {epoch} of node {node} is not fenced", epoch = epoch.0)]
    RetiredUnfenced {
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: Epoch,
    },
    /// An epoch that is retired has no unexpired lease.
    #[error("a lease of epoch {epoch} of node {node} lasts", epoch = epoch.0)]
    RetiredLease {
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: Epoch,
    },
    /// All staged batches of an epoch are sealed when it is retired.
    #[error(
        "epoch {epoch} of node {node} is staged through {staged} and would end at {through}",
        epoch = epoch.0, staged = staged.0, through = through.0
    )]
    RetiredStaged {
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: Epoch,
        /// The last staged batch.
        staged: Sequence,
        /// The end that the leaf states.
        through: Sequence,
    },
    /// An epoch does not end below a batch that this authority has seen.
    #[error(
        "batch {observed} of epoch {epoch} of node {node} was seen, and the epoch would end at \
         {through}",
        epoch = epoch.0, observed = observed.0, through = through.0
    )]
    RetiredObserved {
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: Epoch,
        /// The highest batch seen.
        observed: Sequence,
        /// The end that the leaf states.
        through: Sequence,
    },
    /// An epoch does not end below the number that its node has confirmed.
    #[error(
        "epoch {epoch} of node {node} is confirmed through {confirmed} and would end at {through}",
        epoch = epoch.0, confirmed = confirmed.0, through = through.0
    )]
    RetiredConfirmed {
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: Epoch,
        /// The confirmed-through number.
        confirmed: Sequence,
        /// The end that the leaf states.
        through: Sequence,
    },
    /// At the close every epoch of an admitted node has ended.
    #[error("epoch {epoch} of node {node} has not ended", epoch = epoch.0)]
    ClosedOpenEpoch {
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: Epoch,
    },
    /// At the close, all staged batches are sealed, and all sealed batches are staged.
    #[error(
        "epoch {epoch} of node {node} is staged through {staged} and sealed through {sealed}",
        epoch = epoch.0, staged = staged.0, sealed = sealed.0
    )]
    ClosedStaged {
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: Epoch,
        /// The last staged batch.
        staged: Sequence,
        /// The last sealed batch.
        sealed: Sequence,
    },
    /// At the close every batch that this authority has seen is sealed.
    #[error(
        "batch {observed} of epoch {epoch} of node {node} was seen, and {sealed} is the last sealed",
        epoch = epoch.0, observed = observed.0, sealed = sealed.0
    )]
    ClosedObserved {
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: Epoch,
        /// The highest batch seen.
        observed: Sequence,
        /// The last sealed batch.
        sealed: Sequence,
    },
}

impl EventRule {
    /// The rule's name: `a-z`, `0-9` and `-`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TermAhead { .. } => "term-ahead",
            Self::LeaderUnknown { .. } => "leader-unknown",
            Self::LeaderOther { .. } => "leader-other",
            Self::BlockMinuteBehind { .. } => "block-minute-behind",
            Self::BlockMinuteAhead { .. } => "block-minute-ahead",
            Self::ProposalBehind { .. } => "proposal-behind",
            Self::ProposalAhead { .. } => "proposal-ahead",
            Self::TakesVotes { .. } => "takes-votes",
            Self::DraftLaw { .. } => "draft-law",
            Self::ElectionExists => "election-exists",
            Self::BallotKey => "ballot-key",
            Self::ManifestUnsigned { .. } => "manifest-unsigned",
            Self::RollScheme { .. } => "roll-scheme",
            Self::RollParent { .. } => "roll-parent",
            Self::AuthorityKey { .. } => "authority-key",
            Self::OpeningAhead { .. } => "opening-ahead",
            Self::BindingRule { .. } => "binding-rule",
            Self::ClosingPast { .. } => "closing-past",
            Self::ClosingStamp { .. } => "closing-stamp",
            Self::RetiredNotGiven { .. } => "retired-not-given",
            Self::RetiredUnfenced { .. } => "retired-unfenced",
            Self::RetiredLease { .. } => "retired-lease",
            Self::RetiredStaged { .. } => "retired-staged",
            Self::RetiredObserved { .. } => "retired-observed",
            Self::RetiredConfirmed { .. } => "retired-confirmed",
            Self::ClosedOpenEpoch { .. } => "closed-open-epoch",
            Self::ClosedStaged { .. } => "closed-staged",
            Self::ClosedObserved { .. } => "closed-observed",
        }
    }

    /// Whether the check could succeed by another clock. An authority that has read a proposal
    /// late, or whose clock is in doubt, may wait instead of signing a refusal of an honest
    /// leader's block.
    #[must_use]
    pub const fn depends_on_clock(&self) -> bool {
        matches!(
            self,
            Self::BlockMinuteBehind { .. }
                | Self::BlockMinuteAhead { .. }
                | Self::ProposalBehind { .. }
                | Self::ProposalAhead { .. }
                | Self::OpeningAhead { .. }
                | Self::ClosingPast { .. }
        )
    }
}

/// A fact without which a block cannot be checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MissingFact {
    /// The cluster time is unknown.
    #[error("the cluster time is unknown")]
    Clock,
    /// A block of an earlier term needs the signed proposal of that term's leader.
    #[error("the proposal by which the leader of term {term} made the block is missing")]
    FirstProposal {
        /// The term of the block.
        term: u64,
    },
    /// The ballot key has not reached this authority.
    #[error("the ballot key is missing")]
    BallotKey,
    /// The manifest has not reached this authority.
    #[error("manifest {manifest} is missing")]
    Roll {
        /// The manifest.
        manifest: Digest,
    },
    /// No record of the node that is signed by an authority has been read.
    #[error("the record of node {node}, signed by an authority, is missing")]
    NodeRecord {
        /// The node.
        node: NodeId,
    },
    /// The requirements of a binding election were not checked.
    #[error("the requirements of a binding election are not checked")]
    BindingRules,
    /// The leases and epochs of the ledger could not be read.
    #[error("the leases and epochs of the ledger are unknown")]
    Leases,
    /// The ballot box may contain batches that are not staged.
    #[error("the ballot box is not settled")]
    BallotBox,
}

impl MissingFact {
    /// The fact's name: `a-z`, `0-9` and `-`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Clock => "no-clock",
            Self::FirstProposal { .. } => "no-first-proposal",
            Self::BallotKey => "no-ballot-key",
            Self::Roll { .. } => "no-roll",
            Self::NodeRecord { .. } => "no-node-record",
            Self::BindingRules => "no-binding-rules",
            Self::Leases => "no-leases",
            Self::BallotBox => "not-settled",
        }
    }
}

/// The reason why a guard does not accept a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The leaf breaks a rule.
    Broken(EventRule),
    /// The guard cannot decide.
    Missing(MissingFact),
}

impl From<EventRule> for Fault {
    fn from(rule: EventRule) -> Self {
        Self::Broken(rule)
    }
}

impl From<MissingFact> for Fault {
    fn from(what: MissingFact) -> Self {
        Self::Missing(what)
    }
}
