//! A rate with a burst, for the whole process or per key (address prefix or credential). Pure,
//! except for the clock of the keyed limits.

use std::fmt;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

/// `per_second` a second, with a burst: the generic cell rate algorithm in one atomic word.
#[derive(Debug)]
pub struct RateLimit {
    start: Instant,
    /// The time one unit takes to earn; 0: no limit.
    interval_ns: u64,
    burst_ns: u64,
    /// When everything taken so far is earned, in nanoseconds from the start.
    earned_at_ns: AtomicU64,
}

impl RateLimit {
    /// Creates a limit; 0 a second lifts it.
    pub fn new(per_second: u32, burst: u32) -> Self {
        let interval_ns = 1_000_000_000_u64.checked_div(u64::from(per_second)).unwrap_or(0);
        let burst_ns = interval_ns * u64::from(burst.max(1));
        Self { start: Instant::now(), interval_ns, burst_ns, earned_at_ns: AtomicU64::new(0) }
    }

    /// Returns how long to wait if nothing can be taken now. Takes nothing.
    pub fn check(&self, now: Instant) -> Result<(), Duration> {
        self.after_taking(self.earned_at_ns.load(Ordering::Relaxed), self.nanoseconds(now))
            .map(drop)
    }

    /// Takes one, or returns how long to wait. Costs one compare-and-swap.
    pub fn take(&self, now: Instant) -> Result<(), Duration> {
        let now_ns = self.nanoseconds(now);
        // Relaxed is enough: this word is the limiter's whole state.
        let mut earned_at_ns = self.earned_at_ns.load(Ordering::Relaxed);
        loop {
            let after = self.after_taking(earned_at_ns, now_ns)?;
            match self.earned_at_ns.compare_exchange_weak(
                earned_at_ns,
                after,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(other) => earned_at_ns = other,
            }
        }
    }

    /// Takes one in any case, and returns how long to wait until it is earned: at most `wait_max`.
    /// Debt beyond that is forgotten.
    pub fn pace(&self, now: Instant, wait_max: Duration) -> Duration {
        let now_ns = self.nanoseconds(now);
        let latest_ns =
            now_ns + self.burst_ns + u64::try_from(wait_max.as_nanos()).unwrap_or(u64::MAX / 2);
        let after =
            |earned_at_ns: u64| Some((earned_at_ns.max(now_ns) + self.interval_ns).min(latest_ns));
        let before_ns = self
            .earned_at_ns
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, after)
            .unwrap_or_else(|before| before);
        let earned_at_ns = after(before_ns).unwrap_or(now_ns);
        Duration::from_nanos(earned_at_ns.saturating_sub(now_ns).saturating_sub(self.burst_ns))
    }

    fn after_taking(&self, earned_at_ns: u64, now_ns: u64) -> Result<u64, Duration> {
        let after = earned_at_ns.max(now_ns) + self.interval_ns;
        match after.saturating_sub(now_ns).checked_sub(self.burst_ns) {
            Some(wait @ 1..) if self.interval_ns > 0 => Err(Duration::from_nanos(wait)),
            _ => Ok(after),
        }
    }

    fn nanoseconds(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX / 2)
    }
}

/// A rate with a burst for each key. A key that has its whole burst again is as good as new and is
/// evicted by [`KeyedRateLimit::forget_quiet`], so memory is bounded by the keys of that period.
pub struct KeyedRateLimit<K: Hash + Eq + Clone> {
    limiter: Option<DefaultKeyedRateLimiter<K>>,
    clock: DefaultClock,
}

impl<K: Hash + Eq + Clone> KeyedRateLimit<K> {
    /// `rate` a second, with a burst of the same size; 0 lifts the limit.
    pub fn per_second(rate: u32) -> Self {
        Self::of(NonZeroU32::new(rate).map(Quota::per_second))
    }

