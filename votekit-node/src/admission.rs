//! What is let in to be stored: so many votes a second, and of credentials that nobody holds only a
//! few.
//!
//! ```text
//! votes a second used up?  429, whatever the credential      (looked at, not taken: what is refused below uses up nothing)
//! credential in no roll?   counts against its prefix and NAS; beyond a small budget 429, nothing stored, nothing logged, until the storm is over
//! credential used already? beyond a few a minute 429 and nothing stored; the request that used it may come again as often as it likes
//! else                     one vote is taken from the second
//! ```
//!
//! Load shedding only: the log decides. Within the budget a mistyped code gets its 202 and its
//! entry as ever; a credential that the registry knows is never refused by the budget. Who is
//! refused by it hears at once what the status of the request would have said a little later, and
//! it costs as much of the back-off.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use votekit_core::credential::RegistryKey;
use votekit_core::id::LawId;

use crate::config::Config;
use crate::engine::{Expectation, Mark, Registry};
use crate::metrics;
use crate::node::SubmitError;
use crate::rate_limit::{KeyedRateLimit, RateLimit};
use crate::throttle::{Origin, Throttle};

/// The admission of one process. Shared by all tasks.
#[derive(Debug)]
pub(crate) struct Admission {
    votes: RateLimit,
    /// `None`: whatever comes is stored.
    guesses: Option<RateLimit>,
    /// Votes of each credential after the one that used it.
    duplicates: KeyedRateLimit<RegistryKey>,
    start: Instant,
    /// When shedding was last told in the log, in seconds from the start, from 1.
    told_s: AtomicU64,
}

/// For so long after a storm wrong credentials are refused.
const GUESSES_OWED_MAX: Duration = Duration::from_secs(20);

/// Duplicates that one credential may send at once, and a minute: somebody in doubt tries again,
/// and hears what became of it.
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
            guesses: throttle
                .enabled
                .then(|| RateLimit::new(throttle.guesses_per_second, throttle.guesses_burst)),
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

    /// Lets a vote in. Gives back its origin if the label is still to tell whether its credential
    /// is right; `None` when that was seen here.
    ///
    /// # Errors
    /// [`SubmitError::RateLimited`], [`SubmitError::Guess`], [`SubmitError::TooManyDuplicates`]:
    /// the vote must not be stored.
    pub(crate) fn admit(
        &self,
        origin: Origin,
        throttle: &Throttle,
        registry: &dyn Registry,
        (law_id, mark): (&LawId, &Mark),
    ) -> Result<Option<Origin>, SubmitError> {
        let now = Instant::now();
        let limited = |retry_after| SubmitError::RateLimited { retry_after };
        // Before the credential is looked at: else a spent second would tell the one who asks
        // without voting whether a credential is good.
        self.votes.check(now).map_err(limited)?;
        let mut origin = Some(origin);
        let expected = registry.glance(law_id, mark);
        if let Some(guesses) = &self.guesses
            && let Some(Expectation::Unknown | Expectation::Revoked) = expected
            && let Some(wrong) = origin.take()
        {
            // At once, so that guesses in parallel are counted before the next one is looked at.
            throttle.wrong(&wrong, now);
            // Refused ones use the budget up too, for some time to come: a storm adds its burst to
            // the log, and then nothing for as long as it lasts.
            let wait = guesses.pace(now, GUESSES_OWED_MAX);
            if wait > Duration::ZERO {
                metrics::vote_refused(metrics::Refusal::Guess);
                self.tell(now);
                return Err(SubmitError::Guess { retry_after: wait });
            }
        }
        if let Some(Expectation::Duplicate { .. }) = expected {
            self.duplicates.take(&mark.key).map_err(|retry_after| {
                metrics::vote_refused(metrics::Refusal::Duplicates);
                SubmitError::TooManyDuplicates { retry_after }
            })?;
        }
        self.votes.take(now).map_err(limited)?;
        Ok(origin)
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
                "wrong credentials come faster than their budget: further ones are refused and not stored"
            );
        }
    }
}
