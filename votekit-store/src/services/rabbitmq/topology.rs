//! The exchange and the queues, and how they are declared.
//!
//! ```text
//!                         ┌─▶ votes.validation-0 … N-1 ─┐ rejected too often
//! votes.exchange (topic) ─┼─▶ votes.aggregation ────────┴──▶ votes.exchange ──▶ votes.dead-letters
//!                         ├─▶ votes.rejected
//!                         └─▶ votes.review   (bounded: the oldest go first)
//! ```
//!
//! All queues are durable quorum queues except `votes.validators`: it is always empty, lives on one
//! node of the broker, and exists while a process validates. Queues that carry batches have a
//! single active consumer each, so that messages are processed in order, and another process takes
//! over when the consumer dies. The dead-letter queue has a single active consumer too, so that no
//! reader sees an empty queue while another reader has its messages unacknowledged.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{Channel, Connection, ErrorKind, ExchangeKind};

/// A message requeued more often than this is dead-lettered.
const DELIVERIES_MAX: i64 = 20;

/// Maximum number of notes kept for reviewers.
const REVIEW_MESSAGES_MAX: i64 = 100_000;

/// Delivery limit of the dead letters and rejected batches: reading must never drop a message.
const UNLIMITED_DELIVERIES: i64 = 1_000_000_000;

/// The names of the exchange and the queues.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) exchange: ShortString,
    pub(super) validation: Vec<ShortString>,
    pub(super) aggregation: ShortString,
    pub(super) review: ShortString,
    /// Batches that were not staged. They are kept permanently, and may be browsed.
    pub(super) rejected: ShortString,
    pub(super) dead_letters: ShortString,
    /// A queue that stays empty. Each validating process consumes it, so that its consumers can be
    /// counted.
    pub(super) validators: ShortString,
    /// Prefix of the names of reply queues, covered by `permissions`.
    answers: ShortString,
    /// The validation queue that would follow the last one.
    beyond: ShortString,
}

impl Names {
    /// The permissions a user needs, as arguments of `rabbitmqctl set_permissions`: everything with
    /// these names, and replies through the broker's default exchange.
    pub(super) fn permissions(&self) -> String {
        let ours = self.exchange.as_str().trim_end_matches("exchange").replace('.', "\\.");
        format!("'^{ours}' '^({ours}|amq\\.default$)' '^{ours}'")
    }

    /// A unique name for the reply queue of one connection.
    pub(super) fn for_answers(&self) -> ShortString {
        // On a collision the second declaration is refused, and its caller retries.
        let drawn = getrandom::u64().unwrap_or_else(|_| std::process::id().into());
        format!("{}.{drawn:016x}", self.answers).into()
    }

    pub(super) fn new(prefix: &str, queues: usize) -> Self {
        let name = |name: &str| -> ShortString {
            if prefix.is_empty() {
                format!("votes.{name}")
            } else {
                format!("{prefix}.votes.{name}")
            }
            .into()
        };
        Self {
            exchange: name("exchange"),
            validation: (0..queues).map(|queue| name(&format!("validation-{queue}"))).collect(),
            aggregation: name("aggregation"),
            review: name("review"),
            rejected: name("rejected"),
            answers: name("answers"),
            dead_letters: name("dead-letters"),
            validators: name("validators"),
            beyond: name(&format!("validation-{queues}")),
        }
    }

