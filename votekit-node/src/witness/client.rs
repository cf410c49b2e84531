//! The HTTP client of one outside witness.

use std::error::Error;
use std::time::Duration;

use reqwest::redirect::Policy;

/// The longest answer read, in bytes. A valid answer has a few lines.
const BODY_MAX: usize = 64 << 10;

/// Timeout of a whole request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends requests to one address.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
}

/// An answer, with any status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClientError {
    /// The client cannot be set up.
    #[error("no HTTP client: {reason}")]
    Setup { reason: String },
    /// The witness was not reached, or broke off.
    #[error("it cannot be reached: {reason}")]
    Unreachable { reason: String },
    /// The answer is not the answer of a witness.
    #[error("its answer has more than {BODY_MAX} bytes")]
    TooLong,
}

impl Client {
    /// A client that posts to this address. It follows no redirection and uses no proxy: the
    /// address is in the file of the authorities.
    pub(crate) fn new(url: String) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(REQUEST_TIMEOUT)
            .build()
            .map_err(|error| ClientError::Setup { reason: innermost(&error) })?;
        Ok(Self { http, url })
    }

    /// Posts a body, and reads the answer.
    pub(crate) async fn post(&self, body: String) -> Result<Answer, ClientError> {
        let unreachable =
            |error: reqwest::Error| ClientError::Unreachable { reason: innermost(&error) };
        let request = self.http.post(&self.url).body(body);
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(part) = response.chunk().await.map_err(unreachable)? {
            if bytes.len() + part.len() > BODY_MAX {
                return Err(ClientError::TooLong);
            }
            bytes.extend_from_slice(&part);
        }
        Ok(Answer { status, body: bytes })
    }
}

/// The innermost cause, since the outermost names only the address.
fn innermost(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    text
}
