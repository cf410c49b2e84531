//! What is done to a node beside the honest votes: a storm of guessed credentials, connections that
//! say nothing, connections that trickle.
//!
//! It runs in threads of its own for as long as the honest run, and is reported apart from it:
//! honest latencies stay those of honest votes. Over plain HTTP only. From a node on this machine's
//! loopback it can come from many addresses (127.1.0.0/16), as from many clients.

mod guesses;
mod held;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::watch;

pub use self::guesses::GuessReport;
pub use self::held::HeldReport;
use crate::ballot_mix::BallotMix;
use crate::error::LoadError;
use crate::http_client::NodeUrl;
use crate::pacer::RunControl;

/// What is done beside the honest votes. The default: nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostilePlan {
    /// Invented credentials sent a second.
    pub guesses_per_second: u32,
    /// Connections that say nothing. One that the node closes is opened again.
    pub idle_connections: usize,
    /// Connections that send a byte a second: half of them of a head, half of a body.
    pub slow_connections: usize,
    /// Loopback addresses that all of this comes from in turn; 0: the system's choice, one address.
    pub addresses: u32,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostileReport {
    /// Addresses it came from.
    pub addresses: u32,
    /// The storm of guesses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guesses: Option<GuessReport>,
    /// The connections that said nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<HeldReport>,
    /// The connections that trickled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow: Option<HeldReport>,
}

impl HostilePlan {
    /// Whether there is anything to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.guesses_per_second == 0 && self.idle_connections == 0 && self.slow_connections == 0
    }

    /// Threads that it takes.
    pub(crate) fn threads(&self) -> usize {
        usize::from(self.guesses_per_second > 0)
            + usize::from(self.idle_connections + self.slow_connections > 0)
    }

    pub(crate) fn check(
        &self,
        nodes: &[NodeUrl],
        addresses: &[SocketAddr],
    ) -> Result<(), LoadError> {
        let refused =
            |option, problem: &str| Err(LoadError::Plan { option, problem: problem.to_owned() });
        if self.is_empty() {
            return Ok(());
        }
        if nodes.iter().any(NodeUrl::is_tls) {
            return refused(
                "--guesses, --idle-connections, --slow-connections",
                "they are for http:// only",
            );
        }
        if self.idle_connections + self.slow_connections > Self::CONNECTIONS_MAX {
            return refused(
                "--idle-connections, --slow-connections",
                "expected at most 50000 in all",
            );
        }
        if self.addresses > Self::ADDRESSES_MAX {
            return refused("--hostile-addresses", "expected at most 65000");
        }
        if self.addresses > 0
            && !addresses.iter().all(|address| address.ip().is_loopback() && address.is_ipv4())
        {
            return refused(
                "--hostile-addresses",
                "the node must be on this machine, at 127.0.0.1",
            );
        }
        Ok(())
    }

    const CONNECTIONS_MAX: usize = 50_000;
    const ADDRESSES_MAX: u32 = 65_000;

    /// The address that connection `number` comes from.
    fn source(&self, number: usize) -> Option<IpAddr> {
        let place = (number as u32).checked_rem(self.addresses)?;
        // 127.1.0.1 and on, without the broadcast-like ends.
        Some(IpAddr::V4(Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits() + place)))
    }
}

/// A node as it is attacked.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// The start of a request for a vote, up to and without the end of its head.
    pub(crate) vote_head: Vec<u8>,
}

/// The hostile part of a run, under way.
#[derive(Debug, Default)]
pub(crate) struct HostileRun {
    stop: Option<watch::Sender<bool>>,
    guesses: Option<JoinHandle<GuessReport>>,
    held: Option<JoinHandle<[Option<HeldReport>; 2]>>,
}

impl HostileRun {
    /// Starts what is planned, at `start`. It ends by itself soon after `control` was stopped.
    pub(crate) fn start(
        plan: HostilePlan,
        targets: &[Target],
        mix: &Arc<BallotMix>,
        control: &Arc<RunControl>,
        start: Instant,
    ) -> Result<Self, LoadError> {
        if plan.is_empty() {
            return Ok(Self::default());
        }
        let stop = watch::Sender::new(false);
        let (targets, control) = (Arc::<[Target]>::from(targets), Arc::clone(control));
        let stopped = || {
            let (mut told, control) = (stop.subscribe(), Arc::clone(&control));
            async move {
                while !control.is_stopped() {
                    // Told, or time to look whether the whole run was stopped.
                    if let Ok(Ok(_)) =
                        tokio::time::timeout(LOOK_INTERVAL, told.wait_for(|stopped| *stopped)).await
                    {
                        break;
                    }
                }
            }
        };
        let guesses = (plan.guesses_per_second > 0)
            .then(|| {
                let bodies = guesses::GuessBody::new(mix);
                let (targets, stopped) = (Arc::clone(&targets), stopped());
                spawn("guesses", move |runtime| {
                    runtime.block_on(guesses::run(plan, targets, bodies, start, stopped))
                })
            })
            .transpose()?;
        let held = (plan.idle_connections + plan.slow_connections > 0)
            .then(|| {
                let stopped = stopped();
                spawn("held connections", move |runtime| {
                    runtime.block_on(held::run(plan, targets, start, stopped))
                })
            })
            .transpose()?;
        Ok(Self { stop: Some(stop), guesses, held })
    }

    /// Ends it and says what came of it.
    pub(crate) fn finish(self, plan: HostilePlan) -> Result<Option<HostileReport>, LoadError> {
        let Some(stop) = self.stop else { return Ok(None) };
        stop.send_replace(true);
        let panicked = |_| LoadError::Thread { problem: "one panicked".to_owned() };
        let guesses = self.guesses.map(JoinHandle::join).transpose().map_err(panicked)?;
        let [idle, slow] =
            self.held.map_or(Ok([None, None]), JoinHandle::join).map_err(panicked)?;
        Ok(Some(HostileReport { addresses: plan.addresses.max(1), guesses, idle, slow }))
    }
}

const LOOK_INTERVAL: Duration = Duration::from_millis(100);

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce(tokio::runtime::Runtime) -> T + Send + 'static,
) -> Result<JoinHandle<T>, LoadError> {
    let failed = |error: std::io::Error| LoadError::Thread { problem: error.to_string() };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    std::thread::Builder::new().name(name.to_owned()).spawn(move || work(runtime)).map_err(failed)
}

impl fmt::Display for HostileReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "hostile   from {} addresses", self.addresses)?;
        if let Some(guesses) = &self.guesses {
            write!(formatter, "\n  guesses {guesses}")?;
        }
        for (name, held) in [("idle", &self.idle), ("slow", &self.slow)] {
            if let Some(held) = held {
                write!(formatter, "\n  {name:<7} {held}")?;
            }
        }
        Ok(())
    }
}
