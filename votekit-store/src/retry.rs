//! Retries with back-off while an engine is unavailable. No loop retries without a pause, and an
//! outage floods no log.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::EngineError;

const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);

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
        Self::up_to(PAUSE_MAX)
    }

    /// As [`Backoff::new`], with another maximum pause: for calls that other calls wait for, and
    /// that cost little while the engine is unavailable.
    #[must_use]
    pub fn up_to(max: Duration) -> Self {
        Self { next: PAUSE_MIN.min(max), max }
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
/// While an engine is unavailable, each operation logs its first retry. Later lines follow at
/// growing intervals, with the number of retries since the last line. One more line reports that
/// the engine answers again.
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
    let mut retried: Option<RetriedCall> = None;
    loop {
        match call().await {
            Err(error) if is_passing(&error) => {
                RETRIES.fetch_add(1, Ordering::Relaxed);
                if retried.is_none() {
                    retried = Some(RetriedCall::begin(operation));
                }
                let due = OUTAGES.lock().retried(operation, Instant::now());
                if let Some(count) = due {
                    tracing::warn!(
                        event = "engine_call_retried",
                        operation,
                        count,
                        %error,
                        "engine not available, retrying"
                    );
                }
                backoff.pause().await;
            }
            definite => {
                if let Some(retried) = retried {
                    retried.report_answer();
                }
                return definite;
            }
        }
    }
}

static RETRIES: AtomicU64 = AtomicU64::new(0);

/// The number of calls that [`until_definite`] has repeated in this process, for metrics.
#[must_use]
pub fn retried_calls() -> u64 {
    RETRIES.load(Ordering::Relaxed)
}

static OUTAGES: Mutex<Outages> = Mutex::new(Outages(BTreeMap::new()));

/// The shortest and the longest time between two lines about an operation.
const LINE_PAUSE_MIN: Duration = Duration::from_secs(1);
const LINE_PAUSE_MAX: Duration = Duration::from_secs(64);

