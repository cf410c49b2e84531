//! The memory of an authority in one SQLite file: everything that it has signed and must not
//! contradict.
//!
//! ```text
//! vote, accept, cosign ──▶ AuthorityMemory ──one synced transaction──▶ memory.sqlite
//!                               │ Ok                                     ▲
//!                               ▼                              checkpointer
//!                      the statement leaves
//! ```
//!
//! A statement is published only after the call that records it has returned. The memory also
//! refuses records that contradict it, although the guards of the rounds have already checked them:
//! a second line of defence against a fault in the code between guards and memory. It belongs to
//! one set of keys, and must never be restored from a copy: a copy does not contain what was signed
//! since.

mod error;
mod positions;
mod batches;
mod blocks;
mod files;
mod database;
mod documents;
mod statements;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use votekit_core::authority::{AcceptedBlock, LogPoint, TermLeader};
use votekit_core::batch::Batch;
use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, NodeId, Sequence};

use self::database::Database;
use self::error::Stop;
use self::positions::{AuthorityRow, Election};
use self::statements::Key;
use super::columns::column;
use super::fault::Fault;
use crate::{EngineError, StoredBlock};

pub use self::batches::OtherBatch;
pub use self::blocks::MemoryBlock;
pub use self::documents::SealedKey;
pub use self::error::MemoryError;
pub use self::statements::OwnStatement;

/// The recorded state of one election: the last certified position; the block accepted above it;
/// the position cosigned above it.
pub type ElectionPosition = (ElectionId, Option<LogPoint>, Option<AcceptedBlock>, Option<LogPoint>);

/// The part of the memory that the guards of the rounds read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoundMemoryRows {
    /// The leadership of the last vote.
    pub promise: Option<TermLeader>,
    /// One entry an election, in ascending order of their ids.
    pub elections: Vec<ElectionPosition>,
}

/// The memory of one authority, held by one process.
///
/// Calls block until the disk has synced. A call that returns `Ok` is durable; after a failed
/// commit every later call returns that [`MemoryError::Fatal`], and the process must stop.
pub struct AuthorityMemory {
    database: Database,
    incarnation: u64,
}

impl AuthorityMemory {
    /// Creates an empty memory in a folder, and the folder if needed. Only for new keys.
    ///
    /// ```
    /// use votekit_store::memory::AuthorityMemory;
    /// # let folder = tempfile::tempdir()?;
    /// AuthorityMemory::create(folder.path())?;
    /// let memory = AuthorityMemory::open(folder.path())?;
    /// assert_eq!(memory.incarnation(), 1);
    /// assert!(memory.state()?.promise.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`EngineError::Misconfigured`] if there is one already; [`EngineError::Unavailable`] when
    /// the file system refuses.
    pub fn create(folder: &Path) -> Result<(), EngineError> {
        database::create(folder)
    }

    /// Opens the memory in a folder and takes its lock. The incarnation is one higher than before,
    /// durably.
    ///
    /// # Errors
    /// [`MemoryError::Missing`], [`MemoryError::NoDatabase`], [`MemoryError::InUse`];
    /// [`MemoryError::Damaged`] for damage and for a foreign file; [`MemoryError::Unavailable`]
    /// when a newer version wrote it, or when the file system refuses.
    pub fn open(folder: &Path) -> Result<Self, MemoryError> {
        let database = Database::open(folder)?;
        // Reads what the guards read, and so verifies it.
        database.read(read_state)?;
        let incarnation = database.write(next_incarnation)?;
        Ok(Self { database, incarnation })
    }

