//! The bearer token of a request (RFC 6750, section 2.1).

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

const BEARER: &[u8] = b"Bearer ";

/// The token in the field `Authorization`, if it is given once and has one.
pub(crate) fn bearer_token(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.as_bytes();
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_at_checked(BEARER.len())?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(BEARER) && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn token(values: &[&'static str]) -> Option<Vec<u8>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        bearer_token(&headers).map(<[u8]>::to_vec)
    }

    #[test]
    fn one_bearer_token_is_found() {
        assert_eq!(token(&["Bearer abc"]).as_deref(), Some(&b"abc"[..]));
        assert_eq!(token(&["bearer  abc "]).as_deref(), Some(&b"abc"[..]));
        for none in [&[][..], &["Bearer "], &["Bearer"], &["Basic abc"], &["abc"], &[""]] {
            assert_eq!(token(none), None, "{none:?}");
        }
        assert_eq!(token(&["Bearer abc", "Bearer abc"]), None, "given twice");
    }
}
