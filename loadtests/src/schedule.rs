//! The intended send time of each vote: fixed before the run, so that the node cannot influence it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::LoadError;

/// Votes a second, constant or changing linearly over the run. Written `5000` or `100..5000`.
///
/// ```
/// use votekit_loadtests::schedule::Rate;
/// let rate: Rate = "100..5000".parse()?;
/// assert_eq!((rate.from, rate.to), (100.0, 5000.0));
/// # Ok::<(), votekit_loadtests::schedule::ScheduleError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// At the start, in votes a second.
    pub from: f64,
    /// At the end, in votes a second.
    pub to: f64,
}

/// A text is not a rate or not a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// Not a rate.
    #[error(
        "expected votes a second such as 5000, or a ramp such as 100..5000, each above 0 and at most {}",
        Rate::MAX
    )]
    Rate,
    /// Not a duration.
    #[error("expected a duration such as 30s, 5m, 1h30m or 500ms, above 0 and at most 48h")]
    Duration,
}

impl Rate {
    /// The highest accepted rate, in votes a second.
    pub const MAX: u32 = 10_000_000;
}

impl FromStr for Rate {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let number = |part: &str| match part.trim().parse::<f64>() {
            Ok(number) if number > 0.0 && number <= f64::from(Self::MAX) => Ok(number),
            _ => Err(ScheduleError::Rate),
        };
        match text.split_once("..") {
            Some((from, to)) => Ok(Self { from: number(from)?, to: number(to)? }),
            None => number(text).map(|rate| Self { from: rate, to: rate }),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from == self.to {
            write!(formatter, "{}", self.from)
        } else {
            write!(formatter, "{}..{}", self.from, self.to)
        }
    }
}

/// Parses a duration such as `30s`, `5m`, `1h30m` or `500ms`; a bare number is seconds.
///
/// # Errors
/// [`ScheduleError::Duration`] for any other text, for zero, and above 48 hours.
pub fn parse_duration(text: &str) -> Result<Duration, ScheduleError> {
    const MAX: Duration = Duration::from_secs(48 * 3600);
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(ScheduleError::Duration);
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().map_err(|_| ScheduleError::Duration)?;
        let after = &rest[digits..];
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit_ms = match &after[..letters] {
            "ms" => 1,
            "" | "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(ScheduleError::Duration),
        };
        total += Duration::from_millis(number.saturating_mul(unit_ms).min(u64::from(u32::MAX)));
        rest = &after[letters..];
    }
    if total.is_zero() || total > MAX { Err(ScheduleError::Duration) } else { Ok(total) }
}

/// The intended send time of every vote of a run, by a formula, without a list.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    rate: Rate,
    duration: Duration,
    total: u64,
}

impl Schedule {
    /// Creates the schedule for `duration` at `rate`.
    ///
    /// # Errors
    /// [`LoadError::Plan`] when no vote falls into the duration.
    pub fn new(rate: Rate, duration: Duration) -> Result<Self, LoadError> {
        let total = ((rate.from + rate.to) / 2.0 * duration.as_secs_f64()).round() as u64;
        if total == 0 {
            return Err(LoadError::Plan {
                option: "--rate",
                problem: "no vote falls into the duration".to_owned(),
            });
        }
        Ok(Self { rate, duration, total })
    }

    /// Votes in the run.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The planned rate.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// The planned duration.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// The intended send time of vote `sequence`, from 0, counted from the start: the time by which
    /// `sequence` votes have been sent.
    #[must_use]
    pub fn offset(&self, sequence: u64) -> Duration {
        let (votes, from) = (sequence as f64, self.rate.from);
        let acceleration = (self.rate.to - from) / self.duration.as_secs_f64();
        // The root of from·t + acceleration·t²/2 = votes, in the form that loses no digits when the
        // acceleration is small.
        let root = (from * from + 2.0 * acceleration * votes).max(0.0).sqrt();
        Duration::from_secs_f64((2.0 * votes / (from + root)).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(rate: &str, duration: &str) -> Schedule {
        Schedule::new(rate.parse().expect("rate"), parse_duration(duration).expect("duration"))
            .expect("schedule")
    }

    #[test]
    fn a_constant_rate_is_evenly_spaced() {
        let schedule = schedule("200", "10s");
        assert_eq!(schedule.total(), 2_000);
        assert_eq!(schedule.offset(0), Duration::ZERO);
        assert_eq!(schedule.offset(1_000), Duration::from_secs(5));
    }

    #[test]
    fn a_ramp_covers_its_duration_and_never_turns_back() {
        for rate in ["100..5000", "5000..100", "1..2"] {
            let schedule = schedule(rate, "10s");
            let offsets: Vec<Duration> =
                (0..schedule.total()).map(|sequence| schedule.offset(sequence)).collect();
            assert!(offsets.is_sorted(), "{rate}");
            assert!(offsets.iter().all(|offset| *offset <= Duration::from_secs(10)), "{rate}");
        }
        let rising = schedule("100..5000", "10s");
        assert_eq!(rising.total(), 25_500);
        let in_first_half = (0..rising.total())
            .filter(|sequence| rising.offset(*sequence) < Duration::from_secs(5))
            .count();
        // 100 a second for 5 seconds, and half of 490 a second each second over 5 seconds.
        assert!((6_624..=6_626).contains(&in_first_half), "{in_first_half}");
    }

    #[test]
    fn durations_read_as_written() {
        for (text, milliseconds) in
            [("30s", 30_000), ("5m", 300_000), ("1h30m", 5_400_000), ("500ms", 500), ("7", 7_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "0s", "s", "5x", "-1s", "49h", "1.5s", "99999999999999999999s"] {
            assert_eq!(parse_duration(text), Err(ScheduleError::Duration), "{text}");
        }
    }

    #[test]
    fn rates_read_as_written() {
        for text in ["", "0", "-5", "..", "1..", "nan", "inf", "10000001"] {
            assert_eq!(text.parse::<Rate>(), Err(ScheduleError::Rate), "{text}");
        }
        assert_eq!("0.5".parse::<Rate>().map(|rate| rate.to_string()), Ok("0.5".to_owned()));
        assert_eq!("1..9".parse::<Rate>().map(|rate| rate.to_string()), Ok("1..9".to_owned()));
    }
}
