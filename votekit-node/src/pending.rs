//! Requests in flight: issued by this node and not yet decided. In memory only. A request sent
//! again meanwhile gets the answer of the first, without a second envelope.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;
use votekit_core::id::RequestId;
use votekit_store::Hint;

use crate::election::IntakeError;
use crate::election::Stored;
use crate::limits::throttle::Turn;

const SHARDS: usize = 64;

/// The requests in flight, in separately locked shards.
pub(crate) struct Pending {
    shards: Vec<Mutex<Shard>>,
    /// Per shard, the number of requests removed because they were decided.
    removals: Vec<AtomicU64>,
}

type Shard = HashMap<RequestId, Waiting, BuildHasherDefault<RequestHasher>>;

#[derive(Default)]
struct Waiting {
    /// Copies of the request in flight: a request whose outcome is unknown may be sent again before
    /// it is decided.
    copies: u32,
    /// When this node issued it; `None` for an adopted request.
    issued: Option<Instant>,
    /// Progress of the latest copy.
    progress: Progress,
    hint: Option<Hint>,
    /// Kept until the hint shows whether the credential was right.
    turn: Option<Turn>,
    waiters: Vec<oneshot::Sender<()>>,
}

#[derive(Default)]
enum Progress {
    /// Its batch is being stored; repeated requests wait for the outcome.
    Storing(Vec<oneshot::Sender<Stored>>),
    /// Durable: may be acknowledged.
    Stored,
    /// It may have been stored.
    #[default]
    Unknown,
}

/// Whether a request is already in flight.
pub(crate) enum Known {
    /// Not in flight, or the outcome of its copy is unknown: it must be sent.
    No,
    /// It is durable.
    Stored,
    /// It is being stored; the receiver gets the outcome.
    Storing(oneshot::Receiver<Stored>),
}

/// The result of registering a request.
pub(crate) enum Issue {
    /// Registered: its batch must be published.
    Registered,
    /// Already in flight or stored.
    Known(Known),
    /// Requests were decided since the log was searched: search again, then pass this count.
    SearchAgain { removals: u64 },
}

