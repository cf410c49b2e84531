//! Rate limit for log lines.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Limits a log line that could occur for each of thousands of votes to one per interval, with the
/// number of suppressed lines. Otherwise a full disk would be filled by its own error messages.
pub struct Sparse {
    interval: Duration,
    state: Mutex<Option<(Instant, u64)>>,
}

impl Sparse {
    /// Allows one line per interval.
    pub const fn every(interval: Duration) -> Self {
        Self { interval, state: Mutex::new(None) }
    }

    /// If the line is due, the number of lines suppressed since the last one; otherwise `None`.
    pub fn due(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock();
        match &mut *state {
            Some((last, left_out)) if now.saturating_duration_since(*last) < self.interval => {
                *left_out += 1;
                None
            }
            state => {
                let left_out = state.map_or(0, |(_, left_out)| left_out);
                *state = Some((now, 0));
                Some(left_out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frequent_line_is_due_once_an_interval() {
        let sparse = Sparse::every(Duration::from_secs(1));
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!([0, 10, 999].map(|time| sparse.due(at(time))), [Some(0), None, None]);
        assert_eq!([1000, 1001].map(|time| sparse.due(at(time))), [Some(2), None]);
        assert_eq!(sparse.due(at(9000)), Some(1));
    }
}
