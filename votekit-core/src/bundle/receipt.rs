//! Checks a voter's receipt: under a policy, and against a bundle.

use std::io::{self, BufRead, BufReader, Read};

use super::failure::Verdict;
use super::verify::{Pin, ReadError};
use super::{Failures, Rule, Source, file};
use crate::decision::Entry;
use crate::id::Digest;
use crate::log::leaf::Leaf;
use crate::log::merkle::{RootHasher, leaf_hash};
use crate::log::policy::{Policy, PolicyError};
use crate::log::proof::{Proof, ProofFormatError, ProofVerifyError, VerifiedInclusion};

/// The result of [`check_receipt`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceiptVerdict {
    /// The authorities of the pinned policy signed a log that holds this decision.
    Proven(RecordedDecision),
    /// Receipt, policy and bundle agree, but no policy was pinned: anyone could have made them.
    Consistent(RecordedDecision),
    /// Something is wrong: the receipt proves nothing.
    Failed(ReceiptFault),
}

impl ReceiptVerdict {
    /// The verdict without its content.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        match self {
            Self::Proven(_) => Verdict::Proven,
            Self::Consistent(_) => Verdict::Consistent,
            Self::Failed(_) => Verdict::Failed,
        }
    }
}

/// The decision on a vote, as a log records it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedDecision {
    /// The request, the decision and the minute in which the vote was received.
    pub entry: Entry,
    /// The index of the decision in the log, and the signed head of the log.
    pub inclusion: VerifiedInclusion,
    /// Whether a bundle was given; it then contains the decision at this index.
    pub in_bundle: bool,
}

/// Why a receipt proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptFault {
    /// The leaf in the receipt is not a decision on a vote.
    #[error("no decision on a vote")]
    NoDecision,
    /// The policy of the bundle is not the pinned policy.
    #[error("policy of another fingerprint")]
    PolicyPinned,
    /// The policy is not that of the election of this receipt: another log, a quorum below the
    /// majority, or another form.
    #[error("policy not of the log {origin}, or below the majority")]
    PolicyForm {
        /// The origin of the checkpoint in the receipt.
        origin: String,
    },
    /// No quorum of the policy's authorities signed the checkpoint, or the decision is not in its
    /// log.
    #[error(transparent)]
    Proof(#[from] ProofVerifyError),
    /// The bundle does not contain the decision, or its log is a different log.
    #[error("receipt not of this bundle")]
    Bundle(Failures),
}

