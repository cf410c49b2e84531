//! Identifiers and numbers: laws, requests, nodes, epochs, sequences, digests.
//!
//! Each is a newtype with a checked constructor, so that a law id cannot be confused with a file
//! name, nor a request id with a credential hash. Digests and ids print as lower-case hexadecimal.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Why a text is not an identifier. Does not contain the text, which may be a secret pasted by
/// mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// A law id is 1 to 50 characters long.
    #[error("law id of {length} characters, not 1 to 50")]
    LawLength {
        /// Number of characters found.
        length: usize,
    },
    /// A law id consists of `A-Z a-z 0-9 . _ -`.
    #[error("law id with a wrong character at {position}")]
    LawCharacter {
        /// Position of the first offending character, from 1.
        position: usize,
    },
    /// `.` and `..` would be folder names in a URL.
    #[error("law id of dots alone")]
    LawDots,
    /// A fixed number of lower-case hexadecimal digits was expected.
    #[error("not {expected} hexadecimal digits in lower case")]
    Hex {
        /// Expected number of digits.
        expected: usize,
    },
}

/// The law (or office) put to the vote, which is also the id of its election: 1 to 50 of
/// `A-Za-z0-9._-`.
///
/// ```
/// use votekit_core::id::ElectionId;
/// let law: ElectionId = "L2025-001".parse()?;
/// assert_eq!(law.as_str(), "L2025-001");
/// assert!("L2025 001".parse::<ElectionId>().is_err());
/// # Ok::<(), votekit_core::id::IdError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ElectionId(String);

impl ElectionId {
    /// Maximum length of a law id in bytes.
    pub const LENGTH_MAX: usize = 50;

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Checks the bytes of a law id without allocating.
    ///
    /// # Errors
    /// [`IdError`] with the first broken rule.
    pub fn check(bytes: &[u8]) -> Result<(), IdError> {
        if let Some(position) = bytes.iter().position(|byte| !is_law_byte(*byte)) {
            return Err(IdError::LawCharacter { position: position + 1 });
        }
        if bytes.is_empty() || bytes.len() > Self::LENGTH_MAX {
            return Err(IdError::LawLength { length: bytes.len() });
        }
        if bytes == b"." || bytes == b".." {
            return Err(IdError::LawDots);
        }
        Ok(())
    }
}

const fn is_law_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

impl FromStr for ElectionId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::check(text.as_bytes())?;
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ElectionId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        Self::check(text.as_bytes())?;
        Ok(Self(text))
    }
}

impl From<ElectionId> for String {
    fn from(law: ElectionId) -> Self {
        law.0
    }
}

impl fmt::Display for ElectionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for ElectionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Defines a newtype of `$length` bytes that is written as lower-case hexadecimal.
macro_rules! hex_bytes {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; $length]);

        impl $name {
            /// Length in bytes.
            pub const LENGTH: usize = $length;

            /// Wraps the raw bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }

            /// The raw bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }

            /// Lower-case hexadecimal.
            #[must_use]
            pub fn to_hex(&self) -> String {
                const_hex::encode(self.0)
            }

            /// Parses exact lower-case hexadecimal: no capitals, no `0x`.
            ///
            /// # Errors
            /// [`$crate::id::IdError::Hex`] for anything else.
            pub fn from_hex(text: &[u8]) -> Result<Self, $crate::id::IdError> {
                let error = $crate::id::IdError::Hex { expected: 2 * $length };
                if text.len() != 2 * $length || text.iter().any(u8::is_ascii_uppercase) {
                    return Err(error);
                }
                let mut bytes = [0; $length];
                const_hex::decode_to_slice(text, &mut bytes).map_err(|_| error)?;
                Ok(Self(bytes))
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::id::IdError;

            fn from_str(text: &str) -> Result<Self, $crate::id::IdError> {
                Self::from_hex(text.as_bytes())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(&self.to_hex())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(&self.to_hex())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.to_hex())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::from_hex(text.as_bytes()).map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use hex_bytes;

hex_bytes! {
    /// SHA-256 of data other than a credential: a file, a batch, a leaf, a tree.
    Digest, 32
}

impl Digest {
    /// Computes the SHA-256 of `bytes`.
    #[must_use]
    pub fn compute(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

hex_bytes! {
    /// One request to vote, as returned to the voter in the 202 answer.
    RequestId, 16
}

hex_bytes! {
    /// A node, identified by its ingest key: the first 8 bytes of SHA-256 of `votekit-node/1`, a
    /// line feed and the Ed25519 public key.
    NodeId, 8
}

impl NodeId {
    /// The id derived from an Ed25519 public key.
    #[must_use]
    pub fn from_public_key(public_key: &[u8; 32]) -> Self {
        let digest =
            Sha256::new().chain_update(b"votekit-node/1\n").chain_update(public_key).finalize();
        let mut id = [0; 8];
        id.copy_from_slice(&digest[..8]);
        Self(id)
    }
}

/// One run of an ingest node for one election. The ledger allocates epochs, from 1, so that no two
/// runs share a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u32);

/// The number of a batch in its epoch, from 1. Zero means *none yet*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The largest number: integers in JSON stay below 2^53.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// The following number.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Identifies a batch within its election: the node, its epoch and its sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchNumber {
    /// The ingest node.
    pub node: NodeId,
    /// The node's epoch.
    pub epoch: Epoch,
    /// The number within that epoch.
    pub sequence: Sequence,
}

impl fmt::Display for BatchNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{}", self.node, self.epoch.0, self.sequence.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn law_ids_name_the_broken_rule() {
        assert_eq!("".parse::<ElectionId>(), Err(IdError::LawLength { length: 0 }));
        assert_eq!("x".repeat(51).parse::<ElectionId>(), Err(IdError::LawLength { length: 51 }));
        assert_eq!("ab/c".parse::<ElectionId>(), Err(IdError::LawCharacter { position: 3 }));
        assert_eq!("..".parse::<ElectionId>(), Err(IdError::LawDots));
        assert!("x".repeat(50).parse::<ElectionId>().is_ok());
    }

    #[test]
    fn hexadecimal_is_accepted_in_one_form_only() {
        let id = RequestId::from_bytes([0xab; 16]);
        assert_eq!(id.to_hex().parse::<RequestId>(), Ok(id));
        assert!(id.to_hex().to_uppercase().parse::<RequestId>().is_err());
        assert!(format!("0x{}", &id.to_hex()[2..]).parse::<RequestId>().is_err());
    }
}
