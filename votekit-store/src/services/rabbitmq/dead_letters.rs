//! What was put aside: messages that were delivered too often and never done with. They can be
//! looked at, and sent on their way again.

use lapin::BasicProperties;
use lapin::message::Delivery as Message;
use lapin::types::{AMQPValue, FieldTable};
use votekit_core::batch::Batch;
use votekit_core::id::{BatchNumber, Digest, ElectionId};
use votekit_core::instant::UnixSeconds;

use super::link::Link;
use super::look::{Found, Look};
use super::message::{BARRIER, BATCH, carrying, is_of, persistent, read_batch, read_labelled};
use super::opening::{self, IfAbsent};
use super::publisher::Outbox;
use super::track::acknowledge;
use crate::EngineError;
use crate::services::url::ServiceAddress;

/// Letters that are listed at most: the broker lets nobody hold more than 65,535 messages
/// unacknowledged.
const LISTED_MAX: usize = 65_000;

/// Letters that are on their way to here while one is driven.
const DRIVEN_AT_ONCE: u16 = 16;

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
        law_id: ElectionId,
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
    outbox: Outbox,
    _publishing: Link,
}

impl DeadLetters {
    /// Connects to a ballot box that is there.
    ///
    /// # Errors
    /// [`EngineError::Misconfigured`] with what an operator must mend.
    pub async fn open(address: &ServiceAddress) -> Result<Self, EngineError> {
        let (settings, connection) = opening::open(address, IfAbsent::Refuse).await?;
        let publishing = Link::keep((*settings).clone(), "dead letters", Some(connection));
        let outbox = Outbox::new(publishing.view(), settings);
        Ok(Self { outbox, _publishing: publishing })
    }

    /// All of them, the oldest first; of more than 65,000 the oldest. They stay where they are.
    /// Nobody settles meanwhile.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`], also when somebody else looks.
    pub async fn list(self) -> Result<Vec<DeadLetter>, EngineError> {
        let mut letters = Vec::new();
        let mut look = Look::begin(&self.outbox, u16::MAX).await?;
        while letters.len() < LISTED_MAX
            && let Some(found) = look.next().await?
        {
            if let Found::Letter(message) = found {
                letters.push(describe(&message));
            }
        }
        look.end().await;
        Ok(letters)
    }

    /// Publishes each batch again to validation, and removes it once it is durable there. Barriers
    /// are removed. Messages that are no batch are published too: validation refuses them and tells
    /// the reviewers. Takes those alone that are there when it begins. Nobody settles meanwhile,
    /// and who had begun to has to begin again.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`], also when somebody else looks;
    /// [`EngineError::OutcomeUnknown`]: what was not driven is still there, and driving again is
    /// safe.
    pub async fn drive(self) -> Result<Vec<DeadLetter>, EngineError> {
        let mut driven = Vec::new();
        let mut look = Look::begin(&self.outbox, DRIVEN_AT_ONCE).await?;
        while let Some(found) = look.next().await? {
            match found {
                Found::Letter(message) => {
                    self.publish_again(&message).await?;
                    acknowledge(&message.acker).await;
                    driven.push(describe(&message));
                }
                // Whoever left it there must hear that what it saw is no longer so.
                Found::Probe(_, acker) => acknowledge(&acker).await,
            }
        }
        look.end().await;
        Ok(driven)
    }

    async fn publish_again(&self, message: &Message) -> Result<(), EngineError> {
        let queue = self.outbox.next_in_turn();
        match read(&message.data) {
            Some(batch) => {
                self.outbox.publish(queue, carrying(&batch, BATCH), batch.as_bytes()).await
            }
            None if is_of(&message.properties, BARRIER) => Ok(()),
            None => {
                self.outbox
                    .publish(queue, persistent(BATCH, "application/octet-stream"), &message.data)
                    .await
            }
        }
    }
}

/// The batch, whether it stands behind hints or not. They are made anew on its way.
fn read(bytes: &[u8]) -> Option<Batch> {
    read_batch(bytes).or_else(|_| read_labelled(bytes).map(|(batch, _)| batch)).ok()
}

fn describe(message: &Message) -> DeadLetter {
    let (content, digest) = match read(&message.data) {
        Some(batch) => {
            let law_id = batch.header().law_id.clone();
            (
                DeadContent::Batch { law_id, number: batch.number(), count: batch.count() },
                batch.digest(),
            )
        }
        None if is_of(&message.properties, BARRIER) => {
            (DeadContent::Barrier, Digest::of(&message.data))
        }
        None => (DeadContent::Unreadable, Digest::of(&message.data)),
    };
    let death = first_death(&message.properties);
    let text = |name: &str| {
        death.as_ref().and_then(|death| text(death, name)).unwrap_or_else(|| "unknown".to_owned())
    };
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
