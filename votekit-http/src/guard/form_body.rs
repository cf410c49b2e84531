//! The body of a form: `application/x-www-form-urlencoded`, as browsers send it without a script.
//!
//! Values are zeroed on drop, because a value may be an access code. They are never part of a
//! problem.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use votekit_node::memory::stack_used;
use zeroize::Zeroizing;

use crate::guard::limits;
use crate::guard::message_rules::check_content_coding;
use crate::problem::Problem;
use crate::problem::catalogue::field_rules;

/// The limits of a form.
struct FormLimits {
    bytes_max: usize,
    fields_max: usize,
}

/// A form of a voter or a sign-in: its fields are few and short.
const SHORT: FormLimits = FormLimits { bytes_max: 4096, fields_max: 16 };

/// The definition of an election: a hundred choices with labels, where each character of a text may
/// take twelve bytes. Only signed-in officials send one.
const LONG: FormLimits = FormLimits { bytes_max: 512 << 10, fields_max: 400 };

/// The fields of a form.
pub(crate) struct FormBody(Vec<(Zeroizing<String>, Zeroizing<String>)>);

impl FormBody {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`Problem`], if the body is not a form, is too large or arrives too slowly.
    pub(crate) async fn read(
        headers: &HeaderMap,
        body: Body,
        time: Duration,
    ) -> Result<Self, Problem> {
        Self::read_within(&SHORT, headers, body, time).await
    }

    /// As [`FormBody::read`], for a form with a long field.
    ///
    /// # Errors
    /// As for [`FormBody::read`].
    pub(crate) async fn read_up_to(
        headers: &HeaderMap,
        body: Body,
        bytes_max: usize,
        time: Duration,
    ) -> Result<Self, Problem> {
        let form_limits = FormLimits { bytes_max, ..SHORT };
        Self::read_within(&form_limits, headers, body, time).await
    }

    /// As [`FormBody::read`], for the long forms of officials.
    ///
    /// # Errors
    /// As [`FormBody::read`].
    pub(crate) async fn read_long(
        headers: &HeaderMap,
        body: Body,
        time: Duration,
    ) -> Result<Self, Problem> {
        Self::read_within(&LONG, headers, body, time).await
    }

    async fn read_within(
        form_limits: &FormLimits,
        headers: &HeaderMap,
        body: Body,
        time: Duration,
    ) -> Result<Self, Problem> {
        check_content_coding(headers)?;
        if !is_form(headers) {
            let rule = field_rules::NOT_FORM_TYPE;
            return Err(Problem::field("Content-Type", rule));
        }
        let body = limits::read(body, form_limits.bytes_max, time).await?;
        stack_used();
        Self::parse(&body, form_limits.fields_max)
            .ok_or_else(|| Problem::field("body", field_rules::NOT_FORM))
    }

    fn parse(body: &[u8], fields_max: usize) -> Option<Self> {
        let pairs = body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
        let mut fields = Vec::new();
        for pair in pairs {
            if fields.len() == fields_max {
                return None;
            }
            let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let value = pair.get(at + 1..).unwrap_or_default();
            fields.push((decoded(&pair[..at])?, decoded(value)?));
        }
        Some(Self(fields))
    }

    /// The form with this encoded body.
    #[cfg(test)]
    pub(crate) fn from_text(body: &str) -> Self {
        Self::parse(body.as_bytes(), LONG.fields_max).expect("a form")
    }

    /// The value of a field. Empty if the field is absent, or is given more than once: no form of
    /// this node does that.
    pub(crate) fn text(&self, name: &str) -> &str {
        let mut values = self.0.iter().filter(|(field, _)| field.as_str() == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => value,
            _ => "",
        }
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

/// Decodes a name or a value (URL Standard, section 5.1). A `%` that begins no encoded byte is
/// kept.
fn decoded(text: &[u8]) -> Option<Zeroizing<String>> {
    // Never longer than its encoding, so that no copy is left behind by a reallocation.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        let (byte, behind) = match (first, behind) {
            (b'+', _) => (b' ', behind),
            (b'%', [high, low, further @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (16 * high + low, further),
                _ => (b'%', behind),
            },
            _ => (*first, behind),
        };
        bytes.push(byte);
        rest = behind;
    }
    let text = std::str::from_utf8(&bytes).ok()?;
    Some(Zeroizing::new(text.to_owned()))
}

fn digit(byte: u8) -> Option<u8> {
    let value = char::from(byte).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: &str, name: &str) -> String {
        FormBody::from_text(body).text(name).to_owned()
    }

    #[test]
    fn fields_are_decoded() {
        let body = "nas=123+456%20789&code=ab-cd&&empty=&bare&%C3%A9=%E2%80%AF";
        assert_eq!(text(body, "nas"), "123 456 789");
        assert_eq!(text(body, "code"), "ab-cd");
        assert_eq!(text(body, "empty"), "");
        assert_eq!(text(body, "bare"), "");
        assert_eq!(text(body, "é"), "\u{202f}");
        assert_eq!(text("a=%&b=%4&c=%zz", "c"), "%zz");
        assert_eq!(text("a=1=2", "a"), "1=2");
        assert_eq!(text("", "a"), "");
    }

    #[test]
    fn a_repeated_field_is_empty() {
        assert_eq!(text("choice=oui&choice=non", "choice"), "");
    }

    #[test]
    fn invalid_utf8_and_too_many_fields_are_refused() {
        assert!(FormBody::parse(b"a=%ff", 16).is_none());
        assert!(FormBody::parse(b"\xff=1", 16).is_none());
        assert!(FormBody::parse("a=1&".repeat(17).as_bytes(), 16).is_none());
        assert!(FormBody::parse("a=1&".repeat(16).as_bytes(), 16).is_some());
    }

    #[tokio::test]
    async fn a_body_of_another_type_is_refused() {
        let time = Duration::from_secs(5);
        let sent = |content_type: &'static str| {
            let value = axum::http::HeaderValue::from_static(content_type);
            HeaderMap::from_iter([(CONTENT_TYPE, value)])
        };
        let form = sent("application/x-www-form-urlencoded; charset=UTF-8");
        assert!(FormBody::read(&form, Body::from("a=1"), time).await.is_ok());
        for (limits, is_read) in [(&SHORT, false), (&LONG, true)] {
            let large = Body::from("a".repeat(SHORT.bytes_max + 1));
            let read = FormBody::read_within(limits, &form, large, time).await;
            assert_eq!(read.is_ok(), is_read);
        }
        let large = Body::from("a".repeat(LONG.bytes_max + 1));
        assert!(FormBody::read_long(&form, large, time).await.is_err());
        for other in ["text/plain", "multipart/form-data; boundary=x", ""] {
            assert!(FormBody::read(&sent(other), Body::from("a=1"), time).await.is_err());
        }
    }
}
