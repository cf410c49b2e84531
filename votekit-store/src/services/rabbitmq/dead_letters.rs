//! Dead letters: messages delivered too often without being acknowledged. They can be listed and
//! published again.

use lapin::BasicProperties;
use lapin::message::Delivery as Message;
use lapin::types::{AMQPValue, FieldTable};
use votekit_core::id::{BatchNumber, Digest, ElectionId};
use votekit_core::instant::UnixSeconds;

use super::dead_letter_cursor::{DeadLetterCursor, Entry};
use super::delivery_tracker::acknowledge;
use super::message::{BARRIER, BATCH, carrying, is_of, persistent, read_batch_of_any_step};
use super::publisher::Publisher;
use super::reconnector::Reconnector;
use super::{IfAbsent, connect_to_queues};
use crate::EngineError;
use crate::services::url::ServiceAddress;

/// Maximum number of letters listed: the broker allows a consumer at most 65,535 unacknowledged
/// messages.
const LISTED_MAX: usize = 65_000;

/// Prefetch while letters are requeued one by one.
const REQUEUE_PREFETCH: u16 = 16;

/// A message that was dead-lettered.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The content of the message.
    pub content: DeadContent,
    /// The digest of the batch, or of the whole message when it is not a batch.
    pub digest: Digest,
    /// The queue that dead-lettered it.
    pub queue: String,
    /// Why: `delivery_limit` means that it was delivered and requeued more than 20 times.
    pub reason: String,
    /// How often it was dead-lettered.
    pub deaths: u64,
    /// When it was first dead-lettered, in unix seconds.
    pub first_death: Option<UnixSeconds>,
}

/// The content of a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeadContent {
    /// A batch, whose votes are undecided.
    Batch {
        /// The election.
        law_id: ElectionId,
        /// The batch number.
        number: BatchNumber,
        /// Number of envelopes.
        count: usize,
    },
    /// A barrier of a close: deleting it loses nothing.
    Barrier,
    /// Any other message.
    Unreadable,
}

/// The dead letters of a ballot box.
pub struct DeadLetters {
    publisher: Publisher,
    _publishing: Reconnector,
}

impl DeadLetters {
    /// Connects to an existing ballot box.
    ///
    /// # Errors
    /// [`EngineError::Misconfigured`], with a hint on what to correct.
    pub async fn open(address: &ServiceAddress) -> Result<Self, EngineError> {
        let (settings, connection) = connect_to_queues(address, IfAbsent::Refuse).await?;
        let publishing = Reconnector::spawn((*settings).clone(), "dead letters", Some(connection));
        let publisher = Publisher::new(publishing.handle(), settings);
        Ok(Self { publisher, _publishing: publishing })
    }

    /// Lists the dead letters, oldest first, at most 65,000. They stay in the queue. No `settle`
    /// completes during the call.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`], also while another process reads the dead letters.
    pub async fn list(self) -> Result<Vec<DeadLetter>, EngineError> {
        let mut letters = Vec::new();
        let mut cursor = DeadLetterCursor::open(&self.publisher, u16::MAX).await?;
        while letters.len() < LISTED_MAX
            && let Some(found) = cursor.next().await?
        {
            if let Entry::Letter(message) = found {
                letters.push(describe(&message));
            }
        }
        cursor.close().await;
        Ok(letters)
    }

    /// Publishes each batch to validation again, and removes it once it is durable there. Removes
    /// barriers. Publishes messages that are not batches too: validation refuses them and notifies
    /// the reviewers. Handles only the letters present at its start. No `settle` completes during
    /// the call; a `settle` that had begun must be repeated.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`], also while another process reads the dead letters;
    /// [`EngineError::OutcomeUnknown`]: letters that were not requeued are still in the queue, and
    /// calling this again is safe.
    pub async fn requeue(self) -> Result<Vec<DeadLetter>, EngineError> {
        let mut requeued = Vec::new();
        let mut cursor = DeadLetterCursor::open(&self.publisher, REQUEUE_PREFETCH).await?;
        while let Some(found) = cursor.next().await? {
            match found {
                Entry::Letter(message) => {
                    self.publish_again(&message).await?;
                    acknowledge(&message.acker).await;
                    requeued.push(describe(&message));
                }
                // The missing probe makes the `settle` that left it fail: its finding is outdated.
                Entry::Probe(_, acker) => acknowledge(&acker).await,
            }
        }
        cursor.close().await;
        Ok(requeued)
    }

    async fn publish_again(&self, message: &Message) -> Result<(), EngineError> {
        let queue = self.publisher.next_in_turn();
        match read_batch_of_any_step(&message.data) {
            // Validation computes the hints again.
            Some(batch) => {
                self.publisher.publish(queue, carrying(&batch, BATCH), batch.as_bytes()).await
            }
            None if is_of(&message.properties, BARRIER) => Ok(()),
            None => {
                self.publisher
                    .publish(queue, persistent(BATCH, "application/octet-stream"), &message.data)
                    .await
            }
        }
    }
}

fn describe(message: &Message) -> DeadLetter {
    let (content, digest) = match read_batch_of_any_step(&message.data) {
        Some(batch) => {
            let law_id = batch.header().law_id.clone();
            (
                DeadContent::Batch { law_id, number: batch.number(), count: batch.count() },
                batch.digest(),
            )
        }
        None if is_of(&message.properties, BARRIER) => {
            (DeadContent::Barrier, Digest::compute(&message.data))
        }
        None => (DeadContent::Unreadable, Digest::compute(&message.data)),
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

/// The broker's record of the first time the message was dead-lettered, the last of the list.
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
