//! What a node needs of storage: three narrow roles over batches and blocks, and the engines that
//! fill them.
//!
//! | role | embedded engine | services engine | keeps |
//! | --- | --- | --- | --- |
//! | [`Registry`] | shards in memory | Redis Cluster | which request each credential came with first: a hint, not the truth |
//! | [`BallotBox`] | the staging table of the ledger | RabbitMQ | batches between ingest, validation and staging, durable once published |
//! | [`Ledger`] | SQLite | PostgreSQL | staging, evidence, blocks, tiles, heads, leases: the truth |
//!
//! Engines share these contracts and one conformance suite (`conformance`, behind the feature
//! `test-support`), not helpers. Every method may be called from any task; a method that changes
//! something is durable when it returns `Ok`.
//!
//! Long because the three roles and the values that they exchange are one contract.

#[cfg(feature = "test-support")]
pub mod conformance;
pub mod embedded;
#[cfg(feature = "services")]
pub mod services;
mod stored_log;
#[cfg(feature = "test-support")]
pub mod unreliable;
mod write_health;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use votekit_core::batch::Batch;
use votekit_core::credential::{HashScheme, RegistryKey};
use votekit_core::electorate::{Changes, KeyList};
use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, NodeId, RequestId};
use votekit_core::instant::{UnixMillis, UnixSeconds};
use votekit_core::log::merkle::FullTile;
use votekit_core::manifest::{Manifest, PepperMarks};

/// Why an engine did not do what it was asked. Each variant says whether the write may have
/// happened.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Nothing was written, and the same call may succeed later.
    #[error("{engine} is not available: {reason}")]
    Unavailable {
        /// Which engine.
        engine: &'static str,
        /// What it said.
        reason: String,
    },
    /// The write may or may not have happened. Repeating the same call is safe.
    #[error("{engine} did not say whether the write happened: {reason}")]
    OutcomeUnknown {
        /// Which engine.
        engine: &'static str,
        /// What is known.
        reason: String,
    },
    /// What is stored contradicts itself. Nothing was repaired and nothing of it is served.
    #[error("{engine} holds damaged data: {reason}")]
    Corrupt {
        /// Which engine.
        engine: &'static str,
        /// What was found, where.
        reason: String,
    },
    /// A write to disk failed in a way after which nothing that was not confirmed can be trusted:
    /// the process must stop.
    #[error("{engine} failed for good: {reason}")]
    Fatal {
        /// Which engine.
        engine: &'static str,
        /// What it said.
        reason: String,
    },
    /// A thread of the engine panicked: a fault of votekit. As after [`EngineError::Fatal`] the
    /// process must stop; started again it may go on.
    #[error("a fault of votekit: {what} of {engine} panicked")]
    Panicked {
        /// Which engine.
        engine: &'static str,
        /// Which thread.
        what: &'static str,
    },
    /// The engine cannot be used as it is set up: a wrong address, password, right or setting, no
    /// room, other people's data, another version. Told at the opening, and whenever a server
    /// refuses for good what it is asked.
    #[error("{engine} cannot be used: {reason}")]
    Misconfigured {
        /// Which engine.
        engine: &'static str,
        /// What is wrong, where. Holds no password.
        reason: String,
        /// What to do about it.
        hint: String,
    },
    /// The write contradicts what is stored, and is refused for good.
    #[error(transparent)]
    Conflict(#[from] Conflict),
}

