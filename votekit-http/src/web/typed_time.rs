//! A planned time as officials type it: local date and time of day, and the offset from universal
//! time, chosen from a list. If the configuration names the zone of the poll, the list begins with
//! it, and the offset follows from the date. Nothing is guessed: a time without an offset, and a
//! time at which the clocks of the zone change, are refused.

use votekit_core::instant::{UnixMinutes, UnixSeconds};
use votekit_node::time_zone::TimeZone;

use super::lang::Lang;
use crate::guard::form_body::FormBody;

/// A planned time as typed. Empty: no time is planned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TypedTime {
    /// `YYYY-MM-DDTHH:MM`, as a field for date and time sends it.
    pub(crate) local: String,
    /// The offset, such as `-05:00`, or [`ZONE`].
    pub(crate) offset: String,
}

/// The error of a typed time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeFault {
    /// Date or time of day cannot be read.
    Local,
    /// No offset of the list was chosen.
    Offset,
    /// The clocks of the zone show this time twice, or never: an offset has to be chosen.
    Change,
}

/// Stands for the offset that the zone of the poll has at that time.
const ZONE: &str = "zone";

/// The offsets of the list, from west to east.
const OFFSETS: [&str; 9] =
    ["-08:00", "-07:00", "-06:00", "-05:00", "-04:00", "-03:30", "-03:00", "-02:30", "+00:00"];

impl TypedTime {
    /// The time in the fields `name` and `name_offset`.
    pub(crate) fn from_form(form: &FormBody, name: &str) -> Self {
        Self {
            local: form.text(name).trim().to_owned(),
            offset: form.text(&format!("{name}_offset")).to_owned(),
        }
    }

    /// A planned minute: in the zone of the poll, or in universal time. Without a minute no time is
    /// planned yet.
    pub(crate) fn planned(minute: Option<UnixMinutes>, zone: Option<&TimeZone>) -> Self {
        let Some(minute) = minute else {
            let offset = zone.map(|_| ZONE.to_owned()).unwrap_or_default();
            return Self { local: String::new(), offset };
        };
        let in_zone = zone.and_then(|zone| {
            let instant = minute.start();
            let wall = UnixSeconds(instant.0.checked_add_signed(zone.at(instant).0)?);
            // Not in the hour that is repeated: the form could not show which of the two it is.
            let is_certain = zone.instants(wall) == [instant] && wall.0.is_multiple_of(60);
            is_certain.then(|| (wall.minute_floor(), ZONE))
        });
        let (shown, offset) = in_zone.unwrap_or((minute, "+00:00"));
        // `2026-11-21T13:00:00Z` without its seconds and its zone.
        let local = shown.to_rfc3339().get(..16).unwrap_or_default().to_owned();
        Self { local, offset: offset.to_owned() }
    }

    /// The time in RFC 3339 with its offset; `None` if no time is planned.
    ///
    /// # Errors
    /// [`TimeFault`].
    pub(crate) fn rfc3339(&self, zone: Option<&TimeZone>) -> Result<Option<String>, TimeFault> {
        if self.local.is_empty() {
            return Ok(None);
        }
        let local = self.local.replacen(' ', "T", 1);
        // Some browsers send seconds.
        let local = if local.len() == 16 { format!("{local}:00") } else { local };
        let is_plain = local.len() == 19 && local.is_ascii();
        let seconds = UnixSeconds::from_rfc3339(&format!("{local}Z"));
        let in_range = |seconds: &UnixSeconds| seconds.minute_ceil().is_in_range();
        let wall = seconds.ok().filter(in_range).filter(|_| is_plain).ok_or(TimeFault::Local)?;
        if self.offset == ZONE {
            let instants = zone.ok_or(TimeFault::Offset)?.instants(wall);
            let [instant] = instants[..] else { return Err(TimeFault::Change) };
            return Ok(Some(instant.to_rfc3339()));
        }
        if !OFFSETS.contains(&self.offset.as_str()) {
            return Err(TimeFault::Offset);
        }
        Ok(Some(format!("{local}{}", self.offset)))
    }
}

