//! The back-off on wrong credentials, by address prefix and by NAS, before anything is stored.
//! Pure: it is handed instants.
//!
//! ```text
//! wrong 1 … free        nothing happens; rights of the same prefix earn further free ones
//! wrong free + k        the next attempt waits 2^(k-1) seconds, five minutes at the most, and so does every attempt beside it
//! ```
//!
//! A wrong credential is counted when it is admitted, if the registry can tell by a glance; else
//! with its label, some milliseconds after the attempt. Once the free attempts are spent, an
//! attempt that is let through therefore blocks its prefix (and NAS) at once for as long as if it
//! were wrong; a right one lifts the block again. So nobody gains by guessing in parallel.
//!
//! Only keyed digests are kept, under a key that lives and dies with the process, and quiet entries
//! are forgotten: memory has a bound.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use votekit_core::credential::Nas;

/// How many wrong credentials are free, and how long the waits are after that.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ThrottleConfig {
    /// Whether there is any back-off.
    pub enabled: bool,
    /// Wrong credentials that an address prefix (an IPv4 address, an IPv6 /64) has free.
    pub prefix_free: u32,
    /// Right credentials, of as many electors, that earn their prefix one more free wrong one; 0:
    /// none do.
    pub prefix_rights_per_wrong: u32,
    /// Wrong credentials that a NAS has free, from anywhere.
    pub nas_free: u32,
    /// The first wait, in seconds. Each further wrong credential doubles it.
    pub delay_seconds_min: u64,
    /// The longest wait, in seconds.
    pub delay_seconds_max: u64,
    /// After so many seconds without an attempt everything about a prefix or NAS is forgotten; at
    /// least twice the longest wait.
    pub quiet_seconds: u64,
    /// The most prefixes, and the most NAS, that are remembered.
    pub entries_max: usize,
    /// Votes a second with a credential of no roll that are stored, from everywhere together;
    /// beyond them they are refused. 0: all are stored.
    pub guesses_per_second: u32,
    /// How many of them may come at once.
    pub guesses_burst: u32,
}

impl Default for ThrottleConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            prefix_free: 20,
            prefix_rights_per_wrong: 4,
            nas_free: 5,
            delay_seconds_min: 1,
            delay_seconds_max: 300,
            quiet_seconds: 3600,
            entries_max: 1_000_000,
            guesses_per_second: 20,
            guesses_burst: 100,
        }
    }
}

/// An IPv4 address or an IPv6 /64, as a keyed digest. In memory only.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix(u64);

impl fmt::Debug for Prefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Prefix(redacted)")
    }
}

/// Where an attempt came from and whom it named, as keyed digests. In memory only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    prefix: u64,
    nas: u64,
}

impl fmt::Debug for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Origin(redacted)")
    }
}

/// The back-off of one process. Shared by all tasks.
pub struct Throttle {
    config: ThrottleConfig,
    key: RandomState,
    prefixes: Table,
    nas: Table,
    credited: Vec<Mutex<Vec<u64>>>,
}

