//! Commitments to the counts of a block: Pedersen commitments in ristretto255 (RFC 9496).
//!
//! A block does not state its counts: they would reveal a vote that is sealed in a block without
//! others. It commits to them; the close, and under `live` some earlier blocks, open only sums.
//! Anyone can verify that a published total is the sum over all blocks; the counts of one block
//! stay hidden.

use std::fmt;
use std::sync::LazyLock;

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_TABLE;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoBasepointTable, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity;
use sha2::{Digest, Sha256, Sha512};

use crate::ballot::BallotSecretKey;
use crate::id::hex_bytes;

/// The second base, derived from a text so that its logarithm to the first base is unknown.
static SECOND_BASE: LazyLock<RistrettoBasepointTable> = LazyLock::new(|| {
    let uniform: [u8; 64] = Sha512::digest(b"votekit-commitment/1").into();
    RistrettoBasepointTable::create(&RistrettoPoint::from_uniform_bytes(&uniform))
});

hex_bytes! {
    /// A commitment to one count: a compressed ristretto255 element.
    Commitment, 32
}

hex_bytes! {
    /// A blinding factor, or a sum of them, as an opening publishes it: a canonical scalar,
    /// little-endian.
    Blinding, 32
}

/// The inputs of a block's blindings besides the ballot key: the log before the block, and the
/// block's leaves before its commitments.
///
/// Two blocks with different votes therefore never share a blinding, even if they are proposed for
/// the same height, or for two logs under the same ballot key. With a shared blinding, the
/// difference of two commitments would show the difference of their counts to anyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockContext([u8; 32]);

impl BlockContext {
    /// Makes the context from the root of the log before the block, and the block's leaves before
    /// its commitments, as stored: each preceded by its length in two bytes.
    #[must_use]
    pub fn new(root_before: &[u8; 32], leaves: &[u8]) -> Self {
        Self(Sha256::new().chain_update(root_before).chain_update(leaves).finalize().into())
    }
}

impl Blinding {
    /// The blinding of choice `choice` of a block, derived from the ballot key, so that nothing is
    /// stored and every authority commits to the same bytes.
    #[must_use]
    pub fn derive(key: &BallotSecretKey, content: &BlockContext, choice: u16) -> Self {
        let uniform: [u8; 64] = Sha512::new()
            .chain_update(b"votekit-blinding/1\n")
            .chain_update(key.expose_bytes())
            .chain_update(content.0)
            .chain_update(choice.to_be_bytes())
            .finalize()
            .into();
        Self::from_bytes(Scalar::from_bytes_mod_order_wide(&uniform).to_bytes())
    }

    /// The sum of two blindings. `None` if one of them is not a canonical scalar.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Option<Self> {
        Some(Self::from_bytes((self.scalar()? + other.scalar()?).to_bytes()))
    }

    /// The zero blinding, from which sums start.
    #[must_use]
    pub const fn zero() -> Self {
        Self::from_bytes([0; 32])
    }

    fn scalar(&self) -> Option<Scalar> {
        Scalar::from_canonical_bytes(*self.as_bytes()).into_option()
    }
}

impl Commitment {
    /// Commits to a value. `None` if the blinding is not a canonical scalar.
    #[must_use]
    pub fn to_value(value: u64, blinding: &Blinding) -> Option<Self> {
        let point =
            &Scalar::from(value) * RISTRETTO_BASEPOINT_TABLE + &blinding.scalar()? * &*SECOND_BASE;
        Some(Self::from_bytes(point.compress().to_bytes()))
    }

    /// Whether this is the neutral element: a commitment to 0 without a blinding, which hides
    /// nothing.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        *self.as_bytes() == [0; 32]
    }
}

/// A running sum of commitments, choice by choice.
///
/// ```
/// use votekit_core::commitment::{Blinding, Commitment, CommitmentSum};
/// let (one, two) = (Blinding::from_bytes([1; 32]), Blinding::zero());
/// let mut sum = CommitmentSum::new(1);
/// sum.add(&[Commitment::to_value(30, &one).unwrap()])?;
/// sum.add(&[Commitment::to_value(12, &two).unwrap()])?;
/// assert!(sum.opens_to(&[42], &[one.plus(&two).unwrap()]));
/// assert!(!sum.opens_to(&[43], &[one.plus(&two).unwrap()]));
/// # Ok::<(), votekit_core::commitment::CommitmentError>(())
/// ```
#[derive(Clone)]
pub struct CommitmentSum {
    points: Vec<RistrettoPoint>,
}

/// Why commitments cannot be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitmentError {
    /// Each block commits to each choice and to spoiled votes.
    #[error("expected {expected} commitments, found {found}")]
    Count {
        /// The number of choices plus one.
        expected: usize,
        /// Commitments found.
        found: usize,
    },
    /// The bytes are not a ristretto255 element in canonical form.
    #[error("commitment {position} is not an element of ristretto255")]
    Encoding {
        /// Its position, from 1.
        position: usize,
    },
}

