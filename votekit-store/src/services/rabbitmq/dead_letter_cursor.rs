//! Reads the dead letters, from the oldest to a probe that the reader publishes behind them.
//!
//! The broker's message count is not sufficient: it leaves out unacknowledged messages, and is 0
//! while the queue elects a leader. So the queue has a single active consumer, the reader: a second
//! reader waits, and is then first delivered the unacknowledged messages of the first reader. A
//! probe marks the end of the queue: its confirm and its delivery prove that the queue has a
//! leader.
//!
//! A probe that is left in the queue proves later that no dead letters were requeued in between,
//! because requeuing removes probes. An abandoned probe expires.

use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::message::Delivery as Message;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Acker, Channel, Consumer};
use tokio::time::timeout;

use super::delivery_tracker::{acknowledge, close_channel};
use super::errors::{too_late, unavailable};
use super::message::{PROBE, is_of, persistent};
use super::publisher::{Destination, Publisher};
use super::topology::count;
use crate::EngineError;

/// Timeout for one answer of the broker.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Lifetime of a probe left in the queue: longer than settling takes. In milliseconds, as text, as
/// the broker expects it.
const PROBE_MS: &str = "180000";

/// A probe, identified by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Probe(ShortString);

/// A message in the queue.
pub(super) enum Entry {
    /// A dead letter.
    Letter(Box<Message>),
    /// A probe of another process, or of an earlier cursor.
    Probe(Probe, Acker),
}

/// Exclusive reader of the dead letters. When it ends, everything that was not acknowledged is in
/// the queue again.
pub(super) struct DeadLetterCursor<'a> {
    publisher: &'a Publisher,
    holding: Holding,
    /// Delivered, and not returned by `next` yet.
    ahead: Option<Message>,
    /// The probe that marks the end of the queue.
    last: Option<Probe>,
    /// Acknowledges `last`; set once `last` was delivered.
    last_acker: Option<Acker>,
}

impl<'a> DeadLetterCursor<'a> {
    /// Waits until no other cursor is open. At most `unacknowledged_max` messages can be read
    /// without being acknowledged.
    pub(super) async fn open(
        publisher: &'a Publisher,
        unacknowledged_max: u16,
    ) -> Result<Self, EngineError> {
        let session = publisher.session()?;
        let queue = publisher.settings().names.dead_letters.clone();
        // In a separate task: after a timeout it still completes, and dropping its result releases
        // what was delivered.
        let beginning = tokio::spawn(async move {
            let channel = session.connection.create_channel().await?;
            let (waiting, _) = count(&channel, &queue).await?;
            channel.basic_qos(unacknowledged_max, BasicQosOptions::default()).await?;
            let options = BasicConsumeOptions::default();
            let consumer = channel
                .basic_consume(queue, ShortString::default(), options, FieldTable::default())
                .await?;
            lapin::Result::Ok((Holding { channel, consumer }, waiting))
        });
        let begun = timeout(ANSWER_MAX, beginning)
            .await
            .map_err(|_| unavailable(too_late().to_string()))?;
        let begun = begun.map_err(|error| unavailable(error.to_string()))?;
        let (holding, waiting) = begun.map_err(|error| unavailable(error.to_string()))?;
        let mut cursor = Self { publisher, holding, ahead: None, last: None, last_acker: None };
        if waiting > 0 {
            cursor.ahead = Some(cursor.receive().await?);
        }
        Ok(cursor)
    }

    /// The first message, if it is a letter. Needs no probe, so that repeated calls leave none
    /// behind.
    pub(super) fn first_letter(&self) -> Option<&Message> {
        self.ahead.as_ref().filter(|message| !is_of(&message.properties, PROBE))
    }

    /// Returns the next message, oldest first; `None` after the last one that was there at the
    /// first call.
    pub(super) async fn next(&mut self) -> Result<Option<Entry>, EngineError> {
        if self.last_acker.is_some() {
            return Ok(None);
        }
        let last = match &self.last {
            Some(last) => last.clone(),
            None => self.last.insert(put_probe(self.publisher).await?).clone(),
        };
        let message = match self.ahead.take() {
            Some(message) => message,
            None => self.receive().await?,
        };
        if !is_of(&message.properties, PROBE) {
            return Ok(Some(Entry::Letter(Box::new(message))));
        }
        let probe = Probe(message.properties.message_id().clone().unwrap_or_default());
        if probe != last {
            return Ok(Some(Entry::Probe(probe, message.acker)));
        }
        self.last_acker = Some(message.acker);
        Ok(None)
    }

    /// Ends the cursor and leaves its probe in the queue. Returns the probe if the end was reached.
    pub(super) async fn leave_probe(self) -> Option<Probe> {
        self.holding.close().await;
        self.last_acker.and(self.last)
    }

    /// Ends the cursor, and removes its probe if the end was reached.
    pub(super) async fn close(self) {
        if let Some(acker) = &self.last_acker {
            acknowledge(acker).await;
        }
        self.holding.close().await;
    }

    async fn receive(&mut self) -> Result<Message, EngineError> {
        match timeout(ANSWER_MAX, self.holding.consumer.next()).await {
            Ok(Some(Ok(message))) => Ok(message),
            Ok(Some(Err(error))) => Err(unavailable(error.to_string())),
            Ok(None) => Err(unavailable("the connection is lost")),
            Err(_) => Err(unavailable(format!(
                "{} delivers no messages: another consumer holds the dead letters (votekit \
                 dead-letters, or a consumer of that queue)",
                self.publisher.settings().names.dead_letters
            ))),
        }
    }
}

async fn put_probe(publisher: &Publisher) -> Result<Probe, EngineError> {
    let name = getrandom::u64()
        .map_err(|error| unavailable(format!("the system returned no random numbers: {error}")))?;
    let name: ShortString = format!("probe {name:016x}").into();
    let properties = persistent(PROBE, "application/octet-stream")
        .with_message_id(name.clone())
        .with_expiration(PROBE_MS.into());
    publisher.publish(Destination::DeadLetters, properties, &[]).await?;
    Ok(Probe(name))
}

/// The unacknowledged deliveries. They are released only by closing the channel, which requeues
/// them before another consumer gets anything.
struct Holding {
    channel: Channel,
    consumer: Consumer,
}

impl Holding {
    async fn close(self) {
        close_channel(self.channel.clone(), self.consumer.clone()).await;
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        if self.channel.status().connected()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(close_channel(self.channel.clone(), self.consumer.clone()));
        }
    }
}
