//! Time that never goes back.

use std::ops::Add;
use std::time::Duration;

/// A time on the monotonic clock of one process, as the duration since an origin that the driver
/// chooses. Not comparable between processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(pub Duration);

impl Add<Duration> for Monotonic {
    type Output = Self;

    /// A later time; the end of time where that would overflow.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}
