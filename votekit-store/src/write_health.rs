//! Health of writes: on a full disk, reads may succeed indefinitely while writes fail.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::EngineError;

static FAILED_WRITES: AtomicU64 = AtomicU64::new(0);

/// The number of groups of writes that the embedded ledgers of this process failed to store, for
/// metrics.
#[must_use]
pub fn failed_writes() -> u64 {
    FAILED_WRITES.load(Ordering::Relaxed)
}

/// The failure of the last write, until a write succeeds.
#[derive(Debug, Default)]
pub(crate) struct WriteHealth(Mutex<Option<EngineError>>);

impl WriteHealth {
    /// Records a failed write.
    pub(crate) fn record_failure(&self, error: EngineError) {
        FAILED_WRITES.fetch_add(1, Ordering::Relaxed);
        *self.0.lock() = Some(error);
    }

    /// Records a successful write. Returns whether a failure was recorded before it.
    pub(crate) fn record_success(&self) -> bool {
        self.0.lock().take().is_some()
    }

    /// Returns the failure of the last write, with an unknown outcome turned into
    /// [`EngineError::Unavailable`]: this check itself writes nothing, so its outcome is known.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        match self.0.lock().clone() {
            None => Ok(()),
            Some(EngineError::OutcomeUnknown { engine, reason }) => {
                Err(EngineError::Unavailable { engine, reason })
            }
            Some(error) => Err(error),
        }
    }
}
