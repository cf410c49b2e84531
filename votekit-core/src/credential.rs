//! Credentials and their hashes. An official's offline machine and a node compute the same bytes.
//!
//! The hashed message is `NAS|CODE|LAW_ID` in canonical form. The credential hash is its
//! HMAC-SHA-256 (RFC 2104) under a pepper, or its SHA-256 (FIPS 180-4) without one. Secrets print
//! as redacted and are zeroed on drop.

mod key_batch;
mod member;

use std::fmt;

pub(crate) use key_batch::KeyBatch;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::id::{ElectionId, IdError, hex_bytes};

hex_bytes! {
    /// H: the hash of one credential. Enters the log when its vote is accepted or a duplicate.
    CredentialHash, 32
}

hex_bytes! {
    /// T: the key stored in shards and the registry. H itself without a pepper; SHA-256(H) with a
    /// pepper, so that a reader of the registry cannot vote in the name of an elector who abstains.
    RegistryKey, 32
}

hex_bytes! {
    /// Identifies a pepper without revealing it: the first 8 bytes of SHA-256 of
    /// `votekit-pepper-id/1`, a line feed and the key.
    PepperId, 8
}

/// Why a NAS or an access code is refused. Never contains the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// A NAS has exactly 9 digits once spaces and hyphens are removed.
    #[error("a NAS has exactly 9 digits, this one has {digits}")]
    NasLength {
        /// Number of digits found.
        digits: usize,
    },
    /// A NAS contains only digits, spaces and hyphens.
    #[error(
        "a NAS contains only digits, spaces and hyphens: character {position} is something else"
    )]
    NasCharacter {
        /// Position of the first offending character, from 1.
        position: usize,
    },
    /// The NAS fails the requested Luhn check.
    #[error("the NAS fails its check digit")]
    NasCheckDigit,
    /// Nine zeros pass the Luhn check but are never issued.
    #[error("a NAS of nine zeros is never issued")]
    NasZeros,
    /// An access code has 4 to 32 characters.
    #[error("an access code has 4 to 32 characters, this one has {length}")]
    CodeLength {
        /// Number of characters found.
        length: usize,
    },
    /// An access code consists of the letters A-Z and digits.
    #[error(
        "an access code is made of letters A-Z and digits: character {position} is something else"
    )]
    CodeCharacter {
        /// Position of the first offending character, from 1.
        position: usize,
    },
    /// The law id is malformed.
    #[error(transparent)]
    Law(#[from] IdError),
}

/// A social insurance number in canonical form: exactly 9 digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Nas([u8; 9]);

impl Nas {
    /// Removes spaces, no-break spaces and hyphens, and checks that 9 digits remain.
    ///
    /// # Errors
    /// [`CredentialError::NasLength`] or [`CredentialError::NasCharacter`].
    pub fn parse(text: &[u8]) -> Result<Self, CredentialError> {
        let mut digits = [0; 9];
        let mut count = 0;
        let mut rest = text;
        while let [byte, behind @ ..] = rest {
            match byte {
                b' ' | b'-' => rest = behind,
                b'0'..=b'9' => {
                    if let Some(slot) = digits.get_mut(count) {
                        *slot = *byte;
                    }
                    count += 1;
                    rest = behind;
                }
                _ => {
                    rest = behind_no_break_space(rest).ok_or_else(|| {
                        let position = position_of(text, rest);
                        CredentialError::NasCharacter { position }
                    })?;
                }
            }
        }
        if count == 9 {
            Ok(Self(digits))
        } else {
            Err(CredentialError::NasLength { digits: count })
        }
    }

    /// Checks the properties of all issued numbers: they pass the Luhn check (ISO/IEC 7812-1) and
    /// are not nine zeros.
    ///
    /// # Errors
    /// [`CredentialError::NasCheckDigit`] or [`CredentialError::NasZeros`].
    pub fn check_issued(&self) -> Result<(), CredentialError> {
        let sum: u32 = self.0.iter().enumerate().map(|(index, byte)| luhn_term(index, *byte)).sum();
        if !sum.is_multiple_of(10) {
            return Err(CredentialError::NasCheckDigit);
        }
        if self.0 == *b"000000000" { Err(CredentialError::NasZeros) } else { Ok(()) }
    }

    /// Whether the number passes [`Nas::check_issued`].
    #[must_use]
    pub fn passes_check_digit(&self) -> bool {
        self.check_issued().is_ok()
    }

    /// The 9 ASCII digits.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 9] {
        &self.0
    }
}

/// Skips a no-break space (U+00A0, or U+202F as French spreadsheets write it).
fn behind_no_break_space(text: &[u8]) -> Option<&[u8]> {
    [&b"\xc2\xa0"[..], b"\xe2\x80\xaf"].into_iter().find_map(|space| text.strip_prefix(space))
}

