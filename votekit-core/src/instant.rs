//! Times as used in the formats. The core has no clock: callers pass times in.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Milliseconds since 1970-01-01T00:00:00Z, as read from a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

/// Seconds since 1970-01-01T00:00:00Z, as used in cosignatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixSeconds(pub u64);

/// Whole minutes since 1970-01-01T00:00:00Z, as used for every time in a leaf and in an envelope.
///
/// A finer time would reveal more about who voted when. Leaves and batches may contain only minutes
/// from [`UnixMinutes::MIN`] to [`UnixMinutes::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct UnixMinutes(pub u64);

impl Add<Duration> for UnixMillis {
    type Output = Self;

    /// A later time; the last one where that would overflow.
    fn add(self, duration: Duration) -> Self {
        let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(milliseconds))
    }
}

impl UnixMillis {
    /// Rounded down to the second.
    #[must_use]
    pub const fn seconds(self) -> UnixSeconds {
        UnixSeconds(self.0 / 1000)
    }

    /// Rounded down to the minute.
    #[must_use]
    pub const fn minutes(self) -> UnixMinutes {
        UnixMinutes(self.0 / 60_000)
    }
}

impl UnixSeconds {
    /// The first millisecond of this second.
    #[must_use]
    pub const fn millis(self) -> UnixMillis {
        UnixMillis(self.0.saturating_mul(1000))
    }

    /// Rounded down to the minute, as for an opening.
    #[must_use]
    pub const fn minute_floor(self) -> UnixMinutes {
        UnixMinutes(self.0 / 60)
    }

    /// Rounded up to the minute, as for a closing.
    #[must_use]
    pub const fn minute_ceil(self) -> UnixMinutes {
        UnixMinutes(self.0.div_ceil(60))
    }

    /// RFC 3339 in UTC, such as `2026-11-21T08:00:00Z`. A second after the year 9999 prints as its
    /// number.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        i64::try_from(self.0)
            .ok()
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
            .and_then(|instant| instant.format(&Rfc3339).ok())
            .unwrap_or_else(|| self.0.to_string())
    }

    /// Parses RFC 3339 with any offset, such as `2026-11-21T08:00:00-05:00`.
    ///
    /// # Errors
    /// [`TimeError`] when the text is not such a time, or is before 1970.
    pub fn from_rfc3339(text: &str) -> Result<Self, TimeError> {
        let instant = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| TimeError)?;
        u64::try_from(instant.unix_timestamp()).map(Self).map_err(|_| TimeError)
    }
}

impl UnixMinutes {
    /// 2000-01-01T00:00:00Z.
    pub const MIN: Self = Self(946_684_800 / 60);
    /// 9999-12-31T23:59:00Z.
    pub const MAX: Self = Self(253_402_300_740 / 60);

    /// Whether the minute is in the years 2000 to 9999.
    #[must_use]
    pub const fn is_in_range(self) -> bool {
        Self::MIN.0 <= self.0 && self.0 <= Self::MAX.0
    }

    /// The first second of this minute.
    #[must_use]
    pub const fn start(self) -> UnixSeconds {
        UnixSeconds(self.0.saturating_mul(60))
    }

    /// The following minute.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// RFC 3339 in UTC, such as `2026-11-21T08:00:00Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        self.start().to_rfc3339()
    }
}

impl TryFrom<u64> for UnixMinutes {
    type Error = MinuteError;

    fn try_from(minute: u64) -> Result<Self, MinuteError> {
        Some(Self(minute)).filter(|minute| minute.is_in_range()).ok_or(MinuteError { minute })
    }
}

impl From<UnixMinutes> for u64 {
    fn from(minute: UnixMinutes) -> Self {
        minute.0
    }
}

impl fmt::Display for UnixSeconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_rfc3339())
    }
}

impl fmt::Display for UnixMinutes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_rfc3339())
    }
}

/// A minute outside the years 2000 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("minute {minute} is outside the years 2000 to 9999")]
pub struct MinuteError {
    /// The minute, counted from 1970.
    pub minute: u64,
}

/// A text is not an RFC 3339 time with an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time with its offset")]
pub struct TimeError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_rounded_and_bounded() {
        let time = |text| UnixSeconds::from_rfc3339(text).expect("a time");
        let (before, after) = (time("2026-11-21T08:00:59Z"), time("2026-11-21T08:01:00Z"));
        assert_eq!(before.minute_floor().to_rfc3339(), "2026-11-21T08:00:00Z");
        assert_eq!(before.minute_ceil(), after.minute_ceil());
        assert_eq!(after.minute_ceil(), after.minute_floor());
        assert_eq!(UnixMinutes::MIN.to_rfc3339(), "2000-01-01T00:00:00Z");
        assert_eq!(UnixMinutes::MAX.to_rfc3339(), "9999-12-31T23:59:00Z");
        assert!(u32::try_from(UnixMinutes::MAX.0).is_ok(), "a batch carries minutes in 4 bytes");
        for minute in [UnixMinutes::MIN.0 - 1, UnixMinutes::MAX.0 + 1] {
            assert_eq!(UnixMinutes::try_from(minute), Err(MinuteError { minute }));
        }
        // A foreign checkpoint can state any second: conversions must not overflow.
        assert_eq!(UnixSeconds(u64::MAX).millis(), UnixMillis(u64::MAX));
    }

    #[test]
    fn offsets_are_honoured() {
        let east = UnixSeconds::from_rfc3339("2026-11-21T08:00:00-05:00");
        assert_eq!(east, UnixSeconds::from_rfc3339("2026-11-21T13:00:00Z"));
        assert_eq!(east.map(UnixSeconds::to_rfc3339), Ok("2026-11-21T13:00:00Z".to_owned()));
        assert_eq!(UnixSeconds::from_rfc3339("2026-11-21T08:00:00"), Err(TimeError));
    }
}
