//! The messages in the queues: batches, validated batches, barriers, probes, and notes for
//! reviewers.
//!
//! The bytes of a validated batch are specified in `docs/formats.md`.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, ShortString};
use votekit_core::batch::Batch;
use votekit_core::id::ElectionId;

use super::topology::table;
use crate::Hints;
use crate::services::hints;

/// Message type of a batch.
pub(super) const BATCH: &str = "batch";

/// Message type of a batch with its hints in front.
pub(super) const VALIDATED_BATCH: &str = "validated-batch";

/// Message type of a batch that was not staged.
const REJECTED: &str = "rejected-batch";

/// Message type of a barrier: see [`super::barrier`].
pub(super) const BARRIER: &str = "barrier";

/// Message type of a probe: see [`super::dead_letter_cursor`].
pub(super) const PROBE: &str = "probe";

/// Message type of a note for reviewers.
pub(super) const REVIEW: &str = "review";

/// The header that names the election of a message.
const LAW_ID: &str = "law-id";

const PERSISTENT: u8 = 2;
const MAGIC: &[u8; 8] = b"VKLABEL1";

/// Properties of a message that carries a batch.
pub(super) fn carrying(batch: &Batch, kind: &'static str) -> BasicProperties {
    let properties = persistent(kind, "application/octet-stream")
        .with_message_id(batch.number().to_string().into());
    with_election(properties, &batch.header().law_id)
}

/// Properties of a message that carries a batch that was not staged.
pub(super) fn rejected(batch: &Batch, reason: &str) -> BasicProperties {
    let law_id = batch.header().law_id.as_str();
    let headers = table([
        (LAW_ID, AMQPValue::LongString(law_id.into())),
        ("reason", AMQPValue::LongString(reason.into())),
    ]);
    carrying(batch, REJECTED).with_headers(headers)
}

/// Properties of a message that survives a restart of the broker.
pub(super) fn persistent(kind: &'static str, content_type: &'static str) -> BasicProperties {
    BasicProperties::default()
        .with_type(kind.into())
        .with_content_type(content_type.into())
        .with_delivery_mode(PERSISTENT)
        .with_app_id("votekit".into())
}

/// Whether a message declares this type.
pub(super) fn is_of(properties: &BasicProperties, kind: &str) -> bool {
    properties.kind().as_ref().is_some_and(|found: &ShortString| found.as_str() == kind)
}

/// Encodes a batch with its hints in front.
pub(super) fn write_with_hints(batch: &Batch, hints: &Hints) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MAGIC.len() + 4 + hints.len() + batch.as_bytes().len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&u32::try_from(hints.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(&hints::encode(hints));
    bytes.extend_from_slice(batch.as_bytes());
    bytes
}

/// Decodes a batch with its hints in front, or returns the broken rule.
pub(super) fn read_with_hints(bytes: &[u8]) -> Result<(Batch, Hints), String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("it does not start with VKLABEL1")?;
    let (count, mut rest) = rest.split_first_chunk().ok_or("it is truncated before the hints")?;
    let count = u32::from_be_bytes(*count) as usize;
    if count > Batch::COUNT_MAX {
        return Err(format!("it announces {count} hints"));
    }
    let mut hints = Hints::with_capacity(count);
    for _ in 0..count {
        hints.push(hints::take(&mut rest)?);
    }
    let batch = read_batch(rest)?;
    if count != 0 && count != batch.count() {
        return Err(format!("it has {count} hints for {} envelopes", batch.count()));
    }
    Ok((batch, hints))
}

/// Parses a batch, or returns the broken rule.
pub(super) fn read_batch(bytes: &[u8]) -> Result<Batch, String> {
    Batch::parse(bytes.to_vec()).map_err(|error| error.to_string())
}

/// Parses a batch, with or without hints in front.
pub(super) fn read_batch_of_any_step(bytes: &[u8]) -> Option<Batch> {
    read_batch(bytes).or_else(|_| read_with_hints(bytes).map(|(batch, _)| batch)).ok()
}

/// The properties that name an election.
pub(super) fn with_election(properties: BasicProperties, law_id: &ElectionId) -> BasicProperties {
    let law = AMQPValue::LongString(law_id.as_str().into());
    properties.with_headers(table([(LAW_ID, law)]))
}

/// The election that a message names, if it names one.
pub(super) fn election_of(properties: &BasicProperties) -> Option<ElectionId> {
    match properties.headers().as_ref()?.inner().get(LAW_ID)? {
        AMQPValue::LongString(text) => text.to_string().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
#[path = "message_test.rs"]
mod tests;
