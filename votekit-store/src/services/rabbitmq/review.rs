//! Notes for outside auditors about envelopes not expected to be accepted and about refused
//! batches. They contain no choice, no credential hash, no time finer than a minute.

use lapin::BasicProperties;
use serde::Serialize;
use votekit_core::batch::Batch;
use votekit_core::id::Digest;

use super::message::{REVIEW, persistent};
use crate::{Hint, Hints};

/// A note about one batch, as JSON.
#[derive(Debug, Serialize)]
struct Note<'a> {
    format: &'static str,
    /// `unexpected` or `refused`.
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    law_id: Option<&'a str>,
    /// Node, epoch and sequence.
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<String>,
    /// The digest of the batch, or of the whole message when it is not a batch.
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    envelopes: Vec<NotedEnvelope>,
}

#[derive(Debug, Serialize)]
struct NotedEnvelope {
    request_id: String,
    /// `duplicate`, `revoked` or `unknown`.
    expected: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    /// Unix seconds, a whole minute.
    received: u64,
}

/// The note on the envelopes that are not expected to be accepted; `None` if there are none.
pub(super) fn unexpected(batch: &Batch, hints: &Hints) -> Option<(BasicProperties, Vec<u8>)> {
    let envelopes: Vec<NotedEnvelope> = batch
        .envelopes()
        .zip(hints)
        .filter_map(|(envelope, hint)| {
            let (expected, attempt) = match hint {
                Hint::Accepted => return None,
                Hint::Duplicate { attempt } => ("duplicate", Some(*attempt)),
                Hint::Revoked => ("revoked", None),
                Hint::Unknown => ("unknown", None),
            };
            let received = envelope.received.start().0;
            Some(NotedEnvelope {
                request_id: envelope.request.to_string(),
                expected,
                attempt,
                received,
            })
        })
        .collect();
    (!envelopes.is_empty()).then(|| message(&about(batch, "unexpected", None, envelopes)))
}

/// The note on a refused batch.
pub(super) fn refused(batch: &Batch, reason: &str) -> (BasicProperties, Vec<u8>) {
    message(&about(batch, "refused", Some(reason), Vec::new()))
}

/// The note on bytes that are not a batch.
pub(super) fn unreadable(bytes: &[u8], reason: &str) -> (BasicProperties, Vec<u8>) {
    let digest = Digest::compute(bytes).to_string();
    let note = Note {
        format: FORMAT,
        kind: "refused",
        law_id: None,
        batch: None,
        digest,
        reason: Some(reason),
        envelopes: Vec::new(),
    };
    message(&note)
}

const FORMAT: &str = "votekit-review/1";

fn about<'a>(
    batch: &'a Batch,
    kind: &'static str,
    reason: Option<&'a str>,
    envelopes: Vec<NotedEnvelope>,
) -> Note<'a> {
    Note {
        format: FORMAT,
        kind,
        law_id: Some(batch.header().law_id.as_str()),
        batch: Some(batch.number().to_string()),
        digest: batch.digest().to_string(),
        reason,
        envelopes,
    }
}

fn message(note: &Note<'_>) -> (BasicProperties, Vec<u8>) {
    // Strings and numbers always serialize to JSON.
    let json = serde_json::to_vec(note).unwrap_or_default();
    (persistent(REVIEW, "application/json"), json)
}
