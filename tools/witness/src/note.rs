//! Signed notes: parses them, verifies the signatures of a log's keys, adds a cosignature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// The signature type of Ed25519 over the text of a note.
const ED25519: u8 = 0x01;

/// The signature type of a timestamped Ed25519 cosignature.
const COSIGNATURE: u8 = 0x04;

/// Maximum number of signatures of a note; verifiers must accept 16.
const SIGNATURES_MAX: usize = 100;

/// Why a text is not a verifier key, or a name not that of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is not `<name>+<key ID>+<base64 of type and key>`.
    #[error("a verifier key is <name>+<8 hexadecimal digits>+<base64 of type and key>")]
    Form,
    /// Names are not empty, and have neither spaces nor plus signs.
    #[error("the name of a key is not empty, and has neither spaces nor plus signs")]
    Name,
    /// Only Ed25519 (0x01) and its cosignatures (0x04) are supported.
    #[error("only keys of type 0x01 and 0x04 are supported")]
    Type,
    /// The key ID is not that of name, type and key.
    #[error("the key ID does not belong to the key")]
    Id,
}

/// A signed note, its signatures not yet verified.
#[derive(Debug)]
pub(crate) struct Note<'a> {
    /// The text, with its final line feed.
    pub(crate) text: &'a str,
    signatures: Vec<SignatureLine<'a>>,
}

#[derive(Debug)]
struct SignatureLine<'a> {
    /// The whole line, without its line feed.
    line: &'a str,
    name: &'a str,
    /// The key ID and the signature.
    bytes: Vec<u8>,
}

/// Whether a key signed a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    Absent,
    /// The line of the signature.
    Valid(&'a str),
    /// A line has the name and the ID of the key, and no signature of it.
    Invalid,
}

impl<'a> Note<'a> {
    /// Parses a note; `None` for a malformed one.
    pub(crate) fn parse(note: &'a str) -> Option<Self> {
        if note.chars().any(|character| character < ' ' && character != '\n') {
            return None;
        }
        let at = note.rfind("\n\n")?;
        let (text, signatures) = (&note[..=at], &note[at + 2..]);
        let lines = signatures.strip_suffix('\n')?.split('\n');
        let signatures: Vec<_> = lines.map(SignatureLine::parse).collect::<Option<_>>()?;
        (signatures.len() <= SIGNATURES_MAX).then_some(Self { text, signatures })
    }

    /// Looks for the signature of a key.
    pub(crate) fn verify(&self, key: &VerifierKey) -> Verdict<'a> {
        let id = key.id();
        let mut verdict = Verdict::Absent;
        for signature in self.signatures.iter().filter(|line| line.name == key.name) {
            let Some(bytes) = signature.bytes.strip_prefix(&id) else { continue };
            if !key.is_signature(self.text, bytes) {
                return Verdict::Invalid;
            }
            verdict = Verdict::Valid(signature.line);
        }
        verdict
    }
}

impl<'a> SignatureLine<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix("— ")?.split_once(' ')?;
        let bytes = STANDARD.decode(encoded).ok()?;
        (is_name(name) && bytes.len() > 4).then_some(Self { line, name, bytes })
    }
}

/// The public key of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VerifierKey {
    name: String,
    kind: u8,
    key: VerifyingKey,
}

impl VerifierKey {
    /// Parses a verifier key.
    pub(crate) fn parse(vkey: &str) -> Result<Self, KeyError> {
        let mut parts = vkey.splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(KeyError::Form);
        };
        if !is_name(name) {
            return Err(KeyError::Name);
        }
        let bytes = STANDARD.decode(encoded).map_err(|_| KeyError::Form)?;
        let (kind, public) = bytes.split_first().ok_or(KeyError::Form)?;
        if ![ED25519, COSIGNATURE].contains(kind) {
            return Err(KeyError::Type);
        }
        let public: [u8; 32] = public.try_into().map_err(|_| KeyError::Form)?;
        let key = VerifyingKey::from_bytes(&public).map_err(|_| KeyError::Form)?;
        let key = Self { name: name.to_owned(), kind: *kind, key };
        if const_hex::encode(key.id()) == id { Ok(key) } else { Err(KeyError::Id) }
    }

    fn id(&self) -> [u8; 4] {
        key_id(&self.name, self.kind, &self.key)
    }

    /// Whether these bytes, without a key ID, are this key's signature of the text.
    fn is_signature(&self, text: &str, bytes: &[u8]) -> bool {
        let (message, bytes) = if self.kind == ED25519 {
            (text.to_owned(), bytes)
        } else {
            let Some((time, bytes)) = bytes.split_first_chunk::<8>() else { return false };
            (cosigned(u64::from_be_bytes(*time), text), bytes)
        };
        let Ok(signature) = Signature::from_slice(bytes) else { return false };
        self.key.verify_strict(message.as_bytes(), &signature).is_ok()
    }
}

