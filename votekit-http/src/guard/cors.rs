//! Pages of other origins (the CORS protocol of the Fetch standard): which of them may read the
//! answers of a path, and the header fields that permit it.
//!
//! Every answer to a request has the fields of its path, whether a handler or a check before the
//! router makes it: a refused page must be able to read the reason, and when to retry.
//!
//! No answer allows credentials, so that a browser adds no cookie to such a call: the calls of
//! known origins need a token, which the page must have been given.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

use super::response_headers::VOTER_TOKEN;

const METHODS: &str = "GET, POST, PUT, PATCH, DELETE";
const REQUEST_HEADERS: &str = "authorization, content-type, idempotency-key, if-none-match, prefer";
const RESPONSE_HEADERS: &str = "ETag, Location, Preference-Applied, Retry-After, WWW-Authenticate";
const PUBLIC_RESPONSE_HEADERS: &str = "ETag, Retry-After";

/// How long a browser keeps the answer to a preflight, in seconds.
const MAX_AGE: &str = "600";

/// The pages that may read the answers of a path, besides those of this node. A path with several
/// routes has the widest permission of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OriginAccess {
    /// None.
    OwnOrigin,
    /// Those of the origins in `cors_origins`, which may also send calls with a token.
    KnownOrigins,
    /// Those of every origin: the answers are public.
    AnyOrigin,
    /// Those of every origin, and to a call with a token those of the origins in `cors_origins`:
    /// the answer may be for its sender only.
    AnyOriginOrToken,
}

/// The table path × pages of other origins, of one listener.
#[derive(Clone)]
pub(crate) struct OriginRules(Arc<Rules>);

struct Rules {
    known: Vec<String>,
    paths: matchit::Router<OriginAccess>,
}

impl fmt::Debug for OriginRules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("OriginRules").field("known", &self.0.known).finish_non_exhaustive()
    }
}

impl OriginRules {
    /// The rules for the paths of a router, each given once.
    pub(crate) fn new(
        known: &[String],
        paths: impl IntoIterator<Item = (&'static str, OriginAccess)>,
    ) -> Self {
        let mut table = matchit::Router::new();
        for (path, access) in paths {
            // axum keeps its paths in a table of the same kind.
            table.insert(path, access).expect("the router has accepted the path");
        }
        Self(Arc::new(Rules { known: known.to_vec(), paths: table }))
    }

    /// The permission for the answer to a request with this path and these header fields.
    pub(crate) fn grant(&self, path: &str, headers: &HeaderMap) -> OriginGrant {
        use OriginAccess::{AnyOrigin, AnyOriginOrToken, KnownOrigins, OwnOrigin};
        match self.access(path) {
            KnownOrigins => self.grant_known(headers),
            AnyOriginOrToken if brings_token(headers) => self.grant_known(headers),
            // An answer to a voter's token is not public.
            AnyOrigin | AnyOriginOrToken if !headers.contains_key(&VOTER_TOKEN) => OriginGrant::Any,
            OwnOrigin | AnyOrigin | AnyOriginOrToken => OriginGrant::Nothing,
        }
    }

    fn grant_known(&self, headers: &HeaderMap) -> OriginGrant {
        match self.0.known.is_empty() {
            true => OriginGrant::Nothing,
            false => OriginGrant::Known(self.find(headers)),
        }
    }

    fn access(&self, path: &str) -> OriginAccess {
        match self.0.paths.at(path) {
            Ok(found) => *found.value,
            // The answer to an unknown path says that it is unknown, to those who call beside it.
            Err(_) if path.starts_with("/log/") => OriginAccess::AnyOrigin,
            Err(_) if path.starts_with("/api/") => OriginAccess::KnownOrigins,
            Err(_) => OriginAccess::OwnOrigin,
        }
    }

    /// The origin of a request, if it is a known one. Compared byte by byte: browsers write an
    /// origin in one way.
    fn find(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut values = headers.get_all(ORIGIN).iter();
        let origin = values.next().filter(|_| values.next().is_none())?;
        let is_known = self.0.known.iter().any(|known| known.as_bytes() == origin.as_bytes());
        is_known.then(|| origin.clone())
    }
}

/// Whether a request has a token, or is the preflight of a request with a token.
fn brings_token(headers: &HeaderMap) -> bool {
    let announced = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let mut names = announced.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    headers.contains_key(AUTHORIZATION)
        || names.any(|name| name.trim_ascii().eq_ignore_ascii_case(b"authorization"))
}

/// The permission in one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OriginGrant {
    /// No field.
    Nothing,
    /// Of a path for known origins: the origin of the request, if it is a known origin.
    Known(Option<HeaderValue>),
    /// For every origin.
    Any,
}

