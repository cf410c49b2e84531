//! Applies the faults and repairs them, one at a time.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use super::by_hand::ByHand;
use super::cluster::Cluster;
use super::fault::Fault;
use crate::chaos::alarms::Report;
use crate::chaos::fault::Chance;
use crate::chaos::link::Wire;
use crate::chaos::member::{Part, Service};
use crate::services::Server;

/// How long a node is stopped: its lease and its leadership expire.
const STOP_TIME: Duration = Duration::from_secs(5);

/// A round takes less than this, in milliseconds, so a kill after a random part of this time can
/// hit any step of a round.
const ROUND_MILLISECONDS: u64 = 150;

/// How long the liar waits for answers, in seconds.
const ANSWER_SECONDS: u64 = 3;

/// False blocks, proposed one after another in a long run.
const LIES: [&str; 6] = [
    "duplicate-for-accepted",
    "accept-unregistered",
    "second-root",
    "back-dated",
    "alter-batch",
    "wrong-count",
];

/// Jumps of a clock, in seconds: within the minute that the others allow, and beyond it.
const JUMPS: [i64; 4] = [-90, -20, 20, 90];

/// The file of the jump, in the folder of the run.
const JUMP: &str = "clock-jump";

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
                let leader = self.fleet.leader()?;
                self.kill(leader, chance)?
            }
            Fault::KillFollower => {
                let follower = self.follower(chance)?;
                self.kill(follower, chance)?
            }
            Fault::KillIntake => {
                let index = chance.one_of(&self.fleet.members_of(Part::Intake));
                self.kill(index, chance)?
            }
            Fault::StopLeader => {
                let leader = self.fleet.leader()?;
                self.halt(leader)?
            }
            Fault::StopFollower => {
                let follower = self.follower(chance)?;
                self.halt(follower)?
            }
            Fault::CutLedger => self.cut(Service::Ledger, chance)?,
            Fault::CutRegistry => self.cut(Service::Registry, chance)?,
            Fault::CutBallotBox => self.cut(Service::BallotBox, chance)?,
            Fault::StepDown => self.step_down()?,
            Fault::KillPostgreSql => self.kill_server(Server::PostgreSql, chance)?,
            Fault::KillRabbitMq => self.kill_server(Server::RabbitMq, chance)?,
            Fault::KillRedis => self.kill_redis(chance)?,
            Fault::RollLedgerBack => by_hand(self.roll_ledger_back()?),
            Fault::InsertRows => by_hand(self.insert_rows()?),
            Fault::ChangeBatch => by_hand(self.change_staged_batch()?),
            Fault::JumpClock => self.jump_clock(chance)?,
            Fault::Lie => self.lie_in_passing(chance)?,
        };
        let recovery = self.fleet.recovers(&format!("{fault} ({description})"))?;
        Ok(Trial { description, decided_again, recovery })
    }

    /// An authority that does not lead.
    fn follower(&self, chance: &mut Chance) -> Result<usize> {
        Ok(chance.one_of(&self.others(self.fleet.leader()?)))
    }

    /// Kills a node at a random moment of a round. The others must decide votes without it before
    /// it is started again.
    fn kill(&mut self, index: usize, chance: &mut Chance) -> Result<(String, Duration)> {
        std::thread::sleep(chance.milliseconds(0, ROUND_MILLISECONDS));
        let (begun, before) = (Instant::now(), self.fleet.log_size());
        self.fleet.members[index].kill()?;
        let decided_again = self.fleet.grows_from(before, begun)?;
        std::thread::sleep(chance.milliseconds(0, 500));
        self.fleet.start(index)?;
        Ok((self.fleet.members[index].name.clone(), decided_again))
    }

    /// Stops a node, and continues it later. The others must decide votes without it.
    fn halt(&mut self, index: usize) -> Result<(String, Duration)> {
        let (begun, before) = (Instant::now(), self.fleet.log_size());
        self.fleet.members[index].signal(Signal::STOP)?;
        self.fleet.stopped.push(index);
        let decided_again = self.fleet.grows_from(before, begun)?;
        std::thread::sleep(STOP_TIME.saturating_sub(begun.elapsed()));
        self.fleet.members[index].signal(Signal::CONT)?;
        self.fleet.stopped.clear();
        let (name, time) = (&self.fleet.members[index].name, begun.elapsed().as_secs_f64());
        Ok((format!("{name}, {time:.1} s"), decided_again))
    }

    /// Cuts the connections between one authority and a service; with a probability of one half,
    /// the leader is chosen. Votes must still be decided, without that authority if the service is
    /// the ledger, which it needs.
    fn cut(&mut self, service: Service, chance: &mut Chance) -> Result<(String, Duration)> {
        let leader = self.fleet.leader()?;
        let index = if chance.once_in(2) { leader } else { self.follower(chance)? };
        let (wire, how) =
            if chance.once_in(2) { (Wire::Silent, "in silence") } else { (Wire::Broken, "broken") };
        let (begun, before) = (Instant::now(), self.fleet.log_size());
        self.fleet.members[index].wire(service, wire);
        let decided_again = self.fleet.grows_from(before, begun)?;
        std::thread::sleep(STOP_TIME.saturating_sub(begun.elapsed()));
        self.fleet.members[index].wire(service, Wire::Whole);
        let led = if index == leader { ", which led" } else { "" };
        let (name, time) = (&self.fleet.members[index].name, begun.elapsed().as_secs_f64());
        Ok((format!("{name}{led}, {how}, {time:.1} s"), decided_again))
    }

    fn step_down(&mut self) -> Result<(String, Duration)> {
        let leader = self.fleet.leader()?;
        self.fleet.admin_command(&["leader", "step-down"])?;
        // Counted from its answer: the leader seals until it is asked.
        let (begun, before) = (Instant::now(), self.fleet.log_size());
        let decided_again = self.fleet.grows_from(before, begun)?;
        let next = self.fleet.leader()?;
        let (name, next) = (&self.fleet.members[leader].name, &self.fleet.members[next].name);
        Ok((format!("{name}, then {next} leads"), decided_again))
    }

    fn kill_server(&mut self, server: Server, chance: &mut Chance) -> Result<(String, Duration)> {
        let (begun, before) = (Instant::now(), self.fleet.log_size());
        let away = self.fleet.kill_server(server, chance)?;
        let decided_again = self.fleet.grows_from(before, begun)?;
        Ok((format!("started after {:.1} s", away.as_secs_f64()), decided_again))
    }

    /// Kills a master of the Redis Cluster. Votes must be decided once its replica has taken over.
    fn kill_redis(&mut self, chance: &mut Chance) -> Result<(String, Duration)> {
        let (begun, before) = (Instant::now(), self.fleet.log_size());
        let (server, decided_again) =
            self.fleet.kill_redis(chance, |fleet, _| fleet.grows_from(before, begun))?;
        Ok((server.to_string(), decided_again))
    }

    /// The last authority lies: it takes the leadership and proposes a false block, which the
    /// others must not sign. It is always the same one, since the others do not vote for an
    /// authority that lied to them a while ago.
    fn lie_in_passing(&mut self, chance: &mut Chance) -> Result<(String, Duration)> {
        let index =
            *self.fleet.members_of(Part::Authority).last().context("there are authorities")?;
        let lie = chance.one_of(&LIES);
        let (begun, before) = (Instant::now(), self.fleet.log_size());
        let ended = self.lie(index, lie, ANSWER_SECONDS)?;
        let outcome = match ended.code {
            Some(0) => "the others held".to_owned(),
            Some(2) => format!("not possible: {}", ended.errors),
            _ => bail!("the lie {lie} was believed: {}{}", ended.answers, ended.errors),
        };
        let decided_again = self.fleet.grows_from(before, begun)?;
        self.fleet.start(index)?;
        let name = &self.fleet.members[index].name;
        Ok((format!("{lie} by {name}, {outcome}"), decided_again))
    }

    /// The clock of one authority jumps while it runs. The others must decide votes, with it or
    /// without it, and no authority may sign a refusal for a clock.
    fn jump_clock(&mut self, chance: &mut Chance) -> Result<(String, Duration)> {
        let library = self.clock.clone().context("no clock jumps without its library")?;
        let index = chance.one_of(&self.fleet.members_of(Part::Authority));
        let jump = chance.one_of(&JUMPS);
        let file = self.fleet.folder.join(JUMP);
        let set =
            |seconds: i64| fs::write(&file, format!("{seconds:+}\n")).context("setting a clock");
        set(0)?;
        self.fleet.members[index].kill()?;
        self.fleet.members[index].environment = [
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            // Leases and terms are counted by the monotonic clock, which does not jump.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
        .into();
        self.fleet.start(index)?;
        self.fleet.recovers("the start under another clock")?;
        let marks = self.fleet.mark();
        let (begun, before) = (Instant::now(), self.fleet.log_size());
        set(jump)?;
        let decided_again = self.fleet.grows_from(before, begun)?;
        std::thread::sleep(STOP_TIME);
        let still = self.fleet.log_size();
        self.fleet.grows_from(still, Instant::now())?;
        for authority in self.fleet.members_of(Part::Authority) {
            let alarms = self.fleet.reported(&marks, authority, Report::Alarms);
            let refused = alarms.iter().find(|line| line["event"] == "proposal_refused");
            ensure!(refused.is_none(), "a refusal was signed for a clock: {refused:?}");
        }
        set(0)?;
        self.fleet.members[index].kill()?;
        self.fleet.members[index].environment.clear();
        self.fleet.start(index)?;
        let name = &self.fleet.members[index].name;
        Ok((format!("{name}, {jump:+} s"), decided_again))
    }
}

fn by_hand(done: ByHand) -> (String, Duration) {
    (format!("{}; {}", done.description, done.alarm), done.decided_again)
}
