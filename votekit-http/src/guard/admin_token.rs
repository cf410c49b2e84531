//! The administrator's token, kept as its digest.

use axum::http::HeaderMap;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::guard::bearer_token::bearer_token;

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
    use axum::http::header::AUTHORIZATION;

    use super::*;

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
