//! A write that changes nothing: whether the disk takes writes is known only by writing.

use rusqlite::Connection;

use crate::embedded::fault::Fault;
use crate::embedded::writer::Write;

/// Writes the first page of the database as it is.
pub(in crate::embedded) struct Probe;

impl Write for Probe {
    type Output = ();

    fn apply(&self, connection: &Connection) -> Result<(), Fault> {
        // SQLite writes the page that holds the version whether or not the version is another one.
        let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        connection.pragma_update(None, "user_version", version)?;
        Ok(())
    }

    fn always_writes(&self) -> bool {
        true
    }
}
