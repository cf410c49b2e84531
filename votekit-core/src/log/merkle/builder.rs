//! Grows a tree. Only its right edge is kept: the partial tile of each level, at most 255 hashes
//! each.

use std::fmt;

use super::{TreeHash, empty_root, join_from_right, perfect_hash};
use crate::log::tile::{TILE_WIDTH, Tile};

const WIDTH: usize = TILE_WIDTH as usize;

/// A tile that has filled and will not change: 256 hashes.
#[derive(Clone, PartialEq, Eq)]
pub struct FullTile {
    /// Its position in the tree.
    pub tile: Tile,
    /// Its 256 hashes.
    pub hashes: Vec<TreeHash>,
}

impl fmt::Debug for FullTile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FullTile({})", self.tile)
    }
}

/// Partial tiles that do not fit a tree of the given size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a tree of {size} leaves has {expected} hashes in its partial tile of level {level}, not {found}"
)]
pub struct RestoreError {
    /// Leaves in the tree.
    pub size: u64,
    /// The level that is wrong.
    pub level: usize,
    /// Hashes its partial tile must have; 0 for no tile.
    pub expected: usize,
    /// Hashes found.
    pub found: usize,
}

/// A tree that grows at its right edge.
///
/// Cloning copies the right edge only (some tens of kilobytes at most), so a tentative block is
/// built on a clone.
///
/// ```
/// use votekit_core::log::merkle::{TreeBuilder, leaf_hash, node_hash};
///
/// let mut tree = TreeBuilder::new();
/// let mut full_tiles = Vec::new();
/// tree.append(leaf_hash(b"one"), &mut full_tiles);
/// tree.append(leaf_hash(b"two"), &mut full_tiles);
/// assert_eq!(tree.root(), node_hash(&leaf_hash(b"one"), &leaf_hash(b"two")));
/// assert!(full_tiles.is_empty());
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TreeBuilder {
    size: u64,
    /// The partial tile of each level, from 0; empty where the level is complete.
    edge: Vec<Vec<TreeHash>>,
}

impl TreeBuilder {
    /// The tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Restores a stored tree from its size and, for each level from 0, the hashes of its partial
    /// tile (none where there is no such tile; levels above the last may be left out).
    ///
    /// Only the widths are checked here: compare [`TreeBuilder::root`] with the checkpoint's.
    ///
    /// # Errors
    /// [`RestoreError`] for the first level whose width does not follow from the size.
    pub fn restore(size: u64, mut edge: Vec<Vec<TreeHash>>) -> Result<Self, RestoreError> {
        for level in 0..edge.len().max(8) {
            let expected = partial_width(size, level);
            let found = edge.get(level).map_or(0, Vec::len);
            if found != expected {
                return Err(RestoreError { size, level, expected, found });
            }
        }
        while edge.pop_if(|partial| partial.is_empty()).is_some() {}
        Ok(Self { size, edge })
    }

    /// Leaves in the tree.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its hash. Tiles that fill are pushed to `full_tiles`, lower levels first.
    ///
    /// Costs one more hash per leaf on average, at any size.
    ///
    /// # Panics
    /// At 2^64 leaves.
    pub fn append(&mut self, leaf: TreeHash, full_tiles: &mut Vec<FullTile>) {
        self.size = self.size.checked_add(1).expect("a log has fewer than 2^64 leaves");
        let mut hash = leaf;
        for level in 0u8.. {
            if self.edge.len() == usize::from(level) {
                self.edge.push(Vec::with_capacity(WIDTH));
            }
            let partial = &mut self.edge[usize::from(level)];
            partial.push(hash);
            if partial.len() < WIDTH {
                return;
            }
            hash = perfect_hash(partial);
            let hashes = std::mem::replace(partial, Vec::with_capacity(WIDTH));
            // The tile that has just filled is the last full one of its level.
            let index = (self.size >> (8 * (u32::from(level) + 1))) - 1;
            let tile = Tile::in_tree(self.size, level, index)
                .expect("a tile that has just filled is in the tree");
            full_tiles.push(FullTile { tile, hashes });
        }
    }

    /// The root hash. Costs one hash computation for each hash of the right edge.
    #[must_use]
    pub fn root(&self) -> TreeHash {
        let subtrees: Vec<TreeHash> =
            self.edge.iter().rev().flat_map(|partial| perfect_parts(partial)).collect();
        join_from_right(subtrees.into_iter()).unwrap_or_else(empty_root)
    }

    /// The partial tiles, lower levels first: with the size, all that [`TreeBuilder::restore`]
    /// needs.
    pub fn partial_tiles(&self) -> impl Iterator<Item = (Tile, &[TreeHash])> {
        self.edge.iter().zip(0u8..).filter(|(partial, _)| !partial.is_empty()).map(
            |(partial, level)| {
                let index = self.size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
                let tile =
                    Tile::in_tree(self.size, level, index).expect("the right edge is in the tree");
                (tile, partial.as_slice())
            },
        )
    }

    /// The hashes of the partial tile of a level; empty if it has none.
    #[must_use]
    pub fn partial_tile(&self, level: u8) -> &[TreeHash] {
        self.edge.get(usize::from(level)).map_or(&[], Vec::as_slice)
    }
}

impl fmt::Debug for TreeBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TreeBuilder({} leaves)", self.size)
    }
}

fn partial_width(size: u64, level: usize) -> usize {
    // The digit of the size in base 256.
    if level < 8 { usize::from(size.to_le_bytes()[level]) } else { 0 }
}

/// The hashes of the perfect subtrees of a partial tile, from left to right, each larger than the
/// next.
fn perfect_parts(partial: &[TreeHash]) -> impl Iterator<Item = TreeHash> {
    let mut rest = partial;
    std::iter::from_fn(move || {
        let width = 1 << rest.len().checked_ilog2()?;
        let (part, after) = rest.split_at(width);
        rest = after;
        Some(perfect_hash(part))
    })
}