/// A cosigner: a name and a secret key.
pub(crate) struct Cosigner {
    name: String,
    key: SigningKey,
}

impl Cosigner {
    /// The cosigner with the secret key of a seed.
    pub(crate) fn new(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        if !is_name(name) {
            return Err(KeyError::Name);
        }
        Ok(Self { name: name.to_owned(), key: SigningKey::from_bytes(seed) })
    }

    /// The verifier key of its cosignatures.
    pub(crate) fn vkey(&self) -> String {
        let public = self.key.verifying_key();
        let id = const_hex::encode(key_id(&self.name, COSIGNATURE, &public));
        let key = [[COSIGNATURE].as_slice(), public.as_bytes()].concat();
        format!("{}+{id}+{}", self.name, STANDARD.encode(key))
    }

    /// The signature line of a cosignature at a POSIX time, with its line feed.
    pub(crate) fn cosign(&self, text: &str, time: u64) -> String {
        let signature = self.key.sign(cosigned(time, text).as_bytes()).to_bytes();
        let id = key_id(&self.name, COSIGNATURE, &self.key.verifying_key());
        let bytes = [id.as_slice(), &time.to_be_bytes(), &signature].concat();
        format!("— {} {}\n", self.name, STANDARD.encode(bytes))
    }
}

/// The message of a cosignature.
fn cosigned(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// SHA-256(name, line feed, type, public key), its first four bytes.
fn key_id(name: &str, kind: u8, key: &VerifyingKey) -> [u8; 4] {
    let digest = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', kind])
        .chain_update(key.as_bytes())
        .finalize();
    [digest[0], digest[1], digest[2], digest[3]]
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.contains(|character: char| character.is_whitespace() || character == '+')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of signed-note.
    const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const NOTE: &str = "This is an example message.\n\n— example.com/foo \
        Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

    #[test]
    fn the_example_of_the_specification_verifies() {
        let key = VerifierKey::parse(VKEY).expect("a key");
        let note = Note::parse(NOTE).expect("a note");
        assert!(matches!(note.verify(&key), Verdict::Valid(line) if line.ends_with("yaQM=")));
        let other = NOTE.replace("message", "massage");
        assert_eq!(Note::parse(&other).expect("a note").verify(&key), Verdict::Invalid);
        let unnamed = NOTE.replace("com/foo", "com/bar");
        assert_eq!(Note::parse(&unnamed).expect("a note").verify(&key), Verdict::Absent);
    }

    #[test]
    fn the_text_ends_at_the_last_empty_line() {
        let note = Note::parse("a\n\nb\n\n— c AAAAAAA=\n").expect("a note");
        assert_eq!((note.text, note.signatures.len()), ("a\n\nb\n", 1));
        for bad in
            ["a\n", "a\n\n", "a\n\n— c AAAAAA==\n", "a\n\n— c AAAAAAA=", "a\tb\n\n— c AAAAAAA=\n"]
        {
            assert!(Note::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn keys_are_parsed_whole() {
        for (vkey, error) in [
            ("example.com/foo+530d903a", KeyError::Form),
            ("example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", KeyError::Id),
            ("a b+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", KeyError::Name),
            ("a+530d903a+Aukyehrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", KeyError::Type),
        ] {
            assert_eq!(VerifierKey::parse(vkey), Err(error), "{vkey}");
        }
    }

    #[test]
    fn a_cosignature_verifies_under_its_key_at_its_time_alone() {
        let cosigner = Cosigner::new("witness.example/w1", &[5; 32]).expect("a name");
        let key = VerifierKey::parse(&cosigner.vkey()).expect("its own key");
        let signed =
            |text: &str| format!("{text}\n{}", cosigner.cosign("a\n1\nb\n", 1_700_000_000));
        let verdict =
            |note: &str, key: &VerifierKey| match Note::parse(note).expect("a note").verify(key) {
                Verdict::Valid(_) => true,
                Verdict::Absent | Verdict::Invalid => false,
            };
        assert!(verdict(&signed("a\n1\nb\n"), &key));
        assert!(!verdict(&signed("a\n2\nb\n"), &key));
        let other = Cosigner::new("witness.example/w1", &[6; 32]).expect("a name").vkey();
        assert!(!verdict(&signed("a\n1\nb\n"), &VerifierKey::parse(&other).expect("a key")));
    }
}
