//! Two nodes of each kind, the servers they share, and one open election.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::chaos::LAW;
use crate::chaos::load::LoadPlan;
use crate::chaos::member::{Member, Part};
use crate::chaos::node::{PROCESS_TIMEOUT, keep_answer, wait};
use crate::services::Rig;

/// Timeout for the recovery of an installation after a fault is repaired: an upper bound, not a
/// target.
const RECOVERY: Duration = Duration::from_secs(120);

/// Number of leaves by which the log must grow to count as growing.
const GROWTH_LEAVES: u64 = 25;

/// The nodes and the servers.
pub(super) struct Installation {
    pub(super) votekit: PathBuf,
    pub(super) folder: PathBuf,
    pub(super) rig: Rig,
    pub(super) members: Vec<Member>,
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
        let (votekit, folder) = (votekit.to_owned(), folder.to_owned());
        let mut installation =
            Self { votekit, folder, rig, members, seen: Vec::new(), takeovers: Vec::new() };
        installation.prepare(plan)?;
        Ok(installation)
    }

    fn prepare(&mut self, plan: &LoadPlan) -> Result<()> {
        // One more than planned: duplicates and unknown credentials use no row.
        let (electors, seed) =
            ((plan.votes_per_second * plan.duration_s + 1).to_string(), plan.seed.to_string());
        fs::write(self.folder.join("node.toml"), "[throttle]\nenabled = false\n")
            .context("writing node.toml")?;
        self.command(&[
            "roll",
            "sample",
            "--electors",
            &electors,
            "--law",
            LAW,
            "--seed",
            &seed,
            "-o",
            "roll.csv",
        ])?;
        self.command(&["hashgen", "roll.csv", "--out", "hashes"])?;
        for member in &mut self.members {
            member.start(&self.votekit, &self.folder)?;
        }
        self.office(&["load", "hashes"])?;
        let create = [
            "election",
            "create",
            LAW,
            "--title-fr",
            "Essai",
            "--title-en",
            "Trial",
            "--blank",
            "--results",
            "after_close",
        ];
        self.office(&create)?;
        self.office(&["election", "open", LAW, "--yes"])?;
        let ledger = self.rig.site().ledger_url();
        self.command(&["export", "bundle", "start", "--data", "shared", "--ledger", &ledger])?;
        // The other nodes learn of the election from the log.
        let begun = Instant::now();
        while !self.members.iter().all(|member| member.log_size().is_some()) {
            ensure!(begun.elapsed() < RECOVERY, "not every node has read the opened election");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The indexes of the nodes of one kind.
    pub(super) fn places(&self, part: Part) -> Vec<usize> {
        (0..self.members.len()).filter(|place| self.members[*place].part == part).collect()
    }

    /// Restarts a node.
    pub(super) fn start(&mut self, place: usize) -> Result<()> {
        self.members[place].start(&self.votekit, &self.folder)
    }

    /// The index of the leading node; waits until there is one.
    pub(super) fn leader(&self) -> Result<usize> {
        let begun = Instant::now();
        loop {
            if let Some(place) =
                self.members.iter().position(|member| member.is_up() && member.leads())
            {
                return Ok(place);
            }
            ensure!(begun.elapsed() < RECOVERY, "no node has led for {} s", RECOVERY.as_secs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until some running node shows that the log has grown. Returns how long that took.
    pub(super) fn grows(&self, what: &str) -> Result<Duration> {
        let begun = Instant::now();
        let before = self.log_size();
        while self.log_size() < before + GROWTH_LEAVES {
            ensure!(
                begun.elapsed() < RECOVERY,
                "nothing was decided for {} s {what}",
                RECOVERY.as_secs()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(begun.elapsed())
    }

    /// Waits until the log has grown, every node has read the new leaves, and every ingest node
    /// accepts votes. Returns how long that took.
    pub(super) fn recovers(&mut self, from: &str) -> Result<Duration> {
        let begun = Instant::now();
        let wanted = self.log_size() + GROWTH_LEAVES;
        let mut taken: Vec<Option<f64>> = vec![None; self.members.len()];
        loop {
            let mut lacking = Vec::new();
            for (place, member) in self.members.iter_mut().enumerate() {
                member.check_runs()?;
                if !member.is_up() {
                    continue;
                }
                let size = member.log_size();
                if size.is_none_or(|size| size < wanted) {
                    lacking.push(format!("{} shows {size:?} of {wanted} leaves", member.name));
                }
                if member.part == Part::Ingest {
                    let now = member.taken();
                    taken[place] = taken[place].or(now);
                    if now.is_none() || now <= taken[place] {
                        lacking.push(format!("{} takes no vote", member.name));
                    }
                }
            }
            if lacking.is_empty() {
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > RECOVERY {
                bail!("not over {from} after {} s: {}", RECOVERY.as_secs(), lacking.join("; "));
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Waits until the Redis Cluster is whole.
    pub(super) fn redis_is_whole(&self) -> Result<()> {
        let begun = Instant::now();
        while !self.rig.redis_is_whole() {
            ensure!(
                begun.elapsed() < PROCESS_TIMEOUT,
                "the Redis Cluster is not whole after {} s",
                PROCESS_TIMEOUT.as_secs()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Leaves of the log: the largest number any node shows.
    pub(super) fn log_size(&self) -> u64 {
        let up = self.members.iter().filter(|member| member.is_up());
        up.filter_map(Member::log_size).max().unwrap_or(0)
    }

    /// Keeps a node's current checkpoint: the log must always remain consistent with it.
    pub(super) fn see_checkpoint(&mut self, place: usize) {
        let file = self.folder.join(format!("seen-{}", self.seen.len() + 1));
        if keep_answer(
            self.members[place].addresses.public(),
            &format!("/log/{LAW}/checkpoint"),
            &file,
        )
        .is_some()
        {
            self.seen.push(file);
        }
    }

    /// Runs an administrative command on the leading node. If that node no longer leads, retries on
    /// the new leader.
    pub(super) fn office(&self, arguments: &[&str]) -> Result<String> {
        let begun = Instant::now();
        loop {
            let admin = format!("http://{}", self.members[self.leader()?].addresses.admin());
            match self.command(&[arguments, &["--node", &admin, "--data", "shared"]].concat()) {
                Err(error)
                    if error.to_string().contains("does not lead")
                        && begun.elapsed() < RECOVERY => {}
                done => return done,
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Runs votekit to its end and returns its output.
    pub(super) fn command(&self, arguments: &[&str]) -> Result<String> {
        let mut child = self.spawn(arguments, "commands")?;
        let status = wait(&mut child, PROCESS_TIMEOUT)?;
        if status.is_none() {
            child.kill()?;
            child.wait()?;
        }
        ensure!(
            status.is_some_and(|status| status.success()),
            "votekit {} {}: {}",
            arguments.join(" "),
            status.map_or("did not end".to_owned(), |status| format!("failed with {status}")),
            self.said("commands.log").trim_end()
        );
        Ok(self.said("commands.out"))
    }

    /// The content of a file in the folder.
    pub(super) fn said(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    /// Starts votekit; its output goes to `NAME.out` and `NAME.log`.
    pub(super) fn spawn(&self, arguments: &[&str], name: &str) -> Result<Child> {
        let file = |end: &str| {
            let name = format!("{name}.{end}");
            File::create(self.folder.join(&name)).with_context(|| format!("making {name}"))
        };
        let mut command = Command::new(&self.votekit);
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        let child = command.stdout(file("out")?).stderr(file("log")?).spawn();
        child.with_context(|| format!("starting votekit {}", arguments.join(" ")))
    }
}
