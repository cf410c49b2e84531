//! The index of decided requests, in log order: each with the index of its entry and its subject.
//!
//! It consists of an append-only list and a hash table of positions in it. A snapshot stores the
//! list: an item never changes, so the list can be copied in parts while votes are decided. The
//! index takes 24 bytes per request, 33 more bytes per invalid request, and 4 bytes per slot of the
//! table, which is at most three quarters full.

use std::fmt;

use crate::credential::CredentialHash;
use crate::electorate::Elector;
use crate::id::RequestId;

/// A decided request: one item of the list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    request: RequestId,
    leaf: u32,
    /// An elector, or [`INVALID`] and a position in the list of invalid votes.
    subject: u32,
}

/// Marks a subject that is not an elector: the vote was invalid.
const INVALID: u32 = 1 << 31;

/// The subject of a decided request: whose vote it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// An elector. The first attempt was accepted; later attempts are duplicates.
    Elector(Elector),
    /// A credential whose vote was invalid, identified by its H.
    Invalid(CredentialHash),
    /// An invalid vote whose envelope was purged.
    Unknown,
}

/// The earlier decision on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstDecision {
    /// Its rank in the order of the decided requests, from 0.
    pub rank: usize,
    /// The index of its entry in the log.
    pub leaf: u64,
    /// Its subject.
    pub subject: Subject,
}

impl Decided {
    /// Length of one item in a snapshot, in bytes.
    pub const LENGTH: usize = RequestId::LENGTH + 4 + 4;

    /// Placeholder for an item that is not read yet.
    pub const EMPTY: Self = Self { request: RequestId::from_bytes([0; 16]), leaf: 0, subject: 0 };

    /// The request.
    #[must_use]
    pub fn request(&self) -> &RequestId {
        &self.request
    }

    /// The index of its entry in the log.
    #[must_use]
    pub fn leaf(&self) -> u64 {
        u64::from(self.leaf)
    }

    /// The elector whose attempt it was. `None` for an invalid vote.
    #[must_use]
    pub fn elector(&self) -> Option<Elector> {
        (self.subject & INVALID == 0).then_some(Elector(self.subject))
    }

    /// The position in the list of invalid votes; `None` for the vote of an elector.
    fn invalid_index(&self) -> Option<usize> {
        (self.subject & INVALID != 0).then_some((self.subject & !INVALID) as usize)
    }

    /// Encodes request, leaf and subject; numbers are little-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..16].copy_from_slice(self.request.as_bytes());
        bytes[16..20].copy_from_slice(&self.leaf.to_le_bytes());
        bytes[20..].copy_from_slice(&self.subject.to_le_bytes());
        bytes
    }

    /// Decodes what [`Decided::to_bytes`] wrote.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LENGTH]) -> Self {
        let mut request = [0; RequestId::LENGTH];
        request.copy_from_slice(&bytes[..16]);
        let number = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        Self { request: RequestId::from_bytes(request), leaf: number(16), subject: number(20) }
    }
}

impl fmt::Debug for Decided {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Decided({} at leaf {})", self.request, self.leaf)
    }
}

/// Decided requests in log order, as a snapshot stores them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecidedList {
    /// The requests.
    pub decided: Vec<Decided>,
    /// H of each invalid request among them, in the same order; `None` where it was purged.
    pub invalid: Vec<Option<CredentialHash>>,
}

/// An exact map from decided requests to their entries in the log, in the order of decision.
///
/// With room for every elector the table is never rebuilt while votes arrive, and memory that is
/// not used is never touched.
pub struct RequestIndex {
    decided: Vec<Decided>,
    /// H of each invalid vote; `None` where it was purged.
    invalid: Vec<Option<CredentialHash>>,
    /// `0` for a free slot. Otherwise the lower `bits` bits hold the position in the list plus one,
    /// and the bits above them a tag: further bits of the request id.
    slots: Vec<u32>,
    /// The table has 2^bits slots.
    bits: u32,
}

