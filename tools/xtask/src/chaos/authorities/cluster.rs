//! Several authorities, two nodes that take votes, the servers they share, and one open election.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::chaos::LAW;
use crate::chaos::load::LoadPlan;
use crate::chaos::member::{Member, Part};
use crate::chaos::node::{Addresses, PROCESS_TIMEOUT, answer, wait};
use crate::services::Rig;

/// Timeout for the recovery of an installation after a fault is repaired: an upper bound, not a
/// target.
pub(super) const RECOVERY: Duration = Duration::from_secs(120);

/// Number of leaves by which the log must grow to count as growing.
const GROWTH_LEAVES: u64 = 25;

/// The base name of the logs: the one that a data folder has when none is given.
const BASE: &str = "votekit.example";

/// Settings of every node: no limits, since all voters and readers come from one address.
const SETTINGS: &str = "read_limit_per_address_per_second = 0\nconnection_requests_max = 0\n\
    connection_seconds_max = 0\n[throttle]\nenabled = false\n";

/// The nodes and the servers.
pub(super) struct Cluster {
    pub(super) votekit: PathBuf,
    pub(super) liar: Option<PathBuf>,
    pub(super) folder: PathBuf,
    pub(super) rig: Rig,
    pub(super) members: Vec<Member>,
    /// Nodes that are stopped now, and answer nothing.
    pub(super) stopped: Vec<usize>,
}

impl Cluster {
    /// Nodes that are not started yet: `authorities` authorities, and two that take votes.
    pub(super) fn new(
        votekit: &Path,
        folder: &Path,
        rig: Rig,
        authorities: u64,
        liar: Option<PathBuf>,
    ) -> Result<Self> {
        let mut members = Vec::new();
        for number in 1..=authorities {
            let name = format!("authority-{number}");
            members.push(Member::new(Part::Authority, &name, number, rig.site())?);
        }
        for number in 1..=2 {
            let name = format!("ingest-{number}");
            members.push(Member::new(Part::Intake, &name, authorities + number, rig.site())?);
        }
        let (votekit, folder) = (votekit.to_owned(), folder.to_owned());
        Ok(Self { votekit, liar, folder, rig, members, stopped: Vec::new() })
    }

    /// Makes the folders, starts all nodes, and opens an election over a new roll.
    pub(super) fn open(&mut self, plan: &LoadPlan) -> Result<()> {
        self.make_folders()?;
        self.make_roll(plan)?;
        for member in &mut self.members {
            member.start(&self.votekit, &self.folder)?;
        }
        // Every authority needs the roll to decide, and has it before there is an election.
        for place in self.places(Part::Authority) {
            let admin = self.admin(place);
            let data = self.members[place].data().to_owned();
            self.command(&["load", "hashes", "--node", &admin, "--data", &data])?;
        }
        for place in self.places(Part::Intake) {
            let (data, name) = (self.members[place].data(), &self.members[place].name);
            let record = self.command(&["node", "show", "--data", data, "--name", name])?;
            self.office(&["node", "admit", record.trim_end()])?;
        }
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
        // What voters know before the first vote: it follows from the file of the authorities.
        let policy = self.command(&["policy", "show", "--authorities", "authorities", LAW])?;
        fs::write(self.folder.join("policy"), policy).context("writing the policy")?;
        self.reaches("open")
    }

    /// Makes the folder of each authority with its keys, and gives all nodes the same file of the
    /// authorities.
    fn make_folders(&self) -> Result<()> {
        fs::write(self.folder.join("node.toml"), SETTINGS).context("writing node.toml")?;
        let mut lines = Vec::new();
        for place in self.places(Part::Authority) {
            let name = &self.members[place].name;
            let keygen = ["authority", "keygen", "--data", name, "--name", name, "--base", BASE];
            lines.push(self.command(&keygen)?.trim_end().to_owned());
        }
        // All but one: 2 of 3, 3 of 4.
        let quorum = (lines.len() - 1).to_string();
        let make = ["policy", "make", "--quorum", &quorum, "--base", BASE, "-o", "authorities"];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        self.command(&[&make[..], &lines].concat())?;
        for member in &self.members {
            let data = self.folder.join(member.data());
            fs::create_dir_all(&data).with_context(|| format!("making {}", data.display()))?;
            fs::copy(self.folder.join("authorities"), data.join("authorities")).with_context(
                || format!("copying the file of the authorities to {}", member.name),
            )?;
        }
        Ok(())
    }

    fn make_roll(&self, plan: &LoadPlan) -> Result<()> {
        // One more than planned: duplicates and unknown credentials use no row.
        let electors = (plan.votes_per_second * plan.duration_s + 1).to_string();
        let seed = plan.seed.to_string();
        let sample = ["roll", "sample", "--electors", &electors, "--law", LAW, "--seed", &seed];
        self.command(&[&sample[..], &["-o", "roll.csv"]].concat())?;
        self.command(&["hashgen", "roll.csv", "--out", "hashes"]).map(drop)
    }

