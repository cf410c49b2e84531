//! What to do when an engine is away: wait, longer each time, and ask again. Never a loop without a
//! pause.

use std::time::Duration;

use crate::EngineError;

const FIRST: Duration = Duration::from_millis(20);
const LAST: Duration = Duration::from_secs(2);

/// Pauses that double, from 20 milliseconds to 2 seconds.
#[derive(Debug)]
pub struct Backoff(Duration);

impl Backoff {
    /// Starts with the shortest pause.
    #[must_use]
    pub fn new() -> Self {
        Self(FIRST)
    }

    /// Waits; the next pause is twice as long.
    pub async fn pause(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LAST);
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether the same call may succeed, or be known to have succeeded, later.
pub fn is_passing(error: &EngineError) -> bool {
    matches!(error, EngineError::Unavailable { .. } | EngineError::OutcomeUnknown { .. })
}

/// Calls until the answer is definite. For calls that are safe to repeat.
///
/// # Errors
/// The first error that is not passing ([`is_passing`]).
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
