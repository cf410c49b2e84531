//! Applies the faults and repairs them, one at a time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use super::cluster::Cluster;
use super::fault::Fault;
use crate::chaos::LAW;
use crate::chaos::fault::Chance;
use crate::chaos::link::Wire;
use crate::chaos::member::{Part, Service};
use crate::chaos::node::{PROCESS_TIMEOUT, wait};
use crate::services::{Rig, Server};

/// How long a node is stopped: its lease and its promise to lead run out.
const STOP: Duration = Duration::from_secs(5);

/// How long the other authorities are stopped until the liar has the leadership: the lease of the
/// leader, and a moment.
const LIAR_ALONE: Duration = Duration::from_millis(2_600);

/// False blocks, proposed one after another in a long run.
const LIES: [&str; 6] = [
    "duplicate-for-accepted",
    "accept-unregistered",
    "second-root",
    "back-dated",
    "stale-term",
    "wrong-count",
];

/// The result of a fault.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    /// The node or server concerned, and the manner.
    pub(super) description: String,
    /// From the fault until votes are decided again.
    pub(super) decided_again: Duration,
    /// From the repair until every node works again.
    pub(super) recovery: Duration,
}

impl Cluster {
    /// Applies one fault, repairs it, and waits until everything works again.
    pub(super) fn try_fault(&mut self, fault: Fault, chance: &mut Chance) -> Result<Trial> {
        let (description, decided_again) = match fault {
            Fault::KillLeader => {
                let leader = self.leader()?;
                self.kill(leader, chance)?
            }
            Fault::KillFollower => {
                let follower = self.follower(chance)?;
                self.kill(follower, chance)?
            }
            Fault::KillIntake => {
                let place = one_of(&self.places(Part::Intake), chance);
                self.kill(place, chance)?
            }
            Fault::StopLeader => {
                let leader = self.leader()?;
                self.halt(leader)?
            }
            Fault::StopFollower => {
                let follower = self.follower(chance)?;
                self.halt(follower)?
            }
            Fault::CutLedger => self.cut_ledger(chance)?,
            Fault::StepDown => self.step_down()?,
            Fault::KillPostgreSql => self.kill_server(Server::PostgreSql, chance)?,
            Fault::KillRabbitMq => self.kill_server(Server::RabbitMq, chance)?,
            Fault::KillRedis => self.kill_redis(chance)?,
            Fault::Lie => self.lie(chance)?,
        };
        let recovery = self.recovers(&format!("{fault} ({description})"))?;
        Ok(Trial { description, decided_again, recovery })
    }

    /// An authority that does not lead.
    fn follower(&self, chance: &mut Chance) -> Result<usize> {
        let leader = self.leader()?;
        let mut others = self.places(Part::Authority);
        others.retain(|place| *place != leader);
        Ok(one_of(&others, chance))
    }

    /// Kills a node. The others must decide votes without it before it is started again.
    fn kill(&mut self, place: usize, chance: &mut Chance) -> Result<(String, Duration)> {
        let (begun, before) = (Instant::now(), self.log_size());
        self.members[place].kill()?;
        let decided_again = self.grows_from(before, begun)?;
        std::thread::sleep(chance.milliseconds(0, 500));
        self.start(place)?;
        Ok((self.members[place].name.clone(), decided_again))
    }

    /// Stops a node, and continues it later. The others must decide votes without it.
    fn halt(&mut self, place: usize) -> Result<(String, Duration)> {
        let (begun, before) = (Instant::now(), self.log_size());
        self.members[place].signal(Signal::STOP)?;
        self.stopped.push(place);
        let decided_again = self.grows_from(before, begun)?;
        std::thread::sleep(STOP.saturating_sub(begun.elapsed()));
        self.members[place].signal(Signal::CONT)?;
        self.stopped.clear();
        let (name, time) = (&self.members[place].name, begun.elapsed().as_secs_f64());
        Ok((format!("{name}, {time:.1} s"), decided_again))
    }

    /// Cuts one authority off from the ledger: the leader half of the time. The others must decide
    /// votes without it.
    fn cut_ledger(&mut self, chance: &mut Chance) -> Result<(String, Duration)> {
        let leader = self.leader()?;
        let place = if chance.once_in(2) { leader } else { self.follower(chance)? };
        let (wire, how) =
            if chance.once_in(2) { (Wire::Silent, "in silence") } else { (Wire::Broken, "broken") };
        let (begun, before) = (Instant::now(), self.log_size());
        self.members[place].wire(Service::Ledger, wire);
        let decided_again = self.grows_from(before, begun)?;
        std::thread::sleep(STOP.saturating_sub(begun.elapsed()));
        self.members[place].wire(Service::Ledger, Wire::Whole);
        let led = if place == leader { ", which led" } else { "" };
        let (name, time) = (&self.members[place].name, begun.elapsed().as_secs_f64());
        Ok((format!("{name}{led}, {how}, {time:.1} s"), decided_again))
    }

