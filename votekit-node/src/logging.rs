//! Log lines: JSON on standard error, one object per line, written by a dedicated thread. Another
//! thread writes audit events in the same form to the file of the setting `audit_log`.
//!
//! ```text
//! any thread ──try_send──▶ queue (bounded) ──▶ log writer ──▶ standard error, or the audit log
//!      │ full                                      │ EPIPE, ENOSPC, EIO, EAGAIN
//!      └──────────▶ dropped and counted ◀──────────┘
//! ```
//!
//! Callers never wait for the reader of standard error, nor for the disk of the audit log, and
//! receive no write errors: a fault of logging must not cost a vote.
//!
//! Each line has `event`, a stable name, and fields; alarms have `alarm = true`. Alert rules should
//! match `alarm` or `event`, not the message. `docs/monitoring.md` lists the events.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

use crate::metrics;

/// The tracing target of audit events, which `docs/audit-events.md` lists.
pub(crate) const AUDIT_TARGET: &str = "votekit::audit";

/// Lines queued for the writer. When the queue is full, further lines are dropped.
const QUEUE_LINES_MAX: usize = 4096;

/// Retries of a line while standard error returns EAGAIN.
const RETRIES_MAX: u32 = 10;

/// Pause between two retries.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// The log queue of this process.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// The queue of the audit log of this process.
static AUDIT_QUEUE: OnceLock<Queue> = OnceLock::new();

/// Writes log lines of `level` (`error`, `warn`, `info`, `debug` or `trace`) and above to standard
/// error, as JSON, one object per line. Audit events are appended to the file `audit_log`, which is
/// created readable only by its owner; without it they are not written. Only the first call in a
/// process takes effect.
///
/// A line that cannot be written is dropped, and counted in `log_lines_dropped_total`. Call
/// [`flush_log`] before the process ends, or its last lines may be missing.
///
/// ```
/// assert!(votekit_node::logging::init_logging("info", None).is_ok());
/// assert!(votekit_node::logging::init_logging("loud", None).is_err());
/// ```
///
/// # Errors
/// [`LoggingError`] when there is no such level, or the file cannot be opened.
pub fn init_logging(level: &str, audit_log: Option<&Path>) -> Result<(), LoggingError> {
    let level = parse_level(level)?;
    let audit = match audit_log {
        Some(path) => {
            let (file, torn) = open_audit_log(path)?;
            Some(AUDIT_QUEUE.get_or_init(|| Queue::start("audit-writer", file, torn)).clone())
        }
        None => None,
    };
    let lines = QUEUE.get_or_init(|| Queue::start("log-writer", io::stderr(), false)).clone();
    // A process that already has a subscriber keeps it.
    let _ = tracing::subscriber::set_global_default(subscriber(level, Output { lines, audit }));
    Ok(())
}

/// Formats lines as JSON and sends them to the queues of `output`.
fn subscriber(
    level: tracing::Level,
    output: Output,
) -> impl tracing::Subscriber + Send + Sync + 'static {
    // The ballot box reports broker errors itself; its client library `lapin` stays silent.
    let audit_level = if output.audit.is_some() { "info" } else { "off" };
    let wanted = format!("{level},lapin=off,{}={audit_level}", AUDIT_TARGET);
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        // The subscriber would report a failed write on the same stream, and panic there.
        .log_internal_errors(false)
        .with_env_filter(tracing_subscriber::EnvFilter::new(wanted))
        .with_writer(output)
        .finish()
}

/// Opens the audit log. Returns whether its last line was cut short.
fn open_audit_log(path: &Path) -> Result<(File, bool), LoggingError> {
    let failed = |source| LoggingError::AuditLog { path: path.to_owned(), source };
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .read(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::other("it is not a regular file")));
    }
    let mut last = [b'\n'];
    if metadata.len() > 0 {
        file.seek(SeekFrom::End(-1)).map_err(failed)?;
        file.read_exact(&mut last).map_err(failed)?;
    }
    Ok((file, last != [b'\n']))
}

/// Logs each panic as a JSON line of level `ERROR` instead of Rust's text, since log readers expect
/// JSON. For programs only: a library leaves the panic hook to its program.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        tracing::error!(
            event = "task_panicked",
            alarm = true,
            message_of_panic = message,
            place,
            thread,
            "task panicked"
        );
    }));
}

