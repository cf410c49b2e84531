//! The hub: follows the elections of the node and publishes their numbers on the channels.

mod node_lists;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use votekit_core::id::ElectionId;
use votekit_core::results::Results;
use votekit_node::config::Role;
use votekit_node::metrics;
use votekit_node::{ElectionWatch, Node};

use super::channel::{Channel, Subscription};
use super::message::{Numbers, election_list};
use super::pacer::Pacer;
use super::reader_thread::ReaderThread;
use super::readers::ReaderSlots;
use super::topic::Topic;
use crate::drafts;

/// The live updates of a node.
pub(crate) struct LiveHub {
    node: Node,
    channels: Mutex<BTreeMap<Topic, Arc<Channel>>>,
    slots: Arc<ReaderSlots>,
    reader_thread: ReaderThread,
    ended: watch::Sender<bool>,
    /// Notified when an election of the list has moved.
    moved: Notify,
    /// Notified when an official begins to follow the nodes of an election.
    nodes_wanted: Notify,
    start: Instant,
    /// The number of times that the list of elections, and a list of nodes, was made.
    #[cfg(test)]
    lists: std::sync::atomic::AtomicU64,
    #[cfg(test)]
    node_lists: std::sync::atomic::AtomicU64,
}

/// How often the numbers of one block are read before the next attempt is postponed: blocks may be
/// added while they are read.
const READ_ATTEMPTS_MAX: u32 = 16;

/// The time before that next attempt.
const READ_RETRY_INTERVAL: Duration = Duration::from_millis(20);

impl LiveHub {
    /// Creates the hub. Nothing is published before [`LiveHub::run`].
    pub(crate) fn new(node: Node) -> Arc<Self> {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let config = node.config();
        let slots = ReaderSlots::new(
            count(config.live_readers_max),
            count(config.connections_per_address_max),
        );
        Arc::new(Self {
            node,
            channels: Mutex::default(),
            slots: Arc::new(slots),
            reader_thread: ReaderThread::start(),
            ended: watch::Sender::new(false),
            moved: Notify::new(),
            nodes_wanted: Notify::new(),
            start: Instant::now(),
            #[cfg(test)]
            lists: std::sync::atomic::AtomicU64::new(0),
            #[cfg(test)]
            node_lists: std::sync::atomic::AtomicU64::new(0),
        })
    }

    /// The slots of readers.
    pub(crate) fn reader_slots(&self) -> &Arc<ReaderSlots> {
        &self.slots
    }

    /// The thread of the readers' sockets.
    pub(crate) fn reader_thread(&self) -> &ReaderThread {
        &self.reader_thread
    }

    /// Subscribes to a topic; `None` when it is about an election that does not exist, or whose log
    /// cannot be read. `from` is the version that the reader has.
    pub(crate) fn subscribe(&self, topic: &Topic, from: Option<u64>) -> Option<Subscription> {
        let watch = match topic.law_id() {
            Some(law_id) => Some(self.node.watch(law_id)?),
            None => None,
        };
        // Under one lock: a channel of nodes is removed when it has no readers.
        let mut subscription = channel(&mut self.channels.lock(), topic).subscribe(from);
        if let Some(mut watch) = watch {
            // Read after the latest message, so the view is not older than the message. The pacer
            // delays messages for a moment: a reader must not see a draft after the opening. A halt
            // comes without a block, and is no new message.
            let (_, view) = watch.current();
            if !view.is_halted() {
                subscription.drop_snapshot_of_other_state(&view.state);
            }
        }
        if matches!(topic, Topic::Nodes(_)) {
            self.nodes_wanted.notify_one();
        }
        Some(subscription)
    }

    /// Ends every stream, present and future: the node stops.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    /// The signal that every stream ends.
    pub(crate) fn end_signal(&self) -> EndSignal {
        EndSignal(self.ended.subscribe())
    }

    /// Publishes as long as the node is served. Ends by a panic only. Everything runs in one task,
    /// so that nothing uses the node after its end.
    pub(crate) async fn run(self: Arc<Self>) {
        if !self.node.config().roles.contains(&Role::Query) {
            return std::future::pending().await;
        }
        let (mut followed, mut following) = (BTreeSet::new(), FuturesUnordered::new());
        // Subscribed before the first list is made: no change is missed.
        let mut list = self.node.watch_list();
        let mut pacer = Pacer::default();
        pacer.record_change(self.now_ms());
        let mut nodes = pin!(self.publish_nodes());
        loop {
            tokio::select! {
                // None of them ends.
                Some(()) = following.next() => {}
                never = nodes.as_mut() => match never {},
                () = list.changed() => pacer.record_change(self.now_ms()),
                () = self.moved.notified() => pacer.record_change(self.now_ms()),
                // Two lists are never closer to each other than the interval of the pacer.
                () = due(pacer.wait(self.now_ms())) => {
                    pacer.record_sent(self.now_ms());
                    for (law_id, watch) in self.publish_list() {
                        if followed.insert(law_id.clone()) {
                            following.push(self.follow(law_id, watch));
                        }
                    }
                }
            }
        }
    }

