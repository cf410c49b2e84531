//! What a connection is doing: waiting for its client, or working for it. One that waits may be
//! told to leave; one that works may not.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, Incoming, SizeHint};

/// The states in one word: working, told to leave, or else the millisecond since which the
/// connection waits.
const WORKING: u64 = 0;
const LEAVING: u64 = u64::MAX;

/// The activity of one connection. A connection waits until a request has come whole, and again
/// from its answer on.
#[derive(Debug)]
pub(super) struct Activity {
    state: AtomicU64,
}

impl Activity {
    /// A connection that waits from now on; times are milliseconds from 1, of any start that all
    /// connections share.
    pub(super) fn waiting(now_ms: u64) -> Self {
        Self { state: AtomicU64::new(now_ms) }
    }

    /// A request is here: the connection works. `false` when it was told to leave before; then
    /// nothing may be begun.
    pub(super) fn work(&self) -> bool {
        let works = |state| (state != LEAVING).then_some(WORKING);
        self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, works).is_ok()
    }

    /// The request is answered: the connection waits for the next one.
    pub(super) fn wait(&self, now_ms: u64) {
        let waits = |state| (state != LEAVING).then_some(now_ms);
        // One that was told to leave leaves.
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, waits);
    }

    /// Since when the connection waits; `None` while it works or leaves.
    pub(super) fn waiting_since(&self) -> Option<u64> {
        Some(self.state.load(Ordering::Acquire)).filter(|state| ![WORKING, LEAVING].contains(state))
    }

    /// Tells the connection to leave, if it still waits since then.
    pub(super) fn dismiss(&self, since_ms: u64) -> bool {
        self.state.compare_exchange(since_ms, LEAVING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// The body of a request. When it has come whole the connection works.
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
            // The connection is being dropped, and with it whoever reads.
            return Poll::Pending;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        // Whoever reads comes to the end itself: there the connection begins to work.
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
    fn only_who_waits_is_dismissed_and_then_begins_nothing() {
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
