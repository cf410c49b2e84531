//! Summaries of log lines that outsiders can provoke: one line a second at most, with the number of
//! events.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Events of one kind that are not logged yet.
#[derive(Debug, Default)]
pub struct LogSummary(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    count: u64,
    last: Option<Instant>,
}

const SUMMARY_INTERVAL: Duration = Duration::from_secs(1);

impl LogSummary {
    /// No event so far.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(State { count: 0, last: None }))
    }

    /// Counts an event. If a line is due, returns the number of events since the last line.
    pub fn due(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        state.count += 1;
        if state.last.is_some_and(|last| now.saturating_duration_since(last) < SUMMARY_INTERVAL) {
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_a_second_and_every_event_is_counted() {
        let (summary, start) = (LogSummary::new(), Instant::now());
        let lines: Vec<u64> = (0..3000)
            .filter_map(|event| summary.due(start + Duration::from_millis(event)))
            .collect();
        assert_eq!(lines, [1, 1000, 1000]);
        assert_eq!(summary.due(start + Duration::from_secs(60)), Some(1000));
    }
}
