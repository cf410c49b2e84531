//! The clocks of this machine, and how steps back of the wall clock are handled.
//!
//! Wall-clock times are plain numbers here, all in one unit: the log's unit may differ from the
//! machine's.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use votekit_authority::monotonic::Monotonic;

/// The monotonic clock, from its first reading in this process.
pub(crate) fn monotonic() -> Monotonic {
    static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    Monotonic(ORIGIN.elapsed())
}

/// The maximum time by which the wall clock may be behind the floor while the clock reads the
/// floor, in milliseconds.
pub(crate) const HELD_MAX_MILLIS: u64 = 10_000;

/// The wall clock is behind the floor by more than the maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stepped {
    /// How far behind the floor.
    pub(crate) by: u64,
}

/// A clock that never reads below its floor: the latest time that was sealed or issued. After a
/// small step back of the wall clock it reads the floor; a larger step is reported.
#[derive(Debug)]
pub(crate) struct HeldClock {
    floor: AtomicU64,
    held_max: u64,
}

impl HeldClock {
    /// A clock that reads the floor after steps back of at most `held_max`.
    pub(crate) const fn new(floor: u64, held_max: u64) -> Self {
        Self { floor: AtomicU64::new(floor), held_max }
    }

    /// Raises the floor to a time that was sealed or issued: no later reading is below it.
    pub(crate) fn raise(&self, time: u64) {
        self.floor.fetch_max(time, Ordering::Relaxed);
    }

    /// The latest time that was sealed or issued.
    pub(crate) fn floor(&self) -> u64 {
        self.floor.load(Ordering::Relaxed)
    }

    /// The time to use while the wall clock reads `wall`.
    pub(crate) fn read(&self, wall: u64) -> Result<u64, Stepped> {
        let floor = self.floor();
        match floor.saturating_sub(wall) {
            0 => Ok(wall),
            by if by <= self.held_max => Ok(floor),
            by => Err(Stepped { by }),
        }
    }
}

/// Planned closing times that have passed. A time that has passed stays passed, even if the clock
/// steps back later.
#[derive(Debug, Default)]
pub(crate) struct PassedCloses(AtomicU64);

impl PassedCloses {
    /// Records a closing time if it has passed at `now`, and returns whether it has ever passed.
    pub(crate) fn has_come(&self, closes: u64, now: u64) -> bool {
        if now >= closes {
            self.0.fetch_max(closes, Ordering::Relaxed);
        }
        closes <= self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_small_step_is_held_and_a_large_one_is_reported() {
        let clock = HeldClock::new(0, 10);
        assert_eq!(clock.read(100), Ok(100));
        clock.raise(100);
        assert_eq!(clock.read(101), Ok(101));
        assert_eq!(clock.read(90), Ok(100), "held");
        assert_eq!(clock.read(89), Err(Stepped { by: 11 }));
        clock.raise(50);
        assert_eq!(clock.read(95), Ok(100), "the floor never sinks");
        assert_eq!(clock.read(200), Ok(200), "a reading alone raises nothing");
        assert_eq!(clock.read(100), Ok(100));
    }

    #[test]
    fn a_close_that_has_passed_stays_passed_and_a_later_one_does_not() {
        let passed = PassedCloses::default();
        assert!(!passed.has_come(100, 99));
        assert!(passed.has_come(100, 100));
        assert!(passed.has_come(100, 5), "the clock stepped back");
        assert!(!passed.has_come(101, 5), "another plan");
    }

    proptest! {
        /// For any readings of the wall clock, times that are issued and recorded never decrease,
        /// and none is ahead of the wall clock by more than the limit.
        #[test]
        fn times_given_out_never_decrease(walls in proptest::collection::vec(0_u64..1000, 1..50)) {
            let clock = HeldClock::new(0, 10);
            let mut last = 0;
            for wall in walls {
                match clock.read(wall) {
                    Ok(time) => {
                        prop_assert!(time >= last && time >= wall && time - wall <= 10);
                        clock.raise(time);
                        last = time;
                    }
                    Err(Stepped { by }) => prop_assert_eq!(wall + by, last),
                }
            }
        }
    }
}
