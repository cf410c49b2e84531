//! The wall clock of this machine.

use std::time::{SystemTime, UNIX_EPOCH};

use votekit_core::instant::UnixMillis;

/// The current time; the start of 1970 if the clock is set to an earlier time.
#[must_use]
pub fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
