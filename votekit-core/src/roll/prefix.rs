//! Runs of values ordered by their leading bits, from which all values in a range of prefixes are
//! taken together.
//!
//! The leading bits spread evenly, so one pass puts each value close to its final position, and the
//! values of a few prefixes fit a cache: nothing as large as the roll is ever sorted as a whole.

use std::ops::Range;

use crate::credential::RegistryKey;

/// Leading bits that runs are ordered by.
pub(super) const PREFIX_BITS: u32 = 12;
/// Number of prefixes.
pub(super) const PREFIXES: u32 = 1 << PREFIX_BITS;

/// A value whose leading bits spread evenly.
pub(super) trait RadixKey: Copy {
    /// The leading 32 bits.
    fn leading(&self) -> u32;

    /// The leading [`PREFIX_BITS`].
    #[inline]
    fn prefix(&self) -> u32 {
        self.leading() >> (32 - PREFIX_BITS)
    }
}

impl RadixKey for RegistryKey {
    #[inline]
    fn leading(&self) -> u32 {
        let [first, second, third, fourth, ..] = *self.as_bytes();
        u32::from_be_bytes([first, second, third, fourth])
    }
}

impl RadixKey for u32 {
    #[inline]
    fn leading(&self) -> u32 {
        *self
    }
}

/// The indexes of the values, ordered by the values' prefixes (a stable counting sort).
pub(super) fn order_by_prefix<T: RadixKey>(values: &[T]) -> Vec<u32> {
    let mut next = vec![0_u32; PREFIXES as usize];
    for value in values {
        next[value.prefix() as usize] += 1;
    }
    // Turns the count of each prefix into its start.
    let mut before = 0;
    for slot in &mut next {
        before += std::mem::replace(slot, before);
    }
    let mut order = vec![0; values.len()];
    for (index, value) in (0..).zip(values) {
        let slot = &mut next[value.prefix() as usize];
        order[*slot as usize] = index;
        *slot += 1;
    }
    order
}

/// Number of values of a run whose prefix is below `prefix`. Searches around the expected position
/// first, since values spread evenly.
pub(super) fn count_below<T: RadixKey>(run: &[T], prefix: u32) -> usize {
    let share = (run.len() as u64 * u64::from(prefix) / u64::from(PREFIXES)) as usize;
    let mut reach = 32;
    loop {
        let (low, high) = (share.saturating_sub(reach), run.len().min(share + reach));
        let behind_low = low == 0 || run[low - 1].prefix() < prefix;
        let before_high = high == run.len() || run[high].prefix() >= prefix;
        if behind_low && before_high {
            return low + run[low..high].partition_point(|value| value.prefix() < prefix);
        }
        reach *= 4;
    }
}

/// Steps through the prefixes of several runs together.
pub(super) struct PrefixMerge<'a, T> {
    runs: Vec<&'a [T]>,
    next: u32,
    end: u32,
    /// Prefixes taken at once.
    step: u32,
}

impl<'a, T: RadixKey> PrefixMerge<'a, T> {
    /// Takes the values whose prefixes are in a range, about `at_once` of them at a time.
    pub(super) fn new(
        runs: impl Iterator<Item = &'a [T]>,
        prefixes: Range<u32>,
        at_once: usize,
    ) -> Self {
        let mut count = 0;
        let from = |run: &'a [T]| {
            count += run.len();
            &run[count_below(run, prefixes.start)..]
        };
        let runs: Vec<_> = runs.map(from).filter(|run| !run.is_empty()).collect();
        let steps = u32::try_from(count / at_once.max(1)).unwrap_or(PREFIXES).clamp(1, PREFIXES);
        Self {
            runs,
            next: prefixes.start,
            end: prefixes.end,
            step: PREFIXES / steps.next_power_of_two(),
        }
    }

    /// The next prefixes, and the slice of each run with them; `None` at the end.
    pub(super) fn next_slices(&mut self, slices: &mut Vec<&'a [T]>) -> Option<Range<u32>> {
        if self.next >= self.end {
            return None;
        }
        // Steps end at multiples of `step` wherever the range starts, so two gatherings with the
        // same `step` stop at the same prefixes.
        let end = (self.next / self.step + 1).saturating_mul(self.step).min(self.end);
        slices.clear();
        for run in &mut self.runs {
            let count = run.iter().position(|value| value.prefix() >= end).unwrap_or(run.len());
            let (taken, rest) = run.split_at(count);
            if count > 0 {
                slices.push(taken);
            }
            *run = rest;
        }
        Some(std::mem::replace(&mut self.next, end)..end)
    }
}
