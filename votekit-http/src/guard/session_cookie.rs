//! The cookie of a session: its name, its attributes, and how it is found in a request.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

/// The most cookies of the name that are tried.
const TRIED_MAX: usize = 2;

/// One kind of cookie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionCookie {
    /// The name over TLS: with the prefix `__Host-` a browser accepts it only there, for the whole
    /// host, and from this host.
    name: &'static str,
    /// The name on a listener without TLS, which is reachable only from its own machine: browsers
    /// refuse `__Host-` there.
    local_name: &'static str,
    /// The length of every value.
    chars: usize,
}

impl SessionCookie {
    pub(crate) const fn new(name: &'static str, local_name: &'static str, chars: usize) -> Self {
        Self { name, local_name, chars }
    }

    /// The name, over TLS or without.
    pub(crate) const fn name(&self, is_confidential: bool) -> &'static str {
        if is_confidential { self.name } else { self.local_name }
    }

    /// Sets the cookie. It has no lifetime: it ends with the browser's session at the latest.
    pub(crate) fn set(&self, value: &str, is_confidential: bool) -> HeaderValue {
        let name = self.name(is_confidential);
        let text = format!("{name}={value}{}", attributes(is_confidential));
        HeaderValue::try_from(text).expect("base64 is visible ASCII")
    }

    /// Removes the cookie.
    pub(crate) fn clear(&self, is_confidential: bool) -> HeaderValue {
        let name = self.name(is_confidential);
        let text = format!("{name}={}; Max-Age=0", attributes(is_confidential));
        HeaderValue::try_from(text).expect("visible ASCII")
    }

    /// The values of the cookie in a request, of the right length.
    pub(crate) fn values<'a>(
        &self,
        headers: &'a HeaderMap,
        is_confidential: bool,
    ) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (name, chars) = (self.name(is_confidential).as_bytes(), self.chars);
        headers
            .get_all(COOKIE)
            .iter()
            .flat_map(|header| header.as_bytes().split(|byte| *byte == b';'))
            .filter_map(move |pair| {
                let value = pair.trim_ascii().strip_prefix(name)?.strip_prefix(b"=")?;
                (value.len() == chars).then_some(value)
            })
            .take(TRIED_MAX)
    }
}

fn attributes(is_confidential: bool) -> &'static str {
    if is_confidential {
        "; Path=/; Secure; HttpOnly; SameSite=Strict"
    } else {
        "; Path=/; HttpOnly; SameSite=Strict"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name_and_its_length() {
        let cookie = SessionCookie::new("__Host-votekit", "votekit-local", 4);
        let found = |sent: &'static str| -> Vec<Vec<u8>> {
            let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static(sent))]);
            cookie.values(&headers, true).map(<[u8]>::to_vec).collect()
        };
        assert_eq!(found("a=b; __Host-votekit=abcd;x=y"), [b"abcd"]);
        assert_eq!(found("__Host-votekit=abcd; __Host-votekit=efgh"), [b"abcd", b"efgh"]);
        for other in [
            "__Host-votekit-account=abcd",
            "__Host-votekit=abc",
            "__Host-votekit=abcde",
            "x__Host-votekit=abcd",
            "votekit-local=abcd",
            "",
        ] {
            assert!(found(other).is_empty(), "{other}");
        }
    }
}
