//! Publishes messages, and waits until the broker confirms them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ExchangeDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Confirmation, ExchangeKind};
use tokio::time::timeout;

use super::errors::{outcome_unknown, unavailable};
use super::reconnector::{Session, SessionHandle};
use super::settings::Settings;
use crate::EngineError;

/// Timeout for a confirm.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(5);

/// Timeout for a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// The queue that a message goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Destination {
    /// A validation queue, by its index.
    Validation(usize),
    /// Validated batches, for staging.
    Aggregation,
    /// Notes, for outside auditors.
    Review,
    /// Batches that were not staged, for officials.
    Rejected,
    /// Probes, behind the dead letters.
    DeadLetters,
}

/// Publishes through the current session.
pub(super) struct Publisher {
    sessions: SessionHandle,
    settings: Arc<Settings>,
    rotation: AtomicUsize,
}

impl Publisher {
    pub(super) fn new(sessions: SessionHandle, settings: Arc<Settings>) -> Self {
        Self { sessions, settings, rotation: AtomicUsize::new(0) }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn session(&self) -> Result<Arc<Session>, EngineError> {
        self.sessions.session()
    }

    /// The next validation queue, round robin.
    pub(super) fn next_in_turn(&self) -> Destination {
        Destination::Validation(
            self.rotation.fetch_add(1, Ordering::Relaxed) % self.settings.names.validation.len(),
        )
    }

    /// Publishes a message, and returns once the broker has stored it durably.
    ///
    /// `Unavailable`: certainly not stored. `OutcomeUnknown`: perhaps stored. A nack is of the
    /// second kind: it promises nothing, in either direction.
    pub(super) async fn publish(
        &self,
        to: Destination,
        properties: BasicProperties,
        payload: &[u8],
    ) -> Result<(), EngineError> {
        let session = self.sessions.session()?;
        let publish_channels = session.publish_channels(&self.settings).await?;
        let names = &self.settings.names;
        let (channel, queue) = match to {
            Destination::Validation(queue) => {
                (&publish_channels.validation[queue], &names.validation[queue])
            }
            Destination::Aggregation => (&publish_channels.aggregation, &names.aggregation),
            Destination::Review => (&publish_channels.review, &names.review),
            Destination::Rejected => (&publish_channels.rejected, &names.rejected),
            Destination::DeadLetters => (&publish_channels.dead_letters, &names.dead_letters),
        };
        // Checked before sending: a blocked broker reads nothing, so the outcome would be unknown.
        if session.connection.status().blocked() {
            return Err(unavailable(
                "the broker is short of memory or disk and accepts no messages",
            ));
        }
        if !channel.status().connected() || session.is_over() {
            session.give_up("a channel was closed");
            return Err(unavailable("the connection is lost"));
        }
        let message_id = properties.message_id().clone();
        let confirmed = async {
            // Mandatory: a broker confirms a message for a queue that does not exist, and drops it.
            let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            channel
                .basic_publish(names.exchange.clone(), queue.clone(), options, payload, properties)
                .await?
                .await
        };
        match timeout(CONFIRM_TIMEOUT, confirmed).await {
            Ok(Ok(confirmation)) => classify(&session, queue, &message_id, confirmation),
            Ok(Err(error)) => {
                session.give_up(error.to_string());
                Err(outcome_unknown(error.to_string()))
            }
            Err(_) => {
                // A blocked broker reports it and recovers by itself; a silent one needs a new
                // connection.
                if !session.connection.status().blocked() {
                    session.give_up("no publisher confirm in time");
                }
                Err(outcome_unknown(format!(
                    "no publisher confirm within {} s",
                    CONFIRM_TIMEOUT.as_secs()
                )))
            }
        }
    }

    /// Checks that the broker answers.
    pub(super) async fn ping(&self) -> Result<(), EngineError> {
        let session = self.sessions.session()?;
        let publish_channels = session.publish_channels(&self.settings).await?;
        if session.connection.status().blocked() {
            return Err(unavailable(
                "the broker is short of memory or disk and accepts no messages",
            ));
        }
        let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        let exchange = self.settings.names.exchange.clone();
        let asked = publish_channels.control.exchange_declare(
            exchange,
            ExchangeKind::Topic,
            options,
            FieldTable::default(),
        );
        match timeout(PING_TIMEOUT, asked).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                session.give_up(error.to_string());
                Err(unavailable(error.to_string()))
            }
            Err(_) => Err(unavailable(format!("no answer within {} s", PING_TIMEOUT.as_secs()))),
        }
    }
}

fn classify(
    session: &Session,
    queue: &ShortString,
    message_id: &Option<ShortString>,
    confirmation: Confirmation,
) -> Result<(), EngineError> {
    match confirmation {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(returned)) => {
            // The next connection declares everything again.
            session.give_up(format!("the queue {queue} is missing"));
            if returned.properties.message_id() == message_id {
                Err(unavailable(format!("the queue {queue} is missing: the message was returned")))
            } else {
                Err(outcome_unknown(format!(
                    "the queue {queue} is missing: another message was returned"
                )))
            }
        }
        Confirmation::Nack(_) => Err(outcome_unknown("the broker did not store the message")),
        Confirmation::NotRequested => {
            session.give_up("publisher confirms are off");
            Err(outcome_unknown("publisher confirms are not enabled on this channel"))
        }
    }
}
