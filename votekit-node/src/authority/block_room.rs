//! Bounds the memory that the blocks in the proposals of one leader take, over all elections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The maximum number of kept blocks of one leader, and of their bytes. Both are far more than an
/// honest leader has in flight, and two blocks of the largest size fit.
pub(super) const BLOCKS_MAX: usize = 4096;
const BYTES_MAX: usize = 512 << 20;

/// The room for the blocks of one leader.
#[derive(Debug, Default)]
pub(super) struct BlockRoom {
    used: Arc<Used>,
    /// Whether a block was left out.
    has_left_out: bool,
    /// The last term before which all blocks were dropped to make room.
    cleared_before: u64,
}

#[derive(Debug, Default)]
struct Used {
    blocks: AtomicUsize,
    bytes: AtomicUsize,
}

/// The reservation for one block, until it is dropped.
#[derive(Debug)]
pub(super) struct BlockReservation {
    used: Arc<Used>,
    bytes: usize,
}

impl Drop for BlockReservation {
    fn drop(&mut self) {
        self.used.blocks.fetch_sub(1, Ordering::Relaxed);
        self.used.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl BlockRoom {
    /// Whether a block of this size fits.
    fn fits(&self, bytes: usize) -> bool {
        let (blocks, used) = self.used();
        blocks < BLOCKS_MAX && used.saturating_add(bytes) <= BYTES_MAX
    }

    fn used(&self) -> (usize, usize) {
        let Used { blocks, bytes } = &*self.used;
        (blocks.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed))
    }

    /// Reserves room for a block. `None` if there is no room: the block has to be left out.
    pub(super) fn reserve(&mut self, bytes: usize) -> Option<Arc<BlockReservation>> {
        if !self.fits(bytes) {
            self.has_left_out = true;
            return None;
        }
        self.used.blocks.fetch_add(1, Ordering::Relaxed);
        self.used.bytes.fetch_add(bytes, Ordering::Relaxed);
        Some(Arc::new(BlockReservation { used: Arc::clone(&self.used), bytes }))
    }

    /// Whether the blocks of earlier terms have to be dropped for a block of this term, once a
    /// term.
    pub(super) fn clears_before(&mut self, term: u64, bytes: usize) -> bool {
        let clears = term > self.cleared_before && !self.fits(bytes);
        if clears {
            self.cleared_before = term;
        }
        clears
    }

    /// Whether blocks were left out that may fit now; the answer is given once. Half of the room
    /// has to be free, so that a full room does not cause a read of all rows with each block.
    pub(super) fn take_left_out(&mut self) -> bool {
        let (blocks, bytes) = self.used();
        let fit = self.has_left_out && blocks <= BLOCKS_MAX / 2 && bytes <= BYTES_MAX / 2;
        self.has_left_out &= !fit;
        fit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_bounded_and_free_again_with_the_last_copy_of_a_row() {
        let mut room = BlockRoom::default();
        let half = room.reserve(BYTES_MAX / 2).expect("room");
        let rest = room.reserve(BYTES_MAX / 2).expect("room");
        assert!(!room.take_left_out(), "nothing was left out");
        assert!(room.reserve(1).is_none());
        let copy = Arc::clone(&rest);
        drop(rest);
        assert!(!room.take_left_out() && room.reserve(1).is_none(), "a copy is in use");
        drop(copy);
        assert!(room.take_left_out() && !room.take_left_out());
        assert!(room.reserve(1).is_some());
        drop(half);
        assert_eq!(room.used(), (0, 0));
    }

    #[test]
    fn earlier_terms_make_room_once_a_term() {
        let mut room = BlockRoom::default();
        assert!(!room.clears_before(7, 1), "there is room");
        assert!(room.clears_before(7, BYTES_MAX + 1) && !room.clears_before(7, BYTES_MAX + 1));
        assert!(!room.clears_before(6, BYTES_MAX + 1) && room.clears_before(8, BYTES_MAX + 1));
    }
}