impl Pending {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            removals: (0..SHARDS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The count of removals in the request's shard, read before the log is searched for the
    /// request. While the count is unchanged, a request not found in the log has not been decided.
    pub(crate) fn removals(&self, request: &RequestId) -> u64 {
        self.removals[shard_of(request)].load(Ordering::Acquire)
    }

    /// Whether a request is in flight. Registers nothing.
    pub(crate) fn known(&self, request: &RequestId) -> Known {
        self.shard(request).get_mut(request).map_or(Known::No, Waiting::join)
    }

    /// Registers a request before its batch is published, unless it is in flight or may have been
    /// decided. `removals` is the count read before the log was searched; `None` for a request that
    /// cannot have been sent before. Takes the turn only if it registers the request.
    pub(crate) fn issue(
        &self,
        request: RequestId,
        turn: &mut Option<Turn>,
        removals: Option<u64>,
    ) -> Issue {
        let mut shard = self.shard(&request);
        // Only a request that is not in the map can have been decided since the search.
        if !shard.contains_key(&request) {
            let now = self.removals(&request);
            if removals.is_some_and(|removals| removals != now) {
                return Issue::SearchAgain { removals: now };
            }
        }
        let waiting = shard.entry(request).or_default();
        match waiting.join() {
            Known::No => {}
            known => return Issue::Known(known),
        }
        waiting.copies += 1;
        waiting.issued.get_or_insert_with(Instant::now);
        waiting.progress = Progress::Storing(Vec::new());
        waiting.turn = waiting.turn.take().or_else(|| turn.take());
        Issue::Registered
    }

    /// Records the outcome of storing a copy, and answers those who sent the same request
    /// meanwhile. A copy that is known not to be stored is removed; other copies stay.
    pub(crate) fn record_stored(&self, request: &RequestId, stored: &Stored) {
        let mut shard = self.shard(request);
        let Some(waiting) = shard.get_mut(request) else { return };
        let progress = match stored {
            Ok(()) => Progress::Stored,
            Err(_) => Progress::Unknown,
        };
        let earlier = std::mem::replace(&mut waiting.progress, progress);
        if !matches!(stored, Ok(()) | Err(IntakeError::OutcomeUnknown)) {
            waiting.copies = waiting.copies.saturating_sub(1);
            if waiting.copies == 0 {
                shard.remove(request);
            }
        }
        drop(shard);
        if let Progress::Storing(others) = earlier {
            for other in others {
                // The receiver may be gone.
                let _ = other.send(stored.clone());
            }
        }
    }

    /// Registers a request issued by another node or by a previous run of this node, unless it is
    /// registered.
    pub(crate) fn adopt(&self, request: RequestId) {
        let mut shard = self.shard(&request);
        let adopted = || Waiting { copies: 1, progress: Progress::Stored, ..Waiting::default() };
        shard.entry(request).or_insert_with(adopted);
    }

    /// Records the hint and returns the turn that waits for it, once.
    pub(crate) fn record_hint(&self, request: &RequestId, hint: Hint) -> Option<Turn> {
        let mut shard = self.shard(request);
        let waiting = shard.get_mut(request)?;
        waiting.hint = Some(hint);
        waiting.turn.take()
    }

    /// Removes a decided request and wakes its waiters. `recognised` is whether the credential was
    /// right, if that is known. Returns when this node issued it, if it did.
    pub(crate) fn resolve(&self, request: &RequestId, recognised: Option<bool>) -> Option<Instant> {
        let waiting = self.remove(request)?;
        let issued = waiting.issued;
        waiting.resolve(recognised);
        issued
    }

    fn remove(&self, request: &RequestId) -> Option<Waiting> {
        let mut shard = self.shard(request);
        // Counted before the removal, so that a reader that does not find the request also reads
        // the new count.
        self.removals[shard_of(request)].fetch_add(1, Ordering::Release);
        shard.remove(request)
    }

    /// The hint of a request, if it has one yet; the outer `None` when it is not in flight.
    pub(crate) fn hint_of(&self, request: &RequestId) -> Option<Option<Hint>> {
        self.shard(request).get(request).map(|waiting| waiting.hint)
    }

    /// Resolves when the request is decided. `None` when it is not in flight.
    pub(crate) fn decided(&self, request: &RequestId) -> Option<oneshot::Receiver<()>> {
        let mut shard = self.shard(request);
        let waiters = &mut shard.get_mut(request)?.waiters;
        // Before the list grows: while nothing is sealed, clients connect and disconnect.
        if waiters.len() == waiters.capacity() {
            waiters.retain(|waiter| !waiter.is_closed());
        }
        let (sender, receiver) = oneshot::channel();
        waiters.push(sender);
        Some(receiver)
    }

    /// The number of requests in flight.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn shard(&self, request: &RequestId) -> MutexGuard<'_, Shard> {
        self.shards[shard_of(request)].lock()
    }
}

fn shard_of(request: &RequestId) -> usize {
    // The maps hash by the first eight bytes, so another byte selects the shard.
    usize::from(request.as_bytes()[15]) % SHARDS
}

impl Waiting {
    /// Joins the copy that is being stored, if there is one.
    fn join(&mut self) -> Known {
        match &mut self.progress {
            Progress::Stored => Known::Stored,
            Progress::Storing(others) => {
                let (sender, receiver) = oneshot::channel();
                others.push(sender);
                Known::Storing(receiver)
            }
            Progress::Unknown => Known::No,
        }
    }

    fn resolve(self, recognised: Option<bool>) {
        // Without a hint, the registry was unavailable. Without a decision either, the code counts
        // as wrong.
        if let Some(turn) = self.turn
            && recognised != Some(true)
        {
            turn.record_failure();
        }
        if let Progress::Storing(others) = self.progress {
            others.into_iter().for_each(|other| drop(other.send(Ok(()))));
        }
        for waiter in self.waiters {
            // The receiver may be gone.
            let _ = waiter.send(());
        }
    }
}

/// Request ids are random or the output of a keyed hash, and no voter can choose one, so their own
/// bytes serve as the hash.
#[derive(Default)]
struct RequestHasher(u64);

impl Hasher for RequestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(bytes) = bytes.first_chunk() {
            self.0 = u64::from_be_bytes(*bytes);
        }
    }

    fn write_usize(&mut self, _length: usize) {}
}