/// Why a list of decided requests cannot be indexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecidedListError {
    /// A request occurs twice.
    #[error("decided request {rank} is already in the list")]
    Repeated {
        /// Its second rank, from 0.
        rank: usize,
    },
    /// The list of invalid votes does not match the requests.
    #[error("the invalid votes are not those of the decided requests, from request {rank} on")]
    Invalid {
        /// The rank of the first request that does not match, from 0.
        rank: usize,
    },
}

/// Base-2 logarithm of the smallest table.
const BITS_MIN: u32 = 6;

/// Number of requests whose slots [`RequestIndex::fill`] prefetches together.
const FETCH_GROUP_LEN: usize = 32;

impl Default for RequestIndex {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

impl RequestIndex {
    /// An empty index with room for `requests` requests.
    #[must_use]
    pub fn with_capacity(requests: usize) -> Self {
        let bits = bits_for(requests);
        let decided = Vec::with_capacity(requests);
        Self { decided, invalid: Vec::new(), slots: vec![0; 1 << bits], bits }
    }

    /// Makes room for `requests` requests if the index is empty.
    pub(crate) fn reserve_when_empty(&mut self, requests: usize) {
        if self.is_empty() && bits_for(requests) > self.bits {
            *self = Self::with_capacity(requests);
        }
    }

    /// Builds the index of a list, with room for `room` requests in all.
    ///
    /// # Errors
    /// [`DecidedListError`] with the first request that does not match.
    pub fn from_list(list: DecidedList, room: usize) -> Result<Self, DecidedListError> {
        let DecidedList { mut decided, invalid } = list;
        let mut expected = 0;
        // The n-th invalid request must name the n-th item of the list of invalid votes.
        for (rank, decided) in decided.iter().enumerate() {
            let Some(found) = decided.invalid_index() else { continue };
            if found != expected {
                return Err(DecidedListError::Invalid { rank });
            }
            expected += 1;
        }
        if expected != invalid.len() {
            return Err(DecidedListError::Invalid { rank: decided.len() });
        }
        let room = room.max(decided.len());
        decided.reserve(room - decided.len());
        let bits = bits_for(room);
        let mut index = Self { decided, invalid, slots: vec![0; 1 << bits], bits };
        index.fill()?;
        Ok(index)
    }

    /// Copies a range of the list.
    ///
    /// # Panics
    /// When the range goes beyond the list.
    #[must_use]
    pub fn copy(&self, range: std::ops::Range<usize>) -> DecidedList {
        let decided = self.decided[range].to_vec();
        let hash = |decided: &Decided| decided.invalid_index().map(|index| self.invalid[index]);
        let invalid = decided.iter().filter_map(hash).collect();
        DecidedList { decided, invalid }
    }

    /// Whether the log has decided the request.
    #[must_use]
    pub fn contains(&self, request: &RequestId) -> bool {
        self.find(request).is_ok()
    }

    /// The index of the request's entry in the log.
    #[must_use]
    pub fn get(&self, request: &RequestId) -> Option<u64> {
        self.find(request).ok().map(|rank| self.decided[rank].leaf())
    }

    /// The decision on a request, if the log has decided it.
    #[must_use]
    pub fn find_first(&self, request: &RequestId) -> Option<FirstDecision> {
        let rank = self.find(request).ok()?;
        let decided = &self.decided[rank];
        Some(FirstDecision { rank, leaf: decided.leaf(), subject: self.subject(decided) })
    }

    fn subject(&self, decided: &Decided) -> Subject {
        match decided.invalid_index() {
            Some(invalid) => self.invalid[invalid].map_or(Subject::Unknown, Subject::Invalid),
            None => Subject::Elector(Elector(decided.subject)),
        }
    }

