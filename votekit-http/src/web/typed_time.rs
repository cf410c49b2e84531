//! A planned time as officials type it: date and time of day where they are, and the offset from
//! universal time, chosen from a list. Nothing is guessed: a time without offset is refused.

use votekit_core::instant::{UnixMinutes, UnixSeconds};

use super::lang::Lang;
use crate::guard::form_body::FormBody;

/// A planned time as typed. Empty: no time is planned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TypedTime {
    /// `YYYY-MM-DDTHH:MM`, as a field for date and time sends it.
    pub(crate) local: String,
    /// The offset, such as `-05:00`.
    pub(crate) offset: String,
}

/// What is wrong with a typed time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeFault {
    /// Date or time of day cannot be read.
    Local,
    /// No offset of the list was chosen.
    Offset,
}

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

    /// A planned minute, in universal time.
    pub(crate) fn planned(minute: Option<UnixMinutes>) -> Self {
        let Some(minute) = minute else { return Self::default() };
        let text = minute.to_rfc3339();
        // `2026-11-21T13:00:00Z` without its seconds and its zone.
        let local = text.get(..16).unwrap_or_default().to_owned();
        Self { local, offset: "+00:00".to_owned() }
    }

    /// The time in RFC 3339 with its offset; `None` if no time is planned.
    ///
    /// # Errors
    /// [`TimeFault`].
    pub(crate) fn rfc3339(&self) -> Result<Option<String>, TimeFault> {
        if self.local.is_empty() {
            return Ok(None);
        }
        let local = self.local.replacen(' ', "T", 1);
        // Some browsers send seconds.
        let local = if local.len() == 16 { format!("{local}:00") } else { local };
        let is_plain = local.len() == 19 && local.is_ascii();
        let seconds = UnixSeconds::from_rfc3339(&format!("{local}Z"));
        let is_time = seconds.is_ok_and(|seconds| seconds.minute_ceil().is_in_range());
        if !is_plain || !is_time {
            return Err(TimeFault::Local);
        }
        if !OFFSETS.contains(&self.offset.as_str()) {
            return Err(TimeFault::Offset);
        }
        Ok(Some(format!("{local}{}", self.offset)))
    }
}

/// The offsets, each with its name in the language of the page.
pub(crate) fn offsets(lang: Lang) -> Vec<(&'static str, &'static str, &'static str)> {
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
    let first = std::iter::once(("", lang.offset_choose(), ""));
    first.chain(OFFSETS.into_iter().zip(names).map(|(offset, name)| (offset, name, ""))).collect()
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
            let time = typed(local, "-05:00").rfc3339().expect("a time");
            assert_eq!(time.as_deref(), Some(expected));
        }
        assert_eq!(typed("", "").rfc3339(), Ok(None));
        assert_eq!(typed("", "-05:00").rfc3339(), Ok(None));
    }

    #[test]
    fn what_is_not_a_time_is_refused_and_no_offset_is_guessed() {
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
            assert_eq!(typed(local, "-05:00").rfc3339(), Err(TimeFault::Local), "{local}");
        }
        for offset in ["", "Z", "-5", "America/Toronto", "-05:00\r\n"] {
            let time = typed("2026-11-21T08:00", offset);
            assert_eq!(time.rfc3339(), Err(TimeFault::Offset), "{offset}");
        }
    }

    #[test]
    fn a_planned_minute_is_shown_in_universal_time() {
        let minute = UnixSeconds::from_rfc3339("2026-11-21T08:00:00-05:00").expect("a time");
        let time = TypedTime::planned(Some(minute.minute_floor()));
        assert_eq!(time, typed("2026-11-21T13:00", "+00:00"));
        assert_eq!(time.rfc3339().expect("a time").expect("planned"), "2026-11-21T13:00:00+00:00");
        assert_eq!(TypedTime::planned(None), TypedTime::default());
    }

    #[test]
    fn every_offset_has_a_name() {
        for lang in Lang::ALL {
            let offsets = offsets(lang);
            assert_eq!(offsets.len(), OFFSETS.len() + 1);
            for (offset, name, _) in offsets.iter().skip(1) {
                let shown = offset.replace('-', "−");
                assert!(name.starts_with(&shown), "{name}");
            }
        }
    }
}
