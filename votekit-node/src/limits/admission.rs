//! Which votes are stored: a number a second, and of those with a wrong code only a few.
//!
//! ```text
//! rate spent?         429, whatever the credential; what is refused below uses up nothing of it
//! unknown, revoked?   counts against its pair of prefix and NAS; beyond a small budget 429, nothing
//!                     stored, nothing logged
//! used already?       beyond a few a minute 429 and nothing stored; the request that used it is
//!                     answered before all this
//! else                one vote is taken from the rate
//! ```
//!
//! Load shedding only: the log decides. Asked last, when nothing else could refuse the vote: what a
//! wrong code is answered must not depend on anything that a correct vote changes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use votekit_core::id::ElectionId;
use votekit_store::{Hint, Mark, Registry};

use crate::config::Config;
use crate::error::SubmitError;
use crate::limits::rate_limit::{KeyedRateLimit, RateLimit};
use crate::limits::throttle::{Throttle, Turn};
use crate::metrics;

/// The admission of one process. NodeContext by all tasks.
#[derive(Debug)]
pub(crate) struct Admission {
    votes: RateLimit,
    /// Votes of each credential after the one that used it.
    duplicates: KeyedRateLimit,
    start: Instant,
    /// When shedding was last told in the log, in seconds from the start, from 1.
    told_s: AtomicU64,
}

/// Duplicates that one credential may send at once, and a minute: a voter in doubt tries again, and
/// learns what became of the first vote.
const DUPLICATES_BURST: u32 = 10;
const DUPLICATES_PER_MINUTE: u32 = 1;

/// Shedding is told in the log once in so many seconds at the most.
const TELL_INTERVAL_S: u64 = 60;

impl Admission {
    /// An admission by the node's settings.
    pub(crate) fn new(config: &Config) -> Self {
        let throttle = &config.throttle;
        Self {
            votes: RateLimit::new(config.rate_limit_per_second, config.rate_limit_per_second),
            duplicates: KeyedRateLimit::per_minute(
                if throttle.enabled { DUPLICATES_PER_MINUTE } else { 0 },
                DUPLICATES_BURST,
            ),
            start: Instant::now(),
            told_s: AtomicU64::new(0),
        }
    }

    /// Whether any vote can be taken now: asked before a body is read, and takes nothing.
    ///
    /// # Errors
    /// When to come back.
    pub(crate) fn check(&self, now: Instant) -> Result<(), Duration> {
        self.votes.check(now)
    }

    /// Lets go of credentials whose duplicates are long past.
    pub(crate) fn forget_quiet(&self) {
        self.duplicates.forget_quiet();
    }

    /// Admits a vote. Gives back its turn if the label is still to say whether its code is right;
    /// `None` when that was seen here.
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
        // Before the credential is looked at: else a spent second would answer a guesser who does
        // not vote whether a credential is good.
        self.check_rate(now)?;
        let unjudged = match registry.peek(law_id, mark) {
            None => Some(turn),
            Some(Hint::Accepted) => None,
            Some(Hint::Duplicate { .. }) => {
                self.duplicates.take(mark.key).map_err(|retry_after| {
                    metrics::vote_refused(metrics::Refusal::Duplicates);
                    SubmitError::TooManyDuplicates { retry_after }
                })?;
                None
            }
            Some(Hint::Unknown | Hint::Revoked) => {
                let origin = turn.origin();
                turn.wrong();
                throttle.store_wrong(&origin, now).map_err(|retry_after| {
                    metrics::vote_refused(metrics::Refusal::NotRecognised);
                    self.tell(now);
                    SubmitError::NotRecognised { retry_after }
                })?;
                None
            }
        };
        self.take_rate(now)?;
        Ok(unjudged)
    }

    /// Admits a vote without a look at its credential.
    ///
    /// # Errors
    /// [`SubmitError::RateLimited`].
    pub(crate) fn admit_unseen(&self, now: Instant) -> Result<(), SubmitError> {
        self.take_rate(now)
    }

    fn check_rate(&self, now: Instant) -> Result<(), SubmitError> {
        self.votes.check(now).map_err(rate_limited)
    }

    fn take_rate(&self, now: Instant) -> Result<(), SubmitError> {
        self.votes.take(now).map_err(rate_limited)
    }

    fn tell(&self, now: Instant) {
        let now_s = now.saturating_duration_since(self.start).as_secs() + 1;
        let told_s = self.told_s.load(Ordering::Relaxed);
        if (told_s == 0 || now_s >= told_s + TELL_INTERVAL_S)
            && self
                .told_s
                .compare_exchange(told_s, now_s, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            tracing::warn!(
                "wrong codes come faster than their budget: further ones are refused and not stored"
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