    fn step_down(&mut self) -> Result<(String, Duration)> {
        let leader = self.leader()?;
        self.office(&["leader", "step-down"])?;
        // Counted from its answer: the leader seals until it is asked.
        let (begun, before) = (Instant::now(), self.log_size());
        let decided_again = self.grows_from(before, begun)?;
        let next = self.leader()?;
        let (name, next) = (&self.members[leader].name, &self.members[next].name);
        Ok((format!("{name}, then {next} leads"), decided_again))
    }

    fn kill_server(&mut self, server: Server, chance: &mut Chance) -> Result<(String, Duration)> {
        let (begun, before) = (Instant::now(), self.log_size());
        self.rig.kill(server)?;
        let away = chance.milliseconds(0, 2_000);
        std::thread::sleep(away);
        self.rig.launch(server)?;
        self.rig.wait_ready(server)?;
        let decided_again = self.grows_from(before, begun)?;
        Ok((format!("started after {:.1} s", away.as_secs_f64()), decided_again))
    }

    /// Kills a master of the Redis Cluster. Votes must be decided once its replica has taken over.
    fn kill_redis(&mut self, chance: &mut Chance) -> Result<(String, Duration)> {
        let mut masters = self.rig.redis_nodes()?;
        masters.retain(|node| node.is_master && !node.slots.is_empty());
        let lost = masters.swap_remove(usize::try_from(chance.next())? % masters.len());
        let server = Server::Redis(lost.node);
        let (begun, before) = (Instant::now(), self.log_size());
        self.rig.kill(server)?;
        let decided_again = self.grows_from(before, begun)?;
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
        self.rig.launch(server)?;
        self.rig.wait_ready(server)?;
        let launched = Instant::now();
        while !self.rig.redis_is_whole() {
            ensure!(launched.elapsed() < PROCESS_TIMEOUT, "the Redis Cluster is not whole");
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok((server.to_string(), decided_again))
    }

    /// The last authority lies: it takes the leadership and proposes a false block, which the
    /// others must not sign. It is always the same one, since the others do not vote for an
    /// authority that lied to them a while ago.
    fn lie(&mut self, chance: &mut Chance) -> Result<(String, Duration)> {
        let liar = self.liar.clone().context("no lie is drawn without a liar")?;
        let places = self.places(Part::Authority);
        let (place, others) = places.split_last().context("there are authorities")?;
        let lie = one_of(&LIES, chance);
        let (begun, before) = (Instant::now(), self.log_size());
        self.members[*place].kill()?;
        for other in others {
            self.members[*other].signal(Signal::STOP)?;
        }
        self.stopped = others.to_vec();
        let ledger = self.rig.site().ledger_url();
        let data = self.members[*place].data().to_owned();
        let options = ["--data", &data, "--ledger", &ledger, "--law", LAW];
        let times = ["--wait", "10", "--answers", "3"];
        let mut lying = self.spawn(&liar, &[&[lie][..], &options, &times].concat(), "lie")?;
        std::thread::sleep(LIAR_ALONE);
        for other in others {
            self.members[*other].signal(Signal::CONT)?;
        }
        self.stopped.clear();
        let Some(ended) = wait(&mut lying, PROCESS_TIMEOUT)? else {
            lying.kill()?;
            lying.wait()?;
            bail!("the lie {lie} did not end in {} s", PROCESS_TIMEOUT.as_secs());
        };
        let outcome = match ended.code() {
            Some(0) => "the others held".to_owned(),
            Some(2) => format!("not possible: {}", self.said("lie.log").trim()),
            _ => bail!("the lie {lie} was believed ({ended}): {}", self.said("lie.out")),
        };
        let decided_again = self.grows_from(before, begun)?;
        self.start(*place)?;
        Ok((format!("{lie} by {data}, {outcome}"), decided_again))
    }
}

fn one_of<T: Copy>(things: &[T], chance: &mut Chance) -> T {
    things[(chance.next() % things.len() as u64) as usize]
}
