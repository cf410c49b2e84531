//! `Idempotency-Key`: makes a retry the same request, on any node.

use axum::http::{HeaderMap, HeaderName};

use super::problem::Problem;

pub(super) static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The longest key, in bytes.
const LENGTH_MAX: usize = 255;

/// The key, if one was sent: 1 to 255 visible ASCII characters, bare or as a quoted string of
/// structured fields (RFC 8941), which are the same key when what is between the quotes needs no
/// escape.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&[u8]>, Problem> {
    let mut values = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::field("Idempotency-Key", "is given more than once"));
    }
    let key = match value.as_bytes() {
        [b'"', inner @ .., b'"'] if !inner.contains(&b'"') && !inner.contains(&b'\\') => inner,
        whole => whole,
    };
    let length_fits = (1..=LENGTH_MAX).contains(&key.len());
    if length_fits && key.iter().all(u8::is_ascii_graphic) {
        Ok(Some(key))
    } else {
        Err(Problem::field("Idempotency-Key", "has 1 to 255 visible ASCII characters"))
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
        for sent in ["8e03978e-40d5", "\"8e03978e-40d5\""] {
            assert_eq!(
                idempotency_key(&headers(&[sent])).expect("well formed"),
                Some(&b"8e03978e-40d5"[..])
            );
        }
        assert_eq!(idempotency_key(&HeaderMap::new()).expect("absent"), None);
    }

    #[test]
    fn anything_else_is_refused() {
        for sent in ["", "\"\"", "two words", &"k".repeat(256)] {
            assert!(idempotency_key(&headers(&[sent])).is_err(), "{sent}");
        }
        assert!(idempotency_key(&headers(&["a", "b"])).is_err());
        assert!(idempotency_key(&headers(&[&"k".repeat(255)])).is_ok());
    }
}