    /// How many times this memory was opened, this time included.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The recorded promise, and the accepted, cosigned and certified positions.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn state(&self) -> Result<RoundMemoryRows, MemoryError> {
        self.database.read(read_state)
    }

    /// Records a vote: the promise to accept only blocks of this leadership.
    ///
    /// # Errors
    /// [`MemoryError::LowerPromise`] for an earlier term or for another leader of the promised one,
    /// [`MemoryError::OtherStatement`] for a second vote of one term.
    pub fn record_vote(
        &self,
        leadership: &TermLeader,
        statement: &[u8],
    ) -> Result<(), MemoryError> {
        self.database.write(|connection| {
            let mut authority = AuthorityRow::read(connection)?;
            if let Some(promised) = &authority.promise
                && (leadership.term < promised.term
                    || (leadership.term == promised.term && leadership.leader != promised.leader))
            {
                let (offered, promised) = (leadership.clone(), promised.clone());
                return Err(MemoryError::LowerPromise { offered, promised }.into());
            }
            statements::put(connection, Key::vote(leadership.term), statement)?;
            authority.promise = Some(leadership.clone());
            authority.write(connection)
        })
    }

    /// Records an accept, with the block and its batches. Returns the batches under whose number
    /// another batch is already stored; these are stored too, as evidence.
    ///
    /// # Errors
    /// [`MemoryError::NotPromised`] unless its term is the promised one, [`MemoryError::Settled`]
    /// at or below the certified height, [`MemoryError::OtherCosigned`],
    /// [`MemoryError::OtherStatement`] for a second accept in one term, [`MemoryError::Malformed`].
    pub fn record_accepted(
        &self,
        law_id: &ElectionId,
        accepted: &AcceptedBlock,
        block: &StoredBlock,
        batches: &[Arc<Batch>],
        statement: &[u8],
    ) -> Result<Vec<OtherBatch>, MemoryError> {
        let AcceptedBlock { term, point } = *accepted;
        blocks::check(law_id, &point, block, batches)?;
        let others = self.database.write(|connection| {
            // A vote for a later term may have been recorded since the guard was asked.
            let promised = AuthorityRow::read(connection)?.promise.map(|promise| promise.term);
            if promised != Some(term) {
                return Err(MemoryError::NotPromised { term, promised }.into());
            }
            let election = Election::find_or_create(connection, law_id)?;
            let certified = positions::last_certified(connection, election)?;
            check_unsettled(law_id, point.height, certified)?;
            positions::check_cosigned(connection, election, &point)?;
            statements::put(connection, Key::accept(law_id, point.height, term), statement)?;
            let others = blocks::put(connection, election, &point, block, batches)?;
            positions::put_accepted(connection, election, accepted)?;
            Ok(others)
        })?;
        report(law_id, &others);
        Ok(others)
    }

    /// Records a cosignature of a position: the checkpoint with the line of this authority, as
    /// published.
    ///
    /// # Errors
    /// [`MemoryError::OtherCosigned`] or [`MemoryError::OtherCertified`] for a second root at one
    /// height, [`MemoryError::Settled`] below the certified height, [`MemoryError::OtherStatement`]
    /// for a second line.
    pub fn record_cosigned(
        &self,
        law_id: &ElectionId,
        point: &LogPoint,
        cosigned: &[u8],
    ) -> Result<(), MemoryError> {
        self.database.write(|connection| {
            let election = Election::find_or_create(connection, law_id)?;
            let is_cosigned = positions::check_cosigned(connection, election, point)?;
            if !positions::check_certified(connection, election, point)? {
                let certified = positions::last_certified(connection, election)?;
                check_unsettled(law_id, point.height, certified)?;
            }
            statements::put(connection, Key::cosign(law_id, point.height), cosigned)?;
            if !is_cosigned {
                positions::put_cosigned(connection, election, point)?;
            }
            Ok(())
        })
    }

    /// Records that a block is certified, with its certificate; the block and its batches too,
    /// unless they are stored. Heights may be skipped, and recorded later. Returns the batches
    /// under whose number another batch is already stored.
    ///
    /// Bytes of own accepts up to this height are dropped. Cosignatures stay: they are evidence.
    ///
    /// # Errors
    /// [`MemoryError::OtherCosigned`] or [`MemoryError::OtherCertified`] for another root at this
    /// height: the log has forked. [`MemoryError::Malformed`].
    pub fn record_certified(
        &self,
        law_id: &ElectionId,
        point: &LogPoint,
        block: &StoredBlock,
        batches: &[Arc<Batch>],
        checkpoint: &[u8],
    ) -> Result<Vec<OtherBatch>, MemoryError> {
        blocks::check(law_id, point, block, batches)?;
        let others = self.database.write(|connection| {
            let election = Election::find_or_create(connection, law_id)?;
            positions::check_cosigned(connection, election, point)?;
            if positions::check_certified(connection, election, point)? {
                return Ok(Vec::new());
            }
            let last = positions::last_certified(connection, election)?;
            let (last_height, last_size) = last.map_or((0, 0), |last| (last.height, last.size));
            if point.height == last_height + 1 && block.first_leaf != last_size {
                return Err(MemoryError::Malformed {
                    rule: "a block begins where the block before it ends",
                }
                .into());
            }
            let others = blocks::put(connection, election, point, block, batches)?;
            positions::put_certified(connection, election, point, checkpoint)?;
            statements::drop_accepts(connection, election, last_height, point.height)?;
            positions::drop_accepted(connection, election, point.height)?;
            Ok(others)
        })?;
        report(law_id, &others);
        Ok(others)
    }

    /// Records a refusal (`refuse`) or a suspicion (`suspect`). Several statements with the same
    /// key are kept.
    ///
    /// # Errors
    /// [`MemoryError::Malformed`] for another kind of statement: those are recorded together with
    /// the state that they bind.
    pub fn record_other_statement(
        &self,
        kind: &str,
        law_id: Option<&ElectionId>,
        height: u64,
        term: u64,
        statement: &[u8],
    ) -> Result<(), MemoryError> {
        let key = Key::new(kind, law_id, height, term)?;
        if !key.may_repeat() {
            return Err(MemoryError::Malformed {
                rule: "only `refuse` and `suspect` bind nothing",
            });
        }
        self.database.write(|connection| statements::put(connection, key, statement))
    }

    /// Records batches seen in staging. Returns those that were seen before with another digest.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn record_observed(
        &self,
        law_id: &ElectionId,
        seen: &[(BatchNumber, Digest)],
    ) -> Result<Vec<OtherBatch>, MemoryError> {
        if seen.is_empty() {
            return Ok(Vec::new());
        }
        let others = self.database.write(|connection| {
            let election = Election::find_or_create(connection, law_id)?;
            batches::observe(connection, election, seen)
        })?;
        report(law_id, &others);
        Ok(others)
    }

    /// The highest sequence seen in staging in each epoch.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn observed(
        &self,
        law_id: &ElectionId,
    ) -> Result<Vec<(NodeId, Epoch, Sequence)>, MemoryError> {
        self.read_of(law_id, batches::observed)
    }

    /// The bytes of a statement of this authority, to be sent again unchanged. `kind` is `vote`,
    /// `accept`, `cosign`, `refuse` or `suspect`; the height of a vote and a suspicion is 0, the
    /// term of a cosignature too.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn statement(
        &self,
        kind: &str,
        law_id: Option<&ElectionId>,
        height: u64,
        term: u64,
    ) -> Result<Option<Vec<u8>>, MemoryError> {
        let key = Key::new(kind, law_id, height, term)?;
        self.database.read(|connection| statements::find(connection, key))
    }

    /// All statements of a kind whose bytes are kept, in the order in which they were signed.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn all_own_statements(&self, kind: &str) -> Result<Vec<OwnStatement>, MemoryError> {
        Key::new(kind, None, 0, 0)?;
        self.database.read(|connection| statements::last(connection, kind, i64::MAX))
    }

    /// The last statements of a kind whose bytes are kept, at most `limit`, in the order in which
    /// they were signed.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn last_own_statements(
        &self,
        kind: &str,
        limit: usize,
    ) -> Result<Vec<OwnStatement>, MemoryError> {
        Key::new(kind, None, 0, 0)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.database.read(|connection| statements::last(connection, kind, limit))
    }

    /// The highest signed term of each kind of statement that names a term.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn highest_statement_terms(&self) -> Result<Vec<(&'static str, u64)>, MemoryError> {
        self.database.read(statements::highest_terms)
    }

    /// Whether a statement signed with this authority's keys is missing from this memory: it is
    /// newer than the memory, or contradicts a recorded statement. The caller has verified its
    /// signature. If so, the memory was restored from an older copy or the keys are used elsewhere,
    /// and the authority must stop signing.
    ///
    /// Every statement is recorded before it is published, and digests are never dropped, so the
    /// answer is exact for statements of any age.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn is_rolled_back(
        &self,
        kind: &str,
        law_id: Option<&ElectionId>,
        height: u64,
        term: u64,
        bytes: &[u8],
    ) -> Result<bool, MemoryError> {
        let (key, digest) = (Key::new(kind, law_id, height, term)?, Digest::compute(bytes));
        self.database.read(|connection| Ok(!statements::holds(connection, key, &digest)?))
    }

    /// The block of a height: the certified block, or else the block accepted last.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn block(
        &self,
        law_id: &ElectionId,
        height: u64,
    ) -> Result<Option<MemoryBlock>, MemoryError> {
        let Some(height) = column(height) else { return Ok(None) };
        self.database.read(|connection| match Election::find(connection, law_id)? {
            Some(election) => blocks::block(connection, election, height),
            None => Ok(None),
        })
    }

    /// Certified blocks from a height upwards, in order, for appending them to a ledger that has
    /// lost them: at least one if there is any, at most `limit`, and fewer when they are large.
    /// Heights that were never recorded are missing.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn certified_blocks(
        &self,
        law_id: &ElectionId,
        from_height: u64,
        limit: usize,
    ) -> Result<Vec<MemoryBlock>, MemoryError> {
        let Some(from_height) = column(from_height) else { return Ok(Vec::new()) };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read_of(law_id, |connection, election| {
            blocks::certified(connection, election, from_height, limit)
        })
    }

    /// The batches under whose number another batch was already stored: evidence.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn other_batches(&self, law_id: &ElectionId) -> Result<Vec<Arc<Batch>>, MemoryError> {
        self.read_of(law_id, batches::others)
    }

    /// Keeps a copy of the keys of an election, encrypted to a recipient as in the ledger. The
    /// first copy is never replaced.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn keep_sealed_key(
        &self,
        law_id: &ElectionId,
        recipient: &[u8; 32],
        bytes: &[u8],
    ) -> Result<(), MemoryError> {
        self.database.write(|connection| {
            let election = Election::find_or_create(connection, law_id)?;
            documents::put_sealed_key(connection, election, recipient, bytes)
        })
    }

    /// The copies of the sealed keys of an election, by recipient.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn sealed_keys(&self, law_id: &ElectionId) -> Result<Vec<SealedKey>, MemoryError> {
        self.read_of(law_id, documents::sealed_keys)
    }

    /// Keeps a copy of the record of a node. Replaces an earlier copy under the same name.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn keep_node_record(&self, name: &str, bytes: &[u8]) -> Result<(), MemoryError> {
        self.database.write(|connection| documents::put_node_record(connection, name, bytes))
    }

    /// The copies of the records of nodes, by name.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn node_records(&self) -> Result<Vec<(String, Vec<u8>)>, MemoryError> {
        self.database.read(documents::node_records)
    }

    /// Destroys the batches and the sealed keys of an election: overwrites their bytes in the
    /// database and in the write-ahead log. Digests, blocks and statements stay; a late copy of a
    /// purged batch is not stored again. Returns the number of batches that this call destroyed.
    ///
    /// # Errors
    /// [`MemoryError::Unavailable`] if the log could not be emptied: purge again.
    pub fn purge(&self, law_id: &ElectionId) -> Result<u64, MemoryError> {
        let mut purged = 0;
        // In parts, so that rounds of other elections can write in between.
        loop {
            let part =
                self.database.write(|connection| match Election::find(connection, law_id)? {
                    Some(election) => Ok(batches::purge_part(connection, election)?),
                    None => Ok(0),
                })?;
            if part == 0 {
                break;
            }
            purged += part;
        }
        self.database.write(|connection| match Election::find(connection, law_id)? {
            Some(election) => documents::remove_sealed_keys(connection, election),
            None => Ok(()),
        })?;
        // The write-ahead log still holds the pages with the purged bytes.
        self.database.empty_log()?;
        Ok(purged)
    }

    /// Reads a list of an election; returns an empty list if the memory does not know the election.
    fn read_of<T>(
        &self,
        law_id: &ElectionId,
        query: impl FnOnce(&Connection, Election<'_>) -> Result<Vec<T>, Fault>,
    ) -> Result<Vec<T>, MemoryError> {
        self.database.read(|connection| match Election::find(connection, law_id)? {
            Some(election) => query(connection, election),
            None => Ok(Vec::new()),
        })
    }
}

