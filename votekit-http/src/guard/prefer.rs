//! `Prefer: wait=N` (RFC 7240): how long a voter is willing to wait for the decision.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

static PREFER: HeaderName = HeaderName::from_static("prefer");

/// The header that reports the applied preference.
pub(crate) static PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The longest wait, in seconds: a waiting request occupies a connection.
pub(crate) const WAIT_SECONDS_MAX: u64 = 30;

/// A requested wait, cut to the longest allowed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    seconds: u64,
}

impl Wait {
    /// The first `wait` among the preferences: later ones do not count (RFC 7240, section 2). A
    /// `wait` that cannot be parsed is ignored, as the RFC requires.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(&PREFER).iter().filter_map(|value| value.to_str().ok());
        values
            .flat_map(|value| unquoted_split(value, ','))
            .find_map(|preference| {
                let preference = unquoted_split(preference, ';').next().unwrap_or_default();
                let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
                name.trim().eq_ignore_ascii_case("wait").then(|| Self::parse(value.trim()))
            })
            .flatten()
    }

    fn parse(value: &str) -> Option<Self> {
        let value =
            value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let seconds: u64 = is_number.then(|| value.parse().unwrap_or(u64::MAX))?;
        Some(Self { seconds: seconds.min(WAIT_SECONDS_MAX) })
    }

    pub(crate) fn duration(self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// The value of `Preference-Applied`.
    pub(crate) fn applied(self) -> HeaderValue {
        HeaderValue::try_from(format!("wait={}", self.seconds)).expect("digits are visible ASCII")
    }
}

/// Splits at separators outside of quoted strings.
fn unquoted_split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |character| {
        let was_escaped = escaped;
        escaped = quoted && character == '\\' && !was_escaped;
        if character == '"' && !was_escaped {
            quoted = !quoted;
        }
        character == separator && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(values: &[&'static str]) -> Option<u64> {
        let headers =
            values.iter().map(|value| (PREFER.clone(), HeaderValue::from_static(value))).collect();
        Wait::from_headers(&headers).map(|wait| wait.seconds)
    }

    #[test]
    fn waits_are_found_among_other_preferences_and_cut() {
        assert_eq!(wait(&["wait=10"]), Some(10));
        assert_eq!(wait(&["respond-async, Wait = \"5\"; x=1"]), Some(5));
        assert_eq!(wait(&["return=minimal", "wait=99"]), Some(30));
        assert_eq!(wait(&["wait=99999999999999999999999"]), Some(30));
        assert_eq!(wait(&["wait=7, wait=9"]), Some(7));
        assert_eq!(wait(&[r#"x="a, wait=5; \", wait=6"; y=1, wait=7"#]), Some(7));
        for none in [
            "wait",
            "wait=",
            "wait=-1",
            "wait=1.5",
            "wait=abc",
            "wait=\"5",
            "waiter=3",
            "return=wait",
            "wait=x, wait=5",
            "x=\"wait=5, wait=6",
            ";wait=5",
            "=",
        ] {
            assert_eq!(wait(&[none]), None, "{none}");
        }
        assert_eq!(wait(&[]), None);
    }
}
