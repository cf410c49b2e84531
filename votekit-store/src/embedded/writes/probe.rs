//! A write that changes nothing: only a write shows whether the disk accepts writes.

use rusqlite::Connection;

use crate::embedded::fault::Fault;
use crate::embedded::writer::Write;

/// Rewrites the first page of the database unchanged.
pub(in crate::embedded) struct Probe;

impl Write for Probe {
    type Output = ();

    fn apply(&self, connection: &Connection) -> Result<(), Fault> {
        // SQLite writes the page with the version even if the version stays the same.
        let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        connection.pragma_update(None, "user_version", version)?;
        Ok(())
    }

    fn always_writes(&self) -> bool {
        true
    }
}
