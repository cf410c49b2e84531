//! One election from its opening to its check, with all faults in between.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use faultdisk::{FaultDisk, Faults};
use rustix::process::Signal;
use votekit_checker::{Inputs, Report};

use super::fault::{Chance, Fault};
use super::load::{Load, LoadPlan};
use super::node::{Addresses, Node, PROCESS_TIMEOUT, keep_answer, wait};
use super::tally::Tally;
use super::{LAW, VERIFY_PUBLICATION};

/// Settings shared by the episodes of a run.
#[derive(Debug)]
pub(super) struct Setup {
    /// The binary under test, which also generates the load.
    pub(super) votekit: PathBuf,
    /// The preloaded library between the node and its disk.
    pub(super) preload: PathBuf,
    pub(super) seed: u64,
    /// The fault that ends every round, instead of a random fault.
    pub(super) only: Option<Fault>,
}

/// The outcome of an episode.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) on_disk: bool,
    pub(super) tally: Tally,
    /// The checker's report, if the episode reached it.
    pub(super) report: Option<Report>,
    /// Any other failure, with its location.
    pub(super) failure: Option<String>,
}

/// Runs one episode in a folder, which is not removed.
pub(super) fn run(setup: &Setup, episode: u64, rounds: u64, folder: &Path) -> Outcome {
    // Every other episode is on the disk, unless the fault decides.
    let on_disk = setup.only.map_or(!episode.is_multiple_of(2), |fault| fault == Fault::PowerCut);
    let mut stage = Episode {
        votekit: &setup.votekit,
        folder,
        addresses: Addresses::for_episode(episode),
        only: setup.only,
        chance: Chance::new(setup.seed, episode),
        disk: None,
        tally: Tally { episodes: 1, ..Tally::default() },
        sync_micros: 0,
        seen: Vec::new(),
        at: "preparing".to_owned(),
    };
    let disk = on_disk.then_some(setup.preload.as_path());
    let mut report = None;
    let played = stage.play(disk, rounds, &mut report);
    let failure = played.err().map(|error| format!("{}: {error:#}", stage.at));
    let mut tally = stage.tally;
    tally.failures = u64::from(
        failure.is_some() || report.as_ref().is_some_and(|report| !report.violations.is_empty()),
    );
    Outcome { on_disk, tally, report, failure }
}

struct Episode<'a> {
    votekit: &'a Path,
    folder: &'a Path,
    addresses: Addresses,
    only: Option<Fault>,
    chance: Chance,
    disk: Option<FaultDisk>,
    tally: Tally,
    /// How much longer a sync takes in this round, in microseconds.
    sync_micros: u64,
    /// Checkpoints fetched so far.
    seen: Vec<PathBuf>,
    /// The current step, for failure messages.
    at: String,
}

