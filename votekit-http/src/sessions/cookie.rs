//! The cookie of a session: its name, its attributes, and how it is found in a request.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

use super::key_ring::SEALED_CHARS;

/// A browser accepts this name only over TLS, for the whole host, and from this host.
const NAME: &str = "__Host-votekit";

/// The name on a listener without TLS, which is reached from its own machine alone: browsers refuse
/// `__Host-` there.
const LOCAL_NAME: &str = "votekit-local";

/// The most cookies of the name that are tried.
const TRIED_MAX: usize = 2;

fn name(is_confidential: bool) -> &'static str {
    if is_confidential { NAME } else { LOCAL_NAME }
}

fn attributes(is_confidential: bool) -> &'static str {
    if is_confidential {
        "; Path=/; Secure; HttpOnly; SameSite=Strict"
    } else {
        "; Path=/; HttpOnly; SameSite=Strict"
    }
}

/// Sets the cookie. It has no lifetime: it ends with the browser's session at the latest.
pub(super) fn set(sealed: &str, is_confidential: bool) -> HeaderValue {
    let text = format!("{}={sealed}{}", name(is_confidential), attributes(is_confidential));
    HeaderValue::try_from(text).expect("base64 is visible ASCII")
}

/// Removes the cookie.
pub(super) fn clear(is_confidential: bool) -> HeaderValue {
    let text = format!("{}={}; Max-Age=0", name(is_confidential), attributes(is_confidential));
    HeaderValue::try_from(text).expect("visible ASCII")
}

/// The values of the cookie in a request, of the right length.
pub(super) fn values(headers: &HeaderMap, is_confidential: bool) -> impl Iterator<Item = &[u8]> {
    let name = name(is_confidential).as_bytes();
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|header| header.as_bytes().split(|byte| *byte == b';'))
        .filter_map(move |pair| {
            let value = pair.trim_ascii().strip_prefix(name)?.strip_prefix(b"=")?;
            (value.len() == SEALED_CHARS).then_some(value)
        })
        .take(TRIED_MAX)
}