/// Waits until the lines logged before this call are written, at most `timeout`.
pub fn flush_log(timeout: Duration) {
    let until = Instant::now() + timeout;
    for queue in [&QUEUE, &AUDIT_QUEUE] {
        if let Some(queue) = queue.get() {
            flush(queue, until);
        }
    }
}

fn flush(queue: &Queue, until: Instant) {
    let (reply, written) = sync_channel(1);
    let mut message = Message::Flush(reply);
    loop {
        match queue.0.try_send(message) {
            Ok(()) => break,
            Err(TrySendError::Full(again)) if Instant::now() < until => {
                message = again;
                std::thread::sleep(RETRY_PAUSE);
            }
            Err(_) => return,
        }
    }
    // After a timeout nothing more can be done for these lines.
    let _ = written.recv_timeout(until.saturating_duration_since(Instant::now()));
}

/// Checks that a text is a log level.
///
/// # Errors
/// [`LogLevelError`] when there is no such level.
pub fn check_log_level(level: &str) -> Result<(), LogLevelError> {
    parse_level(level).map(|_| ())
}

fn parse_level(level: &str) -> Result<tracing::Level, LogLevelError> {
    level.parse().map_err(|_| LogLevelError)
}

/// The text is not a log level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a log level is one of error, warn, info, debug and trace")]
pub struct LogLevelError;

