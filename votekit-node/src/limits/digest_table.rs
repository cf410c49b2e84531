//! Tables keyed by digests: their shards and their hash.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Shards of a table, each locked on its own.
pub(super) const SHARDS: usize = 64;

/// The shard of a digest, by its low bits.
pub(super) fn shard_of(digest: u64) -> usize {
    digest as usize % SHARDS
}

/// One shard of a table.
pub(super) type DigestMap<V> = HashMap<u64, V, BuildHasherDefault<DigestHasher>>;

/// Digests are hashes already.
#[derive(Default)]
pub(super) struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, digest: u64) {
        // The low bits have chosen the shard.
        self.0 = digest.rotate_right(SHARDS.ilog2());
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
