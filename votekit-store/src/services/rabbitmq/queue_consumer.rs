//! One step of the pipeline: its queues, and the unacknowledged messages of this process.
//!
//! # Why order holds
//!
//! [`super::barrier`] requires that when a consumer reads a message, every earlier message of the
//! queue is acknowledged or delivered to this consumer. Each queue here has a single active
//! consumer. When it dies, the broker requeues its unacknowledged messages and activates the next
//! consumer in one step; requeued messages keep their order and precede those that were never
//! delivered. So every earlier message was acknowledged by an earlier consumer, or reaches the new
//! consumer first.
//!
//! A cancelled consumer would keep its unacknowledged messages while the next consumer continues
//! with later messages. So consumers are never cancelled: their channel is closed, which the queue
//! treats as a death.
//!
//! For the same reason a batch that this process cannot process now is not republished at the end
//! of the queue: a barrier could overtake it. It stays unacknowledged, and the prefetch is raised
//! to make room for new deliveries ([`super::delivery_tracker`]).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::message::Delivery as Message;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Acker, BasicProperties, Channel, Consumer};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use votekit_core::batch::Batch;

use super::barrier;
use super::delivery_tracker::{DeliveryTracker, acknowledge, close_channel};
use super::message::{BARRIER, election_of, is_of, read_batch, read_with_hints};
use super::publisher::{Destination, Publisher};
use super::queue_sharing;
use super::reconnector::{AbortOnDrop, Reconnector, Session};
use super::review;
use super::topology::Step;
use crate::essential;
use crate::retry::until_definite;
use crate::{EngineError, Hints};

/// How long giving up a queue waits for deliveries that workers still process.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

impl Step {
    /// Maximum number of unacknowledged messages per queue and process, in addition to those that
    /// it keeps. Higher for aggregation, where batches are staged in groups.
    fn prefetch(self) -> u16 {
        match self {
            Self::Validation => 32,
            Self::Aggregation => 128,
        }
    }

    fn read(self, bytes: &[u8]) -> Result<(Batch, Hints), String> {
        match self {
            Self::Validation => Ok((read_batch(bytes)?, Hints::new())),
            Self::Aggregation => read_with_hints(bytes),
        }
    }
}

/// A message that was delivered and decoded.
struct Incoming {
    batch: Arc<Batch>,
    hints: Hints,
    receipt: Receipt,
}

/// How long the connection may take to send an acknowledgement. It is only written to a socket. A
/// connection that takes longer is almost stalled, and delays all messages of its queues.
const ACKNOWLEDGEMENT_MAX: Duration = Duration::from_secs(3);

/// Acknowledges one message.
#[derive(Clone)]
struct Receipt {
    /// Weak: a message that is never acknowledged must not keep a closed connection alive.
    session: Weak<Session>,
    tracker: Arc<DeliveryTracker>,
    tag: u64,
    acker: Acker,
}

impl Receipt {
    async fn acknowledge(&self) {
        // Remove the delivery from the tracker first, so that a barrier does not wait for the
        // broker.
        self.tracker.remove(self.tag);
        if timeout(ACKNOWLEDGEMENT_MAX, acknowledge(&self.acker)).await.is_err()
            && let Some(session) = self.session.upgrade()
        {
            // The broker delivers the message again in the next session, which does no harm.
            session.give_up("it sends no acknowledgements");
        }
    }
}

/// One step in this process. Consumes nothing before the first call of `next`.
pub(super) struct QueueConsumer {
    step: Step,
    publisher: Arc<Publisher>,
    sender: mpsc::UnboundedSender<Incoming>,
    /// Unbounded; the prefetch limits it.
    incoming: AsyncMutex<mpsc::UnboundedReceiver<Incoming>>,
    working: Mutex<Working>,
    running: OnceLock<(Reconnector, AbortOnDrop)>,
}

#[derive(Default)]
struct Working {
    last_tag: u64,
    receipts: HashMap<u64, Receipt>,
}

impl QueueConsumer {
    pub(super) fn new(step: Step, publisher: Arc<Publisher>) -> Self {
        let (sender, incoming) = mpsc::unbounded_channel();
        let incoming = AsyncMutex::new(incoming);
        Self {
            step,
            publisher,
            sender,
            incoming,
            working: Mutex::default(),
            running: OnceLock::new(),
        }
    }

