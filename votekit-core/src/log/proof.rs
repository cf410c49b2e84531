//! Self-contained proofs (C2SP tlog-proof): a leaf's index, its inclusion proof and a cosigned
//! checkpoint. A voter's receipt is such a proof, with the leaf as `extra`.

use std::fmt;

use super::checkpoint::{CheckpointError, SignedCheckpoint};
use super::encoding::{base64, parse_base64, parse_base64_array, parse_decimal};
use super::merkle::{self, TreeHash, leaf_hash};
use super::note::Note;
use super::policy::{Policy, VerifiedCheckpoint, VerifyError};

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Why bytes are not a proof. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofFormatError {
    /// A line breaks a rule.
    #[error("line {line}: {rule}")]
    Malformed {
        /// The line.
        line: usize,
        /// The rule it breaks.
        rule: ProofRule,
    },
    /// The file exceeds the length limit.
    #[error("proof of {length} bytes, over {max}")]
    TooLong {
        /// Bytes found.
        length: usize,
        /// Bytes accepted.
        max: usize,
    },
    /// The checkpoint, which starts after line `after_line`, is malformed; its own lines count from
    /// there.
    #[error("checkpoint after line {after_line}: {source}")]
    Checkpoint {
        /// The empty line before the checkpoint.
        after_line: usize,
        /// The error.
        source: CheckpointError,
    },
}

/// The rules of a proof's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofRule {
    /// The first line is fixed.
    #[error("not `c2sp.org/tlog-proof@v1`")]
    Header,
    /// Extra data is canonical base64, and left out when empty.
    #[error("extra data empty or not canonical base64")]
    Extra,
    /// The index line is present, a canonical decimal.
    #[error("not `index <decimal of 64 bits>`")]
    Index,
    /// Each hash is 32 bytes.
    #[error("hash not 32 bytes in canonical base64")]
    Hash,
    /// No tree of 64-bit size is higher than 64.
    #[error("over {} hashes", Proof::HASHES_MAX)]
    TooManyHashes,
    /// The proof ends before the checkpoint.
    #[error("proof cut short before its checkpoint")]
    Cut,
}

/// Why a proof does not prove that a leaf is in a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofVerifyError {
    /// The checkpoint does not satisfy the policy.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] VerifyError),
    /// The leaf is not where the proof says.
    #[error("inclusion: {0}")]
    Inclusion(#[from] merkle::ProofError),
}

/// A leaf's index in a log, with its proof. The format does not authenticate the extra data: the
/// caller must verify it; votekit hashes it as the leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Opaque; never empty.
    extra: Option<Vec<u8>>,
    index: u64,
    path: Vec<TreeHash>,
    checkpoint: SignedCheckpoint,
}

/// A verified proof: a leaf is at this index of the tree of this checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifiedInclusion {
    /// The leaf's index, from 0.
    pub index: u64,
    /// The checkpoint, with its cosignatures.
    pub checkpoint: VerifiedCheckpoint,
}

impl Proof {
    /// The longest proof accepted, in bytes.
    pub const BYTES_MAX: usize = Note::BYTES_MAX + (1 << 19);
    /// The most hashes in an inclusion proof.
    pub const HASHES_MAX: usize = 64;

    /// Makes a proof from its parts. Empty extra data counts as none.
    #[must_use]
    pub fn new(
        extra: &[u8],
        index: u64,
        path: Vec<TreeHash>,
        checkpoint: SignedCheckpoint,
    ) -> Self {
        let extra = (!extra.is_empty()).then(|| extra.to_vec());
        Self { extra, index, path, checkpoint }
    }