    /// Publishes the list of elections that the public sees, and returns a subscription to each
    /// election of this node.
    fn publish_list(&self) -> Vec<(ElectionId, ElectionWatch)> {
        #[cfg(test)]
        self.lists.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (mut version, mut views, mut watches) = (0, Vec::new(), Vec::new());
        for view in self.node.elections() {
            let Ok(law_id) = view.law_id.parse::<ElectionId>() else { continue };
            // An election whose log cannot be read is listed, and never changes.
            let Some(mut watch) = self.node.watch(&law_id) else {
                version += 1;
                views.push(view);
                continue;
            };
            let (height, view) = watch.current();
            // A draft counts in the version too: it is in the list once it is opened.
            let is_published = !drafts::is_draft(&self.node, &view);
            // A state changes with a block or by a halt, which is final until the node starts
            // again: the sum grows whenever the list changes.
            version += height + 1 + u64::from(view.is_halted());
            views.extend(Some(view).filter(|_| is_published));
            watches.push((law_id, watch));
        }
        self.channel(&Topic::Elections).publish(version, election_list(&views));
        watches
    }

    /// Publishes the numbers of an election after each block, at the pace of readers.
    async fn follow(&self, law_id: ElectionId, mut watch: ElectionWatch) {
        let mut pacer = Pacer::default();
        // The present state is the first message.
        pacer.record_change(self.now_ms());
        loop {
            tokio::select! {
                () = watch.changed() => {
                    pacer.record_change(self.now_ms());
                    self.moved.notify_one();
                }
                () = due(pacer.wait(self.now_ms())) => {
                    match self.read(&law_id, &mut watch).await {
                        Some(numbers) => {
                            self.publish(&law_id, numbers);
                            metrics::live_fan_out(pacer.record_sent(self.now_ms()));
                        }
                        None => sleep(READ_RETRY_INTERVAL).await,
                    }
                }
            }
        }
    }

    /// Reads the numbers that everyone may see, and those for readers who have voted. `None` when a
    /// block came between the parts each time.
    async fn read(&self, law_id: &ElectionId, watch: &mut ElectionWatch) -> Option<Numbers> {
        for _ in 0..READ_ATTEMPTS_MAX {
            let (height, view) = watch.current();
            let results = self.node.results(law_id, None).await.ok();
            // Voters see everything that everyone sees.
            let for_voters = match &results {
                Some(_) => None,
                None => self.node.results_for_voters(law_id).ok(),
            };
            // Of another block: its counts may be of another state.
            let is_of_block = |results: &Results| results.log_size == view.log_size;
            if [&results, &for_voters].into_iter().flatten().all(is_of_block) {
                return Some(Numbers::new(height, view, results.as_ref(), for_voters.as_ref()));
            }
        }
        None
    }

    fn publish(&self, law_id: &ElectionId, mut numbers: Numbers) {
        let version = numbers.version();
        let for_voters = numbers.content_for_voters(law_id);
        for (topic, content) in numbers.contents(law_id).into_iter().chain(for_voters) {
            self.channel(&topic).publish(version, content);
        }
    }

    fn channel(&self, topic: &Topic) -> Arc<Channel> {
        Arc::clone(channel(&mut self.channels.lock(), topic))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The channel of a topic, made when it is first asked for.
fn channel<'a>(channels: &'a mut BTreeMap<Topic, Arc<Channel>>, topic: &Topic) -> &'a Arc<Channel> {
    channels.entry(topic.clone()).or_insert_with(|| Arc::new(Channel::new(topic.clone())))
}

/// Resolves after `wait`; never without one.
async fn due(wait: Option<Duration>) {
    match wait {
        Some(wait) => sleep(wait).await,
        None => std::future::pending().await,
    }
}

/// Resolves when every stream ends.
#[derive(Debug, Clone)]
pub(crate) struct EndSignal(watch::Receiver<bool>);

impl EndSignal {
    /// Waits for the end. Cancel safe.
    pub(crate) async fn ended(&mut self) {
        // An error means that the hub was dropped, and with it the server.
        let _ = self.0.wait_for(|ended| *ended).await;
    }
}

#[cfg(test)]
#[path = "hub_test.rs"]
mod tests;
