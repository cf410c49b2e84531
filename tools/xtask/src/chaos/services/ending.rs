//! The close, during which a node dies, and the check of the publication.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use votekit_checker::{Inputs, Report};

use super::installation::Installation;
use crate::chaos::link::Wire;
use crate::chaos::load::Load;
use crate::chaos::member::Service;
use crate::chaos::node::{PROCESS_TIMEOUT, wait};
use crate::chaos::{LAW, VERIFY_PUBLICATION};

/// How long a node publishes without receiving confirms.
const UNCONFIRMED_TIME: Duration = Duration::from_millis(500);

impl Installation {
    /// Closes the election under load. One of the ingest nodes is stopped when the close begins and
    /// dies before it can end its epoch: the close waits for it, and reports so, until the node is
    /// retired. Returns the report of the close.
    pub(super) fn close(&mut self, mut load: Load) -> Result<String> {
        let lost = self
            .fleet
            .members
            .iter()
            .position(|member| member.name == "ingest-2")
            .context("there are two ingest nodes")?;
        let lost_name = self.fleet.members[lost].name.clone();
        // It publishes and receives no confirms: when it dies, some of its batches are confirmed
        // without its knowledge.
        self.fleet.members[lost].wire(Service::BallotBox, Wire::Deaf);
        std::thread::sleep(UNCONFIRMED_TIME);
        self.fleet.members[lost].signal(Signal::STOP)?;
        let mut closing = self.begin_close()?;
        self.fleet.members[lost].kill()?;
        let ended = wait(&mut closing, PROCESS_TIMEOUT)?
            .context("the close waits for a lost node without reporting it")?;
        let printed = self.fleet.log_text("closing.log").trim().to_owned();
        ensure!(
            !ended.success(),
            "the poll was closed although {lost_name} had not ended its epoch"
        );
        ensure!(
            self.state()? == "closing",
            "the close failed, and the poll is {}: {printed}",
            self.state()?
        );
        // While the close waits nothing may be counted, however long it takes.
        std::thread::sleep(Duration::from_secs(3));
        ensure!(
            self.state()? == "closing",
            "{lost_name} was not retired, and the poll is {}",
            self.state()?
        );
        self.fleet.admin_command(&["node", "retire", LAW, &lost_name])?;
        self.reaches("closed")?;
        for target in 0..self.fleet.members.len() {
            if self.fleet.members[target].is_up() {
                self.see_checkpoint(target);
            }
        }
        load.stop()?;
        load.finish()?;
        self.fleet.check_run()?;
        self.fleet.stop()?;
        Ok(printed)
    }

    /// Requests the close from the leader, and waits until it has begun.
    fn begin_close(&self) -> Result<Child> {
        let begun = Instant::now();
        loop {
            let admin = self.fleet.admin(self.fleet.leader()?);
            let arguments =
                ["election", "close", LAW, "--yes", "--node", &admin, "--data", "shared"];
            let mut closing = self.fleet.spawn(&self.fleet.votekit, &arguments, "closing")?;
            while closing.try_wait()?.is_none() {
                if self.state()? == "closing" {
                    return Ok(closing);
                }
                ensure!(begun.elapsed() < PROCESS_TIMEOUT, "the close does not begin");
                std::thread::sleep(Duration::from_millis(100));
            }
            if self.state()? == "closing" {
                return Ok(closing);
            }
            // Another node leads by now.
            let printed = self.fleet.log_text("closing.log");
            ensure!(
                printed.contains("does not lead") && begun.elapsed() < PROCESS_TIMEOUT,
                "the close did not begin: {printed}"
            );
        }
    }

    fn state(&self) -> Result<String> {
        let shown = self.fleet.admin_command(&["election", "show", LAW, "--json"])?;
        let shown: serde_json::Value =
            serde_json::from_str(&shown).context("reading the election's state")?;
        Ok(shown["state"].as_str().context("an election has a state")?.to_owned())
    }

    fn reaches(&self, wanted: &str) -> Result<()> {
        let begun = Instant::now();
        loop {
            let state = self.state()?;
            if state == wanted {
                return Ok(());
            }
            ensure!(
                begun.elapsed() < PROCESS_TIMEOUT,
                "the election should be {wanted} by now, and is {state}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Publishes, and compares the publication with the answers to voters.
    pub(super) fn check(&mut self) -> Result<Report> {
        let ledger = self.fleet.rig.site().ledger_url();
        self.fleet
            .command(&["export", "bundle", "bundle", "--data", "shared", "--ledger", &ledger])?;
        let report = votekit_checker::check(&Inputs {
            journals: vec![self.fleet.folder.join("journal.jsonl")],
            bundle: self.fleet.folder.join("bundle"),
            roll: self.fleet.folder.join("roll.csv"),
            policy: self.fleet.folder.join("start/policy"),
            checkpoints: std::mem::take(&mut self.seen),
        })?;
        Ok(report)
    }

    /// Verifies and recounts the publication with votekit.
    pub(super) fn verify_and_recount(&self) -> Result<()> {
        let ledger = self.fleet.rig.site().ledger_url();
        self.fleet.command(&VERIFY_PUBLICATION)?;
        self.fleet.command(&["recount", "--data", "shared", "--ledger", &ledger])?;
        // The registry lost marks more than once. It can be rebuilt from the log.
        let registry = self.fleet.rig.site().registry_url();
        let target = ["--registry", &registry, "--data", "shared", "--ledger", &ledger];
        self.fleet.command(&[&["registry", "rebuild"], &target[..]].concat())?;
        self.fleet.command(&[&["registry", "check", "--full"], &target[..]].concat())?;
        Ok(())
    }

    /// Number of 503 answers, which ask voters to retry.
    pub(super) fn refused_with_retry_after(&self) -> Result<usize> {
        let journal = BufReader::new(File::open(self.fleet.folder.join("journal.jsonl"))?);
        let mut count = 0;
        for line in journal.lines() {
            count += usize::from(line?.contains("\"status\":503"));
        }
        Ok(count)
    }
}
