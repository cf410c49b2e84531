//! Checkpoints the write-ahead log on a separate thread, so that no voter waits for it.
//!
//! ```text
//! writer ──commits──▶ log ◀──copies pages, syncs the database── this thread, when enough is new
//!    └── once the log is long: copies the small rest, after which SQLite restarts the log
//! ```
//!
//! SQLite restarts its log only when all of it is in the database, which never happens under
//! continuous writing without help. So the writer makes the last step, between two groups, when
//! this thread has left little to copy. A long read can delay this, and the log grows during the
//! delay.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use super::fault::{Fault, PanicGuard, Poison, unavailable};
use super::schema;
use crate::EngineError;

/// How often the length of the log is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// New pages (4 KiB) in the log that trigger a checkpoint.
const MOVE_PAGES: i64 = 4_000;

/// Pages in the log from which it is restarted.
const RESTART_PAGES: i64 = 25_000;

/// Pages in the log that indicate a read that never ends: 4 GiB.
const ALARM_PAGES: i64 = 1 << 20;

/// Handle of the checkpointer's thread. Dropping it ends the thread.
pub(super) struct Checkpointer {
    restart_wanted: Arc<AtomicBool>,
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    pub(super) fn start(path: &Path, poison: Arc<Poison>) -> Result<Self, EngineError> {
        let connection = schema::open_checkpointer(path)?;
        let restart_wanted = Arc::new(AtomicBool::new(false));
        let (stop, stopped) = sync_channel(0);
        let mover = Mover {
            connection,
            restart_wanted: Arc::clone(&restart_wanted),
            poison,
            alarmed: false,
        };
        let thread = std::thread::Builder::new()
            .name("checkpointer".into())
            .spawn(move || mover.run(&stopped))
            .map_err(|error| {
                unavailable(format!("the checkpointer's thread did not start: {error}"))
            })?;
        Ok(Self { restart_wanted, stop: Some(stop), thread: Some(thread) })
    }

    /// Whether the writer must checkpoint the rest of the log now. Clears the request, which is set
    /// again only after the log has grown.
    pub(super) fn wants_restart(&self) -> bool {
        self.restart_wanted.swap(false, Ordering::Relaxed)
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(
                event = "checkpointer_panicked",
                "checkpointer thread of the ledger panicked"
            );
        }
    }
}

/// The state of the thread.
struct Mover {
    connection: Connection,
    restart_wanted: Arc<AtomicBool>,
    poison: Arc<Poison>,
    alarmed: bool,
}

impl Mover {
    fn run(mut self, stopped: &Receiver<()>) {
        let poison = Arc::clone(&self.poison);
        let _guard = PanicGuard { poison: &poison, what: "the checkpointer's thread" };
        // Ends when the handle drops the sender.
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(POLL_INTERVAL) {
            if let Err(error) = self.check_length().map_err(EngineError::from)
                && self.poison.record_checkpoint_failure(&error)
            {
                return;
            }
        }
    }

    fn check_length(&mut self) -> Result<(), Fault> {
        let LogLength { pages, moved } =
            log_length(&self.connection, "PRAGMA wal_checkpoint(NOOP)")?;
        if pages - moved < MOVE_PAGES {
            return Ok(());
        }
        let LogLength { pages, moved } =
            log_length(&self.connection, "PRAGMA wal_checkpoint(PASSIVE)")?;
        if pages >= RESTART_PAGES && pages - moved < MOVE_PAGES {
            self.restart_wanted.store(true, Ordering::Relaxed);
        }
        if pages >= ALARM_PAGES && !self.alarmed {
            tracing::warn!(
                event = "wal_grown",
                pages,
                moved,
                "write-ahead log too long, look for long-running readers"
            );
        }
        self.alarmed = pages >= ALARM_PAGES;
        Ok(())
    }
}

/// Checkpoints the rest of the log without waiting for readers.
pub(super) fn move_rest(connection: &Connection) -> Result<(), Fault> {
    log_length(connection, "PRAGMA wal_checkpoint(PASSIVE)").map(|_| ())
}

/// Pages in the log, and how many of them were moved to the database. Both are -1 without a log.
pub(super) struct LogLength {
    pub(super) pages: i64,
    pub(super) moved: i64,
}

/// The length of the log after a checkpoint pragma, of which `NOOP` moves nothing.
pub(super) fn log_length(connection: &Connection, pragma: &str) -> Result<LogLength, Fault> {
    let mut statement = connection.prepare_cached(pragma)?;
    Ok(statement.query_row([], |row| Ok(LogLength { pages: row.get(1)?, moved: row.get(2)? }))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_wal_is_checkpointed_and_restarted() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join(schema::FILE);
        let writer = schema::open_writer(&path)?;
        writer.execute_batch("CREATE TABLE filling (bytes BLOB)")?;
        let poison = Arc::new(Poison::new());
        let checkpointer = Checkpointer::start(&path, Arc::clone(&poison))?;
        let log = || {
            std::fs::metadata(folder.path().join("ledger.sqlite-wal")).map_or(0, |log| log.len())
        };
        let mut restarts = 0;
        // About 40 MB per round; a restart is requested from 100 MB.
        for _ in 0..30 {
            for _ in 0..40 {
                writer.execute_batch("INSERT INTO filling VALUES (zeroblob(1000000))")?;
            }
            std::thread::sleep(POLL_INTERVAL);
            if checkpointer.wants_restart() {
                move_rest(&writer).map_err(EngineError::from)?;
                restarts += 1;
            }
            if restarts == 2 {
                break;
            }
        }
        assert!(restarts >= 2, "the log was never long enough, or never moved");
        assert!(log() < 1 << 30, "the log has {} bytes", log());
        assert!(poison.get().is_none());
        Ok(())
    }
}
