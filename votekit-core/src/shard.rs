//! Shards: sorted files of one law's registry keys, as readable JSON or compact binary; and the
//! change files of a supplement. Specified in `docs/formats.md` sections 3 and 4.
//!
//! Keys are sorted so that the order of the roll does not survive: it would reveal whose key is
//! whose. A reader accepts exactly the bytes that the writer produces.

mod binary;
mod changes;
mod json;

pub use changes::{Changes, ChangesError};

use crate::credential::RegistryKey;
use crate::id::{ElectionId, IdError};

/// The encoding of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ShardFormat {
    /// Readable text, one key per line.
    #[default]
    Json,
    /// Half the size.
    Binary,
}

impl ShardFormat {
    /// The extension of file names, without its dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Binary => "bin",
        }
    }

    /// The format that a file name's extension denotes.
    #[must_use]
    pub fn from_file_name(name: &str) -> Option<Self> {
        [Self::Json, Self::Binary].into_iter().find(|format| {
            name.strip_suffix(format.extension()).is_some_and(|stem| stem.ends_with('.'))
        })
    }
}

/// The position of a shard among the shards of its law.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardHead {
    /// The law.
    pub law_id: ElectionId,
    /// The number of this shard, from 1.
    pub shard: u32,
    /// The number of shards of this law.
    pub shards: u32,
}

/// Why bytes are not a valid shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShardError {
    /// The file deviates from the format.
    #[error("malformed at byte {offset}")]
    Malformed {
        /// Offset of the first deviation, from 0.
        offset: usize,
    },
    /// The law id is malformed.
    #[error(transparent)]
    Law(#[from] IdError),
    /// The shard's number is not within 1 to the number of shards.
    #[error("shard {shard} of {shards}")]
    Number {
        /// The shard's number.
        shard: u32,
        /// Stated number of shards of the law.
        shards: u32,
    },
    /// The shard states more keys than allowed.
    #[error("{count} keys, over {max}", max = ShardHead::KEYS_MAX)]
    TooMany {
        /// Stated number of keys.
        count: u32,
    },
    /// The shard holds fewer or more keys than stated.
    #[error("not {stated} keys")]
    Count {
        /// Stated number of keys.
        stated: u32,
    },
    /// A key is not 64 lower-case hexadecimal digits.
    #[error("key {key}: malformed")]
    Key {
        /// Index of the key, from 1.
        key: usize,
    },
    /// A key is not greater than its predecessor.
    #[error("key {key}: not ascending")]
    Order {
        /// Index of the key, from 1.
        key: usize,
    },
}

impl ShardHead {
    /// Maximum number of keys in a shard.
    pub const KEYS_MAX: usize = 1_000_000;
    /// Maximum number of shards of a law: file names have four digits for the number.
    pub const SHARDS_MAX: usize = 9_999;

    /// `<law_id>.<shard>.json` or `.bin`.
    #[must_use]
    pub fn file_name(&self, format: ShardFormat) -> String {
        format!("{}.{:04}.{}", self.law_id, self.shard, format.extension())
    }

    /// Encodes a shard. `keys` must be ascending and at most [`ShardHead::KEYS_MAX`]; otherwise no
    /// reader accepts the shard.
    ///
    /// ```
    /// use votekit_core::{credential::RegistryKey, shard::{ShardFormat, ShardHead}};
    /// let head = ShardHead { law_id: "L1".parse()?, shard: 1, shards: 1 };
    /// let keys = [RegistryKey::from_bytes([1; 32]), RegistryKey::from_bytes([2; 32])];
    /// let bytes = head.encode(ShardFormat::Binary, &keys);
    /// assert_eq!(bytes.len(), 21 + 2 + 2 * 32);
    /// assert_eq!(ShardHead::decode(ShardFormat::Binary, &bytes)?, (head, keys.to_vec()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn encode(&self, format: ShardFormat, keys: &[RegistryKey]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = ShardEncoder::start(self, format, keys.len(), &mut bytes);
        if !keys.is_empty() {
            encoder.push(keys, &mut bytes);
        }
        bytes
    }

    /// Decodes a shard; accepts only the exact bytes that [`ShardHead::encode`] produces.
    ///
    /// # Errors
    /// [`ShardError`] for the first fault.
    pub fn decode(
        format: ShardFormat,
        bytes: &[u8],
    ) -> Result<(Self, Vec<RegistryKey>), ShardError> {
        let (head, keys) = match format {
            ShardFormat::Json => json::decode(bytes)?,
            ShardFormat::Binary => binary::decode(bytes)?,
        };
        if let Some(position) = keys.windows(2).position(|pair| pair[0] >= pair[1]) {
            return Err(ShardError::Order { key: position + 2 });
        }
        Ok((head, keys))
    }

    fn checked(law_id: &[u8], shard: u32, shards: u32, count: u32) -> Result<Self, ShardError> {
        ElectionId::check(law_id)?;
        let law_id = std::str::from_utf8(law_id).unwrap_or_default().parse()?;
        if shard == 0 || shard > shards || shards as usize > Self::SHARDS_MAX {
            return Err(ShardError::Number { shard, shards });
        }
        if count as usize > Self::KEYS_MAX {
            return Err(ShardError::TooMany { count });
        }
        Ok(Self { law_id, shard, shards })
    }
}

/// A partly written shard, for keys that are not contiguous in memory. Bytes are appended to the
/// caller's buffer, so that the caller can send them and reuse the buffer.
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

#[cfg(test)]
#[path = "shard_test.rs"]
mod tests;
