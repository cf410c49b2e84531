//! Applies the faults and repairs them, one at a time.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use super::fault::Fault;
use super::installation::Installation;
use crate::chaos::fault::Chance;
use crate::chaos::link::Wire;
use crate::chaos::member::{Member, Part, Service};
use crate::chaos::node::PROCESS_TIMEOUT;
use crate::services::{REDIS_NODES, Rig, Server};

/// How long an ingest node may still answer voters after the ledger went down: a node's lease, plus
/// the interval at which this program checks.
const LEASE_TIME: Duration = Duration::from_millis(4_500);

/// How long a vote may be in flight after its node first answered 503.
const START_TIME: Duration = Duration::from_secs(1);

/// How long to wait for a validator to mark a batch while it cannot forward batches.
const MARK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait for a leader's commit while the ledger blocks commits: less than the statement
/// timeout.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(6);

/// Attempts to catch the moment at which a node must die. One suffices unless the node loses the
/// leader lease, or its batches, to the other one.
const ATTEMPTS_MAX: u32 = 20;

/// The result of a fault.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    /// The node or server concerned, and the manner.
    pub(super) description: String,
    /// From the repair until everything works again.
    pub(super) recovery: Duration,
}

impl Installation {
    /// Applies one fault, repairs it, and waits until everything works again.
    pub(super) fn try_fault(&mut self, fault: Fault, chance: &mut Chance) -> Result<Trial> {
        let description = match fault {
            Fault::KillIngest => self.kill_node(Part::Ingest, chance)?,
            Fault::KillValidator => self.kill_node(Part::Validate, chance)?,
            Fault::KillSealer => self.kill_node(Part::Seal, chance)?,
            Fault::KillRedis => self.kill_redis(chance)?,
            Fault::KillRabbitMq => self.kill_server(Server::RabbitMq, chance)?,
            Fault::KillPostgreSql => self.kill_server(Server::PostgreSql, chance)?,
            Fault::StallNode => self.stall_node(chance)?,
            Fault::StallServer => self.stall_server(chance)?,
            Fault::CutOff => self.cut_off(chance)?,
            Fault::ForgetMarks => self.forget_marks(chance)?,
            Fault::KillAfterMark => self.kill_after_mark(chance)?,
            Fault::KillBeforeCommit => self.kill_in_commit(false, chance)?,
            Fault::KillAfterCommit => self.kill_in_commit(true, chance)?,
        };
        let recovery = self.fleet.recovers(&format!("{fault} ({description})"))?;
        Ok(Trial { description, recovery })
    }

    /// Kills one of the two nodes of a kind. With a probability of one half, the other node must
    /// then show that it can work alone.
    fn kill_node(&mut self, part: Part, chance: &mut Chance) -> Result<String> {
        let mut index = chance.one_of(&self.fleet.members_of(part));
        // Losing a sealer that does not lead has no effect: mostly choose the leader.
        if part == Part::Seal && !chance.once_in(3) {
            index = self.fleet.leader()?;
        }
        let leads = self.fleet.members[index].leads();
        let (begun, before) = (Instant::now(), self.fleet.log_size());
        self.fleet.members[index].kill()?;
        if leads {
            // Counted from the kill, without intervention.
            ensure!(
                wait(PROCESS_TIMEOUT, || self.fleet.log_size() > before),
                "no node seals without {}",
                self.fleet.members[index].name
            );
            self.takeovers.push(begun.elapsed());
        }
        std::thread::sleep(chance.milliseconds(0, 500));
        let alone = chance.once_in(2);
        if alone {
            self.grows(&format!("without {}", self.fleet.members[index].name))?;
        }
        self.fleet.start(index)?;
        let how = [
            if leads { ", which led" } else { "" },
            if alone { ", done without for a while" } else { "" },
        ]
        .concat();
        Ok(format!("{}{how}", self.fleet.members[index].name))
    }

    fn kill_redis(&mut self, chance: &mut Chance) -> Result<String> {
        let (server, _) = self.fleet.kill_redis(chance, |fleet, server| {
            let grown = fleet.grows_from(fleet.log_size(), Instant::now());
            grown.with_context(|| format!("without {server}"))
        })?;
        Ok(server.to_string())
    }

    fn kill_server(&mut self, server: Server, chance: &mut Chance) -> Result<String> {
        let away = self.fleet.kill_server(server, chance)?;
        Ok(format!("started after {:.1} s", away.as_secs_f64()))
    }

    fn stall_node(&mut self, chance: &mut Chance) -> Result<String> {
        let index = usize::try_from(chance.between(0, self.fleet.members.len() as u64 - 1))?;
        let time = chance.milliseconds(3_000, 8_000);
        let leads = self.fleet.members[index].leads();
        self.fleet.members[index].signal(Signal::STOP)?;
        std::thread::sleep(time);
        self.fleet.members[index].signal(Signal::CONT)?;
        let led = if leads { ", which led" } else { "" };
        Ok(format!("{}{led}, {:.1} s", self.fleet.members[index].name, time.as_secs_f64()))
    }

