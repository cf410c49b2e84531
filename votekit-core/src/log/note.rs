//! Signed notes (C2SP signed-note): a text, an empty line, and one line per signature.
//!
//! A note is verified in one of two ways. [`Note::verify`] follows the specification: lines of
//! unknown keys are ignored, every line of a known key must verify, and there must be at least one.
//! [`Note::verify_strict`] is for publication bundles, where each byte must be accounted for: every
//! line belongs to a known key, verifies, and occurs once.
//!
//! A note keeps the text that was parsed; it has no other textual form.

use std::fmt;
use std::str::FromStr;

mod key;

pub use key::{KeyError, KeyId, KeyKind, KeyName, SignatureError, SigningKey, VerifierKey};
pub(super) use key::{cosigned_message, debug_secret};

use super::encoding::{base64, parse_base64};
use crate::instant::UnixSeconds;

/// Why bytes are not a note, or why a note does not verify. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// A line breaks a rule of the form.
    #[error("line {line}: {rule}")]
    Malformed {
        /// The line.
        line: usize,
        /// The rule it breaks.
        rule: NoteRule,
    },
    /// The note exceeds the length limit.
    #[error("note of {length} bytes, over {max}")]
    TooLong {
        /// Bytes found.
        length: usize,
        /// Bytes accepted.
        max: usize,
    },
    /// A line names a known key, but that key did not sign it.
    #[error("line {line}: signature by {name} invalid: {cause}")]
    Signature {
        /// The line.
        line: usize,
        /// The key's name.
        name: KeyName,
        /// The error.
        cause: SignatureError,
    },
    /// No line is signed by a known key.
    #[error("not signed by a known key")]
    NoKnownKey,
    /// Strict reading only: a line is signed by an unknown key.
    #[error("line {line}: unknown key of {name}")]
    UnknownKey {
        /// The line.
        line: usize,
        /// The name in the line.
        name: KeyName,
    },
    /// Strict reading only: a key signed twice.
    #[error("line {line}: signature by {name} repeated")]
    Repeated {
        /// The line.
        line: usize,
        /// The key's name.
        name: KeyName,
    },
}

/// The rules of a note's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteRule {
    /// The whole note is UTF-8.
    #[error("not UTF-8")]
    Utf8,
    /// No ASCII control character but the line feed.
    #[error("control character")]
    ControlCharacter,
    /// The text, and so its last line, ends in a line feed.
    #[error("no line feed at the end of the text")]
    TextEnd,
    /// The text and the signatures are separated by an empty line.
    #[error("no empty line before the signatures")]
    Separator,
    /// There is at least one signature.
    #[error("no signature line")]
    NoSignature,
    /// The number of signatures is bounded.
    #[error("over {} signature lines", Note::SIGNATURES_MAX)]
    TooManySignatures,
    /// Em dash, space, key name, space, base64, line feed.
    #[error("not `— <name> <signature>`")]
    SignatureForm,
    /// The key name is well formed.
    #[error("{0}")]
    Name(KeyError),
    /// The signature is canonical base64.
    #[error("signature not canonical base64")]
    Base64,
    /// A signature has bytes after the four of its key id.
    #[error("signature not longer than its key id")]
    Short,
}

/// One signature line: the key and the signature.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature {
    name: KeyName,
    key_id: KeyId,
    bytes: Vec<u8>,
}

impl Signature {
    /// Makes a line from its parts. `bytes` follows the key id: 64 bytes for Ed25519, 8 + 64 for a
    /// cosignature.
    pub(super) fn new(name: KeyName, key_id: KeyId, bytes: Vec<u8>) -> Self {
        Self { name, key_id, bytes }
    }