impl Throttle {
    /// A throttle that remembers nothing yet.
    #[must_use]
    pub fn new(config: ThrottleConfig) -> Self {
        let table = |free| {
            let shard_entries_max = (config.entries_max / SHARDS).max(1);
            let delay_max = Duration::from_secs(config.delay_seconds_max);
            let rules = Rules {
                free_rights: u64::from(free) * u64::from(config.prefix_rights_per_wrong.max(1)),
                rights_per_wrong: u64::from(config.prefix_rights_per_wrong.max(1)),
                delay_min: Duration::from_secs(config.delay_seconds_min).min(delay_max),
                delay_max,
                quiet: Duration::from_secs(config.quiet_seconds).max(2 * delay_max),
                shard_entries_max,
            };
            Table { rules, shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
        };
        Self {
            prefixes: table(config.prefix_free),
            nas: table(config.nas_free),
            credited: (0..SHARDS).map(|_| Mutex::new(vec![0; CREDITED_SLOTS])).collect(),
            key: RandomState::new(),
            config,
        }
    }

    /// Digests an address: the IPv4 address or the IPv6 /64.
    #[must_use]
    pub fn prefix(&self, address: IpAddr) -> Prefix {
        Prefix(match address.to_canonical() {
            IpAddr::V4(address) => self.key.hash_one((4_u8, u64::from(address.to_bits()))),
            IpAddr::V6(address) => self.key.hash_one((6_u8, (address.to_bits() >> 64) as u64)),
        })
    }

    /// Digests the NAS beside the prefix it came from.
    #[must_use]
    pub fn origin(&self, prefix: Prefix, nas: &Nas) -> Origin {
        Origin { prefix: prefix.0, nas: self.key.hash_one(nas.as_bytes()) }
    }

    /// Whether a prefix is blocked, whomever its next attempt names. Changes nothing: asked before
    /// a body is read.
    ///
    /// # Errors
    /// The wait.
    pub fn check_prefix(&self, prefix: &Prefix, now: Instant) -> Result<(), Duration> {
        if !self.config.enabled {
            return Ok(());
        }
        let mut shard = self.prefixes.shard(prefix.0);
        let wait =
            shard.live(prefix.0, &self.prefixes.rules, now).and_then(|entry| entry.wait(now));
        wait.map_or(Ok(()), Err)
    }

    /// Lets an attempt through, or says how long to wait. Called before anything is stored.
    ///
    /// # Errors
    /// The wait, when the prefix or the NAS is blocked.
    pub fn check(&self, origin: &Origin, now: Instant) -> Result<(), Duration> {
        if !self.config.enabled {
            return Ok(());
        }
        // Both are asked before either is blocked by this attempt.
        let mut prefix = self.prefixes.shard(origin.prefix);
        let mut nas = self.nas.shard(origin.nas);
        let prefix = prefix.live(origin.prefix, &self.prefixes.rules, now);
        let nas = nas.live(origin.nas, &self.nas.rules, now);
        let wait = |entry: &Option<&mut Entry>| entry.as_ref().and_then(|entry| entry.wait(now));
        if let Some(wait) = wait(&prefix).max(wait(&nas)) {
            return Err(wait);
        }
        for (entry, rules) in [(prefix, &self.prefixes.rules), (nas, &self.nas.rules)] {
            if let Some(entry) = entry {
                entry.let_through(rules, now);
            }
        }
        Ok(())
    }

    /// An attempt turned out wrong: unknown or revoked.
    pub fn wrong(&self, origin: &Origin, now: Instant) {
        if !self.config.enabled {
            return;
        }
        for (table, digest) in [(&self.prefixes, origin.prefix), (&self.nas, origin.nas)] {
            table.shard(digest).touch(digest, &table.rules, now).wrong(&table.rules, now);
        }
    }

    /// An attempt turned out right. Its prefix earns credit, once an elector: an accepted request
    /// that is only repeated earns nothing.
    pub fn right(&self, origin: &Origin, now: Instant) {
        if !self.config.enabled {
            return;
        }
        self.nas.shard(origin.nas).entries.remove(&origin.nas);
        let earns = self.config.prefix_rights_per_wrong > 0 && self.is_news(origin.nas);
        let mut shard = self.prefixes.shard(origin.prefix);
        shard.touch(origin.prefix, &self.prefixes.rules, now).right(earns);
    }

    /// An attempt that was let through told nothing about guessing: it was a duplicate, or was not
    /// stored. It no longer holds up those beside it. Whoever guesses gains nothing by it: the next
    /// wrong attempt blocks as it would have.
    pub fn neither(&self, origin: &Origin) {
        if !self.config.enabled {
            return;
        }
        for (table, digest) in [(&self.prefixes, origin.prefix), (&self.nas, origin.nas)] {
            if let Some(entry) = table.shard(digest).entries.get_mut(&digest) {
                entry.blocked_until = None;
            }
        }
    }

    /// Whether a NAS was not credited lately. A table of fixed size that forgets by overwriting:
    /// who has one credential would need the votes of tens of thousands of others between two
    /// credits.
    fn is_news(&self, nas: u64) -> bool {
        let mut slots = lock(&self.credited[shard_of(nas)]);
        let slot = &mut slots[(nas >> 32) as usize % CREDITED_SLOTS];
        std::mem::replace(slot, nas) != nas
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |table: &Table| {
            table.shards.iter().map(|shard| lock(shard).entries.len()).sum::<usize>()
        };
        write!(formatter, "Throttle({} prefixes, {} NAS)", count(&self.prefixes), count(&self.nas))
    }
}

/// Parts of a table that are locked on their own.
const SHARDS: usize = 64;

/// Slots for credited NAS in a shard: half a megabyte in all.
const CREDITED_SLOTS: usize = 1024;

fn shard_of(digest: u64) -> usize {
    digest as usize % SHARDS
}

/// Prefixes, or NAS, by digest.
struct Table {
    rules: Rules,
    shards: Vec<Mutex<Shard>>,
}

struct Rules {
    /// The free attempts of a new entry, in rights.
    free_rights: u64,
    rights_per_wrong: u64,
    delay_min: Duration,
    delay_max: Duration,
    quiet: Duration,
    shard_entries_max: usize,
}

impl Table {
    fn shard(&self, digest: u64) -> MutexGuard<'_, Shard> {
        lock(&self.shards[shard_of(digest)])
    }
}