/// Why log lines cannot be written as configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoggingError {
    /// The level does not exist.
    #[error(transparent)]
    Level(#[from] LogLevelError),
    /// The audit log cannot be opened.
    #[error("audit_log = {}: {source}", path.display())]
    AuditLog {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A message to the log writer.
enum Message {
    Line(Vec<u8>),
    /// Acknowledged once every earlier line is written or dropped.
    Flush(SyncSender<()>),
}

/// The destination of log lines: each queue has its own writer.
struct Output {
    lines: Queue,
    /// For audit events.
    audit: Option<Queue>,
}

/// The lines queued for a writer.
#[derive(Clone)]
struct Queue(SyncSender<Message>);

impl Queue {
    /// Starts the writer thread. Without a thread every line is dropped and counted. `torn` if the
    /// last line of the output was cut short.
    fn start(name: &str, mut output: impl Write + Send + 'static, torn: bool) -> Self {
        let (queue, lines) = sync_channel(QUEUE_LINES_MAX);
        let writer = std::thread::Builder::new().name(name.to_owned());
        // A system that cannot spawn threads is reported by the start of the node.
        let _ = writer.spawn(move || write_lines(&lines, &mut output, torn));
        Self(queue)
    }
}

impl<'queue> MakeWriter<'queue> for Output {
    type Writer = LineSender<'queue>;

    fn make_writer(&'queue self) -> LineSender<'queue> {
        LineSender(&self.lines.0)
    }

    fn make_writer_for(&'queue self, line: &tracing::Metadata<'_>) -> LineSender<'queue> {
        match &self.audit {
            Some(audit) if line.target() == AUDIT_TARGET => LineSender(&audit.0),
            _ => self.make_writer(),
        }
    }
}

/// Sends each line to the writer. Never fails and never waits.
struct LineSender<'queue>(&'queue SyncSender<Message>);

impl Write for LineSender<'_> {
    /// The subscriber writes each line in one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.try_send(Message::Line(line.to_vec())).is_err() {
            metrics::log_line_dropped();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs until the process ends.
fn write_lines(lines: &Receiver<Message>, output: &mut impl Write, mut torn: bool) {
    while let Ok(message) = lines.recv() {
        match message {
            Message::Line(mut line) => {
                if torn {
                    // The previous line was cut short: start a new line.
                    line.insert(0, b'\n');
                }
                match write_line(&line, output) {
                    Ok(()) => torn = false,
                    Err(Dropped { torn: now_torn }) => {
                        torn |= now_torn;
                        metrics::log_line_dropped();
                    }
                }
            }
            // The caller may have stopped waiting.
            Message::Flush(reply) => drop(reply.try_send(())),
        }
    }
}

/// A line was not written, or only in part.
#[derive(Debug, PartialEq, Eq)]
struct Dropped {
    /// Part of the line was written.
    torn: bool,
}

fn write_line(line: &[u8], output: &mut impl Write) -> Result<(), Dropped> {
    let mut rest = line;
    let mut retries = 0;
    while !rest.is_empty() {
        match output.write(rest) {
            Ok(written) if written > 0 => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && retries < RETRIES_MAX => {
                retries += 1;
                std::thread::sleep(RETRY_PAUSE);
            }
            Ok(_) | Err(_) => return Err(Dropped { torn: rest.len() < line.len() }),
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod capture {
    use super::*;

    /// Runs `work` on this thread, and returns the audit events that it wrote.
    pub(crate) fn audit_lines(work: impl FnOnce()) -> Vec<String> {
        let (audit, written) = sync_channel(64);
        let (lines, _other) = sync_channel(64);
        let output = Output { lines: Queue(lines), audit: Some(Queue(audit)) };
        tracing::subscriber::with_default(subscriber(tracing::Level::ERROR, output), work);
        let text = |message| match message {
            Message::Line(line) => String::from_utf8(line).ok(),
            Message::Flush(_) => None,
        };
        written.try_iter().filter_map(text).map(|line| line.trim_end().to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Returns the scripted results in order, then accepts everything.
    struct Scripted {
        script: VecDeque<Result<usize, io::ErrorKind>>,
        written: Vec<u8>,
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let length = match self.script.pop_front() {
                Some(Err(kind)) => return Err(kind.into()),
                Some(Ok(length)) => length.min(bytes.len()),
                None => bytes.len(),
            };
            self.written.extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(script: &[Result<usize, io::ErrorKind>]) -> String {
        let mut output = Scripted { script: script.iter().copied().collect(), written: Vec::new() };
        let (queue, lines) = sync_channel(8);
        for line in ["first\n", "second\n"] {
            queue.send(Message::Line(line.into())).expect("room");
        }
        drop(queue);
        write_lines(&lines, &mut output, false);
        String::from_utf8(output.written).expect("text")
    }

    #[test]
    fn a_line_that_cannot_be_written_is_dropped_and_the_next_one_is_complete() {
        assert_eq!(written(&[]), "first\nsecond\n");
        for error in [
            io::ErrorKind::BrokenPipe,
            io::ErrorKind::StorageFull,
            io::ErrorKind::Other,
            io::ErrorKind::ReadOnlyFilesystem,
        ] {
            assert_eq!(written(&[Err(error)]), "second\n", "{error}");
            assert_eq!(written(&[Ok(3), Err(error)]), "fir\nsecond\n", "{error}");
        }
        assert_eq!(written(&[Ok(0)]), "second\n");
        let passing = [Err(io::ErrorKind::Interrupted), Ok(2), Err(io::ErrorKind::WouldBlock)];
        assert_eq!(written(&passing), "first\nsecond\n");
        let blocked = [Err(io::ErrorKind::WouldBlock); RETRIES_MAX as usize + 1];
        assert_eq!(written(&blocked), "second\n");
    }

    #[test]
    fn the_audit_log_is_appended_after_a_torn_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.log");
        for (before, torn) in [("", false), ("{}\n", false), ("{}\n{\"cut", true)] {
            fs::write(&path, before).expect("written");
            let (mut file, found) = open_audit_log(&path).expect("opened");
            assert_eq!(found, torn, "{before}");
            let (queue, lines) = sync_channel(2);
            queue.send(Message::Line(b"next\n".to_vec())).expect("room");
            drop(queue);
            write_lines(&lines, &mut file, found);
            let end = if torn { "\nnext\n" } else { "next\n" };
            assert_eq!(fs::read_to_string(&path).expect("text"), format!("{before}{end}"));
        }
        fs::remove_file(&path).expect("removed");
        open_audit_log(&path).expect("created");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        open_audit_log(folder.path()).expect_err("a folder");
    }

    #[test]
    fn a_full_queue_drops_lines_and_no_caller_waits() {
        let (queue, lines) = sync_channel(2);
        let mut sender = LineSender(&queue);
        for _ in 0..5 {
            assert_eq!(sender.write(b"line\n").expect("never fails"), 5);
        }
        assert_eq!(lines.try_iter().count(), 2);
    }
}
