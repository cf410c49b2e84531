//! One law's registry keys, handed out ascending.

use std::ops::Range;

use super::prefix::{Gather, PREFIXES, Spread, count_below};
use crate::credential::RegistryKey;
use crate::id::LawId;

/// Keys that are sorted together: what they take twice over fits the second cache of a core.
const SORTED_AT_ONCE: usize = 1 << 14;
/// Keys that fall into one slot, on average, before they are sorted.
const KEYS_PER_SLOT: usize = 4;

/// One law's registry keys, distinct. They lie in the order of their leading bits in many runs, and are sorted as they are handed out.
pub struct LawKeys {
    law_id: LawId,
    runs: Vec<Vec<RegistryKey>>,
    /// Keys that stand in the runs once too often, ascending; as many times as they are too many.
    surplus: Vec<RegistryKey>,
    count: usize,
}

impl LawKeys {
    pub(super) fn new(law_id: LawId, runs: Vec<Vec<RegistryKey>>, mut surplus: Vec<RegistryKey>) -> Self {
        surplus.sort_unstable();
        let count = runs.iter().map(Vec::len).sum::<usize>() - surplus.len();
        Self { law_id, runs, surplus, count }
    }

    /// The law.
    #[must_use]
    pub fn law_id(&self) -> &LawId {
        &self.law_id
    }

    /// How many distinct keys there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The keys of these ranks, from 0, ascending, piece by piece. Threads can take ranges side by side.
    ///
    /// ```
    /// use votekit_core::{credential::CredentialHasher, roll::{RollChunks, RollHasher, RollHashes, RollRules, Sequential}};
    /// let roll = "nas,code,law_id\n123456789,ABC123,L1\n123456780,ABC123,L1\n123456781,ABC123,L1\n";
    /// let mut chunks = RollChunks::open(roll.as_bytes())?;
    /// let hasher = RollHasher::new(*chunks.header(), RollRules::default(), CredentialHasher::plain());
    /// let mut hashes = RollHashes::new(&hasher);
    /// while let Some(chunk) = chunks.next_chunk()? {
    ///     hashes.add(hasher.hash(chunk, &mut Default::default()))?;
    /// }
    /// let law = &hashes.end()?.finish(&Sequential).laws[0];
    /// let (all, last) = (law.to_vec(), law.ranks(2..3).next_keys().map(<[_]>::to_vec));
    /// assert!(all.is_sorted() && last.as_deref() == Some(&all[2..]));
    /// # Ok::<(), votekit_core::roll::RollError>(())
    /// ```
    #[must_use]
    pub fn ranks(&self, ranks: Range<usize>) -> AscendingKeys<'_> {
        let ranks = ranks.start.min(self.count)..ranks.end.min(self.count);
        // The last prefix whose keys do not begin behind the first rank.
        let (mut low, mut high) = (0, PREFIXES);
        while high - low > 1 {
            let middle = u32::midpoint(low, high);
            if self.rank_of(middle) <= ranks.start { low = middle } else { high = middle }
        }
        AscendingKeys {
            gather: Gather::new(self.runs.iter().map(Vec::as_slice), low..PREFIXES, SORTED_AT_ONCE),
            slices: Vec::new(),
            keys: Vec::new(),
            slots: Vec::new(),
            repeated: !self.surplus.is_empty(),
            skip: ranks.start - self.rank_of(low),
            left: ranks.len(),
        }
    }

    /// All keys, ascending.
    #[must_use]
    pub fn to_vec(&self) -> Vec<RegistryKey> {
        let mut all = Vec::with_capacity(self.count);
        let mut keys = self.ranks(0..self.count);
        while let Some(keys) = keys.next_keys() {
            all.extend_from_slice(keys);
        }
        all
    }

    /// How many distinct keys lie below a prefix.
    fn rank_of(&self, prefix: u32) -> usize {
        self.runs.iter().map(|run| count_below(run, prefix)).sum::<usize>() - count_below(&self.surplus, prefix)
    }
}

impl std::fmt::Debug for LawKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "LawKeys({}, {} keys)", self.law_id, self.count)
    }
}

/// Keys of one law, ascending: made by [`LawKeys::ranks`].
pub struct AscendingKeys<'a> {
    gather: Gather<'a, RegistryKey>,
    slices: Vec<&'a [RegistryKey]>,
    keys: Vec<RegistryKey>,
    slots: Vec<u32>,
    repeated: bool,
    /// Keys to pass over.
    skip: usize,
    /// Keys to hand out.
    left: usize,
}

impl AscendingKeys<'_> {
    /// The next keys, at least one; `None` when all were handed out.
    pub fn next_keys(&mut self) -> Option<&[RegistryKey]> {
        while self.left > 0 {
            let prefixes = self.gather.next_slices(&mut self.slices)?;
            self.sort(prefixes);
            let skipped = self.skip.min(self.keys.len());
            self.skip -= skipped;
            let taken = self.left.min(self.keys.len() - skipped);
            self.left -= taken;
            if taken > 0 {
                return Some(&self.keys[skipped..skipped + taken]);
            }
        }
        None
    }

    /// Brings the keys of the slices, all within the prefixes, into `keys`, ascending: first each into a slot by its next bits, then
    /// in order within its slot.
    fn sort(&mut self, prefixes: Range<u32>) {
        let count: usize = self.slices.iter().map(|slice| slice.len()).sum();
        let slot_bits = (count / KEYS_PER_SLOT).max(1).ilog2();
        // The bits behind those that all keys share.
        let width_bits = (prefixes.end - prefixes.start).next_power_of_two().ilog2() + (32 - super::prefix::PREFIX_BITS);
        let base = prefixes.start << (32 - super::prefix::PREFIX_BITS);
        let shift = width_bits.saturating_sub(slot_bits);
        let slot_of = |key: &RegistryKey| ((u64::from(key.leading() - base)) >> shift) as usize;

        self.slots.clear();
        self.slots.resize((1 << (width_bits - shift)) + 1, 0);
        for key in self.slices.iter().copied().flatten() {
            self.slots[slot_of(key) + 1] += 1;
        }
        let mut before = 0;
        for slot in &mut self.slots {
            before += *slot;
            *slot = before;
        }
        if self.keys.len() < count {
            self.keys.resize(count, RegistryKey::from_bytes([0; 32]));
        }
        for key in self.slices.iter().copied().flatten() {
            let place = &mut self.slots[slot_of(key)];
            self.keys[*place as usize] = *key;
            *place += 1;
        }
        self.keys.truncate(count);
        // Each slot's place is now the end of its keys.
        let mut start = 0;
        for end in &self.slots[..self.slots.len() - 1] {
            let end = *end as usize;
            sort_few(&mut self.keys[start..end]);
            start = end;
        }
        if self.repeated {
            self.keys.dedup();
        }
    }
}

impl std::fmt::Debug for AscendingKeys<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "AscendingKeys({} left)", self.left)
    }
}

/// Sorts keys that are few, mostly.
#[inline]
fn sort_few(keys: &mut [RegistryKey]) {
    match keys {
        [] | [_] => {}
        [one, other] => {
            if other < one {
                std::mem::swap(one, other);
            }
        }
        keys => keys.sort_unstable_by(|one, other| first_word(one).cmp(&first_word(other)).then_with(|| one.cmp(other))),
    }
}

#[inline]
fn first_word(key: &RegistryKey) -> u64 {
    key.as_bytes().first_chunk().map_or(0, |word| u64::from_be_bytes(*word))
}