    /// Waits for the next message, also while the broker is unavailable. If this returned an error,
    /// the caller would pause between its attempts, and would resume work later than the
    /// connection.
    pub(super) async fn next(&self) -> Result<(Arc<Batch>, Hints, u64), EngineError> {
        self.running.get_or_init(|| self.start());
        let mut incoming = self.incoming.lock().await;
        loop {
            let Some(Incoming { batch, hints, receipt }) = incoming.recv().await else {
                return Err(super::errors::unavailable("the ballot box was closed"));
            };
            // False when the queue is being given up: the broker redelivers the message.
            if receipt.tracker.hand_out(receipt.tag) {
                let mut working = self.working();
                working.last_tag += 1;
                let tag = working.last_tag;
                working.receipts.insert(tag, receipt);
                return Ok((batch, hints, tag));
            }
        }
    }

    /// Whether a message is not acknowledged yet. Another consumer may have it by now.
    pub(super) fn holds(&self, tag: u64) -> bool {
        self.working().receipts.contains_key(&tag)
    }

    /// Keeps a message that cannot be processed now. Returns `false` if the broker delivers it
    /// again.
    pub(super) fn keep(&self, tag: u64) -> bool {
        let mut working = self.working();
        let is_kept =
            working.receipts.get(&tag).is_some_and(|receipt| receipt.tracker.keep(receipt.tag));
        if !is_kept {
            working.receipts.remove(&tag);
        }
        is_kept
    }

    /// Acknowledges a message. If another consumer has it by now, this has no effect there.
    pub(super) async fn acknowledge(&self, tag: u64) {
        let receipt = self.working().receipts.remove(&tag);
        if let Some(receipt) = receipt {
            receipt.acknowledge().await;
        }
    }

    fn start(&self) -> (Reconnector, AbortOnDrop) {
        let purpose = match self.step {
            Step::Validation => "receiving",
            Step::Aggregation => "collecting",
        };
        let reconnector = Reconnector::spawn(self.publisher.settings().clone(), purpose, None);
        let queues = self.step.queues(&self.publisher.settings().names).len();
        let prefetch = || AtomicU16::new(self.step.prefetch());
        let consumption = Consumption {
            step: self.step,
            publisher: Arc::clone(&self.publisher),
            sender: self.sender.clone(),
            prefetches: std::iter::repeat_with(prefetch).take(queues).collect(),
        };
        let mut handle = reconnector.handle();
        let task = essential::spawn("the RabbitMQ consumer", async move {
            let consumption = Arc::new(consumption);
            let mut ended = None;
            while let Some(session) = handle.up(ended.as_ref()).await {
                consumption.consume(&session).await;
                ended = Some(session);
            }
        });
        (reconnector, AbortOnDrop(task))
    }

    fn working(&self) -> MutexGuard<'_, Working> {
        self.working.lock()
    }
}

/// Consumes the queues of a step.
struct Consumption {
    step: Step,
    publisher: Arc<Publisher>,
    sender: mpsc::UnboundedSender<Incoming>,
    /// The prefetch of the next subscription to each queue: in another session the same messages
    /// are delivered again.
    prefetches: Vec<AtomicU16>,
}