    /// The indexes of the nodes of one kind.
    pub(super) fn places(&self, part: Part) -> Vec<usize> {
        (0..self.members.len()).filter(|place| self.members[*place].part == part).collect()
    }

    /// The addresses of the nodes of one kind.
    pub(super) fn addresses(&self, part: Part) -> Vec<Addresses> {
        self.places(part).iter().map(|place| self.members[*place].addresses).collect()
    }

    /// As [`Cluster::addresses`], with the names.
    pub(super) fn named_addresses(&self, part: Part) -> Vec<(String, Addresses)> {
        let members = self.members.iter().filter(|member| member.part == part);
        members.map(|member| (member.name.clone(), member.addresses)).collect()
    }

    /// The URL of a node's administrative listener.
    pub(super) fn admin(&self, place: usize) -> String {
        format!("http://{}", self.members[place].addresses.admin())
    }

    /// Restarts a node.
    pub(super) fn start(&mut self, place: usize) -> Result<()> {
        self.members[place].start(&self.votekit, &self.folder)
    }

    /// The nodes that run and answer.
    fn answering(&self) -> impl Iterator<Item = (usize, &Member)> {
        let members = self.members.iter().enumerate();
        members.filter(move |(place, member)| member.is_up() && !self.stopped.contains(place))
    }

    /// The index of the leading authority; waits until there is one.
    pub(super) fn leader(&self) -> Result<usize> {
        let begun = Instant::now();
        loop {
            if let Some((place, _)) = self.answering().find(|(_, member)| member.leads()) {
                return Ok(place);
            }
            ensure!(begun.elapsed() < RECOVERY, "no node has led for {} s", RECOVERY.as_secs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Leaves of the log: the largest number that any node shows.
    pub(super) fn log_size(&self) -> u64 {
        self.answering().filter_map(|(_, member)| member.log_size()).max().unwrap_or(0)
    }

    /// Waits until the log has grown beyond a size by votes. Returns the time since `begun`.
    pub(super) fn grows_from(&self, before: u64, begun: Instant) -> Result<Duration> {
        while self.log_size() < before + GROWTH_LEAVES {
            ensure!(begun.elapsed() < RECOVERY, "nothing was decided for {} s", RECOVERY.as_secs());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(begun.elapsed())
    }

    /// Waits until the log has grown, every node has read the new leaves, and both nodes that take
    /// votes take them. Returns how long that took.
    pub(super) fn recovers(&mut self, from: &str) -> Result<Duration> {
        let begun = Instant::now();
        let wanted = self.log_size() + GROWTH_LEAVES;
        let mut taken: Vec<Option<f64>> = vec![None; self.members.len()];
        loop {
            let mut lacking = Vec::new();
            for (place, member) in self.members.iter_mut().enumerate() {
                member.check_runs()?;
                ensure!(member.is_up(), "{} was not started again", member.name);
                let size = member.log_size();
                if size.is_none_or(|size| size < wanted) {
                    lacking.push(format!("{} shows {size:?} of {wanted} leaves", member.name));
                }
                if member.part == Part::Intake {
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

    /// Waits until every node shows the election in a state, with the same number of leaves.
    pub(super) fn reaches(&self, wanted: &str) -> Result<()> {
        let path = format!("/api/v1/elections/{LAW}");
        let begun = Instant::now();
        loop {
            let shown: Vec<(Option<String>, Option<u64>)> = self
                .members
                .iter()
                .map(|member| {
                    let text = answer(member.addresses.public(), &path).unwrap_or_default();
                    let shown: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
                    (shown["state"].as_str().map(str::to_owned), shown["log_size"].as_u64())
                })
                .collect();
            let is_there = |(state, size): &(Option<String>, Option<u64>)| {
                state.as_deref() == Some(wanted) && *size == shown[0].1
            };
            if shown.iter().all(is_there) {
                return Ok(());
            }
            ensure!(
                begun.elapsed() < PROCESS_TIMEOUT,
                "every node should show the election {wanted} by now: {shown:?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs an administrative command on the leading authority. If that one no longer leads,
    /// retries on the new leader.
    pub(super) fn office(&self, arguments: &[&str]) -> Result<String> {
        let begun = Instant::now();
        loop {
            let leader = self.leader()?;
            let (admin, data) = (self.admin(leader), self.members[leader].data());
            match self.command(&[arguments, &["--node", &admin, "--data", data]].concat()) {
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
        let mut child = self.spawn(&self.votekit, arguments, "commands")?;
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

    /// Starts a program; its output goes to `NAME.out` and `NAME.log`.
    pub(super) fn spawn(&self, program: &Path, arguments: &[&str], name: &str) -> Result<Child> {
        let file = |end: &str| {
            let name = format!("{name}.{end}");
            File::create(self.folder.join(&name)).with_context(|| format!("making {name}"))
        };
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        let child = command.stdout(file("out")?).stderr(file("log")?).spawn();
        child.with_context(|| format!("starting {} {}", program.display(), arguments.join(" ")))
    }
}
