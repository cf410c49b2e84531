//! A look at the dead letters: all of them, from the oldest to a probe that whoever looks puts
//! behind them.
//!
//! The broker's own count does not do. It leaves out what somebody holds unacknowledged, and says 0
//! while the queue elects a leader. So the queue has a single active consumer, which is whoever
//! looks: a second one waits, and gets first what the first one held. And the end of what is there
//! is a probe: that it was confirmed and came back proves a leader.
//!
//! A probe that is left there proves later that nobody has driven the dead letters meanwhile, since
//! driving takes probes away. One that nobody asks for any more expires.

use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::message::Delivery as Message;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Acker, Channel, Consumer};
use tokio::time::timeout;

use super::message::{PROBE, is_of, persistent};
use super::publisher::{Destination, Outbox};
use super::topology::count;
use super::track::{acknowledge, end};
use super::trouble::{too_late, unavailable};
use crate::EngineError;

/// How long the broker may take for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// How long a probe that was left there lasts: longer than settling takes. In milliseconds, as the
/// broker wants it.
const PROBE_MS: &str = "180000";

/// A probe, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Probe(ShortString);

/// What lies there.
pub(super) enum Found {
    /// What was put aside.
    Letter(Box<Message>),
    /// A probe of somebody else, or of an earlier look.
    Probe(Probe, Acker),
}

/// Sees the dead letters, while nobody else does. What was not taken away lies there again when
/// this ends.
pub(super) struct Look<'a> {
    outbox: &'a Outbox,
    holding: Holding,
    /// Came, and was not shown yet.
    ahead: Option<Message>,
    /// The end of what there is.
    last: Option<Probe>,
    /// Takes the end away.
    last_acker: Option<Acker>,
}

impl<'a> Look<'a> {
    /// Waits until nobody else looks. So many messages can be seen without being taken away.
    pub(super) async fn begin(
        outbox: &'a Outbox,
        unacknowledged_max: u16,
    ) -> Result<Self, EngineError> {
        let session = outbox.session()?;
        let queue = outbox.settings().names.dead_letters.clone();
        // In a task of its own: one that is given up halfway must not keep what was delivered to
        // it.
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
        let mut look = Self { outbox, holding, ahead: None, last: None, last_acker: None };
        if waiting > 0 {
            look.ahead = Some(look.take().await?);
        }
        Ok(look)
    }

    /// Whether a letter comes first. It is known without a probe, so that whoever asks again and
    /// again leaves none behind.
    pub(super) fn begins_with_a_letter(&self) -> bool {
        self.ahead.as_ref().is_some_and(|message| !is_of(&message.properties, PROBE))
    }

    /// The next one, the oldest first; `None` behind the last one that was there when this was
    /// asked first.
    pub(super) async fn next(&mut self) -> Result<Option<Found>, EngineError> {
        if self.last_acker.is_some() {
            return Ok(None);
        }
        let last = match &self.last {
            Some(last) => last.clone(),
            None => self.last.insert(put_probe(self.outbox).await?).clone(),
        };
        let message = match self.ahead.take() {
            Some(message) => message,
            None => self.take().await?,
        };
        if !is_of(&message.properties, PROBE) {
            return Ok(Some(Found::Letter(Box::new(message))));
        }
        let probe = Probe(message.properties.message_id().clone().unwrap_or_default());
        if probe != last {
            return Ok(Some(Found::Probe(probe, message.acker)));
        }
        self.last_acker = Some(message.acker);
        Ok(None)
    }

    /// Ends at the end, and leaves its probe there.
    pub(super) async fn leave_probe(self) -> Option<Probe> {
        self.holding.end().await;
        self.last_acker.and(self.last)
    }

    /// Ends, and leaves no probe if the end was reached.
    pub(super) async fn end(self) {
        if let Some(acker) = &self.last_acker {
            acknowledge(acker).await;
        }
        self.holding.end().await;
    }

    async fn take(&mut self) -> Result<Message, EngineError> {
        match timeout(ANSWER_MAX, self.holding.consumer.next()).await {
            Ok(Some(Ok(message))) => Ok(message),
            Ok(Some(Err(error))) => Err(unavailable(error.to_string())),
            Ok(None) => Err(unavailable("the connection is lost")),
            Err(_) => Err(unavailable(format!(
                "{} gives nothing out: somebody looks at the dead letters (votekit dead-letters, or a consumer of that queue)",
                self.outbox.settings().names.dead_letters
            ))),
        }
    }
}

async fn put_probe(outbox: &Outbox) -> Result<Probe, EngineError> {
    let name = getrandom::u64()
        .map_err(|error| unavailable(format!("the system gives no random numbers: {error}")))?;
    let name: ShortString = format!("probe {name:016x}").into();
    let properties = persistent(PROBE, "application/octet-stream")
        .with_message_id(name.clone())
        .with_expiration(PROBE_MS.into());
    outbox.publish(Destination::DeadLetters, properties, &[]).await?;
    Ok(Probe(name))
}

/// What was delivered and not taken away. Left in no other way than by the end of its channel,
/// which gives it back before anybody else gets something.
struct Holding {
    channel: Channel,
    consumer: Consumer,
}

impl Holding {
    async fn end(self) {
        end(self.channel.clone(), self.consumer.clone()).await;
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        if self.channel.status().connected()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(end(self.channel.clone(), self.consumer.clone()));
        }
    }
}
