//! Keys of signed notes: names, ids, verifier keys in their text form, and the secret half of type
//! 0x01.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signer as _, VerifyingKey};
use sha2::{Digest as _, Sha256};

use super::Signature;
use crate::ed25519;
use crate::id::hex_bytes;
use crate::instant::UnixSeconds;
use crate::log::encoding::{base64, parse_base64};

hex_bytes! {
    /// Distinguishes keys of one name: the first 4 bytes of SHA-256 of the name, a line feed, the
    /// type and the public key.
    KeyId, 4
}

impl KeyId {
    /// The id of a key of this name, type and public key.
    #[must_use]
    pub fn new(name: &KeyName, kind: KeyKind, public_key: &[u8; 32]) -> Self {
        let digest = Sha256::new()
            .chain_update(name.as_str())
            .chain_update([b'\n', kind.byte()])
            .chain_update(public_key)
            .finalize();
        Self([digest[0], digest[1], digest[2], digest[3]])
    }
}

/// The kind of a key: the type byte of its verifier key determines what it signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// 0x01: Ed25519 over the text.
    Ed25519,
    /// 0x04: Ed25519 over `cosignature/v1`, a time and a checkpoint.
    CosignatureV1,
}

impl KeyKind {
    /// The type byte.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::CosignatureV1 => 0x04,
        }
    }
}

/// Why a text is not a key name or not a verifier key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Key names are not empty.
    #[error("key name empty")]
    NameEmpty,
    /// Key names hold no Unicode space, no plus sign and no control character.
    #[error("key name with a wrong character at {position}")]
    NameCharacter {
        /// Position of the first offending character, from 1.
        position: usize,
    },
    /// Plus signs join name, id and key.
    #[error("verifier key not `<name>+<key id>+<key>`")]
    Form,
    /// The key is canonical base64.
    #[error("key not canonical base64")]
    Base64,
    /// The type byte is supported.
    #[error("key of type {byte:#04x}, not 0x01 or 0x04")]
    Kind {
        /// The type byte found.
        byte: u8,
    },
    /// An Ed25519 public key has 32 bytes.
    #[error("Ed25519 key of {length} bytes, not 32")]
    Length {
        /// Bytes found.
        length: usize,
    },
    /// The bytes are not a point of the curve, or are a point of small order, under which forged
    /// signatures would verify.
    #[error("not an Ed25519 key")]
    Point,
    /// The id does not follow from name, type and key.
    #[error("found key id {found}, expected {computed}")]
    Id {
        /// The id in the text.
        found: KeyId,
        /// The id computed.
        computed: KeyId,
    },
}

/// The name of a key: not empty, no Unicode space, no plus sign, no control character. Preferably a
/// URL without scheme.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyName(String);

impl KeyName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.is_empty() {
            return Err(KeyError::NameEmpty);
        }
        let offends =
            |character: char| character.is_whitespace() || character < ' ' || character == '+';
        match text.chars().position(offends) {
            Some(place) => Err(KeyError::NameCharacter { position: place + 1 }),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A public key with its name and type, in the form that verifiers are configured with:
/// `<name>+<id>+<base64 of type and key>`.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    id: KeyId,
    kind: KeyKind,
    public_key: VerifyingKey,
}

impl VerifierKey {
    /// Makes a verifier key from a name and a public key.
    ///
    /// # Errors
    /// [`KeyError::Point`] if the bytes are not the canonical encoding of a point, or the point is
    /// of small order.
    pub fn new(name: KeyName, kind: KeyKind, public_key: &[u8; 32]) -> Result<Self, KeyError> {
        let point = ed25519::public_key(public_key).ok_or(KeyError::Point)?;
        Ok(Self { id: KeyId::new(&name, kind, public_key), name, kind, public_key: point })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The kind of the key.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The Ed25519 public key.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        self.public_key.as_bytes()
    }

    /// Whether a signature line names this key.
    #[must_use]
    pub fn is_named_by(&self, signature: &Signature) -> bool {
        self.id == signature.key_id && self.name == signature.name
    }

