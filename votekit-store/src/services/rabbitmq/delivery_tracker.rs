//! The unacknowledged deliveries of one queue in a process, in queue order.

use std::collections::BTreeSet;
use std::time::Duration;

use lapin::options::BasicAckOptions;
use lapin::{Acker, Channel, Consumer};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::timeout;

/// How long the end of a channel is waited for.
const CLOSING_MAX: Duration = Duration::from_secs(1);

/// The deliveries of one subscription. Tags are the broker's, ascending in queue order.
pub(super) struct DeliveryTracker {
    pub(super) queue: usize,
    held: Mutex<Held>,
    /// Incremented by each change, to wake waiting tasks.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Held {
    phase: Phase,
    /// Delivered and not acknowledged.
    outstanding: BTreeSet<u64>,
    /// Those of `outstanding` that a worker has.
    handed_out: BTreeSet<u64>,
    /// Whether anything was ever delivered.
    active: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Taking,
    /// Nothing more is handed out.
    Yielding,
    /// The broker delivers what was not acknowledged to another consumer.
    Lost,
}

impl DeliveryTracker {
    pub(super) fn new(queue: usize) -> Self {
        Self { queue, held: Mutex::default(), changes: watch::Sender::new(0) }
    }

    /// Records a delivery.
    pub(super) fn record(&self, tag: u64) {
        let mut held = self.held();
        held.outstanding.insert(tag);
        held.active = true;
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
        drop(held);
        self.changed();
    }

    /// Waits until everything delivered before `tag` is processed. `false` when the subscription
    /// ends first.
    pub(super) async fn predecessors_done(&self, tag: u64) -> bool {
        let mut changes = self.changes.subscribe();
        loop {
            {
                let held = self.held();
                if held.phase == Phase::Lost {
                    return false;
                }
                if held.outstanding.range(..tag).next().is_none() {
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

    /// Waits until the queue is to be given up.
    pub(super) async fn released(&self) {
        let mut changes = self.changes.subscribe();
        while self.held().phase == Phase::Taking && changes.changed().await.is_ok() {}
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

/// Ends a subscription by the end of its channel: what it holds is given back before anybody else
/// gets something.
pub(super) async fn close_channel(channel: Channel, consumer: Consumer) {
    let _ = timeout(CLOSING_MAX, channel.close(200, "given up".into())).await;
    drop(consumer);
}
