//! Wrong codes by pair of address prefix and NAS, as a state machine that takes the time as an
//! argument.
//!
//! A set-associative table of fixed size with eight slots a set: the pair's digest selects its set.
//! In a full set the pair that was unseen longest is evicted. An eviction only lets attempts
//! through, it never refuses one.
//!
//! Attempts of one pair are checked one after the other. If the registry cannot say at once whether
//! a code was right, the next attempt waits for that hint, at most [`HINT_TIME_MS`]; an overdue
//! hint counts as wrong until it arrives. A pair's answers depend on when attempts arrived, never
//! on how long a hint took: a correct vote between two wrong codes, with its hint in time, leaves
//! no trace.

use crate::limits::DigestMap;

/// Milliseconds since the throttle was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Millis(pub(super) u64);

/// The waits of a pair, and how long it is remembered.
#[derive(Debug, Clone)]
pub(super) struct PairRules {
    /// The number of wrong codes without a wait.
    pub(super) wrong_free: u32,
    pub(super) delay_min_ms: u64,
    pub(super) delay_max_ms: u64,
    /// A pair whose last wrong code is this old counts as new.
    pub(super) forget_ms: u64,
}

/// Identifies one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AttemptId(u64);

/// The result of [`Pairs::begin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// It is this attempt's turn.
    Turn(AttemptId),
    /// An earlier attempt of the pair waits for its hint: retry once the hint has arrived, or after
    /// this time.
    InTurn { wait_ms: u64 },
    /// The pair has to wait.
    Refused { wait_ms: u64 },
}

/// How long an attempt waits for the hint of the previous one.
pub(super) const HINT_TIME_MS: u64 = 100;

/// When a hint that never arrived is counted as wrong permanently.
const HINT_TIMEOUT_MS: u64 = 60_000;

/// Slots in a set.
const WAYS: usize = 8;

/// The pairs of one shard.
pub(super) struct Pairs {
    rules: PairRules,
    /// Parallel arrays of slots, so that unused memory is never touched. A slot whose count is 0 is
    /// free.
    digests: Vec<u64>,
    last_ms: Vec<u64>,
    wrong: Vec<u32>,
    pending: DigestMap<PendingAttempts>,
    next_attempt: u64,
}

/// The attempts of a pair without a hint yet.
#[derive(Default)]
struct PendingAttempts {
    current: Option<Attempt>,
    /// Counted as wrong until a hint arrives.
    overdue: Vec<Attempt>,
}

#[derive(Clone, Copy)]
struct Attempt {
    id: AttemptId,
    arrived: Millis,
    begun: Millis,
}

impl Pairs {
    /// Creates a table for `pairs_max` pairs, rounded down to whole sets, at least one.
    pub(super) fn new(rules: PairRules, pairs_max: usize) -> Self {
        let slots = (pairs_max / WAYS).max(1) * WAYS;
        Self {
            rules,
            digests: vec![0; slots],
            last_ms: vec![0; slots],
            wrong: vec![0; slots],
            pending: DigestMap::default(),
            next_attempt: 0,
        }
    }

    /// Begins an attempt of a pair that arrived at `arrived` and is checked at `now`.
    pub(super) fn begin(&mut self, pair: u64, arrived: Millis, now: Millis) -> Begin {
        if let Some(pending) = self.pending.get_mut(&pair)
            && let Some(current) = pending.current
        {
            let due_ms = current.begun.0 + HINT_TIME_MS;
            if now.0 < due_ms {
                return Begin::InTurn { wait_ms: due_ms - now.0 };
            }
            pending.current = None;
            pending.overdue.push(current);
        }
        // By the arrival, not by `now`: the answer must not depend on the wait for a hint.
        if let Some(wait_ms) = self.wait_ms(pair, arrived) {
            return Begin::Refused { wait_ms };
        }
        let id = AttemptId(self.next_attempt);
        self.next_attempt += 1;
        let attempt = Attempt { id, arrived, begun: now };
        self.pending.entry(pair).or_default().current = Some(attempt);
        Begin::Turn(id)
    }

    /// Records the attempt as wrong. Counts it once, at the time of its arrival.
    pub(super) fn record_failure(&mut self, pair: u64, id: AttemptId) {
        if let Some(attempt) = self.take_pending(pair, id) {
            self.count(pair, attempt.arrived);
        }
    }

