//! Verifies a checkpoint against a policy.

use super::election::AUTHORITIES;
use super::{Member, Policy, PolicyName};
use crate::instant::UnixSeconds;
use crate::log::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use crate::log::note::{KeyName, NoteError, VerifiedSignature, VerifierKey};

/// Why a checkpoint does not satisfy a policy. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// It is not a checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A signature is not valid, or, in strict reading, should not be there.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// No log of this origin has signed.
    #[error("no log signature for {origin}")]
    NoLog {
        /// The checkpoint's origin.
        origin: String,
    },
    /// Too few witnesses have cosigned.
    #[error("{cosigned} cosignatures, under the quorum")]
    NoQuorum {
        /// Witnesses that have cosigned.
        cosigned: usize,
    },
    /// Strict reading only: one log signature, then cosignatures in the policy's order.
    #[error("line {line}: signature out of order")]
    Order {
        /// The line.
        line: usize,
    },
    /// Strict reading only: no extension lines.
    #[error("line 4: extension line")]
    Extension,
}

/// A witness's cosignature that has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cosignature {
    /// The witness, by its name in the policy.
    pub witness: PolicyName,
    /// The name of its key.
    pub key: KeyName,
    /// The time it states.
    pub at: UnixSeconds,
}

/// A checkpoint that satisfies a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCheckpoint {
    checkpoint: Checkpoint,
    cosignatures: Vec<Cosignature>,
}

impl VerifiedCheckpoint {
    /// The tree head.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Its cosignatures, in the note's order; one per witness.
    #[must_use]
    pub fn cosignatures(&self) -> &[Cosignature] {
        &self.cosignatures
    }
}

impl Policy {
    /// Verifies a checkpoint's bytes as the specifications say: a log of the policy whose key is
    /// named after the origin has signed, and a quorum of witnesses has cosigned the same text.
    /// Lines by unknown keys are ignored; an invalid line that names a known key is fatal.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify(&self, note: &[u8]) -> Result<VerifiedCheckpoint, VerifyError> {
        self.verify_checkpoint(&SignedCheckpoint::parse(note)?)
    }

    /// As [`Policy::verify`], and the note holds nothing else: one log signature first, then
    /// cosignatures in the policy's order, each once; no unknown line, no extension line. No byte
    /// of such a note can change and still verify.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify_strict(&self, note: &[u8]) -> Result<VerifiedCheckpoint, VerifyError> {
        self.verify_checkpoint_strict(&SignedCheckpoint::parse(note)?)
    }

    /// [`Policy::verify`] for a parsed checkpoint.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify_checkpoint(
        &self,
        signed: &SignedCheckpoint,
    ) -> Result<VerifiedCheckpoint, VerifyError> {
        self.verify_under(signed, self.quorum)
    }

    /// As [`Policy::verify_checkpoint`], where a quorum of the authorities is enough: outside
    /// witnesses cosign later than the authorities, or not at all. For a policy without outside
    /// witnesses it is the same.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify_checkpoint_by_authorities(
        &self,
        signed: &SignedCheckpoint,
    ) -> Result<VerifiedCheckpoint, VerifyError> {
        self.verify_under(signed, self.authorities_quorum())
    }

    /// As [`Policy::verify_strict`], where a quorum of the authorities is enough.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify_strict_by_authorities(
        &self,
        note: &[u8],
    ) -> Result<VerifiedCheckpoint, VerifyError> {
        self.verify_strict_under(&SignedCheckpoint::parse(note)?, self.authorities_quorum())
    }

    /// The group of the authorities; without that group, the whole quorum.
    fn authorities_quorum(&self) -> Option<Member> {
        self.group_named(AUTHORITIES).map(Member::Group).or(self.quorum)
    }

    fn verify_under(
        &self,
        signed: &SignedCheckpoint,
        quorum: Option<Member>,
    ) -> Result<VerifiedCheckpoint, VerifyError> {
        let keys = Keys::new(self, signed.unverified().origin());
        match signed.note().verify(&keys.keys) {
            Ok(signatures) => self.evaluate(signed, &keys, &signatures, quorum),
            Err(NoteError::NoKnownKey) => Err(no_log(signed)),
            Err(error) => Err(error.into()),
        }
    }

    /// [`Policy::verify_strict`] for a parsed checkpoint.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify_checkpoint_strict(
        &self,
        signed: &SignedCheckpoint,
    ) -> Result<VerifiedCheckpoint, VerifyError> {
        self.verify_strict_under(signed, self.quorum)
    }

    fn verify_strict_under(
        &self,
        signed: &SignedCheckpoint,
        quorum: Option<Member>,
    ) -> Result<VerifiedCheckpoint, VerifyError> {
        if !signed.unverified().extensions().is_empty() {
            return Err(VerifyError::Extension);
        }
        let keys = Keys::new(self, signed.unverified().origin());
        let signatures = signed.note().verify_strict(&keys.keys)?;
        // Key indices below `keys.logs` are logs: one of them first, then witnesses in rising
        // order.
        for (index, signature) in signatures.iter().enumerate() {
            let in_order = match index.checked_sub(1) {
                None => signature.key < keys.logs,
                Some(before) => {
                    signature.key >= keys.logs && signature.key > signatures[before].key
                }
            };
            if !in_order {
                return Err(VerifyError::Order { line: signed.note().line_of_signature(index) });
            }
        }
        self.evaluate(signed, &keys, &signatures, quorum)
    }

    fn evaluate(
        &self,
        signed: &SignedCheckpoint,
        keys: &Keys,
        signatures: &[VerifiedSignature],
        quorum: Option<Member>,
    ) -> Result<VerifiedCheckpoint, VerifyError> {
        if !signatures.iter().any(|signature| signature.key < keys.logs) {
            return Err(no_log(signed));
        }
        let mut cosigned = vec![false; self.witnesses.len()];
        let mut cosignatures = Vec::new();
        for signature in signatures {
            let (Some(index), Some(at)) = (signature.key.checked_sub(keys.logs), signature.at)
            else {
                continue;
            };
            // A witness that cosigned twice counts once.
            if std::mem::replace(&mut cosigned[index], true) {
                continue;
            }
            let witness = &self.witnesses[index];
            cosignatures.push(Cosignature {
                witness: witness.name.clone(),
                key: witness.key.name().clone(),
                at,
            });
        }
        if !self.is_met(quorum, &cosigned) {
            return Err(VerifyError::NoQuorum { cosigned: cosignatures.len() });
        }
        Ok(VerifiedCheckpoint { checkpoint: signed.unverified().clone(), cosignatures })
    }
}

fn no_log(signed: &SignedCheckpoint) -> VerifyError {
    VerifyError::NoLog { origin: signed.unverified().origin().to_owned() }
}

/// The keys that may sign a checkpoint of one origin: its logs, then the witnesses.
struct Keys {
    keys: Vec<VerifierKey>,
    /// Number of logs among them.
    logs: usize,
}

impl Keys {
    fn new(policy: &Policy, origin: &str) -> Self {
        let logs =
            policy.logs.iter().map(|log| &log.key).filter(|key| key.name().as_str() == origin);
        let mut keys: Vec<VerifierKey> = logs.cloned().collect();
        let logs = keys.len();
        keys.extend(policy.witnesses.iter().map(|witness| witness.key.clone()));
        Self { keys, logs }
    }
}
