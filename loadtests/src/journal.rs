//! The journal: votes sent and their outcomes, durable early enough to be trusted after any crash.
//!
//! A file of JSON lines. The member `line` names the kind of each line:
//!
//! - `start`: `format` (`votekit-load/1`), `seed`, `votes`, `rows`, `nodes`. First.
//! - `vote`: `seq`, `kind` (`first`, `duplicate`, `unknown`), `row`, `law_id`, `choice`, `key`.
//!   Durable **before** the vote is sent.
//! - `outcome`: `seq`, `at_us`, then `status`, `request_id`, `state`, `code` as far as the answer
//!   has them, or `error`. One for each sending: one for a vote, unless it is retried.
//! - `decision`: `seq`, `at_us`, `request_id`, `state`. For followed votes.
//! - `end`: `votes`, `outcomes`. Last, after an orderly end.
//!
//! `seq` counts from 0. `row` is the row of the roll, from 1, not counting the header; absent for
//! an invented credential. `key` is the idempotency key, absent if none was sent. `at_us` is
//! microseconds from the start of the run. `error` is `connect` or `unsent` (the node did not
//! receive the vote), or `timeout`, `closed` or `malformed` (it may have). A retry uses the same
//! key. Votes are written ahead of their time in groups, so a vote without an outcome may have been
//! sent. No line contains a NAS, an access code or a digest of either.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use votekit_core::id::RequestId;

use crate::answer::VoteState;
use crate::ballot_mix::{BallotKind, BallotMix};
use crate::error::LoadError;

/// The journal's format name, in its first line.
pub const FORMAT: &str = "votekit-load/1";

/// The error of a vote that was never sent.
pub(crate) const UNSENT: &str = "unsent";

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "lowercase")]
pub enum JournalLine<'text> {
    /// The first line.
    Start {
        /// [`FORMAT`].
        format: Cow<'text, str>,
        /// The mix's seed.
        seed: u64,
        /// Votes planned.
        votes: u64,
        /// Rows of the roll.
        rows: u64,
        /// Addresses of the nodes.
        nodes: Vec<Cow<'text, str>>,
    },
    /// A vote that is about to be sent.
    Vote {
        /// Its number, from 0.
        seq: u64,
        /// `first`, `duplicate` or `unknown`.
        kind: Cow<'text, str>,
        /// The row of the roll, from 1.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        row: Option<u32>,
        /// The law.
        law_id: Cow<'text, str>,
        /// The choice.
        choice: Cow<'text, str>,
        /// The idempotency key.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        key: Option<Cow<'text, str>>,
    },
    /// The outcome of one sending.
    Outcome {
        /// The vote.
        seq: u64,
        /// Microseconds from the start of the run.
        at_us: u64,
        /// The HTTP status.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        status: Option<u16>,
        /// The request id.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request_id: Option<RequestId>,
        /// The state in the answer.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        state: Option<VoteState>,
        /// The problem's code.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        code: Option<Cow<'text, str>>,
        /// The reason there is no answer.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        error: Option<Cow<'text, str>>,
    },
    /// The decision of a followed vote.
    Decision {
        /// The vote.
        seq: u64,
        /// Microseconds from the start of the run.
        at_us: u64,
        /// The request id.
        request_id: RequestId,
        /// The decision.
        state: VoteState,
    },
    /// The last line, after an orderly end.
    End {
        /// `vote` lines written.
        votes: u64,
        /// `outcome` lines written.
        outcomes: u64,
    },
}

/// The idempotency key of vote `sequence`. The same seed gives the same keys, so repeating a run
/// against the same election retries the votes of the first.
#[must_use]
pub fn idempotency_key(seed: u64, sequence: u64) -> String {
    format!("load-{seed:016x}-{sequence}")
}

