//! The writes. Each makes all its checks before it changes anything.

mod commit;
mod documents;
mod repair;
mod rounds;
mod witnessed;

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};
use votekit_core::batch::Batch;
use votekit_core::id::{Digest, ElectionId, Epoch, NodeId};

use super::columns::{ElectionRow, column, find_election, find_or_create_election};
use super::fault::{Fault, corrupt, malformed, malformed_write, unavailable};
use super::leases::LeaseTable;
use super::tail::Tail;
use super::writer::Write;
use crate::emptied_row::{report_bytes_restored, report_restaged};
use crate::error::NUMBER_RULE;
use crate::ledger::NEW_TERM_RULE;
use crate::{Conflict, Leadership, StagingId};

pub(super) use self::commit::{Commit, SetTakesVotes};
pub(super) use self::documents::{AddReviewNote, PutManifest, PutNodeRecord, PutSealedKey};
pub(super) use self::repair::DiscardAbove;
pub(super) use self::rounds::{PutRow, RemoveOldRows, RemoveRows};
pub(super) use self::witnessed::PutWitnessLine;

/// Stages a batch.
pub(super) struct Stage {
    pub(super) batch: Arc<Batch>,
    /// Whether other programs may have changed the stored bytes. On a disk of its own, a node
    /// repairs no damage.
    pub(super) is_shared: bool,
}

/// Stages a batch again, above a position.
pub(super) struct Restage {
    pub(super) batch: Arc<Batch>,
    pub(super) above: StagingId,
}

/// The position of a batch, and what this write changed.
pub(super) struct StagedRow {
    pub(super) id: StagingId,
    change: Change,
}

impl StagedRow {
    /// Whether this write assigned the position.
    pub(super) fn is_new(&self) -> bool {
        !matches!(self.change, Change::None)
    }

    /// Brings the tail up to the committed row of a batch. A row that has moved is reported.
    fn committed(&self, batch: &Arc<Batch>, tail: &Tail, report_moved: fn(&Batch)) {
        match self.change {
            Change::None => return,
            Change::Stored => {}
            Change::Moved { from } => {
                report_moved(batch);
                tail.release(&batch.header().law_id, from);
            }
        }
        tail.stage(self.id, batch);
    }
}

/// The change that a write made.
enum Change {
    None,
    /// It stored the batch.
    Stored,
    /// It stored the missing bytes of the batch again, and moved its row from this position.
    Moved {
        from: StagingId,
    },
}

/// The row that is stored under the number of a batch.
struct FoundRow {
    id: StagingId,
    digest: Digest,
    has_bytes: bool,
    /// Whether its bytes differ in the signature alone.
    is_signed_otherwise: bool,
}

impl Write for Stage {
    type Output = StagedRow;

    fn apply(&self, connection: &Connection) -> Result<StagedRow, Fault> {
        let law_id = &self.batch.header().law_id;
        let number = self.batch.number();
        let sequence = sequence_column(&self.batch)?;
        if let Some(election) = find_election(connection, law_id)?
            && let Some(found) = self.find(connection, election, sequence)?
        {
            let FoundRow { id, digest: stored, has_bytes, is_signed_otherwise } = found;
            let offered = self.batch.digest();
            // The log names the signature, and a key can sign a batch twice: what is stored stays.
            if stored == offered && is_signed_otherwise {
                return Err(
                    corrupt(format!("table batch: batch {number} has another signature")).into()
                );
            }
            if stored == offered {
                return match has_bytes {
                    true => Ok(StagedRow { id, change: Change::None }),
                    false => replace(connection, &self.batch, column_of(id)?),
                };
            }
            return Err(
                Conflict::BatchNumber { law_id: law_id.clone(), number, stored, offered }.into()
            );
        }
        let election = find_or_create_election(connection, law_id)?;
        insert(connection, election, &self.batch, sequence)
    }

    fn committed(&self, row: &StagedRow, tail: &Tail) {
        row.committed(&self.batch, tail, report_bytes_restored);
    }

    fn bytes(&self) -> usize {
        self.batch.as_bytes().len()
    }
}