/// A write that contradicts what is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// Another batch bears this number: an alarm, nothing was written.
    #[error(
        "batch {number} of {law_id} is stored with digest {stored}, and came again with {offered}"
    )]
    BatchNumber {
        /// The election.
        law_id: ElectionId,
        /// The number in question.
        number: BatchNumber,
        /// The digest that is stored.
        stored: Digest,
        /// The digest that was offered.
        offered: Digest,
    },
    /// The log is not where the block expects it: somebody else moved the head.
    #[error("the log of {law_id} has {found} leaves, the block expects {expected}")]
    Head {
        /// The election.
        law_id: ElectionId,
        /// The size that the block builds on.
        expected: u64,
        /// The size found.
        found: u64,
    },
    /// A later term has begun.
    #[error("the log of {law_id} is in term {found}, the block is of term {offered}")]
    Term {
        /// The election.
        law_id: ElectionId,
        /// The block's term.
        offered: u64,
        /// The term found.
        found: u64,
    },
    /// The block came after the time up to which it was to be stored.
    #[error("a block of {law_id} came to the ledger too late, and is not stored: ask again")]
    Late {
        /// The election.
        law_id: ElectionId,
    },
    /// No lease is given: the election takes no votes any more, or the epoch was fenced.
    #[error("node {node} is given no lease for epoch {epoch} of {law_id}: {reason}", epoch = epoch.0)]
    NoLease {
        /// The election.
        law_id: ElectionId,
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: Epoch,
        /// Why.
        reason: NoLease,
    },
    /// What was offered contradicts itself, or what went before it.
    #[error("a write to {law_id} breaks a rule of the ledger: {rule}")]
    Malformed {
        /// The election.
        law_id: ElectionId,
        /// The rule that is broken.
        rule: &'static str,
    },
}

/// Why there is no lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoLease {
    /// The head says that the election takes no votes.
    #[error("the election takes no votes")]
    TakesNoVotes,
    /// The epoch was fenced, and never gets a lease again. The node may ask for another epoch.
    #[error("the epoch was fenced")]
    Fenced,
    /// The ledger never gave this epoch out.
    #[error("the epoch was never given out")]
    NoEpoch,
}

/// The three roles of one engine.
#[derive(Clone)]
pub struct Engines {
    /// The registry.
    pub registry: Arc<dyn Registry>,
    /// The ballot box.
    pub ballot_box: Arc<dyn BallotBox>,
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
}

/// One envelope to be marked: its registry key and its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// T of the credential.
    pub key: RegistryKey,
    /// The request it came with.
    pub request: RequestId,
}

/// By which request a credential was first used, shortened to 32 bits.
///
/// Two requests of one credential may share a tag, once in some four thousand million: the second
/// is then expected to be accepted, and the log says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstUse(u32);

impl FirstUse {
    /// It was not used.
    pub const UNUSED: Self = Self(0);
    /// It was revoked.
    pub const REVOKED: Self = Self(u32::MAX);

    /// The first 32 bits of a request, moved away from the two words that mean something else.
    #[must_use]
    pub fn by(request: &RequestId) -> Self {
        let [first, second, third, fourth, ..] = *request.as_bytes();
        Self(u32::from_be_bytes([first, second, third, fourth]).clamp(1, u32::MAX - 1))
    }
}

/// Where credentials come from: what must agree before a registry takes more of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollOrigin {
    /// The manifest.
    pub manifest: Digest,
    /// How credentials are hashed.
    pub scheme: HashScheme,
    /// The pepper's marks, when they are hashed under one.
    pub pepper: Option<PepperMarks>,
}

impl RollOrigin {
    /// As a manifest tells.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        let body = manifest.body();
        Self { manifest: manifest.digest(), scheme: body.scheme, pepper: body.pepper }
    }

    /// Scheme and pepper in one word: what a registry keeps to tell its own credentials from
    /// others.
    #[must_use]
    pub fn scheme_word(&self) -> String {
        match (&self.scheme, &self.pepper) {
            (HashScheme::Sha256, _) => "sha256".to_owned(),
            (HashScheme::HmacSha256, None) => "hmac-sha256".to_owned(),
            (HashScheme::HmacSha256, Some(pepper)) => {
                format!("hmac-sha256 {} {}", pepper.id, pepper.check)
            }
        }
    }
}

/// The electors of one list, with the first use of each credential that the log tells: one for each
/// key.
#[derive(Debug, Clone)]
pub struct KnownElectors {
    /// The list.
    pub keys: Arc<KeyList>,
    /// In the order of the keys.
    pub uses: Vec<FirstUse>,
}

