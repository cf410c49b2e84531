//! Stores and removes the rows of rounds.

use std::sync::Arc;

use rusqlite::Connection;
use votekit_core::id::{Digest, ElectionId};

use crate::embedded::columns::{TableRow, column, find_election, find_or_create_election};
use crate::embedded::fault::{Fault, malformed_write};
use crate::embedded::leases::LeaseTable;
use crate::embedded::tail::Tail;
use crate::embedded::writer::Write;
use crate::error::NUMBER_RULE;
use crate::round_row::{FAR_TERM_RULE, row_digest};
use crate::{EngineError, NewRow, RowId, RowKind, RowOutcome, TERM_STEP_MAX};

/// Stores a row of a round.
pub(in crate::embedded) struct PutRow {
    row: NewRow,
    digest: Digest,
    height: i64,
    term: i64,
    holder: Option<String>,
    leases: Arc<LeaseTable>,
    tail: Arc<Tail>,
}

impl PutRow {
    /// Makes the checks that do not need the ledger.
    pub(in crate::embedded) fn new(
        row: NewRow,
        holder: Option<&str>,
        leases: Arc<LeaseTable>,
        tail: Arc<Tail>,
    ) -> Result<Self, EngineError> {
        let broken = |rule| malformed_write(row.law_id.as_ref(), rule);
        if let Some(rule) = row.broken_rule() {
            return Err(broken(rule));
        }
        let number = |number| column(number).ok_or_else(|| broken(NUMBER_RULE));
        let (height, term) = (number(row.height)?, number(row.term)?);
        let digest = row_digest(&row.bytes, &row.leaves);
        let holder = holder.map(str::to_owned);
        Ok(Self { row, digest, height, term, holder, leases, tail })
    }
}

impl Write for PutRow {
    type Output = RowOutcome;

    fn apply(&self, connection: &Connection) -> Result<RowOutcome, Fault> {
        let stored = self.find(connection)?;
        if stored.as_ref().is_some_and(|stored| stored.is_whole) {
            return Ok(RowOutcome::Present);
        }
        if self.is_far_ahead() {
            return Err(malformed_write(self.row.law_id.as_ref(), FAR_TERM_RULE).into());
        }
        // Read here, in the writer's thread, where terms begin as well.
        if self.is_late() {
            return Ok(RowOutcome::Late { term: self.leases.term() });
        }
        // A row with this digest and other bytes is damaged, and no reader uses it. This one takes
        // its key, at a position that every reader has yet to read.
        if let Some(StoredRow { id, .. }) = stored {
            connection.prepare_cached("DELETE FROM round_row WHERE id = ?1")?.execute([id])?;
        }
        let Self { row, digest, height, term, .. } = self;
        let law_id = row.law_id.as_ref();
        let election =
            law_id.map(|law_id| find_or_create_election(connection, law_id)).transpose()?;
        connection
            .prepare_cached(
                "INSERT INTO round_row \
                 (kind, authority, election, height, term, digest, bytes, leaves) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute((
                row.kind.as_str(),
                &row.authority,
                election.map(|election| election.0),
                height,
                term,
                digest.as_bytes(),
                &row.bytes,
                &row.leaves,
            ))?;
        Ok(RowOutcome::Stored)
    }

    fn committed(&self, outcome: &RowOutcome, tail: &Tail) {
        if *outcome == RowOutcome::Stored {
            tail.notify_of_row();
        }
    }

    fn bytes(&self) -> usize {
        self.row.bytes.len() + self.row.leaves.len()
    }
}

/// The row that is stored under a key.
struct StoredRow {
    id: i64,
    /// Whether it is the row to store. Otherwise its bytes are not those of its digest.
    is_whole: bool,
}