    /// Verifies the bytes after the key id of a signature line over a note's text. Returns the time
    /// that a cosignature states.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(
        &self,
        text: &str,
        signature: &[u8],
    ) -> Result<Option<UnixSeconds>, SignatureError> {
        match self.kind {
            KeyKind::Ed25519 => {
                let signature = signature
                    .try_into()
                    .map_err(|_| SignatureError::Length { length: signature.len() })?;
                self.verify_message(text.as_bytes(), signature)?;
                Ok(None)
            }
            KeyKind::CosignatureV1 => self.verify_cosignature(text, signature).map(Some),
        }
    }

    fn verify_cosignature(
        &self,
        text: &str,
        signature: &[u8],
    ) -> Result<UnixSeconds, SignatureError> {
        let wrong_length = SignatureError::Length { length: signature.len() };
        let (seconds, signature) = signature.split_first_chunk::<8>().ok_or(wrong_length)?;
        let signature = signature.try_into().map_err(|_| wrong_length)?;
        let at = UnixSeconds(u64::from_be_bytes(*seconds));
        let message = cosigned_message(at, text).ok_or(SignatureError::Time)?;
        self.verify_message(message.as_bytes(), signature)?;
        Ok(at)
    }

    fn verify_message(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), SignatureError> {
        // Strict: one signature has one form, and no key of small order verifies.
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.public_key.verify_strict(message, &signature).map_err(|_| SignatureError::Mismatch)
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        // Base64 may contain plus signs, a name may not: only the first two are separators.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Form);
        };
        let name: KeyName = name.parse()?;
        let found = KeyId::from_hex(id.as_bytes()).map_err(|_| KeyError::Form)?;
        let key = parse_base64(key.as_bytes()).ok_or(KeyError::Base64)?;
        let kind = match key.first() {
            Some(0x01) => KeyKind::Ed25519,
            Some(0x04) => KeyKind::CosignatureV1,
            Some(byte) => return Err(KeyError::Kind { byte: *byte }),
            None => return Err(KeyError::Form),
        };
        let public_key =
            key[1..].try_into().map_err(|_| KeyError::Length { length: key.len() - 1 })?;
        let key = Self::new(name, kind, public_key)?;
        if key.id == found { Ok(key) } else { Err(KeyError::Id { found, computed: key.id }) }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![self.kind.byte()];
        key.extend_from_slice(self.public_key());
        write!(formatter, "{}+{}+{}", self.name, self.id, base64(&key))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

/// Why a signature is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// 64 bytes for Ed25519, 72 for a cosignature.
    #[error("wrong length of {length} bytes")]
    Length {
        /// Bytes found.
        length: usize,
    },
    /// A cosignature's time is below 2^63.
    #[error("time out of range")]
    Time,
    /// The key did not sign this text.
    #[error("wrong key or text")]
    Mismatch,
}

/// The secret half of a key of type 0x01: a log key, or an official's. It signs texts unchanged.
///
/// The seed is zeroed on drop and never printed.
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
    verifier: VerifierKey,
}

impl SigningKey {
    /// Derives the key from an RFC 8032 seed.
    #[must_use]
    pub fn from_seed(name: KeyName, seed: &[u8; 32]) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let verifier = VerifierKey::from_secret(name, KeyKind::Ed25519, &key);
        Self { key, verifier }
    }

    /// The public half.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs a note's text.
    #[must_use]
    pub fn sign(&self, text: &str) -> Signature {
        let bytes = self.key.sign(text.as_bytes()).to_bytes().to_vec();
        Signature::new(self.verifier.name.clone(), self.verifier.id, bytes)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_secret(formatter, "SigningKey", &self.verifier)
    }
}

impl VerifierKey {
    /// The public half of a secret key, a valid point by construction.
    pub(in crate::log) fn from_secret(
        name: KeyName,
        kind: KeyKind,
        key: &ed25519_dalek::SigningKey,
    ) -> Self {
        let public_key = key.verifying_key();
        Self { id: KeyId::new(&name, kind, public_key.as_bytes()), name, kind, public_key }
    }
}

/// Prints only the public half of a secret key.
pub(in crate::log) fn debug_secret(
    formatter: &mut fmt::Formatter<'_>,
    kind: &str,
    verifier: &VerifierKey,
) -> fmt::Result {
    write!(formatter, "{kind}({verifier}, secret redacted)")
}

/// The message that a cosigner of type 0x04 signs: two lines, then the checkpoint's text. `None`
/// for a time of 2^63 or later.
pub(in crate::log) fn cosigned_message(at: UnixSeconds, text: &str) -> Option<String> {
    (at.0 < 1 << 63).then(|| format!("cosignature/v1\ntime {}\n{text}", at.0))
}
