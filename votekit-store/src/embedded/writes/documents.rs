//! Stores documents of officials, reviewers and nodes.

use rusqlite::Connection;
use votekit_core::id::{Digest, ElectionId};

use crate::ReviewNote;
use crate::embedded::columns::{column, find_or_create_election};
use crate::embedded::fault::{Fault, malformed, malformed_write};
use crate::embedded::writer::Write;
use crate::error::NUMBER_RULE;
use crate::ledger::broken_name_rule;

/// Stores a reviewer's remark.
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
        let at = column(at.0).ok_or_else(|| malformed(&self.law_id, NUMBER_RULE))?;
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

/// Stores a manifest.
pub(in crate::embedded) struct PutManifest {
    pub(in crate::embedded) bytes: Vec<u8>,
}

impl Write for PutManifest {
    type Output = Digest;

    fn apply(&self, connection: &Connection) -> Result<Digest, Fault> {
        let digest = Digest::of(&self.bytes);
        connection
            .prepare_cached(
                "INSERT INTO manifest (digest, bytes) VALUES (?1, ?2) \
                 ON CONFLICT (digest) DO NOTHING",
            )?
            .execute((digest.as_bytes(), &self.bytes))?;
        Ok(digest)
    }

    fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// Stores the keys of an election as encrypted to one recipient.
pub(in crate::embedded) struct PutSealedKey {
    pub(in crate::embedded) law_id: ElectionId,
    pub(in crate::embedded) recipient: [u8; 32],
    pub(in crate::embedded) bytes: Vec<u8>,
}

impl Write for PutSealedKey {
    type Output = ();

    fn apply(&self, connection: &Connection) -> Result<(), Fault> {
        let election = find_or_create_election(connection, &self.law_id)?;
        connection
            .prepare_cached(
                "INSERT INTO sealed_key (election, recipient, bytes) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (election, recipient) DO UPDATE SET bytes = excluded.bytes",
            )?
            .execute((election.0, &self.recipient, &self.bytes))?;
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// Stores what a node states of itself.
pub(in crate::embedded) struct PutNodeRecord {
    pub(in crate::embedded) name: String,
    pub(in crate::embedded) bytes: Vec<u8>,
}

impl Write for PutNodeRecord {
    type Output = ();

    fn apply(&self, connection: &Connection) -> Result<(), Fault> {
        if let Some(rule) = broken_name_rule(&self.name) {
            return Err(malformed_write(None, rule).into());
        }
        connection
            .prepare_cached(
                "INSERT INTO node_record (name, bytes) VALUES (?1, ?2) \
                 ON CONFLICT (name) DO UPDATE SET bytes = excluded.bytes",
            )?
            .execute((&self.name, &self.bytes))?;
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.bytes.len()
    }
}
