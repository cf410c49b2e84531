//! The connection to the accounts: transactions, and the length of the write-ahead log.

use parking_lot::Mutex;
use rusqlite::Connection;

use crate::EngineError;
use crate::embedded::checkpointer::{LogLength, log_length, move_rest};
use crate::embedded::fault::{Fault, Poison, in_accounts};
use crate::embedded::{schema, transaction};

/// Pages (4 KiB) in the write-ahead log from which a change moves them to the database.
const LOG_PAGES_MAX: i64 = 1_000;

/// The access for which a connection was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// One connection, and the failure after which it is not used any more.
pub(super) struct Database {
    pub(super) connection: Mutex<Connection>,
    pub(super) poison: Poison,
    pub(super) access: Access,
}

impl Database {
    /// Makes a change in a transaction of its own.
    pub(super) fn write<T>(
        &self,
        change: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, EngineError> {
        let connection = self.connection.lock();
        let outcome = transaction::immediate(&connection, change);
        match &outcome {
            Ok(_) => self.shorten_log(&connection),
            Err(error @ EngineError::Fatal { .. }) => drop(self.poison.set(error.clone())),
            Err(_) => {}
        }
        outcome
    }

    /// Moves a long write-ahead log into the database. The change before it is durable, also if
    /// this fails.
    fn shorten_log(&self, connection: &Connection) {
        let shorten = || -> Result<(), Fault> {
            let LogLength { pages, moved } = log_length(connection, "PRAGMA wal_checkpoint(NOOP)")?;
            if pages - moved < LOG_PAGES_MAX { Ok(()) } else { move_rest(connection) }
        };
        self.record_checkpoint(shorten());
    }

    /// Empties the write-ahead log, which holds pages with removed passwords and tokens.
    pub(super) fn empty_log(&self) -> Result<(), EngineError> {
        let connection = self.connection.lock();
        if log_length(&connection, "PRAGMA wal_checkpoint(NOOP)")?.pages > 0 {
            schema::empty_log(&connection)?;
        }
        Ok(())
    }

    /// Records the outcome of a checkpoint.
    pub(super) fn record_checkpoint(&self, checkpoint: Result<(), Fault>) {
        if let Err(fault) = checkpoint {
            self.poison.record_checkpoint_failure(&in_accounts(fault.into()));
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.access == Access::Write
            && self.poison.get().is_none()
            && let Err(error) = self.empty_log().map_err(in_accounts)
        {
            // Nothing is lost: SQLite replays the log when the file is next opened.
            tracing::warn!(
                event = "wal_truncate_failed",
                %error,
                "accounts closed, write-ahead log not emptied"
            );
        }
    }
}
