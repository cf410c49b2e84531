//! The log of an election as far as the ledger contains it, by its leaves: for a node that has a
//! longer log and restores the missing blocks.
//!
//! An authority that waits until another authority appends the blocks polls the ledger. Each poll
//! continues after the last verified block, so it reads the new blocks only, not the whole log.

use votekit_core::election_log::leaves_of_block;
use votekit_core::log::leaf::{ElectionEvent, Leaf};
use votekit_core::log::merkle::{FullTile, TreeBuilder, leaf_hash};
use votekit_store::Head;

use crate::error::ElectionFault;

/// The log through one block.
#[derive(Debug, Clone)]
pub(crate) struct LedgerLog {
    pub(crate) tree: TreeBuilder,
    pub(crate) height: u64,
    /// Whether the poll is open after the last block.
    pub(crate) is_open: bool,
}

impl LedgerLog {
    /// The log without a block.
    pub(crate) fn new() -> Self {
        Self { tree: TreeBuilder::new(), height: 0, is_open: false }
    }

    /// Adds the leaves of a block. Returns the tiles that they fill.
    pub(crate) fn add(
        &mut self,
        height: u64,
        leaves: &[u8],
    ) -> Result<Vec<FullTile>, ElectionFault> {
        let mut full_tiles = Vec::new();
        for leaf in leaves_of_block(leaves) {
            let leaf = leaf.ok_or_else(|| {
                ElectionFault::damaged(format!("block {height} is cut off in the middle of a leaf"))
            })?;
            self.tree.append(leaf_hash(leaf), &mut full_tiles);
            if let Some(event) = election_event(leaf) {
                self.is_open = match event {
                    ElectionEvent::Open { .. } => true,
                    ElectionEvent::Draft { .. } | ElectionEvent::Amended { .. } => self.is_open,
                    _ => false,
                };
            }
        }
        self.height = height;
        Ok(full_tiles)
    }

    /// Whether this is the log of a head.
    pub(crate) fn is_of(&self, head: &Head) -> bool {
        self.tree.size() == head.size && self.tree.root() == head.root
    }

    /// Whether a log with this head can be a continuation of this one. If the ledger was restored
    /// from an older copy and has grown again, only the root shows that the log is not a
    /// continuation.
    pub(crate) fn may_continue_to(&self, head: &Head) -> bool {
        self.height < head.height || (self.height == head.height && self.is_of(head))
    }
}

/// The first bytes of a leaf about the state of the election.
const ELECTION: &[u8] = br#"{"leaf":"election""#;

/// The change of the election's state that a leaf records, if it does.
pub(crate) fn election_event(leaf: &[u8]) -> Option<ElectionEvent> {
    if !leaf.starts_with(ELECTION) {
        return None;
    }
    match Leaf::parse(leaf).ok()? {
        Leaf::Election(event) => Some(event),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use votekit_store::StagingId;

    use super::*;

    /// A block of leaves, each after its length.
    fn block(leaves: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for leaf in leaves {
            let length = u16::try_from(leaf.len()).expect("a short leaf");
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(leaf.as_bytes());
        }
        bytes
    }

    fn log(blocks: &[&[&str]]) -> LedgerLog {
        let mut log = LedgerLog::new();
        for (height, leaves) in (1..).zip(blocks) {
            log.add(height, &block(leaves)).expect("whole leaves");
        }
        log
    }

    fn head(log: &LedgerLog) -> Head {
        Head {
            size: log.tree.size(),
            height: log.height,
            root: log.tree.root(),
            fence: 0,
            checkpoint: Vec::new(),
            sealed_through: StagingId(0),
            takes_votes: false,
        }
    }

    #[test]
    fn a_log_is_continued_until_the_ledger_is_rolled_back() {
        let (first, second, other) = (["one", "two"], ["three"], ["four"]);
        let known = log(&[&first, &second]);
        let longer = log(&[&first, &second, &other]);
        assert!(known.may_continue_to(&head(&known)), "nothing to read");
        assert!(known.may_continue_to(&head(&longer)));
        assert!(!longer.may_continue_to(&head(&known)), "the ledger was rolled back");
        let replaced = log(&[&first, &other]);
        assert!(!known.may_continue_to(&head(&replaced)), "another block of this height");
    }

    #[test]
    fn a_log_read_in_two_parts_is_the_one_read_at_once() {
        let (first, second) = (["one", "two"], ["three"]);
        let mut resumed = log(&[&first]);
        resumed.add(2, &block(&second)).expect("whole leaves");
        assert!(resumed.is_of(&head(&log(&[&first, &second]))));
        // Grown again with other blocks: the root shows it.
        assert!(!resumed.is_of(&head(&log(&[&second, &first]))));
        assert!(resumed.add(3, &block(&["five"])[..4]).is_err(), "cut off");
    }
}
