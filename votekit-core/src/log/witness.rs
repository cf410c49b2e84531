//! The messages of C2SP tlog-witness: what a log sends to `add-checkpoint`, and what a witness
//! answers.
//!
//! A witness keeps, for each log, the largest tree that it has cosigned. A log states that size,
//! proves that the new tree begins with the old one, and receives the cosignature line.

use std::fmt;

use super::checkpoint::{Checkpoint, SignedCheckpoint};
use super::encoding::{base64, parse_decimal};
use super::merkle::TreeHash;
use super::note::{Signature, VerifierKey};
use crate::instant::UnixSeconds;

/// The media type of the answer 409: the size that the witness knows.
pub const SIZE_MEDIA_TYPE: &str = "text/x.tlog.size";

/// The body of a request to `add-checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size that the witness has cosigned last; 0 for none.
    pub old_size: u64,
    /// The consistency proof from that size to the checkpoint's; empty if they are the same or the
    /// old size is 0.
    pub proof: Vec<TreeHash>,
    /// The checkpoint, signed by the log.
    pub checkpoint: SignedCheckpoint,
}

impl fmt::Display for AddCheckpoint {
    /// Writes the body: `old <size>`, the hashes of the proof, an empty line, the checkpoint.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "old {}", self.old_size)?;
        self.proof
            .iter()
            .try_for_each(|hash| writeln!(formatter, "{}", base64(hash.as_bytes())))?;
        write!(formatter, "\n{}", self.checkpoint)
    }
}

/// A witness's cosignature that verifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessCosignature {
    /// The signature line.
    pub line: Signature,
    /// The time that it states.
    pub at: UnixSeconds,
}

/// Why the body of an answer 200 holds no cosignature of the witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The body is not signature lines.
    #[error("the answer is not lines of signatures")]
    Form,
    /// No line is of the expected key.
    #[error("no line is signed by the key of the witness")]
    NoLine,
    /// The line of the expected key does not verify.
    #[error("the cosignature of the witness does not verify")]
    Signature,
}

/// Reads the answer 200: signature lines, of which one is by the witness's key over the checkpoint.
/// Lines of other keys are ignored, as the specification asks.
///
/// # Errors
/// [`AnswerError`].
pub fn read_cosignature(
    body: &[u8],
    checkpoint: &Checkpoint,
    key: &VerifierKey,
) -> Result<WitnessCosignature, AnswerError> {
    let text = std::str::from_utf8(body).map_err(|_| AnswerError::Form)?;
    let text = text.strip_suffix('\n').ok_or(AnswerError::Form)?;
    let lines = text
        .split('\n')
        .map(Signature::parse)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| AnswerError::Form)?;
    let line = lines.into_iter().find(|line| key.is_named_by(line)).ok_or(AnswerError::NoLine)?;
    let verified = key.verify(&checkpoint.text(), line.as_bytes());
    match verified {
        Ok(Some(at)) => Ok(WitnessCosignature { line, at }),
        // A key of another type states no time.
        Ok(None) | Err(_) => Err(AnswerError::Signature),
    }
}

/// Reads the answer 409: the size that the witness has cosigned last, and a line feed.
#[must_use]
pub fn read_known_size(body: &[u8]) -> Option<u64> {
    parse_decimal(body.strip_suffix(b"\n")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::checkpoint::Cosigner;
    use crate::log::merkle::{empty_root, leaf_hash};
    use crate::log::note::{KeyName, SigningKey};

    fn name(text: &str) -> KeyName {
        text.parse().expect("a key name")
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint::new(&name("example.org/log"), 7, empty_root())
    }

    fn cosigner(number: u8) -> Cosigner {
        Cosigner::from_seed(name("witness.example/w"), &[number; 32])
    }

    #[test]
    fn the_body_is_old_size_proof_and_checkpoint() {
        let key = SigningKey::from_seed(name("example.org/log"), &[1; 32]);
        let signature = checkpoint().sign(&key).expect("its own log");
        let signed = SignedCheckpoint::new(checkpoint(), signature, []).expect("one signature");
        let proof = vec![leaf_hash(b"a"), leaf_hash(b"b")];
        let [one, other] = [&proof[0], &proof[1]].map(|hash| base64(hash.as_bytes()));
        let body = AddCheckpoint { old_size: 3, proof, checkpoint: signed.clone() };
        assert_eq!(body.to_string(), format!("old 3\n{one}\n{other}\n\n{signed}"));
        let first = AddCheckpoint { old_size: 0, proof: Vec::new(), checkpoint: signed.clone() };
        assert_eq!(first.to_string(), format!("old 0\n\n{signed}"));
    }

    #[test]
    fn the_line_of_the_witness_is_found_and_verified() {
        let at = UnixSeconds(1_700_000_000);
        let line = |number| cosigner(number).cosign(&checkpoint(), at).expect("a time");
        let key = cosigner(1).verifier().clone();
        let read = |body: &str| read_cosignature(body.as_bytes(), &checkpoint(), &key);
        let found = read(&format!("{}\n{}\n", line(2), line(1))).expect("one of two");
        assert_eq!((found.line, found.at), (line(1), at));
        assert_eq!(read(&format!("{}\n", line(2))), Err(AnswerError::NoLine));
        for body in ["", "\n", "no line\n"] {
            assert_eq!(read(body), Err(AnswerError::Form), "{body:?}");
        }
        assert_eq!(read(&line(1).to_string()), Err(AnswerError::Form));
        let other = Checkpoint::new(&name("example.org/log"), 8, empty_root());
        let of_other = cosigner(1).cosign(&other, at).expect("a time");
        assert_eq!(read(&format!("{of_other}\n")), Err(AnswerError::Signature));
    }

    #[test]
    fn a_known_size_is_a_decimal_and_a_line_feed() {
        assert_eq!(read_known_size(b"0\n"), Some(0));
        assert_eq!(read_known_size(b"20852163\n"), Some(20_852_163));
        for bad in ["", "7", "07\n", "7\n\n", "-1\n", "18446744073709551616\n"] {
            assert_eq!(read_known_size(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
