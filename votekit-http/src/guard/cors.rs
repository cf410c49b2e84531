//! Calls of pages of other origins (the CORS protocol of the Fetch standard), for the calls with
//! the token of an account: from the origins in `cors_origins` alone.
//!
//! No answer allows credentials, so that a browser adds no cookie to such a call, and none names
//! every origin: a token is all that opens these calls, and a page must have been given one.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use axum::middleware::Next;

const METHODS: &str = "GET, POST, PUT, PATCH, DELETE";
const REQUEST_HEADERS: &str = "authorization, content-type, idempotency-key, if-none-match, prefer";
const RESPONSE_HEADERS: &str = "ETag, Location, Retry-After, WWW-Authenticate";

/// How long a browser keeps the answer to a preflight, in seconds.
const MAX_AGE: &str = "600";

/// The origins whose pages may call.
#[derive(Debug, Clone)]
pub(crate) struct CallingOrigins(Arc<[String]>);

impl CallingOrigins {
    pub(crate) fn new(origins: &[String]) -> Self {
        Self(origins.into())
    }

    /// The origin of a request, if it is one of them. Compared byte by byte: browsers write an
    /// origin in one way.
    fn find(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut values = headers.get_all(ORIGIN).iter();
        let origin = values.next().filter(|_| values.next().is_none())?;
        let is_known = self.0.iter().any(|known| known.as_bytes() == origin.as_bytes());
        is_known.then(|| origin.clone())
    }
}

/// Answers the preflight of a page of a known origin, and lets it read the answers.
pub(crate) async fn calling_origins(
    State(origins): State<CallingOrigins>,
    request: Request,
    next: Next,
) -> Response<Body> {
    if origins.0.is_empty() {
        return next.run(request).await;
    }
    let origin = origins.find(request.headers());
    let is_preflight = *request.method() == Method::OPTIONS
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match &origin {
        Some(_) if is_preflight => preflight(),
        _ => next.run(request).await,
    };
    let headers = response.headers_mut();
    // Of every answer, so that no cache gives one origin the answer for another.
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let exposed = HeaderValue::from_static(RESPONSE_HEADERS);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    response
}

fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS),
        (ACCESS_CONTROL_MAX_AGE, MAX_AGE),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_known_as_a_whole() {
        let origins = CallingOrigins::new(&["https://a.example".to_owned()]);
        let is_known = |sent: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for origin in sent {
                headers.append(ORIGIN, HeaderValue::from_static(origin));
            }
            origins.find(&headers).is_some()
        };
        assert!(is_known(&["https://a.example"]));
        for other in [
            "http://a.example",
            "https://a.example:8443",
            "https://a.example.evil.example",
            "https://A.example",
            "null",
            "*",
            "",
        ] {
            assert!(!is_known(&[other]), "{other}");
        }
        assert!(!is_known(&[]) && !is_known(&["https://a.example", "https://a.example"]));
    }
}
