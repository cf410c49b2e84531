//! A lying authority: a program that runs with the keys of an authority, instead of its node.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use super::cluster::Cluster;
use crate::chaos::LAW;
use crate::chaos::member::Part;
use crate::chaos::node::{PROCESS_TIMEOUT, wait};

/// How long the other authorities are stopped until the liar has the leadership: slightly longer
/// than the leader's lease.
const LIAR_ALONE_TIME: Duration = Duration::from_millis(2_600);

/// How long the liar waits for a block that allows its lie, in seconds.
const BLOCK_SECONDS: &str = "20";

/// The outcome of a lie.
#[derive(Debug, Clone)]
pub(crate) struct LieEnd {
    /// 0: the others refused the block, 1: a false block is certified, 2: the lie was not possible.
    pub(crate) code: Option<i32>,
    /// How the others answered, as JSON.
    pub(crate) answers: String,
    /// Why the lie was not possible.
    pub(crate) errors: String,
}

impl Cluster {
    /// The authorities other than the authority with an index.
    pub(crate) fn others(&self, index: usize) -> Vec<usize> {
        let mut others = self.fleet.members_of(Part::Authority);
        others.retain(|other| *other != index);
        others
    }

    /// Kills the node of an authority and runs the liar instead. The liar acquires the leadership
    /// while the others are stopped, and proposes a false block. The node is down afterwards.
    pub(crate) fn lie(&mut self, index: usize, lie: &str, answer_seconds: u64) -> Result<LieEnd> {
        let others = self.others(index);
        self.fleet.members[index].kill()?;
        for other in &others {
            self.fleet.members[*other].signal(Signal::STOP)?;
        }
        self.fleet.stopped.clone_from(&others);
        let spawned = self.spawn_liar(index, lie, answer_seconds);
        std::thread::sleep(LIAR_ALONE_TIME);
        for other in &others {
            self.fleet.members[*other].signal(Signal::CONT)?;
        }
        self.fleet.stopped.clear();
        self.lie_end(lie, spawned?)
    }

    /// Runs the liar with the keys of an authority whose node keeps running: for a lie that needs
    /// no leadership.
    pub(crate) fn lie_beside(
        &self,
        index: usize,
        lie: &str,
        answer_seconds: u64,
    ) -> Result<LieEnd> {
        self.lie_end(lie, self.spawn_liar(index, lie, answer_seconds)?)
    }

    fn spawn_liar(
        &self,
        index: usize,
        lie: &str,
        answer_seconds: u64,
    ) -> Result<std::process::Child> {
        let liar = self.liar.as_ref().context("no lie is drawn without a liar")?;
        let ledger = self.fleet.rig.site().ledger_url();
        let data = self.fleet.members[index].data();
        let seconds = answer_seconds.to_string();
        let target = ["--data", data, "--ledger", &ledger, "--law", LAW];
        let times = ["--wait", BLOCK_SECONDS, "--answers", &seconds];
        self.fleet.spawn(liar, &[&[lie][..], &target, &times].concat(), "lie")
    }

    fn lie_end(&self, lie: &str, mut lying: std::process::Child) -> Result<LieEnd> {
        let Some(ended) = wait(&mut lying, PROCESS_TIMEOUT)? else {
            lying.kill()?;
            lying.wait()?;
            bail!("the lie {lie} did not end in {} s", PROCESS_TIMEOUT.as_secs());
        };
        let (answers, errors) = (self.fleet.log_text("lie.out"), self.fleet.log_text("lie.log"));
        Ok(LieEnd { code: ended.code(), answers, errors: errors.trim().to_owned() })
    }
}
