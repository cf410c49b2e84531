//! The bearer token of a request (RFC 6750, section 2.1), and the administrator's token, kept as
//! its digest.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

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

/// SHA-256 of the administrator's token.
pub(crate) struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// Digests a token.
    pub(crate) fn new(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Whether the headers carry the token. The time depends on neither token, as digests of equal
    /// length are compared.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        bearer_token(headers).is_some_and(|token| self.0.ct_eq(&Self::new(token).0).into())
    }
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

    #[test]
    fn only_the_whole_token_is_admitted() {
        let digest = TokenDigest::new(b"0123abcd");
        let admits = |value: &'static str| {
            digest.admits(&HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]))
        };
        assert!(admits("Bearer 0123abcd") && admits("bearer 0123abcd"));
        for other in [
            "Bearer 0123abc",
            "Bearer 0123abcde",
            "Bearer ",
            "Bearer",
            "",
            "Basic 0123abcd",
            "0123abcd",
        ] {
            assert!(!admits(other), "{other}");
        }
        assert!(!digest.admits(&HeaderMap::new()));
    }
}
