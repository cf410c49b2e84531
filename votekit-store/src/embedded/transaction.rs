//! A transaction that holds the write lock from its beginning, so that what it reads is still true
//! when it writes.

use rusqlite::Connection;

use super::fault::{self, Fault, fatal};
use crate::EngineError;

/// Does the work and commits it. When the work fails, nothing of it stays.
pub(super) fn immediate<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, EngineError> {
    connection.execute_batch("BEGIN IMMEDIATE").map_err(|error| fault::statement_error(&error))?;
    let done = work(connection).map_err(|fault| roll_back(connection, fault.into()))?;
    connection
        .execute_batch("COMMIT")
        .map_err(|error| roll_back(connection, fault::commit_error(&error)))?;
    Ok(done)
}

/// Rolls the transaction back, unless SQLite already has. A failed rollback is fatal.
fn roll_back(connection: &Connection, error: EngineError) -> EngineError {
    if !connection.is_autocommit()
        && let Err(second) = connection.execute_batch("ROLLBACK")
    {
        return fatal(format!("{error}; and it could not be rolled back: {second}"));
    }
    error
}
