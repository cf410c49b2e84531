//! Whether an engine stores what it is asked to write: reads may succeed on a full disk for ever.

use std::sync::{Mutex, PoisonError};

use super::EngineError;

/// The last failure of a write that may pass, until a write succeeds.
#[derive(Debug, Default)]
pub(super) struct WriteHealth(Mutex<Option<EngineError>>);

impl WriteHealth {
    /// A write failed.
    pub(super) fn record_failure(&self, error: EngineError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// A write succeeded. Says whether one had failed before it.
    pub(super) fn record_success(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }

    /// Fails as the last write did, but that the engine is away if it is not known what became of
    /// that write: a question writes nothing.
    pub(super) fn check(&self) -> Result<(), EngineError> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            None => Ok(()),
            Some(EngineError::OutcomeUnknown { engine, reason }) => {
                Err(EngineError::Unavailable { engine, reason })
            }
            Some(error) => Err(error),
        }
    }
}
