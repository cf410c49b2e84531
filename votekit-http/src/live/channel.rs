//! The channel of one topic: the latest message, and the readers that follow it.
//!
//! A message is kept once. A reader that is more than [`QUEUE_MESSAGES_MAX`] messages behind is too
//! slow and is dropped: it can connect again and gets the latest state.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use super::message::{Content, Message, MessageKind};
use super::topic::Topic;

/// The most messages that wait for one reader: four seconds' worth.
const QUEUE_MESSAGES_MAX: usize = 16;

/// The time in which a node may reach the version that a reader has from another node. A follower
/// is behind the leader for a moment; a new log under an old address remains behind for a long
/// time.
const AHEAD_TIME: Duration = Duration::from_secs(5);

/// The channel of one topic.
#[derive(Debug)]
pub(crate) struct Channel {
    topic: Topic,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    latest: Option<Arc<Message>>,
    sender: broadcast::Sender<Arc<Message>>,
}

impl Channel {
    /// Creates a channel without a message.
    pub(crate) fn new(topic: Topic) -> Self {
        let (sender, _) = broadcast::channel(QUEUE_MESSAGES_MAX);
        Self { topic, state: Mutex::new(State { latest: None, sender }) }
    }

    /// Sends a new state to all readers. A state that is not newer or not different is not sent.
    pub(crate) fn publish(&self, version: u64, content: Content) {
        let mut state = self.state.lock();
        let latest = state.latest.as_deref();
        if latest.is_some_and(|latest| latest.version >= version || latest.content == content) {
            return;
        }
        let message = Arc::new(Message::new(&self.topic, version, content));
        state.latest = Some(Arc::clone(&message));
        // An error means that there is no reader.
        let _ = state.sender.send(message);
    }

    /// Sends a state whose version is the time, for content that no block announces. One task
    /// publishes a topic.
    pub(crate) fn publish_at(&self, time_ms: u64, content: Content) {
        let latest = self.state.lock().latest.as_deref().map(|latest| latest.version);
        // A clock may go back.
        self.publish(latest.map_or(time_ms, |latest| time_ms.max(latest + 1)), content);
    }

    /// Whether the topic has readers.
    pub(crate) fn has_readers(&self) -> bool {
        self.state.lock().sender.receiver_count() > 0
    }

    /// Adds a reader. `from` is the version that it has from an earlier connection.
    pub(crate) fn subscribe(&self, from: Option<u64>) -> Subscription {
        // Both under one lock: the receiver begins right after the latest message.
        let state = self.state.lock();
        let (receiver, latest) = (state.sender.subscribe(), state.latest.clone());
        drop(state);
        let is_behind = |latest: &Arc<Message>| from.is_none_or(|from| from < latest.version);
        let is_current = |latest: &Arc<Message>| from == Some(latest.version);
        let (snapshot, ahead) = match (latest, from) {
            (Some(latest), _) if is_behind(&latest) => (Some(latest), None),
            (Some(latest), _) if is_current(&latest) => (None, None),
            (_, None) => (None, None),
            (behind, Some(_)) => {
                (None, Some(Ahead { behind, deadline: Instant::now() + AHEAD_TIME }))
            }
        };
        Subscription { receiver, version: from, snapshot, ahead }
    }
}

/// One reader of a topic.
#[derive(Debug)]
pub(crate) struct Subscription {
    receiver: broadcast::Receiver<Arc<Message>>,
    /// The version that the reader has.
    version: Option<u64>,
    /// Due first.
    snapshot: Option<Arc<Message>>,
    /// The reader may have a version that this node has not reached.
    ahead: Option<Ahead>,
}

#[derive(Debug)]
struct Ahead {
    /// The latest message here.
    behind: Option<Arc<Message>>,
    /// When the reader gets it nevertheless.
    deadline: Instant,
}

/// A message for one reader.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) kind: MessageKind,
    pub(crate) message: Arc<Message>,
}

/// The reader is too far behind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooSlow;

impl Subscription {
    /// Drops a snapshot of another state than that of the election now: the message with this state
    /// is due, and becomes the first message.
    pub(crate) fn drop_snapshot_of_other_state(&mut self, state: &str) {
        let snapshot_state = self.snapshot.as_deref().and_then(|message| message.content.state());
        if snapshot_state.is_some_and(|of_snapshot| of_snapshot != state) {
            self.snapshot = None;
        }
    }

