//! The throttle on wrong codes: makes guessing infeasible, without a way to probe an elector or to
//! lock an elector out.
//!
//! ```text
//! state     wrong codes by pair of address prefix and NAS: 5 free, then waits of 1, 2, 4 … 60 s
//! correct   a correct vote, a repeat, a duplicate: changes nothing, and earns nothing
//! budget    20 wrong codes a second are stored, 2 of them per prefix; the others are only answered
//! ```
//!
//! No counter depends on the NAS alone: anyone who knows a NAS could learn from it when its elector
//! voted, and could lock the elector out. No counter depends on the prefix alone: one of many
//! voters behind an address would block the others. The state machines (`pairs`, `WrongBudget`)
//! take the time as an argument; the clock, the locks and the waiting are here.
//!
//! Addresses and NAS are kept as digests under a key that exists only as long as the process.
//!
//! Signing in with an account counts in the same way, in a throttle that is separate from that of
//! the votes: the subject of its pairs is the e-mail address.

mod pairs;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use votekit_core::credential::Nas;

use self::pairs::{AttemptId, Begin, Millis, PairRules, Pairs};
use crate::config::ThrottleConfig;
use crate::limits::address_prefix::{DigestKey, Shares};
use crate::limits::rate_limit::Rate;
use crate::limits::{SHARDS, shard_of};
use crate::metrics;

pub use crate::limits::address_prefix::Prefix;

/// The source address and the subject of an attempt, a NAS or another name, as keyed digests. Kept
/// in memory only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    prefix: Prefix,
    /// `None` for another subject: the metric of wrong codes is about NAS.
    nas: Option<u64>,
    pair: u64,
}

impl fmt::Debug for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Origin(redacted)")
    }
}

/// The throttle of one process. Shared by all tasks.
pub struct Throttle {
    enabled: bool,
    key: DigestKey,
    start: Instant,
    shards: Vec<Shard>,
    budget: Mutex<WrongBudget>,
    by_nas: Mutex<WrongByNas>,
}

/// A part of the pairs, with its own lock.
struct Shard {
    pairs: Mutex<Pairs>,
    /// Notified when the result of an attempt is known for which others may wait.
    hints_recorded: Notify,
}

impl Throttle {
    /// Creates an empty throttle.
    #[must_use]
    pub fn new(config: &ThrottleConfig) -> Arc<Self> {
        Self::starting_at(config, Instant::now())
    }

    /// As [`Throttle::new`]; no later call may pass an earlier time.
    pub(crate) fn starting_at(config: &ThrottleConfig, start: Instant) -> Arc<Self> {
        let milliseconds = |seconds: u64| seconds.saturating_mul(1000);
        let rules = PairRules {
            wrong_free: config.wrong_free,
            delay_min_ms: milliseconds(config.delay_seconds_min),
            delay_max_ms: milliseconds(config.delay_seconds_max),
            forget_ms: milliseconds(config.forget_seconds.max(config.delay_seconds_max)),
        };
        let pairs_max = if config.enabled { config.pairs_max / SHARDS } else { 0 };
        let shard = |_| Shard {
            pairs: Mutex::new(Pairs::new(rules.clone(), pairs_max)),
            hints_recorded: Notify::new(),
        };
        Arc::new(Self {
            enabled: config.enabled,
            key: DigestKey::random(),
            start,
            shards: (0..SHARDS).map(shard).collect(),
            budget: Mutex::new(WrongBudget::new(
                config.wrong_stored_per_second,
                config.wrong_stored_per_address_per_second,
            )),
            by_nas: Mutex::default(),
        })
    }

    /// Digests an address: the IPv4 address, or the IPv6 /64.
    #[must_use]
    pub fn prefix(&self, address: IpAddr) -> Prefix {
        self.key.prefix(address)
    }

