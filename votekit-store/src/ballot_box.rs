//! The ballot box: the durable queue from ingest to validation, and from there to staging.

use std::sync::Arc;

use async_trait::async_trait;
use votekit_core::batch::Batch;

use crate::{EngineError, Hint};

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
    pub hints: Hints,
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

    /// Passes a delivery on with its hints, and lets go of it once it is durable there. Safe to
    /// repeat. Envelopes that are not expected to be accepted are told to outside auditors, without
    /// the choice, where the engine has a way to them.
    async fn forward(&self, delivery: &Delivery, hints: &Hints) -> Result<(), EngineError>;

    /// Lets go of a delivery that is forged or belongs to no election. Safe to repeat.
    async fn refuse(&self, delivery: &Delivery, reason: &str) -> Result<(), EngineError>;

    /// Waits for the next validated batch. Waiting no longer loses nothing.
    async fn collect(&self) -> Result<ValidatedBatch, EngineError>;

    /// Lets go of a validated batch that is staged. Safe to repeat.
    async fn acknowledge(&self, validated: &ValidatedBatch) -> Result<(), EngineError>;

    /// Lets go of a validated batch that cannot be staged, once it is kept, whole, where officials
    /// can look at it. Safe to repeat. A node answered for what is in it: nothing that came this
    /// far is thrown away.
    async fn reject(&self, validated: &ValidatedBatch, reason: &str) -> Result<(), EngineError>;

    /// Waits until every batch whose publication was confirmed before this call is staged, refused
    /// or rejected. Others must be receiving, forwarding, collecting and acknowledging meanwhile.
    /// An undecided batch that was put aside (a dead letter) is an [`EngineError::Unavailable`]
    /// that says so.
    async fn settle(&self) -> Result<(), EngineError>;

    /// Whether the engine answers, cheaply: for health checks.
    async fn ping(&self) -> Result<(), EngineError>;
}