    /// Waits for the next message. Cancel safe. Versions strictly increase, except for the snapshot
    /// of a reader whose version this node does not reach.
    ///
    /// # Errors
    /// [`TooSlow`]: messages are lost for this reader.
    pub(crate) async fn next(&mut self) -> Result<Delivery, TooSlow> {
        if let Some(snapshot) = self.snapshot.take() {
            return Ok(self.deliver(MessageKind::Snapshot, snapshot));
        }
        loop {
            let received = match &self.ahead {
                Some(Ahead { behind: Some(behind), deadline }) => {
                    match timeout_at(*deadline, self.receiver.recv()).await {
                        Ok(received) => received,
                        Err(_) => {
                            let behind = Arc::clone(behind);
                            self.ahead = None;
                            return Ok(self.deliver(MessageKind::Snapshot, behind));
                        }
                    }
                }
                _ => self.receiver.recv().await,
            };
            let message = match received {
                Ok(message) => message,
                Err(RecvError::Lagged(_)) => return Err(TooSlow),
                // The hub keeps the channel as long as it lives.
                Err(RecvError::Closed) => std::future::pending().await,
            };
            match (&mut self.ahead, self.version) {
                (Some(ahead), Some(version)) if message.version < version => {
                    ahead.behind = Some(message);
                }
                (Some(_), Some(version)) if message.version == version => self.ahead = None,
                (_, version) => {
                    self.ahead = None;
                    let kind = version.map_or(MessageKind::Snapshot, |_| MessageKind::Update);
                    return Ok(self.deliver(kind, message));
                }
            }
        }
    }

