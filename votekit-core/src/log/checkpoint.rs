//! Checkpoints (C2SP tlog-checkpoint): a log's name, size and root, signed by the log and cosigned
//! by witnesses.
//!
//! A cosignature (C2SP tlog-cosignature, Ed25519 v1) states that at its time this root was that of
//! the largest tree of this log the cosigner had seen, and that this tree begins with every tree it
//! had cosigned before. In votekit the authorities are the witnesses.

use std::fmt;

use ed25519_dalek::Signer as _;

use super::encoding::{base64, parse_base64_array, parse_decimal};
use super::merkle::TreeHash;
use super::note::{
    KeyError, KeyKind, KeyName, Note, NoteError, Signature, SigningKey, VerifierKey, check_text,
    cosigned_message, debug_secret,
};
use crate::id::ElectionId;
use crate::instant::UnixSeconds;

/// Why bytes are not a checkpoint, or why a checkpoint was not signed. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The note is malformed.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A line of the text breaks a rule.
    #[error("line {line}: {rule}")]
    Malformed {
        /// The line.
        line: usize,
        /// The rule it breaks.
        rule: CheckpointRule,
    },
    /// The key belongs to another log.
    #[error("key of {key}, not of the log {origin}")]
    Origin {
        /// The key's name.
        key: KeyName,
        /// The checkpoint's origin.
        origin: String,
    },
    /// Cosignatures hold times below 2^63.
    #[error("cosignature time {} s out of range", at.0)]
    Time {
        /// The time.
        at: UnixSeconds,
    },
}

/// The rules of a checkpoint's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointRule {
    /// Origin, size and root are present.
    #[error("origin, size or root missing")]
    Lines,
    /// No line is empty.
    #[error("empty line")]
    Empty,
    /// The size is a canonical decimal.
    #[error("size not a canonical decimal of 64 bits")]
    Size,
    /// The root is 32 bytes.
    #[error("root not 32 bytes in canonical base64")]
    Root,
}

/// The origin of an election's log, which is also the name of its log keys: `<base>/<law>`, or
/// `<base>/test/<law>` unless the election is binding.
///
/// # Errors
/// None in practice: a base and a law id consist of characters that are allowed in a key name.
pub fn origin_of(base: &KeyName, law: &ElectionId, binding: bool) -> Result<KeyName, KeyError> {
    let middle = if binding { "" } else { "test/" };
    format!("{base}/{middle}{}", law.as_str()).parse()
}

/// The name of an authority's cosigner key: `<base>/authority/<name>`.
///
/// # Errors
/// [`KeyError`] if the authority's name holds a character that a key name may not.
pub fn cosigner_name_of(base: &KeyName, authority: &str) -> Result<KeyName, KeyError> {
    let authority: KeyName = authority.parse()?;
    format!("{base}/authority/{authority}").parse()
}

/// A tree head: the content that is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: TreeHash,
    extensions: Vec<String>,
}

impl Checkpoint {
    /// A checkpoint without extension lines, as votekit writes them.
    #[must_use]
    pub fn new(origin: &KeyName, size: u64, root: TreeHash) -> Self {
        Self { origin: origin.as_str().to_owned(), size, root, extensions: Vec::new() }
    }

    /// Parses the text of a checkpoint's note. Keeps extension lines, which votekit does not write.
    ///
    /// # Errors
    /// [`CheckpointError::Malformed`], or [`CheckpointError::Note`] if a note cannot hold the text.
    pub fn parse_text(text: &str) -> Result<Self, CheckpointError> {
        check_text(text)?;
        let lines: Vec<&str> = text.lines().collect();
        let malformed = |line, rule| CheckpointError::Malformed { line, rule };
        if let Some(index) = lines.iter().position(|line| line.is_empty()) {
            return Err(malformed(index + 1, CheckpointRule::Empty));
        }
        let [origin, size, root, extensions @ ..] = lines.as_slice() else {
            return Err(malformed(lines.len() + 1, CheckpointRule::Lines));
        };
        Ok(Self {
            origin: (*origin).to_owned(),
            size: parse_decimal(size.as_bytes()).ok_or(malformed(2, CheckpointRule::Size))?,
            root: parse_base64_array(root.as_bytes())
                .map(TreeHash::from_bytes)
                .ok_or(malformed(3, CheckpointRule::Root))?,
            extensions: extensions.iter().map(|line| (*line).to_owned()).collect(),
        })
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Leaves in the tree.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> TreeHash {
        self.root
    }

    /// Extension lines, opaque; only other implementations write them.
    #[must_use]
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }

