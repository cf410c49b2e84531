//! What the commands read of a log: checkpoints, proofs, receipts, and stored batches.

use votekit_core::ballot::SealError;
use votekit_core::batch::BatchError;
use votekit_core::bundle::verify::ReadError;
use votekit_core::bundle::{ReceiptError, ReceiptFault, WriteError};
use votekit_core::log::checkpoint::{CheckpointError, CheckpointRule};
use votekit_core::log::merkle::ProofError;
use votekit_core::log::policy::VerifyError;
use votekit_core::log::proof::{Proof, ProofFormatError, ProofRule, ProofVerifyError};

use crate::InWords;

impl InWords for CheckpointError {
    fn in_words(&self) -> String {
        match self {
            Self::Note(error) => error.in_words(),
            Self::Malformed { line, rule } => format!("line {line}: {}", rule.in_words()),
            Self::Origin { key, origin } => {
                format!("the key of {key} does not sign for the log {origin}")
            }
            Self::Time { at } => {
                format!("{} seconds is not a time that a cosignature can hold", at.0)
            }
            other => other.to_string(),
        }
    }
}

impl InWords for CheckpointRule {
    fn in_words(&self) -> String {
        let text = match self {
            Self::Lines => "a checkpoint has at least three lines: origin, size and root",
            Self::Empty => "a checkpoint has no empty lines",
            Self::Size => "the size is a decimal of at most 64 bits without leading zero",
            Self::Root => "the root is the base64 of 32 bytes in its canonical form",
            other => return other.to_string(),
        };
        text.to_owned()
    }
}

impl InWords for VerifyError {
    fn in_words(&self) -> String {
        match self {
            Self::Checkpoint(error) => error.in_words(),
            Self::Note(error) => error.in_words(),
            Self::NoLog { origin } => {
                format!("no log key of the policy has signed for {origin}: is it the right policy?")
            }
            Self::NoQuorum { cosigned } => format!(
                "{cosigned} of the policy's witnesses have cosigned, which does not reach the \
                 quorum"
            ),
            Self::Order { line } => format!(
                "line {line}: the one log signature comes first, then cosignatures in the policy's \
                 order"
            ),
            Self::Extension => "line 4: a checkpoint has no extension line here".to_owned(),
            other => other.to_string(),
        }
    }
}

impl InWords for ProofFormatError {
    fn in_words(&self) -> String {
        match self {
            Self::Malformed { line, rule } => format!("line {line}: {}", rule.in_words()),
            Self::TooLong { length, max } => {
                format!("a proof has at most {max} bytes, this one has {length}")
            }
            Self::Checkpoint { after_line, source } => {
                format!("in the checkpoint after line {after_line}: {}", source.in_words())
            }
            other => other.to_string(),
        }
    }
}

impl InWords for ProofRule {
    fn in_words(&self) -> String {
        let text = match self {
            Self::Header => "the first line is `c2sp.org/tlog-proof@v1`",
            Self::Extra => "the extra data is padded base64 in its canonical form, and not empty",
            Self::Index => {
                "the line is `index`, a space and a decimal of at most 64 bits without leading zero"
            }
            Self::Hash => "a hash is the base64 of 32 bytes in its canonical form",
            Self::TooManyHashes => {
                return format!("an inclusion proof has at most {} hashes", Proof::HASHES_MAX);
            }
            Self::Cut => "the proof ends before its checkpoint: is the file complete?",
            other => return other.to_string(),
        };
        text.to_owned()
    }
}

impl InWords for ProofVerifyError {
    fn in_words(&self) -> String {
        match self {
            Self::Checkpoint(error) => format!("the checkpoint of the proof: {}", error.in_words()),
            Self::Inclusion(error) => format!("the leaf is not in the tree: {}", error.in_words()),
            other => other.to_string(),
        }
    }
}