    /// Parses one line, without its line feed.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn parse(line: &str) -> Result<Self, NoteRule> {
        let rest = line.strip_prefix("— ").ok_or(NoteRule::SignatureForm)?;
        let (name, encoded) = rest.split_once(' ').ok_or(NoteRule::SignatureForm)?;
        let name = name.parse().map_err(NoteRule::Name)?;
        let decoded = parse_base64(encoded.as_bytes()).ok_or(NoteRule::Base64)?;
        match decoded.split_first_chunk::<4>() {
            Some((key_id, bytes)) if !bytes.is_empty() => {
                Ok(Self::new(name, KeyId::from_bytes(*key_id), bytes.to_vec()))
            }
            _ => Err(NoteRule::Short),
        }
    }

    /// The name of the key.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The id of the key.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The bytes after the key id.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Display for Signature {
    /// Writes the line, without its line feed.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut blob = self.key_id.as_bytes().to_vec();
        blob.extend_from_slice(&self.bytes);
        write!(formatter, "— {} {}", self.name, base64(&blob))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Signature({} {}, {} bytes)", self.name, self.key_id, self.bytes.len())
    }
}

/// A line whose signature by a known key is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedSignature {
    /// The index of the key among those passed in.
    pub key: usize,
    /// The time a cosignature states; none for a plain signature.
    pub at: Option<UnixSeconds>,
}

/// A text and its signatures. Parsing verifies nothing: see [`Note::verify`].
///
/// ```
/// use votekit_core::log::note::{Note, VerifierKey};
///
/// let key: VerifierKey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k".parse()?;
/// let note = Note::parse("This is an example message.\n\n— example.com/foo \
///     Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n".as_bytes())?;
/// note.verify(&[key])?;
/// assert_eq!(note.text(), "This is an example message.\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    /// The longest note accepted, in bytes.
    pub const BYTES_MAX: usize = 1 << 20;
    /// The most signature lines accepted. The specification asks for at least 16.
    pub const SIGNATURES_MAX: usize = 100;

    /// Joins a text and its signatures.
    ///
    /// # Errors
    /// [`NoteError`] if the text is malformed, or if there are too few or too many signatures.
    pub fn new(text: String, signatures: Vec<Signature>) -> Result<Self, NoteError> {
        check_text(&text)?;
        let line = text.lines().count() + 2;
        if signatures.is_empty() {
            return Err(NoteError::Malformed { line, rule: NoteRule::NoSignature });
        }
        if signatures.len() > Self::SIGNATURES_MAX {
            return Err(NoteError::Malformed { line, rule: NoteRule::TooManySignatures });
        }
        Ok(Self { text, signatures })
    }

    /// Parses a note from arbitrary bytes.
    ///
    /// # Errors
    /// [`NoteError::TooLong`] or [`NoteError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > Self::BYTES_MAX {
            return Err(NoteError::TooLong { length: bytes.len(), max: Self::BYTES_MAX });
        }
        let whole = check_characters(bytes)?;
        // The text may contain empty lines: the last empty line is the separator.
        let Some(split) = whole.rfind("\n\n") else {
            return Err(NoteError::Malformed {
                line: line_of(bytes, bytes.len()),
                rule: NoteRule::Separator,
            });
        };
        let (text, lines) = (&whole[..=split], &whole[split + 2..]);
        let first = text.lines().count() + 2;
        let signatures = parse_signatures(lines, first)?;
        Self::new(text.to_owned(), signatures)
    }

    /// The text, with its final line feed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines, in order.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The line number, in the file, of the signature with the index `place`.
    pub(super) fn line_of_signature(&self, place: usize) -> usize {
        self.text.lines().count() + 2 + place
    }

    /// Verifies as the specification says: each line of a known key must be valid, others are
    /// ignored. Returns the valid lines in order.
    ///
    /// # Errors
    /// [`NoteError::Signature`] or [`NoteError::NoKnownKey`].
    pub fn verify(&self, keys: &[VerifierKey]) -> Result<Vec<VerifiedSignature>, NoteError> {
        let mut verified = Vec::new();
        for place in 0..self.signatures.len() {
            verified.extend(self.verify_line(place, keys)?);
        }
        if verified.is_empty() { Err(NoteError::NoKnownKey) } else { Ok(verified) }
    }

    /// Verifies every line strictly: its key is known, its signature is valid, and no other line
    /// has the same key.
    ///
    /// # Errors
    /// As [`Note::verify`], and [`NoteError::UnknownKey`] or [`NoteError::Repeated`].
    pub fn verify_strict(&self, keys: &[VerifierKey]) -> Result<Vec<VerifiedSignature>, NoteError> {
        let mut verified: Vec<VerifiedSignature> = Vec::new();
        for (place, signature) in self.signatures.iter().enumerate() {
            let (line, name) = (self.line_of_signature(place), &signature.name);
            let Some(found) = self.verify_line(place, keys)? else {
                return Err(NoteError::UnknownKey { line, name: name.clone() });
            };
            if verified.iter().any(|earlier| earlier.key == found.key) {
                return Err(NoteError::Repeated { line, name: name.clone() });
            }
            verified.push(found);
        }
        Ok(verified)
    }

    /// Verifies the signature line with the index `place`; `None` if its key is unknown.
    fn verify_line(
        &self,
        place: usize,
        keys: &[VerifierKey],
    ) -> Result<Option<VerifiedSignature>, NoteError> {
        let signature = &self.signatures[place];
        let Some(key) = keys.iter().position(|key| key.is_named_by(signature)) else {
            return Ok(None);
        };
        match keys[key].verify(&self.text, &signature.bytes) {
            Ok(at) => Ok(Some(VerifiedSignature { key, at })),
            Err(cause) => {
                let (line, name) = (self.line_of_signature(place), signature.name.clone());
                Err(NoteError::Signature { line, name, cause })
            }
        }
    }
}

