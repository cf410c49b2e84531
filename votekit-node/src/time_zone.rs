//! The time zone of the poll, as a POSIX rule: pages show times in it, in addition to UTC.
//!
//! ```text
//! EST5EDT,M3.2.0,M11.1.0    standard name and offset west of UTC, daylight name,
//!                           its beginning and its end: month, week (5: the last), day (0: Sunday)
//! ```
//!
//! A rule and not a name: a name needs the database of the system, and an old one would show
//! another time than the official who set the poll expects.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use time::{Date, Month, OffsetDateTime};
use votekit_core::instant::UnixSeconds;

/// A time zone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TimeZone {
    standard: Span,
    daylight: Option<Daylight>,
}

/// A name and an offset that apply to a part of the year.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    name: String,
    /// Seconds east of UTC.
    offset: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Daylight {
    span: Span,
    begins: Change,
    ends: Change,
}

/// The day and the time of a change, by the wall clock before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Change {
    month: Month,
    /// From 1; 5 is the last.
    week: u8,
    /// From 0, Sunday.
    weekday: u8,
    /// Seconds after midnight.
    time: i64,
}

/// A text is not a rule of the kind that is read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a time zone is a rule such as \"EST5EDT,M3.2.0,M11.1.0\" or \"UTC0\"")]
pub struct TimeZoneError;

/// A change of clocks is at 2 o'clock unless the rule says otherwise.
const CHANGE_TIME: i64 = 2 * 3600;

/// The longest offset and the latest time of a change that POSIX allows.
const OFFSET_HOURS_MAX: i64 = 24;

impl TimeZone {
    /// The offset from UTC at an instant, in seconds east of it, and its short name.
    #[must_use]
    pub fn at(&self, instant: UnixSeconds) -> (i64, &str) {
        let seconds = i64::try_from(instant.0).unwrap_or(i64::MAX / 2);
        let span = match &self.daylight {
            Some(daylight) if self.is_daylight(daylight, seconds) => &daylight.span,
            _ => &self.standard,
        };
        (span.offset, &span.name)
    }

    /// The instants at which the clocks of the zone show a date and time, given as if it were in
    /// UTC: none in the hour that is skipped when daylight time begins, two in the hour that is
    /// repeated when it ends.
    #[must_use]
    pub fn instants(&self, wall: UnixSeconds) -> Vec<UnixSeconds> {
        let daylight = self.daylight.iter().map(|daylight| daylight.span.offset);
        let offsets = std::iter::once(self.standard.offset).chain(daylight);
        let instant = |offset: i64| {
            let instant = UnixSeconds(wall.0.checked_add_signed(-offset)?);
            (self.at(instant).0 == offset).then_some(instant)
        };
        let mut instants: Vec<_> = offsets.filter_map(instant).collect();
        instants.sort_unstable();
        instants.dedup();
        instants
    }

    fn is_daylight(&self, daylight: &Daylight, seconds: i64) -> bool {
        let local =
            OffsetDateTime::from_unix_timestamp(seconds.saturating_add(self.standard.offset));
        let Ok(local) = local else { return false };
        let change = |change: &Change, before: &Span| {
            change.wall_seconds(local.year()).map(|wall| wall - before.offset)
        };
        let begins = change(&daylight.begins, &self.standard);
        let ends = change(&daylight.ends, &daylight.span);
        match (begins, ends) {
            (Some(begins), Some(ends)) if begins <= ends => (begins..ends).contains(&seconds),
            // South of the equator: standard time is in the middle of the year.
            (Some(begins), Some(ends)) => !(ends..begins).contains(&seconds),
            _ => false,
        }
    }
}

impl Change {
    /// The change in a year, in seconds since 1970 by the wall clock.
    fn wall_seconds(&self, year: i32) -> Option<i64> {
        let first = Date::from_calendar_date(year, self.month, 1).ok()?;
        let ahead = (7 + self.weekday - first.weekday().number_days_from_sunday()) % 7;
        let mut day = 1 + ahead + 7 * (self.week - 1);
        if day > self.month.length(year) {
            day -= 7;
        }
        let date = first.replace_day(day).ok()?;
        Some(date.midnight().assume_utc().unix_timestamp() + self.time)
    }
}

impl FromStr for TimeZone {
    type Err = TimeZoneError;

