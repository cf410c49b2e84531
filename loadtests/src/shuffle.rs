//! Repeatable random numbers: a shuffle of `0..n` that needs no memory, and random numbers as a
//! function of (seed, stream, index).

/// The purpose of a random number, so that the numbers for one vote are independent of each other.
#[derive(Clone, Copy)]
pub(crate) enum Stream {
    /// Rounds of the shuffle.
    Round(u8),
    /// The earlier vote a duplicate repeats.
    Repeat,
    /// The choice of a vote.
    Choice,
    /// The parts of an invented credential.
    Invented(u8),
    /// The votes followed to their decision.
    Follow,
    /// The answered votes sent once more.
    Resend,
}

impl Stream {
    fn number(self) -> u64 {
        match self {
            Self::Round(round) => u64::from(round),
            Self::Repeat => 0x100,
            Self::Choice => 0x200,
            Self::Invented(part) => 0x300 + u64::from(part),
            Self::Follow => 0x400,
            Self::Resend => 0x500,
        }
    }
}

/// A number that depends only on its three arguments, with uniformly distributed bits.
pub(crate) fn draw(seed: u64, stream: Stream, index: u64) -> u64 {
    mix(mix(seed ^ stream.number().wrapping_mul(0xd6e8_feb8_6659_fd93)).wrapping_add(index))
}

/// A random number below `bound`, which must not be 0. The bias is below `bound` / 2^64.
pub(crate) fn draw_below(seed: u64, stream: Stream, index: u64, bound: u64) -> u64 {
    ((u128::from(draw(seed, stream, index)) * u128::from(bound)) >> 64) as u64
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014).
fn mix(mut word: u64) -> u64 {
    word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// A permutation of `0..count`: a Feistel network over the next even power of two, applied
/// repeatedly until the result is below `count`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shuffle {
    seed: u64,
    count: u64,
    half_bits: u32,
}

impl Shuffle {
    const ROUNDS: u8 = 4;

    /// A permutation of `0..count`, one for each seed.
    pub(crate) fn new(seed: u64, count: u64) -> Self {
        let bits = u64::BITS - count.saturating_sub(1).leading_zeros();
        Self { seed, count, half_bits: bits.div_ceil(2).max(1) }
    }

    /// The position of `index`, which must be below the count.
    pub(crate) fn position(&self, index: u64) -> u64 {
        debug_assert!(index < self.count, "an index below the count");
        let mut position = self.round_trip(index);
        // The domain is less than four times the count, so this takes few steps; the cycle of a
        // permutation leads back below the count.
        while position >= self.count {
            position = self.round_trip(position);
        }
        position
    }

    fn round_trip(&self, index: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (index >> self.half_bits, index & mask);
        for round in 0..Self::ROUNDS {
            (left, right) = (right, left ^ (draw(self.seed, Stream::Round(round), right) & mask));
        }
        (left << self.half_bits) | right
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_place_is_taken_once(seed in any::<u64>(), count in 1_u64..3_000) {
            let shuffle = Shuffle::new(seed, count);
            let mut taken = vec![false; count as usize];
            for index in 0..count {
                let position = shuffle.position(index) as usize;
                prop_assert!(!std::mem::replace(&mut taken[position], true));
            }
        }
    }

    #[test]
    fn seeds_differ() {
        let orders: Vec<Vec<u64>> = (0..3)
            .map(|seed| (0..50).map(|index| Shuffle::new(seed, 50).position(index)).collect())
            .collect();
        assert!(orders[0] != orders[1] && orders[1] != orders[2]);
        assert_ne!(orders[0], (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn draws_stay_below_their_bound() {
        assert!((0..1_000).all(|index| draw_below(7, Stream::Choice, index, 3) < 3));
        assert_eq!(draw_below(7, Stream::Choice, 1, 1), 0);
    }
}
