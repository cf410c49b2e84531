//! Hostile load on a node during honest votes: guessed credentials at a high rate, idle
//! connections, slow connections, busy connections, replays of one vote, readers.
//!
//! It runs in its own threads for as long as the honest run, and is reported separately: the
//! latencies of the report are those of honest votes only. Plain HTTP only. Against a node on this
//! machine's loopback it can use many source addresses (127.1.0.0/16), as if from many clients.

mod busy;
mod guesses;
mod held;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::watch;

pub use self::busy::BusyReport;
use self::busy::BusyRequest;
pub use self::guesses::GuessReport;
pub use self::held::HeldReport;
use crate::ballot_mix::BallotMix;
use crate::error::LoadError;
use crate::http_client::NodeUrl;
use crate::pacer::RunControl;

/// Maximum number of connections, without those of guesses.
const CONNECTIONS_MAX: usize = 50_000;

/// Maximum number of loopback addresses that connections can come from.
pub(crate) const ADDRESSES_MAX: u32 = 65_000;

/// The first of the hostile addresses.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);

/// Interval between two checks whether the whole run was stopped.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The hostile load in addition to the honest votes. The default is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostilePlan {
    /// Invented credentials sent a second.
    pub guesses_per_second: u32,
    /// Connections that send nothing. A connection that the node closes is reopened.
    pub idle_connections: usize,
    /// Connections that send a byte a second: half of them of a head, half of a body.
    pub slow_connections: usize,
    /// Connections that send a useless request before they have been idle for a second.
    pub busy_connections: usize,
    /// Connections that send the first vote of the run repeatedly, under its key.
    pub replay_connections: usize,
    /// Connections that read the OpenAPI description repeatedly.
    pub reader_connections: usize,
    /// The number of loopback source addresses that the hostile load uses round-robin; 0: one
    /// address, chosen by the system.
    pub addresses: u32,
}

/// The results of the hostile load.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostileReport {
    /// Number of source addresses.
    pub addresses: u32,
    /// The guessed credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guesses: Option<GuessReport>,
    /// The idle connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<HeldReport>,
    /// The slow connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow: Option<HeldReport>,
    /// The busy connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busy: Option<BusyReport>,
    /// The replays of one vote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replays: Option<BusyReport>,
    /// The readers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readers: Option<BusyReport>,
}

impl HostilePlan {
    /// Whether the plan is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.guesses_per_second == 0 && self.connections() == 0
    }

    /// Number of threads it needs.
    pub(crate) fn threads(&self) -> usize {
        usize::from(self.guesses_per_second > 0)
            + usize::from(self.idle_connections + self.slow_connections > 0)
            + self
                .busy_connections_by_request()
                .iter()
                .filter(|(_, connections)| *connections > 0)
                .count()
    }

    /// Number of connections, without those of guesses.
    fn connections(&self) -> usize {
        let busy: usize =
            self.busy_connections_by_request().iter().map(|(_, connections)| *connections).sum();
        self.idle_connections + self.slow_connections + busy
    }

    /// The connections that repeat a request, by the request they make.
    fn busy_connections_by_request(&self) -> [(BusyRequest, usize); 3] {
        [
            (BusyRequest::KeepAlive, self.busy_connections),
            (BusyRequest::Replay, self.replay_connections),
            (BusyRequest::Read, self.reader_connections),
        ]
    }

    pub(crate) fn check(
        &self,
        nodes: &[NodeUrl],
        addresses: &[SocketAddr],
    ) -> Result<(), LoadError> {
        let refused = |option, problem: String| Err(LoadError::Plan { option, problem });
        if self.is_empty() {
            return Ok(());
        }
        if nodes.iter().any(NodeUrl::is_tls) {
            let problem = "they are for http:// only".to_owned();
            return refused("--guesses and hostile connections", problem);
        }
        if self.connections() > CONNECTIONS_MAX {
            let problem = format!("expected at most {CONNECTIONS_MAX} in all");
            return refused("hostile connections", problem);
        }
        if self.addresses > ADDRESSES_MAX {
            let problem = format!("expected at most {ADDRESSES_MAX}");
            return refused("--hostile-addresses", problem);
        }
        if self.addresses > 0 && !addresses.iter().all(is_loopback) {
            let problem = "the node must be on this machine, at 127.0.0.1".to_owned();
            return refused("--hostile-addresses", problem);
        }
        Ok(())
    }

    /// The source address of connection `number`.
    fn source(&self, number: usize) -> Option<IpAddr> {
        loopback_address(FIRST_ADDRESS, self.addresses, number)
    }
}