/// What to expect of an envelope, as far as the registry knows. The log decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// The credential came for the first time, or again with the request that came first.
    Accepted,
    /// Another request came first.
    Duplicate {
        /// The how-manieth attempt this is: from 2.
        attempt: u32,
    },
    /// The credential was revoked.
    Revoked,
    /// No roll holds the credential.
    Unknown,
}

/// The fast answer: which request each credential came with first.
///
/// Marking is atomic for each envelope and idempotent for each request: marking the same request
/// again gives the same expectation and counts no attempt.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// Says how the credentials of an election are hashed, before any is looked for: a node that
    /// starts holds its log's last roll against the registry. One that outlives its process refuses
    /// another hashing than its own as [`EngineError::Misconfigured`], since it would call every
    /// voter unknown.
    async fn check_origin(
        &self,
        _law_id: &ElectionId,
        _origin: &RollOrigin,
    ) -> Result<(), EngineError> {
        Ok(())
    }

    /// Asks whether so many electors of a roll or supplement can be added, before the log says that
    /// they are registered, and says where they come from. Refused as
    /// [`EngineError::Misconfigured`], with nothing changed.
    async fn prepare(
        &self,
        _law_id: &ElectionId,
        _origin: &RollOrigin,
        _electors: u64,
    ) -> Result<(), EngineError> {
        Ok(())
    }

    /// Adds the credentials of a roll, unspent. Adding again changes nothing and never unspends: a
    /// registry that outlives its process and has lost part of an election refuses, since nobody
    /// but the log knows who of those has voted.
    async fn add_roll(&self, law_id: &ElectionId, keys: &Arc<KeyList>) -> Result<(), EngineError>;

    /// Applies a supplement. The spent ones among `changes.revoke` and `changes.replace` stay;
    /// applying again changes nothing.
    async fn apply(&self, law_id: &ElectionId, changes: &Changes) -> Result<(), EngineError>;

    /// Marks each envelope, in order, and says what to expect of it.
    async fn mark(&self, law_id: &ElectionId, marks: &[Mark]) -> Result<Vec<Hint>, EngineError>;

    /// What to expect of an envelope, marking nothing: for load shedding, before anything is
    /// stored. An engine that cannot tell without I/O says `None`. The answer must be true as of
    /// some moment during the call; the number of a duplicate's attempt is not looked at.
    fn peek(&self, _law_id: &ElectionId, _mark: &Mark) -> Option<Hint> {
        None
    }

    /// Whether it is certain that no envelope with the credential of `mark` was ever marked;
    /// `false` where that cannot be said without I/O. Spares most votes a search of the log.
    fn surely_unused(&self, _law_id: &ElectionId, _mark: &Mark) -> bool {
        false
    }

    /// Takes up an election as its log tells it, in place of whatever the registry had of it: its
    /// lists in the order in which they took effect, without keys in common. How a registry that
    /// was lost with its process is brought up to the log at the start, and how the roll of a draft
    /// is replaced: `origin` is then where the new one comes from.
    async fn restore_all(
        &self,
        law_id: &ElectionId,
        electors: Vec<KnownElectors>,
        origin: Option<&RollOrigin>,
    ) -> Result<(), EngineError>;

    /// Credentials registered for an election: added, less revoked.
    async fn registered(&self, law_id: &ElectionId) -> Result<u64, EngineError>;

    /// Whether the registry outlives the process that uses it, and is shared by several: then no
    /// start restores it ([`Registry::restore_all`]).
    fn is_shared(&self) -> bool {
        false
    }

    /// Whether the engine answers, cheaply: for health checks.
    async fn ping(&self) -> Result<(), EngineError>;
}

/// A batch on its way to validation.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The bytes as they came: whoever takes a delivery parses and verifies it.
    pub batch: Arc<Batch>,
    /// Names the delivery to [`BallotBox::forward`] and [`BallotBox::refuse`].
    pub tag: u64,
}

/// What to expect of each envelope of a batch, in order; empty when the registry could not be
/// asked.
pub type Hints = Vec<Hint>;

