//! The rows of one law from one chunk, in columns: 44 bytes per row.

use zeroize::Zeroize;

use super::code_lengths::LengthCounter;
use super::prefix::order_by_prefix;
use crate::credential::RegistryKey;

/// Rows of one law in file order.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) keys: Vec<RegistryKey>,
    pub(super) electors: Vec<Elector>,
    pub(super) lengths: LengthCounter,
}

/// NAS and line of one row.
#[derive(Clone, Copy, Default, Zeroize)]
pub(super) struct Elector {
    /// The NAS as a number.
    pub(super) nas: u32,
    /// Its line in the roll.
    pub(super) line: u32,
}

impl Columns {
    /// Empties the columns for another chunk, and keeps their memory.
    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.electors.clear();
        self.lengths = LengthCounter::default();
    }
}

impl Drop for Columns {
    fn drop(&mut self) {
        self.electors.zeroize();
    }
}

/// Rows of one law, ordered by their keys' leading bits.
#[derive(Default)]
pub(super) struct SortedChunk {
    pub(super) keys: Vec<RegistryKey>,
    /// The elector of each key, in the same order.
    pub(super) electors: Vec<Elector>,
    /// Each NAS again, permuted and ordered by its leading bits, so that a merge of all chunks
    /// finds equal NAS next to each other.
    pub(super) permuted_nas: Vec<u32>,
}

impl SortedChunk {
    pub(super) fn new(columns: &Columns) -> Self {
        let order = order_by_prefix(&columns.keys);
        let keys = order.iter().map(|index| columns.keys[*index as usize]).collect();
        let electors = order.iter().map(|index| columns.electors[*index as usize]).collect();
        let mut numbers: Vec<u32> =
            columns.electors.iter().map(|elector| permute(elector.nas)).collect();
        let order = order_by_prefix(&numbers);
        let permuted_nas = order.iter().map(|index| numbers[*index as usize]).collect();
        numbers.zeroize();
        Self { keys, electors, permuted_nas }
    }
}

impl Drop for SortedChunk {
    fn drop(&mut self) {
        self.electors.zeroize();
        self.permuted_nas.zeroize();
    }
}

/// An odd factor, so that multiplication modulo 2^32 is invertible. It spreads the NAS of a roll,
/// which are distributed unevenly, over the leading bits.
const FACTOR: u32 = 0x9e37_79b1;
const INVERSE: u32 = inverse(FACTOR);

pub(super) const fn permute(nas: u32) -> u32 {
    nas.wrapping_mul(FACTOR)
}

pub(super) const fn unpermute(value: u32) -> u32 {
    value.wrapping_mul(INVERSE)
}

/// Newton's iteration: each step doubles the number of correct low bits, starting with three,
/// because an odd number is its own inverse modulo 8.
const fn inverse(odd: u32) -> u32 {
    let mut inverse = odd;
    let mut step = 0;
    while step < 4 {
        inverse = inverse.wrapping_mul(2_u32.wrapping_sub(odd.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutation_is_invertible() {
        for nas in [0, 1, 2, 123_456_789, 999_999_999, u32::MAX] {
            assert_eq!(unpermute(permute(nas)), nas);
        }
    }
}
