//! The own memory of an authority: what it promised, accepted and cosigned, with the blocks and the
//! batches behind it, in one SQLite file that no other process opens.
//!
//! Every call that writes is one transaction, synced to disk before it returns: the statement that
//! depends on it may then leave. The guards of votekit-authority decide what is written; the checks
//! here refuse what could never be right.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _};
use votekit_core::authority::{AcceptedBlock, LogPoint, TermLeader};
use votekit_core::batch::Batch;
use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, NodeId, Sequence};
use votekit_core::log::merkle::TreeHash;

use crate::StoredBlock;

/// The file of the memory.
const FILE: &str = "memory.sqlite";

/// The file whose lock one process holds.
const LOCK: &str = "memory.lock";

/// `VKMM`: identifies the file.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"VKMM");

const SCHEMA: &str = include_str!("../migrations/memory/001_memory.sql");

/// Why a memory cannot be used, or refuses a write.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// There is none.
    #[error(
        "{} is missing: an authority that has lost its memory does not sign any more; \
         `votekit authority renew` makes new keys", path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// There is one already.
    #[error("{} exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Another process holds it.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// It is not a memory, or is damaged.
    #[error(
        "{} is damaged: {what}; `votekit authority renew` makes new keys", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system reports.
        source: std::io::Error,
    },
    /// A statement of SQLite failed.
    #[error("{}: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite reports.
        source: rusqlite::Error,
    },
    /// A write would contradict what is remembered. Nothing was written.
    #[error("refused: {rule}")]
    Refused {
        /// The rule.
        rule: &'static str,
    },
}

/// What is remembered of all elections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoundMemoryRows {
    /// The leadership of the last vote.
    pub promise: Option<TermLeader>,
    /// By election: the certified, the accepted and the cosigned block.
    pub elections: Vec<RememberedElection>,
}

/// An election, with its certified, accepted and cosigned block.
pub type RememberedElection =
    (ElectionId, Option<LogPoint>, Option<AcceptedBlock>, Option<LogPoint>);

/// A block that is remembered.
#[derive(Debug, Clone)]
pub struct MemoryBlock {
    /// The block.
    pub block: StoredBlock,
    /// The note that certifies it, if this authority has seen it.
    pub checkpoint: Option<Vec<u8>>,
    /// The batches that it decides, in order.
    pub batches: Vec<Arc<Batch>>,
}

/// The memory of one authority.
#[derive(Debug)]
pub struct AuthorityMemory {
    path: PathBuf,
    connection: Mutex<Connection>,
    incarnation: u64,
    _lock: File,
}

