//! The lease of an epoch, as its node measures it.

use std::time::{Duration, Instant};

use votekit_core::id::Epoch;
use votekit_core::instant::UnixMillis;
use votekit_store::clock;

/// How long a lease lasts. A close waits this long, and voters are still answered for this long
/// while the ledger is unavailable.
pub(crate) const LEASE_LENGTH: Duration = Duration::from_secs(3);

/// The epoch in which a node publishes, and the end of its right to answer voters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    pub(crate) epoch: Epoch,
    until: Instant,
    /// The same end by the wall clock, which advances while the machine sleeps. The earlier of the
    /// two counts.
    until_by_wall: UnixMillis,
}

impl Lease {
    /// A lease of `length` from the moment `asked`, at which the wall clock read `at`.
    pub(crate) fn from(epoch: Epoch, asked: Instant, at: UnixMillis, length: Duration) -> Self {
        let milliseconds = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        Self {
            epoch,
            until: asked + length,
            until_by_wall: UnixMillis(at.0.saturating_add(milliseconds)),
        }
    }

    /// Whether voters may be answered under the lease now.
    pub(crate) fn is_valid(&self) -> bool {
        Instant::now() < self.until && clock::now() < self.until_by_wall
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lease_lasts_while_both_clocks_allow_it() {
        let minute = Duration::from_secs(60);
        assert!(Lease::from(Epoch(1), Instant::now(), clock::now(), minute).is_valid());
        assert!(!Lease::from(Epoch(1), Instant::now(), clock::now(), Duration::ZERO).is_valid());
        // The machine slept: the monotonic clock did not advance.
        let before_the_sleep = UnixMillis(clock::now().0 - 61_000);
        assert!(!Lease::from(Epoch(1), Instant::now(), before_the_sleep, minute).is_valid());
    }
}
