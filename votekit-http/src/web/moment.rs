//! A time on a page: in words, in the zone of the poll and in UTC. A script adds the reader's own
//! time.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use votekit_core::instant::UnixSeconds;
use votekit_node::config::PagesConfig;

use super::lang::Lang;

/// A time, for a `time` element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    /// RFC 3339.
    pub(crate) iso: String,
    /// In words: in UTC, and before it in the zone of the poll if there is one.
    pub(crate) text: String,
    /// In words, in UTC.
    pub(crate) utc: String,
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
    /// From RFC 3339 in UTC, as in the views. `None` for another text.
    pub(crate) fn new(lang: Lang, rfc3339: &str) -> Option<Self> {
        let time = OffsetDateTime::parse(rfc3339, &Rfc3339).ok()?;
        let utc = format!("{} UTC", words(lang, time));
        Some(Self { iso: rfc3339.to_owned(), text: utc.clone(), utc })
    }

    /// The same in the zone of the poll too, if the configuration has one.
    pub(crate) fn in_zone_of(self, lang: Lang, pages: &PagesConfig) -> Self {
        let (Some(zone), Ok(instant)) = (&pages.time_zone, UnixSeconds::from_rfc3339(&self.iso))
        else {
            return self;
        };
        let (offset, short_name) = zone.at(instant);
        let wall = i64::try_from(instant.0).ok().and_then(|seconds| {
            OffsetDateTime::from_unix_timestamp(seconds.saturating_add(offset)).ok()
        });
        let Some(wall) = wall.filter(|_| offset != 0) else { return self };
        let name = match lang {
            Lang::Fr => &pages.time_zone_fr,
            Lang::En => &pages.time_zone_en,
        };
        let name = if name.is_empty() { short_name } else { name };
        Self { text: format!("{}, {name} ({})", words(lang, wall), self.utc), ..self }
    }
}

/// Date and time in words, without a zone.
fn words(lang: Lang, time: OffsetDateTime) -> String {
    let (day, year, hour, minute) = (time.day(), time.year(), time.hour(), time.minute());
    let month = usize::from(u8::from(time.month())) - 1;
    match lang {
        Lang::Fr => {
            let first = if day == 1 { "er" } else { "" };
            let month = MONTHS_FR[month];
            format!("{day}{first} {month} {year}, {hour}\u{a0}h\u{a0}{minute:02}")
        }
        Lang::En => format!("{} {day}, {year}, {hour}:{minute:02}", MONTHS_EN[month]),
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
        assert_eq!(
            text(Lang::Fr, "2026-11-01T08:05:00Z"),
            "1er novembre 2026, 8\u{a0}h\u{a0}05 UTC"
        );
        assert_eq!(
            text(Lang::Fr, "2026-02-21T20:00:00Z"),
            "21 février 2026, 20\u{a0}h\u{a0}00 UTC"
        );
        assert_eq!(text(Lang::En, "2026-08-01T08:05:00Z"), "August 1, 2026, 8:05 UTC");
        assert_eq!(Moment::new(Lang::En, "soon"), None);
    }

    #[test]
    fn a_time_is_written_in_the_zone_of_the_poll_too() {
        let mut pages = PagesConfig {
            time_zone: Some("EST5EDT,M3.2.0,M11.1.0".parse().expect("a zone")),
            ..PagesConfig::default()
        };
        let text = |lang, pages: &PagesConfig| {
            let time = Moment::new(lang, "2026-11-02T01:30:00Z").expect("a time");
            time.in_zone_of(lang, pages).text
        };
        let expected = "November 1, 2026, 20:30, EST (November 2, 2026, 1:30 UTC)";
        assert_eq!(text(Lang::En, &pages), expected);
        pages.time_zone_fr = "heure de l’Est".to_owned();
        let expected = "1er novembre 2026, 20\u{a0}h\u{a0}30, heure de l’Est (2 novembre 2026, 1\u{a0}h\u{a0}30 UTC)";
        assert_eq!(text(Lang::Fr, &pages), expected);
        assert_eq!(
            text(Lang::Fr, &PagesConfig::default()),
            "2 novembre 2026, 1\u{a0}h\u{a0}30 UTC"
        );
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
