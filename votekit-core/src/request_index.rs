//! Which requests the log has decided, in the order of the log: each with the index of its entry
//! and the elector it was counted for.
//!
//! One list that only ever grows, and a table of places in it. The list is what a snapshot keeps:
//! whatever is behind a place never changes, so it can be copied bit by bit while votes go on. 24
//! bytes a request and 4 bytes a slot of the table, which is at most three quarters full.

use std::fmt;

use crate::id::RequestId;
use crate::registry::Elector;

/// A decided request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    request: RequestId,
    leaf: u32,
    /// [`NO_ELECTOR`], or an elector.
    elector: u32,
}

/// Stands for no elector: the vote was invalid.
const NO_ELECTOR: u32 = u32::MAX;

impl Decided {
    /// Bytes of one in a snapshot.
    pub const LENGTH: usize = RequestId::LENGTH + 4 + 4;

    /// A request whose entry stands at `leaf`. The elector is the one whose attempt it was; `None`
    /// for an invalid vote.
    ///
    /// # Panics
    /// At 2^32 leaves, 500 times the largest log this system is made for.
    #[must_use]
    pub fn new(request: RequestId, leaf: u64, elector: Option<Elector>) -> Self {
        let leaf = u32::try_from(leaf).expect("a log has fewer than 2^32 leaves");
        Self { request, leaf, elector: elector.map_or(NO_ELECTOR, |elector| elector.0) }
    }

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

    /// The elector whose attempt it was: the first attempt of each was accepted, later ones are
    /// duplicates. `None` for an invalid vote.
    #[must_use]
    pub fn elector(&self) -> Option<Elector> {
        (self.elector != NO_ELECTOR).then_some(Elector(self.elector))
    }

    /// The request, the leaf and the elector, numbers little-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..16].copy_from_slice(self.request.as_bytes());
        bytes[16..20].copy_from_slice(&self.leaf.to_le_bytes());
        bytes[20..].copy_from_slice(&self.elector.to_le_bytes());
        bytes
    }

    /// Reads what [`Decided::to_bytes`] wrote.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LENGTH]) -> Self {
        let mut request = [0; RequestId::LENGTH];
        request.copy_from_slice(&bytes[..16]);
        let number = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        Self { request: RequestId::from_bytes(request), leaf: number(16), elector: number(20) }
    }
}

impl fmt::Debug for Decided {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Decided({} at leaf {})", self.request, self.leaf)
    }
}

/// An exact map from decided requests to their entries in the log, in the order in which they were
/// decided.
///
/// Made with room for every elector it never moves its table while votes come in, and memory that
/// is never used is never touched.
pub struct RequestIndex {
    decided: Vec<Decided>,
    /// `0` for a free slot; else the place in the list, plus one, in the lower `bits`, and above it
    /// bits of the request.
    slots: Vec<u32>,
    /// The table has 2^bits slots.
    bits: u32,
}

/// A request stands twice in a list of decided requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("decided request {place} stands in the list before")]
pub struct Repeated {
    /// The second place, from 0.
    pub place: usize,
}

/// The smallest table, as a power of two.
const BITS_MIN: u32 = 6;

/// Requests whose slots are fetched together when many are put in at once.
const TOGETHER: usize = 32;

impl Default for RequestIndex {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

impl RequestIndex {
    /// An empty index with room for so many requests.
    #[must_use]
    pub fn with_capacity(requests: usize) -> Self {
        let bits = bits_for(requests);
        Self { decided: Vec::with_capacity(requests), slots: vec![0; 1 << bits], bits }
    }

    /// The index of these requests in their order, with room for `room` of them in all.
    ///
    /// # Errors
    /// [`Repeated`] with the first request that stands twice.
    pub fn of(mut decided: Vec<Decided>, room: usize) -> Result<Self, Repeated> {
        let room = room.max(decided.len());
        decided.reserve(room - decided.len());
        let bits = bits_for(room);
        let mut index = Self { decided, slots: vec![0; 1 << bits], bits };
        index.fill()?;
        Ok(index)
    }

    /// Whether the log has decided the request.
    #[must_use]
    pub fn contains(&self, request: &RequestId) -> bool {
        self.find(request).is_ok()
    }

    /// The index of the request's entry in the log.
    #[must_use]
    pub fn get(&self, request: &RequestId) -> Option<u64> {
        self.find(request).ok().map(|place| self.decided[place].leaf())
    }

    /// Notes a decided request, unless it is there.
    pub fn insert(&mut self, decided: Decided) {
        if let Err(slot) = self.find(&decided.request) {
            self.put(slot, self.decided.len(), &decided.request);
            self.decided.push(decided);
            if self.decided.len() >= capacity(self.bits) {
                self.grow();
            }
        }
    }

