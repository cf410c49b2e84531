//! The ballot box: the durable queue from ingest to validation, and from there to staging.

use std::sync::Arc;

use async_trait::async_trait;
use votekit_core::batch::Batch;
use votekit_core::id::{BatchNumber, Digest, ElectionId};

use crate::{EngineError, Hint};

/// The identity of a batch: its number alone is not enough, because a node may sign two batches
/// with the same number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchName {
    /// The election.
    pub law_id: ElectionId,
    /// The batch number.
    pub number: BatchNumber,
    /// The digest of the batch.
    pub digest: Digest,
}

impl From<&Batch> for BatchName {
    fn from(batch: &Batch) -> Self {
        let law_id = batch.header().law_id.clone();
        Self { law_id, number: batch.number(), digest: batch.digest() }
    }
}

/// A batch on its way to validation.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The batch as received. The validator verifies it.
    pub batch: Arc<Batch>,
    /// Identifies the delivery to [`BallotBox::forward`] and [`BallotBox::refuse`].
    pub tag: u64,
}

/// The hint for each envelope of a batch, in order; empty when the registry was unavailable.
pub type Hints = Vec<Hint>;

/// A validated batch on its way to staging.
#[derive(Debug, Clone)]
pub struct ValidatedBatch {
    /// The batch.
    pub batch: Arc<Batch>,
    /// The hints for its envelopes.
    pub hints: Hints,
    /// Identifies it to [`BallotBox::acknowledge`] and [`BallotBox::reject`].
    pub tag: u64,
    /// Whether the ballot box is the ledger's staging, and its own record of the batch is what
    /// staging would store. Such a batch is not verified and staged a second time.
    pub is_staged: bool,
}

/// A delivery in one of the two steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeliveryTag {
    /// Of a [`Delivery`].
    Received(u64),
    /// Of a [`ValidatedBatch`].
    Collected(u64),
}

/// The durable queue from ingest to staging, in two steps: to validators, and from them to stagers.
///
/// Each published batch is delivered at least once, until it is forwarded or refused; each
/// forwarded batch is collected at least once, until it is acknowledged or rejected. A step
/// releases a batch only once the next step holds it durably. Batches of one node may arrive in a
/// different order than they were published in.
#[async_trait]
pub trait BallotBox: Send + Sync + 'static {
    /// Makes a batch durable. Publishing the same batch again is safe.
    async fn publish(&self, batch: &Arc<Batch>) -> Result<(), EngineError>;

    /// Waits for the next delivery. An engine that reconnects automatically also waits during an
    /// outage. Cancel safe: dropping the future loses no delivery.
    async fn receive(&self) -> Result<Delivery, EngineError>;

    /// Passes a delivery on with its hints, and acknowledges it once the forwarded batch is
    /// durable. Safe to repeat. Envelopes whose hint is not `Accepted` are reported to outside
    /// auditors, without the choice, if the engine has a channel to them.
    async fn forward(&self, delivery: &Delivery, hints: &Hints) -> Result<(), EngineError>;

    /// Drops a delivery that is forged or belongs to no election. Safe to repeat.
    async fn refuse(&self, delivery: &Delivery, reason: &str) -> Result<(), EngineError>;

    /// Waits for the next validated batch. Cancel safe: dropping the future loses no batch.
    async fn collect(&self) -> Result<ValidatedBatch, EngineError>;

    /// Acknowledges a validated batch that is staged. Safe to repeat.
    async fn acknowledge(&self, validated: &ValidatedBatch) -> Result<(), EngineError>;

    /// Acknowledges a validated batch that cannot be staged, after storing it whole where officials
    /// can review it. Safe to repeat. Its votes may have been answered, so no batch that reaches
    /// this step is discarded.
    async fn reject(&self, validated: &ValidatedBatch, reason: &str) -> Result<(), EngineError>;

    /// Keeps a delivery that this process cannot process now, for example because its election is
    /// halted here. The delivery stays unacknowledged, and does not reduce the number of further
    /// deliveries. Returns `false` if the batch will be delivered again, here or to another
    /// process; the caller must then discard this delivery. Safe to repeat.
    fn hold(&self, tag: DeliveryTag) -> bool;

    /// Acknowledges a delivery of a batch that the ledger has staged already, whichever process did
    /// so. Safe to repeat.
    async fn acknowledge_staged(&self, tag: DeliveryTag) -> Result<(), EngineError>;

    /// Waits until every batch of an election whose publication was confirmed before this call is
    /// staged, refused or rejected. Meanwhile other tasks must receive, forward, collect and
    /// acknowledge; batches of other elections need not be processed. Returns
    /// [`EngineError::Unavailable`], with this reason, if a batch of the election was dead-lettered
    /// before it was decided.
    async fn settle(&self, law_id: &ElectionId) -> Result<(), EngineError>;

    /// Checks cheaply that the engine answers, for health checks.
    async fn ping(&self) -> Result<(), EngineError>;
}