impl fmt::Debug for AuthorityMemory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AuthorityMemory")
            .field("path", &self.database.path())
            .field("incarnation", &self.incarnation)
            .finish_non_exhaustive()
    }
}

fn next_incarnation(connection: &Connection) -> Result<u64, Stop> {
    let mut authority = AuthorityRow::read(connection)?;
    authority.incarnation += 1;
    authority.write(connection)?;
    Ok(authority.incarnation)
}

fn read_state(connection: &Connection) -> Result<RoundMemoryRows, Fault> {
    let mut state =
        RoundMemoryRows { promise: AuthorityRow::read(connection)?.promise, elections: Vec::new() };
    for (row, law_id) in positions::elections(connection)? {
        let election = Election { row, law_id: &law_id };
        let certified = positions::last_certified(connection, election)?;
        let settled = certified.map_or(0, |point| point.height);
        let accepted = positions::accepted(connection, election)?
            .filter(|accepted| accepted.point.height > settled);
        let cosigned = positions::last_cosigned(connection, election)?
            .filter(|cosigned| cosigned.height > settled);
        if certified.is_some() || accepted.is_some() || cosigned.is_some() {
            state.elections.push((law_id, certified, accepted, cosigned));
        }
    }
    Ok(state)
}

/// Refuses a height at or below the certified one.
fn check_unsettled(
    law_id: &ElectionId,
    height: u64,
    certified: Option<LogPoint>,
) -> Result<(), MemoryError> {
    match certified {
        Some(certified) if height <= certified.height => Err(MemoryError::Settled {
            law_id: law_id.clone(),
            height,
            certified: certified.height,
        }),
        _ => Ok(()),
    }
}

fn report(law_id: &ElectionId, others: &[OtherBatch]) {
    for OtherBatch { number, stored, offered } in others {
        tracing::error!(
            event = "memory_batch_differs",
            alarm = true,
            %law_id,
            %number,
            %stored,
            %offered,
            "two batches of one number were signed by their node; both are kept"
        );
    }
}

#[cfg(test)]
#[path = "memory/memory_test.rs"]
mod tests;