/// Why a receipt cannot be checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// The bytes are not a receipt.
    #[error("receipt: {0}")]
    Form(#[from] ProofFormatError),
    /// Neither a policy nor a bundle, which contains a policy, is given.
    #[error("no policy")]
    NoPolicy,
    /// The policy is malformed.
    #[error("policy: {0}")]
    Policy(#[from] PolicyError),
    /// A file of the bundle cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Checks a receipt in one call: its form, its signatures and its inclusion proof under the policy,
/// and, where a bundle is given, that the bundle contains the same decision at the same index. A
/// quorum of the authorities must have signed. No cosignature of an outside witness is required,
/// because witnesses cosign later.
///
/// `pin` is the policy that the caller trusts, or its fingerprint. With a pinned policy no bundle
/// is needed. With a fingerprint, or with nothing pinned, the policy is read from the bundle. Only
/// the policy and the leaves of the bundle are read: [`verify`](super::verify::verify) checks a
/// bundle as a whole.
///
/// ```
/// use votekit_core::bundle::{Verdict, check_receipt, verify::Pin};
/// let receipt = std::fs::read("../fixtures/election/receipt.txt")?;
/// let policy = std::fs::read("../fixtures/election/bundle.policy")?;
/// let checked = check_receipt(&receipt, None, Some(&Pin::Policy(policy)))?;
/// assert_eq!(checked.verdict(), Verdict::Proven);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ReceiptError`] when the check cannot be made. A receipt that is wrong is
/// [`ReceiptVerdict::Failed`].
pub fn check_receipt(
    receipt: &[u8],
    bundle: Option<&dyn Source>,
    pin: Option<&Pin>,
) -> Result<ReceiptVerdict, ReceiptError> {
    let receipt = Proof::parse(receipt)?;
    let Ok(entry) = Entry::parse(receipt.extra()) else {
        return Ok(ReceiptVerdict::Failed(ReceiptFault::NoDecision));
    };
    let (policy, pinned) = match (pin, bundle) {
        (Some(Pin::Policy(bytes)), _) => (Policy::parse(bytes)?, true),
        (_, None) => return Err(ReceiptError::NoPolicy),
        (None, Some(bundle)) => (Policy::parse(&read_policy(bundle)?)?, false),
        (Some(Pin::Fingerprint(fingerprint)), Some(bundle)) => {
            let bytes = read_policy(bundle)?;
            if Digest::compute(&bytes) != *fingerprint {
                return Ok(ReceiptVerdict::Failed(ReceiptFault::PolicyPinned));
            }
            (Policy::parse(&bytes)?, true)
        }
    };
    let inclusion = match receipt.verify_by_authorities(receipt.extra(), &policy) {
        Ok(inclusion) => inclusion,
        Err(error) => return Ok(ReceiptVerdict::Failed(error.into())),
    };
    let origin = receipt.checkpoint().unverified().origin();
    if !policy.is_of_election(origin) {
        let origin = origin.escape_debug().to_string();
        return Ok(ReceiptVerdict::Failed(ReceiptFault::PolicyForm { origin }));
    }
    if let Some(bundle) = bundle {
        let unreadable = |source| ReadError { file: file::LEAVES.to_owned(), source };
        let found = find_receipt(bundle, &receipt).map_err(unreadable)?;
        if !found.failures.is_empty() {
            return Ok(ReceiptVerdict::Failed(ReceiptFault::Bundle(found.failures)));
        }
    }
    let recorded = RecordedDecision { entry, inclusion, in_bundle: bundle.is_some() };
    Ok(match pinned {
        true => ReceiptVerdict::Proven(recorded),
        false => ReceiptVerdict::Consistent(recorded),
    })
}

/// The bundle's policy, at most one byte longer than a policy may be.
fn read_policy(bundle: &dyn Source) -> Result<Vec<u8>, ReadError> {
    let unreadable = |source| ReadError { file: file::POLICY.to_owned(), source };
    let mut bytes = Vec::new();
    let reader = bundle.open(file::POLICY).map_err(unreadable)?;
    reader.take(Policy::BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// The result of looking for a receipt in a bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceiptInBundle {
    /// The differences between receipt and bundle; empty if the bundle contains the decision of the
    /// receipt.
    pub failures: Failures,
}

/// Checks that the receipt's leaf is in `leaves.jsonl` at its index, and that the bundle's log
/// begins with the tree that the receipt's checkpoint signs. If the receipt itself is verified
/// under the pinned policy, this also proves the first leaves of the bundle.
///
/// # Errors
/// When the bundle cannot be read.
pub fn find_receipt(source: &dyn Source, receipt: &Proof) -> io::Result<ReceiptInBundle> {
    let checkpoint = receipt.checkpoint().unverified();
    let mut found = ReceiptInBundle::default();
    if !source.names()?.iter().any(|name| name == file::LEAVES) {
        found.failures.add(
            file::LEAVES,
            None,
            Rule::FileMissing,
            format_args!("the file is missing"),
        );
        return Ok(found);
    }
    let mut leaves = BufReader::with_capacity(1 << 20, source.open(file::LEAVES)?);
    let mut root = RootHasher::new();
    let mut line = Vec::new();
    while root.size() < checkpoint.size() {
        line.clear();
        leaves.by_ref().take(Leaf::LENGTH_MAX as u64 + 1).read_until(b'\n', &mut line)?;
        if line.pop_if(|last| *last == b'\n').is_none() {
            break;
        }
        if root.size() == receipt.index() && line != receipt.extra() {
            let line = Some(root.size() + 1);
            found.failures.add(
                file::LEAVES,
                line,
                Rule::Receipt,
                format_args!("the log holds another leaf at the receipt's place"),
            );
        }
        root.push(leaf_hash(&line));
    }
    let (size, stated) = (root.size(), checkpoint.size());
    if size < stated {
        let what =
            format_args!("the log ends after {size} leaves, the receipt was signed at {stated}");
        found.failures.add(file::LEAVES, Some(size + 1), Rule::Root, what);
    } else if root.root() != checkpoint.root() {
        let what = format_args!(
            "the first {stated} leaves are not those that the receipt's checkpoint signs"
        );
        found.failures.add(file::LEAVES, None, Rule::Root, what);
    }
    Ok(found)
}

#[cfg(test)]
#[path = "receipt_test.rs"]
mod tests;
