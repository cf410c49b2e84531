//! The nodes of an installation on services, the servers they share, and the folder of a run.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::LAW;
use super::fault::Chance;
use super::load::LoadPlan;
use super::member::{Member, Part};
use super::node::{Addresses, PROCESS_TIMEOUT, wait};
use crate::services::{Rig, Server};

/// Timeout for the recovery of an installation after a fault is repaired: an upper bound, not a
/// target.
pub(crate) const RECOVERY_TIMEOUT: Duration = Duration::from_secs(120);

/// Number of leaves by which the log must grow to count as growing.
const GROWTH_LEAVES: u64 = 25;

/// Ends a run: its servers end and its folder is removed; after a failure the folder is kept.
///
/// # Errors
/// The failure of the run; or when a server had ended by itself.
pub(crate) fn end_run(
    folder: &Path,
    played: Result<()>,
    fleet: Option<Fleet>,
    keeps_folder: bool,
) -> Result<()> {
    if keeps_folder || played.is_err() {
        println!("  kept in {}", folder.display());
    }
    played?;
    fleet.context("it was played")?.rig.end()?;
    if keeps_folder {
        return Ok(());
    }
    fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))
}

/// The nodes and the servers.
pub(crate) struct Fleet {
    pub(crate) votekit: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) rig: Rig,
    pub(crate) members: Vec<Member>,
    /// Nodes that are stopped now, and answer nothing.
    pub(crate) stopped: Vec<usize>,
}

impl Fleet {
    /// Nodes that are not started yet.
    pub(crate) fn new(votekit: &Path, folder: &Path, rig: Rig, members: Vec<Member>) -> Self {
        let (votekit, folder) = (votekit.to_owned(), folder.to_owned());
        Self { votekit, folder, rig, members, stopped: Vec::new() }
    }

    /// Makes the file of a roll, and its shards in the folder `hashes`.
    pub(crate) fn make_roll(&self, plan: &LoadPlan) -> Result<()> {
        // One more than planned: duplicates and unknown credentials use no row.
        let electors = (plan.votes_per_second * plan.duration_s + 1).to_string();
        let seed = plan.seed.to_string();
        let sample = ["roll", "sample", "--electors", &electors, "--law", LAW, "--seed", &seed];
        self.command(&[&sample[..], &["-o", "roll.csv"]].concat())?;
        self.command(&["hashgen", "roll.csv", "--out", "hashes"]).map(drop)
    }

    /// Creates the election on the leading node, and opens it.
    pub(crate) fn open_election(&self) -> Result<()> {
        let titles = ["--title-fr", "Essai", "--title-en", "Trial"];
        let rules = ["--blank", "--results", "after_close"];
        self.admin_command(&[&["election", "create", LAW][..], &titles, &rules].concat())?;
        self.admin_command(&["election", "open", LAW, "--yes"]).map(drop)
    }

    /// The indexes of the nodes of one kind.
    pub(crate) fn members_of(&self, part: Part) -> Vec<usize> {
        (0..self.members.len()).filter(|index| self.members[*index].part == part).collect()
    }

    /// The addresses of the nodes of one kind.
    pub(crate) fn addresses(&self, part: Part) -> Vec<Addresses> {
        self.members_of(part).iter().map(|index| self.members[*index].addresses).collect()
    }

    /// The URL of a node's administrative listener.
    pub(crate) fn admin(&self, index: usize) -> String {
        format!("http://{}", self.members[index].addresses.admin())
    }

    /// Starts a node, or restarts it.
    pub(crate) fn start(&mut self, index: usize) -> Result<()> {
        self.members[index].start(&self.votekit, &self.folder)
    }

    /// The nodes that run and answer.
    fn answering(&self) -> impl Iterator<Item = (usize, &Member)> {
        let members = self.members.iter().enumerate();
        members.filter(move |(index, member)| member.is_up() && !self.stopped.contains(index))
    }

