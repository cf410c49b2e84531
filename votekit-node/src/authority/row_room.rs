//! Bounds the number of kept rows of one authority that no round needs now: rows about heights
//! above the next height of an election, and about elections without a certified block here.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The maximum number of such rows of one authority: far more than an honest authority writes about
/// later blocks. A row without its block takes at most 2 KiB, so the rows of each authority take at
/// most 8 MiB.
pub(super) const ROWS_MAX: usize = 4096;

/// The room for such rows of one authority.
#[derive(Debug, Default)]
pub(super) struct RowRoom {
    used: Arc<AtomicUsize>,
    /// Whether a row was left out.
    has_left_out: bool,
}

/// The reservation for one row, until it is dropped.
#[derive(Debug)]
pub(super) struct RowReservation(Arc<AtomicUsize>);

impl Drop for RowReservation {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl RowRoom {
    /// Reserves room for a row. `None` if there is no room: the row has to be left out.
    pub(super) fn reserve(&mut self) -> Option<Arc<RowReservation>> {
        if self.used.load(Ordering::Relaxed) >= ROWS_MAX {
            self.has_left_out = true;
            return None;
        }
        self.used.fetch_add(1, Ordering::Relaxed);
        Some(Arc::new(RowReservation(Arc::clone(&self.used))))
    }

    /// Whether rows were left out that may fit now; the answer is given once. Half of the room has
    /// to be free, so that a full room does not cause a read of all rows with each block.
    pub(super) fn take_left_out(&mut self) -> bool {
        let fit = self.has_left_out && self.used.load(Ordering::Relaxed) <= ROWS_MAX / 2;
        self.has_left_out &= !fit;
        fit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_beyond_the_room_are_left_out_until_half_of_it_is_free() {
        let mut room = RowRoom::default();
        let mut reservations: Vec<_> = (0..ROWS_MAX).filter_map(|_| room.reserve()).collect();
        assert_eq!(reservations.len(), ROWS_MAX);
        assert!(!room.take_left_out(), "nothing was left out");
        assert!(room.reserve().is_none());
        reservations.truncate(ROWS_MAX / 2 + 1);
        assert!(!room.take_left_out());
        let copy = reservations.pop();
        assert!(!room.take_left_out(), "a copy is in use");
        drop(copy);
        assert!(room.take_left_out() && !room.take_left_out());
        assert!(room.reserve().is_some());
    }
}
