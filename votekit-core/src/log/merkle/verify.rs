//! Verifies inclusion and consistency proofs: RFC 9162 sections 2.1.3.2 and 2.1.4.2.

use super::{TreeHash, empty_root, node_hash};

/// Why a proof is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The leaf is beyond the end of the tree.
    #[error("leaf {index} beyond a tree of {size} leaves")]
    Index {
        /// The leaf's index.
        index: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// The older tree is the larger one.
    #[error("tree of {first} leaves cannot grow to {second}")]
    Shrunk {
        /// Leaves in the older tree.
        first: u64,
        /// Leaves in the newer tree.
        second: u64,
    },
    /// There are too few or too many hashes.
    #[error("wrong number of hashes: {found}")]
    Length {
        /// Hashes found.
        found: usize,
    },
    /// The proof leads to another root.
    #[error("proof of another root")]
    Root,
    /// The consistency proof leads to another root of the older tree.
    #[error("proof of another root of the older tree")]
    FirstRoot,
}

/// Verifies that the leaf at `index` in the tree of `size` leaves with this `root` has the hash
/// `leaf`.
///
/// # Errors
/// [`ProofError`].
pub fn verify_inclusion(
    leaf: &TreeHash,
    index: u64,
    size: u64,
    proof: &[TreeHash],
    root: &TreeHash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Index { index, size });
    }
    let wrong_length = || ProofError::Length { found: proof.len() };
    let mut climb = Climb { node: index, last: size - 1 };
    let mut hash = *leaf;
    for sibling in proof {
        hash = match climb.step().ok_or_else(wrong_length)? {
            Side::Left => node_hash(sibling, &hash),
            Side::Right => node_hash(&hash, sibling),
        };
    }
    if !climb.is_at_root() {
        return Err(wrong_length());
    }
    if hash == *root { Ok(()) } else { Err(ProofError::Root) }
}

/// Verifies that the tree of `second` leaves with `second_root` begins with the tree of `first`
/// leaves with `first_root`.
///
/// Any tree begins with the empty tree, and with itself: those proofs are empty.
///
/// # Errors
/// [`ProofError`].
pub fn verify_consistency(
    first: u64,
    first_root: &TreeHash,
    second: u64,
    second_root: &TreeHash,
    proof: &[TreeHash],
) -> Result<(), ProofError> {
    if first > second {
        return Err(ProofError::Shrunk { first, second });
    }
    if first == 0 || first == second {
        return verify_trivial_consistency(first, first_root, second, second_root, proof);
    }
    let wrong_length = || ProofError::Length { found: proof.len() };
    // The walk starts at the largest perfect subtree on the older tree's right edge: the older root
    // itself if it is perfect.
    let (seed, siblings) = match proof.split_first() {
        _ if first.is_power_of_two() => (first_root, proof),
        Some((seed, siblings)) => (seed, siblings),
        None => return Err(wrong_length()),
    };
    let skipped = (first - 1).trailing_ones();
    let mut climb = Climb { node: (first - 1) >> skipped, last: (second - 1) >> skipped };
    let (mut first_hash, mut second_hash) = (*seed, *seed);
    for sibling in siblings {
        match climb.step().ok_or_else(wrong_length)? {
            Side::Left => {
                first_hash = node_hash(sibling, &first_hash);
                second_hash = node_hash(sibling, &second_hash);
            }
            Side::Right => second_hash = node_hash(&second_hash, sibling),
        }
    }
    if !climb.is_at_root() {
        return Err(wrong_length());
    }
    if first_hash != *first_root {
        return Err(ProofError::FirstRoot);
    }
    if second_hash == *second_root { Ok(()) } else { Err(ProofError::Root) }
}

/// The way from a node to the root: its index in its level, and that of the level's last node.
struct Climb {
    node: u64,
    last: u64,
}

/// On which side of a node its sibling is.
enum Side {
    Left,
    Right,
}

impl Climb {
    /// Moves up past the next sibling; `None` at the root, which has none.
    fn step(&mut self) -> Option<Side> {
        if self.is_at_root() {
            return None;
        }
        let side = if self.node & 1 == 1 || self.node == self.last {
            // On the right edge, levels without a sibling are skipped.
            let skipped = self.node.trailing_zeros();
            self.node >>= skipped;
            self.last >>= skipped;
            Side::Left
        } else {
            Side::Right
        };
        self.node >>= 1;
        self.last >>= 1;
        Some(side)
    }

    fn is_at_root(&self) -> bool {
        self.last == 0
    }
}

fn verify_trivial_consistency(
    first: u64,
    first_root: &TreeHash,
    second: u64,
    second_root: &TreeHash,
    proof: &[TreeHash],
) -> Result<(), ProofError> {
    if !proof.is_empty() {
        return Err(ProofError::Length { found: proof.len() });
    }
    if first == 0 && *first_root != empty_root() {
        return Err(ProofError::FirstRoot);
    }
    if first == second && first_root != second_root { Err(ProofError::Root) } else { Ok(()) }
}