impl FromStr for Note {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        Self::parse(text.as_bytes())
    }
}

impl fmt::Display for Note {
    /// Writes the note's bytes: exactly those that [`Note::parse`] accepted.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(formatter, "{signature}"))
    }
}

impl fmt::Debug for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Note({} bytes, {:?})", self.text.len(), self.signatures)
    }
}

/// Checks that a text can be signed: UTF-8 (by its type), no control character, a final line feed.
pub(super) fn check_text(text: &str) -> Result<(), NoteError> {
    check_characters(text.as_bytes())?;
    if text.ends_with('\n') {
        return Ok(());
    }
    Err(NoteError::Malformed {
        line: line_of(text.as_bytes(), text.len()),
        rule: NoteRule::TextEnd,
    })
}

fn check_characters(bytes: &[u8]) -> Result<&str, NoteError> {
    if let Some(place) = bytes.iter().position(|byte| *byte < 0x20 && *byte != b'\n') {
        return Err(NoteError::Malformed {
            line: line_of(bytes, place),
            rule: NoteRule::ControlCharacter,
        });
    }
    std::str::from_utf8(bytes).map_err(|error| NoteError::Malformed {
        line: line_of(bytes, error.valid_up_to()),
        rule: NoteRule::Utf8,
    })
}

fn parse_signatures(lines: &str, first: usize) -> Result<Vec<Signature>, NoteError> {
    let mut signatures = Vec::new();
    for (place, line) in lines.split_inclusive('\n').enumerate() {
        let malformed = |rule| NoteError::Malformed { line: first + place, rule };
        if place == Note::SIGNATURES_MAX {
            return Err(malformed(NoteRule::TooManySignatures));
        }
        let line = line.strip_suffix('\n').ok_or(malformed(NoteRule::SignatureForm))?;
        signatures.push(Signature::parse(line).map_err(malformed)?);
    }
    Ok(signatures)
}

/// The number, from 1, of the line that contains the byte at the offset `place`.
fn line_of(bytes: &[u8], place: usize) -> usize {
    bytes[..place].iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
#[path = "note_test.rs"]
mod tests;
