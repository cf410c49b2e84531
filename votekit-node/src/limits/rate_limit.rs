//! A rate with a burst, for the whole process or per key (address prefix or credential). Pure,
//! except for the clock of the keyed limits.

use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::limits::address_prefix::DigestKey;
use crate::limits::{DigestMap, SHARDS, shard_of};

/// A rate with a burst: the generic cell rate algorithm, on nanoseconds since any start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// The time after which one use of the rate is earned again; 0: there is no limit.
    interval_ns: u64,
    burst_ns: u64,
}

impl Rate {
    /// A number of uses a second, and a burst; 0 a second lifts the limit.
    pub(crate) fn per_second(rate: u32, burst: u32) -> Self {
        Self::per(1_000_000_000, rate, burst)
    }

    /// A number of uses a minute, and a burst; 0 a minute lifts the limit.
    pub(crate) fn per_minute(rate: u32, burst: u32) -> Self {
        Self::per(60_000_000_000, rate, burst)
    }

    fn per(period_ns: u64, rate: u32, burst: u32) -> Self {
        let interval_ns = period_ns.checked_div(u64::from(rate)).unwrap_or(0);
        Self { interval_ns, burst_ns: interval_ns.saturating_mul(u64::from(burst.max(1))) }
    }

    pub(crate) fn is_lifted(self) -> bool {
        self.interval_ns == 0
    }

    /// The time at which all uses will be earned again, with one more use now; or how long to wait
    /// before that use.
    pub(crate) fn after(self, earned_at_ns: u64, now_ns: u64) -> Result<u64, Duration> {
        let after = earned_at_ns.max(now_ns) + self.interval_ns;
        match after.saturating_sub(now_ns).checked_sub(self.burst_ns) {
            Some(wait @ 1..) if !self.is_lifted() => Err(Duration::from_nanos(wait)),
            _ => Ok(after),
        }
    }
}

/// A rate with a burst in one atomic word.
#[derive(Debug)]
pub struct RateLimit {
    start: Instant,
    rate: Rate,
    /// The time at which all uses so far will be earned again, in nanoseconds from the start.
    earned_at_ns: AtomicU64,
}

impl RateLimit {
    /// Creates a limit; 0 a second lifts it.
    pub fn new(per_second: u32, burst: u32) -> Self {
        let rate = Rate::per_second(per_second, burst);
        Self { start: Instant::now(), rate, earned_at_ns: AtomicU64::new(0) }
    }

    /// Returns how long to wait if no use is possible now. Records no use.
    pub fn check(&self, now: Instant) -> Result<(), Duration> {
        self.rate
            .after(self.earned_at_ns.load(Ordering::Relaxed), nanoseconds(self.start, now))
            .map(drop)
    }

    /// Records one use, or returns how long to wait. Costs one compare-and-swap.
    pub fn take(&self, now: Instant) -> Result<(), Duration> {
        let now_ns = nanoseconds(self.start, now);
        // Relaxed is enough: this word is the limiter's whole state.
        let mut earned_at_ns = self.earned_at_ns.load(Ordering::Relaxed);
        loop {
            let after = self.rate.after(earned_at_ns, now_ns)?;
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

    /// Records one use in any case, and returns how long to wait until it is earned: at most
    /// `wait_max`. Debt beyond that is forgotten.
    pub fn pace(&self, now: Instant, wait_max: Duration) -> Duration {
        let now_ns = nanoseconds(self.start, now);
        let Rate { interval_ns, burst_ns } = self.rate;
        let latest_ns =
            now_ns + burst_ns + u64::try_from(wait_max.as_nanos()).unwrap_or(u64::MAX / 2);
        let after =
            |earned_at_ns: u64| Some((earned_at_ns.max(now_ns) + interval_ns).min(latest_ns));
        let before_ns = self
            .earned_at_ns
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, after)
            // Not reached: `after` always returns a value.
            .unwrap_or_else(|before| before);
        let earned_at_ns = after(before_ns).unwrap_or(now_ns);
        Duration::from_nanos(earned_at_ns.saturating_sub(now_ns).saturating_sub(burst_ns))
    }
}

/// A rate with a burst for each key. A key that has its whole burst again equals a new key and is
/// evicted by [`KeyedRateLimit::forget_quiet`], so memory is bounded by the keys of that period.
///
/// Keys are kept as digests under a random key of this process, in shards as in the throttle.
pub struct KeyedRateLimit {
    start: Instant,
    rate: Rate,
    key: DigestKey,
    /// The time at which all uses by a key will be earned again.
    earned_at_ns: Vec<Mutex<DigestMap<u64>>>,
}

impl KeyedRateLimit {
    /// `rate` a second, with a burst of the same size; 0 lifts the limit.
    pub fn per_second(rate: u32) -> Self {
        Self::new(Rate::per_second(rate, rate))
    }