#[derive(Debug, Clone)]
pub(crate) struct JournalOptions {
    pub(crate) path: PathBuf,
    pub(crate) votes: u64,
    /// Votes to keep durable ahead of the last released one.
    pub(crate) ahead: u64,
    pub(crate) idempotency_keys: bool,
    pub(crate) nodes: Vec<String>,
}

/// A journal written by its own thread.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    shared: Arc<JournalState>,
    notes: Sender<JournalLine<'static>>,
    thread: JoinHandle<()>,
}

/// State shared by the pacer and the writer.
#[derive(Debug, Default)]
struct JournalState {
    /// Number of durable votes.
    durable: AtomicU64,
    /// Number of votes released for sending.
    released: AtomicU64,
    /// Whether no more votes will be released.
    closing: AtomicBool,
    failure: OnceLock<io::Error>,
}

/// The pacer's handle: limits how far it may release.
#[derive(Debug, Clone)]
pub(crate) struct Watermark(Arc<JournalState>);

impl Watermark {
    /// Number of votes that may be sent.
    pub(crate) fn durable(&self) -> u64 {
        self.0.durable.load(Ordering::Acquire)
    }

    /// Reports that the votes before `count` were released.
    pub(crate) fn released(&self, count: u64) {
        self.0.released.store(count, Ordering::Release);
    }

    /// Whether writing failed. No more votes become durable then.
    pub(crate) fn has_failed(&self) -> bool {
        self.0.failure.get().is_some()
    }
}

impl Journal {
    /// Creates the file, which must not exist, and makes the first votes durable.
    pub(crate) fn start(mix: Arc<BallotMix>, options: JournalOptions) -> Result<Self, LoadError> {
        let failed = |source| LoadError::File { path: options.path.clone(), source };
        let file =
            OpenOptions::new().write(true).create_new(true).open(&options.path).map_err(failed)?;
        sync_folder(&options.path).map_err(failed)?;
        let (notes, receiver) = mpsc::channel();
        let shared = Arc::new(JournalState::default());
        let path = options.path.clone();
        let mut writer = Writer::new(file, mix, options, Arc::clone(&shared));
        writer.begin().map_err(|source| LoadError::File { path: path.clone(), source })?;
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|error| LoadError::Thread { problem: error.to_string() })?;
        Ok(Self { path, shared, notes, thread })
    }

    pub(crate) fn watermark(&self) -> Watermark {
        Watermark(Arc::clone(&self.shared))
    }

    /// A handle for outcomes and decisions. Lines sent after a failure are dropped;
    /// [`finish`](Self::finish) returns the failure.
    pub(crate) fn notes(&self) -> Sender<JournalLine<'static>> {
        self.notes.clone()
    }

    /// Writes the remaining lines and ends the file. Every handle must have been dropped.
    pub(crate) fn finish(self) -> Result<(), LoadError> {
        self.shared.closing.store(true, Ordering::Release);
        drop(self.notes);
        let ended = self.thread.join();
        if let Some(failure) = self.shared.failure.get() {
            let source = io::Error::new(failure.kind(), failure.to_string());
            return Err(LoadError::File { path: self.path, source });
        }
        ended.map_err(|_| LoadError::Thread { problem: "the journal's thread panicked".to_owned() })
    }
}

/// Makes the file's name durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."));
    File::open(folder)?.sync_all()
}

struct Writer {
    file: BufWriter<File>,
    mix: Arc<BallotMix>,
    options: JournalOptions,
    shared: Arc<JournalState>,
    outcomes: u64,
    unsynced_since: Option<Instant>,
}

impl Writer {
    /// Maximum time before a note is synced.
    const SYNC_INTERVAL: Duration = Duration::from_millis(100);
    /// How often the writer checks whether votes must be written ahead.
    const POLL_INTERVAL: Duration = Duration::from_millis(2);