    fn stall_server(&mut self, chance: &mut Chance) -> Result<String> {
        let server = match chance.between(0, 2) {
            0 => Server::RabbitMq,
            1 => Server::PostgreSql,
            _ => Server::Redis(u8::try_from(chance.between(1, REDIS_NODES.into()))?),
        };
        let time = chance.milliseconds(3_000, 8_000);
        self.fleet.rig.pause(server)?;
        std::thread::sleep(time);
        self.fleet.rig.resume(server)?;
        self.fleet.redis_is_whole()?;
        Ok(format!("{server}, {:.1} s", time.as_secs_f64()))
    }

    fn cut_off(&mut self, chance: &mut Chance) -> Result<String> {
        let index = usize::try_from(chance.between(0, self.fleet.members.len() as u64 - 1))?;
        let service = Service::ALL[usize::try_from(chance.between(0, 2))?];
        let (wire, how) =
            if chance.once_in(2) { (Wire::Silent, "in silence") } else { (Wire::Broken, "broken") };
        let time = chance.milliseconds(3_000, 8_000);
        self.fleet.members[index].wire(service, wire);
        std::thread::sleep(time);
        self.fleet.members[index].wire(service, Wire::Whole);
        Ok(format!(
            "{} from the {}, {how}, {:.1} s",
            self.fleet.members[index].name,
            service.name(),
            time.as_secs_f64()
        ))
    }

    /// The registry loses a third of its data. Votes must be decided nevertheless, and an operator
    /// rebuilds it.
    fn forget_marks(&mut self, chance: &mut Chance) -> Result<String> {
        let masters: Vec<u8> = self
            .fleet
            .rig
            .redis_nodes()?
            .iter()
            .filter(|node| node.is_master && !node.slots.is_empty())
            .map(|node| node.node)
            .collect();
        let node = chance.one_of(&masters);
        self.fleet.rig.empty_redis(node)?;
        self.grows(&format!("after redis-{node} forgot all"))?;
        let site = self.fleet.rig.site();
        let (registry, ledger) = (site.registry_url(), site.ledger_url());
        self.fleet.command(&[
            "registry",
            "rebuild",
            "--registry",
            &registry,
            "--data",
            "shared",
            "--ledger",
            &ledger,
        ])?;
        Ok(format!("redis-{node}"))
    }

    /// A validator marks a batch in the registry, cannot reach the ballot box to forward it, and
    /// dies.
    fn kill_after_mark(&mut self, chance: &mut Chance) -> Result<String> {
        for _ in 0..ATTEMPTS_MAX {
            let index = chance.one_of(&self.fleet.members_of(Part::Validate));
            let member = &self.fleet.members[index];
            // Marked but not forwarded. Batches in flight before the cut count too: within
            // milliseconds they are all the validator has.
            let held = || {
                let marked = member.metric("batches_total", "marked")?;
                Some(marked - member.metric("batches_total", "forwarded")?)
            };
            let before = held();
            member.wire(Service::BallotBox, Wire::Unheard);
            if before.is_some() && wait(MARK_TIMEOUT, || held() > before) {
                return self.die_at_the_cut(index, Service::BallotBox, chance);
            }
            member.wire(Service::BallotBox, Wire::Whole);
        }
        bail!(
            "no validator marked a batch while it could not pass it on, in {ATTEMPTS_MAX} attempts"
        )
    }

    /// The leader sends a commit that the ledger does not execute, or whose reply the leader does
    /// not receive; then it dies.
    fn kill_in_commit(&mut self, carried_out: bool, chance: &mut Chance) -> Result<String> {
        for _ in 0..ATTEMPTS_MAX {
            let held = HeldCommits::hold(&self.fleet.rig)?;
            let index = self.fleet.leader()?;
            let leader = &self.fleet.members[index];
            // Votes keep arriving: it soon has a block to commit.
            let sent = || leader.metric("commits_open", "").is_some_and(|open| open > 0.5);
            if wait(COMMIT_TIMEOUT, || sent() && held.has_commit()) {
                let known = leader.log_size().unwrap_or_default();
                let who = if carried_out {
                    leader.wire(Service::Ledger, Wire::Deaf);
                    drop(held);
                    // Others read the ledger: it has leaves that the leader does not know.
                    let unheard = || {
                        let known = leader.log_size();
                        known.is_some_and(|known| known < self.fleet.log_size())
                    };
                    if !wait(PROCESS_TIMEOUT, unheard) {
                        leader.wire(Service::Ledger, Wire::Whole);
                        continue;
                    }
                    self.die_at_the_cut(index, Service::Ledger, chance)?
                } else {
                    let who = leader.name.clone();
                    // Killed before its commit is refused: it must not learn the outcome.
                    leader.signal(Signal::KILL)?;
                    held.refuse_commits()?;
                    drop(held);
                    self.fleet.members[index].kill()?;
                    std::thread::sleep(chance.milliseconds(50, 300));
                    self.fleet.start(index)?;
                    who
                };
                return Ok(format!("{who}, which had read {known} leaves"));
            }
            drop(held);
            // Another node may lead by now.
            std::thread::sleep(Duration::from_secs(1));
        }
        bail!("no leader sent a commit that the ledger held up, in {ATTEMPTS_MAX} attempts")
    }

