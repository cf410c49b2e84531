//! The connections of one listener behind a lock, with the signals to each of them: executes the
//! decisions of the [`ConnectionLimiter`].

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, mpsc};
use votekit_node::limits::address_prefix::Shares;
use votekit_node::metrics::{self, OpenConnection};

use super::activity::Activity;
use super::limiter::{Arrival, ConnectionId, ConnectionLimiter, LimiterRules};

/// The slots of one listener.
#[derive(Debug)]
pub(super) struct Slots {
    state: Mutex<State>,
    /// Whether newcomers wait: read with each answer, without the lock.
    is_short: AtomicBool,
    /// The number of connections that have released their slot and still drain their client's
    /// bytes.
    lingering: AtomicU32,
    /// The number of connections that the stop has dropped with an incomplete request.
    dropped: AtomicU32,
    start: Instant,
}

#[derive(Debug)]
struct State {
    limiter: ConnectionLimiter,
    signals: HashMap<ConnectionId, Arc<Signals>>,
}

/// Signals the decisions to a connection.
#[derive(Debug)]
struct Signals {
    activity: Arc<Activity>,
    decided: Notify,
    granted: AtomicBool,
    dismissed: Notify,
}

/// The newcomer gets no slot.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused;

/// The interval between searches for idle connections while newcomers wait.
pub(super) const TICK_INTERVAL: Duration = Duration::from_millis(20);

/// The maximum number of lingering connections: each uses a file descriptor.
pub(super) const LINGERING_MAX: u32 = 256;

impl Slots {
    pub(super) fn new(rules: LimiterRules) -> Self {
        let state = State { limiter: ConnectionLimiter::new(rules), signals: HashMap::new() };
        Self {
            state: Mutex::new(state),
            is_short: AtomicBool::new(false),
            lingering: AtomicU32::new(0),
            dropped: AtomicU32::new(0),
            start: Instant::now(),
        }
    }

    /// Milliseconds since these slots were created, from 1.
    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).map_or(u64::MAX - 1, |elapsed| elapsed + 1)
    }

    /// Adds a newcomer; `shares` is `None` for a connection that counts under no prefix. It may
    /// have to wait: see [`Slot::granted`]. `open` is kept for as long as the slot.
    pub(super) fn arrive(
        self: &Arc<Self>,
        shares: Option<Shares>,
        open: mpsc::Sender<()>,
    ) -> Result<Slot, Refused> {
        let now_ms = self.now_ms();
        let activity = Arc::new(Activity::waiting(now_ms));
        let mut state = self.state();
        let (arrival, refused) = state.limiter.arrive(shares, &activity, now_ms);
        if let Some(refused) = refused {
            metrics::connection_refused();
            state.refuse(refused);
        }
        let (id, granted) = match arrival {
            Arrival::Held(id) => (id, true),
            Arrival::Waiting(id) => (id, false),
            Arrival::Refused => {
                metrics::connection_refused();
                return Err(Refused);
            }
        };
        let signals = Arc::new(Signals {
            activity,
            decided: Notify::new(),
            granted: AtomicBool::new(granted),
            dismissed: Notify::new(),
        });
        state.signals.insert(id, Arc::clone(&signals));
        self.settle(&mut state);
        drop(state);
        Ok(Slot {
            slots: Arc::clone(self),
            id,
            signals,
            released: AtomicBool::new(false),
            _counted: OpenConnection::count(),
            _open: open,
        })
    }

    /// Whether newcomers wait for a slot.
    pub(super) fn is_short(&self) -> bool {
        self.is_short.load(Ordering::Relaxed)
    }

    /// The number of connections that the stop has dropped: their clients sent a part of a request,
    /// or read a part of an answer.
    pub(super) fn dropped(&self) -> u32 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Searches for connections to evict. Called every [`TICK_INTERVAL`] while slots are short.
    pub(super) fn tick(&self) {
        let now_ms = self.now_ms();
        let mut state = self.state();
        let (dismissed, expired) = state.limiter.tick(now_ms);
        for id in dismissed {
            metrics::connection_dismissed();
            if let Some(signals) = state.signals.get(&id) {
                signals.dismissed.notify_one();
            }
        }
        for id in expired {
            metrics::connection_refused();
            state.refuse(id);
        }
        self.settle(&mut state);
    }

    /// Gives free slots to waiting newcomers.
    fn settle(&self, state: &mut State) {
        for id in state.limiter.grant() {
            if let Some(signals) = state.signals.get(&id) {
                signals.granted.store(true, Ordering::Release);
                // Its idle time begins with its slot, so it has time to send its request.
                signals.activity.wait(self.now_ms());
                signals.decided.notify_one();
            }
        }
        self.is_short.store(state.limiter.waiting() > 0, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    fn refuse(&self, id: ConnectionId) {
        if let Some(signals) = self.signals.get(&id) {
            signals.decided.notify_one();
        }
    }
}

/// The slot of one connection, or its position among the waiting newcomers. It lives as long as the
/// connection, even after its slot was released: a stopping server waits for it.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    id: ConnectionId,
    signals: Arc<Signals>,
    released: AtomicBool,
    _counted: OpenConnection,
    _open: mpsc::Sender<()>,
}

