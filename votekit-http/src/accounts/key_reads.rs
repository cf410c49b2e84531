//! When the published keys of access tokens are read from the store: for a key id that is not known
//! yet, one read at a time, and at a bounded rate.
//!
//! Anyone can send tokens with invented key ids. Such a token must not cause a separate read, and
//! must not make the node refuse the new key of another node: a token with an unseen id waits for
//! the next read, which answers all waiting calls. An id that a read did not find is remembered for
//! a while. While the store fails, reads back off, and tokens with unseen ids are answered at once.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::problem::{Problem, Refusal};

/// The shortest time between two reads: the longest for which the token of a fresh key waits.
const READ_INTERVAL: Duration = Duration::from_millis(500);

/// The time after a failed read before the next one; it doubles with each failure, up to the
/// second. No more than that: a fresh key is found within a second once the store is back.
const BACK_OFF: Duration = Duration::from_millis(125);
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// How long an id is remembered that no published key has. A key is published before its first
/// token exists: an id that was sent before it was published was invented.
const UNKNOWN_TIME: Duration = Duration::from_secs(10);

/// The most of them.
const UNKNOWN_MAX: usize = 1024;

/// The reads of the published keys.
#[derive(Default)]
pub(super) struct KeyReads {
    unknown: Mutex<HashMap<String, Instant>>,
    /// Held during a read, and while one waits for its time.
    last: tokio::sync::Mutex<LastRead>,
}

#[derive(Default)]
struct LastRead {
    /// When the last read that was answered began.
    answered: Option<Instant>,
    /// The next read begins no earlier.
    due: Option<Instant>,
    /// Reads that have failed since.
    failures: u32,
}

impl KeyReads {
    /// Finds a key: `known` looks it up in memory, and `read`, which is polled only if the key is
    /// not there, reads the published keys into the memory.
    ///
    /// # Errors
    /// The keys could not be read, now or a moment ago.
    pub(super) async fn find<K>(
        &self,
        kid: &str,
        known: impl Fn() -> Option<K>,
        read: impl Future<Output = Result<(), Problem>>,
    ) -> Result<Option<K>, Problem> {
        if let Some(key) = known() {
            return Ok(Some(key));
        }
        if self.is_unknown(kid) {
            return Ok(None);
        }
        let arrived = Instant::now();
        let mut last = self.last.lock().await;
        // Another call may have read while this call waited for the lock.
        let found = known();
        if found.is_some() {
            return Ok(found);
        }
        if last.answered.is_some_and(|began| began >= arrived) {
            self.remember_unknown(kid);
            return Ok(None);
        }
        if let Some(due) = last.due {
            if last.failures > 0 && Instant::now() < due {
                return Err(Problem::Refused(Refusal::AccountsUnavailable));
            }
            sleep_until(due).await;
        }
        let began = Instant::now();
        // Before the read, so that a dropped read counts for the rate too.
        last.due = Some(began + READ_INTERVAL);
        if let Err(problem) = read.await {
            last.due = Some(Instant::now() + back_off(last.failures));
            last.failures = last.failures.saturating_add(1);
            return Err(problem);
        }
        last.answered = Some(began);
        last.failures = 0;
        let found = known();
        if found.is_none() {
            self.remember_unknown(kid);
        }
        Ok(found)
    }

    fn is_unknown(&self, kid: &str) -> bool {
        self.unknown.lock().get(kid).is_some_and(|since| since.elapsed() < UNKNOWN_TIME)
    }

    fn remember_unknown(&self, kid: &str) {
        let mut unknown = self.unknown.lock();
        if unknown.len() >= UNKNOWN_MAX {
            unknown.retain(|_, since| since.elapsed() < UNKNOWN_TIME);
        }
        // A flood of ids: each of them still waits for its read.
        if unknown.len() >= UNKNOWN_MAX {
            unknown.clear();
        }
        unknown.insert(kid.to_owned(), Instant::now());
    }
}

/// The wait after a failed read that followed `failures` other failed reads.
fn back_off(failures: u32) -> Duration {
    BACK_OFF.saturating_mul(1 << failures.min(3)).min(BACK_OFF_MAX)
}

#[cfg(test)]
#[path = "key_reads_test.rs"]
mod tests;
