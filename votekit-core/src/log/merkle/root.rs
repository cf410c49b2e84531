//! Computes the root of many leaves without keeping the tree.

use std::fmt;

use super::{TreeHash, empty_root, join_from_right, node_hash};

/// A part was added whose subtrees are not aligned with the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a subtree of 2^{height} leaves cannot follow {size} leaves")]
pub struct MisalignedError {
    /// Leaves before it.
    pub size: u64,
    /// The subtree's height.
    pub height: u32,
}

/// Hashes a stream of leaves to the root of their tree, keeping one hash per level.
///
/// Parts can be hashed separately, for example by two threads, and joined, if each starts at a
/// multiple of a power of two that is not below its length:
///
/// ```
/// use votekit_core::log::merkle::{RootHasher, leaf_hash};
///
/// let leaves: Vec<_> = (0..7u8).map(|number| leaf_hash(&[number])).collect();
/// let whole: RootHasher = leaves.iter().copied().collect();
/// let mut left: RootHasher = leaves[..4].iter().copied().collect();
/// let right: RootHasher = leaves[4..].iter().copied().collect();
/// left.append(&right)?;
/// assert_eq!(left.root(), whole.root());
/// # Ok::<(), votekit_core::log::merkle::MisalignedError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RootHasher {
    size: u64,
    /// The perfect subtrees of the leaves so far, one for each bit that is set in `size`, the
    /// largest first.
    subtrees: Vec<TreeHash>,
}

impl RootHasher {
    /// A hasher without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds one leaf by its hash.
    ///
    /// # Panics
    /// At 2^64 leaves.
    pub fn push(&mut self, leaf: TreeHash) {
        self.carry(0, leaf);
    }

    /// Adds a perfect subtree of 2^`height` leaves by its hash.
    ///
    /// # Errors
    /// [`MisalignedError`] unless the leaves so far are a multiple of 2^`height`; nothing is then
    /// added.
    ///
    /// # Panics
    /// At 2^64 leaves.
    pub fn push_subtree(&mut self, height: u32, hash: TreeHash) -> Result<(), MisalignedError> {
        if height > 63 || self.size.trailing_zeros() < height {
            return Err(MisalignedError { size: self.size, height });
        }
        self.carry(height, hash);
        Ok(())
    }

    /// Adds the leaves of another hasher after these.
    ///
    /// # Errors
    /// [`MisalignedError`] unless these leaves are a multiple of the other's largest subtree;
    /// nothing is then added.
    ///
    /// # Panics
    /// At 2^64 leaves.
    pub fn append(&mut self, right: &Self) -> Result<(), MisalignedError> {
        let heights = (0..u64::BITS).rev().filter(|height| right.size >> height & 1 == 1);
        // Alignment to the largest subtree is alignment to all that follow it.
        heights.zip(&right.subtrees).try_for_each(|(height, hash)| self.push_subtree(height, *hash))
    }

    /// The root of the leaves so far.
    #[must_use]
    pub fn root(&self) -> TreeHash {
        join_from_right(self.subtrees.iter().copied()).unwrap_or_else(empty_root)
    }

    /// Adds a subtree as a binary counter adds 2^height: equal neighbours join and carry.
    fn carry(&mut self, height: u32, hash: TreeHash) {
        let mut hash = hash;
        let mut bits = self.size >> height;
        while bits & 1 == 1 {
            let left = self
                .subtrees
                .pop()
                .expect("there is one subtree for each bit that is set in the size");
            hash = node_hash(&left, &hash);
            bits >>= 1;
        }
        self.subtrees.push(hash);
        self.size = self.size.checked_add(1 << height).expect("a log has fewer than 2^64 leaves");
    }
}

impl FromIterator<TreeHash> for RootHasher {
    fn from_iter<I: IntoIterator<Item = TreeHash>>(leaves: I) -> Self {
        let mut hasher = Self::new();
        leaves.into_iter().for_each(|leaf| hasher.push(leaf));
        hasher
    }
}

impl fmt::Debug for RootHasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RootHasher({} leaves)", self.size)
    }
}
