//! Writes a shard piece by piece, for keys that are not contiguous in memory.

use super::{ShardFormat, ShardHead, binary, json};
use crate::credential::RegistryKey;

/// A partly written shard. Bytes are appended to the caller's buffer, so that the caller can send
/// them and reuse the buffer.
///
/// ```
/// use votekit_core::{credential::RegistryKey, shard::{ShardEncoder, ShardFormat, ShardHead}};
/// let head = ShardHead { law_id: "L1".parse()?, shard: 1, shards: 1 };
/// let keys = [RegistryKey::from_bytes([1; 32]), RegistryKey::from_bytes([2; 32])];
/// let mut bytes = Vec::new();
/// let mut encoder = ShardEncoder::start(&head, ShardFormat::Json, keys.len(), &mut bytes);
/// encoder.push(&keys[..1], &mut bytes);
/// encoder.push(&keys[1..], &mut bytes);
/// assert_eq!(bytes, head.encode(ShardFormat::Json, &keys));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ShardEncoder {
    format: ShardFormat,
    left: usize,
}

impl ShardEncoder {
    /// Writes the bytes before the keys; `count` is the total number of keys.
    #[must_use]
    pub fn start(head: &ShardHead, format: ShardFormat, count: usize, bytes: &mut Vec<u8>) -> Self {
        let encoder = Self { format, left: count };
        match format {
            ShardFormat::Json => json::encode_head(head, count, bytes),
            ShardFormat::Binary => binary::encode_head(head, count, bytes),
        }
        encoder.end_if_full(bytes);
        encoder
    }

    /// Writes keys, which must be ascending and greater than all earlier ones. After the last of
    /// the announced keys, writes the end of the shard.
    pub fn push(&mut self, keys: &[RegistryKey], bytes: &mut Vec<u8>) {
        debug_assert!(keys.len() <= self.left, "more keys than were announced");
        self.left = self.left.saturating_sub(keys.len());
        match self.format {
            ShardFormat::Json => json::encode_keys(keys, self.left == 0, bytes),
            ShardFormat::Binary => binary::encode_keys(keys, bytes),
        }
        self.end_if_full(bytes);
    }

    fn end_if_full(&self, bytes: &mut Vec<u8>) {
        if let (0, ShardFormat::Json) = (self.left, self.format) {
            json::encode_end(bytes);
        }
    }
}
