//! The pages that may open a WebSocket. Browsers allow a page of any origin to open a WebSocket and
//! to read its messages.

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

/// Whether a page of the request's origin may open a socket: a page of the host that it calls, or
/// of a configured origin. Programs other than browsers send no origin.
pub(crate) fn is_socket_origin(headers: &HeaderMap, allowed: &[String]) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    let origin = match (origins.next(), origins.next()) {
        (None, _) => return true,
        (Some(origin), None) => origin.as_bytes(),
        _ => return false,
    };
    if allowed.iter().any(|allowed| allowed.as_bytes() == origin) {
        return true;
    }
    // The scheme may differ from the node's own behind a proxy that terminates TLS.
    let host = origin.strip_prefix(b"https://").or_else(|| origin.strip_prefix(b"http://"));
    let called = headers.get(HOST).map(|host| host.as_bytes());
    host.zip(called).is_some_and(|(host, called)| host.eq_ignore_ascii_case(called))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn pages_of_the_same_host_and_of_configured_origins_may_open_a_socket() {
        let allowed = ["https://results.example".to_owned()];
        let is_own = |fields: &[(HeaderName, &'static str)]| {
            let fields =
                fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            is_socket_origin(&fields.collect(), &allowed)
        };
        let host = (HOST, "vote.example:8443");
        assert!(is_own(std::slice::from_ref(&host)), "a program that is not a browser");
        for origin in
            ["https://vote.example:8443", "http://VOTE.example:8443", "https://results.example"]
        {
            assert!(is_own(&[host.clone(), (ORIGIN, origin)]), "{origin}");
        }
        for origin in [
            "null",
            "",
            "https://vote.example",
            "https://vote.example:8443.evil.example",
            "https://evil.example",
            "http://results.example",
            "https://results.example/",
            "file://vote.example:8443",
        ] {
            assert!(!is_own(&[host.clone(), (ORIGIN, origin)]), "{origin}");
        }
        let own = (ORIGIN, "https://vote.example:8443");
        assert!(!is_own(std::slice::from_ref(&own)), "without a host there is nothing to compare");
        assert!(!is_own(&[host, own.clone(), own]), "twice");
    }
}