impl Stage {
    fn find(
        &self,
        connection: &Connection,
        election: ElectionRow,
        sequence: i64,
    ) -> Result<Option<FoundRow>, Fault> {
        let number = self.batch.number();
        // The last 64 bytes are the signature, which the digest does not cover.
        let found: Option<(i64, [u8; 32], bool, bool)> = connection
            .prepare_cached(
                "SELECT id, digest, \
                 coalesce(CASE WHEN ?5 THEN bytes = ?6 ELSE length(bytes) > 0 END, 0), \
                 coalesce(?5 AND bytes <> ?6 AND length(bytes) = length(?6) \
                     AND substr(bytes, 1, length(?6) - 64) = substr(?6, 1, length(?6) - 64), 0) \
                 FROM batch WHERE election = ?1 AND node = ?2 AND epoch = ?3 AND sequence = ?4",
            )?
            .query_row(
                (
                    election.0,
                    number.node.as_bytes(),
                    number.epoch.0,
                    sequence,
                    self.is_shared,
                    self.batch.as_bytes(),
                ),
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            )
            .optional()?;
        let Some((id, digest, has_bytes, is_signed_otherwise)) = found else { return Ok(None) };
        let (id, digest) = (staging_id(id)?, Digest::from_bytes(digest));
        Ok(Some(FoundRow { id, digest, has_bytes, is_signed_otherwise }))
    }
}

impl Write for Restage {
    type Output = StagedRow;

    fn apply(&self, connection: &Connection) -> Result<StagedRow, Fault> {
        let batch = &self.batch;
        let (number, sequence) = (batch.number(), sequence_column(batch)?);
        let election = find_or_create_election(connection, &batch.header().law_id)?;
        let found: Option<(i64, bool)> = connection
            .prepare_cached(
                "SELECT id, coalesce(digest = ?5 AND bytes = ?6, 0) FROM batch \
                 WHERE election = ?1 AND node = ?2 AND epoch = ?3 AND sequence = ?4",
            )?
            .query_row(
                (
                    election.0,
                    number.node.as_bytes(),
                    number.epoch.0,
                    sequence,
                    batch.digest().as_bytes(),
                    batch.as_bytes(),
                ),
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        match found {
            None => insert(connection, election, batch, sequence),
            Some((id, true)) if column(self.above.0).is_some_and(|above| id > above) => {
                Ok(StagedRow { id: staging_id(id)?, change: Change::None })
            }
            Some((id, _)) => replace(connection, batch, id),
        }
    }

    fn committed(&self, row: &StagedRow, tail: &Tail) {
        row.committed(&self.batch, tail, report_restaged);
    }

    fn bytes(&self) -> usize {
        self.batch.as_bytes().len()
    }
}

fn sequence_column(batch: &Batch) -> Result<i64, Fault> {
    let rule = || malformed(&batch.header().law_id, NUMBER_RULE);
    Ok(column(batch.number().sequence.0).ok_or_else(rule)?)
}

fn column_of(id: StagingId) -> Result<i64, Fault> {
    Ok(column(id.0).ok_or_else(|| corrupt("table batch: an id is too large"))?)
}

/// Adds the row of a batch.
fn insert(
    connection: &Connection,
    election: ElectionRow,
    batch: &Batch,
    sequence: i64,
) -> Result<StagedRow, Fault> {
    let number = batch.number();
    connection
        .prepare_cached(
            "INSERT INTO batch (election, node, epoch, sequence, digest, bytes) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((
            election.0,
            number.node.as_bytes(),
            number.epoch.0,
            sequence,
            batch.digest().as_bytes(),
            batch.as_bytes(),
        ))?;
    let id = staging_id(connection.last_insert_rowid())?;
    Ok(StagedRow { id, change: Change::Stored })
}

/// Puts a batch into the row that has its number, and the row behind all others.
fn replace(connection: &Connection, batch: &Batch, row: i64) -> Result<StagedRow, Fault> {
    let id: i64 = connection
        .prepare_cached("SELECT max(id, 0) + 1 FROM (SELECT max(id) AS id FROM batch)")?
        .query_row([], |row| row.get(0))?;
    connection
        .prepare_cached("UPDATE batch SET id = ?1, digest = ?2, bytes = ?3 WHERE id = ?4")?
        .execute((id, batch.digest().as_bytes(), batch.as_bytes(), row))?;
    // Another program may have moved the row to a position that no batch has.
    let from = StagingId(u64::try_from(row).unwrap_or(0));
    Ok(StagedRow { id: staging_id(id)?, change: Change::Moved { from } })
}

fn staging_id(row_id: i64) -> Result<StagingId, Fault> {
    let id = u64::try_from(row_id)
        .map_err(|_| corrupt(format!("table batch: a batch has id {row_id}")))?;
    Ok(StagingId(id))
}

/// Allocates the lowest free epoch above one.
pub(super) struct AllocateEpoch {
    pub(super) law_id: ElectionId,
    pub(super) node: NodeId,
    pub(super) above: Epoch,
}

impl Write for AllocateEpoch {
    type Output = Epoch;