/// The offsets, each with its name in the language of the page; the zone of the poll comes first.
pub(crate) fn offsets(
    lang: Lang,
    has_zone: bool,
) -> Vec<(&'static str, &'static str, &'static str)> {
    let names = [
        lang.zone_0800(),
        lang.zone_0700(),
        lang.zone_0600(),
        lang.zone_0500(),
        lang.zone_0400(),
        lang.zone_0330(),
        lang.zone_0300(),
        lang.zone_0230(),
        lang.zone_utc(),
    ];
    let first = match has_zone {
        true => (ZONE, lang.zone_of_poll(), ""),
        false => ("", lang.offset_choose(), ""),
    };
    std::iter::once(first)
        .chain(OFFSETS.into_iter().zip(names).map(|(offset, name)| (offset, name, "")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(local: &str, offset: &str) -> TypedTime {
        TypedTime { local: local.to_owned(), offset: offset.to_owned() }
    }

    #[test]
    fn a_time_has_a_date_a_time_of_day_and_an_offset() {
        for (local, expected) in [
            ("2026-11-21T08:00", "2026-11-21T08:00:00-05:00"),
            ("2026-11-21 08:00", "2026-11-21T08:00:00-05:00"),
            ("2026-11-21T08:00:30", "2026-11-21T08:00:30-05:00"),
        ] {
            let time = typed(local, "-05:00").rfc3339(None).expect("a time");
            assert_eq!(time.as_deref(), Some(expected));
        }
        assert_eq!(typed("", "").rfc3339(None), Ok(None));
        assert_eq!(typed("", "-05:00").rfc3339(None), Ok(None));
    }

    #[test]
    fn invalid_times_are_refused_and_no_offset_is_guessed() {
        for local in [
            "2026-02-30T08:00",
            "2026-11-21",
            "08:00",
            "21/11/2026 08:00",
            "2026-11-21T25:00",
            "2026-11-21T08:00-05:00",
            "1999-11-21T08:00",
            "é026-11-21T08:00",
            "soon",
        ] {
            assert_eq!(typed(local, "-05:00").rfc3339(None), Err(TimeFault::Local), "{local}");
        }
        for offset in ["", "Z", "-5", "America/Toronto", "-05:00\r\n"] {
            let time = typed("2026-11-21T08:00", offset);
            assert_eq!(time.rfc3339(None), Err(TimeFault::Offset), "{offset}");
        }
    }

    #[test]
    fn a_planned_minute_is_shown_in_universal_time() {
        let minute = UnixSeconds::from_rfc3339("2026-11-21T08:00:00-05:00").expect("a time");
        let time = TypedTime::planned(Some(minute.minute_floor()), None);
        assert_eq!(time, typed("2026-11-21T13:00", "+00:00"));
        assert_eq!(
            time.rfc3339(None).expect("a time").expect("planned"),
            "2026-11-21T13:00:00+00:00"
        );
        assert_eq!(TypedTime::planned(None, None), TypedTime::default());
    }

    #[test]
    fn the_zone_of_the_poll_has_the_offset_of_the_date() {
        let zone: TimeZone = "EST5EDT,M3.2.0,M11.1.0".parse().expect("a rule");
        let zone = Some(&zone);
        for (local, expected) in [
            ("2026-11-21T08:00", "2026-11-21T13:00:00Z"),
            ("2027-07-01T08:00", "2027-07-01T12:00:00Z"),
        ] {
            let time = typed(local, ZONE);
            assert_eq!(time.rfc3339(zone), Ok(Some(expected.to_owned())));
            assert_eq!(time.rfc3339(None), Err(TimeFault::Offset), "no zone is configured");
            let minute = UnixSeconds::from_rfc3339(expected).expect("a time").minute_floor();
            assert_eq!(TypedTime::planned(Some(minute), zone), time);
        }
        for local in ["2026-11-01T01:30", "2027-03-14T02:30"] {
            assert_eq!(typed(local, ZONE).rfc3339(zone), Err(TimeFault::Change), "{local}");
            assert!(typed(local, "-05:00").rfc3339(zone).is_ok(), "an offset decides");
        }
        // A minute of the hour that is repeated is shown in universal time.
        let minute = UnixSeconds::from_rfc3339("2026-11-01T05:30:00Z").expect("a time");
        let shown = TypedTime::planned(Some(minute.minute_floor()), zone);
        assert_eq!(shown, typed("2026-11-01T05:30", "+00:00"));
        assert_eq!(TypedTime::planned(None, zone), typed("", ZONE));
        assert_eq!(typed("", ZONE).rfc3339(zone), Ok(None));
    }

    #[test]
    fn every_offset_has_a_name() {
        for lang in Lang::ALL {
            let offsets = offsets(lang, false);
            assert_eq!(offsets.len(), OFFSETS.len() + 1);
            assert_eq!((offsets[0].0, super::offsets(lang, true)[0].0), ("", ZONE));
            for (offset, name, _) in offsets.iter().skip(1) {
                let shown = offset.replace('-', "−");
                assert!(name.starts_with(&shown), "{name}");
            }
        }
    }
}
