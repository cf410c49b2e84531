//! `Idempotency-Key`: makes a retry the same request, on any node.

use std::ops::RangeInclusive;

use axum::http::{HeaderMap, HeaderName};

use crate::problem::Problem;
use crate::problem::catalogue::field_rules;

pub(crate) static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The length of a key, in bytes. A caller with the credential of another elector who guesses the
/// key of that elector's request learns its choice, so a key must not be short.
const LENGTH: RangeInclusive<usize> = 16..=255;

const RULE: &str = field_rules::IDEMPOTENCY_KEY;

/// The key, if one was sent: 16 to 255 visible ASCII characters, bare or as a quoted string of
/// structured fields (RFC 8941). Both forms are the same key if the quoted text needs no escape.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&[u8]>, Problem> {
    let mut values = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::field("Idempotency-Key", field_rules::REPEATED));
    }
    let key = match value.as_bytes() {
        [b'"', inner @ .., b'"'] if !inner.contains(&b'"') && !inner.contains(&b'\\') => inner,
        whole => whole,
    };
    if LENGTH.contains(&key.len()) && key.iter().all(u8::is_ascii_graphic) {
        Ok(Some(key))
    } else {
        Err(Problem::field("Idempotency-Key", RULE))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (IDEMPOTENCY_KEY.clone(), HeaderValue::from_str(value).expect("value")))
            .collect()
    }

    #[test]
    fn a_key_is_bare_or_quoted() {
        for sent in ["8e03978e-40d5-43e8", "\"8e03978e-40d5-43e8\""] {
            assert_eq!(
                idempotency_key(&headers(&[sent])).expect("well formed"),
                Some(&b"8e03978e-40d5-43e8"[..])
            );
        }
        assert_eq!(idempotency_key(&HeaderMap::new()).expect("absent"), None);
    }

    #[test]
    fn anything_else_is_refused() {
        for sent in ["", "\"\"", "two words of a key", &"k".repeat(15), &"k".repeat(256)] {
            assert!(idempotency_key(&headers(&[sent])).is_err(), "{sent}");
        }
        assert!(idempotency_key(&headers(&[&"a".repeat(16), &"b".repeat(16)])).is_err());
        let quoted = format!("\"{}\"", "k".repeat(15));
        assert!(idempotency_key(&headers(&[&quoted])).is_err(), "the quotes are not of the key");
        for length in [16, 255] {
            assert!(idempotency_key(&headers(&[&"k".repeat(length)])).is_ok());
        }
    }
}
