//! Makes inclusion and consistency proofs (RFC 6962 sections 2.1.1 and 2.1.2) from tiles.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{ProofError, TreeHash, empty_root, node_hash, perfect_hash};
use crate::log::tile::Tile;

/// Reads the tiles of a tree.
pub trait TileReader {
    /// Why a tile could not be read.
    type Error;

    /// The hashes of a tile. May return more than its width if the tile has grown since; the
    /// surplus is ignored.
    ///
    /// # Errors
    /// If the tile is missing.
    fn hashes(&self, tile: Tile) -> Result<Vec<TreeHash>, Self::Error>;
}

impl<Reader: TileReader + ?Sized> TileReader for &Reader {
    type Error = Reader::Error;

    fn hashes(&self, tile: Tile) -> Result<Vec<TreeHash>, Self::Error> {
        (**self).hashes(tile)
    }
}

/// Why no proof could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProveError<E> {
    /// The requested leaf or size is not in the tree.
    #[error(transparent)]
    Range(ProofError),
    /// A tile holds fewer hashes than the size of the tree says.
    #[error("{tile} holds {found} hashes, not {}", tile.width())]
    ShortTile {
        /// The tile.
        tile: Tile,
        /// Hashes found.
        found: usize,
    },
    /// The reader failed.
    #[error("{tile} cannot be read")]
    Read {
        /// The tile.
        tile: Tile,
        /// Why.
        source: E,
    },
}

/// The inclusion proof of the leaf at `index` in the tree of `size` leaves: from its sibling up to
/// the root's child.
///
/// # Errors
/// [`ProveError`].
pub fn prove_inclusion<R: TileReader>(
    reader: &R,
    index: u64,
    size: u64,
) -> Result<Vec<TreeHash>, ProveError<R::Error>> {
    if index >= size {
        return Err(ProveError::Range(ProofError::Index { index, size }));
    }
    let mut tiles = Tiles::new(reader, size);
    let mut proof = Vec::new();
    let mut range = 0..size;
    while range.end - range.start > 1 {
        let (left, right) = split(range);
        let (inside, sibling) = if index < left.end { (left, right) } else { (right, left) };
        proof.push(tiles.range_hash(sibling)?);
        range = inside;
    }
    proof.reverse();
    Ok(proof)
}

/// The consistency proof from the tree of `first` leaves to that of `second`; empty if they are the
/// same or `first` is 0.
///
/// # Errors
/// [`ProveError`].
pub fn prove_consistency<R: TileReader>(
    reader: &R,
    first: u64,
    second: u64,
) -> Result<Vec<TreeHash>, ProveError<R::Error>> {
    if first > second {
        return Err(ProveError::Range(ProofError::Shrunk { first, second }));
    }
    let mut proof = Vec::new();
    if first == 0 || first == second {
        return Ok(proof);
    }
    let mut tiles = Tiles::new(reader, second);
    let mut range = 0..second;
    while range.end != first {
        let (left, right) = split(range);
        let (inside, sibling) = if first <= left.end { (left, right) } else { (right, left) };
        proof.push(tiles.range_hash(sibling)?);
        range = inside;
    }
    // The verifier has the hash of the range that starts at 0: it is the older root.
    if range.start > 0 {
        proof.push(tiles.range_hash(range)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The root of the tree of `size` leaves, computed from its tiles.
///
/// # Errors
/// [`ProveError`].
pub fn root_of_tiles<R: TileReader>(
    reader: &R,
    size: u64,
) -> Result<TreeHash, ProveError<R::Error>> {
    if size == 0 { Ok(empty_root()) } else { Tiles::new(reader, size).range_hash(0..size) }
}

/// Splits a range of more than one leaf as RFC 6962 does: the left part has the largest power of
/// two below the length.
fn split(range: Range<u64>) -> (Range<u64>, Range<u64>) {
    let middle = range.start + (1 << (range.end - range.start - 1).ilog2());
    (range.start..middle, middle..range.end)
}

/// The tiles of a tree of a given size. Reads each tile once: a proof needs up to eight hashes of
/// the same tile.
struct Tiles<'reader, R> {
    reader: &'reader R,
    size: u64,
    read: BTreeMap<Tile, Vec<TreeHash>>,
}

impl<'reader, R: TileReader> Tiles<'reader, R> {
    fn new(reader: &'reader R, size: u64) -> Self {
        Self { reader, size, read: BTreeMap::new() }
    }

    /// The hash of a range that [`split`] made: perfect, or reaching to the end of the tree.
    fn range_hash(&mut self, range: Range<u64>) -> Result<TreeHash, ProveError<R::Error>> {
        let length = range.end - range.start;
        if length.is_power_of_two() {
            return self.perfect_hash(length.ilog2(), range.start);
        }
        let (left, right) = split(range);
        Ok(node_hash(&self.range_hash(left)?, &self.range_hash(right)?))
    }

    /// The hash of the 2^height leaves from `start` on, computed from one tile.
    fn perfect_hash(&mut self, height: u32, start: u64) -> Result<TreeHash, ProveError<R::Error>> {
        // A hash in a tile of level L has height 8L, so height 8L + r joins 2^r of them.
        let level = u8::try_from(height / 8).expect("heights are below 64");
        let place = start >> (8 * u32::from(level));
        let tile = Tile::in_tree(self.size, level, place / 256)
            .expect("a range of the tree lies in its tiles");
        let from = usize::try_from(place % 256).expect("below 256");
        let hashes = self.tile_hashes(tile)?;
        Ok(perfect_hash(&hashes[from..from + (1 << (height % 8))]))
    }

    fn tile_hashes(&mut self, tile: Tile) -> Result<&[TreeHash], ProveError<R::Error>> {
        if !self.read.contains_key(&tile) {
            let hashes =
                self.reader.hashes(tile).map_err(|source| ProveError::Read { tile, source })?;
            if hashes.len() < usize::from(tile.width()) {
                return Err(ProveError::ShortTile { tile, found: hashes.len() });
            }
            self.read.insert(tile, hashes);
        }
        Ok(&self.read[&tile])
    }
}
