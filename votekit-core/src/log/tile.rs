//! Tiles (C2SP tlog-tiles): the pieces in which the tree and its entries are stored and served.
//!
//! A tile at level `L` holds up to 256 consecutive hashes, each of 256^L leaves. Full tiles never
//! change; the rightmost of each level may be partial. An entry bundle holds the leaves of the
//! level-0 tile of the same index, each after its length.

use std::fmt;
use std::str::FromStr;

use super::encoding::parse_decimal;
use super::tree_hash::TreeHash;

/// Hashes in a full tile, entries in a full bundle.
pub const TILE_WIDTH: u16 = 256;

/// Why a path, a tile or a bundle is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TileError {
    /// The path is not in the form that the specification prescribes.
    #[error("not the path of a tile or an entry bundle")]
    Path,
    /// Levels run from 0 to 63.
    #[error("a tile's level is at most 63, not {level}")]
    Level {
        /// Level found.
        level: u8,
    },
    /// Widths run from 1 to 256.
    #[error("a tile is 1 to 256 wide, not {width}")]
    Width {
        /// Width found.
        width: usize,
    },
    /// A tile consists of whole hashes.
    #[error("a tile of {length} bytes is not 1 to 256 hashes of 32 bytes")]
    HashBytes {
        /// Bytes found.
        length: usize,
    },
    /// A bundle stops in the middle of an entry.
    #[error("entry {entry} of the bundle is cut short at byte {offset}")]
    EntryCut {
        /// The entry, from 0.
        entry: usize,
        /// Where it starts.
        offset: usize,
    },
    /// A bundle holds at most 256 entries.
    #[error("a bundle holds at most 256 entries")]
    EntryCount,
    /// An entry has at most 65,535 bytes.
    #[error("an entry has at most 65535 bytes, this one has {length}")]
    EntryLength {
        /// Bytes found.
        length: usize,
    },
}

/// The level, index and width of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    level: u8,
    index: u64,
    width: u16,
}

impl Tile {
    /// A tile at `level` (0 to 63), the `index`-th of its level from 0, of `width` hashes (1 to
    /// 256).
    ///
    /// # Errors
    /// [`TileError::Level`] or [`TileError::Width`].
    pub fn new(level: u8, index: u64, width: u16) -> Result<Self, TileError> {
        if level > 63 {
            return Err(TileError::Level { level });
        }
        check_width(width)?;
        Ok(Self { level, index, width })
    }

    /// The tile of a tree of `size` leaves at this level and index, full or partial; `None` if the
    /// tree has none there.
    #[must_use]
    pub fn in_tree(size: u64, level: u8, index: u64) -> Option<Self> {
        let hashes = size.checked_shr(8 * u32::from(level))?;
        let before = index.checked_mul(u64::from(TILE_WIDTH))?;
        let width = u16::try_from(hashes.checked_sub(before)?.min(u64::from(TILE_WIDTH))).ok()?;
        Self::new(level, index, width).ok()
    }

    /// The level: each hash stands for 256^level leaves.
    #[must_use]
    pub const fn level(self) -> u8 {
        self.level
    }

    /// The index in the level, from 0.
    #[must_use]
    pub const fn index(self) -> u64 {
        self.index
    }

    /// Hashes in it, 1 to 256.
    #[must_use]
    pub const fn width(self) -> u16 {
        self.width
    }

    /// Whether it is 256 wide, and so final.
    #[must_use]
    pub const fn is_full(self) -> bool {
        self.width == TILE_WIDTH
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        TilePath::Tile(*self).fmt(formatter)
    }
}

/// The object that a path below a log's prefix names.
///
/// ```
/// use votekit_core::log::tile::{Tile, TilePath};
/// let path: TilePath = "tile/0/x001/x234/067.p/8".parse()?;
/// assert_eq!(path, TilePath::Tile(Tile::new(0, 1_234_067, 8)?));
/// assert_eq!(path.to_string(), "tile/0/x001/x234/067.p/8");
/// # Ok::<(), votekit_core::log::tile::TileError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TilePath {
    /// `tile/<L>/<N>[.p/<W>]`: hashes.
    Tile(Tile),
    /// `tile/entries/<N>[.p/<W>]`: an entry bundle.
    Entries {
        /// The index of the bundle, from 0.
        index: u64,
        /// Entries in it, 1 to 256.
        width: u16,
    },
}

impl FromStr for TilePath {
    type Err = TileError;

    fn from_str(path: &str) -> Result<Self, TileError> {
        let rest = path.strip_prefix("tile/").ok_or(TileError::Path)?;
        let (kind, rest) = rest.split_once('/').ok_or(TileError::Path)?;
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, parse_partial_width(width)?),
            None => (rest, TILE_WIDTH),
        };
        let index = parse_index(index)?;
        if kind == "entries" {
            return Ok(Self::Entries { index, width });
        }
        let level = parse_decimal(kind.as_bytes())
            .and_then(|level| u8::try_from(level).ok())
            .ok_or(TileError::Path)?;
        Tile::new(level, index, width).map(Self::Tile)
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, width) = match self {
            Self::Tile(tile) => {
                write!(formatter, "tile/{}/", tile.level)?;
                (tile.index, tile.width)
            }
            Self::Entries { index, width } => {
                formatter.write_str("tile/entries/")?;
                (*index, *width)
            }
        };
        write_index(formatter, index)?;
        if width == TILE_WIDTH { Ok(()) } else { write!(formatter, ".p/{width}") }
    }
}

