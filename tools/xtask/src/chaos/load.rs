//! The voters: the load client, in its own process, which outlives every node.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use super::node::{Addresses, PROCESS_TIMEOUT, send, wait};

/// The behaviour of an episode's voters.
#[derive(Debug, Clone)]
pub(super) struct LoadPlan {
    pub(super) seed: u64,
    pub(super) votes_per_second: u64,
    pub(super) duration_s: u64,
    /// Whether they wait for the decision (`Prefer: wait`).
    pub(super) wait: bool,
}

/// A running load client.
#[derive(Debug)]
pub(super) struct Load {
    child: Child,
    folder: PathBuf,
    pub(super) journal: PathBuf,
    pub(super) started: Instant,
}

impl Load {
    /// Starts it against nodes of which at least one is ready.
    pub(super) fn start(
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
    pub(super) fn is_over(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Stops the release of votes. Votes in flight are retried until they are answered.
    pub(super) fn stop(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            send(&self.child, Signal::INT)?;
        }
        Ok(())
    }

    /// Waits for its orderly end.
    pub(super) fn finish(mut self) -> Result<()> {
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
