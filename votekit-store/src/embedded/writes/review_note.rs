//! Stores a reviewer's remark.

use rusqlite::Connection;
use votekit_core::id::ElectionId;

use crate::ReviewNote;
use crate::embedded::columns::{column, find_or_create_election};
use crate::embedded::fault::{Fault, malformed};
use crate::embedded::writer::Write;

pub(in crate::embedded) struct AddReviewNote {
    pub(in crate::embedded) law_id: ElectionId,
    pub(in crate::embedded) note: ReviewNote,
}

impl Write for AddReviewNote {
    type Output = ();

    fn apply(&self, connection: &Connection) -> Result<(), Fault> {
        let ReviewNote { request, at, by, text } = &self.note;
        if let Some(rule) = self.note.broken_rule() {
            return Err(malformed(&self.law_id, rule).into());
        }
        let at =
            column(at.0).ok_or_else(|| malformed(&self.law_id, "a time is at most 2^63 - 1"))?;
        let election = find_or_create_election(connection, &self.law_id)?;
        connection
            .prepare_cached(
                "INSERT OR IGNORE INTO review_note (election, request, at, by, text) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((election.0, request.as_bytes(), at, by, text))?;
        Ok(())
    }
}
