//! The exchange and the queues, and how they are declared.
//!
//! ```text
//!                         ┌─▶ votes.validation-0 … N-1 ─┐ rejected too often
//! votes.exchange (topic) ─┼─▶ votes.aggregation ────────┴──▶ votes.exchange ──▶ votes.dead-letters
//!                         ├─▶ votes.rejected
//!                         └─▶ votes.review   (bounded: the oldest go first)
//! ```
//!
//! All queues are durable quorum queues, but `votes.validators`: that one holds nothing, lies on
//! one broker and is there while somebody validates. Those that batches pass through have one
//! active consumer each, so that what they hold is taken in order, and another process takes over
//! when that one dies; in dead letters one looks at a time, so that nobody takes for empty what
//! another one holds.

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
    /// What the names of queues for answers begin with. They are within what a user may be held to.
    answers: ShortString,
    /// The queue that would come next if there were one more for validation.
    beyond: ShortString,
}

impl Names {
    /// What a user must be allowed, as `rabbitmqctl set_permissions` takes it: everything of these
    /// names, and answers through the exchange of the broker's own.
    pub(super) fn permissions(&self) -> String {
        let ours = self.exchange.as_str().trim_end_matches("exchange").replace('.', "\\.");
        format!("'^{ours}' '^({ours}|amq\\.default$)' '^{ours}'")
    }

    /// A name for a queue of one connection, which nobody else has.
    pub(super) fn for_answers(&self) -> ShortString {
        // Taken twice, the second queue is refused, and its owner asks again.
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

    /// Every queue, that of dead letters last: where it is, all of them are, which [`survey`]
    /// relies on.
    fn queues(&self) -> Vec<(&ShortString, FieldTable)> {
        let passed_through = || {
            table([
                ("x-queue-type", text("quorum")),
                ("x-single-active-consumer", AMQPValue::Boolean(true)),
                ("x-delivery-limit", AMQPValue::LongLongInt(DELIVERIES_MAX)),
                ("x-dead-letter-exchange", text(self.exchange.as_str())),
                ("x-dead-letter-routing-key", text(self.dead_letters.as_str())),
                // A dead letter is an undecided batch: it stays here until the other queue has it.
                // This needs reject-publish, which without a limit of length rejects nothing.
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
            ("x-delivery-limit", AMQPValue::LongLongInt(LOOKS_MAX)),
        ]);
        let dead_letters = table([
            ("x-queue-type", text("quorum")),
            ("x-single-active-consumer", AMQPValue::Boolean(true)),
            ("x-delivery-limit", AMQPValue::LongLongInt(LOOKS_MAX)),
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

/// Which step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Batches as they were published.
    Validation,
    /// Batches behind their hints.
    Aggregation,
}

impl Step {
    /// Its queues.
    pub(super) fn queues(self, names: &Names) -> &[ShortString] {
        match self {
            Self::Validation => &names.validation,
            Self::Aggregation => std::slice::from_ref(&names.aggregation),
        }
    }
}

/// Declares all of it. What is there already with the same arguments stays as it is. The routing
/// key of a queue is its name.
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

/// The validation queues of a broker, held against those that somebody was told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CredentialStatus {
    /// Nobody has declared any, or not come to the end of it.
    Absent,
    /// As many as there should be.
    Whole,
    /// Others were told of more: nobody would take what lies in this one.
    TooMany(ShortString),
    /// Others were told of fewer: nobody would take what was put into this one.
    TooFew(ShortString),
}

/// Looks which validation queues there are, and declares none.
pub(super) async fn survey(
    connection: &Connection,
    names: &Names,
) -> lapin::Result<CredentialStatus> {
    if !is_missing(connection, &names.beyond).await? {
        return Ok(CredentialStatus::TooMany(names.beyond.clone()));
    }
    if is_missing(connection, &names.dead_letters).await? {
        return Ok(CredentialStatus::Absent);
    }
    for queue in &names.validation {
        if is_missing(connection, queue).await? {
            return Ok(CredentialStatus::TooFew(queue.clone()));
        }
    }
    Ok(CredentialStatus::Whole)
}

async fn is_missing(connection: &Connection, queue: &ShortString) -> lapin::Result<bool> {
    // The broker ends the channel with the answer that a queue is missing.
    let channel = connection.create_channel().await?;
    match count(&channel, queue).await {
        Ok(_) => channel.close(200, "asked".into()).await.map(|()| false),
        Err(error) if matches!(error.kind(), ErrorKind::ProtocolError(told) if told.get_id() == 404) => {
            Ok(true)
        }
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
