//! One law's registry keys, handed out in ascending order.

use std::ops::Range;

use super::prefix::{PREFIXES, PrefixMerge, RadixKey, count_below};
use crate::credential::RegistryKey;
use crate::id::ElectionId;

/// Keys sorted together: twice their size fits the second-level cache of a core.
const SORT_BATCH_LEN: usize = 1 << 13;
/// How many prefixes a rank is usually away from its expected prefix, at most.
const PREFIX_DISTANCE_MAX: u32 = 4;
/// Average number of keys per slot before they are sorted.
const KEYS_PER_SLOT: usize = 4;

/// One law's distinct registry keys. They are stored in many runs, ordered by their leading bits,
/// and are sorted as they are handed out.
pub struct LawKeys {
    law_id: ElectionId,
    runs: Vec<Vec<RegistryKey>>,
    /// Surplus copies of keys in the runs, ascending; one entry per surplus copy.
    surplus: Vec<RegistryKey>,
    count: usize,
}

impl LawKeys {
    pub(super) fn new(
        law_id: ElectionId,
        runs: Vec<Vec<RegistryKey>>,
        mut surplus: Vec<RegistryKey>,
    ) -> Self {
        surplus.sort_unstable();
        let count = runs.iter().map(Vec::len).sum::<usize>() - surplus.len();
        Self { law_id, runs, surplus, count }
    }

    /// The law.
    #[must_use]
    pub fn law_id(&self) -> &ElectionId {
        &self.law_id
    }

    /// The number of distinct keys.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The keys of these ranks, from 0, in ascending order, piece by piece. Threads can take
    /// different ranges concurrently.
    ///
    /// ```
    /// use votekit_core::credential::CredentialHasher;
    /// use votekit_core::roll::{RollChunks, RollHasher, RollHashes, RollRules, Sequential};
    /// let roll = "nas,code,law_id\n123456789,ABC123,L1\n123456780,ABC123,L1\n123456781,ABC123,L1\n";
    /// let mut chunks = RollChunks::open(roll.as_bytes())?;
    /// let plain = CredentialHasher::plain();
    /// let hasher = RollHasher::new(*chunks.header(), RollRules::default(), plain);
    /// let mut hashes = RollHashes::new(&hasher);
    /// while let Some(chunk) = chunks.next_chunk()? {
    ///     hashes.add(hasher.hash(chunk, &mut Default::default()))?;
    /// }
    /// let law = &hashes.end()?.finish(&Sequential).laws[0];
    /// let (all, last) = (law.to_vec(), law.ranks(2..3).next_keys(10).map(<[_]>::to_vec));
    /// assert!(all.is_sorted() && last.as_deref() == Some(&all[2..]));
    /// # Ok::<(), votekit_core::roll::RollError>(())
    /// ```
    #[must_use]
    pub fn ranks(&self, ranks: Range<usize>) -> AscendingKeys<'_> {
        let ranks = ranks.start.min(self.count)..ranks.end.min(self.count);
        // Find the last prefix whose keys start at or before the first rank. Keys spread evenly, so
        // search near the expected prefix first.
        let share = ranks.start as u64 * u64::from(PREFIXES) / (self.count.max(1) as u64);
        let share = u32::try_from(share).unwrap_or(PREFIXES).min(PREFIXES - 1);
        let (mut low, mut high) = (
            share.saturating_sub(PREFIX_DISTANCE_MAX),
            (share + PREFIX_DISTANCE_MAX).min(PREFIXES),
        );
        // Widen the range if the guess does not contain the rank.
        if self.rank_of(low) > ranks.start {
            low = 0;
        }
        if high < PREFIXES && self.rank_of(high) <= ranks.start {
            high = PREFIXES;
        }
        while high - low > 1 {
            let middle = u32::midpoint(low, high);
            if self.rank_of(middle) <= ranks.start { low = middle } else { high = middle }
        }
        AscendingKeys {
            merge: PrefixMerge::new(
                self.runs.iter().map(Vec::as_slice),
                low..PREFIXES,
                SORT_BATCH_LEN,
            ),
            slices: Vec::new(),
            keys: Vec::new(),
            slots: Vec::new(),
            repeated: !self.surplus.is_empty(),
            skip: ranks.start - self.rank_of(low),
            left: ranks.len(),
            ready: 0..0,
        }
    }

    /// All keys, ascending.
    #[must_use]
    pub fn to_vec(&self) -> Vec<RegistryKey> {
        let mut all = Vec::with_capacity(self.count);
        let mut keys = self.ranks(0..self.count);
        while let Some(keys) = keys.next_keys(SORT_BATCH_LEN) {
            all.extend_from_slice(keys);
        }
        all
    }

    /// The number of distinct keys below a prefix.
    fn rank_of(&self, prefix: u32) -> usize {
        self.runs.iter().map(|run| count_below(run, prefix)).sum::<usize>()
            - count_below(&self.surplus, prefix)
    }
}