impl CommitmentSum {
    /// The empty sum over `count` choices, spoiled votes included.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self { points: vec![RistrettoPoint::identity(); count] }
    }

    /// Adds the commitments of one block.
    ///
    /// # Errors
    /// [`CommitmentError`]; the sum is then unchanged.
    pub fn add(&mut self, commitments: &[Commitment]) -> Result<(), CommitmentError> {
        if commitments.len() != self.points.len() {
            return Err(CommitmentError::Count {
                expected: self.points.len(),
                found: commitments.len(),
            });
        }
        // Decode all before adding any: an error must leave the sum unchanged.
        let mut points = Vec::with_capacity(commitments.len());
        for (index, commitment) in commitments.iter().enumerate() {
            let point = CompressedRistretto(*commitment.as_bytes()).decompress();
            points.push(point.ok_or(CommitmentError::Encoding { position: index + 1 })?);
        }
        for (sum, point) in self.points.iter_mut().zip(points) {
            *sum += point;
        }
        Ok(())
    }

    /// Whether the sum opens to these values with these sums of blindings.
    #[must_use]
    pub fn opens_to(&self, values: &[u64], blindings: &[Blinding]) -> bool {
        values.len() == self.points.len()
            && blindings.len() == self.points.len()
            && self.points.iter().zip(values.iter().zip(blindings)).all(
                |(point, (value, blinding))| {
                    Commitment::to_value(*value, blinding).is_some_and(|commitment| {
                        commitment.as_bytes() == point.compress().as_bytes()
                    })
                },
            )
    }
}

impl fmt::Debug for CommitmentSum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CommitmentSum({} choices)", self.points.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blinding(leaves: &[u8], choice: u16) -> Blinding {
        let content = BlockContext::new(&[7; 32], leaves);
        Blinding::derive(&BallotSecretKey::from_seed(&[1; 32]), &content, choice)
    }

    #[test]
    fn two_blocks_of_other_content_share_no_blinding() {
        let key = BallotSecretKey::from_seed(&[1; 32]);
        let contexts = [
            BlockContext::new(&[7; 32], b"one batch"),
            BlockContext::new(&[7; 32], b"two batches"),
            BlockContext::new(&[8; 32], b"one batch"),
        ];
        let blindings: std::collections::BTreeSet<String> = contexts
            .iter()
            .flat_map(|content| (0..3).map(|choice| Blinding::derive(&key, content, choice)))
            .map(|blinding| blinding.to_string())
            .collect();
        assert_eq!(blindings.len(), 9);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn sums_open_to_sums_and_to_nothing_else(
            blocks in prop::collection::vec((0_u64..1 << 40, 0_u64..1 << 40), 1..6),
            off in 1_u64..1000,
        ) {
            let mut sum = CommitmentSum::new(2);
            let mut values = [0, 0];
            let mut blindings = [Blinding::zero(), Blinding::zero()];
            for (height, (first, second)) in blocks.iter().enumerate() {
                let parts = [(0, *first), (1, *second)].map(|(choice, value)| {
                    let factor = blinding(&height.to_be_bytes(), choice);
                    values[usize::from(choice)] += value;
                    blindings[usize::from(choice)] = blindings[usize::from(choice)].plus(&factor).expect("canonical");
                    Commitment::to_value(value, &factor).expect("canonical")
                });
                sum.add(&parts).expect("two commitments");
            }
            prop_assert!(sum.opens_to(&values, &blindings));
            prop_assert!(!sum.opens_to(&[values[0] + off, values[1]], &blindings));
            prop_assert!(!sum.opens_to(&[values[1], values[0]], &[blindings[1], blindings[1]]));
        }
    }

    #[test]
    fn malformed_elements_are_refused() {
        let mut sum = CommitmentSum::new(1);
        let bad = Commitment::from_bytes([0xff; 32]);
        assert_eq!(sum.add(&[bad]), Err(CommitmentError::Encoding { position: 1 }));
        // X25519 ignores the top bit of an encoding; ristretto255 must not, or one commitment would
        // have two forms.
        let good = Commitment::to_value(1, &blinding(b"leaves", 0)).expect("canonical");
        let mut bytes = *good.as_bytes();
        bytes[31] |= 0x80;
        let raised = Commitment::from_bytes(bytes);
        assert_eq!(sum.add(&[raised]), Err(CommitmentError::Encoding { position: 1 }));
        assert_eq!(sum.add(&[good]), Ok(()));
        assert_eq!(sum.add(&[]), Err(CommitmentError::Count { expected: 1, found: 0 }));
        assert_eq!(Commitment::to_value(1, &Blinding::from_bytes([0xff; 32])), None);
    }

    /// The vector's columns: everything that a blinding is derived from, then the results.
    fn golden() -> String {
        let key = const_hex::encode(BallotSecretKey::from_seed(&[1; 32]).expose_bytes());
        let root = const_hex::encode([7; 32]);
        let leaves = const_hex::encode(b"leaves");
        let rows = (0..3).map(|choice| {
            let factor = blinding(b"leaves", choice);
            let value = 1000 * u64::from(choice);
            let commitment = Commitment::to_value(value, &factor).expect("canonical");
            format!("{key} {root} {leaves} {choice} {value} {factor} {commitment}\n")
        });
        std::iter::once("key root leaves choice value blinding C\n".to_owned())
            .chain(rows)
            .collect()
    }

    #[test]
    fn the_golden_vector_is_reproduced() {
        assert_eq!(golden(), include_str!("../../fixtures/vectors/commitments.txt"));
    }

    #[test]
    #[ignore = "writes the golden vector after a deliberate change of format: cargo test -p votekit-core -- --ignored write_the_golden"]
    fn write_the_golden_commitments() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/vectors/commitments.txt");
        std::fs::write(path, golden()).expect("written");
    }
}
