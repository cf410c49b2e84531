//! The writer thread. It groups queued writes into one transaction, so that one sync to disk
//! answers many callers.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::checkpointer::{self, Checkpointer};
use super::fault::{self, Fault, PanicGuard, Poison, corrupt, fatal, panicked, unavailable};
use super::tail::Tail;
use super::transaction;
use crate::EngineError;
use crate::write_health::WriteHealth;

/// Capacity of the queue of writes. Further callers wait.
const QUEUE_LENGTH: usize = 256;

/// Bytes from which a group is written without taking more from the queue.
const GROUP_BYTES_MAX: usize = 32 << 20;

/// The name of the thread in errors.
const THREAD: &str = "the writer's thread";

/// Rate limit: a full disk fails hundreds of groups per second.
static GROUP_FAILED: Sparse = Sparse::every(Duration::from_secs(10));

/// One write, checked against the stored data before it changes anything.
pub(super) trait Write: Send + 'static {
    /// The result for the caller.
    type Output: Send;

    /// Checks, then writes, inside a transaction shared with other writes. May return
    /// [`Fault::Engine`] only before it has written anything, because the other writes are
    /// committed in any case.
    fn apply(&self, connection: &Connection) -> Result<Self::Output, Fault>;

    /// Updates the tail after COMMIT.
    fn committed(&self, _output: &Self::Output, _tail: &Tail) {}

    /// The approximate number of bytes that this writes.
    fn bytes(&self) -> usize {
        0
    }

    /// Whether it writes a page even if no row changes.
    fn always_writes(&self) -> bool {
        false
    }
}

/// Handle of the writer thread. Dropping it completes the queued writes, empties the write-ahead
/// log and ends the thread.
pub(super) struct Writer {
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
    poison: Arc<Poison>,
    health: Arc<WriteHealth>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        checkpointer: Checkpointer,
        tail: Arc<Tail>,
        poison: Arc<Poison>,
    ) -> Result<Self, EngineError> {
        let (commands, receiver) = mpsc::channel(QUEUE_LENGTH);
        let health = Arc::new(WriteHealth::default());
        let worker = WriterThread {
            connection,
            checkpointer,
            tail,
            poison: Arc::clone(&poison),
            health: Arc::clone(&health),
        };
        let thread = std::thread::Builder::new()
            .name("ledger-writer".into())
            .spawn(move || worker.run(receiver))
            .map_err(|error| unavailable(format!("the writer's thread did not start: {error}")))?;
        Ok(Self { commands: Some(commands), thread: Some(thread), poison, health })
    }

    /// Returns the failure of the last write, unless a write has succeeded since.
    pub(super) fn check(&self) -> Result<(), EngineError> {
        self.health.check()
    }

    /// Makes one write, which is durable when this returns `Ok`. A queued write is made even if the
    /// caller stops waiting.
    pub(super) async fn write<W: Write>(&self, write: W) -> Result<W::Output, EngineError> {
        self.poison.check()?;
        let (reply, answer) = oneshot::channel();
        self.send(Command::Write(Box::new(Queued { write, result: None, reply })), answer).await
    }

    /// Checkpoints the write-ahead log and empties it.
    pub(super) async fn checkpoint(&self) -> Result<(), EngineError> {
        self.poison.check()?;
        let (reply, answer) = oneshot::channel();
        self.send(Command::Checkpoint(reply), answer).await
    }

    async fn send<T>(
        &self,
        command: Command,
        answer: oneshot::Receiver<Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        let commands = self.commands.as_ref().expect("commands are taken by drop alone");
        let sent = commands.send(command).await.is_ok();
        match answer.await {
            Ok(answer) if sent => answer,
            // The thread ends only when `self` is dropped, or by a panic.
            _ => Err(self.poison.set(panicked(THREAD))),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(event = "writer_panicked", "writer thread of the ledger panicked");
        }
    }
}

type Reply<T> = oneshot::Sender<Result<T, EngineError>>;

enum Command {
    Write(Box<dyn Job>),
    Checkpoint(Reply<()>),
}

/// A [`Write`] with its output type erased.
trait Job: Send {
    fn bytes(&self) -> usize;
    fn always_writes(&self) -> bool;
    fn apply(&mut self, connection: &Connection) -> Result<(), rusqlite::Error>;
    fn settle(self: Box<Self>, group: &Result<(), EngineError>, tail: &Tail);
}

struct Queued<W: Write> {
    write: W,
    result: Option<Result<W::Output, EngineError>>,
    reply: Reply<W::Output>,
}

impl<W: Write> Job for Queued<W> {
    fn bytes(&self) -> usize {
        self.write.bytes()
    }

    fn always_writes(&self) -> bool {
        self.write.always_writes()
    }

    fn apply(&mut self, connection: &Connection) -> Result<(), rusqlite::Error> {
        self.result = Some(match self.write.apply(connection) {
            Ok(output) => Ok(output),
            Err(Fault::Engine(error)) => Err(error),
            Err(Fault::Sqlite(error)) => return Err(error),
        });
        Ok(())
    }

    fn settle(self: Box<Self>, group: &Result<(), EngineError>, tail: &Tail) {
        let answer = match (group, self.result) {
            (Err(error), _) => Err(error.clone()),
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(unavailable("the write was not attempted")),
        };
        if let Ok(output) = &answer {
            self.write.committed(output, tail);
        }
        // The caller may have stopped waiting.
        let _ = self.reply.send(answer);
    }
}