/// Position of the character at the start of `rest`, counted from 1 in `text`.
#[cold]
fn position_of(text: &[u8], rest: &[u8]) -> usize {
    let before = &text[..text.len() - rest.len()];
    before.iter().filter(|byte| **byte & 0xc0 != 0x80).count() + 1
}

fn luhn_term(index: usize, byte: u8) -> u32 {
    let digit = u32::from(byte - b'0');
    match (index % 2, digit) {
        (0, digit) => digit,
        (_, digit) if digit < 5 => 2 * digit,
        (_, digit) => 2 * digit - 9,
    }
}

impl Drop for Nas {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Nas {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Nas(redacted)")
    }
}

/// An access code in canonical form: 4 to 32 of `A-Z0-9`.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessCode {
    bytes: [u8; 32],
    length: u8,
}

impl AccessCode {
    /// Minimum number of characters.
    pub const LENGTH_MIN: usize = 4;
    /// Maximum number of characters.
    pub const LENGTH_MAX: usize = 32;

    /// Removes spaces, no-break spaces and hyphens (letters print codes in groups), converts
    /// letters to capitals, and checks alphabet and length. Other ASCII white space is trimmed at
    /// both ends.
    ///
    /// # Errors
    /// [`CredentialError::CodeLength`] or [`CredentialError::CodeCharacter`].
    pub fn parse(text: &[u8]) -> Result<Self, CredentialError> {
        let mut code = Self { bytes: [0; 32], length: 0 };
        let mut length = 0;
        let trimmed = text.trim_ascii();
        let mut rest = trimmed;
        while let [byte, behind @ ..] = rest {
            match byte {
                b' ' | b'-' => rest = behind,
                _ if byte.is_ascii_alphanumeric() => {
                    if let Some(slot) = code.bytes.get_mut(length) {
                        *slot = byte.to_ascii_uppercase();
                    }
                    length += 1;
                    rest = behind;
                }
                _ => {
                    rest = behind_no_break_space(rest).ok_or_else(|| {
                        let position = position_of(trimmed, rest);
                        CredentialError::CodeCharacter { position }
                    })?;
                }
            }
        }
        if !(Self::LENGTH_MIN..=Self::LENGTH_MAX).contains(&length) {
            return Err(CredentialError::CodeLength { length });
        }
        code.length = length as u8;
        Ok(code)
    }

    /// The canonical ASCII characters.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The characters, padded with zero bytes, and their number.
    pub(crate) fn padded(&self) -> (&[u8; 32], usize) {
        (&self.bytes, usize::from(self.length))
    }
}

impl Drop for AccessCode {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for AccessCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AccessCode(redacted)")
    }
}

/// One elector's right to vote on one law: NAS, access code and law id, all checked.
///
/// ```
/// use votekit_core::credential::{Credential, CredentialHasher};
/// let credential = Credential::parse(b"123 456 789", b"abc123", b"L2025-001")?;
/// let hash = CredentialHasher::plain().hash(&credential);
/// assert_eq!(hash.to_hex(), "fbbeb8f3dc022d9ddb1753049a715678ca1bed3275ea46fdb2cff5d5bc36aca5");
/// # Ok::<(), votekit_core::credential::CredentialError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The elector's number.
    pub nas: Nas,
    /// The secret from the letter.
    pub code: AccessCode,
    /// The law.
    pub law_id: ElectionId,
}

impl Credential {
    /// Parses and normalises the three fields.
    ///
    /// # Errors
    /// [`CredentialError`] for the first invalid field.
    pub fn parse(nas: &[u8], code: &[u8], law_id: &[u8]) -> Result<Self, CredentialError> {
        let nas = Nas::parse(nas)?;
        let code = AccessCode::parse(code)?;
        ElectionId::check(law_id)?;
        let law_id = std::str::from_utf8(law_id).unwrap_or_default().parse()?;
        Ok(Self { nas, code, law_id })
    }
}

/// How H is computed; stated in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HashScheme {
    /// H = SHA-256(message), T = H. For tests and consultations: a stolen registry can be searched
    /// in seconds per voter.
    #[serde(rename = "sha256")]
    Sha256,
    /// H = HMAC-SHA-256(pepper, message), T = SHA-256(H).
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
}

impl HashScheme {
    /// T for an H under this scheme.
    #[must_use]
    pub fn registry_key(self, hash: &CredentialHash) -> RegistryKey {
        match self {
            Self::Sha256 => RegistryKey::from_bytes(*hash.as_bytes()),
            Self::HmacSha256 => RegistryKey::from_bytes(Sha256::digest(hash.as_bytes()).into()),
        }
    }
}