    /// The signed text, with its final line feed.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text =
            format!("{}\n{}\n{}\n", self.origin, self.size, base64(self.root.as_bytes()));
        for extension in &self.extensions {
            text.push_str(extension);
            text.push('\n');
        }
        text
    }

    /// Signs as the log.
    ///
    /// # Errors
    /// [`CheckpointError::Origin`] if the key is not named after this log.
    pub fn sign(&self, log_key: &SigningKey) -> Result<Signature, CheckpointError> {
        let key = log_key.verifier().name();
        if key.as_str() != self.origin {
            return Err(CheckpointError::Origin { key: key.clone(), origin: self.origin.clone() });
        }
        Ok(log_key.sign(&self.text()))
    }
}

/// An authority's cosigner key (type 0x04). Its secret differs from that of the log key.
///
/// The seed is zeroed on drop and never printed.
pub struct Cosigner {
    key: ed25519_dalek::SigningKey,
    verifier: VerifierKey,
}

impl Cosigner {
    /// Derives the key from an RFC 8032 seed.
    #[must_use]
    pub fn from_seed(name: KeyName, seed: &[u8; 32]) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let verifier = VerifierKey::from_secret(name, KeyKind::CosignatureV1, &key);
        Self { key, verifier }
    }

    /// The public half.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Cosigns a checkpoint. The caller must have checked first that this checkpoint is consistent
    /// with the last one cosigned.
    ///
    /// # Errors
    /// [`CheckpointError::Time`] for a time of 2^63 or later.
    pub fn cosign(
        &self,
        checkpoint: &Checkpoint,
        at: UnixSeconds,
    ) -> Result<Signature, CheckpointError> {
        let message =
            cosigned_message(at, &checkpoint.text()).ok_or(CheckpointError::Time { at })?;
        let mut bytes = at.0.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.key.sign(message.as_bytes()).to_bytes());
        Ok(Signature::new(self.verifier.name().clone(), self.verifier.id(), bytes))
    }
}

impl fmt::Debug for Cosigner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_secret(formatter, "Cosigner", &self.verifier)
    }
}

/// A checkpoint with its signatures, as stored and served. Trust its content only after a
/// [`Policy`](super::policy::Policy) has verified it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

impl SignedCheckpoint {
    /// Joins a checkpoint, the log's signature and the cosignatures. votekit keeps the cosignatures
    /// in the policy's order.
    ///
    /// # Errors
    /// [`CheckpointError::Note`] if there are too many signatures.
    pub fn new(
        checkpoint: Checkpoint,
        log_signature: Signature,
        cosignatures: impl IntoIterator<Item = Signature>,
    ) -> Result<Self, CheckpointError> {
        let signatures = std::iter::once(log_signature).chain(cosignatures).collect();
        let note = Note::new(checkpoint.text(), signatures)?;
        Ok(Self { checkpoint, note })
    }

    /// The same checkpoint with more cosignatures, after the signatures that it has.
    ///
    /// # Errors
    /// [`CheckpointError::Note`] if there are then too many signatures.
    pub fn with_cosignatures(
        &self,
        more: impl IntoIterator<Item = Signature>,
    ) -> Result<Self, CheckpointError> {
        let signatures = self.note.signatures().iter().cloned().chain(more).collect();
        let note = Note::new(self.note.text().to_owned(), signatures)?;
        Ok(Self { checkpoint: self.checkpoint.clone(), note })
    }

    /// Parses a checkpoint from arbitrary bytes.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let note = Note::parse(bytes)?;
        let checkpoint = Checkpoint::parse_text(note.text())?;
        Ok(Self { checkpoint, note })
    }

    /// The tree head, not yet verified.
    #[must_use]
    pub fn unverified(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note that carries it.
    #[must_use]
    pub fn note(&self) -> &Note {
        &self.note
    }
}

impl fmt::Display for SignedCheckpoint {
    /// Writes the checkpoint's bytes: exactly those that [`SignedCheckpoint::parse`] accepted.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(formatter)
    }
}

#[cfg(test)]
#[path = "checkpoint_test.rs"]
mod tests;
