//! The files of the engine: opening, identification and migration to the newest schema.

use std::fs::{self, OpenOptions};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use rustix::fs::{Access, access};

use super::fault::{Fault, corrupt, unavailable};
use super::wal_check;
use crate::EngineError;

pub(super) const FILE: &str = super::FILE_NAME;

/// The kind of a database file of the engine, and the migrations that create it.
pub(super) struct Schema {
    /// Identifies the database to `file` and to SQLite's own tools.
    application_id: i32,
    /// The name of the file in errors.
    name: &'static str,
    /// The first migration creates version 1, and each further migration the next version.
    /// `user_version` stores the version.
    migrations: &'static [&'static str],
}

/// The ledger.
pub(super) const LEDGER: Schema = Schema {
    application_id: i32::from_be_bytes(*b"VKIT"),
    name: "votekit ledger",
    migrations: &[
        include_str!("../../migrations/embedded/001_ledger.sql"),
        include_str!("../../migrations/embedded/002_rounds.sql"),
        include_str!("../../migrations/embedded/003_witness.sql"),
    ],
};

/// The accounts.
pub(super) const ACCOUNTS: Schema = Schema {
    application_id: i32::from_be_bytes(*b"VKAC"),
    name: "votekit database of accounts",
    migrations: &[include_str!("../../migrations/embedded_accounts/001_accounts.sql")],
};

/// The memory of an authority.
const MEMORY: Schema = Schema {
    application_id: i32::from_be_bytes(*b"VKAM"),
    name: "memory of a votekit authority",
    migrations: &[include_str!("../../migrations/embedded_memory/001_memory.sql")],
};

/// How long a connection waits for another connection: the ledger's writer waits for readers when
/// it empties the write-ahead log, and a process that writes accounts waits for other processes
/// that write accounts.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Capacity of a connection's statement cache: larger than the number of statements of this engine.
const STATEMENTS_MAX: usize = 64;

/// Opens the ledger to write, creating it if needed, and migrates it to the newest schema.
pub(super) fn open_writer(path: &Path) -> Result<Connection, EngineError> {
    create_private(path)?;
    wal_check::check(&path.with_file_name(format!("{FILE}-wal")))?;
    open(path, &LEDGER)
}

/// Opens the accounts to read and write, creating the file if needed, and migrates it to the newest
/// schema. Other processes may have it open: so the write-ahead log, to which they may be writing,
/// is not checked as the ledger's is.
pub(super) fn open_accounts(path: &Path) -> Result<Connection, EngineError> {
    create_private(path)?;
    let connection = open(path, &ACCOUNTS)?;
    check_pages(&connection)?;
    Ok(connection)
}

/// Creates the memory of an authority. The caller has checked that there is none.
pub(super) fn create_memory(path: &Path) -> Result<Connection, EngineError> {
    create_private(path)?;
    open(path, &MEMORY)
}

/// Opens the memory of an authority, which exists, and migrates it to the newest schema.
pub(super) fn open_memory(path: &Path) -> Result<Connection, EngineError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    wal_check::check(&path.with_file_name(format!("{name}-wal")))?;
    let connection = connect(path)?;
    match MEMORY.identify(&connection)? {
        0 => Err(corrupt("the file is a database without tables")),
        version => prepare(connection, &MEMORY, version),
    }
}

/// Creates a missing file, readable only by its owner. SQLite gives its side files the same mode.
/// Other users must not read who was refused and when, or the hash of a password.
fn create_private(path: &Path) -> Result<(), EngineError> {
    let refused = |error: Error| unavailable(format!("{}: {error}", path.display()));
    // An existing file is not opened: closing it would release the locks that SQLite holds on it in
    // this process.
    match OpenOptions::new().create_new(true).write(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            if !fs::symlink_metadata(path).map_err(refused)?.is_file() {
                return Err(unavailable(format!("{} is not a regular file", path.display())));
            }
            // SQLite would open a file that it may not write as read-only.
            access(path, Access::READ_OK | Access::WRITE_OK).map_err(|error| refused(error.into()))
        }
        Err(error) => Err(refused(error)),
    }
}

fn open(path: &Path, schema: &Schema) -> Result<Connection, EngineError> {
    let connection = connect(path)?;
    let version = schema.identify(&connection)?;
    prepare(connection, schema, version)
}

/// Opens an existing file to read and write.
fn connect(path: &Path) -> Result<Connection, EngineError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(Fault::from)?;
    configure(&connection)?;
    Ok(connection)
}

/// Migrates an identified file to the newest schema.
fn prepare(
    mut connection: Connection,
    schema: &Schema,
    version: usize,
) -> Result<Connection, EngineError> {
    // The journal mode is stored in the file, so it is set only after the file is identified as
    // ours.
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(Fault::from)?;
    if mode != "wal" {
        return Err(unavailable(format!(
            "the file system does not support a write-ahead log: the journal stayed in mode {mode}"
        )));
    }
    empty_log(&connection)?;
    schema.migrate(&mut connection, version)?;
    Ok(connection)
}

/// Reads every page of a small database once, and compares the pages with one another.
fn check_pages(connection: &Connection) -> Result<(), Fault> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(corrupt(found).into()) }
}

/// Opens the file to checkpoint its write-ahead log.
pub(super) fn open_checkpointer(path: &Path) -> Result<Connection, EngineError> {
    connect(path)
}

/// Checkpoints and empties the write-ahead log of an earlier run. Its end may hold frames that were
/// never committed: if the log were continued, a later start could mistake them for synced frames
/// that were damaged since.
pub(super) fn empty_log(connection: &Connection) -> Result<(), Fault> {
    match connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)) {
        // While another connection reads, or without disk space, the log stays unchanged.
        Ok(_) => Ok(()),
        Err(rusqlite::Error::SqliteFailure(failure, _))
            if failure.code == rusqlite::ErrorCode::DiskFull =>
        {
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Opens the file read-only.
pub(super) fn open_reader(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

fn configure(connection: &Connection) -> Result<(), Fault> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Closing must not checkpoint: a failed sync must not be retried.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // The checkpointer does it, so that the writer does not wait.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(())
}

impl Schema {
    /// Returns the version of a database; 0 for an empty file. Refuses foreign databases, and
    /// versions that this program does not know.
    pub(super) fn identify(&self, connection: &Connection) -> Result<usize, Fault> {
        let application: i32 =
            connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if application == 0 && version == 0 {
            let tables: i64 =
                connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
            if tables == 0 {
                return Ok(0);
            }
        }
        if application != self.application_id {
            let name = self.name;
            return Err(corrupt(format!("the file is a database, but not a {name}")).into());
        }
        let newest = self.migrations.len();
        match usize::try_from(version) {
            Ok(version) if (1..=newest).contains(&version) => Ok(version),
            Ok(version) if version > newest => Err(unavailable(format!(
                "the file was written by a newer version of votekit (schema {version}, \
                 this one knows {newest})"
            ))
            .into()),
            _ => Err(corrupt(format!("the file has the unknown schema version {version}")).into()),
        }
    }

    fn migrate(&self, connection: &mut Connection, version: usize) -> Result<(), Fault> {
        for (to, migration) in (1_usize..).zip(self.migrations).skip_while(|(to, _)| *to <= version)
        {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            // Another process may have migrated while this one waited for the lock.
            if self.identify(&transaction)? >= to {
                continue;
            }
            transaction.execute_batch(migration)?;
            transaction.pragma_update(None, "application_id", self.application_id)?;
            transaction.pragma_update(
                None,
                "user_version",
                i32::try_from(to).expect("migrations are few"),
            )?;
            transaction.commit()?;
        }
        Ok(())
    }
}