    fn deliver(&mut self, kind: MessageKind, message: Arc<Message>) -> Delivery {
        self.version = Some(message.version);
        Delivery { kind, message }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use proptest::prelude::*;
    use tokio::time::timeout;

    use super::*;

    /// An upper bound for waits, not a target.
    const WAIT_TIMEOUT: Duration = Duration::from_secs(10);

    fn channel() -> Channel {
        Channel::new(Topic::parse("blocks/L1").expect("a topic"))
    }

    fn publish(channel: &Channel, version: u64) {
        channel.publish(version, Content::Blocks { height: version, log_size: 2 * version });
    }

    /// The message that is available to the reader now; `None` while it would wait.
    fn poll(reader: &mut Subscription) -> Option<Result<(MessageKind, u64), TooSlow>> {
        let mut context = Context::from_waker(Waker::noop());
        match std::pin::pin!(reader.next()).poll(&mut context) {
            Poll::Ready(next) => Some(next.map(|next| (next.kind, next.message.version))),
            Poll::Pending => None,
        }
    }

    const SNAPSHOT: MessageKind = MessageKind::Snapshot;
    const UPDATE: MessageKind = MessageKind::Update;

    #[tokio::test]
    async fn a_snapshot_comes_first_then_updates() {
        let channel = channel();
        let mut early = channel.subscribe(None);
        assert_eq!(poll(&mut early), None);
        publish(&channel, 3);
        publish(&channel, 4);
        let mut late = channel.subscribe(None);
        publish(&channel, 7);
        for (reader, versions) in [
            (&mut early, &[(SNAPSHOT, 3), (UPDATE, 4), (UPDATE, 7)][..]),
            (&mut late, &[(SNAPSHOT, 4), (UPDATE, 7)]),
        ] {
            for version in versions {
                assert_eq!(poll(reader), Some(Ok(*version)));
            }
            assert_eq!(poll(reader), None);
        }
    }

    #[tokio::test]
    async fn a_reader_that_returns_gets_a_snapshot_only_if_it_is_behind() {
        let channel = channel();
        publish(&channel, 5);
        for (from, first) in [(None, Some((SNAPSHOT, 5))), (Some(4), Some((SNAPSHOT, 5)))] {
            assert_eq!(poll(&mut channel.subscribe(from)), first.map(Ok), "{from:?}");
        }
        let mut current = channel.subscribe(Some(5));
        assert_eq!(poll(&mut current), None);
        publish(&channel, 6);
        assert_eq!(poll(&mut current), Some(Ok((UPDATE, 6))));
    }

    #[tokio::test]
    async fn a_reader_ahead_of_the_node_waits_for_its_version() {
        let channel = channel();
        publish(&channel, 5);
        let mut ahead = channel.subscribe(Some(8));
        for version in 6..=8 {
            publish(&channel, version);
            assert_eq!(poll(&mut ahead), None, "{version}");
        }
        publish(&channel, 9);
        assert_eq!(poll(&mut ahead), Some(Ok((UPDATE, 9))));
        // A reader with a version that this node does not reach in time gets the state of the node.
        let mut elsewhere = channel.subscribe(Some(u64::MAX));
        assert_eq!(poll(&mut elsewhere), None);
        elsewhere.ahead.as_mut().expect("it is ahead").deadline = Instant::now();
        let next = timeout(WAIT_TIMEOUT, elsewhere.next()).await.expect("due").expect("not slow");
        assert_eq!((next.kind, next.message.version), (SNAPSHOT, 9));
        publish(&channel, 10);
        assert_eq!(poll(&mut elsewhere), Some(Ok((UPDATE, 10))));
    }

    #[tokio::test]
    async fn a_reader_may_return_before_the_first_message() {
        let channel = channel();
        let [mut behind, mut current] = [4, 5].map(|from| channel.subscribe(Some(from)));
        publish(&channel, 5);
        assert_eq!(poll(&mut behind), Some(Ok((UPDATE, 5))));
        assert_eq!(poll(&mut current), None);
        publish(&channel, 6);
        assert_eq!(poll(&mut current), Some(Ok((UPDATE, 6))));
    }

    #[tokio::test]
    async fn a_slow_reader_is_dropped_and_the_others_are_not() {
        let channel = channel();
        publish(&channel, 1);
        let (mut slow, mut quick) = (channel.subscribe(Some(1)), channel.subscribe(Some(1)));
        let most = 1 + QUEUE_MESSAGES_MAX as u64;
        for version in 2..=most {
            publish(&channel, version);
            assert_eq!(poll(&mut quick), Some(Ok((UPDATE, version))));
        }
        let mut full = channel.subscribe(Some(1));
        assert_eq!(poll(&mut full), Some(Ok((SNAPSHOT, most))));
        publish(&channel, most + 1);
        assert_eq!(poll(&mut slow), Some(Err(TooSlow)));
        assert_eq!(poll(&mut quick), Some(Ok((UPDATE, most + 1))));
    }

    #[tokio::test]
    async fn unchanged_and_older_values_are_not_sent() {
        let channel = channel();
        let mut reader = channel.subscribe(None);
        publish(&channel, 4);
        publish(&channel, 4);
        publish(&channel, 3);
        channel.publish(5, Content::Blocks { height: 4, log_size: 8 });
        assert_eq!(poll(&mut reader), Some(Ok((SNAPSHOT, 4))));
        assert_eq!(poll(&mut reader), None);
    }

    #[tokio::test]
    async fn a_version_by_time_increases_when_the_clock_goes_back() {
        let channel = channel();
        assert!(!channel.has_readers());
        let mut reader = channel.subscribe(None);
        assert!(channel.has_readers());
        for (time_ms, height) in [(1000, 1), (1000, 2), (900, 3), (900, 3), (5000, 4)] {
            channel.publish_at(time_ms, Content::Blocks { height, log_size: 0 });
        }
        for version in [(SNAPSHOT, 1000), (UPDATE, 1001), (UPDATE, 1002), (UPDATE, 5000)] {
            assert_eq!(poll(&mut reader), Some(Ok(version)));
        }
        assert_eq!(poll(&mut reader), None, "nothing else was new");
        drop(reader);
        assert!(!channel.has_readers());
    }

    #[test]
    fn readers_share_the_bytes_of_a_message() {
        let channel = channel();
        let readers = [(); 2].map(|()| channel.subscribe(None));
        publish(&channel, 1);
        let [one, other] = readers.map(|mut reader| reader.receiver.try_recv().expect("sent"));
        assert!(Arc::ptr_eq(&one, &other));
        let [one, other] = [one, other].map(|message| message.event(UPDATE));
        assert_eq!(one.as_ptr(), other.as_ptr());
    }

    proptest! {
        /// For any messages in any order, and any version of the reader, versions strictly increase
        /// from the first message on.
        #[test]
        fn versions_strictly_increase(
            offered in proptest::collection::vec(0_u64..40, 0..60),
            from in proptest::option::of(0_u64..40),
            joins in 0_usize..60,
        ) {
            // The deadline of a reader that is ahead needs a timer.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let runtime = runtime.expect("a runtime");
            let _entered = runtime.enter();
            let channel = channel();
            let mut reader = None;
            let mut seen = Vec::new();
            for (index, version) in offered.into_iter().enumerate() {
                if index == joins {
                    reader = Some(channel.subscribe(from));
                }
                publish(&channel, version);
                if let Some(reader) = &mut reader {
                    while let Some(next) = poll(reader) {
                        seen.push(next.expect("it reads at once").1);
                    }
                }
            }
            prop_assert!(seen.first().is_none_or(|first| from.is_none_or(|from| from < *first)));
            prop_assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{seen:?}");
        }
    }
}