impl AuthorityMemory {
    /// Creates an empty memory in a folder.
    ///
    /// # Errors
    /// [`MemoryError`], among others [`MemoryError::Exists`].
    pub fn create(folder: &Path) -> Result<(), MemoryError> {
        std::fs::create_dir_all(folder)
            .map_err(|source| MemoryError::Io { path: folder.to_owned(), source })?;
        let _lock = lock(folder)?;
        let path = folder.join(FILE);
        let created = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path);
        created.map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists => MemoryError::Exists { path: path.clone() },
            _ => MemoryError::Io { path: path.clone(), source },
        })?;
        let connection = open(&path)?;
        let created = connection
            .execute_batch(SCHEMA)
            .and_then(|()| connection.pragma_update(None, "application_id", APPLICATION_ID));
        created.map_err(sqlite(&path))
    }

    /// Opens the memory in a folder, and counts the opening.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn open(folder: &Path) -> Result<Self, MemoryError> {
        let path = folder.join(FILE);
        if !path.is_file() {
            return Err(MemoryError::Missing { path });
        }
        let lock = lock(folder)?;
        let connection = open(&path)?;
        let damaged = |what: String| MemoryError::Damaged { path: path.clone(), what };
        let id: i32 = connection
            .pragma_query_value(None, "application_id", |row| row.get(0))
            .map_err(|error| damaged(error.to_string()))?;
        if id != APPLICATION_ID {
            return Err(damaged("it is not the memory of an authority".to_owned()));
        }
        let check: String = connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(|error| damaged(error.to_string()))?;
        if check != "ok" {
            return Err(damaged(check));
        }
        let incarnation: i64 = connection
            .query_row(
                "UPDATE incarnation SET count = count + 1 RETURNING count",
                [],
                |row| row.get(0),
            )
            .map_err(sqlite(&path))?;
        let incarnation = u64::try_from(incarnation).map_err(|error| damaged(error.to_string()))?;
        Ok(Self { path, connection: Mutex::new(connection), incarnation, _lock: lock })
    }

    /// How many times the memory has been opened.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Everything that the guards of a round depend on.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn state(&self) -> Result<RoundMemoryRows, MemoryError> {
        let connection = self.connection.lock();
        let read = || -> Result<RoundMemoryRows, rusqlite::Error> {
            let promise = connection
                .prepare("SELECT term, leader FROM promise")?
                .query_row([], |row| Ok((number(row, 0)?, row.get::<_, String>(1)?)))
                .optional()?;
            let promise = match promise {
                Some((term, leader)) => {
                    let leader = leader.parse().map_err(|_| wrong(1))?;
                    Some(TermLeader { term, leader })
                }
                None => None,
            };
            let mut statement = connection.prepare(
                "SELECT law_id, certified_height, certified_size, certified_root, accepted_term, \
                 accepted_height, accepted_size, accepted_root, cosigned_height, cosigned_size, \
                 cosigned_root FROM election ORDER BY law_id",
            )?;
            let elections = statement.query_map([], |row| {
                let law_id: String = row.get(0)?;
                let law_id = law_id.parse().map_err(|_| wrong(0))?;
                let accepted = match point(row, 5)? {
                    Some(point) => Some(AcceptedBlock { term: number(row, 4)?, point }),
                    None => None,
                };
                Ok((law_id, point(row, 1)?, accepted, point(row, 8)?))
            })?;
            Ok(RoundMemoryRows { promise, elections: elections.collect::<Result<_, _>>()? })
        };
        read().map_err(|error| MemoryError::Damaged {
            path: self.path.clone(),
            what: error.to_string(),
        })
    }

    /// Records a vote. Its term is above the promise.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn record_vote(
        &self,
        leadership: &TermLeader,
        statement: &[u8],
    ) -> Result<(), MemoryError> {
        self.write(|connection| {
            let promised: Option<i64> = connection
                .query_row("SELECT term FROM promise", [], |row| row.get(0))
                .optional()?;
            let term = integer(leadership.term)?;
            if promised.is_some_and(|promised| promised >= term) {
                return Ok(Some("a promise only rises"));
            }
            connection.execute("DELETE FROM promise", [])?;
            connection.execute(
                "INSERT INTO promise (term, leader) VALUES (?1, ?2)",
                (term, leadership.leader.as_str()),
            )?;
            put_statement(connection, "vote", "", 0, term, statement)?;
            Ok(None)
        })
    }

    /// Records an accept, with the block and its batches.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn record_accepted(
        &self,
        law_id: &ElectionId,
        accepted: &AcceptedBlock,
        block: &StoredBlock,
        batches: &[Arc<Batch>],
        statement: &[u8],
    ) -> Result<(), MemoryError> {
        self.write(|connection| {
            let (height, size, root) = columns(&accepted.point)?;
            let law = law_id.as_str();
            if certified_height(connection, law)? >= height {
                return Ok(Some("a block at or below the certified height is not accepted"));
            }
            put_block(connection, law, &accepted.point, block, batches, None)?;
            let term = integer(accepted.term)?;
            connection.execute(
                "INSERT INTO election (law_id, accepted_term, accepted_height, accepted_size, \
                 accepted_root) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (law_id) DO UPDATE SET \
                 accepted_term = ?2, accepted_height = ?3, accepted_size = ?4, accepted_root = ?5",
                (law, term, height, size, root),
            )?;
            put_statement(connection, "accept", law, height, term, statement)?;
            Ok(None)
        })
    }

    /// Records a cosignature: one root a height.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn record_cosigned(
        &self,
        law_id: &ElectionId,
        point: &LogPoint,
        line: &[u8],
    ) -> Result<(), MemoryError> {
        self.write(|connection| {
            let (height, size, root) = columns(point)?;
            let law = law_id.as_str();
            let before: Option<Vec<u8>> = connection
                .query_row(
                    "SELECT root FROM cosigned WHERE law_id = ?1 AND height = ?2",
                    (law, height),
                    |row| row.get(0),
                )
                .optional()?;
            if before.is_some_and(|before| before != root) {
                return Ok(Some("another block of this height is cosigned"));
            }
            connection.execute(
                "INSERT OR IGNORE INTO cosigned (law_id, height, size, root, line) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                (law, height, size, &root, line),
            )?;
            connection.execute(
                "INSERT INTO election (law_id, cosigned_height, cosigned_size, cosigned_root) \
                 VALUES (?1, ?2, ?3, ?4) ON CONFLICT (law_id) DO UPDATE SET \
                 cosigned_height = ?2, cosigned_size = ?3, cosigned_root = ?4",
                (law, height, size, &root),
            )?;
            put_statement(connection, "cosign", law, height, 0, line)?;
            Ok(None)
        })
    }

    /// Records that a block is in the log, with its certificate.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn record_certified(
        &self,
        law_id: &ElectionId,
        point: &LogPoint,
        block: &StoredBlock,
        batches: &[Arc<Batch>],
        checkpoint: &[u8],
    ) -> Result<(), MemoryError> {
        self.write(|connection| {
            let (height, size, root) = columns(point)?;
            let law = law_id.as_str();
            put_block(connection, law, point, block, batches, Some(checkpoint))?;
            if certified_height(connection, law)? >= height {
                return Ok(None);
            }
            connection.execute(
                "INSERT INTO election (law_id, certified_height, certified_size, certified_root) \
                 VALUES (?1, ?2, ?3, ?4) ON CONFLICT (law_id) DO UPDATE SET \
                 certified_height = ?2, certified_size = ?3, certified_root = ?4",
                (law, height, size, root),
            )?;
            connection.execute(
                "UPDATE election SET accepted_term = NULL, accepted_height = NULL, \
                 accepted_size = NULL, accepted_root = NULL \
                 WHERE law_id = ?1 AND accepted_height <= ?2",
                (law, height),
            )?;
            connection.execute(
                "UPDATE election SET cosigned_height = NULL, cosigned_size = NULL, \
                 cosigned_root = NULL WHERE law_id = ?1 AND cosigned_height <= ?2",
                (law, height),
            )?;
            connection.execute(
                "DELETE FROM statement WHERE law_id = ?1 AND height <= ?2 AND kind <> 'cosign'",
                (law, height),
            )?;
            Ok(None)
        })
    }

    /// Records another statement: a refusal or a suspicion.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn record_other_statement(
        &self,
        kind: &str,
        law_id: Option<&ElectionId>,
        height: u64,
        term: u64,
        statement: &[u8],
    ) -> Result<(), MemoryError> {
        self.write(|connection| {
            let law = law_id.map_or("", ElectionId::as_str);
            put_statement(connection, kind, law, integer(height)?, integer(term)?, statement)?;
            Ok(None)
        })
    }

    /// Records staged batches that this authority has seen.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn record_observed(
        &self,
        law_id: &ElectionId,
        batches: &[(BatchNumber, Digest)],
    ) -> Result<(), MemoryError> {
        self.write(|connection| {
            for (number, _) in batches {
                connection.execute(
                    "INSERT INTO observed (law_id, node, epoch, sequence) \
                     VALUES (?1, ?2, ?3, ?4) ON CONFLICT (law_id, node, epoch) DO UPDATE SET \
                     sequence = max(sequence, excluded.sequence)",
                    (
                        law_id.as_str(),
                        number.node.as_bytes(),
                        number.epoch.0,
                        integer(number.sequence.0)?,
                    ),
                )?;
            }
            Ok(None)
        })
    }

    /// The highest sequence seen of each epoch.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn observed(
        &self,
        law_id: &ElectionId,
    ) -> Result<Vec<(NodeId, Epoch, Sequence)>, MemoryError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT node, epoch, sequence FROM observed WHERE law_id = ?1 \
                 ORDER BY node, epoch",
            )?;
            let rows = statement.query_map([law_id.as_str()], |row| {
                let node = NodeId::from_bytes(row.get(0)?);
                Ok((node, Epoch(row.get(1)?), Sequence(number(row, 2)?)))
            })?;
            rows.collect()
        })
    }

    /// A statement of this authority, byte for byte as it was signed. The term of a cosignature is
    /// 0.
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
        self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT bytes FROM statement WHERE kind = ?1 AND law_id = ?2 AND height = ?3 \
                     AND term = ?4",
                )?
                .query_row(
                    (
                        kind,
                        law_id.map_or("", ElectionId::as_str),
                        integer(height)?,
                        integer(term)?,
                    ),
                    |row| row.get(0),
                )
                .optional()
        })
    }

    /// The block of a height that was accepted last, or is certified.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn block(
        &self,
        law_id: &ElectionId,
        height: u64,
    ) -> Result<Option<MemoryBlock>, MemoryError> {
        self.read(|connection| {
            let law = law_id.as_str();
            let found = connection
                .prepare_cached(
                    "SELECT first_leaf, leaf_count, leaves, checkpoint, numbers FROM block \
                     WHERE law_id = ?1 AND height = ?2 ORDER BY checkpoint IS NULL, id DESC",
                )?
                .query_row((law, integer(height)?), |row| {
                    let block = StoredBlock {
                        height,
                        first_leaf: number(row, 0)?,
                        leaf_count: row.get(1)?,
                        leaves: row.get(2)?,
                    };
                    Ok((block, row.get::<_, Option<Vec<u8>>>(3)?, row.get::<_, String>(4)?))
                })
                .optional()?;
            let Some((block, checkpoint, digests)) = found else { return Ok(None) };
            let mut batches = Vec::new();
            for digest in digests.split_terminator(' ') {
                let bytes: Option<Option<Vec<u8>>> = connection
                    .prepare_cached("SELECT bytes FROM batch WHERE law_id = ?1 AND digest = ?2")?
                    .query_row((law, digest), |row| row.get(0))
                    .optional()?;
                if let Some(bytes) = bytes.flatten() {
                    batches.push(Arc::new(Batch::parse(bytes).map_err(|_| wrong(0))?));
                }
            }
            Ok(Some(MemoryBlock { block, checkpoint, batches }))
        })
    }

    /// Destroys the batches of a purged election: overwrites them, and empties the write-ahead log.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn purge(&self, law_id: &ElectionId) -> Result<(), MemoryError> {
        self.write(|connection| {
            let sql = "UPDATE batch SET bytes = NULL WHERE law_id = ?1";
            connection.execute(sql, [law_id.as_str()])?;
            Ok(None)
        })?;
        let connection = self.connection.lock();
        let emptied =
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        emptied.map(|_| ()).map_err(sqlite(&self.path))
    }

    /// One transaction. `Some` names the rule by which it is refused, and nothing is written.
    fn write(
        &self,
        work: impl FnOnce(&Connection) -> Result<Option<&'static str>, rusqlite::Error>,
    ) -> Result<(), MemoryError> {
        let mut connection = self.connection.lock();
        let done = || -> Result<Option<&'static str>, rusqlite::Error> {
            let transaction = connection.transaction()?;
            let refused = work(&transaction)?;
            match refused {
                None => transaction.commit()?,
                Some(_) => transaction.rollback()?,
            }
            Ok(refused)
        };
        match done().map_err(sqlite(&self.path))? {
            None => Ok(()),
            Some(rule) => Err(MemoryError::Refused { rule }),
        }
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, MemoryError> {
        work(&self.connection.lock()).map_err(sqlite(&self.path))
    }
}

