//! Blocks commits in the ledger: a leader that has sent one waits until it is killed, on a fast
//! machine as on a slow one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::chaos::node::PROCESS_TIMEOUT;
use crate::services::Rig;

/// Conflicts with every write to the table, and with no read.
const HOLD: &str = "BEGIN; LOCK TABLE votekit.block IN EXCLUSIVE MODE;\n\\echo held";

/// Statements that wait for the lock.
const WAITING: &str =
    "from pg_locks where relation = 'votekit.block'::regclass and not granted and pid is not null";

/// A lock on the table of blocks. Dropping it lets commits proceed.
pub(super) struct HeldCommits<'a> {
    rig: &'a Rig,
    session: Child,
}

impl<'a> HeldCommits<'a> {
    /// Takes the lock, after any commit in progress has ended.
    pub(super) fn hold(rig: &'a Rig) -> Result<Self> {
        let mut held = Self { rig, session: rig.open_postgresql()? };
        writeln!(held.session.stdin.as_mut().context("asked for a pipe")?, "{HOLD}")?;
        let mut said = String::new();
        let stdout = held.session.stdout.as_mut().context("asked for a pipe")?;
        BufReader::new(stdout).read_line(&mut said)?;
        ensure!(said == "held\n", "commits could not be delayed: psql printed {said:?}");
        Ok(held)
    }

    /// Whether a commit has reached the ledger and waits.
    pub(super) fn has_commit(&self) -> bool {
        let rows = self.rig.ask_postgresql(&format!("select pid {WAITING}"));
        rows.is_ok_and(|pids| !pids.is_empty())
    }

    /// Terminates the waiting commits: none is executed, whichever node sent it.
    pub(super) fn refuse_commits(&self) -> Result<()> {
        let begun = Instant::now();
        while self.has_commit() {
            ensure!(begun.elapsed() < PROCESS_TIMEOUT, "a commit that was cancelled still waits");
            self.rig.ask_postgresql(&format!("select pg_terminate_backend(pid) {WAITING}"))?;
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for HeldCommits<'_> {
    fn drop(&mut self) {
        // Ends the session, and with it the transaction that holds the lock.
        let _ = self.session.kill();
        let _ = self.session.wait();
    }
}
