//! A table from 128-bit keys to small numbers, for sets of many millions: 20 bytes per slot, no
//! allocation per key.
//!
//! Measured against `hashbrown::HashTable` with the same hash, 8 million keys inserted and found:
//! 228 MB and 1.18 s here, 528 MB and 0.76 s there. Own code: the verifier must fit an auditor's
//! laptop, and 0.4 s of a run is not felt.

/// Open addressing with linear probing. Keys are request ids, or the first 16 bytes of credential
/// hashes.
///
/// The slot of a key depends on a seed, which the verifier derives from the root of the log, so
/// that an attacker cannot choose ids that all fall into the same slots.
pub(super) struct Table {
    /// Zero marks a free slot.
    keys: Vec<u128>,
    values: Vec<u32>,
    /// The value of the key zero, which no slot can store.
    zero: Option<u32>,
    length: usize,
    seed: u64,
}

impl Table {
    /// An empty table with room for this many keys.
    pub(super) fn with_capacity(keys: usize, seed: u64) -> Self {
        let slots = (keys + keys / 2).max(64);
        Self { keys: vec![0; slots], values: vec![0; slots], zero: None, length: 0, seed }
    }

    /// Inserts `value` if the key is new. Returns the value, which may be changed.
    pub(super) fn entry(&mut self, key: &[u8; 16], value: u32) -> Slot<'_> {
        let key = u128::from_be_bytes(*key);
        if key == 0 {
            let found = self.zero.is_some();
            return Slot { found, value: self.zero.get_or_insert(value) };
        }
        // A free slot always remains, so that every search ends.
        if self.length * 4 >= self.keys.len() * 3 {
            self.grow();
        }
        let slot = self.find_slot(key);
        let found = self.keys[slot] == key;
        if !found {
            self.keys[slot] = key;
            self.values[slot] = value;
            self.length += 1;
        }
        Slot { found, value: &mut self.values[slot] }
    }

    /// The value of a key, if it is in the table.
    pub(super) fn get_mut(&mut self, key: &[u8; 16]) -> Option<&mut u32> {
        let key = u128::from_be_bytes(*key);
        if key == 0 {
            return self.zero.as_mut();
        }
        let slot = self.find_slot(key);
        (self.keys[slot] == key).then(|| &mut self.values[slot])
    }

    /// Finds the slot of a key, or the free one where it belongs.
    fn find_slot(&self, key: u128) -> usize {
        let (high, low) = ((key >> 64) as u64, key as u64);
        let mixed = u128::from(high ^ self.seed) * u128::from(low ^ 0x9e37_79b9_7f4a_7c15);
        let hash = (mixed >> 64) as u64 ^ mixed as u64;
        // Scales the hash to the number of slots, which need not be a power of two.
        let mut slot = ((u128::from(hash) * self.keys.len() as u128) >> 64) as usize;
        while self.keys[slot] != 0 && self.keys[slot] != key {
            slot += 1;
            if slot == self.keys.len() {
                slot = 0;
            }
        }
        slot
    }

    fn grow(&mut self) {
        let larger = Self::with_capacity(self.keys.len() * 2, self.seed);
        let old = std::mem::replace(self, Self { zero: self.zero, ..larger });
        for (key, value) in old.keys.into_iter().zip(old.values) {
            if key != 0 {
                let slot = self.find_slot(key);
                self.keys[slot] = key;
                self.values[slot] = value;
                self.length += 1;
            }
        }
    }
}

/// A key's value, and whether the key was there before.
pub(super) struct Slot<'a> {
    pub(super) found: bool,
    pub(super) value: &'a mut u32,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn table_behaves_like_a_map(
            keys in prop::collection::vec((0_u8..40, any::<u32>()), 0..400),
            capacity in 0_usize..50,
            seed: u64,
        ) {
            let mut table = Table::with_capacity(capacity, seed);
            let mut map = BTreeMap::new();
            for (byte, value) in keys {
                // Few distinct keys, the zero key among them, some sharing one half.
                let key = u128::from(byte / 2) << (64 * u32::from(byte % 2));
                let slot = table.entry(&key.to_be_bytes(), value);
                prop_assert_eq!(slot.found, map.contains_key(&key));
                prop_assert_eq!(*slot.value, *map.entry(key).or_insert(value));
            }
            for byte in 0..40_u8 {
                let key = u128::from(byte);
                prop_assert_eq!(table.get_mut(&key.to_be_bytes()).copied(), map.get(&key).copied());
            }
        }

        #[test]
        fn table_grows_beyond_its_capacity(count in 0_u64..5000) {
            let mut table = Table::with_capacity(0, 7);
            let key = |number: u64| {
                u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_be_bytes()
            };
            for number in 0..count {
                prop_assert!(!table.entry(&key(number), number as u32).found);
            }
            for number in 0..count {
                prop_assert_eq!(table.get_mut(&key(number)).copied(), Some(number as u32));
            }
        }
    }
}