impl Episode<'_> {
    fn play(
        &mut self,
        preload: Option<&Path>,
        rounds: u64,
        report: &mut Option<Report>,
    ) -> Result<()> {
        let plan = self.plan(rounds);
        self.prepare(&plan)?;
        if let Some(preload) = preload {
            // Syncs are executed: a node that waits for its disk is often interrupted while
            // waiting.
            let disk =
                FaultDisk::new(&self.folder.join("node"), &self.folder.join("disk"), preload)?;
            self.disk = Some(disk.with_real_sync(true));
        }
        self.at = "the first start".to_owned();
        let mut node = self.start()?;
        let mut load = Load::start(self.votekit, self.folder, &[self.addresses], &plan)?;
        for round in 1..=rounds {
            let drawn = Fault::draw(&mut self.chance, self.disk.is_some());
            let fault = self.only.unwrap_or(drawn);
            self.at = format!("round {round} ({fault})");
            node = self.round(node, &mut load, fault)?;
            self.tally.rounds += 1;
            self.tally.fault(fault);
            if load.is_over()? {
                break;
            }
        }
        let journal = load.journal.clone();
        self.end(node, load)?;
        self.at = "the check".to_owned();
        let found = votekit_checker::check(&Inputs {
            journals: vec![journal],
            bundle: self.folder.join("bundle"),
            roll: self.folder.join("roll.csv"),
            policy: self.folder.join("start/policy"),
            checkpoints: std::mem::take(&mut self.seen),
        })?;
        self.tally.checked(&found);
        *report = Some(found);
        // After the checker, so that its report exists whatever these commands return.
        self.command(&VERIFY_PUBLICATION)?;
        self.command(&["recount", "--data", "node"])?;
        Ok(())
    }

    fn plan(&mut self, rounds: u64) -> LoadPlan {
        LoadPlan {
            seed: self.chance.between(1, 1 << 40),
            votes_per_second: self.chance.between(200, 700),
            // Longer than the rounds should take: load that ends early ends the episode.
            duration_s: 4 * rounds + 4,
            wait: self.chance.once_in(4),
        }
    }

    /// Prepares an open election whose log is published once, before the first vote.
    fn prepare(&mut self, plan: &LoadPlan) -> Result<()> {
        let electors = plan.votes_per_second * plan.duration_s;
        let results = if self.chance.once_in(2) { "live" } else { "after_close" };
        fs::write(self.folder.join("node.toml"), "[throttle]\nenabled = false\n")
            .context("writing node.toml")?;
        let (electors, seed) = (electors.to_string(), plan.seed.to_string());
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
        self.command(&["load", "hashes", "--data", "node"])?;
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
            results,
        ];
        self.command(&[&create[..], &["--data", "node"]].concat())?;
        self.command(&["election", "open", LAW, "--yes", "--data", "node"])?;
        self.command(&["export", "bundle", "start", "--data", "node"])?;
        Ok(())
    }

    /// Starts a node and waits until it accepts votes.
    fn start(&mut self) -> Result<Node> {
        let mut node = Node::start(self.votekit, self.folder, self.addresses, self.disk.as_ref())?;
        let took = node.wait_ready()?;
        self.tally.ready_max = self.tally.ready_max.max(took);
        Ok(node)
    }

    /// Lets the node serve for a while, applies the fault, and starts it again.
    fn round(&mut self, mut node: Node, load: &mut Load, fault: Fault) -> Result<Node> {
        self.choose_disk()?;
        std::thread::sleep(self.chance.milliseconds(100, 1_500));
        ensure!(node.runs()?, "the node ended unexpectedly with {}", node.wait_end()?);
        self.see_checkpoint();
        match fault {
            Fault::Kill | Fault::Close => node.kill()?,
            Fault::PowerCut => {
                node.kill()?;
                self.cut_power()?;
            }
            Fault::Stall => {
                node.signal(Signal::STOP)?;
                std::thread::sleep(self.chance.milliseconds(200, 1_800));
                node.signal(Signal::CONT)?;
                std::thread::sleep(self.chance.milliseconds(0, 300));
                node.kill()?;
            }
            Fault::FullDisk => self.fill_disk(node, load)?,
            Fault::FailedSync => self.fail_a_sync(node, load)?,
            Fault::Start => {
                node.kill()?;
                for _ in 0..self.chance.between(1, 3) {
                    let starting =
                        Node::start(self.votekit, self.folder, self.addresses, self.disk.as_ref())?;
                    std::thread::sleep(self.chance.milliseconds(0, 250));
                    starting.put_down();
                    if self.chance.once_in(2) {
                        self.cut_power()?;
                    }
                }
            }
        }
        self.start()
    }

    /// Keeps the node's current checkpoint: the log must always remain consistent with it. Returns
    /// its size.
    fn see_checkpoint(&mut self) -> Option<u64> {
        let file = self.folder.join(format!("seen-{}", self.seen.len() + 1));
        keep_answer(self.addresses.public(), &format!("/log/{LAW}/checkpoint"), &file)?;
        let size = fs::read_to_string(&file).ok()?.lines().nth(1)?.parse().ok()?;
        self.seen.push(file);
        Some(size)
    }

    /// Cuts the power of a killed node. Without a faulty disk the kill is all that happens.
    fn cut_power(&mut self) -> Result<()> {
        let Some(disk) = &self.disk else { return Ok(()) };
        // A node may detect torn data and refuse to start: a mutant would then never be checked.
        let harshest = self.chance.once_in(4) || self.only.is_some();
        let cut = if harshest {
            disk.lose_everything_unsynced()
        } else {
            disk.cut_power(self.chance.next())
        }?;
        let (changes, names) = (cut.changes(), cut.names);
        self.tally.cut_changes += changes.torn + changes.dropped + names.torn + names.dropped;
        Ok(())
    }

    /// Chooses the disk of this round. It is slow with a probability of one half, so that power
    /// cuts often hit the node while it waits for the disk.
    fn choose_disk(&mut self) -> Result<()> {
        self.sync_micros =
            if self.chance.once_in(2) { self.chance.between(1_000, 20_000) } else { 0 };
        if self.disk.is_some() { self.order(Faults::default()) } else { Ok(()) }
    }

    fn order(&self, faults: Faults) -> Result<()> {
        let disk = self.disk.as_ref().context("the disk's faults are drawn on the disk only")?;
        Ok(disk.set_faults(&Faults { sync_micros: self.sync_micros, ..faults })?)
    }

    fn fill_disk(&mut self, mut node: Node, load: &mut Load) -> Result<()> {
        let space_bytes = Some(self.chance.between(0, 200_000));
        self.order(Faults { space_bytes, ..Faults::default() })?;
        std::thread::sleep(self.chance.milliseconds(200, 900));
        self.order(Faults::default())?;
        ensure!(
            node.runs()?,
            "the disk was full for a moment, and the node ended with {}",
            node.wait_end()?
        );
        let before = self
            .see_checkpoint()
            .context("the node shows no checkpoint after the disk was full")?;
        let started = Instant::now();
        // Voters retry the refused votes: with space there must be progress.
        while !load.is_over()? && self.see_checkpoint().is_none_or(|size| size <= before) {
            ensure!(
                started.elapsed() < PROCESS_TIMEOUT,
                "the disk has space again, and nothing is decided"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        node.kill()?;
        self.cut_power()
    }

    fn fail_a_sync(&mut self, mut node: Node, load: &mut Load) -> Result<()> {
        let failing_sync = Some(self.chance.between(1, 6));
        let failing_sync_takes_back = self.chance.once_in(2);
        self.order(Faults { failing_sync, failing_sync_takes_back, ..Faults::default() })?;
        let started = Instant::now();
        while node.runs()? && !load.is_over()? {
            ensure!(started.elapsed() < PROCESS_TIMEOUT, "the node continued after a failed sync");
            std::thread::sleep(Duration::from_millis(5));
        }
        if load.is_over()? {
            // Without votes there may be no sync to fail.
            node.put_down();
        } else {
            let ended = node.wait_end()?;
            ensure!(
                ended.code().is_some_and(|code| code != 0),
                "a sync failed, and the node ended with {ended}"
            );
        }
        self.order(Faults::default())?;
        self.cut_power()
    }

    /// Closes the election, in some episodes with votes in flight or with a kill in the middle;
    /// stops the node; publishes.
    fn end(&mut self, mut node: Node, mut load: Load) -> Result<()> {
        self.at = "the close".to_owned();
        let (interrupted, under_load) = (self.chance.once_in(2), self.chance.once_in(2));
        let loaded = load.started;
        if !under_load {
            load.stop()?;
            self.tally.loaded += loaded.elapsed();
        }
        let mut load = Some(load);
        if !under_load && let Some(load) = load.take() {
            load.finish()?;
        }
        if interrupted {
            let mut closing = self.spawn(
                &["election", "close", LAW, "--yes", "--node", &self.admin(), "--data", "node"],
                "closing.log",
            )?;
            std::thread::sleep(self.chance.milliseconds(0, 120));
            node.kill()?;
            self.cut_power()?;
            // The close was cut off or not: only the state after the restart matters.
            wait(&mut closing, PROCESS_TIMEOUT)?
                .context("the close was cut off, and its command does not end")?;
            self.tally.fault(Fault::Close);
            node = self.start()?;
        }
        self.close()?;
        self.see_checkpoint();
        if let Some(mut load) = load {
            load.stop()?;
            self.tally.loaded += loaded.elapsed();
            load.finish()?;
        }
        node.stop()?;
        self.command(&["export", "bundle", "bundle", "--data", "node"])?;
        Ok(())
    }

    /// Requests the close unless one is in progress, and waits for its end.
    fn close(&mut self) -> Result<()> {
        let admin = self.admin();
        let started = Instant::now();
        loop {
            let shown = self.command(&[
                "election", "show", LAW, "--node", &admin, "--data", "node", "--json",
            ])?;
            let shown: serde_json::Value =
                serde_json::from_str(&shown).context("reading the election's state")?;
            match shown["state"].as_str() {
                Some("closed") => return Ok(()),
                Some("open") => drop(self.command(&[
                    "election", "close", LAW, "--yes", "--node", &admin, "--data", "node",
                ])?),
                Some("closing") if started.elapsed() < PROCESS_TIMEOUT => {
                    std::thread::sleep(Duration::from_millis(50))
                }
                other => bail!("the election should be closed by now, and is {other:?}"),
            }
        }
    }

    fn admin(&self) -> String {
        format!("http://{}", self.addresses.admin())
    }

    /// Runs votekit to its end and returns its output.
    fn command(&self, arguments: &[&str]) -> Result<String> {
        let mut child = self.spawn(arguments, "commands.log")?;
        let status = wait(&mut child, PROCESS_TIMEOUT)?;
        if status.is_none() {
            child.kill()?;
            child.wait()?;
        }
        let said = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        ensure!(
            status.is_some_and(|status| status.success()),
            "votekit {} {}: {}",
            arguments.join(" "),
            status.map_or("did not end".to_owned(), |status| format!("failed with {status}")),
            said("commands.log").trim_end()
        );
        Ok(said("commands.out"))
    }

    fn spawn(&self, arguments: &[&str], log: &str) -> Result<Child> {
        let file = |name: &str| {
            File::create(self.folder.join(name)).with_context(|| format!("making {name}"))
        };
        let mut command = Command::new(self.votekit);
        command.args(arguments).current_dir(self.folder).stdin(Stdio::null());
        let child = command.stdout(file("commands.out")?).stderr(file(log)?).spawn();
        child.with_context(|| format!("starting votekit {}", arguments.join(" ")))
    }
}
