//! The unacknowledged deliveries of one queue in a process, in queue order.
//!
//! Some deliveries stay unacknowledged for a long time: batches of an election that is halted in
//! this process, and barriers behind them. They must not use up the prefetch, or the batches of all
//! other elections would wait for them. AMQP fixes the prefetch of a consumer when it subscribes,
//! so the subscription is reopened with a larger prefetch. The new prefetch is several times the
//! number of deliveries held, because each reopening counts towards the delivery limit of every
//! message that it requeues.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lapin::options::BasicAckOptions;
use lapin::{Acker, Channel, Consumer};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::timeout;
use votekit_core::id::ElectionId;

/// The divisor of the usual prefetch: a prefetch with room for fewer new deliveries than the
/// quotient is too small.
const ROOM_PART_MIN: u16 = 2;

/// The prefetch of a reopened subscription, as a multiple of the deliveries held. With this factor,
/// a thousand deliveries need three reopenings, and the maximum of a channel needs six.
const HELD_FACTOR: usize = 4;

/// Timeout for the end of a channel.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(1);

/// The deliveries of one subscription. Tags are the broker's, ascending in queue order.
pub(super) struct DeliveryTracker {
    pub(super) queue: usize,
    /// The prefetch of the subscription.
    prefetch: u16,
    /// The prefetch of a queue from which nothing is held.
    prefetch_min: u16,
    held: Mutex<Held>,
    /// Incremented by each change, to wake waiting tasks.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Held {
    phase: Phase,
    /// The unacknowledged deliveries, each with the election of its batch; `None` if the message is
    /// not a batch.
    outstanding: BTreeMap<u64, Option<ElectionId>>,
    /// Those of `outstanding` that a worker has.
    handed_out: BTreeSet<u64>,
    /// Those of `outstanding` that wait for something that this process cannot do, such as the
    /// repair of a halted election.
    kept: BTreeSet<u64>,
    /// Whether anything was ever delivered.
    active: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Taking,
    /// Nothing more is handed out.
    Yielding,
    /// The broker delivers the unacknowledged messages to another consumer.
    Lost,
}

impl DeliveryTracker {
    /// No delivery yet, on a subscription with a prefetch.
    pub(super) fn new(queue: usize, prefetch: u16, prefetch_min: u16) -> Self {
        let changes = watch::Sender::new(0);
        Self { queue, prefetch, prefetch_min, held: Mutex::default(), changes }
    }

    /// Records a delivery, with the election of its batch.
    pub(super) fn record(&self, tag: u64, law_id: Option<ElectionId>) {
        let mut held = self.held();
        held.outstanding.insert(tag, law_id);
        held.active = true;
    }

    /// Takes a delivery out of those in progress. `false` when the subscription is over, or the
    /// delivery is processed.
    pub(super) fn keep(&self, tag: u64) -> bool {
        let mut held = self.held();
        if held.phase == Phase::Lost || !held.outstanding.contains_key(&tag) {
            return false;
        }
        held.handed_out.remove(&tag);
        let is_new = held.kept.insert(tag);
        drop(held);
        if is_new {
            self.changed();
        }
        true
    }

    /// The prefetch that leaves room in addition to what is kept. It grows in large steps.
    pub(super) fn prefetch_wanted(&self) -> u16 {
        let kept = self.held().kept.len();
        let room = usize::from(self.prefetch).saturating_sub(kept);
        if room >= usize::from(self.prefetch_min / ROOM_PART_MIN) {
            return if kept == 0 { self.prefetch_min } else { self.prefetch };
        }
        let wanted = kept.saturating_mul(HELD_FACTOR).saturating_add(self.prefetch_min.into());
        u16::try_from(wanted).unwrap_or(u16::MAX)
    }

    /// Hands a delivery to a worker. `false` when the queue is being given up.
    pub(super) fn hand_out(&self, tag: u64) -> bool {
        let mut held = self.held();
        let taking = held.phase == Phase::Taking;
        if taking {
            held.handed_out.insert(tag);
        }
        taking
    }

    /// Removes a processed delivery.
    pub(super) fn remove(&self, tag: u64) {
        let mut held = self.held();
        held.outstanding.remove(&tag);
        held.handed_out.remove(&tag);
        held.kept.remove(&tag);
        drop(held);
        self.changed();
    }

    /// Waits until every batch of an election that was delivered before `tag` is processed, or
    /// everything if no election is named. `false` when the subscription ends first.
    pub(super) async fn predecessors_done(&self, tag: u64, of: Option<&ElectionId>) -> bool {
        let mut changes = self.changes.subscribe();
        loop {
            {
                let held = self.held();
                if held.phase == Phase::Lost {
                    return false;
                }
                let mut before = held.outstanding.range(..tag).map(|(_, law_id)| law_id.as_ref());
                if !before.any(|law_id| of.is_none() || law_id == of) {
                    return true;
                }
            }
            if changes.changed().await.is_err() {
                return false;
            }
        }
    }

    /// Waits until no worker has a delivery.
    pub(super) async fn idle(&self) {
        let mut changes = self.changes.subscribe();
        while !self.held().handed_out.is_empty() && changes.changed().await.is_ok() {}
    }

    /// Whether this process is the queue's active consumer, inferred from its deliveries.
    pub(super) fn is_active(&self) -> bool {
        let held = self.held();
        held.active && held.phase == Phase::Taking
    }