/// A secret key of 32 bytes shared by the offline machine and the ingest nodes.
///
/// Its file is one line: `votekit-pepper/1 ` and 64 lower-case hexadecimal digits.
#[derive(Clone)]
pub struct Pepper(Zeroizing<[u8; 32]>);

/// A text is not a pepper file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a pepper file: expected one line 'votekit-pepper/1 ' followed by 64 lower-case hexadecimal digits"
)]
pub struct PepperError;

impl Pepper {
    const PREFIX: &'static str = "votekit-pepper/1 ";

    /// Wraps 32 random bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Parses the text of a pepper file.
    ///
    /// # Errors
    /// [`PepperError`] when the text is not the single line described above.
    pub fn from_file_text(text: &str) -> Result<Self, PepperError> {
        let line = text.strip_suffix('\n').unwrap_or(text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let digits = line.strip_prefix(Self::PREFIX).ok_or(PepperError)?;
        let mut bytes = Zeroizing::new([0; 32]);
        if digits.len() != 64 || digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(PepperError);
        }
        const_hex::decode_to_slice(digits, bytes.as_mut_slice()).map_err(|_| PepperError)?;
        Ok(Self(bytes))
    }

    /// The text of a pepper file.
    #[must_use]
    pub fn to_file_text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{}{}\n", Self::PREFIX, const_hex::encode(self.0.as_slice())))
    }

    /// Identifies this pepper in manifests.
    #[must_use]
    pub fn id(&self) -> PepperId {
        let digest = Sha256::new()
            .chain_update(b"votekit-pepper-id/1\n")
            .chain_update(self.0.as_slice())
            .finalize();
        let mut id = [0; 8];
        id.copy_from_slice(&digest[..8]);
        PepperId::from_bytes(id)
    }

    /// The check value in manifests: HMAC-SHA-256(pepper, `votekit-pepper-check/1`). Verifies a key
    /// without revealing it.
    #[must_use]
    pub fn check_value(&self) -> crate::id::Digest {
        let mac = self.mac().chain_update(b"votekit-pepper-check/1");
        crate::id::Digest::from_bytes(mac.finalize().into_bytes().into())
    }

    fn mac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(self.0.as_slice()).expect("HMAC takes a key of any length")
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Pepper({}, redacted)", self.id())
    }
}

/// Hashes credentials under one scheme. Cheap to clone: the keyed state is prepared once.
#[derive(Clone)]
pub struct CredentialHasher {
    keyed: Option<Hmac<Sha256>>,
    /// The same key, as prepared states for [`KeyBatch`].
    keyed_states: Option<key_batch::KeyedStates>,
    /// Whether the key is a members' key: the electors are accounts.
    is_of_members: bool,
}

/// Maximum length of the message in bytes: 9 digits, 32 characters, 50 characters and two bars.
const MESSAGE_LENGTH_MAX: usize = 9 + 1 + 32 + 1 + ElectionId::LENGTH_MAX;

impl CredentialHasher {
    /// Plain SHA-256.
    #[must_use]
    pub fn plain() -> Self {
        Self { keyed: None, keyed_states: None, is_of_members: false }
    }

    /// HMAC-SHA-256 under a pepper.
    #[must_use]
    pub fn peppered(pepper: &Pepper) -> Self {
        Self {
            keyed: Some(pepper.mac()),
            keyed_states: Some(key_batch::KeyedStates::new(&pepper.0)),
            is_of_members: false,
        }
    }

    /// The scheme of this hasher.
    #[must_use]
    pub fn scheme(&self) -> HashScheme {
        if self.keyed.is_some() { HashScheme::HmacSha256 } else { HashScheme::Sha256 }
    }

    /// H of a credential.
    #[must_use]
    pub fn hash(&self, credential: &Credential) -> CredentialHash {
        self.hash_parts(&credential.nas, &credential.code, &credential.law_id)
    }

    /// H of a credential given in parts.
    #[must_use]
    pub fn hash_parts(&self, nas: &Nas, code: &AccessCode, law_id: &ElectionId) -> CredentialHash {
        let mut message = Zeroizing::new([0; MESSAGE_LENGTH_MAX]);
        let mut length = 0;
        for part in
            [nas.as_bytes(), b"|".as_slice(), code.as_bytes(), b"|", law_id.as_str().as_bytes()]
        {
            message[length..length + part.len()].copy_from_slice(part);
            length += part.len();
        }
        let message = &message[..length];
        let bytes = match &self.keyed {
            None => Sha256::digest(message).into(),
            Some(keyed) => keyed.clone().chain_update(message).finalize().into_bytes().into(),
        };
        CredentialHash::from_bytes(bytes)
    }