    fn new(
        file: File,
        mix: Arc<BallotMix>,
        options: JournalOptions,
        shared: Arc<JournalState>,
    ) -> Self {
        Self {
            file: BufWriter::with_capacity(1 << 18, file),
            mix,
            options,
            shared,
            outcomes: 0,
            unsynced_since: None,
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        let nodes = self.options.nodes.iter().cloned().map(Cow::Owned).collect();
        let (seed, rows) = (self.mix.seed(), self.mix.rows());
        self.write(&JournalLine::Start {
            format: FORMAT.into(),
            seed,
            votes: self.options.votes,
            rows,
            nodes,
        })?;
        self.write_ahead()
    }

    fn run(mut self, notes: &Receiver<JournalLine<'static>>) {
        if let Err(failure) = self.write_all(notes) {
            // Only this thread sets it, once, at its end.
            let _ = self.shared.failure.set(failure);
        }
    }

    fn write_all(&mut self, notes: &Receiver<JournalLine<'static>>) -> io::Result<()> {
        loop {
            match notes.recv_timeout(Self::POLL_INTERVAL) {
                Ok(note) => {
                    self.write_note(&note)?;
                    // Bounded, so that many outcomes at once never delay the votes that must be
                    // written ahead.
                    for note in notes.try_iter().take(10_000) {
                        self.write_note(&note)?;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.end(),
            }
            if !self.shared.closing.load(Ordering::Acquire) {
                self.write_ahead()?;
            }
            if self.unsynced_since.is_some_and(|since| since.elapsed() >= Self::SYNC_INTERVAL) {
                self.sync()?;
            }
        }
    }

    /// Keeps enough votes durable ahead of the pacer. Writes them in large groups, so that one sync
    /// covers many.
    fn write_ahead(&mut self) -> io::Result<()> {
        let durable = self.shared.durable.load(Ordering::Relaxed);
        let released = self.shared.released.load(Ordering::Acquire);
        let goal = self.options.votes.min(released + self.options.ahead);
        if durable >= goal || (goal < self.options.votes && goal - durable < self.options.ahead / 4)
        {
            return Ok(());
        }
        let mix = Arc::clone(&self.mix);
        for seq in durable..goal {
            let Some(ballot) = mix.ballot(seq) else { break };
            let kind = match ballot.kind {
                BallotKind::First => "first",
                BallotKind::Duplicate => "duplicate",
                BallotKind::Unknown => "unknown",
            };
            let key =
                self.options.idempotency_keys.then(|| idempotency_key(mix.seed(), seq).into());
            let (law_id, choice) = (ballot.law_id.into(), ballot.choice.into());
            self.write(&JournalLine::Vote {
                seq,
                kind: kind.into(),
                row: ballot.row,
                law_id,
                choice,
                key,
            })?;
        }
        // The order matters: the pacer may release these votes only after the sync.
        self.sync()?;
        self.shared.durable.store(goal, Ordering::Release);
        Ok(())
    }

    fn write_note(&mut self, note: &JournalLine<'_>) -> io::Result<()> {
        self.outcomes += u64::from(matches!(note, JournalLine::Outcome { .. }));
        self.unsynced_since.get_or_insert_with(Instant::now);
        self.write(note)
    }

    fn write(&mut self, line: &JournalLine<'_>) -> io::Result<()> {
        serde_json::to_writer(&mut self.file, line)?;
        self.file.write_all(b"\n")
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_data()?;
        self.unsynced_since = None;
        Ok(())
    }

    /// Records votes written ahead but never released as unsent, then writes the last line.
    fn end(&mut self) -> io::Result<()> {
        let votes = self.shared.durable.load(Ordering::Relaxed);
        for seq in self.shared.released.load(Ordering::Acquire)..votes {
            let error = Some(UNSENT.into());
            self.write_note(&JournalLine::Outcome {
                seq,
                at_us: 0,
                status: None,
                request_id: None,
                state: None,
                code: None,
                error,
            })?;
        }
        self.write(&JournalLine::End { votes, outcomes: self.outcomes })?;
        self.sync()
    }
}