    /// All queues, the dead-letter queue last: if it exists, all the others do, which [`survey`]
    /// relies on.
    fn queues(&self) -> Vec<(&ShortString, FieldTable)> {
        let passed_through = || {
            table([
                ("x-queue-type", text("quorum")),
                ("x-single-active-consumer", AMQPValue::Boolean(true)),
                ("x-delivery-limit", AMQPValue::LongLongInt(DELIVERIES_MAX)),
                ("x-dead-letter-exchange", text(self.exchange.as_str())),
                ("x-dead-letter-routing-key", text(self.dead_letters.as_str())),
                // A dead letter is an undecided batch: it stays here until the dead-letter queue
                // has it. This requires reject-publish, which rejects nothing without a length
                // limit.
                ("x-dead-letter-strategy", text("at-least-once")),
                ("x-overflow", text("reject-publish")),
            ])
        };
        let review = table([
            ("x-queue-type", text("quorum")),
            ("x-max-length", AMQPValue::LongLongInt(REVIEW_MESSAGES_MAX)),
            ("x-overflow", text("drop-head")),
        ]);
        let rejected = table([
            ("x-queue-type", text("quorum")),
            ("x-delivery-limit", AMQPValue::LongLongInt(UNLIMITED_DELIVERIES)),
        ]);
        let dead_letters = table([
            ("x-queue-type", text("quorum")),
            ("x-single-active-consumer", AMQPValue::Boolean(true)),
            ("x-delivery-limit", AMQPValue::LongLongInt(UNLIMITED_DELIVERIES)),
        ]);
        let mut queues: Vec<_> =
            self.validation.iter().map(|queue| (queue, passed_through())).collect();
        queues.push((&self.aggregation, passed_through()));
        queues.push((&self.review, review));
        queues.push((&self.rejected, rejected));
        queues.push((&self.dead_letters, dead_letters));
        queues
    }
}

/// The stages of a batch on its way through the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Batches as published.
    Validation,
    /// Batches with their hints in front.
    Aggregation,
}

impl Step {
    pub(super) fn queues(self, names: &Names) -> &[ShortString] {
        match self {
            Self::Validation => &names.validation,
            Self::Aggregation => std::slice::from_ref(&names.aggregation),
        }
    }
}

/// Declares the exchange and all queues. Existing queues with the same arguments stay unchanged.
/// The routing key of a queue is its name.
pub(super) async fn declare(connection: &Connection, names: &Names) -> lapin::Result<()> {
    let channel = connection.create_channel().await?;
    let exchange = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel
        .exchange_declare(
            names.exchange.clone(),
            ExchangeKind::Topic,
            exchange,
            FieldTable::default(),
        )
        .await?;
    for (queue, arguments) in names.queues() {
        channel.queue_declare(queue.clone(), QueueDeclareOptions::durable(), arguments).await?;
        let options = QueueBindOptions::default();
        channel
            .queue_bind(
                queue.clone(),
                names.exchange.clone(),
                queue.clone(),
                options,
                FieldTable::default(),
            )
            .await?;
    }
    channel.close(200, "declared".into()).await
}

/// The validation queues of a broker, compared with the number in the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum QueueSurvey {
    /// No queue was declared, or not all of them yet.
    Absent,
    /// The expected number.
    Whole,
    /// Other processes use more queues: this queue would have no consumer.
    TooMany(ShortString),
    /// Other processes use fewer queues: this queue is missing, and they would not consume it.
    TooFew(ShortString),
}

/// Checks which validation queues exist, and declares none.
pub(super) async fn survey(connection: &Connection, names: &Names) -> lapin::Result<QueueSurvey> {
    if !is_missing(connection, &names.beyond).await? {
        return Ok(QueueSurvey::TooMany(names.beyond.clone()));
    }
    if is_missing(connection, &names.dead_letters).await? {
        return Ok(QueueSurvey::Absent);
    }
    for queue in &names.validation {
        if is_missing(connection, queue).await? {
            return Ok(QueueSurvey::TooFew(queue.clone()));
        }
    }
    Ok(QueueSurvey::Whole)
}

async fn is_missing(connection: &Connection, queue: &ShortString) -> lapin::Result<bool> {
    // The broker closes the channel when it answers that a queue is missing.
    let channel = connection.create_channel().await?;
    match count(&channel, queue).await {
        Ok(_) => channel.close(200, "asked".into()).await.map(|()| false),
        Err(error) => match error.kind() {
            ErrorKind::ProtocolError(answer) if answer.get_id() == 404 => Ok(true),
            _ => Err(error),
        },
    }
}

/// The number of waiting messages of a queue, and of its consumers.
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