/// The source address of connection `number`: one of `addresses` loopback addresses from `first`
/// on.
pub(crate) fn loopback_address(first: Ipv4Addr, addresses: u32, number: usize) -> Option<IpAddr> {
    let index = (number as u32).checked_rem(addresses)?;
    Some(IpAddr::V4(Ipv4Addr::from_bits(first.to_bits() + index)))
}

/// Whether an address can be reached from every loopback address.
pub(crate) fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().is_loopback() && address.is_ipv4()
}

/// A node under hostile load.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// The start of a vote request, without the end of its head.
    pub(crate) vote_head: Vec<u8>,
}

/// A running hostile load.
#[derive(Debug, Default)]
pub(crate) struct HostileRun {
    stop: Option<watch::Sender<bool>>,
    guesses: Option<JoinHandle<GuessReport>>,
    held: Option<JoinHandle<[Option<HeldReport>; 2]>>,
    /// In the order of [`HostilePlan::busy_connections_by_request`].
    busy: [Option<JoinHandle<BusyReport>>; 3],
}

impl HostileRun {
    /// Starts the planned load, at `start`. It ends soon after `control` is stopped.
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
            let (mut stop_signal, control) = (stop.subscribe(), Arc::clone(&control));
            async move {
                while !control.is_stopped() {
                    // Stopped, or the timeout passed: check whether the whole run was stopped.
                    if let Ok(Ok(_)) = tokio::time::timeout(
                        POLL_INTERVAL,
                        stop_signal.wait_for(|stopped| *stopped),
                    )
                    .await
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
                let (targets, stopped) = (Arc::clone(&targets), stopped());
                spawn("held connections", move |runtime| {
                    runtime.block_on(held::run(plan, targets, start, stopped))
                })
            })
            .transpose()?;
        let mut busy = [const { None }; 3];
        for (thread, (kind, connections)) in busy.iter_mut().zip(plan.busy_connections_by_request())
        {
            if connections > 0 {
                let request = |target: &Target| (target.clone(), kind.request(target, mix));
                let (requests, stopped) = (targets.iter().map(request).collect(), stopped());
                let kind = (kind, connections);
                *thread = Some(spawn("busy connections", move |runtime| {
                    runtime.block_on(busy::run(plan, kind, requests, start, stopped))
                })?);
            }
        }
        Ok(Self { stop: Some(stop), guesses, held, busy })
    }

    /// Stops the load and returns its report.
    pub(crate) fn finish(self, plan: HostilePlan) -> Result<Option<HostileReport>, LoadError> {
        let Some(stop) = self.stop else { return Ok(None) };
        stop.send_replace(true);
        let panicked = |_| LoadError::Thread { problem: "one panicked".to_owned() };
        let guesses = self.guesses.map(JoinHandle::join).transpose().map_err(panicked)?;
        let [idle, slow] =
            self.held.map_or(Ok([None, None]), JoinHandle::join).map_err(panicked)?;
        let mut reports = [const { None }; 3];
        for (report, thread) in reports.iter_mut().zip(self.busy) {
            *report = thread.map(JoinHandle::join).transpose().map_err(panicked)?;
        }
        let ([busy, replays, readers], addresses) = (reports, plan.addresses.max(1));
        Ok(Some(HostileReport { addresses, guesses, idle, slow, busy, replays, readers }))
    }
}

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
        let repeated =
            [("busy", &self.busy), ("replays", &self.replays), ("readers", &self.readers)];
        for (name, busy) in repeated {
            if let Some(busy) = busy {
                write!(formatter, "\n  {name:<7} {busy}")?;
            }
        }
        Ok(())
    }
}