    /// `rate` a minute, with the given burst; 0 lifts the limit.
    pub fn per_minute(rate: u32, burst: u32) -> Self {
        let rates = NonZeroU32::new(rate).zip(NonZeroU32::new(burst));
        Self::of(rates.map(|(rate, burst)| Quota::per_minute(rate).allow_burst(burst)))
    }

    fn of(quota: Option<Quota>) -> Self {
        Self { limiter: quota.map(DefaultKeyedRateLimiter::keyed), clock: DefaultClock::default() }
    }

    /// Takes one, or returns how long to wait.
    pub fn take(&self, key: &K) -> Result<(), Duration> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        limiter.check_key(key).map_err(|until| until.wait_time_from(self.clock.now()))
    }

    /// Evicts keys that have their whole burst again. Called every few seconds.
    pub fn forget_quiet(&self) {
        if let Some(limiter) = &self.limiter {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

impl<K: Hash + Eq + Clone> fmt::Debug for KeyedRateLimit<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "KeyedRateLimit({} keys)",
            self.limiter.as_ref().map_or(0, DefaultKeyedRateLimiter::len)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ThrottleConfig;
    use crate::limits::throttle::Throttle;

    #[test]
    fn a_burst_then_the_rate_and_zero_lifts_the_limit() {
        let limit = RateLimit::new(10, 3);
        let start = limit.start;
        for _ in 0..3 {
            assert_eq!(limit.check(start), Ok(()), "asking takes nothing");
            assert_eq!(limit.take(start), Ok(()));
        }
        let wait = Duration::from_millis(100);
        assert_eq!((limit.check(start), limit.take(start)), (Err(wait), Err(wait)));
        assert_eq!(limit.take(start + wait), Ok(()));
        assert_eq!(limit.take(start + wait), Err(wait));
        let later = start + Duration::from_secs(60);
        assert_eq!(
            (0..10).filter(|_| limit.take(later).is_ok()).count(),
            3,
            "a long rest earns one burst"
        );
        let lifted = RateLimit::new(0, 1);
        assert!((0..10_000).all(|_| lifted.take(lifted.start).is_ok()));
    }

    #[test]
    fn a_pace_is_kept_by_waiting_and_no_wait_is_longer_than_allowed() {
        let limit = RateLimit::new(10, 2);
        let (start, longest) = (limit.start, Duration::from_millis(250));
        let waits: Vec<_> = (0..8).map(|_| limit.pace(start, longest).as_millis()).collect();
        assert_eq!(waits, [0, 0, 100, 200, 250, 250, 250, 250]);
        assert_eq!(limit.pace(start + Duration::from_secs(60), longest), Duration::ZERO);
        let lifted = RateLimit::new(0, 1);
        assert!((0..1000).all(|_| lifted.pace(lifted.start, longest) == Duration::ZERO));
    }

    #[test]
    fn each_prefix_has_its_own_share() {
        let throttle = Throttle::new(&ThrottleConfig::default());
        let prefix = |address: &str| throttle.prefix(address.parse().expect("an address"));
        let limit = KeyedRateLimit::per_second(5);
        let taken = (0..100).filter(|_| limit.take(&prefix("192.0.2.1")).is_ok()).count();
        assert!((5..100).contains(&taken), "{taken}");
        assert_eq!(limit.take(&prefix("192.0.2.2")), Ok(()));
        limit.forget_quiet();
        assert!(
            (0..100).any(|_| limit.take(&prefix("192.0.2.1")).is_err()),
            "what is spent is not forgotten"
        );
        let lifted = KeyedRateLimit::per_second(0);
        assert!((0..10_000).all(|_| lifted.take(&prefix("192.0.2.1")).is_ok()));
    }

    #[test]
    fn a_burst_and_then_a_few_a_minute() {
        let limit = KeyedRateLimit::per_minute(1, 3);
        assert_eq!((0..10).filter(|_| limit.take(&"one").is_ok()).count(), 3);
        let wait = limit.take(&"one").expect_err("spent");
        assert!((1..=60).contains(&wait.as_secs()), "{wait:?}");
        assert_eq!(limit.take(&"other"), Ok(()));
    }
}