    /// Records a decided request whose entry is at index `leaf`, unless it is recorded already.
    ///
    /// # Panics
    /// At 2^32 leaves, 500 times the largest log this system is designed for.
    pub fn insert(&mut self, request: RequestId, leaf: u64, subject: Subject) {
        let Err(slot) = self.find(&request) else { return };
        let leaf = u32::try_from(leaf).expect("a log has fewer than 2^32 leaves");
        let subject = match subject {
            Subject::Elector(elector) => elector.0,
            Subject::Invalid(hash) => self.push_invalid(Some(hash)),
            Subject::Unknown => self.push_invalid(None),
        };
        self.put(slot, self.decided.len(), &request);
        self.decided.push(Decided { request, leaf, subject });
        // A search ends at a free slot, so the table must never fill.
        if self.decided.len() >= capacity(self.bits) {
            self.grow();
        }
    }

    /// Records the requests of another index, in their order.
    ///
    /// # Panics
    /// As [`RequestIndex::insert`].
    pub(crate) fn append(&mut self, other: &Self) {
        for decided in &other.decided {
            self.insert(decided.request, decided.leaf(), other.subject(decided));
        }
    }

    fn push_invalid(&mut self, hash: Option<CredentialHash>) -> u32 {
        let index = u32::try_from(self.invalid.len()).expect("a log has fewer than 2^32 leaves");
        assert!(index < INVALID, "fewer than 2^31 votes are invalid");
        self.invalid.push(hash);
        INVALID | index
    }

    /// The decided requests in log order.
    #[must_use]
    pub fn decided(&self) -> &[Decided] {
        &self.decided
    }

    /// Number of decided requests.
    #[must_use]
    pub fn len(&self) -> usize {
        self.decided.len()
    }

    /// Whether no request is decided.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.decided.is_empty()
    }