/// A validated batch on its way to staging.
#[derive(Debug, Clone)]
pub struct ValidatedBatch {
    /// The batch.
    pub batch: Arc<Batch>,
    /// What to expect of its envelopes.
    pub labels: Hints,
    /// Names it to [`BallotBox::acknowledge`] and [`BallotBox::reject`].
    pub tag: u64,
}

/// The durable way from ingestion to staging, in two steps: to whoever validates, and from there to
/// whoever stages.
///
/// Each published batch is delivered at least once, until it is forwarded or refused; each
/// forwarded batch is collected at least once, until it is acknowledged or rejected. A holder lets
/// go only when the next one has it for good. Batches of one node may arrive in another order than
/// they were published in.
#[async_trait]
pub trait BallotBox: Send + Sync + 'static {
    /// Makes a batch durable. Publishing the same batch again is safe.
    async fn publish(&self, batch: &Arc<Batch>) -> Result<(), EngineError>;

    /// Waits for the next delivery. Waiting no longer loses nothing.
    async fn receive(&self) -> Result<Delivery, EngineError>;

    /// Passes a delivery on with its labels, and lets go of it once it is durable there. Safe to
    /// repeat. Envelopes that are not expected to be accepted are told to outside auditors, without
    /// the choice, where the engine has a way to them.
    async fn forward(&self, delivery: &Delivery, labels: &Hints) -> Result<(), EngineError>;

    /// Lets go of a delivery that is forged or belongs to no election. Safe to repeat.
    async fn refuse(&self, delivery: &Delivery, reason: &str) -> Result<(), EngineError>;

    /// Waits for the next validated batch. Waiting no longer loses nothing.
    async fn collect(&self) -> Result<ValidatedBatch, EngineError>;

    /// Lets go of a validated batch that is staged. Safe to repeat.
    async fn acknowledge(&self, labelled: &ValidatedBatch) -> Result<(), EngineError>;

    /// Lets go of a validated batch that cannot be staged, once it is kept, whole, where officials
    /// can look at it. Safe to repeat. A node answered for what is in it: nothing that came this
    /// far is thrown away.
    async fn reject(&self, labelled: &ValidatedBatch, reason: &str) -> Result<(), EngineError>;

    /// Waits until every batch whose publication was confirmed before this call is staged, refused
    /// or rejected. Others must be receiving, forwarding, collecting and acknowledging meanwhile.
    /// An undecided batch that was put aside (a dead letter) is an [`EngineError::Unavailable`]
    /// that says so.
    async fn settle(&self) -> Result<(), EngineError>;

    /// Whether the engine answers, cheaply: for health checks.
    async fn ping(&self) -> Result<(), EngineError>;
}

/// The place of a batch in staging: ascending in the order of arrival within the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StagingId(pub u64);

/// A batch in staging.
#[derive(Debug, Clone)]
pub struct Staged {
    /// Its place.
    pub id: StagingId,
    /// The batch.
    pub batch: Arc<Batch>,
    /// The labels it was first staged with. Empty when there were none, or when the engine keeps
    /// none.
    pub labels: Hints,
}

/// Where the log of an election stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Leaves in the log.
    pub size: u64,
    /// Height of the last block.
    pub height: u64,
    /// The highest term that committed a block.
    pub term: u64,
    /// The signed checkpoint at this size: the bytes of a signed note.
    pub checkpoint: Vec<u8>,
    /// Staging up to here is in the log, or was refused. Above it, too, batches may be in the log.
    pub sealed_through: StagingId,
    /// Whether nodes are given leases to answer voters.
    pub takes_votes: bool,
}

/// The right of a node to answer voters of an election, for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The node.
    pub node: NodeId,
    /// The epoch it publishes in.
    pub epoch: Epoch,
    /// How long it still lasts, by the ledger's clock.
    pub remaining: Duration,
}

/// Who leads, by the ledger's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leadership {
    /// Whoever asked.
    Leading {
        /// In this term, from 1; each change of leader begins a higher one.
        term: u64,
    },
    /// Somebody else.
    Following {
        /// The holder.
        leader: String,
        /// How long its lease still lasts.
        remaining: Duration,
    },
}

