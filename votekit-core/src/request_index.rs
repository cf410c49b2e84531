//! Which requests the log has decided: from request id to the index of the entry.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use crate::id::RequestId;

/// An exact map from decided requests to the indices of their entries in the log.
///
/// Made with room for every elector it never grows while votes come in: about 21 bytes a slot, and slots that are never used cost no memory
/// until they are touched.
#[derive(Default)]
pub struct RequestIndex {
    entries: HashMap<RequestId, u32, BuildHasherDefault<RequestHasher>>,
}

impl RequestIndex {
    /// An empty index with room for so many requests.
    #[must_use]
    pub fn with_capacity(requests: usize) -> Self {
        Self { entries: HashMap::with_capacity_and_hasher(requests, BuildHasherDefault::default()) }
    }

    /// Whether the log has decided the request.
    #[must_use]
    pub fn contains(&self, request: &RequestId) -> bool {
        self.entries.contains_key(request)
    }

    /// The index of the request's entry in the log.
    #[must_use]
    pub fn get(&self, request: &RequestId) -> Option<u64> {
        self.entries.get(request).map(|index| u64::from(*index))
    }

    /// Notes a decided request.
    ///
    /// # Panics
    /// At 2^32 leaves, 500 times the largest log this system is made for.
    pub fn insert(&mut self, request: RequestId, index: u64) {
        self.entries.insert(request, u32::try_from(index).expect("a log has fewer than 2^32 leaves"));
    }

    /// Requests decided.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl fmt::Debug for RequestIndex {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RequestIndex({} requests)", self.len())
    }
}

/// Hashes request ids for maps, by their own bytes: they are random or the output of a keyed hash, and no voter can choose one.
#[derive(Debug, Clone, Default)]
pub struct RequestHasher(u64);

impl Hasher for RequestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(bytes) = bytes.first_chunk() {
            self.0 = u64::from_be_bytes(*bytes);
        }
    }

    fn write_usize(&mut self, _length: usize) {}
}
