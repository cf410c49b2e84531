//! The facts that the event guards compare with a block: from the authority's clock, its keys, its
//! memory and the ledger. The driver collects them; the guards only compare.

use votekit_core::authority::{AuthoritySet, TermLeader};
use votekit_core::ballot::BallotPublicKey;
use votekit_core::batch::NodePublicKey;
use votekit_core::binding::BindingRule;
use votekit_core::credential::HashScheme;
use votekit_core::election::{State, Window};
use votekit_core::id::{Digest, ElectionId, Epoch, NodeId, Sequence};
use votekit_core::instant::{UnixMillis, UnixMinutes, UnixSeconds};

use crate::quiescence::EpochProgress;

/// The facts that an authority knows about a proposed block and its election. `None` stands for a
/// fact that is not known yet.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The election of the proposal.
    pub law_id: &'a ElectionId,
    /// The index in the log of the block's first leaf.
    pub first_leaf: u64,
    /// Own cluster time.
    pub now: Option<UnixMillis>,
    /// The proposal.
    pub proposal: ProposalFacts<'a>,
    /// The authorities of the installation.
    pub authorities: &'a AuthoritySet,
    /// The state of the election before the block, by the own log; `None` when this authority knows
    /// no such election.
    pub state: Option<State>,
    /// Whether the poll is open after the block, according to this authority's own copy of the
    /// block.
    pub is_open_after: bool,
    /// The planned times of the definition in effect.
    pub planned: Window,
    /// The public half of the own ballot key for this election.
    pub ballot_key: Option<BallotPublicKey>,
    /// The manifests that this authority has, with all their shards.
    pub rolls: &'a [RollFacts],
    /// The keys of the nodes that operators admitted and did not retire, according to records
    /// signed by authorities.
    pub admitted: &'a [NodePublicKey],
    /// The requirements of a binding election that are not met, waived or not. Empty for any other
    /// election.
    pub unmet: Option<&'a [BindingRule]>,
    /// The latest minute of an envelope that this authority has seen staged, except in batches that
    /// are held back because their stamp is ahead of the clock.
    pub latest_stamp: Option<UnixMinutes>,
    /// Leases and epochs of the ledger.
    pub leases: Option<LeaseFacts<'a>>,
    /// The highest sequence of each epoch that this authority has seen staged, from its own memory.
    /// A batch staged after the end of its epoch does not count: it is void.
    pub observed: &'a [(NodeId, Epoch, Sequence)],
}

/// The statements of a signed proposal about its block.
#[derive(Debug, Clone, Copy)]
pub struct ProposalFacts<'a> {
    /// The term of the proposal and its leader, whose signature was verified.
    pub leadership: &'a TermLeader,
    /// When it was proposed.
    pub proposed_at: UnixSeconds,
    /// Whether nodes get leases to answer voters after the block.
    pub takes_votes: bool,
    /// The leaders whose signed proposals of the same bytes are available, in any term.
    pub signed_by: &'a [TermLeader],
}

/// A manifest that this authority has, with all its shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollFacts {
    /// SHA-256 of the manifest.
    pub manifest: Digest,
    /// The manifest that it supplements, as it states.
    pub parent: Option<Digest>,
    /// How it hashes credentials.
    pub scheme: HashScheme,
    /// Whether an official of the own file has signed it, or none has to.
    pub is_signed: bool,
}

/// The leases and epochs of one election. Read them in this order, as for a close: the leases, the
/// fences, the ballot box until it is settled, what is staged.
#[derive(Debug, Clone, Copy)]
pub struct LeaseFacts<'a> {
    /// The epochs that the ledger has allocated or that are in the own log.
    pub epochs: &'a [EpochFacts],
    /// Whether everything that was published before the leases were read is staged.
    pub is_settled: bool,
}

/// One epoch of an ingest node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochFacts {
    /// How far it has come in the ledger, and in the own log before the block.
    pub progress: EpochProgress,
    /// Whether the ledger gives it no lease any more.
    pub is_fenced: bool,
    /// Whether a lease of it lasts.
    pub has_lease: bool,
    /// The highest confirmed-through number that its node has signed, in a batch or a renewal.
    pub confirmed_through: Sequence,
}
