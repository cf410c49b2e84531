//! A block: the leaves that are sealed together.

use crate::decision::{Entry, Outcome};
use crate::id::BatchNumber;
use crate::instant::UnixMinutes;
use crate::log::leaf::Leaf;
use crate::log::merkle::{FullTile, TreeHash, leaf_hash};
use crate::log::tile;

/// The maker of a block, and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockMaker {
    /// The term of the leader.
    pub term: u64,
    /// The name of that authority.
    pub leader: String,
    /// The leader's clock. The block is sealed later if the last block or a vote in it is later.
    pub at: UnixMinutes,
}

/// A block as made: the bytes that are stored, and the data that belongs to them.
#[derive(Debug, Clone)]
pub struct Block {
    /// Its height, from 1.
    pub height: u64,
    /// The index of its first leaf.
    pub first_leaf: u64,
    /// Number of leaves in it.
    pub leaf_count: u32,
    /// The leaves, each after its length, as in an entry bundle of tlog-tiles.
    pub leaves: Vec<u8>,
    /// The tiles of hashes that it filled.
    pub full_tiles: Vec<FullTile>,
    /// The root of the tree after it.
    pub root: TreeHash,
    /// The decided requests, in order; replays are not among them.
    pub entries: Vec<Entry>,
    /// The minute that its last leaf states.
    pub sealed_at: UnixMinutes,
}

impl Block {
    /// The size of the log after this block, in leaves.
    #[must_use]
    pub fn size_after(&self) -> u64 {
        self.first_leaf + u64::from(self.leaf_count)
    }
}

/// The leaves of a stored block, in order. Bytes that end within a leaf result in a `None`, after
/// which nothing follows.
pub fn leaves_of_block(leaves: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = leaves;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let leaf = rest.split_first_chunk::<2>().and_then(|(length, after)| {
            let (leaf, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            rest = after;
            Some(leaf)
        });
        if leaf.is_none() {
            rest = &[];
        }
        Some(leaf)
    })
}

/// The numbers of the batches that a stored block seals, in order. Leaves that do not parse are
/// skipped.
pub fn batches_of_block(leaves: &[u8]) -> impl Iterator<Item = BatchNumber> {
    // A block holds thousands of entries: only leaves that begin as a batch leaf are parsed.
    leaves_of_block(leaves)
        .flatten()
        .filter(|leaf| leaf.starts_with(br#"{"leaf":"batch""#))
        .filter_map(|leaf| match Leaf::parse(leaf) {
            Ok(Leaf::Batch(batch)) => Some(batch.number()),
            _ => None,
        })
}

/// The leaves of a block under construction.
pub(super) struct BlockBuilder {
    pub(super) first_leaf: u64,
    pub(super) leaf_count: u32,
    pub(super) leaves: Vec<u8>,
    pub(super) hashes: Vec<TreeHash>,
    pub(super) entries: Vec<Entry>,
    /// The latest minute of an entry.
    pub(super) latest: UnixMinutes,
    scratch: Vec<u8>,
}

impl BlockBuilder {
    pub(super) fn new(first_leaf: u64) -> Self {
        Self {
            first_leaf,
            leaf_count: 0,
            leaves: Vec::new(),
            hashes: Vec::new(),
            entries: Vec::new(),
            latest: UnixMinutes(0),
            scratch: Vec::with_capacity(Entry::LENGTH_MAX),
        }
    }

    pub(super) fn next_leaf(&self) -> u64 {
        self.first_leaf + u64::from(self.leaf_count)
    }

    pub(super) fn push_outcome(&mut self, outcome: Outcome) {
        if let Outcome::Decided(entry) = outcome {
            self.latest = self.latest.max(entry.minute);
            self.entries.push(entry);
        }
        self.push(&Leaf::from(outcome));
    }

    pub(super) fn push(&mut self, leaf: &Leaf) {
        self.scratch.clear();
        leaf.write(&mut self.scratch);
        tile::push_entry(&mut self.leaves, &self.scratch)
            .expect("definitions are checked to fit in a leaf");
        self.hashes.push(leaf_hash(&self.scratch));
        self.leaf_count += 1;
    }
}
