//! Barriers: prove that everything published before a moment was processed.
//!
//! A barrier is a message in every validation queue, about the batches of one election. Its
//! consumer waits until every such batch before it in that queue is forwarded or refused, then
//! forwards the barrier. The consumer of the aggregation queue waits until every such batch before
//! it is acknowledged, then replies. A batch forwarded before the barrier precedes it in the
//! aggregation queue, since the broker confirmed it first. If the caller no longer waits, the reply
//! is dropped.
//!
//! A barrier ignores batches of other elections, so that a halted election does not delay the close
//! of another.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::message::Delivery as Message;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Consumer};
use tokio::time::timeout;
use votekit_core::id::ElectionId;

use super::dead_letter_cursor::{DeadLetterCursor, Entry, Probe};
use super::delivery_tracker::acknowledge;
use super::errors::{too_late, unavailable};
use super::message::{BARRIER, election_of, persistent, read_batch_of_any_step, with_election};
use super::publisher::{Destination, Publisher};
use super::reconnector::Session;
use super::topology::Step;
use crate::EngineError;
use crate::retry::until_definite;

/// Timeout for the replies. The caller may retry.
pub(super) const ANSWERS_TIMEOUT: Duration = Duration::from_secs(60);

/// Maximum number of letters of other elections, and probes of other `settle` calls, among the dead
/// letters: as many as the broker allows a consumer. Each call leaves a probe there while it runs.
const ENTRIES_MAX: u16 = u16::MAX;

/// Timeout for answers of the broker itself.
const BROKER_TIMEOUT: Duration = Duration::from_secs(5);

/// Waits until every batch of an election that was published before this call is processed.
pub(super) async fn settle(publisher: &Publisher, law_id: &ElectionId) -> Result<(), EngineError> {
    let session = publisher.session()?;
    let names = &publisher.settings().names;
    // A dead letter is an undecided batch that no barrier passes.
    let probe = no_dead_letters(publisher, law_id).await?;
    let (channel, reply_to, mut answers) =
        within(BROKER_TIMEOUT, answer_queue(&session, publisher.settings().names.for_answers()))
            .await?;
    let mut missing = BTreeSet::new();
    // One in each queue: the broker keeps order only within a queue.
    for queue in 0..names.validation.len() {
        let properties = persistent(BARRIER, "application/octet-stream")
            .with_message_id(format!("barrier {queue}").into())
            .with_reply_to(reply_to.clone())
            .with_correlation_id(queue.to_string().into());
        let properties = with_election(properties, law_id);
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
    let outcome = timeout(ANSWERS_TIMEOUT, answered).await;
    let _ = timeout(BROKER_TIMEOUT, channel.close(200, "answered".into())).await;
    match outcome {
        Ok(outcome) => outcome?,
        Err(_) => {
            return Err(unavailable(format!(
                "{} of {} validation queues were not drained within {} s: are nodes with the roles \
                 validate and seal running?",
                missing.len(),
                names.validation.len(),
                ANSWERS_TIMEOUT.as_secs()
            )));
        }
    }
    // Check again: a batch may have been dead-lettered in between, and even republished behind the
    // barriers.
    still_no_dead_letters(publisher, law_id, &probe).await
}

/// Forwards a barrier to the next step, or replies to its caller.
pub(super) async fn pass_on(publisher: &Arc<Publisher>, step: Step, properties: BasicProperties) {
    // A message without a reply-to is not a barrier of this program.
    let Some(reply_to) = properties.reply_to().clone() else { return };
    match step {
        Step::Validation => {
            let correlation = properties.correlation_id().clone().unwrap_or_default();
            let law_id = election_of(&properties);
            // If the outcome is unknown it is sent again: a second reply changes nothing.
            let passed = until_definite("forward_barrier", || {
                let mut properties = persistent(BARRIER, "application/octet-stream")
                    .with_message_id("barrier".into())
                    .with_reply_to(reply_to.clone())
                    .with_correlation_id(correlation.clone());
                if let Some(law_id) = &law_id {
                    properties = with_election(properties, law_id);
                }
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
    within(BROKER_TIMEOUT, answered).await
}

/// Declares a queue for replies, exclusive to this connection.
async fn answer_queue(
    session: &Session,
    name: ShortString,
) -> lapin::Result<(Channel, ShortString, Consumer)> {
    let channel = session.connection.create_channel().await?;
    let options = QueueDeclareOptions::exclusive().auto_delete();
    channel.queue_declare(name.clone(), options, FieldTable::default()).await?;
    // Unacknowledged: if a reply is lost with the connection, the call fails and is repeated.
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let answers = channel
        .basic_consume(name.clone(), ShortString::default(), options, FieldTable::default())
        .await?;
    Ok((channel, name, answers))
}

/// Fails if there are dead letters that concern an election; else leaves a probe in their queue.
async fn no_dead_letters(publisher: &Publisher, law_id: &ElectionId) -> Result<Probe, EngineError> {
    let mut cursor = DeadLetterCursor::open(publisher, ENTRIES_MAX).await?;
    if cursor.first_letter().is_some_and(|letter| concerns(letter, law_id)) {
        return Err(put_aside(publisher));
    }
    while let Some(found) = cursor.next().await? {
        if let Entry::Letter(letter) = found
            && concerns(&letter, law_id)
        {
            return Err(put_aside(publisher));
        }
    }
    cursor.leave_probe().await.ok_or_else(|| put_aside(publisher))
}

/// Whether a dead letter may be a batch of an election. An unreadable dead letter may belong to any
/// election.
fn concerns(letter: &Message, law_id: &ElectionId) -> bool {
    read_batch_of_any_step(&letter.data).is_none_or(|batch| batch.header().law_id == *law_id)
}

/// Removes the probe. Fails if there are dead letters that concern an election, or if the probe is
/// missing: dead letters were requeued in between.
async fn still_no_dead_letters(
    publisher: &Publisher,
    law_id: &ElectionId,
    probe: &Probe,
) -> Result<(), EngineError> {
    let mut cursor = DeadLetterCursor::open(publisher, ENTRIES_MAX).await?;
    let mut undisturbed = false;
    while let Some(found) = cursor.next().await? {
        match found {
            Entry::Letter(letter) if concerns(&letter, law_id) => {
                return Err(put_aside(publisher));
            }
            Entry::Letter(_) => {}
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
