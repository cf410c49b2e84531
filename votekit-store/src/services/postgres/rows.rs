//! Converts columns to the types of the core. A value that does not fit its type is reported as
//! damage, with its place.

use std::sync::Arc;

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use votekit_core::batch::Batch;
use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, NodeId, Sequence};
use votekit_core::log::merkle::TreeHash;

use super::fault::corrupt;
use crate::block_rows::{head_digest, holds_leaves};
use crate::services::hints;
use crate::{EngineError, Head, Staged, StagingId};

/// A number as PostgreSQL stores it, in 63 bits; `None` if it is larger.
pub(super) fn column(number: u64) -> Option<i64> {
    i64::try_from(number).ok()
}

/// The value of a column.
pub(super) fn value<'row, T: FromSql<'row>>(row: &'row Row, name: &str) -> Result<T, EngineError> {
    row.try_get(name).map_err(|error| corrupt(format!("column {name}: {error}")))
}

/// Reads a number that was written by [`column`], or a narrower one.
pub(super) fn number<T: TryFrom<i64>>(row: &Row, name: &str) -> Result<T, EngineError> {
    let found: i64 = value(row, name)?;
    T::try_from(found)
        .map_err(|_| corrupt(format!("column {name} holds {found}, which is not a count")))
}

pub(super) fn fixed_bytes<const LENGTH: usize>(
    row: &Row,
    name: &str,
) -> Result<[u8; LENGTH], EngineError> {
    let bytes: &[u8] = value(row, name)?;
    bytes
        .try_into()
        .map_err(|_| corrupt(format!("column {name} holds {} bytes, not {LENGTH}", bytes.len())))
}

/// Names the table in an error about one of its columns.
pub(super) fn of_table<T>(table: &str, decoded: Result<T, EngineError>) -> Result<T, EngineError> {
    decoded.map_err(|error| match error {
        EngineError::Corrupt { reason, .. } if reason.starts_with("column ") => {
            corrupt(format!("table {table}: {reason}"))
        }
        error => error,
    })
}

pub(super) fn law_id(row: &Row) -> Result<ElectionId, EngineError> {
    value::<&str>(row, "law_id")?
        .parse()
        .map_err(|error| corrupt(format!("table election: {error}")))
}

/// Decodes a head, and verifies its digest.
pub(super) fn head(row: &Row) -> Result<Head, EngineError> {
    of_table("head", decode_head(row))
}

fn decode_head(row: &Row) -> Result<Head, EngineError> {
    let head = Head {
        size: number(row, "size")?,
        height: number(row, "height")?,
        root: TreeHash::from_bytes(fixed_bytes(row, "root")?),
        fence: number(row, "fence")?,
        checkpoint: value(row, "checkpoint")?,
        sealed_through: StagingId(number(row, "sealed_through")?),
        takes_votes: value(row, "takes_votes")?,
    };
    if head_digest(&head).as_bytes() == &fixed_bytes::<32>(row, "digest")? {
        return Ok(head);
    }
    Err(corrupt(format!("table head: the head at {} leaves does not match its digest", head.size)))
}

/// A stored run of leaves.
pub(super) struct LeafRun {
    pub(super) first_leaf: u64,
    pub(super) leaf_count: u32,
    pub(super) bytes: Vec<u8>,
}

/// Decodes a run, and verifies its digest and its number of leaves.
pub(super) fn leaf_run(row: &Row) -> Result<LeafRun, EngineError> {
    of_table("leaves", decode_leaf_run(row))
}

fn decode_leaf_run(row: &Row) -> Result<LeafRun, EngineError> {
    let run = LeafRun {
        first_leaf: number(row, "first_leaf")?,
        leaf_count: number(row, "leaf_count")?,
        bytes: value(row, "bytes")?,
    };
    if Digest::of(&run.bytes).as_bytes() == &fixed_bytes::<32>(row, "digest")?
        && holds_leaves(&run.bytes, run.leaf_count)
    {
        return Ok(run);
    }
    Err(corrupt(format!(
        "table leaves: the run at leaf {} does not match its digest",
        run.first_leaf
    )))
}

/// Decodes a batch that is not purged, and verifies it against its row.
pub(super) fn staged(row: &Row, law: &ElectionId) -> Result<Staged, EngineError> {
    of_table("batch", decode_staged(row, law))
}

fn decode_staged(row: &Row, law: &ElectionId) -> Result<Staged, EngineError> {
    let id = number(row, "id")?;
    let damage = |what: String| corrupt(format!("table batch: batch {id} of {law}: {what}"));
    let batch = Batch::parse(value(row, "bytes")?).map_err(|error| damage(error.to_string()))?;
    let stored = Digest::from_bytes(fixed_bytes(row, "digest")?);
    if batch.digest() != stored {
        return Err(damage(format!("its bytes have digest {}, expected {stored}", batch.digest())));
    }
    if batch.header().law_id != *law {
        return Err(damage(format!("it is a batch of {}", batch.header().law_id)));
    }
    let row_number = BatchNumber {
        node: NodeId::from_bytes(fixed_bytes(row, "node")?),
        epoch: Epoch(number(row, "epoch")?),
        sequence: Sequence(number(row, "sequence")?),
    };
    if batch.number() != row_number {
        return Err(damage(format!("it is batch {}, its row says {row_number}", batch.number())));
    }
    let hints: Option<&[u8]> = value(row, "hints")?;
    let hints = hints::decode(hints.unwrap_or_default())
        .map_err(|rule| damage(format!("its hints cannot be decoded: {rule}")))?;
    Ok(Staged { id: StagingId(id), batch: Arc::new(batch), hints })
}
