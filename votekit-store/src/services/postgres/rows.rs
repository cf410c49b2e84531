//! Converts columns to the types of the core. A value that does not fit its type is reported as
//! damage, with its location.

use std::sync::Arc;

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, NodeId, Sequence};
use votekit_core::log::merkle::TreeHash;

use super::fault::{corrupt, report_passed_over};
pub(super) use crate::block_rows::column;
use crate::block_rows::{LeafRun, verify_batch, verify_head};
use crate::services::hints;
use crate::{EngineError, Head, Hints, Staged, StagingId};

/// The value of a column.
pub(super) fn value<'row, T: FromSql<'row>>(row: &'row Row, name: &str) -> Result<T, EngineError> {
    row.try_get(name).map_err(|error| corrupt(format!("column {name}: {error}")))
}

/// Reads a number that was written by [`column`], or a number of a narrower type.
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
pub(super) fn name_table<T>(
    table: &str,
    decoded: Result<T, EngineError>,
) -> Result<T, EngineError> {
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
    name_table("head", decode_head(row))
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
    verify_head(head, &fixed_bytes(row, "digest")?).map_err(corrupt)
}

/// Decodes a run, and verifies its digest and its number of leaves.
pub(super) fn leaf_run(row: &Row) -> Result<LeafRun, EngineError> {
    name_table("leaves", decode_leaf_run(row))
}

fn decode_leaf_run(row: &Row) -> Result<LeafRun, EngineError> {
    let run = LeafRun {
        first_leaf: number(row, "first_leaf")?,
        leaf_count: number(row, "leaf_count")?,
        bytes: value(row, "bytes")?,
    };
    run.verify(&fixed_bytes(row, "digest")?).map_err(corrupt)
}

/// Decodes a batch that is not purged, and verifies it against its row.
pub(super) fn staged(row: &Row, law: &ElectionId) -> Result<Staged, EngineError> {
    name_table("batch", decode_staged(row, law))
}

fn decode_staged(row: &Row, law: &ElectionId) -> Result<Staged, EngineError> {
    let id = number(row, "id")?;
    let damage = |what: String| corrupt(format!("table batch: batch {id} of {law}: {what}"));
    let number_of_row = BatchNumber {
        node: NodeId::from_bytes(fixed_bytes(row, "node")?),
        epoch: Epoch(number(row, "epoch")?),
        sequence: Sequence(number(row, "sequence")?),
    };
    let digest = Digest::from_bytes(fixed_bytes(row, "digest")?);
    let batch = verify_batch(value(row, "bytes")?, digest, law, number_of_row).map_err(damage)?;
    let hints: Option<&[u8]> = value(row, "hints")?;
    // They have no effect on decisions: wrong ones hide no batch.
    let hints = hints::decode(hints.unwrap_or_default()).unwrap_or_else(|rule| {
        report_passed_over(&format!("table batch: the hints of batch {id} of {law}: {rule}"));
        Hints::new()
    });
    Ok(Staged { id: StagingId(id), batch: Arc::new(batch), hints })
}