    /// The index of the leading node; waits until there is one.
    pub(crate) fn leader(&self) -> Result<usize> {
        let begun = Instant::now();
        loop {
            if let Some((index, _)) = self.answering().find(|(_, member)| member.leads()) {
                return Ok(index);
            }
            ensure!(
                begun.elapsed() < RECOVERY_TIMEOUT,
                "no node has led for {} s",
                RECOVERY_TIMEOUT.as_secs()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Leaves of the log: the largest number that any node shows.
    pub(crate) fn log_size(&self) -> u64 {
        self.answering().filter_map(|(_, member)| member.log_size()).max().unwrap_or(0)
    }

    /// Waits until the log has grown beyond a size by votes. Returns the time since `begun`.
    pub(crate) fn grows_from(&self, before: u64, begun: Instant) -> Result<Duration> {
        while self.log_size() < before + GROWTH_LEAVES {
            ensure!(
                begun.elapsed() < RECOVERY_TIMEOUT,
                "nothing was decided for {} s",
                RECOVERY_TIMEOUT.as_secs()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(begun.elapsed())
    }

    /// Waits until the log has grown, every node has read the new leaves, and every node that takes
    /// votes takes them. Returns how long that took.
    pub(crate) fn recovers(&mut self, from: &str) -> Result<Duration> {
        let begun = Instant::now();
        let wanted = self.log_size() + GROWTH_LEAVES;
        let mut taken: Vec<Option<f64>> = vec![None; self.members.len()];
        loop {
            let mut lacking = Vec::new();
            for (index, member) in self.members.iter_mut().enumerate() {
                member.check_runs()?;
                ensure!(member.is_up(), "{} was not started again", member.name);
                let size = member.log_size();
                if size.is_none_or(|size| size < wanted) {
                    lacking.push(format!("{} shows {size:?} of {wanted} leaves", member.name));
                }
                if member.part.takes_votes() {
                    let now = member.taken();
                    taken[index] = taken[index].or(now);
                    if now.is_none() || now <= taken[index] {
                        lacking.push(format!("{} takes no vote", member.name));
                    }
                }
            }
            if lacking.is_empty() {
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > RECOVERY_TIMEOUT {
                bail!(
                    "not over {from} after {} s: {}",
                    RECOVERY_TIMEOUT.as_secs(),
                    lacking.join("; ")
                );
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Kills a server, and starts it again after a random moment. Returns how long it was away.
    pub(crate) fn kill_server(&mut self, server: Server, chance: &mut Chance) -> Result<Duration> {
        self.rig.kill(server)?;
        let away = chance.milliseconds(0, 2_000);
        std::thread::sleep(away);
        self.rig.launch(server)?;
        self.rig.wait_ready(server)?;
        Ok(away)
    }

    /// Kills a master of the Redis Cluster, which returns as a replica once another node has
    /// replaced it. `meanwhile` must succeed as soon as that has happened.
    pub(crate) fn kill_redis<T>(
        &mut self,
        chance: &mut Chance,
        meanwhile: impl FnOnce(&Self, Server) -> Result<T>,
    ) -> Result<(Server, T)> {
        let mut masters = self.rig.redis_nodes()?;
        masters.retain(|node| node.is_master && !node.slots.is_empty());
        let lost = masters.swap_remove(usize::try_from(chance.next())? % masters.len());
        let server = Server::Redis(lost.node);
        self.rig.kill(server)?;
        let begun = Instant::now();
        // A master that returns before it is replaced would still be the master.
        let is_replaced = |rig: &Rig| {
            rig.redis_nodes().is_ok_and(|nodes| {
                nodes.iter().any(|node| {
                    node.is_master
                        && !node.has_failed
                        && node.node != lost.node
                        && node.slots == lost.slots
                })
            })
        };
        while !is_replaced(&self.rig) {
            ensure!(begun.elapsed() < PROCESS_TIMEOUT, "no replica takes the place of {server}");
            std::thread::sleep(Duration::from_millis(50));
        }
        let found = meanwhile(self, server)?;
        self.rig.launch(server)?;
        self.rig.wait_ready(server)?;
        self.redis_is_whole()?;
        Ok((server, found))
    }

    /// Waits until the Redis Cluster is whole.
    pub(crate) fn redis_is_whole(&self) -> Result<()> {
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

    /// Runs an administrative command on the leading node. If that node no longer leads, retries on
    /// the new leader.
    pub(crate) fn admin_command(&self, arguments: &[&str]) -> Result<String> {
        let begun = Instant::now();
        loop {
            let leader = self.leader()?;
            let (admin, data) = (self.admin(leader), self.members[leader].data());
            match self.command(&[arguments, &["--node", &admin, "--data", data]].concat()) {
                Err(error)
                    if error.to_string().contains("does not lead")
                        && begun.elapsed() < RECOVERY_TIMEOUT => {}
                done => return done,
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Runs votekit to its end and returns its output.
    pub(crate) fn command(&self, arguments: &[&str]) -> Result<String> {
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
            self.log_text("commands.log").trim_end()
        );
        Ok(self.log_text("commands.out"))
    }

    /// The content of a file in the folder.
    pub(crate) fn log_text(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    /// Starts a program; its output goes to `NAME.out` and `NAME.log`.
    pub(crate) fn spawn(&self, program: &Path, arguments: &[&str], name: &str) -> Result<Child> {
        let file = |end: &str| {
            let name = format!("{name}.{end}");
            File::create(self.folder.join(&name)).with_context(|| format!("making {name}"))
        };
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        let child = command.stdout(file("out")?).stderr(file("log")?).spawn();
        child.with_context(|| format!("starting {} {}", program.display(), arguments.join(" ")))
    }

    /// Fails when a node ended without being killed or stopped.
    pub(crate) fn check_run(&mut self) -> Result<()> {
        self.members.iter_mut().try_for_each(Member::check_runs)
    }

    /// Stops every node in order.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.members.iter_mut().try_for_each(Member::stop)
    }
}
