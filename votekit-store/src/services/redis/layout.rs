//! The layout of an election in Redis: small hashes, spread over all slots.
//!
//! ```text
//! PREFIX:layout              the version of this layout, "1"
//! PREFIX:laws                a set: the elections
//! PREFIX:{LAW}               a hash about an election: see meta.rs
//! PREFIX:{LAW:BITS:BUCKET}   a hash: the electors whose registry keys share their first BITS bits
//!                              first 16 bytes of T → first use: 0 unused, -1 revoked, else 32 bits
//!                                                    of the request, signed
//!                              the empty field     → "v1": the bucket exists, even if it is empty
//! PREFIX:{LAW:BITS:BUCKET}:d a hash: the requests that came after the first ones, see scripts.rs
//! PREFIX:{LAW:BITS:BUCKET}:n a bucket while it is first written
//! ```
//!
//! The text in braces determines the slot, so the three keys of a bucket are on one server. About
//! 64 electors share a bucket: few enough for Redis to store it as one listpack (by default up to
//! 512 entries), where an elector takes 20 bytes, 24 after voting, and no pointer. The number of
//! buckets is fixed when the first roll is loaded. 16 bytes of T suffice to distinguish electors:
//! the registry only gives hints, and 128 bits do not collide by chance.

use std::ops::Range;

use votekit_core::credential::RegistryKey;
use votekit_core::id::ElectionId;

use crate::FirstUse;

/// The layout this program reads and writes.
pub(super) const VERSION: &str = "1";

/// Electors per bucket for which the number of buckets is chosen.
const ELECTORS_PER_BUCKET: u64 = 64;
/// Minimum: the buckets of a small election are spread over all servers too.
const BITS_MIN: u32 = 6;
const BITS_MAX: u32 = 24;
const FIELD_BYTES: usize = 16;
/// Maximum number of buckets queried in one pipeline.
const BUCKETS_PER_PIPELINE: usize = 4096;

/// The names of all keys of an installation.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
}

/// The buckets of one election.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Buckets {
    head: String,
    bits: u32,
}

impl Names {
    pub(super) const PREFIX_BYTES_MAX: usize = 50;

    /// `None` when the prefix is too long, or contains characters with a meaning in keys.
    pub(super) fn new(prefix: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let good =
            (1..=Self::PREFIX_BYTES_MAX).contains(&prefix.len()) && prefix.bytes().all(plain);
        good.then(|| Self { prefix: prefix.to_owned() })
    }

    pub(super) fn layout(&self) -> String {
        format!("{}:layout", self.prefix)
    }

    pub(super) fn laws(&self) -> String {
        format!("{}:laws", self.prefix)
    }

    pub(super) fn meta(&self, law_id: &ElectionId) -> String {
        format!("{}:{{{law_id}}}", self.prefix)
    }

    pub(super) fn buckets(&self, law_id: &ElectionId, bits: u32) -> Buckets {
        Buckets { head: format!("{}:{{{law_id}:{bits}:", self.prefix), bits }
    }
}

impl Buckets {
    /// The number of bits that number the buckets of `electors` electors.
    pub(super) fn bits_for(electors: u64) -> u32 {
        electors
            .div_ceil(ELECTORS_PER_BUCKET)
            .next_power_of_two()
            .trailing_zeros()
            .clamp(BITS_MIN, BITS_MAX)
    }

    /// Whether [`Buckets::bits_for`] can have returned this number.
    pub(super) fn is_sound(bits: u32) -> bool {
        (BITS_MIN..=BITS_MAX).contains(&bits)
    }

    pub(super) fn all(&self) -> Range<u32> {
        0..1 << self.bits
    }

    /// All buckets, in ranges of a few thousand.
    pub(super) fn parts(&self) -> impl Iterator<Item = Range<u32>> + use<> {
        let end = 1 << self.bits;
        (0..end)
            .step_by(BUCKETS_PER_PIPELINE)
            .map(move |start: u32| start..end.min(start + BUCKETS_PER_PIPELINE as u32))
    }

    /// The bucket of a key.
    pub(super) fn bucket_of(&self, key: &RegistryKey) -> u32 {
        let [first, second, third, fourth, ..] = *key.as_bytes();
        u32::from_be_bytes([first, second, third, fourth]) >> (32 - self.bits)
    }

    pub(super) fn key(&self, bucket: u32) -> String {
        format!("{}{bucket:x}}}", self.head)
    }

    /// The key of the further requests of its electors.
    pub(super) fn later_key(&self, bucket: u32) -> String {
        format!("{}{bucket:x}}}:d", self.head)
    }

    /// The key under which it is first written.
    pub(super) fn new_key(&self, bucket: u32) -> String {
        format!("{}{bucket:x}}}:n", self.head)
    }

