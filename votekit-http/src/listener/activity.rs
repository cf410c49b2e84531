//! The activity of a connection: waiting for its client, or working on a request. A waiting
//! connection may be evicted, a working one may not.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, Incoming, SizeHint};

/// The states in one word: working, leaving (evicted), or else the millisecond since which the
/// connection waits.
const WORKING: u64 = 0;
const LEAVING: u64 = u64::MAX;

/// The activity of one connection. A connection waits until a request is complete, and again once
/// it is answered.
#[derive(Debug)]
pub(super) struct Activity {
    state: AtomicU64,
}

impl Activity {
    /// Creates the activity of a connection that waits from now on. Times are milliseconds, from 1,
    /// since a start that all connections share.
    pub(super) fn waiting(now_ms: u64) -> Self {
        Self { state: AtomicU64::new(now_ms) }
    }

    /// Marks the connection as working on a request. `false` if it was evicted before: then it must
    /// not begin the request.
    pub(super) fn work(&self) -> bool {
        let works = |state| (state != LEAVING).then_some(WORKING);
        self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, works).is_ok()
    }

    /// Marks the connection as waiting for its next request.
    pub(super) fn wait(&self, now_ms: u64) {
        let waits = |state| (state != LEAVING).then_some(now_ms);
        // An evicted connection stays evicted.
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, waits);
    }

    /// The time since which the connection waits; `None` while it works or leaves.
    pub(super) fn waiting_since(&self) -> Option<u64> {
        Some(self.state.load(Ordering::Acquire)).filter(|state| ![WORKING, LEAVING].contains(state))
    }

    /// Evicts the connection, unless it has worked since `since_ms`.
    pub(super) fn dismiss(&self, since_ms: u64) -> bool {
        // Compared exactly: a connection that has worked since then has another time, or none.
        self.state.compare_exchange(since_ms, LEAVING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// A request body that marks its connection as working once it is complete.
pub(super) struct WatchedBody {
    body: Incoming,
    activity: Arc<Activity>,
}

impl WatchedBody {
    pub(super) fn new(body: Incoming, activity: Arc<Activity>) -> Self {
        Self { body, activity }
    }
}

impl Body for WatchedBody {
    type Data = <Incoming as Body>::Data;
    type Error = <Incoming as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) && !self.activity.work() {
            // The connection was evicted: it is being dropped, together with the reader of this
            // body.
            return Poll::Pending;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        // The reader must poll the end itself: that is where the connection begins to work.
        false
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_idle_connections_are_dismissed_and_then_begin_no_request() {
        let activity = Activity::waiting(7);
        assert_eq!(activity.waiting_since(), Some(7));
        assert!(activity.work());
        assert_eq!(activity.waiting_since(), None);
        assert!(!activity.dismiss(7), "it works");
        activity.wait(9);
        assert!(!activity.dismiss(7), "it has worked since");
        assert!(activity.dismiss(9));
        assert!(!activity.dismiss(9), "once");
        activity.wait(11);
        assert!(!activity.work());
        assert_eq!(activity.waiting_since(), None);
    }
}
