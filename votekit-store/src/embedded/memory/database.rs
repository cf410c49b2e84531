//! The file of the memory: one connection, the lock on the folder, transactions.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use votekit_files::sync_folder;

use super::error::{MemoryError, Stop};
use super::files;
use super::positions::AuthorityRow;
use crate::EngineError;
use crate::embedded::checkpointer::{self, Checkpointer};
use crate::embedded::fault::{
    self, Fault, PanicGuard, Poison, corrupt, fatal, in_memory, unavailable,
};
use crate::embedded::{folder, schema, transaction, writer};

/// The work in errors of a call that panicked.
const CALL: &str = "a call";

/// The maximum number of pages (4 KiB) of a file that is checked completely when it is opened: 64
/// MiB. In a longer file, blocks and batches are checked when they are read, each by its digest.
const CHECKED_PAGES_MAX: i64 = 16_384;

/// The tables that are checked in a file of any length.
const CHECKED_TABLES: [&str; 3] = ["authority", "election", "accepted"];

/// The open database.
pub(super) struct Database {
    connection: Mutex<Connection>,
    /// Taken only by drop.
    checkpointer: Option<Checkpointer>,
    poison: Arc<Poison>,
    path: PathBuf,
    /// The last field, so that it is released after the connection was closed.
    _lock: File,
}

/// Creates the database in a folder, and the folder if needed.
pub(super) fn create(folder: &Path) -> Result<(), EngineError> {
    create_file(folder).map_err(in_memory)
}

impl Database {
    /// Opens the database in a folder, and checks the file.
    pub(super) fn open(folder: &Path) -> Result<Self, MemoryError> {
        let path = files::database(folder);
        files::check(&path)?;
        let at = |error: EngineError| MemoryError::at(&path, error);
        let lock = files::lock(folder)
            .map_err(|error| at(unavailable(format!("its lock: {error}"))))?
            .ok_or_else(|| MemoryError::InUse { path: path.clone() })?;
        let connection = schema::open_memory(&path).map_err(at)?;
        check_pages(&connection).map_err(|fault| at(fault.into()))?;
        let poison = Arc::new(Poison::new());
        let checkpointer = Checkpointer::start(&path, Arc::clone(&poison)).map_err(at)?;
        Ok(Self {
            connection: Mutex::new(connection),
            checkpointer: Some(checkpointer),
            poison,
            path,
            _lock: lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn check(&self) -> Result<(), MemoryError> {
        self.poison.check().map_err(|error| MemoryError::at(&self.path, error))
    }

    /// Runs a query.
    pub(super) fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, MemoryError> {
        let connection = self.connection.lock();
        self.check()?;
        let _guard = PanicGuard { poison: &self.poison, what: CALL };
        query(&connection).map_err(|fault| self.failed(fault.into()))
    }

    /// Makes a change in one transaction. It is durable when this returns `Ok`; nothing of it stays
    /// when it is refused.
    pub(super) fn write<T>(
        &self,
        change: impl FnOnce(&Connection) -> Result<T, Stop>,
    ) -> Result<T, MemoryError> {
        let connection = self.connection.lock();
        self.check()?;
        let _guard = PanicGuard { poison: &self.poison, what: CALL };
        let mut refusal = None;
        let outcome = transaction::immediate(&connection, |connection| {
            change(connection).map_err(|stop| match stop {
                Stop::Failed(fault) => *fault,
                Stop::Refused(error) => {
                    refusal = Some(error);
                    unavailable("the write is refused").into()
                }
            })
        });
        match (outcome, refusal) {
            (Ok(value), _) => {
                self.restart_log(&connection);
                Ok(value)
            }
            // Any other error means that the refused write could not be rolled back.
            (Err(EngineError::Unavailable { .. }), Some(refusal)) => Err(refusal),
            (Err(error), _) => Err(self.failed(error)),
        }
    }

    /// Checkpoints the rest of a long write-ahead log. The change before it is durable, even if
    /// this fails.
    fn restart_log(&self, connection: &Connection) {
        if !self.checkpointer.as_ref().is_some_and(Checkpointer::wants_restart) {
            return;
        }
        match checkpointer::move_rest(connection).map_err(EngineError::from) {
            Ok(()) => {}
            Err(error @ EngineError::Unavailable { .. }) => {
                tracing::warn!(
                    event = "wal_restart_delayed",
                    %error,
                    "write-ahead log of the authority's memory not restarted, retrying"
                );
            }
            Err(error) => {
                self.poison.set(fatal(error.to_string()));
            }
        }
    }

    /// Adds the path to an error. After a fatal error, nothing is read or written any more.
    fn failed(&self, error: EngineError) -> MemoryError {
        if matches!(error, EngineError::Fatal { .. }) {
            self.poison.set(error.clone());
        }
        MemoryError::at(&self.path, error)
    }

    /// Checkpoints the write-ahead log and empties it: nothing that was overwritten stays in it.
    pub(super) fn empty_log(&self) -> Result<(), MemoryError> {
        let connection = self.connection.lock();
        self.check()?;
        writer::empty_log(&connection).map_err(|error| self.failed(error))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Ends the checkpointer first: only one connection can checkpoint at a time.
        self.checkpointer = None;
        if self.poison.get().is_none()
            && let Err(error) = writer::empty_log(self.connection.get_mut())
        {
            // Nothing is lost: SQLite replays the log when the file is next opened.
            tracing::warn!(
                event = "wal_truncate_failed",
                %error,
                "memory of the authority closed, write-ahead log not emptied"
            );
        }
    }
}

fn create_file(folder: &Path) -> Result<(), EngineError> {
    let path = files::database(folder);
    let refused = |error: io::Error| unavailable(format!("{}: {error}", folder.display()));
    folder::create(folder, 0o700).map_err(refused)?;
    let Some(_lock) = files::lock(folder).map_err(refused)? else {
        return Err(unavailable(format!("{} is in use", path.display())));
    };
    if let Some(present) = files::present(&path) {
        return Err(EngineError::Misconfigured {
            engine: fault::MEMORY,
            reason: format!("{} exists already", present.display()),
            hint: "`votekit authority renew` keeps it aside and makes a new one".to_owned(),
        });
    }
    let connection = schema::create_memory(&path)?;
    transaction::immediate(&connection, |connection| {
        AuthorityRow::default().write(connection).map_err(Stop::into_fault)
    })?;
    writer::empty_log(&connection)?;
    sync_folder(folder).map_err(refused)
}

/// Compares the pages of the file with one another. Of a long file only those of the small tables:
/// an authority that starts again must not be away for minutes.
fn check_pages(connection: &Connection) -> Result<(), Fault> {
    let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
    let checks = if pages <= CHECKED_PAGES_MAX {
        vec!["PRAGMA integrity_check(1)".to_owned()]
    } else {
        CHECKED_TABLES.iter().map(|table| format!("PRAGMA integrity_check('{table}')")).collect()
    };
    for check in checks {
        let found: String = connection.query_row(&check, [], |row| row.get(0))?;
        if found != "ok" {
            return Err(corrupt(found).into());
        }
    }
    Ok(())
}
