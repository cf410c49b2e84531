//! Admission: which votes are stored. Limits all votes to a rate, and those with a wrong code to a
//! small budget.
//!
//! ```text
//! rate spent?         429, whatever the credential; the refusals below take nothing from the rate
//! unknown, revoked?   counts against its pair of prefix and NAS; beyond a small budget 429, not
//!                     stored, not logged
//! used already?       beyond a few a minute 429 and nothing stored; a repeat of the request that
//!                     used it is answered before admission
//! else                one vote is taken from the rate
//! ```
//!
//! Load shedding only: the log decides. Admission runs last, when nothing else can refuse the vote:
//! the answer to a wrong code must not depend on anything that a correct vote changes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use votekit_core::id::ElectionId;
use votekit_store::{Hint, Mark, Registry};

use crate::config::Config;
use crate::error::SubmitError;
use crate::limits::rate_limit::{KeyedRateLimit, RateLimit};
use crate::limits::throttle::{Throttle, Turn};
use crate::metrics;

/// The admission of one process. Shared by all tasks.
#[derive(Debug)]
pub(crate) struct VoteAdmission {
    votes: RateLimit,
    /// Limits the votes of a credential after the vote that used it.
    duplicates: KeyedRateLimit,
    start: Instant,
    /// Time of the last shedding log line, in seconds from `start`, plus 1; 0 before the first.
    last_logged_s: AtomicU64,
}

/// Duplicates allowed for one credential: the burst, and the rate a minute. A voter in doubt may
/// vote again and learns the outcome of the first vote.
const DUPLICATES_BURST: u32 = 10;
const DUPLICATES_PER_MINUTE: u32 = 1;

/// Shedding is logged at most once in this interval.
const LOG_INTERVAL_S: u64 = 60;

impl VoteAdmission {
    /// Creates the admission from the node's settings.
    pub(crate) fn new(config: &Config) -> Self {
        let throttle = &config.throttle;
        Self {
            votes: RateLimit::new(config.rate_limit_per_second, config.rate_limit_per_second),
            duplicates: KeyedRateLimit::per_minute(
                if throttle.enabled { DUPLICATES_PER_MINUTE } else { 0 },
                DUPLICATES_BURST,
            ),
            start: Instant::now(),
            last_logged_s: AtomicU64::new(0),
        }
    }

    /// Checks the rate before a body is read, without using it.
    ///
    /// # Errors
    /// The time until the next vote can be taken.
    pub(crate) fn check(&self, now: Instant) -> Result<(), Duration> {
        self.votes.check(now)
    }

    /// Evicts credentials that have their whole burst of duplicates again.
    pub(crate) fn forget_quiet(&self) {
        self.duplicates.forget_quiet();
    }

    /// Admits a vote. Returns the turn if the registry has no hint yet, so that the caller must
    /// report whether the code is right; `None` if this call has done so.
    ///
    /// # Errors
    /// [`SubmitError::RateLimited`], [`SubmitError::NotRecognised`],
    /// [`SubmitError::TooManyDuplicates`]: the vote must not be stored.
    pub(crate) fn admit(
        &self,
        turn: Turn,
        throttle: &Throttle,
        registry: &dyn Registry,
        (law_id, mark): (&ElectionId, &Mark),
        now: Instant,
    ) -> Result<Option<Turn>, SubmitError> {
        // Before the credential is looked up: otherwise a spent rate would show a guesser who casts
        // no vote whether a credential is valid.
        self.check_rate(now)?;
        let unjudged = match registry.peek(law_id, mark) {
            None => Some(turn),
            Some(Hint::Accepted) => None,
            Some(Hint::Duplicate { .. }) => {
                self.take_duplicate(mark)?;
                None
            }
            Some(Hint::Unknown | Hint::Revoked) => {
                let origin = turn.origin();
                turn.record_failure();
                throttle.store_wrong(&origin, now).map_err(|retry_after| {
                    metrics::vote_refused(metrics::Refusal::NotRecognised);
                    self.log_shedding(now);
                    SubmitError::NotRecognised { retry_after }
                })?;
                None
            }
        };
        self.take_rate(now)?;
        Ok(unjudged)
    }

    /// Admits a vote of a credential that was recognised before, unless it has too many duplicates.
    /// Does not use the rate.
    ///
    /// # Errors
    /// [`SubmitError::TooManyDuplicates`].
    pub(crate) fn admit_duplicate(
        &self,
        registry: &dyn Registry,
        law_id: &ElectionId,
        mark: &Mark,
    ) -> Result<(), SubmitError> {
        match registry.peek(law_id, mark) {
            Some(Hint::Duplicate { .. }) => self.take_duplicate(mark),
            _ => Ok(()),
        }
    }

    fn take_duplicate(&self, mark: &Mark) -> Result<(), SubmitError> {
        self.duplicates.take(mark.key).map_err(|retry_after| {
            metrics::vote_refused(metrics::Refusal::Duplicates);
            SubmitError::TooManyDuplicates { retry_after }
        })
    }

    /// Admits a vote without looking up its credential.
    ///
    /// # Errors
    /// [`SubmitError::RateLimited`].
    pub(crate) fn admit_unseen(&self, now: Instant) -> Result<(), SubmitError> {
        self.take_rate(now)
    }

    /// Checks the rate, and takes nothing from it.
    ///
    /// # Errors
    /// [`SubmitError::RateLimited`].
    pub(crate) fn check_rate(&self, now: Instant) -> Result<(), SubmitError> {
        self.votes.check(now).map_err(rate_limited)
    }

    fn take_rate(&self, now: Instant) -> Result<(), SubmitError> {
        self.votes.take(now).map_err(rate_limited)
    }

    fn log_shedding(&self, now: Instant) {
        let now_s = now.saturating_duration_since(self.start).as_secs() + 1;
        let last_logged_s = self.last_logged_s.load(Ordering::Relaxed);
        if (last_logged_s == 0 || now_s >= last_logged_s + LOG_INTERVAL_S)
            // Of several tasks, only the task that updates the time writes the line.
            && self
                .last_logged_s
                .compare_exchange(last_logged_s, now_s, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            tracing::warn!(
                event = "wrong_code_budget_exceeded",
                "wrong codes over their budget, refused and not stored"
            );
        }
    }
}

fn rate_limited(retry_after: Duration) -> SubmitError {
    metrics::vote_refused(metrics::Refusal::Rate);
    SubmitError::RateLimited { retry_after }
}

#[cfg(test)]
#[path = "admission_test.rs"]
mod tests;