    /// The decided requests in the order of the log.
    #[must_use]
    pub fn decided(&self) -> &[Decided] {
        &self.decided
    }

    /// Requests decided.
    #[must_use]
    pub fn len(&self) -> usize {
        self.decided.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.decided.is_empty()
    }

    /// The place of a request in the list, or the slot where it would be put.
    fn find(&self, request: &RequestId) -> Result<usize, usize> {
        let (mut slot, tag) = self.home(request);
        loop {
            let found = self.slots[slot];
            if found == 0 {
                return Err(slot);
            }
            let place = (found & self.mask()) as usize - 1;
            if found & !self.mask() == tag && self.decided[place].request == *request {
                return Ok(place);
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    fn put(&mut self, slot: usize, place: usize, request: &RequestId) {
        let (_, tag) = self.home(request);
        let number = u32::try_from(place + 1).expect("a log has fewer than 2^32 leaves");
        self.slots[slot] = tag | number;
    }

    /// Where the search for a request begins, and its bits above a place. Request ids are random or
    /// the output of a keyed hash, and no voter can choose one: their own bytes are the hash.
    fn home(&self, request: &RequestId) -> (usize, u32) {
        let [first, second, third, fourth, fifth, sixth, seventh, eighth, ..] = *request.as_bytes();
        let slot = u32::from_be_bytes([first, second, third, fourth]) >> (32 - self.bits);
        let tag = u64::from(u32::from_be_bytes([fifth, sixth, seventh, eighth])) << self.bits;
        (slot as usize, tag as u32)
    }

    fn mask(&self) -> u32 {
        u32::MAX >> (32 - self.bits)
    }

    fn grow(&mut self) {
        self.bits += 1;
        self.slots = vec![0; 1 << self.bits];
        self.fill().expect("a request is put in once");
    }

    /// Puts the whole list into an empty table. The slots of a few requests are looked at before
    /// they are filled: so many fetches from memory are under way at once.
    fn fill(&mut self) -> Result<(), Repeated> {
        for start in (0..self.decided.len()).step_by(TOGETHER) {
            let end = (start + TOGETHER).min(self.decided.len());
            let fetched = self.decided[start..end].iter().fold(0, |sum: u32, decided| {
                let (slot, _) = self.home(&decided.request);
                sum.wrapping_add(self.slots[slot])
            });
            std::hint::black_box(fetched);
            for place in start..end {
                let request = self.decided[place].request;
                match self.find(&request) {
                    Err(slot) => self.put(slot, place, &request),
                    Ok(_) => return Err(Repeated { place }),
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

/// Requests to make room for with so many electors: some vote twice.
pub(crate) const fn requests_expected(electors: usize) -> usize {
    electors + electors / 8
}

/// Requests that a table holds before it grows.
const fn capacity(bits: u32) -> usize {
    (1 << bits) / 4 * 3
}

fn bits_for(requests: usize) -> u32 {
    let mut bits = BITS_MIN;
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

    fn decided(number: u32, leaf: u64) -> Decided {
        // Few leading bits differ, so that slots collide and searches run over the end of the
        // table.
        let mut bytes = [0xff; 16];
        bytes[3] = (number >> 3) as u8;
        bytes[12..].copy_from_slice(&number.to_be_bytes());
        Decided::new(
            RequestId::from_bytes(bytes),
            leaf,
            (!number.is_multiple_of(3)).then_some(Elector(number)),
        )
    }

    proptest! {
        #[test]
        fn agrees_with_a_map(numbers in prop::collection::vec(0_u32..400, 0..600), room in 0_usize..300) {
            let mut index = RequestIndex::with_capacity(room);
            let (mut model, mut order) = (HashMap::new(), Vec::new());
            for (leaf, number) in (0..).zip(numbers) {
                let decided = decided(number, leaf);
                index.insert(decided);
                if let Entry::Vacant(free) = model.entry(number) {
                    free.insert(leaf);
                    order.push(decided);
                }
            }
            for number in 0..400 {
                let request = *decided(number, 0).request();
                prop_assert_eq!(index.get(&request), model.get(&number).copied());
                prop_assert_eq!(index.contains(&request), model.contains_key(&number));
            }
            prop_assert_eq!(index.decided(), &order[..]);
            let again = RequestIndex::of(order.clone(), room).expect("each once");
            prop_assert!(order.iter().all(|decided| again.get(decided.request()) == Some(decided.leaf())));
            prop_assert!(order.iter().all(|decided| Decided::from_bytes(&decided.to_bytes()) == *decided));
            if let Some(first) = order.first().copied() {
                let place = order.len();
                order.push(first);
                prop_assert_eq!(RequestIndex::of(order, room).unwrap_err(), Repeated { place });
            }
        }
    }
}