fn lock(folder: &Path) -> Result<File, MemoryError> {
    let path = folder.join(LOCK);
    let io = |source| MemoryError::Io { path: path.clone(), source };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(MemoryError::InUse { path: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

fn open(path: &Path) -> Result<Connection, MemoryError> {
    let connection = Connection::open(path).map_err(sqlite(path))?;
    let configured = connection
        .pragma_update(None, "journal_mode", "WAL")
        .and_then(|()| connection.pragma_update(None, "synchronous", "FULL"))
        .and_then(|()| connection.pragma_update(None, "secure_delete", true));
    match configured {
        Ok(()) => Ok(connection),
        Err(error) => Err(MemoryError::Damaged { path: path.to_owned(), what: error.to_string() }),
    }
}

fn sqlite(path: &Path) -> impl Fn(rusqlite::Error) -> MemoryError + use<> {
    let path = path.to_owned();
    move |source| MemoryError::Sqlite { path: path.clone(), source }
}

fn wrong(column: usize) -> rusqlite::Error {
    let what = "a value that does not fit its type".into();
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Blob, what)
}

fn integer(number: u64) -> Result<i64, rusqlite::Error> {
    i64::try_from(number).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn number(row: &rusqlite::Row<'_>, place: usize) -> Result<u64, rusqlite::Error> {
    u64::try_from(row.get::<_, i64>(place)?).map_err(|_| wrong(place))
}

/// Three columns of a point, or nothing.
fn point(row: &rusqlite::Row<'_>, place: usize) -> Result<Option<LogPoint>, rusqlite::Error> {
    if row.get::<_, Option<i64>>(place)?.is_none() {
        return Ok(None);
    }
    let root = TreeHash::from_bytes(row.get(place + 2)?);
    Ok(Some(LogPoint { height: number(row, place)?, size: number(row, place + 1)?, root }))
}

fn columns(point: &LogPoint) -> Result<(i64, i64, Vec<u8>), rusqlite::Error> {
    Ok((integer(point.height)?, integer(point.size)?, point.root.as_bytes().to_vec()))
}

fn certified_height(connection: &Connection, law: &str) -> Result<i64, rusqlite::Error> {
    let height: Option<Option<i64>> = connection
        .prepare_cached("SELECT certified_height FROM election WHERE law_id = ?1")?
        .query_row([law], |row| row.get(0))
        .optional()?;
    Ok(height.flatten().unwrap_or(0))
}

fn put_statement(
    connection: &Connection,
    kind: &str,
    law: &str,
    height: i64,
    term: i64,
    bytes: &[u8],
) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO statement (kind, law_id, height, term, bytes) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((kind, law, height, term, bytes))
        .map(|_| ())
}

fn put_block(
    connection: &Connection,
    law: &str,
    point: &LogPoint,
    block: &StoredBlock,
    batches: &[Arc<Batch>],
    checkpoint: Option<&[u8]>,
) -> Result<(), rusqlite::Error> {
    let mut digests = String::new();
    for batch in batches {
        let digest = batch.digest().to_hex();
        connection
            .prepare_cached(
                "INSERT OR IGNORE INTO batch (law_id, digest, bytes) VALUES (?1, ?2, ?3)",
            )?
            .execute((law, &digest, batch.as_bytes()))?;
        digests.push_str(&digest);
        digests.push(' ');
    }
    connection
        .prepare_cached(
            "INSERT INTO block (law_id, height, root, first_leaf, leaf_count, leaves, numbers, \
             checkpoint) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
             ON CONFLICT (law_id, height, root) DO UPDATE SET \
             checkpoint = coalesce(checkpoint, excluded.checkpoint)",
        )?
        .execute((
            law,
            integer(block.height)?,
            point.root.as_bytes(),
            integer(block.first_leaf)?,
            block.leaf_count,
            &block.leaves,
            digests,
            checkpoint,
        ))
        .map(|_| ())
}