impl std::fmt::Debug for LawKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "LawKeys({}, {} keys)", self.law_id, self.count)
    }
}

/// Keys of one law in ascending order, from [`LawKeys::ranks`].
pub struct AscendingKeys<'a> {
    merge: PrefixMerge<'a, RegistryKey>,
    slices: Vec<&'a [RegistryKey]>,
    keys: Vec<RegistryKey>,
    slots: Vec<u32>,
    repeated: bool,
    /// Keys still to skip.
    skip: usize,
    /// Keys still to be copied into `keys`.
    left: usize,
    /// The range of `keys` still to be handed out.
    ready: Range<usize>,
}

impl AscendingKeys<'_> {
    /// The next keys, at least one and at most `count_max`; `None` at the end.
    pub fn next_keys(&mut self, count_max: usize) -> Option<&[RegistryKey]> {
        while self.ready.is_empty() {
            if self.left == 0 {
                return None;
            }
            let prefixes = self.merge.next_slices(&mut self.slices)?;
            self.sort(prefixes);
            let skipped = self.skip.min(self.keys.len());
            self.skip -= skipped;
            self.ready = skipped..self.keys.len().min(skipped + self.left);
            self.left -= self.ready.len();
        }
        let start = self.ready.start;
        self.ready.start = self.ready.end.min(start + count_max.max(1));
        Some(&self.keys[start..self.ready.start])
    }

    /// Copies the keys of the slices, all within the prefixes, into `keys` in ascending order:
    /// first distributes them to slots by the bits after the shared ones, then sorts each slot.
    fn sort(&mut self, prefixes: Range<u32>) {
        let count: usize = self.slices.iter().map(|slice| slice.len()).sum();
        let slot_bits = (count / KEYS_PER_SLOT).max(1).ilog2();
        // The bits in which the keys may differ.
        let width_bits = (prefixes.end - prefixes.start).next_power_of_two().ilog2()
            + (32 - super::prefix::PREFIX_BITS);
        let base = prefixes.start << (32 - super::prefix::PREFIX_BITS);
        let shift = width_bits.saturating_sub(slot_bits);
        let slot_of = |key: &RegistryKey| ((u64::from(key.leading() - base)) >> shift) as usize;

        self.slots.clear();
        self.slots.resize((1 << (width_bits - shift)) + 1, 0);
        // Counts go one slot to the right, so that the running sum below gives each slot's start.
        for slice in &self.slices {
            for key in *slice {
                self.slots[slot_of(key) + 1] += 1;
            }
        }
        let mut before = 0;
        for slot in &mut self.slots {
            before += *slot;
            *slot = before;
        }
        if self.keys.len() < count {
            self.keys.resize(count, RegistryKey::from_bytes([0; 32]));
        }
        for slice in &self.slices {
            for key in *slice {
                let next = &mut self.slots[slot_of(key)];
                self.keys[*next as usize] = *key;
                *next += 1;
            }
        }
        self.keys.truncate(count);
        // Each slot now holds the end of its keys.
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
        write!(formatter, "AscendingKeys({} left)", self.left + self.ready.len())
    }
}

/// Sorts a slot. It holds few keys unless an attacker has chosen them.
#[inline]
fn sort_few(keys: &mut [RegistryKey]) {
    if keys.len() > INSERTION_SORT_MAX {
        keys.sort_unstable();
        return;
    }
    for index in 1..keys.len() {
        let key = keys[index];
        let mut free = index;
        while free > 0 && is_less(&key, &keys[free - 1]) {
            keys[free] = keys[free - 1];
            free -= 1;
        }
        keys[free] = key;
    }
}

/// Up to this many keys are sorted by insertion.
const INSERTION_SORT_MAX: usize = 20;

/// Compares the first eight bytes, which almost always differ.
#[inline]
fn is_less(one: &RegistryKey, other: &RegistryKey) -> bool {
    let word = |key: &RegistryKey| {
        key.as_bytes().first_chunk().map_or(0, |word| u64::from_be_bytes(*word))
    };
    let (first, second) = (word(one), word(other));
    if first == second { one < other } else { first < second }
}
