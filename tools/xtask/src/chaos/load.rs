//! The voters: the load client, in its own process, which outlives every node.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use super::fault::Chance;
use super::node::{Addresses, PROCESS_TIMEOUT, send, wait};

/// Maximum number of electors of a run on services: the roll is generated, hashed and loaded before
/// it.
const ELECTORS_MAX: u64 = 200_000;

/// Usual duration of a fault on services with all its waits.
const FAULT_SECONDS: u64 = 18;

/// The behaviour of an episode's voters.
#[derive(Debug, Clone)]
pub(crate) struct LoadPlan {
    pub(crate) seed: u64,
    pub(crate) votes_per_second: u64,
    pub(crate) duration_s: u64,
    /// Whether they wait for the decision (`Prefer: wait`).
    pub(crate) wait: bool,
}

impl LoadPlan {
    /// Votes for longer than the faults of a run on services should take, and some more seconds,
    /// but no more than the roll has electors.
    pub(crate) fn for_faults(
        faults: u64,
        more_seconds: u64,
        votes_per_second: u64,
        chance: &mut Chance,
    ) -> Self {
        let duration_s = faults * FAULT_SECONDS + more_seconds + 60;
        let votes_per_second = votes_per_second.min((ELECTORS_MAX / duration_s).max(20));
        Self { seed: chance.between(1, 1 << 40), votes_per_second, duration_s, wait: false }
    }
}

/// A running load client.
#[derive(Debug)]
pub(crate) struct Load {
    child: Child,
    folder: PathBuf,
    pub(crate) journal: PathBuf,
    pub(crate) started: Instant,
}

impl Load {
    /// Starts it against nodes of which at least one is ready.
    pub(crate) fn start(
        votekit: &Path,
        folder: &Path,
        nodes: &[Addresses],
        plan: &LoadPlan,
    ) -> Result<Self> {
        let journal = folder.join("journal.jsonl");
        let output = File::create(folder.join("load.json")).context("making load.json")?;
        let errors = File::create(folder.join("load.log")).context("making load.log")?;
        let mut command = Command::new(votekit);
        command.args([
            "loadtest",
            "--json",
            "--roll",
            "roll.csv",
            "--journal",
            "journal.jsonl",
            "--idempotency-keys",
            "--retry",
        ]);
        command.args([
            "--resend",
            "5%",
            "--duplicates",
            "5%",
            "--unknown",
            "1%",
            "--blank",
            "3%",
            "--choice",
            "oui=55",
        ]);
        // With a timeout of 1 s, about half of a stalled node's pauses last longer than voters wait
        // for an answer.
        command.args([
            "--choice",
            "non=45",
            "--follow",
            "10%",
            "--connections",
            "48",
            "--timeout",
            "1s",
            "--drain",
            "30s",
        ]);
        for node in nodes {
            command.args(["--node", &format!("http://{}", node.public())]);
        }
        command.args(["--seed", &plan.seed.to_string()]);
        command.args([
            "--rate",
            &plan.votes_per_second.to_string(),
            "--duration",
            &format!("{}s", plan.duration_s),
        ]);
        if plan.wait {
            command.args(["--wait", "1"]);
        }
        let child =
            command.current_dir(folder).stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        let child = child.context("starting the load client")?;
        Ok(Self { child, folder: folder.to_owned(), journal, started: Instant::now() })
    }

    /// Whether every vote of the plan has been sent.
    pub(crate) fn is_over(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Stops the release of votes. Votes in flight are retried until they are answered.
    pub(crate) fn stop(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            send(&self.child, Signal::INT)?;
        }
        Ok(())
    }

    /// Waits for its orderly end.
    pub(crate) fn finish(mut self) -> Result<()> {
        match wait(&mut self.child, PROCESS_TIMEOUT)? {
            Some(status) => ensure!(
                status.success(),
                "the load client ended with {status}, see {}",
                self.folder.display()
            ),
            None => bail!("the load client did not end in {} s", PROCESS_TIMEOUT.as_secs()),
        }
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
