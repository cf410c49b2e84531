//! `Prefer: wait=N` (RFC 7240): how long a voter would like to wait for the decision.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

static PREFER: HeaderName = HeaderName::from_static("prefer");

/// Answers `Preference-Applied`.
pub(super) static PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The longest wait, in seconds: connections are not free.
pub(super) const WAIT_SECONDS_MAX: u64 = 30;

/// A wait that was asked for, cut to the longest there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    seconds: u64,
}

impl Wait {
    /// The first `wait` among the preferences. What is not understood is ignored, as the RFC wants
    /// it.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let preferences = headers.get_all(&PREFER).iter().filter_map(|value| value.to_str().ok());
        preferences.flat_map(|value| value.split(',')).find_map(Self::parse)
    }

    fn parse(preference: &str) -> Option<Self> {
        let preference = preference.split(';').next()?;
        let (name, value) = preference.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("wait") {
            return None;
        }
        let value = value.trim();
        let value =
            value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        let seconds = value
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| value.parse().unwrap_or(u64::MAX));
        seconds
            .filter(|_| !value.is_empty())
            .map(|seconds| Self { seconds: seconds.min(WAIT_SECONDS_MAX) })
    }

    /// How long to wait.
    pub(super) fn duration(self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// What `Preference-Applied` says.
    pub(super) fn applied(self) -> HeaderValue {
        HeaderValue::try_from(format!("wait={}", self.seconds)).expect("digits are visible ASCII")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(values: &[&'static str]) -> Option<u64> {
        let headers =
            values.iter().map(|value| (PREFER.clone(), HeaderValue::from_static(value))).collect();
        Wait::of(&headers).map(|wait| wait.seconds)
    }

    #[test]
    fn waits_are_found_among_other_preferences_and_cut() {
        assert_eq!(wait(&["wait=10"]), Some(10));
        assert_eq!(wait(&["respond-async, Wait = \"5\"; x=1"]), Some(5));
        assert_eq!(wait(&["return=minimal", "wait=99"]), Some(30));
        assert_eq!(wait(&["wait=99999999999999999999999"]), Some(30));
        assert_eq!(wait(&["wait=7, wait=9"]), Some(7));
        for none in ["wait", "wait=", "wait=-1", "wait=1.5", "waiter=3", "return=wait"] {
            assert_eq!(wait(&[none]), None, "{none}");
        }
        assert_eq!(wait(&[]), None);
    }
}
