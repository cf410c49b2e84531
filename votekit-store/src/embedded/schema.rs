//! The ledger's file: opening, identification and migration to the newest schema.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::fault::{Fault, corrupt, unavailable};
use super::wal_check;
use crate::EngineError;
use crate::embedded::NO_FOLLOW;

pub(super) const FILE: &str = super::FILE_NAME;

/// `VKIT`: identifies the database to `file` and to SQLite's own tools.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"VKIT");

/// The first migration creates schema 1, each further one the next. `user_version` stores the
/// number of the schema.
const MIGRATIONS: [&str; 1] = [include_str!("../../migrations/embedded/001_ledger.sql")];

/// How long the writer waits for readers when it empties the write-ahead log, its only wait.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// Capacity of a connection's statement cache: more than this engine has statements.
const STATEMENTS_MAX: usize = 64;

/// Opens the file to write, creating it if needed, and migrates it to the newest schema.
pub(super) fn open_writer(path: &Path) -> Result<Connection, EngineError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // SQLite gives its side files the mode of the database. Other users must not read who was
    // refused, and when.
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(NO_FOLLOW)
        .open(path)
        .map_err(|error| unavailable(format!("{}: {error}", path.display())))?;
    wal_check::check(&path.with_file_name(format!("{FILE}-wal")))?;
    let mut connection = Connection::open_with_flags(path, flags).map_err(Fault::from)?;
    configure(&connection)?;
    let version = identify(&connection)?;
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
    migrate(&mut connection, version)?;
    Ok(connection)
}

/// Opens the file to checkpoint its write-ahead log.
pub(super) fn open_checkpointer(path: &Path) -> Result<Connection, EngineError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(Fault::from)?;
    configure(&connection)?;
    Ok(connection)
}

/// Checkpoints and empties the write-ahead log of an earlier run. Its end may hold frames that were
/// never committed: if the log were continued, a later start could mistake them for synced frames
/// that were damaged since.
fn empty_log(connection: &Connection) -> Result<(), Fault> {
    match connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)) {
        // While another connection reads, or without disk space, the log stays in place, intact.
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
    connection.busy_timeout(BUSY_WAIT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

fn configure(connection: &Connection) -> Result<(), Fault> {
    connection.busy_timeout(BUSY_WAIT)?;
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

/// Returns the schema's version; 0 for an empty file. Refuses foreign databases, and schemas that
/// this version does not know.
pub(super) fn identify(connection: &Connection) -> Result<usize, Fault> {
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
    if application != APPLICATION_ID {
        return Err(corrupt("the file is a database, but not a votekit ledger").into());
    }
    let newest = MIGRATIONS.len();
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

fn migrate(connection: &mut Connection, version: usize) -> Result<(), Fault> {
    for (schema, migration) in
        (1_usize..).zip(MIGRATIONS).skip_while(|(schema, _)| *schema <= version)
    {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(
            None,
            "user_version",
            i32::try_from(schema).expect("migrations are few"),
        )?;
        transaction.commit()?;
    }
    Ok(())
}
