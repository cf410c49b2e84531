//! The signed statements of this authority, byte for byte: what was signed is sent again as it was.

use rusqlite::Connection;
use votekit_core::id::{Digest, ElectionId};

use super::error::{MemoryError, Stop};
use super::positions::{Election, integer};
use crate::embedded::columns::{self, TableRow, column, find_election, find_or_create_election};
use crate::embedded::fault::{Fault, corrupt};
use crate::embedded::queries::collect;

/// A promise of a leadership.
pub(super) const VOTE: &str = "vote";
/// A block made and accepted.
pub(super) const ACCEPT: &str = "accept";
/// A cosignature: the checkpoint with its line. Its term is 0.
pub(super) const COSIGN: &str = "cosign";
/// A block refused.
pub(super) const REFUSE: &str = "refuse";
/// A leader suspected.
pub(super) const SUSPECT: &str = "suspect";

const KINDS: [&str; 5] = [VOTE, ACCEPT, COSIGN, REFUSE, SUSPECT];

/// The value of the election column for a statement about no election. Rows of elections begin at
/// 1.
const NO_ELECTION: i64 = 0;

/// A statement that this authority has signed, as stored in the memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnStatement {
    /// The election, if the statement is about one.
    pub law_id: Option<ElectionId>,
    /// The height; 0 for a vote and a suspicion.
    pub height: u64,
    /// The term; 0 for a cosignature.
    pub term: u64,
    /// The signed bytes.
    pub bytes: Vec<u8>,
}

/// The key of a statement: its kind and subject.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key<'law> {
    kind: &'static str,
    law_id: Option<&'law ElectionId>,
    height: u64,
    term: u64,
}

impl<'law> Key<'law> {
    /// # Errors
    /// [`MemoryError::Malformed`] for a kind of statement that the memory does not store.
    pub(super) fn new(
        kind: &str,
        law_id: Option<&'law ElectionId>,
        height: u64,
        term: u64,
    ) -> Result<Self, MemoryError> {
        let kind = KINDS
            .into_iter()
            .find(|known| *known == kind)
            .ok_or(MemoryError::Malformed { rule: "a statement is of a known kind" })?;
        Ok(Self { kind, law_id, height, term })
    }

    /// A vote.
    pub(super) fn vote(term: u64) -> Self {
        Self { kind: VOTE, law_id: None, height: 0, term }
    }

    /// An accept.
    pub(super) fn accept(law_id: &'law ElectionId, height: u64, term: u64) -> Self {
        Self { kind: ACCEPT, law_id: Some(law_id), height, term }
    }

    /// A cosignature.
    pub(super) fn cosign(law_id: &'law ElectionId, height: u64) -> Self {
        Self { kind: COSIGN, law_id: Some(law_id), height, term: 0 }
    }

    /// Whether there may be several statements with this key: they bind this authority to nothing.
    /// A leader that proposes two blocks is refused twice.
    pub(super) fn may_repeat(&self) -> bool {
        [REFUSE, SUSPECT].contains(&self.kind)
    }

    fn find_election(&self, connection: &Connection) -> Result<Option<i64>, Fault> {
        match self.law_id {
            None => Ok(Some(NO_ELECTION)),
            Some(law_id) => Ok(find_election(connection, law_id)?.map(|row| row.0)),
        }
    }
}