    /// Kills a node whose link is blocked, so that the blocked bytes are lost with it, and starts
    /// it again.
    fn die_at_the_cut(
        &mut self,
        index: usize,
        service: Service,
        chance: &mut Chance,
    ) -> Result<String> {
        self.fleet.members[index].kill()?;
        self.fleet.members[index].wire(service, Wire::Broken);
        std::thread::sleep(chance.milliseconds(50, 300));
        self.fleet.members[index].wire(service, Wire::Whole);
        self.fleet.start(index)?;
        Ok(self.fleet.members[index].name.clone())
    }

    /// The ledger is down for long. Voters must get a 503 once the leases have expired, and must
    /// not be answered that their votes are stored.
    pub(super) fn outage(&mut self, length: Duration) -> Result<Trial> {
        self.fleet.rig.kill(Server::PostgreSql)?;
        let begun = Instant::now();
        std::thread::sleep(LEASE_TIME);
        let refusals = |member: &Member| {
            member.metric("api_request_duration_seconds_count", "503").unwrap_or_default()
        };
        let mut refused = Vec::new();
        for index in self.fleet.members_of(Part::Ingest) {
            let member = &self.fleet.members[index];
            let before = refusals(member);
            // Without this check, a node that only keeps voters waiting would pass too.
            ensure!(
                wait(PROCESS_TIMEOUT, || refusals(member) > before),
                "{} refused no vote while the ledger was unavailable",
                member.name
            );
            std::thread::sleep(START_TIME);
            let taken = member.taken().with_context(|| {
                format!("{} serves no metrics while the ledger is unavailable", member.name)
            })?;
            refused.push((index, taken, before));
        }
        while begun.elapsed() < length {
            std::thread::sleep(Duration::from_millis(100));
            for member in &mut self.fleet.members {
                member.check_runs()?;
            }
        }
        let mut refusal_counts = Vec::new();
        for (index, taken, before) in refused {
            let member = &self.fleet.members[index];
            ensure!(
                member.taken() == Some(taken),
                "{} accepted votes while the ledger was unavailable",
                member.name
            );
            refusal_counts.push(format!(
                "{} answered 503 {} times",
                member.name,
                refusals(member) - before
            ));
        }
        self.fleet.rig.launch(Server::PostgreSql)?;
        self.fleet.rig.wait_ready(Server::PostgreSql)?;
        let recovery = self.fleet.recovers("an outage of PostgreSQL")?;
        Ok(Trial {
            description: format!("{} s; {}", length.as_secs(), refusal_counts.join(", ")),
            recovery,
        })
    }
}

/// Whether a condition becomes true before the timeout.
fn wait(timeout: Duration, holds: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > timeout {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

/// Conflicts with every write to the table, and with no read.
const HOLD: &str = "BEGIN; LOCK TABLE votekit.block IN EXCLUSIVE MODE;\n\\echo held";

/// Statements that wait for the lock.
const WAITING: &str =
    "from pg_locks where relation = 'votekit.block'::regclass and not granted and pid is not null";

/// A lock on the table of blocks: a leader that has sent a commit waits until it is killed, on a
/// fast machine as on a slow one. Dropping it lets commits proceed.
struct HeldCommits<'a> {
    rig: &'a Rig,
    session: Child,
}

impl<'a> HeldCommits<'a> {
    /// Takes the lock, after any commit in progress has ended.
    fn hold(rig: &'a Rig) -> Result<Self> {
        let mut held = Self { rig, session: rig.open_postgresql()? };
        writeln!(held.session.stdin.as_mut().context("asked for a pipe")?, "{HOLD}")?;
        let mut said = String::new();
        let stdout = held.session.stdout.as_mut().context("asked for a pipe")?;
        BufReader::new(stdout).read_line(&mut said)?;
        ensure!(said == "held\n", "commits could not be delayed: psql printed {said:?}");
        Ok(held)
    }

    /// Whether a commit has reached the ledger and waits.
    fn has_commit(&self) -> bool {
        let rows = self.rig.ask_postgresql(&format!("select pid {WAITING}"));
        rows.is_ok_and(|pids| !pids.is_empty())
    }

    /// Terminates the waiting commits: none is executed, whichever node sent it.
    fn refuse_commits(&self) -> Result<()> {
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
