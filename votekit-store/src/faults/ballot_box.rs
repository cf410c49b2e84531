//! The ballot box with faults.

use std::sync::Arc;

use async_trait::async_trait;
use votekit_core::batch::Batch;
use votekit_core::id::ElectionId;

use super::{FaultPlan, Faulty};
use crate::{BallotBox, Delivery, DeliveryTag, EngineError, Hints, ValidatedBatch};

#[async_trait]
impl<T: BallotBox + ?Sized, P: FaultPlan> BallotBox for Faulty<T, P> {
    async fn publish(&self, batch: &Arc<Batch>) -> Result<(), EngineError> {
        self.write(|| self.inner.publish(batch)).await
    }

    async fn receive(&self) -> Result<Delivery, EngineError> {
        self.read(|| self.inner.receive()).await
    }

    async fn forward(&self, delivery: &Delivery, hints: &Hints) -> Result<(), EngineError> {
        self.write(|| self.inner.forward(delivery, hints)).await
    }

    async fn refuse(&self, delivery: &Delivery, reason: &str) -> Result<(), EngineError> {
        self.write(|| self.inner.refuse(delivery, reason)).await
    }

    async fn collect(&self) -> Result<ValidatedBatch, EngineError> {
        self.read(|| self.inner.collect()).await
    }

    async fn acknowledge(&self, validated: &ValidatedBatch) -> Result<(), EngineError> {
        if self.plan.loses_acknowledgement() {
            return Ok(());
        }
        self.write(|| self.inner.acknowledge(validated)).await
    }

    async fn reject(&self, validated: &ValidatedBatch, reason: &str) -> Result<(), EngineError> {
        self.write(|| self.inner.reject(validated, reason)).await
    }

    fn hold(&self, tag: DeliveryTag) -> bool {
        self.inner.hold(tag)
    }

    async fn acknowledge_staged(&self, tag: DeliveryTag) -> Result<(), EngineError> {
        if self.plan.loses_acknowledgement() {
            return Ok(());
        }
        self.write(|| self.inner.acknowledge_staged(tag)).await
    }

    async fn settle(&self, law_id: &ElectionId) -> Result<(), EngineError> {
        self.read(|| self.inner.settle(law_id)).await
    }

    async fn ping(&self) -> Result<(), EngineError> {
        self.read(|| self.inner.ping()).await
    }
}