/// A remark of a reviewer on a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewNote {
    /// The request.
    pub request: RequestId,
    /// When, in unix seconds.
    pub at: UnixSeconds,
    /// Who, as they call themselves: at most 200 bytes.
    pub by: String,
    /// The remark: at most 2000 bytes.
    pub text: String,
}

/// A block as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBlock {
    /// Its height, from 1.
    pub height: u64,
    /// The index of its first leaf.
    pub first_leaf: u64,
    /// Leaves in it.
    pub leaf_count: u32,
    /// The leaves, each behind its length in 2 bytes big-endian, as in an entry bundle of
    /// tlog-tiles.
    pub leaves: Vec<u8>,
}

/// A block to be committed, with everything that moves with it in one step.
#[derive(Debug, Clone)]
pub struct BlockCommit {
    /// The election.
    pub law_id: ElectionId,
    /// The block.
    pub block: StoredBlock,
    /// Tiles of hashes that this block filled.
    pub full_tiles: Vec<FullTile>,
    /// The head after this block. Its size must be `block.first_leaf + block.leaf_count`.
    pub head: Head,
    /// By [`Ledger::clock`]: after this time the block is not stored, but refused as
    /// [`Conflict::Late`]. A block that is stored already is never late.
    pub not_after: Option<UnixMillis>,
}

impl ReviewNote {
    /// The longest name of an author, in bytes.
    pub const BY_BYTES_MAX: usize = 200;

    /// The longest remark, in bytes.
    pub const TEXT_BYTES_MAX: usize = 2000;

    /// The rule that a remark breaks: every ledger refuses it as [`Conflict::Malformed`].
    #[must_use]
    pub fn broken_rule(&self) -> Option<&'static str> {
        if self.by.len() > Self::BY_BYTES_MAX || self.text.len() > Self::TEXT_BYTES_MAX {
            return Some("a remark has at most 2000 bytes, its author's name 200");
        }
        (self.by.contains('\0') || self.text.contains('\0'))
            .then_some("a remark and its author's name are text")
    }
}