    /// Splits lists of ascending keys by bucket. Every bucket occurs once, even if it is empty.
    pub(super) fn cut<'a>(&'a self, lists: Vec<Credentials<'a>>) -> Cuts<'a> {
        Cuts { buckets: self, lists, next: 0 }
    }
}

/// A list of credentials, or the rest of a list: ascending keys with their first uses, or all
/// unused.
#[derive(Debug, Clone, Copy)]
pub(super) struct Credentials<'a> {
    pub(super) keys: &'a [RegistryKey],
    pub(super) uses: Option<&'a [FirstUse]>,
}

/// See [`Buckets::cut`].
pub(super) struct Cuts<'a> {
    buckets: &'a Buckets,
    lists: Vec<Credentials<'a>>,
    next: u32,
}

/// A bucket, and the part of each list that belongs to it.
pub(super) type BucketSlice<'a> = (u32, Vec<Credentials<'a>>);

impl<'a> Iterator for Cuts<'a> {
    type Item = BucketSlice<'a>;

    fn next(&mut self) -> Option<BucketSlice<'a>> {
        let bucket = self.next;
        if !self.buckets.all().contains(&bucket) {
            return None;
        }
        self.next += 1;
        let cut = self.lists.iter_mut().map(|list| list.split(self.buckets, bucket)).collect();
        Some((bucket, cut))
    }
}

impl<'a> Credentials<'a> {
    /// Splits off the leading keys that belong to a bucket.
    fn split(&mut self, buckets: &Buckets, bucket: u32) -> Self {
        let end = self
            .keys
            .iter()
            .position(|key| buckets.bucket_of(key) != bucket)
            .unwrap_or(self.keys.len());
        let (keys, rest) = self.keys.split_at(end);
        self.keys = rest;
        let uses = self.uses.map(|uses| uses.split_at(end));
        self.uses = uses.map(|(_, rest)| rest);
        Self { keys, uses: uses.map(|(uses, _)| uses) }
    }

    /// Each field with its first use.
    pub(super) fn fields(self) -> impl Iterator<Item = (&'a [u8], i32)> {
        let used = move |index: usize| self.uses.map_or(FirstUse::UNUSED, |uses| uses[index]);
        self.keys.iter().enumerate().map(move |(index, key)| (field(key), stored(used(index))))
    }
}

/// The field of an elector in its bucket.
pub(super) fn field(key: &RegistryKey) -> &[u8] {
    &key.as_bytes()[..FIELD_BYTES]
}

/// A first use as stored: signed, because a listpack stores a signed 32-bit number in 5 bytes, and
/// a larger number in 9.
pub(super) fn stored(used: FirstUse) -> i32 {
    used.0.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(first: u8) -> RegistryKey {
        let mut bytes = [7; 32];
        bytes[0] = first;
        RegistryKey::from_bytes(bytes)
    }

    #[test]
    fn a_bucket_has_about_64_electors_and_never_more_than_a_packed_list_holds() {
        assert_eq!(Buckets::bits_for(0), 6);
        assert_eq!(Buckets::bits_for(64 * 64), 6);
        assert_eq!(Buckets::bits_for(64 * 64 + 1), 7);
        assert_eq!(Buckets::bits_for(8_000_000), 17);
        assert_eq!(Buckets::bits_for(u64::from(u32::MAX)), 24);
    }

    #[test]
    fn keys_that_ascend_are_cut_into_all_buckets() {
        let law_id: ElectionId = "L1".parse().expect("a law id");
        let buckets = Names::new("test").expect("a prefix").buckets(&law_id, 6);
        let keys: Vec<RegistryKey> = [0, 3, 4, 255].map(key).to_vec();
        let uses = [FirstUse::UNUSED, FirstUse::REVOKED, FirstUse(7), FirstUse(u32::MAX - 1)];
        let lists = vec![
            Credentials { keys: &keys, uses: Some(&uses) },
            Credentials { keys: &keys[1..2], uses: None },
        ];
        let cut: Vec<(u32, Vec<i32>)> = buckets
            .cut(lists)
            .map(|(bucket, cut)| {
                (
                    bucket,
                    cut.into_iter().flat_map(Credentials::fields).map(|(_, used)| used).collect(),
                )
            })
            .collect();
        assert_eq!(cut.len(), 64);
        let filled: Vec<_> = cut.into_iter().filter(|(_, uses)| !uses.is_empty()).collect();
        assert_eq!(filled, [(0, vec![0, -1, 0]), (1, vec![7]), (63, vec![-2])]);
        assert_eq!(buckets.key(63), "test:{L1:6:3f}");
    }

    #[test]
    fn a_prefix_cannot_move_a_key_to_another_slot() {
        for bad in ["", "a{b", "a:b", "é", &"a".repeat(51)] {
            assert!(Names::new(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn no_first_use_is_stored_as_another() {
        assert_eq!((stored(FirstUse::UNUSED), stored(FirstUse::REVOKED)), (0, -1));
    }
}