    /// Digests an address and, unless `narrow_only`, the networks around it.
    pub fn shares(&self, address: IpAddr, narrow_only: bool) -> Shares {
        self.key.shares(address, narrow_only)
    }

    /// Digests the NAS together with the prefix it came from.
    #[must_use]
    pub fn origin(&self, prefix: Prefix, nas: &Nas) -> Origin {
        let nas = self.key.digest(nas.as_bytes());
        Origin { prefix, nas: Some(nas), pair: self.key.digest((prefix, nas)) }
    }

    /// Digests another subject, such as an e-mail address, together with the prefix. The subject
    /// must be in its canonical form: two spellings are two pairs.
    #[must_use]
    pub fn origin_of(&self, prefix: Prefix, subject: &[u8]) -> Origin {
        Origin { prefix, nas: None, pair: self.key.digest((prefix, subject)) }
    }

    /// Waits for the turn of an attempt that arrives now. Once this succeeds, the caller may check
    /// the code.
    ///
    /// # Errors
    /// How long the pair has to wait.
    pub async fn turn(self: &Arc<Self>, origin: Origin) -> Result<Turn, Duration> {
        let arrived = Instant::now();
        let hints_recorded = &self.shard(origin.pair).hints_recorded;
        loop {
            // Registered before the check, so that a result in between is not missed.
            let mut notified = std::pin::pin!(hints_recorded.notified());
            notified.as_mut().enable();
            match self.begin(origin, arrived, Instant::now())? {
                Next::Turn(turn) => return Ok(turn),
                Next::InTurn(wait) => drop(tokio::time::timeout(wait, notified).await),
            }
        }
    }

    /// Checks once whether it is the attempt's turn.
    ///
    /// # Errors
    /// How long the pair has to wait.
    pub(crate) fn begin(
        self: &Arc<Self>,
        origin: Origin,
        arrived: Instant,
        now: Instant,
    ) -> Result<Next, Duration> {
        let turn = |attempt| Turn { throttle: Arc::clone(self), origin, attempt };
        if !self.enabled {
            return Ok(Next::Turn(turn(None)));
        }
        let (arrived, now) = (self.millis(arrived), self.millis(now));
        match self.shard(origin.pair).pairs.lock().begin(origin.pair, arrived, now) {
            Begin::Turn(attempt) => Ok(Next::Turn(turn(Some(attempt)))),
            Begin::InTurn { wait_ms } => Ok(Next::InTurn(Duration::from_millis(wait_ms))),
            Begin::Refused { wait_ms } => Err(Duration::from_millis(wait_ms)),
        }
    }

    /// Takes one stored wrong code from the budget.
    ///
    /// # Errors
    /// How long to wait when the budget is spent; the vote must not be stored then.
    pub(crate) fn store_wrong(&self, origin: &Origin, now: Instant) -> Result<(), Duration> {
        if !self.enabled {
            return Ok(());
        }
        self.budget.lock().take(origin.prefix, self.millis(now))
    }

    /// Counts attempts whose hint is overdue for too long as wrong. Called every few seconds.
    pub(crate) fn expire_hints(&self, now: Instant) {
        for shard in &self.shards {
            shard.pairs.lock().expire_hints(self.millis(now));
        }
    }

    /// The number of remembered pairs of prefix and NAS. Reads the whole table.
    pub(crate) fn pairs(&self) -> usize {
        self.shards.iter().map(|shard| shard.pairs.lock().len()).sum()
    }

    fn record(&self, origin: &Origin, attempt: AttemptId, is_wrong: bool) {
        let shard = self.shard(origin.pair);
        let mut pairs = shard.pairs.lock();
        if is_wrong {
            pairs.record_failure(origin.pair, attempt);
        } else {
            pairs.clear(origin.pair, attempt);
        }
        drop(pairs);
        shard.hints_recorded.notify_waiters();
        if let Some(nas) = origin.nas.filter(|_| is_wrong) {
            metrics::wrong_code(self.by_nas.lock().count(nas));
        }
    }

