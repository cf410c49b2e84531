//! Retries with back-off while an engine is unavailable. No loop retries without a pause.

use std::time::Duration;

use crate::EngineError;

const FIRST: Duration = Duration::from_millis(20);
const LAST: Duration = Duration::from_secs(2);

/// Exponential back-off, from 20 milliseconds to 2 seconds or another maximum.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    /// A back-off that starts with the shortest pause.
    #[must_use]
    pub fn new() -> Self {
        Self::up_to(LAST)
    }

    /// As [`Backoff::new`], with another maximum of a pause: for calls that others wait for, and
    /// that cost little while the engine is unavailable.
    #[must_use]
    pub fn up_to(max: Duration) -> Self {
        Self { next: FIRST.min(max), max }
    }

    /// Waits, and doubles the next pause up to the maximum.
    pub async fn pause(&mut self) {
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(self.max);
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether the error is transient: the same call may later succeed, or report that it has
/// succeeded.
pub fn is_passing(error: &EngineError) -> bool {
    matches!(error, EngineError::Unavailable { .. } | EngineError::OutcomeUnknown { .. })
}

/// Retries until the outcome is definite. Only for calls that are safe to repeat.
///
/// # Errors
/// The first error that is not transient ([`is_passing`]).
pub async fn until_definite<T, F>(
    operation: &'static str,
    mut call: impl FnMut() -> F,
) -> Result<T, EngineError>
where
    F: Future<Output = Result<T, EngineError>>,
{
    let mut backoff = Backoff::new();
    loop {
        match call().await {
            Err(error) if is_passing(&error) => {
                tracing::warn!(
                    event = "engine_call_retried",
                    operation,
                    %error,
                    "engine not available, retrying"
                );
                backoff.pause().await;
            }
            definite => return definite,
        }
    }
}