impl fmt::Debug for Pending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Pending({} requests)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use votekit_core::credential::Nas;

    use super::*;
    use crate::config::ThrottleConfig;
    use crate::limits::throttle::{Next, Throttle};

    fn request(number: u8) -> RequestId {
        RequestId::from_bytes([number; 16])
    }

    #[tokio::test]
    async fn a_request_sent_again_shares_the_outcome_of_the_first() {
        let pending = Pending::new();
        assert!(matches!(pending.known(&request(1)), Known::No));
        assert!(matches!(pending.issue(request(1), &mut None, None), Issue::Registered));
        let Known::Storing(second) = pending.known(&request(1)) else { panic!("not joined") };
        let Issue::Known(Known::Storing(third)) = pending.issue(request(1), &mut None, None) else {
            panic!("not joined")
        };
        pending.record_stored(&request(1), &Ok(()));
        for joined in [second, third] {
            assert!(joined.await.expect("answered").is_ok());
        }
        assert!(matches!(pending.issue(request(1), &mut None, None), Issue::Known(Known::Stored)));
        assert_eq!(pending.len(), 1);
        pending.resolve(&request(1), None);
        assert_eq!(pending.len(), 0);
    }

    #[tokio::test]
    async fn unstored_requests_are_withdrawn_and_unknown_outcomes_resent() {
        let pending = Pending::new();
        pending.issue(request(1), &mut None, None);
        let Known::Storing(second) = pending.known(&request(1)) else { panic!("not joined") };
        pending.record_stored(&request(1), &Err(IntakeError::Finished));
        assert!(matches!(second.await, Ok(Err(IntakeError::Finished))));
        assert_eq!((pending.len(), pending.hint_of(&request(1))), (0, None));
        // A copy whose outcome is unknown stays, even if another copy is known not to be stored.
        pending.issue(request(2), &mut None, None);
        pending.record_stored(&request(2), &Err(IntakeError::OutcomeUnknown));
        assert!(matches!(pending.issue(request(2), &mut None, None), Issue::Registered));
        pending.record_stored(&request(2), &Err(IntakeError::Finished));
        assert_eq!((pending.len(), pending.hint_of(&request(2))), (1, Some(None)));
        // An adopted request is durable.
        pending.adopt(request(3));
        assert!(matches!(pending.known(&request(3)), Known::Stored));
    }

    #[tokio::test]
    async fn dropped_waiters_take_no_memory_and_the_others_are_woken() {
        let pending = Pending::new();
        pending.issue(request(1), &mut None, None);
        let first = pending.decided(&request(1)).expect("in flight");
        for _ in 0..1000 {
            drop(pending.decided(&request(1)).expect("in flight"));
        }
        let last = pending.decided(&request(1)).expect("in flight");
        let waiters = pending.shard(&request(1)).get(&request(1)).map(|it| it.waiters.len());
        assert!(waiters.is_some_and(|waiters| waiters <= 8), "{waiters:?}");
        pending.resolve(&request(1), None);
        for waiter in [first, last] {
            waiter.await.expect("decided");
        }
        assert!(pending.decided(&request(1)).is_none());
    }

    /// The throttle's count for a code without a hint, once the log has decided.
    fn pairs_after(recognised: Option<bool>) -> usize {
        let throttle = Throttle::new(&ThrottleConfig::default());
        let prefix = throttle.prefix("192.0.2.7".parse().expect("an address"));
        let origin = throttle.origin(prefix, &Nas::parse(b"000000001").expect("nine digits"));
        let now = Instant::now();
        let Ok(Next::Turn(turn)) = throttle.begin(origin, now, now) else { panic!("held up") };
        let pending = Pending::new();
        pending.issue(request(1), &mut Some(turn), None);
        pending.resolve(&request(1), recognised);
        throttle.pairs()
    }

    #[test]
    fn missing_hint_is_replaced_by_the_decision() {
        assert_eq!(pairs_after(Some(true)), 0);
        assert_eq!(pairs_after(Some(false)), 1);
        assert_eq!(pairs_after(None), 1);
    }

    #[test]
    fn a_request_decided_since_the_log_was_searched_is_not_registered() {
        let pending = Pending::new();
        let searched = pending.removals(&request(1));
        pending.issue(request(1), &mut None, Some(searched));
        pending.record_stored(&request(1), &Ok(()));
        pending.resolve(&request(1), None);
        let Issue::SearchAgain { removals } = pending.issue(request(1), &mut None, Some(searched))
        else {
            panic!("registered without a search")
        };
        assert_eq!(pending.len(), 0);
        // The search found nothing: another request of the same shard was decided.
        assert!(matches!(pending.issue(request(1), &mut None, Some(removals)), Issue::Registered));
        // A request in flight is joined, regardless of other decisions.
        pending.resolve(&request(65), None);
        assert!(matches!(
            pending.issue(request(1), &mut None, Some(removals)),
            Issue::Known(Known::Storing(_))
        ));
    }
}
