//! The ballot box on RabbitMQ: whole batches in durable quorum queues, confirmed by a majority of
//! the broker's nodes.
//!
//! ```text
//! publish ─▶ votes.validation-0 … N-1 ─▶ receive … forward ─▶ votes.aggregation
//!                                              │                       │
//!                                       refuse │              collect … acknowledge
//!                                              ▼                       │
//!                                        votes.review ◀── unreadable ──┤
//!                                      votes.rejected ◀────── reject ──┘
//! ```
//!
//! A message is acknowledged once its next holder has stored it durably. While the broker is
//! unavailable, processing pauses. Messages are never requeued explicitly: the broker does so when
//! a channel ends.

mod barrier;
pub mod dead_letters;
mod link;
mod look;
mod message;
mod opening;
mod publisher;
mod refusal;
mod review;
mod settings;
mod spread;
mod stage;
mod topology;
mod track;
mod trouble;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use votekit_core::batch::Batch;

use self::link::Link;
use self::message::{BATCH, LABELLED, carrying, rejected, write_labelled};
use self::opening::IfAbsent;
use self::publisher::{Destination, Outbox};
use self::stage::Stage;
use self::topology::Step;
use super::url::ServiceAddress;
use crate::{BallotBox, Delivery, EngineError, Hints, ValidatedBatch};

/// A ballot box in a broker. Several processes may use one at the same time.
pub struct RabbitMqBallotBox {
    shown: String,
    outbox: Arc<Outbox>,
    validation: Stage,
    aggregation: Stage,
    /// Keeps the connection that all messages are published through.
    _publishing: Link,
}

impl RabbitMqBallotBox {
    /// Connects, and declares missing queues. Consumes nothing before the first
    /// [`BallotBox::receive`] or [`BallotBox::collect`].
    ///
    /// `?prefix=NAME` prefixes the names of the exchange and the queues; `?queues=N` is the number
    /// of validation queues, the same for all processes (4).
    ///
    /// # Errors
    /// [`EngineError::Misconfigured`], within 5 seconds, with a hint on what to correct.
    pub async fn open(address: &ServiceAddress) -> Result<Self, EngineError> {
        let (settings, connection) = opening::open(address, IfAbsent::Make).await?;
        let publishing = Link::keep((*settings).clone(), "publishing", Some(connection));
        let outbox = Arc::new(Outbox::new(publishing.view(), settings));
        Ok(Self {
            shown: address.to_string(),
            validation: Stage::new(Step::Validation, Arc::clone(&outbox)),
            aggregation: Stage::new(Step::Aggregation, Arc::clone(&outbox)),
            outbox,
            _publishing: publishing,
        })
    }
}

#[async_trait]
impl BallotBox for RabbitMqBallotBox {
    async fn publish(&self, batch: &Arc<Batch>) -> Result<(), EngineError> {
        let queue = self.outbox.next_in_turn();
        self.outbox.publish(queue, carrying(batch, BATCH), batch.as_bytes()).await
    }

    async fn receive(&self) -> Result<Delivery, EngineError> {
        let (batch, _, tag) = self.validation.next().await?;
        Ok(Delivery { batch, tag })
    }

    async fn forward(&self, delivery: &Delivery, hints: &Hints) -> Result<(), EngineError> {
        if !self.validation.holds(delivery.tag) {
            return Ok(());
        }
        let batch = &delivery.batch;
        let body = write_labelled(batch, hints);
        let noted = async {
            match review::unexpected(batch, hints) {
                Some((properties, note)) => {
                    self.outbox.publish(Destination::Review, properties, &note).await
                }
                None => Ok(()),
            }
        };
        let forwarded =
            self.outbox.publish(Destination::Aggregation, carrying(batch, LABELLED), &body);
        tokio::try_join!(forwarded, noted)?;
        self.validation.let_go(delivery.tag).await;
        Ok(())
    }

    async fn refuse(&self, delivery: &Delivery, reason: &str) -> Result<(), EngineError> {
        if !self.validation.holds(delivery.tag) {
            return Ok(());
        }
        let (properties, note) = review::refused(&delivery.batch, reason);
        self.outbox.publish(Destination::Review, properties, &note).await?;
        self.validation.let_go(delivery.tag).await;
        Ok(())
    }

    async fn collect(&self) -> Result<ValidatedBatch, EngineError> {
        let (batch, hints, tag) = self.aggregation.next().await?;
        Ok(ValidatedBatch { batch, hints, tag, is_staged: false })
    }

    async fn acknowledge(&self, validated: &ValidatedBatch) -> Result<(), EngineError> {
        self.aggregation.let_go(validated.tag).await;
        Ok(())
    }

    async fn reject(&self, validated: &ValidatedBatch, reason: &str) -> Result<(), EngineError> {
        if !self.aggregation.holds(validated.tag) {
            return Ok(());
        }
        let batch = &validated.batch;
        self.outbox
            .publish(Destination::Rejected, rejected(batch, reason), batch.as_bytes())
            .await?;
        let (properties, note) = review::refused(batch, reason);
        self.outbox.publish(Destination::Review, properties, &note).await?;
        self.aggregation.let_go(validated.tag).await;
        Ok(())
    }

    async fn settle(&self) -> Result<(), EngineError> {
        barrier::settle(&self.outbox).await
    }

    async fn ping(&self) -> Result<(), EngineError> {
        self.outbox.ping().await
    }
}

impl fmt::Debug for RabbitMqBallotBox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RabbitMqBallotBox({})", self.shown)
    }
}