    /// Parses a proof from arbitrary bytes.
    ///
    /// # Errors
    /// [`ProofFormatError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofFormatError> {
        if bytes.len() > Self::BYTES_MAX {
            return Err(ProofFormatError::TooLong { length: bytes.len(), max: Self::BYTES_MAX });
        }
        let mut lines = Lines { rest: bytes, line: 0 };
        if lines.next()? != HEADER.as_bytes() {
            return Err(lines.malformed(ProofRule::Header));
        }
        let mut line = lines.next()?;
        let mut extra = None;
        if let Some(encoded) = line.strip_prefix(b"extra ") {
            let data = parse_base64(encoded).filter(|data| !data.is_empty());
            extra = Some(data.ok_or(lines.malformed(ProofRule::Extra))?);
            line = lines.next()?;
        }
        let index = line
            .strip_prefix(b"index ")
            .and_then(parse_decimal)
            .ok_or(lines.malformed(ProofRule::Index))?;
        let path = parse_path(&mut lines)?;
        let checkpoint = SignedCheckpoint::parse(lines.rest)
            .map_err(|source| ProofFormatError::Checkpoint { after_line: lines.line, source })?;
        Ok(Self { extra, index, path, checkpoint })
    }

    /// The extra data, not authenticated; empty if there is none.
    #[must_use]
    pub fn extra(&self) -> &[u8] {
        self.extra.as_deref().unwrap_or_default()
    }

    /// The claimed index, from 0.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The inclusion proof, from the leaf's sibling up.
    #[must_use]
    pub fn path(&self) -> &[TreeHash] {
        &self.path
    }

    /// The checkpoint, not yet verified.
    #[must_use]
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// Verifies that `leaf` is in the log of a checkpoint that satisfies the policy. Signatures by
    /// keys that the policy does not know are ignored, as tlog-proof asks.
    ///
    /// # Errors
    /// [`ProofVerifyError`].
    pub fn verify(
        &self,
        leaf: &[u8],
        policy: &Policy,
    ) -> Result<VerifiedInclusion, ProofVerifyError> {
        let checkpoint = policy.verify_checkpoint(&self.checkpoint)?;
        self.verify_inclusion(leaf, checkpoint)
    }

    /// As [`Proof::verify`], with the checkpoint verified as [`Policy::verify_strict`] does: no
    /// byte of the proof can change.
    ///
    /// # Errors
    /// [`ProofVerifyError`].
    pub fn verify_strict(
        &self,
        leaf: &[u8],
        policy: &Policy,
    ) -> Result<VerifiedInclusion, ProofVerifyError> {
        let checkpoint = policy.verify_checkpoint_strict(&self.checkpoint)?;
        self.verify_inclusion(leaf, checkpoint)
    }

    /// As [`Proof::verify`], where a quorum of the authorities has cosigned the checkpoint, with or
    /// without outside witnesses: a voter's receipt is signed before they see it.
    ///
    /// # Errors
    /// [`ProofVerifyError`].
    pub fn verify_by_authorities(
        &self,
        leaf: &[u8],
        policy: &Policy,
    ) -> Result<VerifiedInclusion, ProofVerifyError> {
        let checkpoint = policy.verify_checkpoint_by_authorities(&self.checkpoint)?;
        self.verify_inclusion(leaf, checkpoint)
    }

    fn verify_inclusion(
        &self,
        leaf: &[u8],
        checkpoint: VerifiedCheckpoint,
    ) -> Result<VerifiedInclusion, ProofVerifyError> {
        let tree = checkpoint.checkpoint();
        merkle::verify_inclusion(
            &leaf_hash(leaf),
            self.index,
            tree.size(),
            &self.path,
            &tree.root(),
        )?;
        Ok(VerifiedInclusion { index: self.index, checkpoint })
    }
}

impl fmt::Display for Proof {
    /// Writes the proof's bytes: exactly those that [`Proof::parse`] accepted.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(formatter, "extra {}", base64(extra))?;
        }
        writeln!(formatter, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(formatter, "{}", base64(hash.as_bytes())))?;
        write!(formatter, "\n{}", self.checkpoint)
    }
}

fn parse_path(lines: &mut Lines<'_>) -> Result<Vec<TreeHash>, ProofFormatError> {
    let mut path = Vec::new();
    loop {
        let line = lines.next()?;
        if line.is_empty() {
            return Ok(path);
        }
        if path.len() == Proof::HASHES_MAX {
            return Err(lines.malformed(ProofRule::TooManyHashes));
        }
        let hash = parse_base64_array(line).ok_or(lines.malformed(ProofRule::Hash))?;
        path.push(TreeHash::from_bytes(hash));
    }
}

struct Lines<'bytes> {
    rest: &'bytes [u8],
    /// Number of the last line read, from 1.
    line: usize,
}

impl<'bytes> Lines<'bytes> {
    /// The next line without its line feed.
    fn next(&mut self) -> Result<&'bytes [u8], ProofFormatError> {
        self.line += 1;
        let end = self
            .rest
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or(self.malformed(ProofRule::Cut))?;
        let line = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        Ok(line)
    }

    fn malformed(&self, rule: ProofRule) -> ProofFormatError {
        ProofFormatError::Malformed { line: self.line, rule }
    }
}

#[cfg(test)]
#[path = "proof_test.rs"]
mod tests;
