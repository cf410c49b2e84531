//! Entries: each request once, each credential accepted once, attempts counted, times within the
//! window.

use super::log::Line;
use crate::bundle::Rule;
use crate::bundle::table::Table;
use crate::decision::{Decision, Entry, InvalidReason};
use crate::election::Window;
use crate::instant::{UnixMinutes, UnixSeconds};

/// Who has voted and which requests are decided.
///
/// Hashes are told apart by their first 16 bytes: two electors share them with a chance below
/// 2^-80, and then an honest log would seem wrong, never a wrong one honest.
pub(super) struct Entries {
    requests: Table,
    attempts: Table,
    /// The latest minute of a vote that was in time.
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

    pub(super) fn take(&mut self, entry: &Entry, window: &Window, line: &mut Line<'_>) {
        let number = u32::try_from(line.number).unwrap_or(u32::MAX);
        let first = self.requests.entry(entry.request.as_bytes(), number);
        if first.found {
            let first = *first.value;
            line.fail(
                Rule::RequestOnce,
                format_args!("request {} was decided on line {first}", entry.request),
            );
        }
        match &entry.decision {
            Decision::Accepted { hash } => {
                if self.attempts.entry(tag(hash.as_bytes()), 1).found {
                    line.fail(
                        Rule::AcceptedOnce,
                        format_args!("a vote of {hash} was accepted before"),
                    );
                }
            }
            Decision::Duplicate { hash, attempt } => match self
                .attempts
                .get_mut(tag(hash.as_bytes()))
            {
                None => line.fail(
                    Rule::DuplicateAttempt,
                    format_args!("no vote of {hash} was accepted before"),
                ),
                Some(attempts) => {
                    let expected = attempts.saturating_add(1);
                    *attempts = expected;
                    if *attempt != expected {
                        line.fail(
                            Rule::DuplicateAttempt,
                            format_args!("attempt {attempt} of {hash}, which should be {expected}"),
                        );
                    }
                }
            },
            Decision::Invalid { .. } => {}
        }
        self.check_time(entry, window, line);
    }

    /// Checks, at the close, that no vote was accepted from a later minute than the closing time.
    pub(super) fn check_close(&self, closes: UnixSeconds, line: &mut Line<'_>) {
        if let Some(latest) = self.latest.filter(|latest| start(*latest) >= closes.0) {
            let latest = UnixSeconds(start(latest));
            line.fail(
                Rule::EntryTime,
                format_args!(
                    "a vote of {latest} was taken as in time, the poll closes at {closes}"
                ),
            );
        }
    }

    fn check_time(&mut self, entry: &Entry, window: &Window, line: &mut Line<'_>) {
        let (first_second, next_minute) =
            (start(entry.minute), start(entry.minute).saturating_add(60));
        let (opens, closes) = (window.opens.map(|at| at.0), window.closes.map(|at| at.0));
        let possible = match entry.decision {
            Decision::Invalid { reason: InvalidReason::Early } => {
                opens.is_none_or(|opens| first_second < opens)
            }
            Decision::Invalid { reason: InvalidReason::Late } => {
                closes.is_some_and(|closes| next_minute > closes)
            }
            _ => {
                self.latest = self.latest.max(Some(entry.minute));
                opens.is_some_and(|opens| next_minute > opens)
                    && closes.is_none_or(|closes| first_second < closes)
            }
        };
        if !possible {
            let at = UnixSeconds(first_second);
            line.fail(
                Rule::EntryTime,
                format_args!("the minute from {at} does not agree with the decision"),
            );
        }
    }
}

fn start(minute: UnixMinutes) -> u64 {
    minute.0.saturating_mul(60)
}

fn tag(hash: &[u8; 32]) -> &[u8; 16] {
    hash.first_chunk().expect("32 bytes begin with 16")
}
