//! Times as the formats carry them. The core has no clock: it is handed times.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Milliseconds since 1970-01-01T00:00:00Z: the stamp an envelope gets once, on arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

/// Seconds since 1970-01-01T00:00:00Z: times in leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixSeconds(pub u64);

/// Whole minutes since 1970-01-01T00:00:00Z: all that an entry tells of its hour, so that a log is
/// no record of who stood where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMinutes(pub u64);

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
        UnixMillis(self.0 * 1000)
    }

    /// RFC 3339 in UTC, such as `2026-11-21T08:00:00Z`. A second past the year 9999 prints as its
    /// number.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        i64::try_from(self.0)
            .ok()
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
            .and_then(|instant| instant.format(&Rfc3339).ok())
            .unwrap_or_else(|| self.0.to_string())
    }

    /// Reads RFC 3339 with any offset, such as `2026-11-21T08:00:00-05:00`.
    ///
    /// # Errors
    /// [`TimeError`] when the text is no such time, or one before 1970.
    pub fn from_rfc3339(text: &str) -> Result<Self, TimeError> {
        let instant = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| TimeError)?;
        u64::try_from(instant.unix_timestamp()).map(Self).map_err(|_| TimeError)
    }
}

impl fmt::Display for UnixSeconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_rfc3339())
    }
}

/// A text is no RFC 3339 time with its offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a time with its offset, such as 2026-11-21T08:00:00-05:00 or 2026-11-21T13:00:00Z"
)]
pub struct TimeError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_honoured() {
        let east = UnixSeconds::from_rfc3339("2026-11-21T08:00:00-05:00");
        assert_eq!(east, UnixSeconds::from_rfc3339("2026-11-21T13:00:00Z"));
        assert_eq!(east.map(UnixSeconds::to_rfc3339), Ok("2026-11-21T13:00:00Z".to_owned()));
        assert_eq!(UnixSeconds::from_rfc3339("2026-11-21T08:00:00"), Err(TimeError));
    }
}