    /// Finds the position of a request in the list; `Err` holds the free slot where it belongs.
    fn find(&self, request: &RequestId) -> Result<usize, usize> {
        // Linear probing. Nothing is ever removed, so a free slot ends the search.
        let (mut slot, tag) = self.home(request);
        loop {
            let found = self.slots[slot];
            if found == 0 {
                return Err(slot);
            }
            let rank = (found & self.mask()) as usize - 1;
            // Comparing tags first spares most reads of the list, which are cache misses.
            if found & !self.mask() == tag && self.decided[rank].request == *request {
                return Ok(rank);
            }
            // The number of slots is a power of two: the mask wraps around the end.
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    fn put(&mut self, slot: usize, rank: usize, request: &RequestId) {
        let (_, tag) = self.home(request);
        // At most three quarters of 2^bits, so the number never reaches into the tag.
        let number = u32::try_from(rank + 1).expect("a log has fewer than 2^32 leaves");
        self.slots[slot] = tag | number;
    }

    /// The slot where the search for a request starts, and its tag. Request ids are random or the
    /// output of a keyed hash, and no voter can choose one: their own bytes are the hash.
    fn home(&self, request: &RequestId) -> (usize, u32) {
        let [first, second, third, fourth, fifth, sixth, seventh, eighth, ..] = *request.as_bytes();
        // Slot: the leading `bits` bits of bytes 0..4. Tag: the low `32 - bits` bits of bytes 4..8,
        // shifted above the position; in 64 bits, since the shift may be 32.
        let slot = u32::from_be_bytes([first, second, third, fourth]) >> (32 - self.bits);
        let tag = u64::from(u32::from_be_bytes([fifth, sixth, seventh, eighth])) << self.bits;
        (slot as usize, tag as u32)
    }

    fn mask(&self) -> u32 {
        // Selects the position; the tag is the rest of the slot.
        u32::MAX >> (32 - self.bits)
    }

    fn grow(&mut self) {
        // Slot and tag depend on `bits`: the table is filled again from the list.
        self.bits += 1;
        self.slots = vec![0; 1 << self.bits];
        self.fill().expect("a request is put in once");
    }

    /// Fills an empty table from the whole list. The slots of a group of requests are read before
    /// they are filled, so that the cache misses of the group overlap.
    fn fill(&mut self) -> Result<(), DecidedListError> {
        for start in (0..self.decided.len()).step_by(FETCH_GROUP_LEN) {
            let end = (start + FETCH_GROUP_LEN).min(self.decided.len());
            // The loads are independent and run in parallel; the sum and `black_box` keep them.
            let fetched = self.decided[start..end].iter().fold(0, |sum: u32, decided| {
                let (slot, _) = self.home(&decided.request);
                sum.wrapping_add(self.slots[slot])
            });
            std::hint::black_box(fetched);
            for rank in start..end {
                let request = self.decided[rank].request;
                match self.find(&request) {
                    Err(slot) => self.put(slot, rank, &request),
                    Ok(_) => return Err(DecidedListError::Repeated { rank }),
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RequestIndex {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RequestIndex({} requests)", self.len())
    }
}

/// Requests to make room for with `electors` electors: some vote twice.
pub(crate) const fn requests_expected(electors: usize) -> usize {
    electors + electors / 8
}

/// Requests that a table of 2^bits slots holds before it grows.
const fn capacity(bits: u32) -> usize {
    (1 << bits) / 4 * 3
}

fn bits_for(requests: usize) -> u32 {
    let mut bits = BITS_MIN;
    // `<=`: a table grows once it reaches its capacity.
    while capacity(bits) <= requests {
        bits += 1;
    }
    bits
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::collections::hash_map::Entry;

    use proptest::prelude::*;

    use super::*;

    fn request(number: u32) -> RequestId {
        // Few leading bits differ, so that slots collide and searches wrap around the end of the
        // table.
        let mut bytes = [0xff; 16];
        bytes[3] = (number >> 3) as u8;
        bytes[12..].copy_from_slice(&number.to_be_bytes());
        RequestId::from_bytes(bytes)
    }

    fn subject(number: u32) -> Subject {
        match number % 3 {
            0 => Subject::Invalid(CredentialHash::from_bytes([number as u8; 32])),
            1 if number.is_multiple_of(5) => Subject::Unknown,
            _ => Subject::Elector(Elector(number)),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_map(
            numbers in prop::collection::vec(0_u32..400, 0..600),
            room in 0_usize..300,
            cut: prop::sample::Index,
        ) {
            let mut index = RequestIndex::with_capacity(room);
            let (mut model, mut order) = (HashMap::new(), Vec::new());
            for (leaf, number) in (0..).zip(numbers) {
                index.insert(request(number), leaf, subject(number));
                if let Entry::Vacant(free) = model.entry(number) {
                    free.insert((order.len(), leaf));
                    order.push(number);
                }
            }
            // In two parts, as a snapshot copies it.
            let cut = cut.index(order.len() + 1);
            let mut list = index.copy(0..cut);
            let rest = index.copy(cut..order.len());
            list.decided.extend(rest.decided);
            list.invalid.extend(rest.invalid);
            let again = RequestIndex::from_list(list.clone(), room).expect("each once");
            for number in 0..400 {
                let request = request(number);
                let expected = model.get(&number).map(|(rank, leaf)| {
                    FirstDecision { rank: *rank, leaf: *leaf, subject: subject(number) }
                });
                prop_assert_eq!(index.find_first(&request), expected);
                prop_assert_eq!(again.find_first(&request), expected);
                prop_assert_eq!(index.get(&request), expected.map(|first| first.leaf));
                prop_assert_eq!(index.contains(&request), expected.is_some());
            }
            for one in &list.decided {
                prop_assert!(Decided::from_bytes(&one.to_bytes()) == *one);
            }
            let rank = list.decided.len();
            let lacking = DecidedList { invalid: vec![], ..list.clone() };
            if !list.invalid.is_empty() {
                let refused = RequestIndex::from_list(lacking, room).unwrap_err();
                prop_assert_eq!(refused, DecidedListError::Invalid { rank });
            }
            if let Some(first) = list.decided.iter().find(|one| one.elector().is_some()).copied() {
                list.decided.push(first);
                let refused = RequestIndex::from_list(list, room).unwrap_err();
                prop_assert_eq!(refused, DecidedListError::Repeated { rank });
            }
        }
    }
}
