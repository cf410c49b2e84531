//! Limits on a request before it is parsed: the size of its body, and the time to send it.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::problem::Problem;
use crate::problem::catalogue::field_rules;

/// Reads the whole body, if it is declared as JSON, is small enough and arrives in time. A body
/// whose announced length is too large is refused unread.
pub(crate) async fn read_json(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
    time: Duration,
) -> Result<Bytes, Problem> {
    if !is_json(headers) {
        return Err(Problem::NotJson);
    }
    read(body, bytes_max, time).await
}

/// Reads the whole body, if it is small enough and arrives in time.
pub(crate) async fn read(body: Body, bytes_max: usize, time: Duration) -> Result<Bytes, Problem> {
    let too_large = Problem::BodyTooLarge { bytes_max };
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large);
    }
    match tokio::time::timeout(time, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large),
        Ok(Err(_)) => Err(Problem::field("body", field_rules::ENDED_EARLY)),
        Err(_) => Err(Problem::RequestTimeout),
    }
}

/// Whether the body is declared as `application/json`, with any parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use axum::http::HeaderValue;
    use hyper::body::Frame;

    use super::*;

    fn headers(content_type: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))])
    }

    #[test]
    fn json_is_recognised_with_any_parameters() {
        for known in ["application/json", "Application/JSON ; charset=utf-8"] {
            assert!(is_json(&headers(known)), "{known}");
        }
        for other in ["text/plain", "application/jsonx", "application/x-www-form-urlencoded", ""] {
            assert!(!is_json(&headers(other)), "{other}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused() {
        let time = Duration::from_secs(60);
        assert_eq!(read(Body::from("abc"), 3, time).await.expect("fits"), "abc");
        assert!(matches!(
            read(Body::from("abcd"), 3, time).await,
            Err(Problem::BodyTooLarge { bytes_max: 3 })
        ));
        let pieces = Body::new(Pieces(vec![Bytes::from_static(b"ab"), Bytes::from_static(b"cd")]));
        assert!(matches!(read(pieces, 3, time).await, Err(Problem::BodyTooLarge { .. })));
    }

    /// A body of unannounced length.
    struct Pieces(Vec<Bytes>);

    impl axum::body::HttpBody for Pieces {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Ready(self.0.pop().map(|piece| Ok(Frame::data(piece))))
        }
    }
}
