//! Requests on their way: issued by this node and not yet decided. In memory only.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;
use votekit_core::id::RequestId;

use crate::engine::Expectation;
use crate::throttle::Origin;

const SHARDS: usize = 64;

/// The requests on their way, in parts that are locked on their own.
pub(crate) struct Pending {
    shards: Vec<Mutex<Shard>>,
}

type Shard = HashMap<RequestId, Waiting, BuildHasherDefault<RequestHasher>>;

#[derive(Default)]
struct Waiting {
    /// Copies of the request on their way: the same request may come again before it is decided.
    copies: u32,
    /// When this node issued it.
    issued: Option<Instant>,
    expected: Option<Expectation>,
    /// Kept until the label tells whether the credential was right, then dropped.
    origin: Option<Origin>,
    waiters: Vec<oneshot::Sender<()>>,
}

impl Pending {
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Notes a request before its batch is published.
    pub(crate) fn issue(&self, request: RequestId, origin: Option<Origin>) {
        let mut shard = self.shard(&request);
        let waiting = shard.entry(request).or_default();
        waiting.copies += 1;
        waiting.issued.get_or_insert_with(Instant::now);
        waiting.origin = origin.or(waiting.origin.take());
    }

    /// Notes a request that another node issued, or an earlier life of this one, unless it is
    /// noted.
    pub(crate) fn adopt(&self, request: RequestId) {
        let mut shard = self.shard(&request);
        shard.entry(request).or_insert_with(|| Waiting { copies: 1, ..Waiting::default() });
    }

    /// Notes what to expect, and gives back where the request came from, once.
    pub(crate) fn label(&self, request: &RequestId, expected: Expectation) -> Option<Origin> {
        let mut shard = self.shard(request);
        let waiting = shard.get_mut(request)?;
        waiting.expected = Some(expected);
        waiting.origin.take()
    }

    /// Takes back one copy of a request, which was not stored. Other copies go on.
    pub(crate) fn withdraw(&self, request: &RequestId) {
        let mut shard = self.shard(request);
        if let Some(waiting) = shard.get_mut(request) {
            waiting.copies = waiting.copies.saturating_sub(1);
            if waiting.copies == 0 {
                shard.remove(request);
            }
        }
    }

    /// Removes a request that is decided, and wakes who waits for it. Gives when this node issued
    /// it, if it did.
    pub(crate) fn resolve(&self, request: &RequestId) -> Option<Instant> {
        let waiting = self.shard(request).remove(request)?;
        for waiter in waiting.waiters {
            // The connection may have ended meanwhile.
            let _ = waiter.send(());
        }
        waiting.issued
    }

    /// Lets go of all requests that are decided, and wakes who waits for them.
    pub(crate) fn resolve_where(&self, is_decided: impl Fn(&RequestId) -> bool) {
        for shard in &self.shards {
            let decided: Vec<Waiting> = lock(shard)
                .extract_if(|request, _| is_decided(request))
                .map(|(_, waiting)| waiting)
                .collect();
            for waiter in decided.into_iter().flat_map(|waiting| waiting.waiters) {
                // Whoever waited may have gone away.
                let _ = waiter.send(());
            }
        }
    }

    /// What is known of a request: `None` when it is not on its way.
    pub(crate) fn expected(&self, request: &RequestId) -> Option<Option<Expectation>> {
        self.shard(request).get(request).map(|waiting| waiting.expected)
    }

    /// Resolves when the request is decided. `None` when it is not on its way.
    pub(crate) fn decided(&self, request: &RequestId) -> Option<oneshot::Receiver<()>> {
        let mut shard = self.shard(request);
        let waiting = shard.get_mut(request)?;
        let (sender, receiver) = oneshot::channel();
        waiting.waiters.push(sender);
        Some(receiver)
    }

    /// Requests on their way.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    fn shard(&self, request: &RequestId) -> MutexGuard<'_, Shard> {
        lock(&self.shards[usize::from(request.as_bytes()[15]) % SHARDS])
    }
}

/// No code panics while it holds a shard half changed, so a poisoned lock is as good as another.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Request ids are random or the output of a keyed hash, and no voter can choose one: their own
/// bytes are the hash.
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