    fn apply(&self, connection: &Connection) -> Result<Epoch, Fault> {
        let election = find_or_create_election(connection, &self.law_id)?;
        // The end of the run of allocated epochs after this one.
        let last: Option<i64> = connection
            .prepare_cached(
                "SELECT min(taken.epoch) FROM epoch AS taken \
                 WHERE election = ?1 AND node = ?2 AND epoch > ?3 AND EXISTS \
                 (SELECT 1 FROM epoch WHERE election = ?1 AND node = ?2 AND epoch = ?3 + 1) \
                 AND NOT EXISTS (SELECT 1 FROM epoch AS next WHERE next.election = ?1 \
                 AND next.node = ?2 AND next.epoch = taken.epoch + 1)",
            )?
            .query_row((election.0, self.node.as_bytes(), self.above.0), |row| row.get(0))?;
        let epoch = u32::try_from(last.unwrap_or(self.above.0.into()).saturating_add(1))
            .map_err(|_| unavailable("all epochs of this node are used up"))?;
        connection
            .prepare_cached("INSERT INTO epoch (election, node, epoch) VALUES (?1, ?2, ?3)")?
            .execute((election.0, self.node.as_bytes(), epoch))?;
        Ok(Epoch(epoch))
    }
}

/// Grants or renews the leader lease, in order with the commits: once a new term has begun, no
/// block of an earlier term is stored, not even a block that was queued before.
pub(super) struct AcquireLeadership {
    pub(super) holder: String,
    pub(super) length: Duration,
    pub(super) at_least: u64,
    /// A term whose lease does not last.
    pub(super) passed_over: Option<u64>,
    pub(super) leases: Arc<LeaseTable>,
    pub(super) tail: Arc<Tail>,
}

/// The answer to a request for the leader lease, and whether it begins a term.
pub(super) struct AcquiredLease {
    pub(super) leadership: Leadership,
    begins_term: bool,
}

impl Write for AcquireLeadership {
    type Output = AcquiredLease;

    fn apply(&self, connection: &Connection) -> Result<AcquiredLease, Fault> {
        let Self { holder, length, at_least, passed_over, leases, tail } = self;
        let refused = || malformed_write(None, NEW_TERM_RULE);
        let leadership = leases
            .acquire_leadership(holder, *length, *at_least, *passed_over, tail.highest_term())
            .ok_or_else(refused)?;
        let Leadership::Leading { term } = leadership else {
            return Ok(AcquiredLease { leadership, begins_term: false });
        };
        let term = column(term).ok_or_else(refused)?;
        // Also when the lease was only renewed: the write that began the term may have failed. A
        // term that is stored already changes no row.
        let raised = connection
            .prepare_cached("UPDATE leadership SET term = ?1 WHERE term < ?1")?
            .execute([term])?;
        Ok(AcquiredLease { leadership, begins_term: raised > 0 })
    }

    fn committed(&self, acquired: &AcquiredLease, tail: &Tail) {
        if acquired.begins_term {
            tail.notify_of_leader();
        }
    }
}

/// Batches destroyed by one [`PurgePart`].
const PURGED_BATCHES_MAX: u32 = 256;

/// Destroys evidence in parts, so that writes of other elections can run in between. The last part
/// removes the sealed keys.
pub(super) struct PurgePart {
    pub(super) law_id: ElectionId,
}

impl Write for PurgePart {
    /// The number of batches destroyed; 0 when none is left.
    type Output = u64;

    fn apply(&self, connection: &Connection) -> Result<u64, Fault> {
        let Some(election) = find_election(connection, &self.law_id)? else { return Ok(0) };
        // With `secure_delete`, SQLite overwrites the removed bytes with zeros.
        let destroyed = connection
            .prepare_cached(
                "UPDATE batch SET bytes = NULL WHERE id IN \
                 (SELECT id FROM batch WHERE election = ?1 AND bytes IS NOT NULL \
                 ORDER BY id LIMIT ?2)",
            )?
            .execute((election.0, PURGED_BATCHES_MAX))?;
        if destroyed == 0 {
            connection
                .prepare_cached("DELETE FROM sealed_key WHERE election = ?1")?
                .execute([election.0])?;
        }
        Ok(destroyed as u64)
    }

    fn committed(&self, _destroyed: &u64, tail: &Tail) {
        tail.purge(&self.law_id);
    }
}

/// Rewrites the first page of the database unchanged: only a write shows whether the disk accepts
/// writes.
pub(super) struct Probe;

impl Write for Probe {
    type Output = ();

    fn apply(&self, connection: &Connection) -> Result<(), Fault> {
        // SQLite writes the page with the version even if the version stays the same.
        let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        connection.pragma_update(None, "user_version", version)?;
        Ok(())
    }

    fn always_writes(&self) -> bool {
        true
    }
}