    fn shard(&self, pair: u64) -> &Shard {
        &self.shards[shard_of(pair)]
    }

    fn millis(&self, at: Instant) -> Millis {
        let elapsed = at.saturating_duration_since(self.start).as_millis();
        Millis(u64::try_from(elapsed).unwrap_or(u64::MAX / 2))
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Throttle({} pairs)", self.pairs())
    }
}

/// The result of [`Throttle::begin`].
pub(crate) enum Next {
    /// The caller may check the code.
    Turn(Turn),
    /// The result of an earlier attempt of the pair is not known yet: check again once it is, or
    /// after this time.
    InTurn(Duration),
}

/// The turn of one attempt, until its result is known. Dropping it clears the attempt: the code was
/// right, or the vote was a repeat or a duplicate, or the code was never checked.
pub struct Turn {
    throttle: Arc<Throttle>,
    origin: Origin,
    /// `None` once the result is known, or without a throttle.
    attempt: Option<AttemptId>,
}

impl Turn {
    /// The attempt's origin.
    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    /// Records the code as wrong; also used when no hint can arrive any more.
    pub fn record_failure(mut self) {
        if let Some(attempt) = self.attempt.take() {
            self.throttle.record(&self.origin, attempt, true);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            self.throttle.record(&self.origin, attempt, false);
        }
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Turn(redacted)")
    }
}

/// Wrong codes by NAS, for a metric only: refuses nothing. A table of fixed size that forgets by
/// overwriting.
#[derive(Default)]
struct WrongByNas {
    slots: Vec<(u64, u32)>,
}

/// Slots of [`WrongByNas`]: one megabyte.
const NAS_SLOTS: usize = 1 << 16;

impl WrongByNas {
    /// Counts a wrong code, and returns the count for the NAS.
    fn count(&mut self, nas: u64) -> u32 {
        if self.slots.is_empty() {
            self.slots = vec![(0, 0); NAS_SLOTS];
        }
        let (digest, count) = &mut self.slots[(nas >> 16) as usize % NAS_SLOTS];
        *count = if *digest == nas { count.saturating_add(1) } else { 1 };
        *digest = nas;
        *count
    }
}

/// The budget for storing votes with a wrong code: a total rate, and a lower rate per prefix, so
/// that one attacker cannot use up the budget. Only wrong codes change it. Each rate has a burst of
/// one second's worth.
struct WrongBudget {
    all: Rate,
    all_earned_ns: u64,
    of_prefix: Rate,
    /// The time at which each prefix will have earned its uses again. After that time a prefix is
    /// dropped, so the map contains only the prefixes of the votes stored in the last second or
    /// two.
    by_prefix: HashMap<Prefix, u64>,
}

impl WrongBudget {
    fn new(per_second: u32, per_prefix_per_second: u32) -> Self {
        Self {
            all: Rate::per_second(per_second, per_second),
            all_earned_ns: 0,
            of_prefix: Rate::per_second(per_prefix_per_second, per_prefix_per_second),
            by_prefix: HashMap::new(),
        }
    }

    /// Records one use for a prefix, or returns how long to wait. A refusal records no use.
    fn take(&mut self, prefix: Prefix, now: Millis) -> Result<(), Duration> {
        let now_ns = now.0.saturating_mul(1_000_000);
        let earned_ns = self.by_prefix.get(&prefix).copied().unwrap_or(0);
        // Both are checked before either is stored, so that a refusal changes neither.
        let prefix_after_ns = self.of_prefix.after(earned_ns, now_ns)?;
        self.all_earned_ns = self.all.after(self.all_earned_ns, now_ns)?;
        if !self.of_prefix.is_lifted() {
            self.by_prefix.retain(|_, earned_ns| *earned_ns > now_ns);
            self.by_prefix.insert(prefix, prefix_after_ns);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "throttle_test.rs"]
mod tests;
