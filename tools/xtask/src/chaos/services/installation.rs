//! Two nodes of each kind, the servers they share, and one open election.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::chaos::LAW;
use crate::chaos::fleet::{Fleet, RECOVERY_TIMEOUT};
use crate::chaos::load::LoadPlan;
use crate::chaos::member::{Member, Part};
use crate::chaos::node::{CONFIG, keep_answer};
use crate::services::Rig;

/// The nodes and the servers.
pub(super) struct Installation {
    pub(super) fleet: Fleet,
    /// Checkpoints fetched so far.
    pub(super) seen: Vec<PathBuf>,
    /// From the death of a leader to the next leaf, sealed by another node.
    pub(super) takeovers: Vec<Duration>,
}

impl Installation {
    /// Starts all nodes on one shared folder, and opens an election that admits them.
    pub(super) fn open(votekit: &Path, folder: &Path, rig: Rig, plan: &LoadPlan) -> Result<Self> {
        let mut members = Vec::new();
        let parts =
            [(Part::Ingest, "ingest"), (Part::Validate, "validator"), (Part::Seal, "sealer")];
        for (part, prefix) in parts {
            for number in 1..=2 {
                let name = format!("{prefix}-{number}");
                members.push(Member::new(part, &name, members.len() as u64, rig.site())?);
            }
        }
        let fleet = Fleet::new(votekit, folder, rig, members);
        let mut installation = Self { fleet, seen: Vec::new(), takeovers: Vec::new() };
        installation.prepare(plan)?;
        Ok(installation)
    }

    fn prepare(&mut self, plan: &LoadPlan) -> Result<()> {
        let fleet = &mut self.fleet;
        fs::write(fleet.folder.join(CONFIG), "[throttle]\nenabled = false\n")
            .context("writing the settings")?;
        fleet.make_roll(plan)?;
        for index in 0..fleet.members.len() {
            fleet.start(index)?;
        }
        fleet.admin_command(&["load", "hashes"])?;
        fleet.open_election()?;
        let ledger = fleet.rig.site().ledger_url();
        fleet.command(&["export", "bundle", "start", "--data", "shared", "--ledger", &ledger])?;
        // The other nodes learn of the election from the log.
        let begun = Instant::now();
        while !fleet.members.iter().all(|member| member.log_size().is_some()) {
            ensure!(
                begun.elapsed() < RECOVERY_TIMEOUT,
                "not every node has read the opened election"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Waits until some running node shows that the log has grown.
    pub(super) fn grows(&self, what: &str) -> Result<Duration> {
        let grown = self.fleet.grows_from(self.fleet.log_size(), Instant::now());
        grown.with_context(|| what.to_owned())
    }

    /// Keeps a node's current checkpoint: the log must always remain consistent with it.
    pub(super) fn see_checkpoint(&mut self, index: usize) {
        let file = self.fleet.folder.join(format!("seen-{}", self.seen.len() + 1));
        if keep_answer(
            self.fleet.members[index].addresses.public(),
            &format!("/log/{LAW}/checkpoint"),
            &file,
        )
        .is_some()
        {
            self.seen.push(file);
        }
    }
}
