//! Writes of rounds between several authorities: rows, sealed keys, admitted nodes.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};
use votekit_core::id::ElectionId;

use crate::embedded::columns::column;
use crate::embedded::fault::{Fault, unavailable};
use crate::embedded::leases::LeaseTable;
use crate::embedded::tail::Tail;
use crate::embedded::writer::Write;
use crate::{NewRow, RowKind, RowOutcome};

/// Stores a row, in order with the terms.
pub(in crate::embedded) struct PutRow {
    pub(in crate::embedded) row: NewRow,
    pub(in crate::embedded) holder: Option<String>,
    pub(in crate::embedded) leases: Arc<LeaseTable>,
}

impl Write for PutRow {
    type Output = RowOutcome;

    fn apply(&self, connection: &Connection) -> Result<RowOutcome, Fault> {
        let NewRow { kind, authority, height, term, bytes, leaves, .. } = &self.row;
        let too_large = || Fault::from(unavailable("a number of a row needs more than 63 bits"));
        let height = column(*height).ok_or_else(too_large)?;
        let term_column = column(*term).ok_or_else(too_large)?;
        let variant = self.row.variant();
        let key = (kind.as_str(), authority, self.row.law(), height, term_column, &variant);
        let found: Option<Vec<u8>> = connection
            .prepare_cached(
                "SELECT bytes FROM round_row WHERE kind = ?1 AND authority = ?2 AND law_id = ?3 \
                 AND height = ?4 AND term = ?5 AND variant = ?6",
            )?
            .query_row(key, |row| row.get(0))
            .optional()?;
        if let Some(found) = found {
            return Ok(match found == *bytes {
                true => RowOutcome::Present,
                false => RowOutcome::Other { bytes: found },
            });
        }
        let present = self.leases.term();
        let is_late = match (kind, &self.holder) {
            (RowKind::Accept, _) => *term != present,
            (RowKind::Proposal, Some(holder)) => !self.leases.is_leader(holder, *term),
            (RowKind::Proposal, None) => *term > present,
            _ => false,
        };
        if is_late {
            return Ok(RowOutcome::Late { term: present });
        }
        connection
            .prepare_cached(
                "INSERT INTO round_row \
                 (kind, authority, law_id, height, term, variant, bytes, leaves) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute((
                kind.as_str(),
                authority,
                self.row.law(),
                height,
                term_column,
                &variant,
                bytes,
                leaves,
            ))?;
        Ok(RowOutcome::Stored)
    }

    fn committed(&self, outcome: &RowOutcome, tail: &Tail) {
        if *outcome == RowOutcome::Stored {
            tail.notify();
        }
    }

    fn bytes(&self) -> usize {
        self.row.bytes.len() + self.row.leaves.len()
    }
}

/// Removes the rows of blocks that are in the log.
pub(in crate::embedded) struct RemoveRows {
    pub(in crate::embedded) law_id: ElectionId,
    pub(in crate::embedded) height: u64,
}

impl Write for RemoveRows {
    type Output = ();

    fn apply(&self, connection: &Connection) -> Result<(), Fault> {
        let height = column(self.height).unwrap_or(i64::MAX);
        connection
            .prepare_cached(
                "DELETE FROM round_row WHERE law_id = ?1 AND height <= ?2 \
                 AND kind IN ('proposal', 'accept', 'cosign')",
            )?
            .execute((self.law_id.as_str(), height))?;
        Ok(())
    }
}

/// Stores a sealed key.
pub(in crate::embedded) struct PutSealedKey {
    pub(in crate::embedded) law_id: ElectionId,
    pub(in crate::embedded) recipient: [u8; 32],
    pub(in crate::embedded) sealed: Vec<u8>,
}

impl Write for PutSealedKey {
    type Output = ();

    fn apply(&self, connection: &Connection) -> Result<(), Fault> {
        connection
            .prepare_cached(
                "INSERT INTO sealed_key (law_id, recipient, sealed) VALUES (?1, ?2, ?3) \
                 ON CONFLICT DO NOTHING",
            )?
            .execute((self.law_id.as_str(), &self.recipient, &self.sealed))?;
        Ok(())
    }
}

/// Stores the record of an admitted node.
pub(in crate::embedded) struct PutNodeRecord {
    pub(in crate::embedded) name: String,
    pub(in crate::embedded) record: Vec<u8>,
}

impl Write for PutNodeRecord {
    type Output = ();

    fn apply(&self, connection: &Connection) -> Result<(), Fault> {
        connection
            .prepare_cached(
                "INSERT INTO node_record (name, record) VALUES (?1, ?2) \
                 ON CONFLICT (name) DO UPDATE SET record = excluded.record",
            )?
            .execute((&self.name, &self.record))?;
        Ok(())
    }
}
