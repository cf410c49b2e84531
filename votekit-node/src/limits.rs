//! Load limits that keep honest voters served: rates, shares by address prefix, the throttle on
//! wrong codes, and the admission that combines them; the tables keyed by digests that they share.
//! State only, no task.

pub mod address_prefix;
pub mod rate_limit;
pub mod throttle;
pub mod admission;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Shards of a table, each locked on its own.
const SHARDS: usize = 64;

/// The shard of a digest, by its low bits.
fn shard_of(digest: u64) -> usize {
    digest as usize % SHARDS
}

/// One shard of a table.
type DigestMap<V> = HashMap<u64, V, BuildHasherDefault<DigestHasher>>;

/// Digests are hashes already.
#[derive(Default)]
struct DigestHasher(u64);

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
