//! Header fields of every answer.

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Response};

/// With the request id, the key to the results of an election that shows them to those who have
/// voted. A header, so that it appears in no log of addresses.
pub(crate) static VOTER_TOKEN: HeaderName = HeaderName::from_static("votekit-voter-token");

/// On every answer that does not set its own value: a client guesses no type and forwards no
/// address, and a browser that shows the answer as a page loads nothing and lets no page frame it.
const ALWAYS: [(HeaderName, &str); 4] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (CACHE_CONTROL, "no-store"),
];

/// One year.
const HSTS: &str = "max-age=31536000";

/// Completes an answer. Only a listener with TLS makes the client require TLS from then on.
pub(crate) fn complete(response: &mut Response<Body>, is_tls: bool) {
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if is_tls {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
}

/// The same fields as text, for answers that are assembled as bytes.
pub(crate) fn as_text(is_tls: bool) -> String {
    let hsts = is_tls.then_some((STRICT_TRANSPORT_SECURITY, HSTS));
    ALWAYS.into_iter().chain(hsts).map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}