    /// T of a credential given in parts, as stored in shards.
    #[must_use]
    pub fn registry_key(&self, nas: &Nas, code: &AccessCode, law_id: &ElectionId) -> RegistryKey {
        self.scheme().registry_key(&self.hash_parts(nas, code, law_id))
    }
}

impl fmt::Debug for CredentialHasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CredentialHasher({:?})", self.scheme())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_designs_vector_holds() {
        let credential =
            Credential::parse(b"123456789", b"ABC123", b"L2025-001").expect("well formed");
        let expected = crate::id::Digest::of(b"123456789|ABC123|L2025-001");
        assert_eq!(CredentialHasher::plain().hash(&credential).as_bytes(), expected.as_bytes());
    }

    #[test]
    fn normal_forms_meet() {
        let spaced = Credential::parse(b"123-456 789", b" abc123\t", b"L1").expect("well formed");
        let plain = Credential::parse(b"123456789", b"ABC123", b"L1").expect("well formed");
        assert_eq!(spaced, plain);
        let typeset = "123\u{a0}456\u{202f}789".as_bytes();
        let grouped = "abc-1\u{a0}2 3".as_bytes();
        assert_eq!(Credential::parse(typeset, grouped, b"L1").expect("well formed"), plain);
    }

    #[test]
    fn the_length_of_a_code_counts_letters_and_digits_alone() {
        assert_eq!(
            AccessCode::parse(b" A - B - C ").unwrap_err(),
            CredentialError::CodeLength { length: 3 }
        );
        let groups = ["ABCD"; 8].join("-");
        assert_eq!(AccessCode::parse(groups.as_bytes()).expect("32 letters").as_bytes().len(), 32);
        assert_eq!(
            AccessCode::parse(format!("{groups}-E").as_bytes()).unwrap_err(),
            CredentialError::CodeLength { length: 33 }
        );
    }

    #[test]
    fn a_position_counts_characters() {
        assert_eq!(
            Nas::parse("1\u{a0}2\u{2007}3".as_bytes()).unwrap_err(),
            CredentialError::NasCharacter { position: 4 }
        );
        assert_eq!(
            AccessCode::parse("A\u{a0}B\u{2007}C".as_bytes()).unwrap_err(),
            CredentialError::CodeCharacter { position: 4 }
        );
        assert_eq!(
            Nas::parse(b"1\xc2").unwrap_err(),
            CredentialError::NasCharacter { position: 2 }
        );
    }

    #[test]
    fn errors_say_where() {
        assert_eq!(Nas::parse(b"12345678").unwrap_err(), CredentialError::NasLength { digits: 8 });
        assert_eq!(
            Nas::parse(b"12345678O").unwrap_err(),
            CredentialError::NasCharacter { position: 9 }
        );
        assert_eq!(
            AccessCode::parse(b"AB|C").unwrap_err(),
            CredentialError::CodeCharacter { position: 3 }
        );
        assert_eq!(
            AccessCode::parse(b"ABC").unwrap_err(),
            CredentialError::CodeLength { length: 3 }
        );
    }

    #[test]
    fn luhn_follows_the_known_example() {
        assert!(Nas::parse(b"046 454 286").expect("digits").passes_check_digit());
        assert!(!Nas::parse(b"046 454 287").expect("digits").passes_check_digit());
        let zeros = Nas::parse(b"000000000").expect("digits");
        assert_eq!(zeros.check_issued(), Err(CredentialError::NasZeros));
    }

    #[test]
    fn secrets_do_not_print() {
        let credential = Credential::parse(b"123456789", b"ABC123", b"L1").expect("well formed");
        let printed = format!("{credential:?}");
        assert!(!printed.contains("123456789") && !printed.contains("ABC123"), "{printed}");
        let pepper = Pepper::from_bytes([7; 32]);
        assert!(!format!("{pepper:?}").contains("0707"));
    }

    #[test]
    fn a_pepper_file_reads_back() {
        let pepper = Pepper::from_bytes([7; 32]);
        let text = pepper.to_file_text();
        let read = Pepper::from_file_text(&text).expect("own text");
        assert_eq!(read.check_value(), pepper.check_value());
        assert_eq!(Pepper::from_file_text("votekit-pepper/1 00").unwrap_err(), PepperError);
    }

    #[test]
    fn a_peppered_registry_key_is_not_the_hash() {
        let credential = Credential::parse(b"123456789", b"ABC123", b"L1").expect("well formed");
        let hasher = CredentialHasher::peppered(&Pepper::from_bytes([7; 32]));
        let hash = hasher.hash(&credential);
        assert_ne!(hasher.scheme().registry_key(&hash).as_bytes(), hash.as_bytes());
    }
}
