//! The ballot box, failing and trying again.

use std::sync::Arc;

use async_trait::async_trait;
use votekit_core::batch::Batch;

use super::{Persistent, Unreliable, persist};
use crate::engine::{BallotBox, Delivery, EngineError};

#[async_trait]
impl<T: BallotBox + ?Sized> BallotBox for Unreliable<T> {
    async fn publish(&self, batch: &Arc<Batch>) -> Result<(), EngineError> {
        self.write(self.inner.publish(batch)).await
    }

    async fn receive(&self) -> Result<Delivery, EngineError> {
        self.read(self.inner.receive()).await
    }

    async fn acknowledge(&self, delivery: &Delivery) -> Result<(), EngineError> {
        if self.loses_acknowledgement() {
            return Ok(());
        }
        self.write(self.inner.acknowledge(delivery)).await
    }
}

#[async_trait]
impl<T: BallotBox> BallotBox for Persistent<T> {
    async fn publish(&self, batch: &Arc<Batch>) -> Result<(), EngineError> {
        persist(|| self.inner.publish(batch)).await
    }

    async fn receive(&self) -> Result<Delivery, EngineError> {
        persist(|| self.inner.receive()).await
    }

    async fn acknowledge(&self, delivery: &Delivery) -> Result<(), EngineError> {
        persist(|| self.inner.acknowledge(delivery)).await
    }
}
