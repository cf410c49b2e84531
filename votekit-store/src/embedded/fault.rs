//! Maps SQLite errors to errors of the engine, and holds the poison that a failed commit leaves.

use rusqlite::{ErrorCode, ffi};
use tokio::sync::watch;

pub(super) use crate::error::{malformed, malformed_write};
use crate::{Conflict, EngineError};

/// The name of the ledger in errors.
pub(super) const ENGINE: &str = "the embedded ledger";

/// The name of the database of accounts in errors.
const ACCOUNTS: &str = "the embedded database of accounts";

/// The name of an authority's memory in errors.
pub(super) const MEMORY: &str = "the memory of this authority";

/// Why a step of a read or a write failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The step was refused, or found damage.
    Engine(EngineError),
    /// A statement of SQLite failed.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<EngineError> for Fault {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<Conflict> for Fault {
    fn from(conflict: Conflict) -> Self {
        Self::Engine(conflict.into())
    }
}

impl From<Fault> for EngineError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Engine(error) => error,
            Fault::Sqlite(error) => statement_error(&error),
        }
    }
}

pub(super) fn unavailable(reason: impl Into<String>) -> EngineError {
    EngineError::Unavailable { engine: ENGINE, reason: reason.into() }
}

pub(super) fn corrupt(reason: impl Into<String>) -> EngineError {
    EngineError::Corrupt { engine: ENGINE, reason: reason.into() }
}

pub(super) fn fatal(reason: impl Into<String>) -> EngineError {
    EngineError::Fatal { engine: ENGINE, reason: reason.into() }
}

/// A thread of the ledger has panicked, or has ended where only a panic can end it.
pub(super) fn panicked(what: &'static str) -> EngineError {
    EngineError::Panicked { engine: ENGINE, what }
}

/// The same error, attributed to the database of accounts.
pub(super) fn in_accounts(error: EngineError) -> EngineError {
    in_the_name_of(ACCOUNTS, error)
}

/// The same error, attributed to the memory of an authority.
pub(super) fn in_memory(error: EngineError) -> EngineError {
    in_the_name_of(MEMORY, error)
}

fn in_the_name_of(name: &'static str, mut error: EngineError) -> EngineError {
    match &mut error {
        EngineError::Unavailable { engine, .. }
        | EngineError::OutcomeUnknown { engine, .. }
        | EngineError::Corrupt { engine, .. }
        | EngineError::Fatal { engine, .. }
        | EngineError::Panicked { engine, .. }
        | EngineError::Misconfigured { engine, .. } => *engine = name,
        EngineError::Conflict(_) => {}
    }
    error
}

/// Maps the error of a statement before COMMIT.
pub(super) fn statement_error(error: &rusqlite::Error) -> EngineError {
    let rusqlite::Error::SqliteFailure(failure, _) = error else {
        // A column of the wrong type or a missing row: the file differs from what was written.
        return corrupt(error.to_string());
    };
    if is_failed_sync(failure) {
        return fatal(format!("a sync to disk failed: {error}"));
    }
    match failure.code {
        ErrorCode::DiskFull => unavailable(format!("the disk is full ({error})")),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ConstraintViolation => {
            corrupt(error.to_string())
        }
        _ => unavailable(error.to_string()),
    }
}

/// Maps the error of a COMMIT. A full disk stops it while frames are written to the log, before the
/// frame that would commit them is synced: nothing was committed and nothing was confirmed wrongly.
/// After any other error, the state of the disk is unknown: the operating system may drop pages
/// that failed to sync, and report them clean the next time.
pub(super) fn commit_error(error: &rusqlite::Error) -> EngineError {
    match error.sqlite_error() {
        Some(failure) if failure.code == ErrorCode::DiskFull && !is_failed_sync(failure) => {
            statement_error(error)
        }
        _ => fatal(format!("a commit failed: {error}")),
    }
}

fn is_failed_sync(failure: &ffi::Error) -> bool {
    matches!(failure.extended_code, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
}

/// Set once, by the first failure after which no unconfirmed write can be trusted.
#[derive(Debug)]
pub(super) struct Poison(watch::Sender<Option<EngineError>>);

impl Poison {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Stores the failure unless an earlier failure is stored. Returns the stored failure.
    pub(super) fn set(&self, error: EngineError) -> EngineError {
        self.0.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert(error);
            first
        });
        self.get().expect("the failure has just been set")
    }

    pub(super) fn get(&self) -> Option<EngineError> {
        self.0.borrow().clone()
    }

    /// Logs the failure of a checkpoint. Returns whether it poisons the database: a failed sync
    /// must not be retried, since the kernel may have dropped the pages.
    pub(super) fn record_checkpoint_failure(&self, error: &EngineError) -> bool {
        if matches!(error, EngineError::Unavailable { .. }) {
            tracing::warn!(
                event = "wal_checkpoint_delayed",
                %error,
                "write-ahead log not checkpointed, retrying"
            );
            return false;
        }
        tracing::error!(
            event = "wal_checkpoint_failed",
            %error,
            "write-ahead log not checkpointed"
        );
        self.set(fatal(error.to_string()));
        true
    }

    pub(super) fn check(&self) -> Result<(), EngineError> {
        self.get().map_or(Ok(()), Err)
    }

    /// Waits for the failure.
    pub(super) async fn wait(&self) -> EngineError {
        let mut receiver = self.0.subscribe();
        let failure = receiver
            .wait_for(Option::is_some)
            .await
            .expect("the sender lives as long as the receiver's borrow");
        failure.clone().expect("waited for a failure")
    }
}

/// Poisons the ledger when its thread panics. Otherwise the panic would go unnoticed until the next
/// write.
pub(super) struct PanicGuard<'poison> {
    pub(super) poison: &'poison Poison,
    pub(super) what: &'static str,
}

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.poison.set(panicked(self.what));
        }
    }
}
