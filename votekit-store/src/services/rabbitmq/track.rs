//! What a process holds of one queue, in the order in which it came.

use std::collections::BTreeSet;

use lapin::Acker;
use lapin::options::BasicAckOptions;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

/// The deliveries of one subscription. Tags are the broker's: ascending in the order of the queue.
pub(super) struct Track {
    pub(super) queue: usize,
    held: Mutex<Held>,
    /// Counts changes.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Held {
    phase: Phase,
    /// Taken and not let go of.
    outstanding: BTreeSet<u64>,
    /// Those of them that somebody works on.
    handed_out: BTreeSet<u64>,
    /// Whether anything ever came.
    active: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Taking,
    /// Nothing more is handed out.
    Yielding,
    /// The broker gives to somebody else what was not let go of.
    Lost,
}

impl Track {
    pub(super) fn new(queue: usize) -> Self {
        Self { queue, held: Mutex::default(), changes: watch::Sender::new(0) }
    }

    /// A delivery came.
    pub(super) fn take(&self, tag: u64) {
        let mut held = self.held();
        held.outstanding.insert(tag);
        held.active = true;
    }

    /// A delivery is handed out, unless it is somebody else's by now.
    pub(super) fn hand_out(&self, tag: u64) -> bool {
        let mut held = self.held();
        let taking = held.phase == Phase::Taking;
        if taking {
            held.handed_out.insert(tag);
        }
        taking
    }

    /// A delivery is done with.
    pub(super) fn let_go(&self, tag: u64) {
        let mut held = self.held();
        held.outstanding.remove(&tag);
        held.handed_out.remove(&tag);
        drop(held);
        self.changed();
    }

    /// Waits until everything that came before a delivery is done with. `false` when the
    /// subscription ended first.
    pub(super) async fn reached(&self, tag: u64) -> bool {
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

    /// Waits until nobody works on anything of it.
    pub(super) async fn idle(&self) {
        let mut changes = self.changes.subscribe();
        while !self.held().handed_out.is_empty() && changes.changed().await.is_ok() {}
    }

    /// Whether this process is the one to whom the queue delivers, as far as it can know: something
    /// came.
    pub(super) fn is_active(&self) -> bool {
        let held = self.held();
        held.active && held.phase == Phase::Taking
    }

    /// Hands nothing out any more.
    pub(super) fn give_way(&self) {
        self.held().phase = Phase::Yielding;
        self.changed();
    }

    /// Waits until it is asked to give way.
    pub(super) async fn gives_way(&self) {
        let mut changes = self.changes.subscribe();
        while self.held().phase == Phase::Taking && changes.changed().await.is_ok() {}
    }

    /// The subscription is over.
    pub(super) fn lose(&self) {
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

/// Tells the broker that a delivery is done with. On a connection that is lost it cannot be told:
/// the delivery comes again, which is harmless.
pub(super) async fn acknowledge(acker: &Acker) {
    if let Err(error) = acker.ack(BasicAckOptions::default()).await {
        tracing::debug!(%error, "an acknowledgement was lost");
    }
}
