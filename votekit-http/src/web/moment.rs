//! A time on a page: UTC in words. A script adds the reader's own time.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::lang::Lang;

/// A time, for a `time` element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    /// RFC 3339.
    pub(crate) iso: String,
    /// In words, in UTC.
    pub(crate) text: String,
}

const MONTHS_FR: [&str; 12] = [
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
];

const MONTHS_EN: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl Moment {
    /// From RFC 3339, as in the views. `None` for another text.
    pub(crate) fn new(lang: Lang, rfc3339: &str) -> Option<Self> {
        let time = OffsetDateTime::parse(rfc3339, &Rfc3339).ok()?;
        let (day, year, hour, minute) = (time.day(), time.year(), time.hour(), time.minute());
        let month = usize::from(u8::from(time.month())) - 1;
        let text = match lang {
            Lang::Fr => {
                let first = if day == 1 { "er" } else { "" };
                let month = MONTHS_FR[month];
                format!("{day}{first} {month} {year}, {hour} h {minute:02} UTC")
            }
            Lang::En => format!("{} {day}, {year}, {hour}:{minute:02} UTC", MONTHS_EN[month]),
        };
        Some(Self { iso: rfc3339.to_owned(), text })
    }
}

/// Whether a poll with these times takes votes at this second.
pub(crate) fn is_between(opens: Option<&str>, closes: Option<&str>, now: u64) -> bool {
    let second = |text: &str| {
        let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        u64::try_from(time.unix_timestamp()).ok()
    };
    opens.and_then(second).is_none_or(|opens| opens <= now)
        && closes.and_then(second).is_none_or(|closes| now < closes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_the_language_of_the_page() {
        let text = |lang, time| Moment::new(lang, time).expect("a time").text;
        assert_eq!(text(Lang::Fr, "2026-11-01T08:05:00Z"), "1er novembre 2026, 8 h 05 UTC");
        assert_eq!(text(Lang::Fr, "2026-02-21T20:00:00Z"), "21 février 2026, 20 h 00 UTC");
        assert_eq!(text(Lang::En, "2026-08-01T08:05:00Z"), "August 1, 2026, 8:05 UTC");
        assert_eq!(Moment::new(Lang::En, "soon"), None);
    }

    #[test]
    fn a_poll_takes_votes_between_its_times() {
        let (opens, closes) = (Some("1970-01-01T00:01:00Z"), Some("1970-01-01T00:02:00Z"));
        for (now, expected) in [(59, false), (60, true), (119, true), (120, false)] {
            assert_eq!(is_between(opens, closes, now), expected, "{now}");
        }
        assert!(is_between(None, None, 0));
    }
}