impl InWords for ProofError {
    fn in_words(&self) -> String {
        match self {
            Self::Index { index, size } => {
                format!("leaf {index} is not in a tree of {size} leaves")
            }
            Self::Shrunk { first, second } => {
                format!("a tree of {first} leaves cannot have grown into one of {second}")
            }
            Self::Length { found } => format!("the proof has the wrong number of hashes: {found}"),
            Self::Root => "the proof leads to another root".to_owned(),
            Self::FirstRoot => "the proof leads to another root of the older tree".to_owned(),
            other => other.to_string(),
        }
    }
}

impl InWords for ReceiptFault {
    fn in_words(&self) -> String {
        let text = match self {
            Self::NoDecision => "the receipt contains no decision on a vote",
            Self::PolicyPinned => {
                "the policy in the bundle does not have the fingerprint that was given"
            }
            Self::PolicyForm { origin } => {
                return format!(
                    "the policy is not that of the log {origin}, with a majority of its authorities"
                );
            }
            Self::Proof(error) => return error.in_words(),
            Self::Bundle(_) => "the bundle does not contain what the receipt promises",
            other => return other.to_string(),
        };
        text.to_owned()
    }
}

impl InWords for ReceiptError {
    fn in_words(&self) -> String {
        match self {
            Self::Form(error) => format!("not a receipt: {}", error.in_words()),
            Self::NoPolicy => "a receipt is verified under a policy, and none is given".to_owned(),
            Self::Policy(error) => format!("the policy: {}", error.in_words()),
            Self::Read(error) => error.in_words(),
            other => other.to_string(),
        }
    }
}

impl InWords for ReadError {
    fn in_words(&self) -> String {
        match self.file.as_str() {
            "" => format!("cannot list the files of the bundle: {}", self.source),
            file => format!("cannot read {file}: {}", self.source),
        }
    }
}

impl InWords for WriteError {
    fn in_words(&self) -> String {
        match self {
            Self::Checkpoint(error) => format!("the checkpoint: {}", error.in_words()),
            other => other.to_string(),
        }
    }
}

impl InWords for BatchError {
    fn in_words(&self) -> String {
        match self {
            Self::Magic => "not a batch: it does not start with VKBATCH1".to_owned(),
            Self::Length { expected, found } => format!(
                "a batch of {expected} bytes was announced, {found} were found: is the file \
                 complete?"
            ),
            Self::Field { field } => format!("the header of the batch: {field} is out of range"),
            Self::Signature { number } => {
                format!("batch {number}: the signature is not by the node that it names")
            }
            Self::Node { number } => {
                format!("batch {number}: the key given belongs to another node")
            }
            Self::Law { number, expected, found } => {
                format!("batch {number} belongs to the election {found}, not to {expected}")
            }
            Self::Minute { envelope_index } => format!(
                "envelope {envelope_index}: its minute is out of range, or before that of an \
                 earlier envelope"
            ),
            Self::Seal(SealError::Key) => {
                "the ballot key of the election cannot be used for encryption".to_owned()
            }
            other => other.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use votekit_core::batch::Batch;
    use votekit_core::bundle::check_receipt;

    use super::*;

    #[test]
    fn a_receipt_that_cannot_be_checked_has_its_cause_in_words() {
        for (receipt, words) in [
            ("", "not a receipt: line 1: the proof ends before its checkpoint"),
            ("other\n", "not a receipt: line 1: the first line is `c2sp.org/tlog-proof@v1`"),
            ("c2sp.org/tlog-proof@v1\nindex 01\n", "not a receipt: line 2: the line is `index`"),
        ] {
            let error = check_receipt(receipt.as_bytes(), None, None).expect_err("malformed");
            assert!(error.in_words().starts_with(words), "{receipt:?}: {}", error.in_words());
        }
    }

    #[test]
    fn a_file_that_is_not_a_batch_has_its_fault_in_words() {
        let other = Batch::parse(b"PK\x03\x04 and more".to_vec()).expect_err("another file");
        assert_eq!(other.in_words(), "not a batch: it does not start with VKBATCH1");
        let cut = Batch::parse(b"VKBATCH1".to_vec()).expect_err("an incomplete batch");
        assert!(cut.in_words().ends_with("8 were found: is the file complete?"), "{cut}");
    }
}
