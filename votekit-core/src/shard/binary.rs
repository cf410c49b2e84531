//! The binary form: a short head, then the keys.

use super::{ShardError, ShardHead};
use crate::credential::RegistryKey;
use crate::id::ElectionId;

const MAGIC: &[u8; 8] = b"VKSHARD1";
/// Bytes before the law id.
const FIXED_LENGTH: usize = 21;

/// Writes the bytes before the keys.
pub(super) fn encode_head(head: &ShardHead, count: usize, bytes: &mut Vec<u8>) {
    let law_id = head.law_id.as_str().as_bytes();
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&head.shard.to_be_bytes());
    bytes.extend_from_slice(&head.shards.to_be_bytes());
    // A larger count saturates: no reader accepts more than `ShardHead::KEYS_MAX` keys.
    bytes.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
    bytes.push(law_id.len() as u8);
    bytes.extend_from_slice(law_id);
}

/// Writes the raw keys.
pub(super) fn encode_keys(keys: &[RegistryKey], bytes: &mut Vec<u8>) {
    bytes.reserve(keys.len() * RegistryKey::LENGTH);
    for key in keys {
        bytes.extend_from_slice(key.as_bytes());
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<(ShardHead, Vec<RegistryKey>), ShardError> {
    let short = ShardError::Malformed { offset: bytes.len() };
    let (fixed, rest) = bytes.split_first_chunk::<FIXED_LENGTH>().ok_or(short)?;
    if let Some(offset) = fixed.iter().zip(MAGIC).position(|(found, expected)| found != expected) {
        return Err(ShardError::Malformed { offset });
    }
    let number =
        |at: usize| u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
    let (shard, shards, count) = (number(8), number(12), number(16));
    let length = usize::from(fixed[20]);
    if length > ElectionId::LENGTH_MAX {
        return Err(ShardError::Malformed { offset: 20 });
    }
    let (law_id, body) = rest.split_at_checked(length).ok_or(short)?;
    let head = ShardHead::checked(law_id, shard, shards, count)?;
    let (keys, left_over) = body.as_chunks::<{ RegistryKey::LENGTH }>();
    if keys.len() != count as usize || !left_over.is_empty() {
        return Err(ShardError::Count { stated: count });
    }
    Ok((head, keys.iter().copied().map(RegistryKey::from_bytes).collect()))
}