/// The state of the thread.
struct WriterThread {
    connection: Connection,
    checkpointer: Checkpointer,
    tail: Arc<Tail>,
    poison: Arc<Poison>,
    health: Arc<WriteHealth>,
}

impl WriterThread {
    fn run(self, mut commands: mpsc::Receiver<Command>) {
        let poison = Arc::clone(&self.poison);
        let _guard = PanicGuard { poison: &poison, what: THREAD };
        while let Some(first) = commands.blocking_recv() {
            let mut jobs = Vec::new();
            let mut bytes = 0;
            let mut next = Some(first);
            // A checkpoint command ends the group and runs after it.
            while let Some(Command::Write(job)) = next {
                bytes += job.bytes();
                jobs.push(job);
                next = if bytes < GROUP_BYTES_MAX && jobs.len() < QUEUE_LENGTH {
                    commands.try_recv().ok()
                } else {
                    None
                };
            }
            if !jobs.is_empty() {
                self.write_group(jobs);
            }
            if self.checkpointer.wants_restart() && self.poison.get().is_none() {
                self.restart_log();
            }
            if let Some(Command::Checkpoint(reply)) = next {
                let _ = reply.send(self.poison.check().and_then(|()| empty_log(&self.connection)));
            }
        }
        // Ends the checkpointer first: only one connection can checkpoint at a time.
        drop(self.checkpointer);
        if self.poison.get().is_none()
            && let Err(error) = empty_log(&self.connection)
        {
            // Nothing is lost: SQLite replays the log when the ledger is next opened.
            tracing::warn!(
                event = "wal_truncate_failed",
                %error,
                "ledger closed, write-ahead log not emptied"
            );
        }
    }

    fn write_group(&self, mut jobs: Vec<Box<dyn Job>>) {
        let before = self.connection.total_changes();
        let outcome = self.poison.check().and_then(|()| self.transact(&mut jobs));
        match &outcome {
            // A group of which every write is refused or already stored writes nothing, so it does
            // not prove that the disk works.
            Ok(()) => {
                let wrote = self.connection.total_changes() != before
                    || jobs.iter().any(|job| job.always_writes());
                if wrote && self.health.record_success() {
                    tracing::info!(event = "ledger_writes_resumed", "ledger writes succeed again");
                }
            }
            Err(error) => {
                self.health.record_failure(error.clone());
                if let Some(left_out) = GROUP_FAILED.due(Instant::now()) {
                    let (writes, count) = (jobs.len(), left_out + 1);
                    tracing::error!(
                        event = "ledger_write_failed",
                        %error,
                        writes,
                        count,
                        "group of writes failed"
                    );
                }
                if matches!(error, EngineError::Fatal { .. }) {
                    self.poison.set(error.clone());
                }
            }
        }
        for job in jobs {
            job.settle(&outcome, &self.tail);
        }
    }

    fn transact(&self, jobs: &mut [Box<dyn Job>]) -> Result<(), EngineError> {
        transaction::immediate(&self.connection, |connection| {
            for job in jobs {
                job.apply(connection)?;
            }
            Ok(())
        })
    }

    /// Checkpoints the rest of the log. The group before it is already durable, even if this fails.
    fn restart_log(&self) {
        match checkpointer::move_rest(&self.connection).map_err(EngineError::from) {
            Ok(()) => {}
            Err(error @ EngineError::Unavailable { .. }) => {
                tracing::warn!(
                    event = "wal_restart_delayed",
                    %error,
                    "write-ahead log not restarted, retrying"
                );
            }
            Err(error) => {
                self.poison.set(fatal(error.to_string()));
            }
        }
    }
}

/// Checkpoints the write-ahead log and empties it. Fails if a part of the log remains.
pub(super) fn empty_log(connection: &Connection) -> Result<(), EngineError> {
    let checkpoint =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    match checkpoint {
        Ok(0) => Ok(()),
        Ok(_) => Err(unavailable("a long read keeps the write-ahead log from being emptied")),
        Err(rusqlite::Error::SqliteFailure(..)) => {
            checkpoint.map(|_| ()).map_err(|error| fault::statement_error(&error))
        }
        Err(error) => Err(corrupt(error.to_string())),
    }
}

/// Limits a log line that could occur for each of thousands of votes to one per interval, with the
/// number of suppressed lines. Otherwise a full disk would be filled by its own error messages.
struct Sparse {
    interval: Duration,
    state: Mutex<Option<(Instant, u64)>>,
}

impl Sparse {
    /// Allows one line per interval.
    const fn every(interval: Duration) -> Self {
        Self { interval, state: Mutex::new(None) }
    }

    /// If the line is due, the number of lines suppressed since the last one; otherwise `None`.
    fn due(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock();
        match &mut *state {
            Some((last, left_out)) if now.saturating_duration_since(*last) < self.interval => {
                *left_out += 1;
                None
            }
            state => {
                let left_out = state.map_or(0, |(_, left_out)| left_out);
                *state = Some((now, 0));
                Some(left_out)
            }
        }
    }
}

#[cfg(test)]
#[path = "writer_test.rs"]
mod tests;