fn check_width(width: u16) -> Result<(), TileError> {
    if (1..=TILE_WIDTH).contains(&width) {
        Ok(())
    } else {
        Err(TileError::Width { width: usize::from(width) })
    }
}

fn parse_partial_width(text: &str) -> Result<u16, TileError> {
    let width = parse_decimal(text.as_bytes()).ok_or(TileError::Path)?;
    u16::try_from(width).ok().filter(|width| (1..TILE_WIDTH).contains(width)).ok_or(TileError::Path)
}

/// Parses groups of three digits, all but the last after an `x`; the first of several is not zero.
fn parse_index(text: &str) -> Result<u64, TileError> {
    let (head, last) =
        text.rsplit_once('/').map_or((None, text), |(head, last)| (Some(head), last));
    let mut index: u64 = 0;
    let groups =
        head.into_iter().flat_map(|head| head.split('/')).map(|group| group.strip_prefix('x'));
    for (place, group) in groups.chain([Some(last)]).enumerate() {
        let group = group
            .filter(|group| group.len() == 3 && group.bytes().all(|byte| byte.is_ascii_digit()));
        let value: u64 = group.and_then(|group| group.parse().ok()).ok_or(TileError::Path)?;
        if place == 0 && value == 0 && head.is_some() {
            return Err(TileError::Path);
        }
        index = index
            .checked_mul(1000)
            .and_then(|index| index.checked_add(value))
            .ok_or(TileError::Path)?;
    }
    Ok(index)
}

fn write_index(formatter: &mut fmt::Formatter<'_>, index: u64) -> fmt::Result {
    // The first group written is the highest that is not zero.
    let groups = (0..=6u32).rev().find(|power| index / 1000u64.pow(*power) > 0).unwrap_or(0);
    for power in (1..=groups).rev() {
        write!(formatter, "x{:03}/", index / 1000u64.pow(power) % 1000)?;
    }
    write!(formatter, "{:03}", index % 1000)
}

/// The bytes of a tile: its hashes one after the other.
#[must_use]
pub fn encode_hashes(hashes: &[TreeHash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// The hashes of a tile's bytes: 1 to 256.
///
/// # Errors
/// [`TileError::HashBytes`].
pub fn decode_hashes(bytes: &[u8]) -> Result<Vec<TreeHash>, TileError> {
    let error = TileError::HashBytes { length: bytes.len() };
    let (hashes, []) = bytes.as_chunks::<32>() else { return Err(error) };
    if hashes.is_empty() || hashes.len() > usize::from(TILE_WIDTH) {
        return Err(error);
    }
    Ok(hashes.iter().map(|hash| TreeHash::from_bytes(*hash)).collect())
}

/// Appends one entry to a bundle, after its length in 2 bytes.
///
/// # Errors
/// [`TileError::EntryLength`] above 65,535 bytes.
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), TileError> {
    let length =
        u16::try_from(entry.len()).map_err(|_| TileError::EntryLength { length: entry.len() })?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// Iterates over the entries of a bundle without copying. After an error the iterator ends.
#[must_use]
pub fn entries(bundle: &[u8]) -> Entries<'_> {
    Entries { bundle, offset: 0, entry: 0 }
}

/// The entries of a bundle: see [`entries`].
#[derive(Clone)]
pub struct Entries<'bundle> {
    bundle: &'bundle [u8],
    offset: usize,
    entry: usize,
}

impl<'bundle> Iterator for Entries<'bundle> {
    type Item = Result<&'bundle [u8], TileError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.bundle[self.offset..];
        if rest.is_empty() {
            return None;
        }
        let read = self.read(rest);
        match read {
            Ok(entry) => {
                self.offset += 2 + entry.len();
                self.entry += 1;
            }
            Err(_) => self.offset = self.bundle.len(),
        }
        Some(read)
    }
}

impl<'bundle> Entries<'bundle> {
    fn read(&self, rest: &'bundle [u8]) -> Result<&'bundle [u8], TileError> {
        if self.entry == usize::from(TILE_WIDTH) {
            return Err(TileError::EntryCount);
        }
        let cut = TileError::EntryCut { entry: self.entry, offset: self.offset };
        let (length, rest) = rest.split_first_chunk::<2>().ok_or(cut)?;
        rest.get(..usize::from(u16::from_be_bytes(*length))).ok_or(cut)
    }
}

impl fmt::Debug for Entries<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Entries(at {} of {} bytes)", self.offset, self.bundle.len())
    }
}

#[cfg(test)]
#[path = "tile_test.rs"]
mod tests;