/// Where the truth is stored: staging, evidence, blocks, tiles, heads, manifests.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// The elections that have a log, in the order of their creation.
    async fn elections(&self) -> Result<Vec<ElectionId>, EngineError>;

    /// Gives out the next epoch for a node in an election: 1, 2, …, never the same twice.
    async fn allocate_epoch(&self, law_id: &ElectionId, node: NodeId)
    -> Result<Epoch, EngineError>;

    /// Gives a node the right to answer voters for so long from now, if the head takes votes and
    /// the epoch is not fenced; an election without a head gives none. Asking again extends it.
    /// Refused as [`Conflict::NoLease`].
    async fn hold_lease(
        &self,
        law_id: &ElectionId,
        node: NodeId,
        epoch: Epoch,
        length: Duration,
    ) -> Result<(), EngineError>;

    /// The leases of an election that have not run out. Once a head that takes no votes is
    /// committed, there are none after the longest of them.
    async fn leases(&self, law_id: &ElectionId) -> Result<Vec<Lease>, EngineError>;

    /// Gives no lease any more to any epoch that a node was given so far. A lease it has lasts to
    /// its end.
    async fn fence(&self, law_id: &ElectionId, node: NodeId) -> Result<(), EngineError>;

    /// Makes a holder the leader of all elections for so long from now, unless another one's lease
    /// lasts. Asking again extends it. Once a new term has begun, commits of lower terms are a
    /// [`Conflict::Term`].
    async fn lead(&self, holder: &str, length: Duration) -> Result<Leadership, EngineError>;

    /// Gives the lead back, if the holder has it.
    async fn resign(&self, holder: &str) -> Result<(), EngineError>;

    /// The time by the clock that the ledger's leases are counted by. It says nothing about any
    /// other clock.
    async fn clock(&self) -> Result<UnixMillis, EngineError>;

    /// Every epoch given out for an election.
    async fn epochs(&self, law_id: &ElectionId) -> Result<Vec<(NodeId, Epoch)>, EngineError>;

    /// Stages a batch with its labels. Staging the same batch again gives the same place and writes
    /// nothing; another batch under the same number is a [`Conflict::BatchNumber`]. Whoever has
    /// read all places up to one never finds a lower one later.
    async fn stage(&self, batch: &Arc<Batch>, labels: &Hints) -> Result<StagingId, EngineError>;

    /// Batches of an election after a place in staging, in order: those not yet sealed, or, from
    /// place 0, all the evidence. At least one if there is any, at most `limit`, and fewer when
    /// they are large.
    async fn staged(
        &self,
        law_id: &ElectionId,
        after: StagingId,
        limit: usize,
    ) -> Result<Vec<Staged>, EngineError>;

    /// The highest sequence staged for an epoch; `None` when it has no batch.
    async fn staged_through(
        &self,
        law_id: &ElectionId,
        node: NodeId,
        epoch: Epoch,
    ) -> Result<Option<votekit_core::id::Sequence>, EngineError>;

    /// Appends a block and moves the head in one step, if the head's size is still
    /// `block.first_leaf` and neither its term nor the leader's is higher than the block's. The
    /// first block of an election creates its log. Committing the very block that is the head again
    /// succeeds and writes nothing: that is how an unknown outcome is resolved.
    async fn commit(&self, commit: &Arc<BlockCommit>) -> Result<(), EngineError>;

    /// Where the log stands; `None` for an election without one.
    async fn head(&self, law_id: &ElectionId) -> Result<Option<Head>, EngineError>;

    /// Blocks from a height on, in order: at least one if there is any, at most `limit`, and fewer
    /// when they are large.
    async fn blocks(
        &self,
        law_id: &ElectionId,
        from_height: u64,
        limit: usize,
    ) -> Result<Vec<StoredBlock>, EngineError>;

    /// So many leaves from an index on, each behind its length as in an entry bundle of tlog-tiles.
    /// `None` when the log does not reach so far. Costs what is asked for, however large the blocks
    /// are.
    async fn leaves(
        &self,
        law_id: &ElectionId,
        first: u64,
        count: u32,
    ) -> Result<Option<Vec<u8>>, EngineError>;

    /// A full tile of hashes: 256 times 32 bytes.
    async fn tile(
        &self,
        law_id: &ElectionId,
        level: u8,
        index: u64,
    ) -> Result<Option<Vec<u8>>, EngineError>;

    /// Keeps a manifest, named by its SHA-256.
    async fn put_manifest(&self, manifest: &[u8]) -> Result<Digest, EngineError>;

    /// A manifest by its SHA-256.
    async fn manifest(&self, digest: &Digest) -> Result<Option<Vec<u8>>, EngineError>;

    /// Keeps a remark on a request. The same remark again is kept once.
    async fn add_review_note(
        &self,
        law_id: &ElectionId,
        note: &ReviewNote,
    ) -> Result<(), EngineError>;

    /// The remarks on an election's requests, in the order in which they were made.
    async fn review_notes(&self, law_id: &ElectionId) -> Result<Vec<ReviewNote>, EngineError>;

    /// Destroys the evidence of an election: its stored batches, sealed or not, overwritten. The
    /// log stays. A late copy of a purged batch gets its old place and is not stored again. Returns
    /// how many batches were destroyed by this call.
    async fn purge_evidence(&self, law_id: &ElectionId) -> Result<u64, EngineError>;

    /// Whether other processes use the same ledger: then one of them leads, and answering voters
    /// takes a lease.
    fn is_shared(&self) -> bool {
        false
    }

    /// Whether the engine answers, cheaply, and stored what it was last asked to write: for health
    /// checks. Once a write has failed as [`EngineError::Unavailable`] this fails until one
    /// succeeds.
    async fn ping(&self) -> Result<(), EngineError>;

    /// Writes something that changes nothing, so that an engine which failed a write can show that
    /// it writes again: else a node that is sent no votes would never know. Engines that are
    /// written to all the time need no more than the ping.
    async fn probe(&self) -> Result<(), EngineError> {
        self.ping().await
    }
}
