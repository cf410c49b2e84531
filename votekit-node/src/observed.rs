//! What the node observed of itself last.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// What the watch saw last.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// Milliseconds.
    clock_behind: AtomicU64,
    space: Mutex<Option<Space>>,
}

/// The room in a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) free: u64,
    pub(crate) size: u64,
}

impl Observed {
    /// Records how far the clock stands behind, in milliseconds.
    pub(crate) fn set_clock_behind(&self, milliseconds: u64) {
        self.clock_behind.store(milliseconds, Ordering::Relaxed);
    }

    /// Records the room that was measured, or that it could not be.
    pub(crate) fn set_space(&self, space: Option<Space>) {
        *self.space.lock() = space;
    }

    /// How far the clock stands before what it gave out or what was sealed.
    pub(crate) fn clock_behind(&self) -> Duration {
        Duration::from_millis(self.clock_behind.load(Ordering::Relaxed))
    }

    /// The room in the file system of the data folder, if it could be measured.
    pub(crate) fn space(&self) -> Option<Space> {
        *self.space.lock()
    }
}
