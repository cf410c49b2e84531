//! Whether an engine stores what it is asked to write: reads may succeed on a full disk for ever.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::EngineError;

/// Groups of writes that the embedded ledgers of this process did not store.
static FAILED_WRITES: AtomicU64 = AtomicU64::new(0);

/// How many groups of writes the embedded ledgers of this process did not store: for metrics.
#[must_use]
pub fn failed_writes() -> u64 {
    FAILED_WRITES.load(Ordering::Relaxed)
}

/// The last failure of a write that may pass, until a write succeeds.
#[derive(Debug, Default)]
pub(crate) struct WriteHealth(Mutex<Option<EngineError>>);

impl WriteHealth {
    /// A write failed.
    pub(crate) fn record_failure(&self, error: EngineError) {
        FAILED_WRITES.fetch_add(1, Ordering::Relaxed);
        *self.0.lock() = Some(error);
    }

    /// A write succeeded. Says whether one had failed before it.
    pub(crate) fn record_success(&self) -> bool {
        self.0.lock().take().is_some()
    }

    /// Fails as the last write did, but that the engine is away if it is not known what became of
    /// that write: a question writes nothing.
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
