//! Maps failures of the broker to [`EngineError`].

use crate::EngineError;

const ENGINE: &str = "the ballot box (RabbitMQ)";

/// Nothing was written.
pub(super) fn unavailable(reason: impl Into<String>) -> EngineError {
    EngineError::Unavailable { engine: ENGINE, reason: reason.into() }
}

/// Something may have been written.
pub(super) fn outcome_unknown(reason: impl Into<String>) -> EngineError {
    EngineError::OutcomeUnknown { engine: ENGINE, reason: reason.into() }
}

/// An operator must correct it.
pub(super) fn misconfigured(reason: impl Into<String>, hint: impl Into<String>) -> EngineError {
    EngineError::Misconfigured { engine: ENGINE, reason: reason.into(), hint: hint.into() }
}

/// The error of a call that took too long.
pub(super) fn too_late() -> lapin::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time").into()
}
