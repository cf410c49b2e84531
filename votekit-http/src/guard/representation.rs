//! Cacheable answers: with an entity tag, so that unchanged content is not sent again, and
//! compressed where that saves much.

use std::io::Write as _;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

/// May be cached, but must be revalidated before each use.
pub(crate) const REVALIDATE: &str = "no-cache";

/// Never changes.
pub(crate) const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// For one caller only: no cache may store it.
pub(crate) const UNSTORED: &str = "private, no-store";

/// The content of an answer: bytes of one type, in one coding.
#[derive(Debug, Clone)]
pub(crate) struct Representation {
    bytes: Bytes,
    etag: HeaderValue,
    content_type: &'static str,
    is_gzip: bool,
}

impl Representation {
    /// The bytes, uncompressed.
    pub(crate) fn plain(bytes: impl Into<Bytes>, content_type: &'static str) -> Self {
        Self::new(bytes.into(), content_type, false)
    }

    /// The bytes, compressed.
    pub(crate) fn compressed(bytes: &[u8], content_type: &'static str) -> Self {
        Self::new(gzip(bytes).into(), content_type, true)
    }

    /// The tag covers the bytes as sent: the compressed form has a different one.
    fn new(bytes: Bytes, content_type: &'static str, is_gzip: bool) -> Self {
        let digest = const_hex::encode(&Sha256::digest(&bytes)[..16]);
        let etag = HeaderValue::try_from(format!("\"{digest}\"")).expect("digits are visible");
        Self { bytes, etag, content_type, is_gzip }
    }

    /// Builds the answer: 304 without a body if the client has this representation. `vary` names
    /// the request headers that select the answer.
    pub(crate) fn answer(
        self,
        request: &HeaderMap,
        cache_control: &'static str,
        vary: &'static str,
    ) -> Response<Body> {
        let is_known = matches_tag(request, &self.etag);
        let mut response =
            Response::new(if is_known { Body::empty() } else { Body::from(self.bytes) });
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
        headers.insert(ETAG, self.etag);
        if !vary.is_empty() {
            headers.insert(VARY, HeaderValue::from_static(vary));
        }
        if !is_known {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
            if self.is_gzip {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
        }
        response
    }
}

/// Allows one compression at a time during requests: reading the log must not take the processors
/// from the votes. Concurrent requests get uncompressed bytes.
static COMPRESSOR: Semaphore = Semaphore::const_new(1);

/// Fewer bytes are not worth compressing.
const COMPRESSED_BYTES_MIN: usize = 512;

/// The bytes compressed, if they are long enough, the client accepts this, and no other request is
/// compressing; else uncompressed.
pub(crate) async fn negotiated(
    request: &HeaderMap,
    bytes: Vec<u8>,
    content_type: &'static str,
) -> Representation {
    let bytes = Bytes::from(bytes);
    if bytes.len() >= COMPRESSED_BYTES_MIN
        && accepts_gzip(request)
        && let Ok(permit) = COMPRESSOR.try_acquire()
    {
        let whole = bytes.clone();
        let compressed = tokio::task::spawn_blocking(move || {
            let compressed = Representation::compressed(&whole, content_type);
            drop(permit);
            compressed
        });
        if let Ok(compressed) = compressed.await {
            return compressed;
        }
    }
    Representation::plain(bytes, content_type)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    // The content is mostly hexadecimal hashes: a higher level saves hardly more.
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 2), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes every byte")
}

/// Whether the client accepts gzip (RFC 9110, section 12.5.3).
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut any = false;
    for coding in values.flat_map(|value| value.split(',')) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let is_wanted = weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|q| q > 0.0));
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            return is_wanted;
        }
        any |= name == "*" && is_wanted;
    }
    any
}

/// Whether `If-None-Match` names this tag, by the weak comparison.
fn matches_tag(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let etag = etag.as_bytes();
    headers.get_all(IF_NONE_MATCH).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: axum::http::HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn gzip_is_sent_to_clients_that_accept_it() {
        for taken in ["gzip", "br, GZIP;q=0.5", "*", "deflate, *;q=0.1"] {
            assert!(accepts_gzip(&headers(ACCEPT_ENCODING, &[taken])), "{taken}");
        }
        for refused in ["", "br", "gzip;q=0", "gzip; q=0.000, *", "*;q=0", "identity"] {
            assert!(!accepts_gzip(&headers(ACCEPT_ENCODING, &[refused])), "{refused}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_known_tag_is_answered_without_a_body() {
        let page = || Representation::plain(&b"abc"[..], "text/plain");
        let etag = page().etag;
        let tag = etag.to_str().expect("visible");
        let status = |value: &str| {
            let value = HeaderValue::from_str(value).expect("a value");
            let request = HeaderMap::from_iter([(IF_NONE_MATCH, value)]);
            page().answer(&request, REVALIDATE, "").status().as_u16()
        };
        for known in [tag.to_owned(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            assert_eq!(status(&known), 304, "{known}");
        }
        for other in ["\"x\"", "", tag.trim_matches('"')] {
            assert_eq!(status(other), 200, "{other}");
        }
        let compressed = Representation::compressed(b"abc", "text/plain");
        assert_ne!(compressed.etag, etag, "another coding is another representation");
    }

    #[tokio::test]
    async fn answers_are_sent_uncompressed_while_the_compressor_is_busy() {
        let request = headers(ACCEPT_ENCODING, &["gzip"]);
        let bytes = || vec![b'a'; 4096];
        assert!(negotiated(&request, bytes(), "text/plain").await.is_gzip);
        assert!(!negotiated(&HeaderMap::new(), bytes(), "text/plain").await.is_gzip);
        assert!(!negotiated(&request, vec![b'a'; 10], "text/plain").await.is_gzip);
        let busy = COMPRESSOR.acquire().await.expect("never closed");
        let plain = negotiated(&request, bytes(), "text/plain").await;
        assert!(!plain.is_gzip && plain.bytes == bytes());
        drop(busy);
    }
}
