//! Entries: each request once, each credential accepted once, attempts counted, times within the
//! window.

use super::Line;
use crate::bundle::Rule;
use crate::bundle::table::Table;
use crate::decision::{Decision, Entry, InvalidReason, Outcome};
use crate::election::{Timing, Window};
use crate::electorate::ATTEMPTS_MAX;
use crate::instant::UnixMinutes;

/// The decided requests, and the attempts of each credential.
///
/// Hashes are distinguished by their first 16 bytes. Two electors share these with a probability
/// below 2^-80; an honest log would then seem wrong, never a wrong one honest.
pub(super) struct Entries {
    requests: Table,
    attempts: Table,
    /// The latest minute of a vote that was decided as in time.
    latest: Option<UnixMinutes>,
}

impl Entries {
    pub(super) fn with_capacity(entries: usize, seed: u64) -> Self {
        Self {
            requests: Table::with_capacity(entries, seed),
            attempts: Table::with_capacity(entries, seed),
            latest: None,
        }
    }

    pub(super) fn take(&mut self, outcome: &Outcome, window: &Window, line: &mut Line<'_>) {
        let entry = match outcome {
            Outcome::Decided(entry) => entry,
            Outcome::Replayed(replay) => {
                if self.requests.get_mut(replay.request.as_bytes()).is_none() {
                    line.fail(
                        Rule::Replay,
                        format_args!("request {} was not decided before", replay.request),
                    );
                }
                return;
            }
        };
        let request = entry.request;
        if matches!(entry.decision, Decision::Invalid { reason: InvalidReason::Clash, .. }) {
            if self.requests.get_mut(request.as_bytes()).is_none() {
                line.fail(
                    Rule::RequestOnce,
                    format_args!("request {request} clashes with nothing decided before"),
                );
            }
            return;
        }
        let number = u32::try_from(line.number).unwrap_or(u32::MAX);
        let first = self.requests.entry(request.as_bytes(), number);
        if first.found {
            let first = *first.value;
            line.fail(
                Rule::RequestOnce,
                format_args!("request {request} was decided on line {first}"),
            );
        }
        self.check_attempt(&entry.decision, line);
        self.check_time(entry, window, line);
    }

    fn check_attempt(&mut self, decision: &Decision, line: &mut Line<'_>) {
        match decision {
            Decision::Accepted { hash } => {
                if self.attempts.entry(tag(hash.as_bytes()), 1).found {
                    line.fail(
                        Rule::AcceptedOnce,
                        format_args!("a vote of {hash} was accepted before"),
                    );
                }
            }
            Decision::Duplicate { hash, attempt } => {
                let Some(attempts) = self.attempts.get_mut(tag(hash.as_bytes())) else {
                    return line.fail(
                        Rule::DuplicateAttempt,
                        format_args!("no vote of {hash} was accepted before"),
                    );
                };
                let expected = attempts.saturating_add(1).min(ATTEMPTS_MAX);
                *attempts = expected;
                if *attempt != expected {
                    line.fail(
                        Rule::DuplicateAttempt,
                        format_args!("attempt {attempt} of {hash}, which should be {expected}"),
                    );
                }
            }
            Decision::Invalid { .. } => {}
        }
    }

    /// Checks, at the close, that no vote decided as in time has a minute at or after the closing
    /// time.
    pub(super) fn check_close(&self, closes: UnixMinutes, line: &mut Line<'_>) {
        if let Some(latest) = self.latest.filter(|latest| *latest >= closes) {
            line.fail(
                Rule::EntryTime,
                format_args!(
                    "a vote of {latest} was taken as in time, the poll closes at {closes}"
                ),
            );
        }
    }

    fn check_time(&mut self, entry: &Entry, window: &Window, line: &mut Line<'_>) {
        let expected = match entry.decision {
            Decision::Invalid { reason: InvalidReason::Early, .. } => Timing::Early,
            Decision::Invalid { reason: InvalidReason::Late, .. } => Timing::Late,
            _ => {
                self.latest = self.latest.max(Some(entry.minute));
                Timing::InTime
            }
        };
        if window.timing(entry.minute) != expected {
            let minute = entry.minute;
            line.fail(
                Rule::EntryTime,
                format_args!("the minute {minute} does not agree with the decision"),
            );
        }
    }
}

fn tag(hash: &[u8; 32]) -> &[u8; 16] {
    hash.first_chunk().expect("32 bytes begin with 16")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Failures;
    use crate::credential::CredentialHash;

    /// No log can be that long, so the test sets the table directly.
    #[test]
    fn attempts_stop_at_their_limit() {
        let hash = CredentialHash::from_bytes([7; 32]);
        let mut entries = Entries::with_capacity(1, 0);
        let mut failures = Failures::default();
        let mut line = Line { failures: &mut failures, number: 1 };
        *entries.attempts.entry(tag(hash.as_bytes()), 1).value = ATTEMPTS_MAX - 2;
        for attempt in [ATTEMPTS_MAX - 1, ATTEMPTS_MAX, ATTEMPTS_MAX] {
            entries.check_attempt(&Decision::Duplicate { hash, attempt }, &mut line);
        }
        assert_eq!(line.failures.list(), []);
        let attempt = ATTEMPTS_MAX - 1;
        entries.check_attempt(&Decision::Duplicate { hash, attempt }, &mut line);
        assert_eq!(line.failures.counts()[&Rule::DuplicateAttempt], 1);
    }
}
