//! Stores the cosignatures of outside witnesses.

use rusqlite::Connection;
use votekit_core::id::ElectionId;

use crate::embedded::columns::{column, find_or_create_election};
use crate::embedded::fault::{Fault, malformed};
use crate::embedded::writer::Write;
use crate::error::NUMBER_RULE;
use crate::{EngineError, WitnessLine};

/// Stores a line, replaces another line of the same witness over the same head, and removes the
/// lines of that witness over smaller trees except the newest. Lines over larger trees are not
/// counted, because another program may have invented them.
pub(in crate::embedded) struct PutWitnessLine {
    law_id: ElectionId,
    line: WitnessLine,
    height: i64,
    size: i64,
}

impl PutWitnessLine {
    /// Makes the checks that do not need the ledger.
    pub(in crate::embedded) fn new(
        law_id: &ElectionId,
        line: &WitnessLine,
    ) -> Result<Self, EngineError> {
        if let Some(rule) = line.broken_rule() {
            return Err(malformed(law_id, rule));
        }
        let number = |number| column(number).ok_or_else(|| malformed(law_id, NUMBER_RULE));
        let (height, size) = (number(line.height)?, number(line.size)?);
        Ok(Self { law_id: law_id.clone(), line: line.clone(), height, size })
    }
}

impl Write for PutWitnessLine {
    type Output = ();

    fn apply(&self, connection: &Connection) -> Result<(), Fault> {
        let Self { law_id, line, height, size } = self;
        let election = find_or_create_election(connection, law_id)?;
        connection
            .prepare_cached(
                "INSERT INTO witness_line (election, witness, size, root, height, line) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (election, witness, size, root) \
                 DO UPDATE SET height = excluded.height, line = excluded.line",
            )?
            .execute((election.0, &line.witness, size, line.root.as_bytes(), height, &line.line))?;
        connection
            .prepare_cached(
                "DELETE FROM witness_line WHERE election = ?1 AND witness = ?2 AND size < \
                 (SELECT size FROM witness_line WHERE election = ?1 AND witness = ?2 \
                 AND size <= ?4 ORDER BY size DESC LIMIT 1 OFFSET ?3)",
            )?
            .execute((election.0, &line.witness, WitnessLine::KEPT_PER_WITNESS as i64 - 1, size))?;
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.line.line.len()
    }
}
