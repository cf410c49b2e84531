//! What was put aside: messages that were delivered too often and never done with. They can be looked at, and sent on their way again.

use std::sync::Arc;
use std::time::Duration;

use lapin::message::BasicGetMessage;
use lapin::options::{BasicAckOptions, BasicGetOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel};
use tokio::time::timeout;
use votekit_core::batch::Batch;
use votekit_core::id::{BatchNumber, Digest, LawId};
use votekit_core::instant::UnixSeconds;

use super::link::{self, Link};
use super::message::{BARRIER, BATCH, carrying, is_of, persistent, read_batch, read_labelled};
use super::publisher::Outbox;
use super::settings::Settings;
use super::topology::declare;
use super::trouble::{explain, too_late, unavailable};
use crate::engine::EngineError;
use crate::engine::services::url::ServiceAddress;

/// How long the broker may take for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// A message that was put aside.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeadLetter {
    /// What it holds.
    pub content: DeadContent,
    /// The digest of the batch; of the whole message when it is none.
    pub digest: Digest,
    /// The queue that put it aside.
    pub queue: String,
    /// Why: `delivery_limit` means that it was taken and given back more than 20 times.
    pub reason: String,
    /// How often it was put aside.
    pub deaths: u64,
    /// When it was put aside first, in unix seconds.
    pub first_death: Option<UnixSeconds>,
}

/// What a dead letter holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeadContent {
    /// A batch: its votes are undecided.
    Batch {
        /// The election.
        law_id: LawId,
        /// Its number.
        number: BatchNumber,
        /// Envelopes in it.
        count: usize,
    },
    /// A barrier of a close: nothing is lost with it.
    Barrier,
    /// Something else.
    Unreadable,
}

/// The dead letters of a ballot box.
pub struct DeadLetters {
    settings: Arc<Settings>,
    outbox: Outbox,
    channel: Channel,
    _publishing: Link,
}

impl DeadLetters {
    /// Connects to a ballot box.
    ///
    /// # Errors
    /// [`EngineError::Misconfigured`] with what an operator must mend.
    pub async fn open(address: &ServiceAddress) -> Result<Self, EngineError> {
        let settings = Arc::new(Settings::read(address)?);
        let opening = async {
            let connection = link::connect(&settings).await?;
            declare(&connection, &settings.names).await?;
            let channel = connection.create_channel().await?;
            Ok((connection, channel))
        };
        let (connection, channel) = timeout(link::OPENING_MAX, opening)
            .await
            .unwrap_or_else(|_| Err(too_late()))
            .map_err(|error| explain(&settings, &error))?;
        let publishing = Link::keep((*settings).clone(), "dead letters", Some(connection));
        let outbox = Outbox::new(publishing.view(), Arc::clone(&settings));
        Ok(Self { settings, outbox, channel, _publishing: publishing })
    }

    /// All of them, the oldest first. They stay where they are.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`].
    pub async fn list(self) -> Result<Vec<DeadLetter>, EngineError> {
        let mut letters = Vec::new();
        while let Some(message) = self.next().await? {
            letters.push(describe(&message));
        }
        // What was taken and not acknowledged lies there again as soon as the channel ends.
        within(self.channel.close(200, "looked".into())).await?;
        Ok(letters)
    }

    /// Publishes each batch again to validation, and removes it once it is durable there. Barriers are removed. Messages that are no batch are published too: validation
    /// refuses them and tells the reviewers. Takes those alone that are there when it begins.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`], [`EngineError::OutcomeUnknown`]: what was not driven is still there, and driving again is safe.
    pub async fn drive(self) -> Result<Vec<DeadLetter>, EngineError> {
        let mut driven = Vec::new();
        let mut remaining = u32::MAX;
        while remaining > 0
            && let Some(message) = self.next().await?
        {
            remaining = remaining.min(message.message_count + 1) - 1;
            self.publish_again(&message).await?;
            within(message.delivery.ack(BasicAckOptions::default())).await?;
            driven.push(describe(&message));
        }
        within(self.channel.close(200, "driven".into())).await?;
        Ok(driven)
    }

    async fn next(&self) -> Result<Option<BasicGetMessage>, EngineError> {
        within(self.channel.basic_get(self.settings.names.dead_letters.clone(), BasicGetOptions::default())).await
    }

    async fn publish_again(&self, message: &BasicGetMessage) -> Result<(), EngineError> {
        let queue = self.outbox.next_in_turn();
        match read(&message.data) {
            Some(batch) => self.outbox.publish(queue, carrying(&batch, BATCH), batch.as_bytes()).await,
            None if is_of(&message.properties, BARRIER) => Ok(()),
            None => self.outbox.publish(queue, persistent(BATCH, "application/octet-stream"), &message.data).await,
        }
    }
}

/// The batch, whether it stands behind labels or not. They are made anew on its way.
fn read(bytes: &[u8]) -> Option<Batch> {
    read_batch(bytes).or_else(|_| read_labelled(bytes).map(|(batch, _)| batch)).ok()
}

fn describe(message: &BasicGetMessage) -> DeadLetter {
    let (content, digest) = match read(&message.data) {
        Some(batch) => {
            let law_id = batch.header().law_id.clone();
            (DeadContent::Batch { law_id, number: batch.number(), count: batch.count() }, batch.digest())
        }
        None if is_of(&message.properties, BARRIER) => (DeadContent::Barrier, Digest::of(&message.data)),
        None => (DeadContent::Unreadable, Digest::of(&message.data)),
    };
    let death = first_death(&message.properties);
    let text = |name: &str| death.as_ref().and_then(|death| text(death, name)).unwrap_or_else(|| "unknown".to_owned());
    DeadLetter {
        content,
        digest,
        queue: text("queue"),
        reason: text("reason"),
        deaths: death.as_ref().and_then(|death| number(death, "count")).unwrap_or(1),
        first_death: death.as_ref().and_then(|death| number(death, "time")).map(UnixSeconds),
    }
}

/// What the broker noted when it put the message aside.
fn first_death(properties: &BasicProperties) -> Option<FieldTable> {
    let deaths = properties.headers().as_ref()?.inner().get("x-death")?.as_array()?;
    match deaths.as_slice().last()? {
        AMQPValue::FieldTable(death) => Some(death.clone()),
        _ => None,
    }
}

fn text(table: &FieldTable, name: &str) -> Option<String> {
    match table.inner().get(name)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}

fn number(table: &FieldTable, name: &str) -> Option<u64> {
    match table.inner().get(name)? {
        AMQPValue::LongLongInt(number) => u64::try_from(*number).ok(),
        AMQPValue::LongInt(number) => u64::try_from(*number).ok(),
        AMQPValue::LongUInt(number) => Some(u64::from(*number)),
        AMQPValue::ShortInt(number) => u64::try_from(*number).ok(),
        AMQPValue::ShortShortInt(number) => u64::try_from(*number).ok(),
        AMQPValue::ShortShortUInt(number) => Some(u64::from(*number)),
        AMQPValue::Timestamp(seconds) => Some(*seconds),
        _ => None,
    }
}

async fn within<T>(call: impl Future<Output = lapin::Result<T>>) -> Result<T, EngineError> {
    timeout(ANSWER_MAX, call).await.unwrap_or_else(|_| Err(too_late())).map_err(|error| unavailable(error.to_string()))
}
