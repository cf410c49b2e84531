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
//! a channel ends. Batches that a process cannot process now, because their election is halted
//! there, stay unacknowledged and do not delay other batches.

mod delivery_tracker;
mod errors;
mod topology;
mod message;
mod settings;
mod reconnector;
mod publisher;
mod dead_letter_cursor;
mod barrier;
pub mod dead_letters;
mod queue_sharing;
mod review;
mod queue_consumer;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use lapin::Connection;
use tokio::time::timeout;
use votekit_core::batch::Batch;
use votekit_core::id::ElectionId;

use self::errors::{misconfigured, too_late};
use self::message::{BATCH, VALIDATED_BATCH, carrying, rejected, write_with_hints};
use self::publisher::{Destination, Publisher};
use self::queue_consumer::QueueConsumer;
use self::reconnector::{OPENING_TIMEOUT, Reconnector, connect, explain};
use self::settings::Settings;
use self::topology::{QueueSurvey, Step, declare, survey};
use super::url::ServiceAddress;
use crate::{BallotBox, Delivery, DeliveryTag, EngineError, Hints, ValidatedBatch};

/// A ballot box in a broker. Several processes may use the same ballot box at the same time.
pub struct RabbitMqBallotBox {
    shown: String,
    publisher: Arc<Publisher>,
    validation: QueueConsumer,
    aggregation: QueueConsumer,
    /// Keeps the connection that all messages are published through.
    _publishing: Reconnector,
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
        let (settings, connection) = connect_to_queues(address, IfAbsent::Make).await?;
        let publishing = Reconnector::spawn((*settings).clone(), "publishing", Some(connection));
        let publisher = Arc::new(Publisher::new(publishing.handle(), settings));
        Ok(Self {
            shown: address.to_string(),
            validation: QueueConsumer::new(Step::Validation, Arc::clone(&publisher)),
            aggregation: QueueConsumer::new(Step::Aggregation, Arc::clone(&publisher)),
            publisher,
            _publishing: publishing,
        })
    }
}

#[async_trait]
impl BallotBox for RabbitMqBallotBox {
    async fn publish(&self, batch: &Arc<Batch>) -> Result<(), EngineError> {
        let queue = self.publisher.next_in_turn();
        self.publisher.publish(queue, carrying(batch, BATCH), batch.as_bytes()).await
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
        let body = write_with_hints(batch, hints);
        let noted = async {
            match review::unexpected(batch, hints) {
                Some((properties, note)) => {
                    self.publisher.publish(Destination::Review, properties, &note).await
                }
                None => Ok(()),
            }
        };
        let forwarded = self.publisher.publish(
            Destination::Aggregation,
            carrying(batch, VALIDATED_BATCH),
            &body,
        );
        tokio::try_join!(forwarded, noted)?;
        self.validation.acknowledge(delivery.tag).await;
        Ok(())
    }

    async fn refuse(&self, delivery: &Delivery, reason: &str) -> Result<(), EngineError> {
        if !self.validation.holds(delivery.tag) {
            return Ok(());
        }
        let (properties, note) = review::refused(&delivery.batch, reason);
        self.publisher.publish(Destination::Review, properties, &note).await?;
        self.validation.acknowledge(delivery.tag).await;
        Ok(())
    }

    async fn collect(&self) -> Result<ValidatedBatch, EngineError> {
        let (batch, hints, tag) = self.aggregation.next().await?;
        Ok(ValidatedBatch { batch, hints, tag, is_staged: false })
    }

    async fn acknowledge(&self, validated: &ValidatedBatch) -> Result<(), EngineError> {
        self.aggregation.acknowledge(validated.tag).await;
        Ok(())
    }

    async fn reject(&self, validated: &ValidatedBatch, reason: &str) -> Result<(), EngineError> {
        if !self.aggregation.holds(validated.tag) {
            return Ok(());
        }
        let batch = &validated.batch;
        self.publisher
            .publish(Destination::Rejected, rejected(batch, reason), batch.as_bytes())
            .await?;
        let (properties, note) = review::refused(batch, reason);
        self.publisher.publish(Destination::Review, properties, &note).await?;
        self.aggregation.acknowledge(validated.tag).await;
        Ok(())
    }

    fn hold(&self, tag: DeliveryTag) -> bool {
        match tag {
            DeliveryTag::Received(tag) => self.validation.keep(tag),
            DeliveryTag::Collected(tag) => self.aggregation.keep(tag),
        }
    }

    async fn acknowledge_staged(&self, tag: DeliveryTag) -> Result<(), EngineError> {
        match tag {
            DeliveryTag::Received(tag) => self.validation.acknowledge(tag).await,
            DeliveryTag::Collected(tag) => self.aggregation.acknowledge(tag).await,
        }
        Ok(())
    }

    async fn settle(&self, law_id: &ElectionId) -> Result<(), EngineError> {
        barrier::settle(&self.publisher, law_id).await
    }

    async fn ping(&self) -> Result<(), EngineError> {
        self.publisher.ping().await
    }
}

impl fmt::Debug for RabbitMqBallotBox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RabbitMqBallotBox({})", self.shown)
    }
}

/// The action when no ballot box with the prefix exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IfAbsent {
    /// Declare it.
    Make,
    /// Return an error.
    Refuse,
}

/// Connects to a ballot box whose queues match the address, and immediately reports what an
/// operator must correct.
async fn connect_to_queues(
    address: &ServiceAddress,
    if_absent: IfAbsent,
) -> Result<(Arc<Settings>, Connection), EngineError> {
    let settings = Arc::new(Settings::read(address)?);
    let opening = async {
        let connection = connect(&settings).await?;
        let found = survey(&connection, &settings.names).await?;
        let wanted = match found {
            QueueSurvey::Whole => true,
            QueueSurvey::Absent => if_absent == IfAbsent::Make,
            QueueSurvey::TooMany(_) | QueueSurvey::TooFew(_) => false,
        };
        if wanted {
            declare(&connection, &settings.names).await?;
        }
        Ok((connection, found))
    };
    let (connection, found) = timeout(OPENING_TIMEOUT, opening)
        .await
        .unwrap_or_else(|_| Err(too_late()))
        .map_err(|error| explain(&settings, &error))?;
    let queues = settings.names.validation.len();
    match found {
        QueueSurvey::Absent if if_absent == IfAbsent::Refuse => Err(misconfigured(
            format!(
                "{address}: no ballot box with this prefix: {} is missing",
                settings.names.dead_letters
            ),
            "give the same address as the nodes, with its virtual host, ?prefix= and ?queues=",
        )),
        QueueSurvey::TooMany(queue) => Err(misconfigured(
            format!(
                "{address}: there are more than {queues} validation queues, the next one is {queue}"
            ),
            "give every process the same ?queues=N, or delete that queue once it is empty",
        )),
        QueueSurvey::TooFew(queue) => Err(misconfigured(
            format!(
                "{address}: there are fewer than {queues} validation queues, {queue} is missing \
                 and would have no consumer"
            ),
            format!(
                "give every process the same ?queues=N; to add queues, stop all processes and \
                 delete {} once it is empty",
                settings.names.dead_letters
            ),
        )),
        QueueSurvey::Whole | QueueSurvey::Absent => Ok((settings, connection)),
    }
}