    /// Stops handing out deliveries.
    pub(super) fn release(&self) {
        self.held().phase = Phase::Yielding;
        self.changed();
    }

    /// Waits until the queue is to be given up, or the subscription opened again with a larger
    /// prefetch.
    pub(super) async fn released(&self) {
        let mut changes = self.changes.subscribe();
        while self.held().phase == Phase::Taking {
            if self.prefetch_wanted() > self.prefetch {
                self.release();
            } else if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Records the end of the subscription.
    pub(super) fn mark_lost(&self) {
        self.held().phase = Phase::Lost;
        self.changed();
    }

    fn changed(&self) {
        self.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock()
    }
}

/// Acknowledges a delivery. On a lost connection this fails, and the broker redelivers, which is
/// harmless.
pub(super) async fn acknowledge(acker: &Acker) {
    if let Err(error) = acker.ack(BasicAckOptions::default()).await {
        tracing::debug!(event = "acknowledgement_lost", %error, "acknowledgement lost");
    }
}

/// Ends a subscription by closing its channel: the broker requeues its unacknowledged deliveries
/// before it delivers to another consumer.
pub(super) async fn close_channel(channel: Channel, consumer: Consumer) {
    let _ = timeout(CLOSING_TIMEOUT, channel.close(200, "given up".into())).await;
    drop(consumer);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn law(text: &str) -> ElectionId {
        text.parse().expect("a law id")
    }

    fn tracker(prefetch: u16) -> DeliveryTracker {
        DeliveryTracker::new(0, prefetch, 32)
    }

    /// Whether a future is done without waiting.
    async fn is_done(future: impl Future<Output = bool>) -> Option<bool> {
        timeout(Duration::ZERO, future).await.ok()
    }

    #[tokio::test]
    async fn a_barrier_waits_for_the_batches_of_its_election_alone() {
        let tracker = tracker(32);
        for (tag, law_id) in [(1, Some("L1")), (2, Some("L2")), (3, None)] {
            tracker.record(tag, law_id.map(law));
        }
        let (one, other) = (law("L1"), law("L2"));
        assert!(tracker.hand_out(1));
        assert!(tracker.keep(1), "of a halted election");
        assert_eq!(is_done(tracker.predecessors_done(4, Some(&one))).await, None);
        assert_eq!(is_done(tracker.predecessors_done(2, Some(&other))).await, Some(true));
        assert_eq!(is_done(tracker.predecessors_done(4, Some(&other))).await, None);
        tracker.remove(2);
        assert_eq!(is_done(tracker.predecessors_done(4, Some(&other))).await, Some(true));
        assert_eq!(is_done(tracker.predecessors_done(4, None)).await, None, "of any election");
        tracker.remove(1);
        assert_eq!(is_done(tracker.predecessors_done(4, Some(&one))).await, Some(true));
        assert_eq!(is_done(tracker.predecessors_done(4, None)).await, None);
        tracker.mark_lost();
        assert_eq!(is_done(tracker.predecessors_done(4, Some(&one))).await, Some(false));
    }

    #[tokio::test]
    async fn held_deliveries_occupy_no_worker_and_end_with_the_subscription() {
        let tracker = tracker(32);
        tracker.record(1, Some(law("L1")));
        assert!(tracker.hand_out(1));
        assert!(tracker.keep(1) && tracker.keep(1), "repeated");
        assert!(timeout(Duration::ZERO, tracker.idle()).await.is_ok(), "no worker has it");
        assert!(!tracker.keep(2), "never delivered");
        tracker.remove(1);
        assert!(!tracker.keep(1), "acknowledged");
        tracker.record(3, Some(law("L1")));
        tracker.mark_lost();
        assert!(!tracker.keep(3), "delivered again elsewhere");
    }

    #[test]
    fn the_prefetch_grows_with_what_is_kept_in_few_steps() {
        let (mut prefetch, mut steps) = (32, Vec::new());
        // A queue whose deliveries are all kept.
        while prefetch < u16::MAX {
            let tracker = tracker(prefetch);
            let mut kept = 0;
            while tracker.prefetch_wanted() <= prefetch {
                kept += 1;
                tracker.record(kept, Some(law("L1")));
                assert!(tracker.keep(kept));
            }
            assert!(kept < u64::from(prefetch), "some are still delivered");
            prefetch = tracker.prefetch_wanted();
            steps.push(prefetch);
        }
        assert_eq!(steps, [100, 372, 1460, 5812, 23_220, u16::MAX]);
        assert!(tracker(prefetch).prefetch_wanted() == 32, "nothing is kept any more");
    }

    #[tokio::test]
    async fn a_subscription_without_room_is_opened_again() {
        let tracker = std::sync::Arc::new(tracker(32));
        let waiting = tokio::spawn({
            let tracker = std::sync::Arc::clone(&tracker);
            async move { tracker.released().await }
        });
        tokio::task::yield_now().await;
        for tag in 1..=17 {
            tracker.record(tag, Some(law("L1")));
            assert!(tracker.keep(tag));
        }
        timeout(Duration::from_secs(30), waiting).await.expect("in time").expect("released");
        assert!(!tracker.hand_out(18), "nothing more is handed out");
        assert_eq!(tracker.prefetch_wanted(), 17 * 4 + 32);
    }
}
