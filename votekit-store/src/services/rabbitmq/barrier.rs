//! Barriers: prove that everything published before a moment was processed.
//!
//! A barrier is a message in every validation queue. Its consumer waits until everything before it
//! in that queue is forwarded or refused, then forwards the barrier. The consumer of the
//! aggregation queue waits until everything before it is acknowledged, then replies. A batch
//! forwarded before the barrier precedes it in the aggregation queue, since the broker confirmed it
//! first. If the caller no longer waits, the reply is dropped.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Consumer};
use tokio::time::timeout;

use super::dead_letter_cursor::{DeadLetterCursor, Entry, Probe};
use super::delivery_tracker::acknowledge;
use super::errors::{too_late, unavailable};
use super::message::{BARRIER, persistent};
use super::publisher::{Destination, Publisher};
use super::reconnector::Session;
use super::topology::Step;
use crate::EngineError;
use crate::retry::until_definite;

/// Timeout for the replies. The caller may retry.
const ANSWERS_MAX: Duration = Duration::from_secs(60);

/// Maximum number of probes of other `settle` calls among the dead letters. Each call leaves one
/// there while it runs.
const PROBES_MAX: u16 = 10_000;

/// Timeout for answers of the broker itself.
const BROKER_MAX: Duration = Duration::from_secs(5);

/// Waits until everything published before this call is processed.
pub(super) async fn settle(publisher: &Publisher) -> Result<(), EngineError> {
    let session = publisher.session()?;
    let names = &publisher.settings().names;
    let probe = no_dead_letters(publisher).await?;
    let (channel, reply_to, mut answers) =
        within(BROKER_MAX, answer_queue(&session, publisher.settings().names.for_answers()))
            .await?;
    let mut missing = BTreeSet::new();
    for queue in 0..names.validation.len() {
        let properties = persistent(BARRIER, "application/octet-stream")
            .with_message_id(format!("barrier {queue}").into())
            .with_reply_to(reply_to.clone())
            .with_correlation_id(queue.to_string().into());
        publisher.publish(Destination::Validation(queue), properties, &[]).await?;
        missing.insert(queue.to_string());
    }
    let answered = async {
        while !missing.is_empty() {
            let answer =
                answers.next().await.ok_or_else(|| unavailable("the connection is lost"))?;
            let answer = answer.map_err(|error| unavailable(error.to_string()))?;
            if let Some(queue) = answer.properties.correlation_id() {
                missing.remove(queue.as_str());
            }
        }
        Ok::<(), EngineError>(())
    };
    let outcome = timeout(ANSWERS_MAX, answered).await;
    let _ = timeout(BROKER_MAX, channel.close(200, "answered".into())).await;
    match outcome {
        Ok(outcome) => outcome?,
        Err(_) => {
            return Err(unavailable(format!(
                "{} of {} validation queues were not drained within {} s: are nodes with the roles \
                 validate and seal running?",
                missing.len(),
                names.validation.len(),
                ANSWERS_MAX.as_secs()
            )));
        }
    }
    // Check again: a batch may have been dead-lettered meanwhile, and even republished behind the
    // barriers.
    still_no_dead_letters(publisher, &probe).await
}

/// Forwards a barrier to the next step, or replies to its caller.
pub(super) async fn pass_on(publisher: &Arc<Publisher>, step: Step, properties: BasicProperties) {
    // Without a reply-to it is not one of our barriers.
    let Some(reply_to) = properties.reply_to().clone() else { return };
    match step {
        Step::Validation => {
            let correlation = properties.correlation_id().clone().unwrap_or_default();
            let passed = until_definite("forward_barrier", || {
                let properties = persistent(BARRIER, "application/octet-stream")
                    .with_message_id("barrier".into())
                    .with_reply_to(reply_to.clone())
                    .with_correlation_id(correlation.clone());
                publisher.publish(Destination::Aggregation, properties, &[])
            });
            if let Err(error) = passed.await {
                tracing::warn!(event = "barrier_lost", %error, "barrier lost");
            }
        }
        Step::Aggregation => {
            if let Err(error) = answer(publisher, &reply_to, properties).await {
                tracing::warn!(event = "barrier_answer_lost", %error, "answer to a barrier lost");
            }
        }
    }
}

async fn answer(
    publisher: &Publisher,
    reply_to: &ShortString,
    properties: BasicProperties,
) -> Result<(), EngineError> {
    let session = publisher.session()?;
    let answered = async {
        let channel = session.connection.create_channel().await?;
        // Not mandatory: the caller may be gone.
        let options = BasicPublishOptions::default();
        let correlation = properties.correlation_id().clone().unwrap_or_default();
        let answer =
            BasicProperties::default().with_correlation_id(correlation).with_type(BARRIER.into());
        channel
            .basic_publish(ShortString::default(), reply_to.clone(), options, &[], answer)
            .await?;
        channel.close(200, "answered".into()).await
    };
    within(BROKER_MAX, answered).await
}

/// Declares a queue for replies, exclusive to this connection.
async fn answer_queue(
    session: &Session,
    name: ShortString,
) -> lapin::Result<(Channel, ShortString, Consumer)> {
    let channel = session.connection.create_channel().await?;
    let options = QueueDeclareOptions::exclusive().auto_delete();
    channel.queue_declare(name.clone(), options, FieldTable::default()).await?;
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let answers = channel
        .basic_consume(name.clone(), ShortString::default(), options, FieldTable::default())
        .await?;
    Ok((channel, name, answers))
}

/// Fails if there are dead letters; else leaves a probe in their queue.
async fn no_dead_letters(publisher: &Publisher) -> Result<Probe, EngineError> {
    let mut cursor = DeadLetterCursor::open(publisher, PROBES_MAX).await?;
    if cursor.starts_with_letter() {
        return Err(put_aside(publisher));
    }
    while let Some(found) = cursor.next().await? {
        if let Entry::Letter(_) = found {
            return Err(put_aside(publisher));
        }
    }
    cursor.leave_probe().await.ok_or_else(|| put_aside(publisher))
}

/// Removes the probe. Fails if there are dead letters, or if the probe is missing: dead letters
/// were driven meanwhile.
async fn still_no_dead_letters(publisher: &Publisher, probe: &Probe) -> Result<(), EngineError> {
    let mut cursor = DeadLetterCursor::open(publisher, PROBES_MAX).await?;
    let mut undisturbed = false;
    while let Some(found) = cursor.next().await? {
        match found {
            Entry::Letter(_) => return Err(put_aside(publisher)),
            Entry::Probe(found, acker) if found == *probe => {
                acknowledge(&acker).await;
                undisturbed = true;
            }
            Entry::Probe(..) => {}
        }
    }
    cursor.close().await;
    if undisturbed {
        Ok(())
    } else {
        Err(unavailable("dead letters were requeued meanwhile: retry"))
    }
}

fn put_aside(publisher: &Publisher) -> EngineError {
    unavailable(format!(
        "undecided batches are in {}: list them with votekit dead-letters list, requeue them with \
         votekit dead-letters requeue",
        publisher.settings().names.dead_letters
    ))
}

async fn within<T>(
    limit: Duration,
    call: impl Future<Output = lapin::Result<T>>,
) -> Result<T, EngineError> {
    timeout(limit, call)
        .await
        .unwrap_or_else(|_| Err(too_late()))
        .map_err(|error| unavailable(error.to_string()))
}