/// No code panics while it holds a shard half changed, so a poisoned lock is as good as another.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Shard {
    entries: HashMap<u64, Entry, BuildHasherDefault<DigestHasher>>,
    /// Quiet entries are looked for when there are so many: each time about twice as many as the
    /// last time remained.
    sweep_at: usize,
}

impl Shard {
    /// An entry that is not to be forgotten.
    fn live(&mut self, digest: u64, rules: &Rules, now: Instant) -> Option<&mut Entry> {
        self.entries.get_mut(&digest).filter(|entry| !entry.is_quiet(rules, now))
    }

    /// The entry, made if there is none or it was quiet, and seen now.
    fn touch(&mut self, digest: u64, rules: &Rules, now: Instant) -> &mut Entry {
        if !self.entries.contains_key(&digest) {
            self.make_room(rules, now);
        }
        let entry = self.entries.entry(digest).or_insert_with(|| Entry::new(rules, now));
        if entry.is_quiet(rules, now) {
            *entry = Entry::new(rules, now);
        }
        entry.seen = now;
        entry
    }

    fn make_room(&mut self, rules: &Rules, now: Instant) {
        if self.entries.len() >= self.sweep_at.max(SWEEP_AT_MIN).min(rules.shard_entries_max) {
            self.entries.retain(|_, entry| !entry.is_quiet(rules, now));
            self.sweep_at = 2 * self.entries.len();
        }
        // Still full: the longest unseen of a few goes, so that a flood of new prefixes costs no
        // more than this.
        if self.entries.len() >= rules.shard_entries_max {
            let oldest =
                self.entries.iter().take(EVICTION_SAMPLE).min_by_key(|(_, entry)| entry.seen);
            if let Some(digest) = oldest.map(|(digest, _)| *digest) {
                self.entries.remove(&digest);
            }
        }
    }
}

const SWEEP_AT_MIN: usize = 256;
const EVICTION_SAMPLE: usize = 8;

/// What is remembered of one prefix or NAS.
struct Entry {
    /// What is left of the free attempts, in rights.
    credit_rights: u64,
    /// Wrong attempts since the credit was spent.
    excess: u32,
    blocked_until: Option<Instant>,
    seen: Instant,
}

impl Entry {
    fn new(rules: &Rules, now: Instant) -> Self {
        Self { credit_rights: rules.free_rights, excess: 0, blocked_until: None, seen: now }
    }

    fn is_quiet(&self, rules: &Rules, now: Instant) -> bool {
        now.saturating_duration_since(self.seen) >= rules.quiet
    }

    fn wait(&self, now: Instant) -> Option<Duration> {
        let left = self.blocked_until?.saturating_duration_since(now);
        (left > Duration::ZERO).then_some(left)
    }

    /// With no credit left the attempt blocks those beside it until its label comes.
    fn let_through(&mut self, rules: &Rules, now: Instant) {
        self.seen = now;
        if self.excess > 0 && self.credit_rights < rules.rights_per_wrong {
            self.blocked_until = Some(now + rules.delay(self.excess));
        }
    }

    fn wrong(&mut self, rules: &Rules, now: Instant) {
        match self.credit_rights.checked_sub(rules.rights_per_wrong) {
            Some(left) => self.credit_rights = left,
            None => {
                self.excess = self.excess.saturating_add(1);
                self.blocked_until = self.blocked_until.max(Some(now + rules.delay(self.excess)));
            }
        }
    }

    fn right(&mut self, earns: bool) {
        self.credit_rights = self.credit_rights.saturating_add(u64::from(earns));
        self.blocked_until = None;
    }
}

impl Rules {
    /// The wait after so many wrong attempts beyond the free ones, from 1.
    fn delay(&self, excess: u32) -> Duration {
        let doublings = excess.saturating_sub(1).min(31);
        self.delay_min.saturating_mul(1 << doublings).min(self.delay_max)
    }
}

/// Digests are hashes already.
#[derive(Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, digest: u64) {
        // The low bits have chosen the shard.
        self.0 = digest.rotate_right(6);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
#[path = "throttle_test.rs"]
mod tests;
