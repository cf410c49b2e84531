//! Repeated NAS within one law: exact duplicates, and conflicts of two codes.
//!
//! NAS are searched first, without the keys: mostly none is repeated, and then nothing else is
//! read.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use super::prefix::{PREFIXES, PrefixMerge};
use super::sorted_chunk::{SortedChunk, unpermute};
use crate::credential::RegistryKey;

/// A row whose NAS occurs more than once in its law.
#[derive(Clone, Copy)]
pub(super) struct Repeated {
    pub(super) nas: u32,
    pub(super) line: u32,
    pub(super) key: RegistryKey,
}

/// Runs work on threads, which the caller brings; without the feature `parallel`, hashing a roll
/// starts none.
pub trait Threads {
    /// Calls `work` once with each number below `count`, in any order, and returns when all calls
    /// have returned.
    fn each(&self, count: u32, work: &(dyn Fn(u32) + Sync));
}

/// Runs all work on the calling thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sequential;

impl Threads for Sequential {
    fn each(&self, count: u32, work: &(dyn Fn(u32) + Sync)) {
        (0..count).for_each(work);
    }
}

/// Ranges of prefixes, each searched by one thread.
const PARTS: u32 = 16;
/// Numbers compared at a time: their table fits the second-level cache of a core.
const COMPARE_BATCH_LEN: usize = 1 << 14;

/// All rows whose NAS is repeated, sorted by NAS, then by line.
pub(super) fn repeated_rows(runs: &[SortedChunk], threads: &impl Threads) -> Vec<Repeated> {
    let found = Mutex::new(HashSet::new());
    threads.each(PARTS, &|part| {
        let width = PREFIXES / PARTS;
        let repeated = repeated_numbers(runs, part * width..(part + 1) * width);
        if !repeated.is_empty() {
            found.lock().unwrap_or_else(PoisonError::into_inner).extend(repeated);
        }
    });
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    if found.is_empty() {
        return Vec::new();
    }
    let rows = runs.iter().flat_map(|run| run.electors.iter().zip(&run.keys));
    let mut repeated: Vec<_> = rows
        .filter(|(elector, _)| found.contains(&elector.nas))
        .map(|(elector, key)| Repeated { nas: elector.nas, line: elector.line, key: *key })
        .collect();
    repeated.sort_unstable_by_key(|row| (row.nas, row.line));
    repeated
}

/// The numbers within some prefixes that occur more than once.
fn repeated_numbers(runs: &[SortedChunk], prefixes: std::ops::Range<u32>) -> Vec<u32> {
    let mut merge = PrefixMerge::new(
        runs.iter().map(|run| run.permuted_nas.as_slice()),
        prefixes,
        COMPARE_BATCH_LEN,
    );
    let mut slices = Vec::new();
    let mut table = Table::default();
    let mut repeated = Vec::new();
    while merge.next_slices(&mut slices).is_some() {
        table.clear_for(slices.iter().map(|slice| slice.len()).sum());
        for slice in &slices {
            for value in *slice {
                if !table.insert(*value) {
                    repeated.push(unpermute(*value));
                }
            }
        }
    }
    repeated
}

/// A set of permuted numbers, with open addressing and linear probing.
#[derive(Default)]
struct Table {
    indices: Vec<u32>,
}

impl Table {
    /// Marks a free slot: the permuted form of `u32::MAX`, which has ten digits and so is not a
    /// NAS.
    const FREE: u32 = super::sorted_chunk::permute(u32::MAX);

    fn clear_for(&mut self, count: usize) {
        self.indices.clear();
        self.indices.resize((2 * count + 1).next_power_of_two(), Self::FREE);
    }

    /// Returns false when the value was there already.
    #[inline]
    fn insert(&mut self, value: u32) -> bool {
        let mask = self.indices.len() - 1;
        // All values share most of their leading bits, so the bits after those are folded into the
        // low bits.
        let mut index = (value ^ (value >> 11)) as usize & mask;
        loop {
            match self.indices[index] {
                Self::FREE => {
                    self.indices[index] = value;
                    return true;
                }
                known if known == value => return false,
                _ => index = (index + 1) & mask,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_still_distinguishes_old_from_new() {
        let mut table = Table::default();
        table.clear_for(3000);
        // Up to 256 values hash to the same slot.
        for value in 0..3000_u32 {
            assert!(table.insert(value.rotate_right(8)), "{value}");
        }
        for value in 0..256_u32 {
            assert!(!table.insert(value.rotate_right(8)), "{value}");
        }
    }
}