/// Stores a statement. Storing the same statement again writes nothing.
///
/// # Errors
/// [`MemoryError::OtherStatement`] if another statement with this key is signed, unless its kind
/// allows several.
pub(super) fn put(connection: &Connection, key: Key<'_>, bytes: &[u8]) -> Result<(), Stop> {
    let digest = Digest::compute(bytes);
    if holds(connection, key, &digest)? {
        return Ok(());
    }
    let election = match key.law_id {
        None => NO_ELECTION,
        Some(law_id) => find_or_create_election(connection, law_id)?.0,
    };
    let (height, term) = (integer(key.height)?, integer(key.term)?);
    if !key.may_repeat() {
        let is_signed = connection
            .prepare_cached(
                "SELECT 1 FROM statement \
                 WHERE kind = ?1 AND election = ?2 AND height = ?3 AND term = ?4",
            )?
            .exists((key.kind, election, height, term))?;
        if is_signed {
            return Err(MemoryError::OtherStatement {
                kind: key.kind,
                law_id: key.law_id.cloned(),
                height: key.height,
                term: key.term,
            }
            .into());
        }
    }
    connection
        .prepare_cached(
            "INSERT INTO statement (kind, election, height, term, digest, bytes) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((key.kind, election, height, term, digest.as_bytes(), bytes))?;
    Ok(())
}

/// Whether exactly this statement was signed with this memory. True also for one whose bytes were
/// dropped.
pub(super) fn holds(connection: &Connection, key: Key<'_>, digest: &Digest) -> Result<bool, Fault> {
    let (Some(election), Some(height), Some(term)) =
        (key.find_election(connection)?, column(key.height), column(key.term))
    else {
        return Ok(false);
    };
    let is_held = connection
        .prepare_cached(
            "SELECT 1 FROM statement WHERE kind = ?1 AND election = ?2 AND height = ?3 \
             AND term = ?4 AND digest = ?5",
        )?
        .exists((key.kind, election, height, term, digest.as_bytes()))?;
    Ok(is_held)
}

/// The statement with a key: the first one, if it may repeat. `None` when its bytes were dropped.
pub(super) fn find(connection: &Connection, key: Key<'_>) -> Result<Option<Vec<u8>>, Fault> {
    let (Some(election), Some(height), Some(term)) =
        (key.find_election(connection)?, column(key.height), column(key.term))
    else {
        return Ok(None);
    };
    let mut statement = connection.prepare_cached(
        "SELECT digest, bytes FROM statement WHERE kind = ?1 AND election = ?2 AND height = ?3 \
         AND term = ?4 AND bytes IS NOT NULL ORDER BY id LIMIT 1",
    )?;
    let mut rows = statement.query((key.kind, election, height, term))?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let row = TableRow::new("statement", row);
    Ok(Some(verified(row.get(0)?, row.get(1)?, key.kind)?))
}

/// The last statements of a kind whose bytes are there, in the order in which they were signed.
pub(super) fn last(
    connection: &Connection,
    kind: &str,
    limit: i64,
) -> Result<Vec<OwnStatement>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT law_id, height, term, digest, bytes FROM statement \
         LEFT JOIN election ON election.id = statement.election \
         WHERE kind = ?1 AND bytes IS NOT NULL ORDER BY statement.id DESC LIMIT ?2",
    )?;
    let mut found = collect(statement.query((kind, limit))?, |row| {
        let row = TableRow::new("statement", row);
        let law_id: Option<String> = row.get(0)?;
        Ok(OwnStatement {
            law_id: law_id.as_deref().map(columns::law_id).transpose()?,
            height: row.number(1)?,
            term: row.number(2)?,
            bytes: verified(row.get(3)?, row.get(4)?, kind)?,
        })
    })?;
    found.reverse();
    Ok(found)
}

/// The highest term of each kind of statement that names one.
pub(super) fn highest_terms(connection: &Connection) -> Result<Vec<(&'static str, u64)>, Fault> {
    // The words `term > 0` are those of the index.
    let mut statement = connection
        .prepare_cached("SELECT max(term) FROM statement WHERE kind = ?1 AND term > 0")?;
    let mut terms = Vec::new();
    for kind in KINDS {
        let mut rows = statement.query([kind])?;
        let Some(row) = rows.next()? else { continue };
        let row = TableRow::new("statement", row);
        if row.get::<Option<i64>>(0)?.is_some() {
            terms.push((kind, row.number(0)?));
        }
    }
    Ok(terms)
}

/// Drops the bytes of accepts above one height and through another. Once a block is certified they
/// are of no use; their digests stay.
pub(super) fn drop_accepts(
    connection: &Connection,
    election: Election<'_>,
    above: u64,
    through: u64,
) -> Result<(), Stop> {
    connection
        .prepare_cached(
            "UPDATE statement SET bytes = NULL WHERE kind = ?1 AND election = ?2 \
             AND height > ?3 AND height <= ?4 AND bytes IS NOT NULL",
        )?
        .execute((ACCEPT, election.row.0, integer(above)?, integer(through)?))?;
    Ok(())
}

fn verified(digest: [u8; 32], bytes: Vec<u8>, kind: &str) -> Result<Vec<u8>, Fault> {
    if Digest::compute(&bytes).as_bytes() == &digest {
        return Ok(bytes);
    }
    Err(corrupt(format!("table statement: the bytes of one {kind} do not match their digest"))
        .into())
}
