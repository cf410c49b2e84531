//! One step of the pipeline: its queues, and the messages that this process holds.
//!
//! # Why order holds
//!
//! [`super::barrier`] requires that when a consumer reads a message, everything before it in the
//! queue is acknowledged or held by this consumer. Each queue here has a single active consumer.
//! When it dies, the broker requeues what it held and activates the next one in one step; requeued
//! messages keep their order and precede those that were never delivered. So every earlier message
//! was acknowledged by an earlier consumer, or reaches the new one first.
//!
//! A cancelled consumer would keep what it holds while the next one continues behind it. So
//! consumers are never cancelled: their channel is closed, which the queue treats as a death.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::message::Delivery as Message;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Acker, Channel, Consumer};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use votekit_core::batch::Batch;

use super::barrier;
use super::link::{EndsWithThis, Link, Session};
use super::message::{BARRIER, is_of, read_batch, read_labelled};
use super::publisher::{Destination, Outbox};
use super::review;
use super::spread;
use super::topology::Step;
use super::track::{Track, acknowledge, end};
use crate::essential;
use crate::retry::until_definite;
use crate::{EngineError, Hints};

/// How long giving up a queue waits for deliveries that workers still process.
const GIVING_WAY_MAX: Duration = Duration::from_secs(5);

impl Step {
    /// Maximum number of unacknowledged messages per queue and process. Higher for aggregation,
    /// where batches are staged in groups.
    fn prefetch(self) -> u16 {
        match self {
            Self::Validation => 32,
            Self::Aggregation => 128,
        }
    }

    fn read(self, bytes: &[u8]) -> Result<(Batch, Hints), String> {
        match self {
            Self::Validation => Ok((read_batch(bytes)?, Hints::new())),
            Self::Aggregation => read_labelled(bytes),
        }
    }
}

/// A message that was delivered and decoded.
struct Incoming {
    batch: Arc<Batch>,
    hints: Hints,
    receipt: Receipt,
}

/// Acknowledges one message.
#[derive(Clone)]
struct Receipt {
    track: Arc<Track>,
    tag: u64,
    acker: Acker,
}

impl Receipt {
    async fn let_go(&self) {
        // The track comes first, so that a barrier does not wait for the broker.
        self.track.let_go(self.tag);
        acknowledge(&self.acker).await;
    }
}

/// One step in this process. Consumes nothing before the first call of `next`.
pub(super) struct Stage {
    step: Step,
    outbox: Arc<Outbox>,
    intray: mpsc::UnboundedSender<Incoming>,
    /// Unbounded; the prefetch limits it.
    incoming: AsyncMutex<mpsc::UnboundedReceiver<Incoming>>,
    working: Mutex<Working>,
    running: OnceLock<(Link, EndsWithThis)>,
}

#[derive(Default)]
struct Working {
    last_tag: u64,
    receipts: HashMap<u64, Receipt>,
}

impl Stage {
    pub(super) fn new(step: Step, outbox: Arc<Outbox>) -> Self {
        let (intray, incoming) = mpsc::unbounded_channel();
        let incoming = AsyncMutex::new(incoming);
        Self { step, outbox, intray, incoming, working: Mutex::default(), running: OnceLock::new() }
    }

    /// Waits for the next message.
    pub(super) async fn next(&self) -> Result<(Arc<Batch>, Hints, u64), EngineError> {
        let (link, _) = self.running.get_or_init(|| self.start());
        let view = link.view();
        let mut incoming = self.incoming.lock().await;
        loop {
            tokio::select! {
                biased;
                next = incoming.recv() => {
                    let Some(Incoming { batch, hints, receipt }) = next else { return Err(super::trouble::unavailable("the ballot box was closed")) };
                    // False when the queue is being given up: the broker redelivers the message.
                    if receipt.track.hand_out(receipt.tag) {
                        let mut working = self.working();
                        working.last_tag += 1;
                        let tag = working.last_tag;
                        working.receipts.insert(tag, receipt);
                        return Ok((batch, hints, tag));
                    }
                }
                away = view.away() => return Err(away),
            }
        }
    }

    /// Whether a message is not acknowledged yet. Another consumer may have it by now.
    pub(super) fn holds(&self, tag: u64) -> bool {
        self.working().receipts.contains_key(&tag)
    }

    /// Acknowledges a message. If another consumer has it by now, this has no effect there.
    pub(super) async fn let_go(&self, tag: u64) {
        let receipt = self.working().receipts.remove(&tag);
        if let Some(receipt) = receipt {
            receipt.let_go().await;
        }
    }

    fn start(&self) -> (Link, EndsWithThis) {
        let purpose = match self.step {
            Step::Validation => "receiving",
            Step::Aggregation => "collecting",
        };
        let link = Link::keep(self.outbox.settings().clone(), purpose, None);
        let consumption = Consumption {
            step: self.step,
            outbox: Arc::clone(&self.outbox),
            intray: self.intray.clone(),
        };
        let mut view = link.view();
        let task = essential::spawn("the RabbitMQ consumer", async move {
            let consumption = Arc::new(consumption);
            while let Some(session) = view.up().await {
                consumption.consume(&session).await;
                view.away().await;
            }
        });
        (link, EndsWithThis(task))
    }

    fn working(&self) -> MutexGuard<'_, Working> {
        self.working.lock()
    }
}

/// Consumes the queues of a step.
struct Consumption {
    step: Step,
    outbox: Arc<Outbox>,
    intray: mpsc::UnboundedSender<Incoming>,
}