    fn from_str(text: &str) -> Result<Self, TimeZoneError> {
        let mut rule = Rule(text);
        let standard = Span { name: rule.name()?, offset: -rule.offset()? };
        if rule.0.is_empty() {
            return Ok(Self { standard, daylight: None });
        }
        let name = rule.name()?;
        let is_usual = rule.0.starts_with(',');
        let offset = if is_usual { standard.offset + 3600 } else { -rule.offset()? };
        let begins = rule.change()?;
        let ends = rule.change()?;
        if !rule.0.is_empty() {
            return Err(TimeZoneError);
        }
        let daylight = Daylight { span: Span { name, offset }, begins, ends };
        Ok(Self { standard, daylight: Some(daylight) })
    }
}

impl TryFrom<String> for TimeZone {
    type Error = TimeZoneError;

    fn try_from(text: String) -> Result<Self, TimeZoneError> {
        text.parse()
    }
}

impl fmt::Display for TimeZone {
    /// The short names of the zone.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.standard.name)?;
        match &self.daylight {
            Some(daylight) => write!(formatter, "/{}", daylight.span.name),
            None => Ok(()),
        }
    }
}

/// The part of a rule that is not read yet.
struct Rule<'a>(&'a str);

impl Rule<'_> {
    /// Letters, or any name between angle brackets.
    fn name(&mut self) -> Result<String, TimeZoneError> {
        let (name, rest) = match self.0.strip_prefix('<') {
            Some(quoted) => quoted.split_once('>').ok_or(TimeZoneError)?,
            None => {
                let end = self.0.find(|letter: char| !letter.is_ascii_alphabetic());
                self.0.split_at(end.unwrap_or(self.0.len()))
            }
        };
        let is_part = |part: char| part.is_ascii_alphanumeric() || part == '+' || part == '-';
        if !(3..=10).contains(&name.len()) || !name.chars().all(is_part) {
            return Err(TimeZoneError);
        }
        self.0 = rest;
        Ok(name.to_owned())
    }

    /// `[+-]hh[:mm[:ss]]`, in seconds.
    fn offset(&mut self) -> Result<i64, TimeZoneError> {
        let sign = match self.0.as_bytes().first() {
            Some(b'-') => -1,
            _ => 1,
        };
        self.0 = self.0.strip_prefix(['+', '-']).unwrap_or(self.0);
        let hours = self.number(OFFSET_HOURS_MAX)?;
        let mut seconds = hours * 3600;
        for unit in [60, 1] {
            if let Some(rest) = self.0.strip_prefix(':') {
                self.0 = rest;
                seconds += unit * self.number(59)?;
            }
        }
        Ok(sign * seconds)
    }

    /// `,Mmonth.week.day[/time]`.
    fn change(&mut self) -> Result<Change, TimeZoneError> {
        self.skip(",M")?;
        let month = u8::try_from(self.number(12)?).map_err(|_| TimeZoneError)?;
        let month = Month::try_from(month).map_err(|_| TimeZoneError)?;
        self.skip(".")?;
        let week = u8::try_from(self.number(5)?).map_err(|_| TimeZoneError)?;
        self.skip(".")?;
        let weekday = u8::try_from(self.number(6)?).map_err(|_| TimeZoneError)?;
        if week == 0 {
            return Err(TimeZoneError);
        }
        let time = match self.skip("/") {
            Ok(()) => self.offset()?,
            Err(TimeZoneError) => CHANGE_TIME,
        };
        Ok(Change { month, week, weekday, time })
    }

    /// One or two digits.
    fn number(&mut self, number_max: i64) -> Result<i64, TimeZoneError> {
        let is_digit = |digit: &u8| digit.is_ascii_digit();
        let digits = self.0.bytes().take(2).take_while(is_digit).count();
        let (number, rest) = self.0.split_at(digits);
        self.0 = rest;
        let number = number.parse().map_err(|_| TimeZoneError)?;
        if number > number_max { Err(TimeZoneError) } else { Ok(number) }
    }

    fn skip(&mut self, text: &str) -> Result<(), TimeZoneError> {
        self.0 = self.0.strip_prefix(text).ok_or(TimeZoneError)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(rule: &str, time: &str) -> (i64, String) {
        let zone: TimeZone = rule.parse().expect("a rule");
        let (seconds, name) = zone.at(UnixSeconds::from_rfc3339(time).expect("a time"));
        (seconds / 60, name.to_owned())
    }

    #[test]
    fn clocks_change_as_in_quebec() {
        let rule = "EST5EDT,M3.2.0,M11.1.0";
        for (time, minutes, name) in [
            ("2026-01-01T00:00:00Z", -300, "EST"),
            ("2026-03-08T06:59:59Z", -300, "EST"),
            ("2026-03-08T07:00:00Z", -240, "EDT"),
            ("2026-11-01T05:59:59Z", -240, "EDT"),
            ("2026-11-01T06:00:00Z", -300, "EST"),
            ("2027-01-01T03:00:00Z", -300, "EST"),
            ("2026-07-01T12:00:00Z", -240, "EDT"),
        ] {
            assert_eq!(offset(rule, time), (minutes, name.to_owned()), "{time}");
        }
        assert_eq!(rule.parse::<TimeZone>().expect("a rule").to_string(), "EST/EDT");
    }

    #[test]
    fn other_zones_are_read_too() {
        assert_eq!(offset("UTC0", "2026-07-01T12:00:00Z"), (0, "UTC".to_owned()));
        assert_eq!(offset("<-03>3", "2026-07-01T12:00:00Z"), (-180, "-03".to_owned()));
        let newfoundland = "NST3:30NDT,M3.2.0,M11.1.0";
        assert_eq!(offset(newfoundland, "2026-07-01T12:00:00Z"), (-150, "NDT".to_owned()));
        let paris = "CET-1CEST,M3.5.0,M10.5.0/3";
        for (time, minutes) in [
            ("2026-03-29T00:59:59Z", 60),
            ("2026-03-29T01:00:00Z", 120),
            ("2026-10-25T00:59:59Z", 120),
            ("2026-10-25T01:00:00Z", 60),
        ] {
            assert_eq!(offset(paris, time).0, minutes, "{time}");
        }
        let south = "AEST-10AEDT,M10.1.0,M4.1.0/3";
        assert_eq!(offset(south, "2026-01-15T00:00:00Z"), (660, "AEDT".to_owned()));
        assert_eq!(offset(south, "2026-07-15T00:00:00Z"), (600, "AEST".to_owned()));
    }

    #[test]
    fn invalid_time_zone_rules_are_refused() {
        for text in [
            "",
            "America/Toronto",
            "EST",
            "5EST",
            "EST5EDT",
            "EST5EDT,M3.2.0",
            "EST5EDT,M13.2.0,M11.1.0",
            "EST5EDT,M3.0.0,M11.1.0",
            "EST5EDT,M3.2.7,M11.1.0",
            "EST5EDT,J60,J300",
            "EST25",
            "EST5EDT,M3.2.0,M11.1.0,",
            "<b>5",
            "<a\"b>5",
        ] {
            assert_eq!(text.parse::<TimeZone>(), Err(TimeZoneError), "{text}");
        }
    }

    #[test]
    fn an_hour_is_skipped_and_another_is_repeated() {
        let zone: TimeZone = "EST5EDT,M3.2.0,M11.1.0".parse().expect("a rule");
        let second = |text: &str| UnixSeconds::from_rfc3339(text).expect("a time");
        for (wall, expected) in [
            ("2026-01-15T08:00:00Z", &["2026-01-15T13:00:00Z"][..]),
            ("2026-07-15T08:00:00Z", &["2026-07-15T12:00:00Z"]),
            ("2026-03-08T01:59:59Z", &["2026-03-08T06:59:59Z"]),
            ("2026-03-08T02:30:00Z", &[]),
            ("2026-03-08T03:00:00Z", &["2026-03-08T07:00:00Z"]),
            ("2026-11-01T01:30:00Z", &["2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"]),
            ("2026-11-01T02:00:00Z", &["2026-11-01T07:00:00Z"]),
        ] {
            let expected: Vec<_> = expected.iter().map(|text| second(text)).collect();
            assert_eq!(zone.instants(second(wall)), expected, "{wall}");
        }
        let utc: TimeZone = "UTC0".parse().expect("a rule");
        assert_eq!(utc.instants(UnixSeconds(7)), [UnixSeconds(7)]);
        assert!(zone.instants(UnixSeconds(u64::MAX)).is_empty());
    }

    #[test]
    fn no_instant_breaks_a_zone() {
        for rule in ["EST5EDT,M3.2.0,M11.1.0", "AEST-10AEDT,M10.1.0,M4.1.0/3"] {
            let zone: TimeZone = rule.parse().expect("a rule");
            for seconds in [0, 1, u64::MAX, 253_402_300_799, 253_402_300_800] {
                let _ = zone.at(UnixSeconds(seconds));
            }
        }
    }
}
