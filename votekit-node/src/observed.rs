//! The latest observations of the node about itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// The latest observations of the watch.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// In milliseconds.
    clock_behind: AtomicU64,
    space: Mutex<Option<Space>>,
}

/// The space in a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) free: u64,
    pub(crate) size: u64,
}

impl Observed {
    /// Records how far the clock is behind, in milliseconds.
    pub(crate) fn set_clock_behind(&self, milliseconds: u64) {
        self.clock_behind.store(milliseconds, Ordering::Relaxed);
    }

    /// Records the measured space; `None` when it could not be measured.
    pub(crate) fn set_space(&self, space: Option<Space>) {
        *self.space.lock() = space;
    }

    /// How far the clock is behind the latest time that it gave out or that was sealed.
    pub(crate) fn clock_behind(&self) -> Duration {
        Duration::from_millis(self.clock_behind.load(Ordering::Relaxed))
    }

    /// The space in the file system of the data folder, if it could be measured.
    pub(crate) fn space(&self) -> Option<Space> {
        *self.space.lock()
    }
}