impl Consumption {
    /// Consumes all queues of the step until the session ends.
    async fn consume(self: &Arc<Self>, session: &Arc<Session>) {
        let names = &self.publisher.settings().names;
        let queues = self.step.queues(names);
        let shares = Arc::new(queue_sharing::Shares::new(queues.len()));
        let mut tasks = JoinSet::new();
        for queue in 0..queues.len() {
            let (consumption, session, shares) =
                (Arc::clone(self), Arc::clone(session), Arc::clone(&shares));
            tasks.spawn(async move { consumption.consume_queue(session, queue, &shares).await });
        }
        if queues.len() > 1 {
            let (consumption, session) = (Arc::clone(self), Arc::clone(session));
            tasks.spawn(async move {
                match queue_sharing::keep_to_share(
                    &session,
                    &consumption.publisher.settings().names,
                    &shares,
                )
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

    /// Consumes one queue, and subscribes again each time it was handed over to another process.
    async fn consume_queue(
        self: &Arc<Self>,
        session: Arc<Session>,
        queue: usize,
        shares: &queue_sharing::Shares,
    ) -> lapin::Result<()> {
        loop {
            let name = &self.step.queues(&self.publisher.settings().names)[queue];
            let prefetch = self.prefetches[queue].load(Ordering::Relaxed);
            let tracker = Arc::new(DeliveryTracker::new(queue, prefetch, self.step.prefetch()));
            let mut subscription =
                Subscription::open(&session, name, prefetch, Arc::clone(&tracker)).await?;
            shares.subscribed(&tracker);
            let consumed = self.consume_until_released(&session, &mut subscription).await;
            subscription.close().await;
            self.prefetches[queue].store(tracker.prefetch_wanted(), Ordering::Relaxed);
            consumed?;
        }
    }

    /// Handles messages until the queue is to be handed over to another process.
    async fn consume_until_released(
        self: &Arc<Self>,
        session: &Arc<Session>,
        subscription: &mut Subscription,
    ) -> lapin::Result<()> {
        let tracker = Arc::clone(&subscription.tracker);
        let mut chores = JoinSet::new();
        loop {
            tokio::select! {
                message = subscription.consumer.next() => match message {
                    Some(message) => self.dispatch(message?, session, &tracker, &mut chores),
                    None => return Err(lost_queue()),
                },
                () = tracker.released() => break,
                Some(_) = chores.join_next() => {}
            }
        }
        let _ = timeout(RELEASE_TIMEOUT, tracker.idle()).await;
        Ok(())
    }

    /// Dispatches one message: a barrier, a batch, or neither.
    fn dispatch(
        self: &Arc<Self>,
        message: Message,
        session: &Arc<Session>,
        tracker: &Arc<DeliveryTracker>,
        chores: &mut JoinSet<()>,
    ) {
        let receipt = Receipt {
            session: Arc::downgrade(session),
            tracker: Arc::clone(tracker),
            tag: message.delivery_tag,
            acker: message.acker.clone(),
        };
        if is_of(&message.properties, BARRIER) {
            tracker.record(receipt.tag, None);
            tracker.keep(receipt.tag);
            let (consumption, properties) = (Arc::clone(self), message.properties);
            chores.spawn(async move { consumption.pass_barrier_on(&receipt, properties).await });
            return;
        }
        let read = self.step.read(&message.data);
        let law_id = read.as_ref().ok().map(|(batch, _)| batch.header().law_id.clone());
        tracker.record(receipt.tag, law_id);
        match read {
            Ok((batch, hints)) => {
                // Never fails: the receiver lives as long as the task.
                let _ = self.sender.send(Incoming { batch: Arc::new(batch), hints, receipt });
            }
            Err(reason) => {
                let consumption = Arc::clone(self);
                chores.spawn(async move {
                    consumption.refuse_unreadable(&message.data, &reason, &receipt).await
                });
            }
        }
    }

    /// Forwards a barrier once all batches of its election before it are processed.
    async fn pass_barrier_on(&self, receipt: &Receipt, properties: BasicProperties) {
        let law_id = election_of(&properties);
        let waiting = receipt.tracker.predecessors_done(receipt.tag, law_id.as_ref());
        match timeout(barrier::ANSWERS_MAX, waiting).await {
            Ok(true) => {
                barrier::pass_on(&self.publisher, self.step, properties).await;
                receipt.acknowledge().await;
            }
            Ok(false) => {}
            // Its caller has given up: drop the barrier. Otherwise barriers would accumulate behind
            // a batch that stays unacknowledged for a long time.
            Err(_) => receipt.acknowledge().await,
        }
    }

    /// Sends the reviewers a note on a message that is not a batch, and acknowledges it: it never
    /// returns to the queue.
    async fn refuse_unreadable(&self, bytes: &[u8], reason: &str, receipt: &Receipt) {
        let queue = &self.step.queues(&self.publisher.settings().names)[receipt.tracker.queue];
        tracing::error!(
            event = "message_refused",
            alarm = true,
            %queue,
            reason,
            "message refused, it contains no valid batch"
        );
        let reason = format!("a message in {queue} is not a batch: {reason}");
        let refusal = until_definite("refuse_message", || async {
            let (properties, note) = review::unreadable(bytes, &reason);
            self.publisher.publish(Destination::Review, properties, &note).await
        });
        if refusal.await.is_ok() {
            receipt.acknowledge().await;
        }
    }
}

fn lost_queue() -> lapin::Error {
    std::io::Error::other("the broker ended the subscription: was the queue deleted?").into()
}

/// A subscription, which ends only by closing its channel.
struct Subscription {
    consumer: Consumer,
    channel: Channel,
    tracker: Arc<DeliveryTracker>,
}

impl Subscription {
    async fn open(
        session: &Session,
        queue: &ShortString,
        prefetch: u16,
        tracker: Arc<DeliveryTracker>,
    ) -> lapin::Result<Self> {
        let channel = session.connection.create_channel().await?;
        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        let consumer = channel
            .basic_consume(queue.clone(), ShortString::default(), options, FieldTable::default())
            .await?;
        Ok(Self { consumer, channel, tracker })
    }

    async fn close(self) {
        self.tracker.mark_lost();
        close_channel(self.channel.clone(), self.consumer.clone()).await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.tracker.mark_lost();
        // A dropped consumer cancels itself, and order would be lost: see the module header.
        if self.channel.status().connected()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(close_channel(self.channel.clone(), self.consumer.clone()));
        }
    }
}