    /// Removes an attempt that leaves no trace: its code was right, it was a repeat or a duplicate,
    /// or it was refused before its code was checked.
    pub(super) fn clear(&mut self, pair: u64, id: AttemptId) {
        self.take_pending(pair, id);
    }

    /// Counts attempts as wrong whose hint will not arrive any more.
    pub(super) fn expire_hints(&mut self, now: Millis) {
        let old = |attempt: &Attempt| now.0 >= attempt.begun.0 + HINT_TIMEOUT_MS;
        let mut expired = Vec::new();
        self.pending.retain(|pair, pending| {
            let of_pair = |attempt: Attempt| (*pair, attempt.arrived);
            expired.extend(pending.current.take_if(|current| old(current)).map(of_pair));
            expired.extend(pending.overdue.extract_if(.., |one| old(one)).map(of_pair));
            pending.current.is_some() || !pending.overdue.is_empty()
        });
        for (pair, arrived) in expired {
            self.count(pair, arrived);
        }
    }

    /// The number of remembered pairs.
    pub(super) fn len(&self) -> usize {
        self.wrong.iter().filter(|wrong| **wrong > 0).count()
    }

    /// The number of pairs with attempts that wait for a hint.
    #[cfg(test)]
    pub(super) fn pending_len(&self) -> usize {
        self.pending.len()
    }

    fn wait_ms(&self, pair: u64, at: Millis) -> Option<u64> {
        let counted = self.find(pair).filter(|slot| !self.is_forgotten(*slot, at));
        let (mut wrong, mut last_ms) =
            counted.map_or((0, 0), |slot| (self.wrong[slot], self.last_ms[slot]));
        for overdue in self.pending.get(&pair).into_iter().flat_map(|one| &one.overdue) {
            wrong = wrong.saturating_add(1);
            last_ms = last_ms.max(overdue.arrived.0);
        }
        let beyond = wrong.checked_sub(self.rules.wrong_free).filter(|beyond| *beyond > 0)?;
        let until_ms = last_ms.saturating_add(self.rules.delay_ms(beyond));
        until_ms.checked_sub(at.0).filter(|wait_ms| *wait_ms > 0)
    }

    fn count(&mut self, pair: u64, arrived: Millis) {
        let slot = self.find(pair).unwrap_or_else(|| self.longest_unseen(pair));
        if self.digests[slot] != pair || self.is_forgotten(slot, arrived) {
            self.digests[slot] = pair;
            self.wrong[slot] = 0;
            self.last_ms[slot] = 0;
        }
        self.wrong[slot] = self.wrong[slot].saturating_add(1);
        self.last_ms[slot] = self.last_ms[slot].max(arrived.0);
    }

    fn take_pending(&mut self, pair: u64, id: AttemptId) -> Option<Attempt> {
        let pending = self.pending.get_mut(&pair)?;
        let attempt = match pending.current.take_if(|current| current.id == id) {
            Some(current) => Some(current),
            None => {
                let at = pending.overdue.iter().position(|overdue| overdue.id == id);
                at.map(|at| pending.overdue.swap_remove(at))
            }
        };
        if pending.current.is_none() && pending.overdue.is_empty() {
            self.pending.remove(&pair);
        }
        attempt
    }

    /// The slots of a pair's set. The low bits of the digest already select the shard.
    fn set(&self, pair: u64) -> std::ops::Range<usize> {
        let first = (pair >> 8) as usize % (self.wrong.len() / WAYS) * WAYS;
        first..first + WAYS
    }

    fn find(&self, pair: u64) -> Option<usize> {
        self.set(pair).find(|slot| self.wrong[*slot] > 0 && self.digests[*slot] == pair)
    }

    /// A free slot of the set, else the slot of the pair that was unseen longest.
    fn longest_unseen(&self, pair: u64) -> usize {
        let seen = |slot: &usize| (self.wrong[*slot] > 0, self.last_ms[*slot]);
        self.set(pair).min_by_key(seen).expect("a set has slots")
    }

    fn is_forgotten(&self, slot: usize, at: Millis) -> bool {
        at.0.saturating_sub(self.last_ms[slot]) >= self.rules.forget_ms
    }
}

impl PairRules {
    /// The wait after a wrong code: the `beyond`-th of those that are not free, from 1.
    fn delay_ms(&self, beyond: u32) -> u64 {
        let doublings = beyond.saturating_sub(1).min(31);
        self.delay_min_ms.saturating_mul(1 << doublings).min(self.delay_max_ms)
    }
}

#[cfg(test)]
#[path = "pairs_test.rs"]
mod tests;