impl OriginGrant {
    /// Adds the fields to an answer.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        match self {
            Self::Nothing => {}
            Self::Known(origin) => {
                // Added to every answer, so that no cache returns the answer for one origin to
                // another.
                headers.append(VARY, HeaderValue::from_static("Origin"));
                if let Some(origin) = origin {
                    allow(headers, origin, RESPONSE_HEADERS);
                }
            }
            Self::Any => allow(headers, HeaderValue::from_static("*"), PUBLIC_RESPONSE_HEADERS),
        }
    }
}

fn allow(headers: &mut HeaderMap, origin: HeaderValue, exposed: &'static str) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(exposed));
}

/// Whether a request with this grant is the preflight of a page of a known origin.
pub(crate) fn is_preflight<B>(grant: &OriginGrant, request: &Request<B>) -> bool {
    matches!(grant, OriginGrant::Known(Some(_)))
        && *request.method() == Method::OPTIONS
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight: the requests that a page of a known origin may send.
pub(crate) fn preflight() -> Response<Body> {
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
    use axum::http::HeaderName;

    use super::*;

    fn rules(known: &[&str]) -> OriginRules {
        let known: Vec<String> = known.iter().map(|origin| (*origin).to_owned()).collect();
        OriginRules::new(
            &known,
            [
                ("/api/v1/auth/me", OriginAccess::KnownOrigins),
                ("/api/v1/results", OriginAccess::AnyOrigin),
                ("/api/v1/results/{law_id}", OriginAccess::AnyOriginOrToken),
                ("/api/v1/vote", OriginAccess::OwnOrigin),
                ("/log/{law_id}/tile/{*path}", OriginAccess::AnyOrigin),
                ("/{lang}/elections", OriginAccess::OwnOrigin),
            ],
        )
    }

    fn origins(sent: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for origin in sent {
            headers.append(ORIGIN, HeaderValue::from_static(origin));
        }
        headers
    }

    #[test]
    fn an_origin_is_known_as_a_whole() {
        let rules = rules(&["https://a.example"]);
        let is_known = |sent: &[&'static str]| {
            rules.grant("/api/v1/auth/me", &origins(sent)) != OriginGrant::Known(None)
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

    #[test]
    fn a_path_has_the_pages_of_its_route() {
        let rules = rules(&["https://a.example"]);
        let own = origins(&["https://a.example"]);
        let known = OriginGrant::Known(Some(HeaderValue::from_static("https://a.example")));
        for (path, expected) in [
            ("/api/v1/auth/me", known.clone()),
            ("/api/v1/results/L1", OriginGrant::Any),
            ("/log/L1/tile/0/000", OriginGrant::Any),
            ("/api/v1/vote", OriginGrant::Nothing),
            ("/fr/elections", OriginGrant::Nothing),
            // Unknown paths.
            ("/log/L1/nothing", OriginGrant::Any),
            ("/api/v1/nothing", known),
            ("/nothing", OriginGrant::Nothing),
            ("/api", OriginGrant::Nothing),
        ] {
            assert_eq!(rules.grant(path, &own), expected, "{path}");
        }
        let mut token = HeaderMap::new();
        token.insert(&VOTER_TOKEN, HeaderValue::from_static("00"));
        assert_eq!(rules.grant("/api/v1/results/L1", &token), OriginGrant::Nothing);
    }

    #[test]
    fn an_answer_to_a_token_is_for_known_origins_where_others_are_for_all() {
        let rules = rules(&["https://a.example"]);
        let (one, all) = ("/api/v1/results/L1", "/api/v1/results");
        let field = |name: HeaderName, value: &'static str| (name, HeaderValue::from_static(value));
        let known = OriginGrant::Known(Some(HeaderValue::from_static("https://a.example")));
        for token in [
            field(AUTHORIZATION, "Bearer x"),
            field(ACCESS_CONTROL_REQUEST_HEADERS, "authorization"),
            field(ACCESS_CONTROL_REQUEST_HEADERS, "if-none-match, Authorization"),
        ] {
            for (origin, expected) in
                [("https://a.example", &known), ("https://evil.example", &OriginGrant::Known(None))]
            {
                let mut headers = origins(&[origin]);
                headers.insert(token.0.clone(), token.1.clone());
                assert_eq!(rules.grant(one, &headers), *expected, "{origin} {token:?}");
                assert_eq!(rules.grant(all, &headers), OriginGrant::Any, "it takes no token");
            }
        }
        let mut plain = origins(&["https://evil.example"]);
        plain.insert(ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_static("x-authorization"));
        assert_eq!(rules.grant(one, &plain), OriginGrant::Any);
    }

    #[test]
    fn without_known_origins_no_answer_varies_by_origin() {
        let grant = rules(&[]).grant("/api/v1/auth/me", &origins(&["https://a.example"]));
        assert_eq!(grant, OriginGrant::Nothing);
        let mut headers = HeaderMap::new();
        OriginGrant::Known(None).write(&mut headers);
        assert_eq!(headers.get(VARY), Some(&HeaderValue::from_static("Origin")));
        assert_eq!(headers.len(), 1);
    }
}