/// A call that waits for its engine. Also dropped when its caller stops waiting.
struct RetriedCall(&'static str);

impl RetriedCall {
    fn begin(operation: &'static str) -> Self {
        OUTAGES.lock().began(operation, Instant::now());
        Self(operation)
    }

    /// Logs the end of an outage, as the first of the waiting calls that is answered.
    fn report_answer(&self) {
        let operation = self.0;
        let ended = OUTAGES.lock().answered(operation, Instant::now());
        if let Some(Ended { retries, elapsed }) = ended {
            tracing::info!(
                event = "engine_answers_again",
                operation,
                retries,
                seconds = elapsed.as_secs(),
                "engine available again"
            );
        }
    }
}

impl Drop for RetriedCall {
    fn drop(&mut self) {
        OUTAGES.lock().left(self.0);
    }
}

/// The operations whose calls were retried, and what was logged of each.
#[derive(Debug, Default)]
struct Outages(BTreeMap<&'static str, Outage>);

#[derive(Debug, Default)]
struct Outage {
    /// Calls that wait.
    waiting: usize,
    /// The first retry since an engine answered; `None` while none waits.
    since: Option<Instant>,
    /// Retries since then.
    retries: u64,
    /// Retries since the last line.
    count: u64,
    last_line: Option<Instant>,
    line_pause: Duration,
    /// Whether a line was written since the outage began.
    is_reported: bool,
}

/// An outage that was logged and has ended.
#[derive(Debug, PartialEq, Eq)]
struct Ended {
    retries: u64,
    elapsed: Duration,
}

impl Outages {
    /// Counts a call that begins to wait.
    fn began(&mut self, operation: &'static str, now: Instant) {
        let outage = self.0.entry(operation).or_default();
        outage.waiting += 1;
        outage.begin(now);
    }

    /// Counts a retry. If a line is due, returns the number of retries since the last one.
    fn retried(&mut self, operation: &'static str, now: Instant) -> Option<u64> {
        let outage = self.0.entry(operation).or_default();
        // Another call was answered in between, and this call was not.
        outage.begin(now);
        outage.retries += 1;
        outage.count += 1;
        let since_line = |at: Instant| now.saturating_duration_since(at);
        if outage.last_line.is_some_and(|at| since_line(at) < outage.line_pause) {
            return None;
        }
        // The pause is kept after an outage, so that an engine that answers only intermittently
        // does not flood the log.
        let next = if outage.is_reported { outage.line_pause * 2 } else { LINE_PAUSE_MIN };
        outage.line_pause = next.clamp(LINE_PAUSE_MIN, LINE_PAUSE_MAX);
        (outage.last_line, outage.is_reported) = (Some(now), true);
        Some(std::mem::take(&mut outage.count))
    }

    /// Ends the outage of an operation. Returns it if it was logged.
    fn answered(&mut self, operation: &'static str, now: Instant) -> Option<Ended> {
        let outage = self.0.get_mut(operation)?;
        let since = outage.since.take()?;
        let elapsed = now.saturating_duration_since(since);
        let ended = Ended { retries: outage.retries, elapsed };
        outage.line_pause = LINE_PAUSE_MIN;
        std::mem::take(&mut outage.is_reported).then_some(ended)
    }

    /// A call no longer waits. Without a waiting call, the end of the outage cannot be observed.
    fn left(&mut self, operation: &'static str) {
        if let Some(outage) = self.0.get_mut(operation) {
            outage.waiting = outage.waiting.saturating_sub(1);
            if outage.waiting == 0 && outage.since.take().is_some() {
                (outage.line_pause, outage.is_reported) = (LINE_PAUSE_MIN, false);
            }
        }
    }
}

impl Outage {
    fn begin(&mut self, now: Instant) {
        if self.since.is_none() {
            (self.since, self.retries) = (Some(now), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGE: &str = "stage_batch";
    const REPEATED: &str = "a call of this test";

    fn after(start: Instant, milliseconds: u64) -> Instant {
        start + Duration::from_millis(milliseconds)
    }

    #[test]
    fn the_lines_about_an_outage_become_rarer_and_count_every_retry() {
        let (mut outages, start) = (Outages::default(), Instant::now());
        outages.began(STAGE, start);
        // Fifty retries a second for two minutes.
        let lines: Vec<(u64, u64)> = (0..6000)
            .filter_map(|number| {
                let milliseconds = number * 20;
                let count = outages.retried(STAGE, after(start, milliseconds))?;
                Some((milliseconds / 1000, count))
            })
            .collect();
        assert_eq!(lines, [(0, 1), (1, 50), (3, 100), (7, 200), (15, 400), (31, 800), (63, 1600)]);
        let ended = outages.answered(STAGE, after(start, 120_000));
        assert_eq!(ended, Some(Ended { retries: 6000, elapsed: Duration::from_secs(120) }));
        assert_eq!(outages.answered(STAGE, after(start, 120_001)), None, "reported once");
    }

    #[test]
    fn operations_are_logged_apart() {
        let (mut outages, start) = (Outages::default(), Instant::now());
        outages.began(STAGE, start);
        assert_eq!(outages.retried(STAGE, start), Some(1));
        outages.began("collect_batch", start);
        assert_eq!(outages.retried("collect_batch", start), Some(1));
        assert!(outages.answered(STAGE, after(start, 5)).is_some());
        assert_eq!(outages.retried("collect_batch", after(start, 6)), None);
    }

    #[test]
    fn an_engine_that_answers_now_and_then_has_a_line_a_second_at_most() {
        let (mut outages, start) = (Outages::default(), Instant::now());
        let (mut retried, mut answered, mut counted) = (0, 0, 0);
        for number in 0..1000 {
            let now = after(start, number * 10);
            outages.began(STAGE, now);
            if let Some(count) = outages.retried(STAGE, now) {
                (retried, counted) = (retried + 1, counted + count);
            }
            answered += u32::from(outages.answered(STAGE, now).is_some());
            outages.left(STAGE);
        }
        assert_eq!((retried, answered, counted), (10, 10, 901));
    }

    #[test]
    fn an_outage_whose_callers_gave_up_ends_unreported() {
        let (mut outages, start) = (Outages::default(), Instant::now());
        outages.began(STAGE, start);
        outages.retried(STAGE, start);
        outages.left(STAGE);
        // An hour later: another outage, with its own duration.
        let later = after(start, 3_600_000);
        outages.began(STAGE, later);
        assert_eq!(outages.retried(STAGE, later), Some(1));
        let ended = outages.answered(STAGE, after(start, 3_600_500));
        assert_eq!(ended, Some(Ended { retries: 1, elapsed: Duration::from_millis(500) }));
    }

    #[tokio::test]
    async fn a_call_is_repeated_until_its_outcome_is_definite() {
        let before = retried_calls();
        let mut calls = 0;
        let answer = until_definite(REPEATED, || {
            calls += 1;
            let is_last = calls == 4;
            async move {
                let engine = "a test";
                let reason = "not yet".to_owned();
                match is_last {
                    true => Ok(7),
                    false => Err(EngineError::Unavailable { engine, reason }),
                }
            }
        });
        assert_eq!(answer.await.expect("it answers"), 7);
        // Other tests of this process may retry too.
        assert!(retried_calls() >= before + 3);
        assert!(OUTAGES.lock().0[REPEATED].since.is_none());
    }
}