impl Consumption {
    /// Consumes all queues of the step until the session ends.
    async fn consume(self: &Arc<Self>, session: &Arc<Session>) {
        let names = &self.outbox.settings().names;
        let queues = self.step.queues(names);
        let shares = Arc::new(spread::Shares::new(queues.len()));
        let mut tasks = JoinSet::new();
        for queue in 0..queues.len() {
            let (consumption, session, shares) =
                (Arc::clone(self), Arc::clone(session), Arc::clone(&shares));
            tasks.spawn(async move { consumption.consume_queue(&session, queue, &shares).await });
        }
        if queues.len() > 1 {
            let (consumption, session) = (Arc::clone(self), Arc::clone(session));
            tasks.spawn(async move {
                match spread::keep_to_share(&session, &consumption.outbox.settings().names, &shares)
                    .await {}
            });
        }
        // Each task ends only with the session.
        if let Some(Ok(Err(error))) = tasks.join_next().await {
            session.give_up(error.to_string());
        } else {
            session.give_up("consuming ended");
        }
        tasks.shutdown().await;
    }

    /// Consumes one queue, and subscribes again each time it was given to another process.
    async fn consume_queue(
        self: &Arc<Self>,
        session: &Session,
        queue: usize,
        shares: &spread::Shares,
    ) -> lapin::Result<()> {
        loop {
            let name = &self.step.queues(&self.outbox.settings().names)[queue];
            let track = Arc::new(Track::new(queue));
            let subscription =
                Subscription::open(session, name, self.step.prefetch(), Arc::clone(&track)).await?;
            shares.subscribed(&track);
            self.take_all(subscription).await?;
        }
    }

    /// Handles messages until the queue is to be given to another process.
    async fn take_all(self: &Arc<Self>, mut subscription: Subscription) -> lapin::Result<()> {
        let track = Arc::clone(&subscription.track);
        let mut chores = JoinSet::new();
        loop {
            tokio::select! {
                message = subscription.consumer.next() => match message {
                    Some(message) => self.take(message?, &track, &mut chores),
                    None => return Err(lost_queue()),
                },
                () = track.gives_way() => break,
                Some(_) = chores.join_next() => {}
            }
        }
        let _ = timeout(GIVING_WAY_MAX, track.idle()).await;
        subscription.close().await;
        Ok(())
    }

    /// Dispatches one message: a barrier, a batch, or neither.
    fn take(self: &Arc<Self>, message: Message, track: &Arc<Track>, chores: &mut JoinSet<()>) {
        let receipt = Receipt {
            track: Arc::clone(track),
            tag: message.delivery_tag,
            acker: message.acker.clone(),
        };
        track.take(receipt.tag);
        if is_of(&message.properties, BARRIER) {
            let (consumption, properties) = (Arc::clone(self), message.properties);
            chores.spawn(async move {
                if track_reached(&receipt).await {
                    barrier::pass_on(&consumption.outbox, consumption.step, properties).await;
                    receipt.let_go().await;
                }
            });
            return;
        }
        match self.step.read(&message.data) {
            Ok((batch, hints)) => {
                // Never fails: the receiver lives as long as the task.
                let _ = self.intray.send(Incoming { batch: Arc::new(batch), hints, receipt });
            }
            Err(reason) => {
                let consumption = Arc::clone(self);
                chores.spawn(async move {
                    consumption.refuse_unreadable(&message.data, &reason, &receipt).await
                });
            }
        }
    }

    /// Sends the reviewers a note on a message that is not a batch, and acknowledges it: it never
    /// returns to the queue.
    async fn refuse_unreadable(&self, bytes: &[u8], reason: &str, receipt: &Receipt) {
        let queue = &self.step.queues(&self.outbox.settings().names)[receipt.track.queue];
        tracing::error!(
            event = "message_refused",
            alarm = true,
            %queue,
            reason,
            "message without a readable batch refused"
        );
        let reason = format!("a message in {queue} is not a batch: {reason}");
        let refusal = until_definite("refuse_message", || async {
            let (properties, note) = review::unreadable(bytes, &reason);
            self.outbox.publish(Destination::Review, properties, &note).await
        });
        if refusal.await.is_ok() {
            receipt.let_go().await;
        }
    }
}

async fn track_reached(receipt: &Receipt) -> bool {
    receipt.track.reached(receipt.tag).await
}

fn lost_queue() -> lapin::Error {
    std::io::Error::other("the broker ended the subscription: was the queue deleted?").into()
}

/// A subscription, which ends only by closing its channel.
struct Subscription {
    consumer: Consumer,
    channel: Channel,
    track: Arc<Track>,
}

impl Subscription {
    async fn open(
        session: &Session,
        queue: &ShortString,
        prefetch: u16,
        track: Arc<Track>,
    ) -> lapin::Result<Self> {
        let channel = session.connection.create_channel().await?;
        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        let consumer = channel
            .basic_consume(queue.clone(), ShortString::default(), options, FieldTable::default())
            .await?;
        Ok(Self { consumer, channel, track })
    }

    async fn close(self) {
        self.track.lose();
        end(self.channel.clone(), self.consumer.clone()).await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.track.lose();
        // A dropped consumer cancels itself, and order would be lost: see the module header.
        if self.channel.status().connected()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(end(self.channel.clone(), self.consumer.clone()));
        }
    }
}
