//! Casts one vote through a node's HTTP API, retrying with the same key on 429 and 503.

use std::time::Duration;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::client::{Answer, Client};
use crate::error::CommandError;
use crate::random::random_bytes;

/// Maximum attempts per vote: enough to outlast a node's restart, yet bounded.
const ATTEMPTS_MAX: u32 = 8;

/// Longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The body of a vote request.
#[derive(Serialize)]
pub(crate) struct Ballot<'a> {
    pub(crate) nas: &'a str,
    pub(crate) code: &'a str,
    pub(crate) law_id: &'a str,
    pub(crate) vote: &'a str,
}

/// A node's answer to a vote.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct VoteAnswer {
    /// Request id, for later queries and the receipt.
    pub(crate) request_id: String,
    /// `pending`, `accepted`, `duplicate` or `invalid`.
    pub(crate) status: String,
    /// Attempt number of a duplicate, from 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) attempt_count: Option<u32>,
    /// Why an invalid vote is invalid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// Casts a vote and waits for the decision. The inner `Err` is the node's refusal.
pub(crate) async fn cast(
    client: &Client,
    ballot: &Ballot<'_>,
    key: &str,
    wait_seconds: u64,
) -> Result<Result<VoteAnswer, Answer>, CommandError> {
    let body = Zeroizing::new(
        serde_json::to_vec(ballot).map_err(|error| CommandError::internal(error.to_string()))?,
    );
    let prefer = format!("wait={wait_seconds}");
    let mut headers = vec![("idempotency-key", key)];
    if wait_seconds > 0 {
        headers.push(("prefer", prefer.as_str()));
    }
    let mut attempt = 1;
    loop {
        let answer =
            client.send(Method::POST, "/api/v1/vote", &headers, Some(body.to_vec())).await?;
        if let 200 | 202 = answer.status {
            let read = serde_json::from_slice(&answer.body);
            return read.map(Ok).map_err(|error| {
                CommandError::configuration(format!(
                    "cannot parse the node's answer to a vote: {error}"
                ))
            });
        }
        if !matches!(answer.status, 429 | 503) || attempt == ATTEMPTS_MAX {
            return Ok(Err(answer));
        }
        attempt += 1;
        tokio::time::sleep(answer.retry_after.unwrap_or(Duration::from_secs(1)).min(PAUSE_MAX))
            .await;
    }
}

/// Generates a random idempotency key.
pub(crate) fn fresh_key() -> Result<String, CommandError> {
    Ok(const_hex::encode(*random_bytes::<16>()?))
}
