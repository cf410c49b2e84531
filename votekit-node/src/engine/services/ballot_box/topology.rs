//! The exchange and the queues, and how they are declared.
//!
//! ```text
//!                         ┌─▶ votes.validation-0 … N-1 ─┐ rejected too often
//! votes.exchange (topic) ─┼─▶ votes.aggregation ────────┴──▶ votes.exchange ──▶ votes.dead-letters
//!                         ├─▶ votes.rejected
//!                         └─▶ votes.review   (bounded: the oldest go first)
//! ```
//!
//! All queues are durable quorum queues. Those that batches pass through have one active consumer each, so that what they hold is taken in order, and another
//! process takes over when that one dies; in dead letters one looks at a time, so that nobody takes for empty what another one holds.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{Channel, Connection, ErrorKind, ExchangeKind};

/// A message that was given back so often is put aside.
const DELIVERIES_MAX: i64 = 20;

/// Messages for reviewers that are kept.
const REVIEW_MESSAGES_MAX: i64 = 100_000;

/// Among dead letters and rejected batches nothing is ever dropped for having been looked at.
const LOOKS_MAX: i64 = 1_000_000_000;

/// What everything is called.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) exchange: ShortString,
    pub(super) validation: Vec<ShortString>,
    pub(super) aggregation: ShortString,
    pub(super) review: ShortString,
    /// Batches that were not staged. They are kept for good, and may be browsed.
    pub(super) rejected: ShortString,
    pub(super) dead_letters: ShortString,
    /// A queue that stays empty: whoever validates consumes it, and is counted.
    pub(super) validators: ShortString,
    /// The queue that would come next if there were one more for validation.
    beyond: ShortString,
}

impl Names {
    pub(super) fn new(prefix: &str, queues: usize) -> Self {
        let name = |name: &str| -> ShortString {
            if prefix.is_empty() { format!("votes.{name}") } else { format!("{prefix}.votes.{name}") }.into()
        };
        Self {
            exchange: name("exchange"),
            validation: (0..queues).map(|queue| name(&format!("validation-{queue}"))).collect(),
            aggregation: name("aggregation"),
            review: name("review"),
            rejected: name("rejected"),
            dead_letters: name("dead-letters"),
            validators: name("validators"),
            beyond: name(&format!("validation-{queues}")),
        }
    }

    /// Every queue.
    fn queues(&self) -> Vec<(&ShortString, FieldTable)> {
        let passed_through = || {
            table([
                ("x-queue-type", text("quorum")),
                ("x-single-active-consumer", AMQPValue::Boolean(true)),
                ("x-delivery-limit", AMQPValue::LongLongInt(DELIVERIES_MAX)),
                ("x-dead-letter-exchange", text(self.exchange.as_str())),
                ("x-dead-letter-routing-key", text(self.dead_letters.as_str())),
                // A dead letter is an undecided batch: it stays here until the other queue has it. This needs reject-publish, which without a limit of length rejects nothing.
                ("x-dead-letter-strategy", text("at-least-once")),
                ("x-overflow", text("reject-publish")),
            ])
        };
        let review = table([
            ("x-queue-type", text("quorum")),
            ("x-max-length", AMQPValue::LongLongInt(REVIEW_MESSAGES_MAX)),
            ("x-overflow", text("drop-head")),
        ]);
        let rejected = table([("x-queue-type", text("quorum")), ("x-delivery-limit", AMQPValue::LongLongInt(LOOKS_MAX))]);
        let dead_letters = table([
            ("x-queue-type", text("quorum")),
            ("x-single-active-consumer", AMQPValue::Boolean(true)),
            ("x-delivery-limit", AMQPValue::LongLongInt(LOOKS_MAX)),
        ]);
        let mut queues: Vec<_> = self.validation.iter().map(|queue| (queue, passed_through())).collect();
        queues.push((&self.aggregation, passed_through()));
        queues.push((&self.review, review));
        queues.push((&self.rejected, rejected));
        queues.push((&self.dead_letters, dead_letters));
        queues
    }
}

/// Declares all of it. What is there already with the same arguments stays as it is. The routing key of a queue is its name.
pub(super) async fn declare(connection: &Connection, names: &Names) -> lapin::Result<()> {
    let channel = connection.create_channel().await?;
    let exchange = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(names.exchange.clone(), ExchangeKind::Topic, exchange, FieldTable::default()).await?;
    for (queue, arguments) in names.queues() {
        channel.queue_declare(queue.clone(), QueueDeclareOptions::durable(), arguments).await?;
        let options = QueueBindOptions::default();
        channel.queue_bind(queue.clone(), names.exchange.clone(), queue.clone(), options, FieldTable::default()).await?;
    }
    channel.close(200, "declared".into()).await
}

/// The queue behind the last one, if there is one: others were told of more queues, and nobody would take what lies in it.
pub(super) async fn one_too_many(connection: &Connection, names: &Names) -> lapin::Result<Option<ShortString>> {
    let channel = connection.create_channel().await?;
    match count(&channel, &names.beyond).await {
        Ok(_) => Ok(Some(names.beyond.clone())),
        // The broker ends the channel with that answer.
        Err(error) if matches!(error.kind(), ErrorKind::ProtocolError(told) if told.get_id() == 404) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Messages that wait in a queue, and those who consume it.
pub(super) async fn count(channel: &Channel, queue: &ShortString) -> lapin::Result<(u32, u32)> {
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare(queue.clone(), options, FieldTable::default()).await?;
    Ok((queue.message_count(), queue.consumer_count()))
}

pub(super) fn table<const N: usize>(entries: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in entries {
        table.insert(name.into(), value);
    }
    table
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(value))
}