impl PutRow {
    /// The row that is stored under the key.
    fn find(&self, connection: &Connection) -> Result<Option<StoredRow>, Fault> {
        let election = match &self.row.law_id {
            Some(law_id) => match find_election(connection, law_id)? {
                Some(election) => Some(election.0),
                None => return Ok(None),
            },
            None => None,
        };
        let Self { row, digest, height, term, .. } = self;
        let mut statement = connection.prepare_cached(
            "SELECT id, bytes = ?7 AND leaves = ?8 FROM round_row \
             WHERE coalesce(election, 0) = ?1 AND height = ?2 AND kind = ?3 AND authority = ?4 \
             AND term = ?5 AND digest = ?6",
        )?;
        let mut rows = statement.query((
            election.unwrap_or(0),
            height,
            row.kind.as_str(),
            &row.authority,
            term,
            digest.as_bytes(),
            &row.bytes,
            &row.leaves,
        ))?;
        let found = rows.next()?.map(|row| TableRow::new("round_row", row));
        found.map(|row| Ok(StoredRow { id: row.get(0)?, is_whole: row.get(1)? })).transpose()
    }

    /// Whether a vote, a refusal or a suspicion is of a term that is too far ahead.
    fn is_far_ahead(&self) -> bool {
        let present = self.leases.term().max(self.tail.highest_term());
        !matches!(self.row.kind, RowKind::Proposal | RowKind::Accept)
            && self.row.term > present.saturating_add(TERM_STEP_MAX)
    }

    fn is_late(&self) -> bool {
        let (term, present) = (self.row.term, self.leases.term());
        match (self.row.kind, &self.holder) {
            (RowKind::Proposal, Some(holder)) => !self.leases.leads(holder, term),
            (RowKind::Proposal, None) => term > present,
            (RowKind::Accept, _) => term != present,
            _ => false,
        }
    }
}

/// Removes the rows of an election up to a height, except those that accuse.
pub(in crate::embedded) struct RemoveRows {
    pub(in crate::embedded) law_id: ElectionId,
    pub(in crate::embedded) through_height: u64,
}

impl Write for RemoveRows {
    type Output = ();

    fn apply(&self, connection: &Connection) -> Result<(), Fault> {
        let Some(election) = find_election(connection, &self.law_id)? else { return Ok(()) };
        let height = column(self.through_height).unwrap_or(i64::MAX);
        connection
            .prepare_cached(
                "DELETE FROM round_row WHERE election = ?1 AND height <= ?2 \
                 AND kind IN ('proposal', 'accept', 'cosign')",
            )?
            .execute((election.0, height))?;
        Ok(())
    }
}

/// Removes rows that no round needs any more.
pub(in crate::embedded) struct RemoveOldRows {
    through: i64,
    limit: i64,
    leases: Arc<LeaseTable>,
}

impl RemoveOldRows {
    pub(in crate::embedded) fn new(through: RowId, limit: usize, leases: Arc<LeaseTable>) -> Self {
        let through = column(through.0).unwrap_or(i64::MAX);
        Self { through, limit: i64::try_from(limit).unwrap_or(i64::MAX), leases }
    }
}

impl Write for RemoveOldRows {
    /// How many were removed.
    type Output = u64;

    fn apply(&self, connection: &Connection) -> Result<u64, Fault> {
        let present = column(self.leases.term()).unwrap_or(i64::MAX);
        // The conditions on `later` are those of the index.
        let removed = connection
            .prepare_cached(
                "DELETE FROM round_row WHERE id IN (
                    SELECT id FROM round_row AS one
                    WHERE id <= ?1 AND (
                        kind = 'refuse'
                        OR (kind IN ('vote', 'suspect') AND term < ?2
                            AND (kind = 'suspect' OR EXISTS (
                                SELECT 1 FROM round_row AS later
                                WHERE coalesce(later.election, 0) = 0 AND later.height = 0
                                    AND later.kind = 'vote'
                                    AND later.authority = one.authority
                                    AND later.term > one.term
                            )))
                        OR (kind IN ('proposal', 'accept', 'cosign') AND height <=
                            (SELECT head.height FROM head WHERE head.election = one.election))
                    ) ORDER BY id LIMIT ?3
                )",
            )?
            .execute((self.through, present, self.limit))?;
        Ok(removed as u64)
    }
}
