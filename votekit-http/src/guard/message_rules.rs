//! Rules of HTTP that hyper leaves to the server: `Host` (RFC 9112, section 3.2), transfer codings
//! (section 6.1), content codings (RFC 9110, section 8.4). Also the answers to messages that hyper
//! cannot parse.

use axum::body::Body;
use axum::http::header::{CONTENT_ENCODING, HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, Request, Response, Version};
use axum::response::IntoResponse as _;
use hyper::StatusCode;

use crate::guard::response_headers;
use crate::problem::catalogue::field_rules;
use crate::problem::{self, Problem};

/// Answers a request that breaks a message rule; `None` for all others.
pub(crate) fn refuse_message<B>(request: &Request<B>) -> Option<Response<Body>> {
    check_host(request)
        .and_then(|()| check_transfer_coding(request.headers()))
        .err()
        .map(Problem::into_response)
}

/// Requires one `Host` in HTTP/1.1, at most one in HTTP/1.0.
fn check_host<B>(request: &Request<B>) -> Result<(), Problem> {
    let wrong = |rule| Err(Problem::Framing { field: "Host", rule });
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() == Version::HTTP_10 => Ok(()),
        (None, _) => wrong(field_rules::MISSING),
        (Some(_), Some(_)) => wrong(field_rules::REPEATED),
        (Some(host), None) if host.as_bytes().iter().all(is_authority_byte) => Ok(()),
        (Some(_), None) => wrong(field_rules::HOST),
    }
}

/// Bytes of `uri-host [ ":" port ]` (RFC 3986, sections 3.2.2 and 3.2.3): no user information, no
/// space, no comma that would be a second host.
fn is_authority_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(byte)
}

/// Allows only `chunked`. hyper has already refused a body whose last coding is not `chunked`; this
/// check refuses a body with another coding before it.
fn check_transfer_coding(headers: &HeaderMap) -> Result<(), Problem> {
    let mut values = headers.get_all(TRANSFER_ENCODING).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Problem::TransferCoding),
    }
}

/// Requires a body without content coding.
pub(crate) fn check_content_coding(headers: &HeaderMap) -> Result<(), Problem> {
    let is_identity = |coding: &[u8]| {
        let coding = coding.trim_ascii();
        coding.is_empty() || coding.eq_ignore_ascii_case(b"identity")
    };
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    if codings.all(|value| value.as_bytes().split(|byte| *byte == b',').all(is_identity)) {
        Ok(())
    } else {
        Err(Problem::ContentCoding)
    }
}

/// A complete answer, as bytes, to a message that cannot be parsed, instead of hyper's own, which
/// has no body. `None` for a status that hyper does not use for such messages.
pub(crate) fn unreadable_message(status: StatusCode, is_tls: bool) -> Option<Vec<u8>> {
    let problem = match status {
        StatusCode::BAD_REQUEST => {
            let rule = field_rules::NOT_HTTP;
            Problem::Framing { field: "request", rule }
        }
        StatusCode::URI_TOO_LONG => Problem::UriTooLong,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Problem::HeadersTooLarge,
        _ => return None,
    };
    Some(closing_answer(status, problem, "", is_tls))
}

/// A complete answer after which the connection is closed, as bytes. `more` contains further header
/// fields, each with its line end.
pub(crate) fn closing_answer(
    status: StatusCode,
    problem: Problem,
    more: &str,
    is_tls: bool,
) -> Vec<u8> {
    let body = problem.into_body();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\n{}{more}connection: close\r\ncontent-length: {}\r\n\r\n",
        response_headers::as_text(is_tls),
        body.len()
    );
    [head.as_bytes(), &body].concat()
}

/// The answer to a connection over its address's share, before it is closed: complete, as bytes.
/// Only a listener without TLS can send it.
pub(crate) fn too_many_connections() -> Vec<u8> {
    closing_answer(
        StatusCode::SERVICE_UNAVAILABLE,
        Problem::TooManyConnections,
        &format!("retry-after: {}\r\n", problem::CONNECTIONS_RETRY_AFTER.as_secs()),
        false,
    )
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn status(version: Version, headers: &[(&'static str, &'static str)]) -> Option<u16> {
        let mut request = Request::new(());
        *request.version_mut() = version;
        for (name, value) in headers {
            request
                .headers_mut()
                .append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        refuse_message(&request).map(|answer| answer.status().as_u16())
    }

    #[test]
    fn a_message_has_one_host() {
        for host in ["vote.example", "vote.example:8443", "127.0.0.1:80", "[::1]:80", ""] {
            assert_eq!(status(Version::HTTP_11, &[("host", host)]), None, "{host}");
        }
        for host in ["a, b", "a b", "user@a", "a/b", "é"] {
            assert_eq!(status(Version::HTTP_11, &[("host", host)]), Some(400), "{host}");
        }
        assert_eq!(status(Version::HTTP_11, &[]), Some(400));
        assert_eq!(status(Version::HTTP_11, &[("host", "a"), ("host", "a")]), Some(400));
        assert_eq!(status(Version::HTTP_10, &[]), None);
        assert_eq!(status(Version::HTTP_10, &[("host", "a"), ("host", "a")]), Some(400));
    }

    #[test]
    fn a_body_is_chunked_and_nothing_else() {
        let coded = |codings: &[&'static str]| {
            let codings = codings.iter().map(|coding| ("transfer-encoding", *coding));
            status(
                Version::HTTP_11,
                &[("host", "a")].into_iter().chain(codings).collect::<Vec<_>>(),
            )
        };
        assert_eq!(coded(&["chunked"]), None);
        assert_eq!(coded(&["Chunked"]), None);
        for codings in
            [&["gzip, chunked"][..], &["gzip", "chunked"], &["chunked, chunked"], &["identity"]]
        {
            assert_eq!(coded(codings), Some(501), "{codings:?}");
        }
    }

    #[test]
    fn a_content_coding_is_refused() {
        let coded = |coding: &'static str| {
            let headers =
                HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(coding))]);
            check_content_coding(&headers).is_ok()
        };
        assert!(coded("identity") && coded("Identity") && coded("") && coded("identity, identity"));
        assert!(check_content_coding(&HeaderMap::new()).is_ok());
        for other in ["gzip", "br", "identity, gzip", "x"] {
            assert!(!coded(other), "{other}");
        }
    }
}