impl Slot {
    /// Resolves when it is decided whether the connection gets a slot.
    ///
    /// # Errors
    /// The connection gets no slot.
    pub(super) async fn granted(&self) -> Result<(), Refused> {
        if !self.signals.granted.load(Ordering::Acquire) {
            // `notify_one` stores a permit: a decision made before this is not missed.
            self.signals.decided.notified().await;
        }
        if self.signals.granted.load(Ordering::Acquire) { Ok(()) } else { Err(Refused) }
    }

    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.signals.activity
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.slots.now_ms()
    }

    /// Resolves when the connection is evicted and must close at once.
    pub(super) async fn dismissed(&self) {
        self.signals.dismissed.notified().await;
    }

    /// Whether the connection, which was just answered, has to be closed.
    pub(super) fn must_yield(&self) -> bool {
        if !self.slots.is_short() {
            return false;
        }
        let yields = self.slots.state().limiter.answered(self.id);
        if yields {
            metrics::connection_yielded();
        }
        yields
    }

    /// Records that the stop drops the connection while it waits for its client.
    pub(super) fn count_dropped(&self) {
        self.slots.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that the connection has shown a token.
    pub(super) fn trust(&self) {
        let mut state = self.slots.state();
        state.limiter.trust(self.id);
        self.slots.settle(&mut state);
    }

    /// Releases the slot. `None` if too many connections linger already: then the caller must close
    /// the connection at once.
    pub(super) fn release_and_linger(&self) -> Option<Linger> {
        self.release();
        let lingering = self.slots.lingering.fetch_add(1, Ordering::Relaxed);
        let linger = Linger(Arc::clone(&self.slots));
        // Above the limit it is dropped, which decrements the count.
        (lingering < LINGERING_MAX).then_some(linger)
    }

    /// Releases the slot: another connection gets it, and this connection is not evicted any more.
    pub(super) fn release(&self) {
        if !self.released.swap(true, Ordering::AcqRel) {
            let mut state = self.slots.state();
            state.limiter.release(self.id);
            state.signals.remove(&self.id);
            self.slots.settle(&mut state);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.release();
    }
}

/// The permission to read from a client after the last answer.
#[derive(Debug)]
pub(super) struct Linger(Arc<Slots>);

impl Drop for Linger {
    fn drop(&mut self) {
        self.0.lingering.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use votekit_node::limits::address_prefix::DigestKey;

    fn slots(slots_max: u32, per_address_max: u32) -> Arc<Slots> {
        Arc::new(Slots::new(LimiterRules {
            slots_max,
            reserved: 0,
            per_address_max,
            waiting_max: 4,
            stay_min_ms: 1000,
            wait_max_ms: 10_000,
        }))
    }

    fn open() -> mpsc::Sender<()> {
        mpsc::channel(1).0
    }

    #[tokio::test]
    async fn a_newcomer_waits_for_a_slot_that_an_answered_connection_gives_back() {
        let (slots, key) = (slots(1, 0), DigestKey::random());
        let shares = |host: u8| Some(key.shares([192, 0, 2, host].into(), true));
        let busy = slots.arrive(shares(1), open()).expect("free");
        busy.granted().await.expect("at once");
        assert!(busy.activity().work());
        assert!(!busy.must_yield(), "nobody waits");
        let newcomer = slots.arrive(shares(2), open()).expect("may wait");
        assert!(slots.is_short());
        assert!(busy.must_yield());
        let linger = busy.release_and_linger();
        assert!(linger.is_some());
        newcomer.granted().await.expect("the slot was given back");
        assert!(!slots.is_short());
        drop((busy, newcomer));
        assert!(slots.state().signals.is_empty());
    }

    #[tokio::test]
    async fn a_reader_gives_its_slot_back_and_is_not_evicted() {
        let (slots, key) = (slots(1, 1), DigestKey::random());
        let shares = Some(key.shares([192, 0, 2, 1].into(), true));
        let reader = slots.arrive(shares, open()).expect("free");
        assert!(reader.activity().work());
        reader.release();
        reader.activity().wait(1);
        // Also the share of its address is free again.
        let newcomer = slots.arrive(shares, open()).expect("free");
        newcomer.granted().await.expect("a slot");
        slots.tick();
        assert!(reader.activity().waiting_since().is_some(), "it was not dismissed");
        drop(reader);
        let refused = slots.arrive(shares, open()).expect_err("the newcomer keeps its share");
        assert_eq!(refused, Refused);
        drop(newcomer);
    }

    #[tokio::test]
    async fn idle_connections_are_dismissed_and_recent_ones_stay() {
        let (mut slots, key) = (slots(2, 0), DigestKey::random());
        let start = &mut Arc::get_mut(&mut slots).expect("not shared yet").start;
        *start = start.checked_sub(Duration::from_secs(60)).expect("the system runs for longer");
        let shares = Some(key.shares([192, 0, 2, 1].into(), true));
        let [idle, fresh] = [(); 2].map(|()| slots.arrive(shares, open()).expect("free"));
        idle.activity().wait(5);
        let newcomer = slots.arrive(shares, open()).expect("may wait");
        slots.tick();
        idle.dismissed().await;
        assert!(fresh.activity().waiting_since().is_some(), "it keeps its slot");
        drop(idle);
        newcomer.granted().await.expect("a slot");
    }
}