    /// `rate` a minute, with the given burst; 0 lifts the limit.
    pub fn per_minute(rate: u32, burst: u32) -> Self {
        Self::new(Rate::per_minute(rate, burst))
    }

    fn new(rate: Rate) -> Self {
        Self {
            start: Instant::now(),
            rate,
            key: DigestKey::random(),
            earned_at_ns: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Takes one, or returns how long to wait.
    pub fn take(&self, key: impl Hash) -> Result<(), Duration> {
        if self.rate.is_lifted() {
            return Ok(());
        }
        let digest = self.key.digest(key);
        let mut shard = self.earned_at_ns[shard_of(digest)].lock();
        let now_ns = nanoseconds(self.start, Instant::now());
        let earned_at_ns = shard.get(&digest).copied().unwrap_or(0);
        shard.insert(digest, self.rate.after(earned_at_ns, now_ns)?);
        Ok(())
    }

    /// Evicts keys that have their whole burst again. Called every few seconds.
    pub fn forget_quiet(&self) {
        let now_ns = nanoseconds(self.start, Instant::now());
        for shard in &self.earned_at_ns {
            let mut shard = shard.lock();
            shard.retain(|_, earned_at_ns| *earned_at_ns > now_ns);
            shard.shrink_to_fit();
        }
    }
}

impl fmt::Debug for KeyedRateLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: usize = self.earned_at_ns.iter().map(|shard| shard.lock().len()).sum();
        write!(formatter, "KeyedRateLimit({keys} keys)")
    }
}

fn nanoseconds(start: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(start).as_nanos()).unwrap_or(u64::MAX / 2)
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
        let taken = (0..100).filter(|_| limit.take(prefix("192.0.2.1")).is_ok()).count();
        assert!((5..100).contains(&taken), "{taken}");
        assert_eq!(limit.take(prefix("192.0.2.2")), Ok(()));
        limit.forget_quiet();
        assert!(
            (0..100).any(|_| limit.take(prefix("192.0.2.1")).is_err()),
            "what is spent is not forgotten"
        );
        let lifted = KeyedRateLimit::per_second(0);
        assert!((0..10_000).all(|_| lifted.take(prefix("192.0.2.1")).is_ok()));
    }

    #[test]
    fn a_burst_and_then_a_few_a_minute() {
        let limit = KeyedRateLimit::per_minute(1, 3);
        assert_eq!((0..10).filter(|_| limit.take("one").is_ok()).count(), 3);
        let wait = limit.take("one").expect_err("spent");
        assert!((1..=60).contains(&wait.as_secs()), "{wait:?}");
        assert_eq!(limit.take("other"), Ok(()));
    }

    #[test]
    fn a_key_with_its_whole_burst_is_forgotten() {
        let limit = KeyedRateLimit::per_second(1_000_000);
        (0..1000).for_each(|key| assert_eq!(limit.take(key), Ok(())));
        assert_ne!(format!("{limit:?}"), "KeyedRateLimit(0 keys)");
        std::thread::sleep(Duration::from_millis(2));
        limit.forget_quiet();
        assert_eq!(format!("{limit:?}"), "KeyedRateLimit(0 keys)");
    }
}
