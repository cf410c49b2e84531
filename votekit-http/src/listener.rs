//! Serves a node over HTTP: three listeners, TLS on the public one, limits on connections and time,
//! and an orderly shutdown.
//!
//! [`Reserved::bind`] binds the addresses and reads the TLS files before a node is started;
//! [`Server::on`] listens, so that port 0 is resolved before anything is served; [`Server::run`]
//! serves until the shutdown signal, then accepts no more connections, lets requests in flight
//! finish, and drops the rest after a deadline.

mod activity;
mod parse_refusal;
mod limiter;
mod slots;
mod tls;
mod connection;
mod file_descriptors;
mod reload;
mod reserved;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use votekit_messages::InWords as _;
use votekit_node::Node;
use votekit_node::config::ConfigError;
use votekit_node::data_folder::FolderError;
use votekit_node::limits::address_prefix::Shares;
use votekit_node::memory::overwriting_stack;
use votekit_node::metrics;
use votekit_store::log_summary::LogSummary;

use self::connection::{Limits, Phase, Service};
use self::limiter::LimiterRules;
use self::slots::{Refused, Slot, Slots, TICK_INTERVAL};
use self::tls::TlsIdentity;
use crate::context::Api;
use crate::gate::Gate;
use crate::guard::message_rules;
use crate::routes;

pub use self::reload::Reloader;
pub use self::reserved::Reserved;
pub use votekit_node::logging::{
    LogLevelError, LoggingError, check_log_level, flush_log, init_logging, log_panics,
};

/// The reason why a server does not start, or stopped without a shutdown signal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// An address could not be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
    /// Two listeners have the same address.
    #[error("{first} and {second} have the same address {address}")]
    SameAddress {
        /// The setting of the first listener.
        first: &'static str,
        /// The setting of the second listener.
        second: &'static str,
        /// The address of the second.
        address: SocketAddr,
    },
    /// A file for TLS could not be used.
    #[error("{path}: {rule}", path = path.display())]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// The fault.
        rule: String,
    },
    /// The private key belongs to another account, or other accounts can reach it.
    #[error(transparent)]
    TlsKey(FolderError),
    /// The certificate and the key do not form a TLS identity.
    #[error(
        "the certificate {cert} and the key {key} do not match: {reason}",
        cert = cert.display(),
        key = key.display()
    )]
    TlsIdentity {
        /// The certificate's file.
        cert: PathBuf,
        /// The private key's file.
        key: PathBuf,
        /// The error of the TLS library.
        reason: String,
    },
    /// The data folder has no administrator's token.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The configuration breaks a rule, such as plain HTTP beyond this machine.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The node failed permanently while it was served.
    #[error("the node failed and stopped: {reason}")]
    NodeFailed {
        /// The reason.
        reason: String,
    },
    /// A required task panicked: a fault of votekit.
    #[error("a bug in votekit stopped the node: {what}")]
    Panicked {
        /// The task that panicked.
        what: String,
    },
}

/// The addresses on which a server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Addresses {
    /// The listener for voters and readers.
    pub public: SocketAddr,
    /// The listener for administrators.
    pub administration: SocketAddr,
    /// The listener for monitoring.
    pub metrics: SocketAddr,
}

/// A node with its listeners bound, not yet serving.
pub struct Server {
    node: Node,
    api: Arc<Api>,
    listeners: [Listener; 3],
    addresses: Addresses,
    tls: Option<Arc<TlsIdentity>>,
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Server({:?})", self.addresses)
    }
}

/// The time for incomplete requests to arrive once the shutdown has begun.
const INCOMPLETE_TIMEOUT: Duration = Duration::from_secs(5);

/// The time for complete requests to be answered after that.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// On each internal listener: the maximum of open connections, and of waiting newcomers. The
/// reserved part of the former is for callers with a valid token on the administrative listener,
/// and for other addresses on the monitoring listener.
const INTERNAL_SLOTS_MAX: u32 = 64;
const INTERNAL_RESERVED: u32 = 16;
const INTERNAL_WAITING_MAX: u32 = 64;

/// The most newcomers of the public listener that wait for a slot.
const PUBLIC_WAITING_MAX: u32 = 256;

/// The idle time after which a connection may be evicted. Public: time for a TLS handshake and a
/// request over a slow line. Internal: on a busy machine a caller may need a good part of this to
/// send its request.
const PUBLIC_STAY_MIN_MS: u64 = 1000;
const INTERNAL_STAY_MIN_MS: u64 = 500;

/// The interval at which histograms are drained, rates computed and quiet keys evicted.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(2);

impl Server {
    /// Checks the node's configuration, reads the TLS files and listens on the addresses.
    ///
    /// # Errors
    /// [`ServeError`] naming the address or file; nothing is then served.
    pub async fn bind(node: Node) -> Result<Self, ServeError> {
        let reserved = Reserved::bind(node.config())?;
        Self::on(reserved, node).await
    }

    /// Listens on addresses that were bound earlier.
    ///
    /// # Errors
    /// [`ServeError`] naming the address or file; nothing is then served.
    pub async fn on(reserved: Reserved, node: Node) -> Result<Self, ServeError> {
        let config = node.config().clone();
        let Reserved { sockets: [public, administration, metrics], tls } = reserved;
        let api = Api::new(node.clone(), node.admin_token()?.as_bytes());
        let limits = Limits {
            header_time: Duration::from_secs(config.header_timeout_seconds.max(1)),
            stall_time: config.request_timeout().max(Duration::from_secs(1)),
            life_max: (config.connection_seconds_max > 0)
                .then(|| Duration::from_secs(config.connection_seconds_max)),
            requests_max: Some(config.connection_requests_max).filter(|most| *most > 0),
        };
        let wait_max_ms = config.header_timeout_seconds.max(1).saturating_mul(1000);
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let granted = file_descriptors::grant(config.connections_max, config.live_readers_max);
        api.live.reader_slots().limit(count(granted.readers));
        let rules = LimiterRules {
            slots_max: count(granted.connections),
            reserved: 0,
            per_address_max: count(config.connections_per_address_max),
            waiting_max: PUBLIC_WAITING_MAX,
            stay_min_ms: PUBLIC_STAY_MIN_MS,
            wait_max_ms,
        };
        let gate = Some(Gate::new(&api));
        let router = routes::public(&api);
        let served = Service { router, gate, tls: tls.clone(), wants_token: false, limits };
        let public = Listener::listen(public, &node, served, rules)?;
        // Monitoring needs no token, so one address alone must not take every slot.
        let rules = LimiterRules {
            slots_max: INTERNAL_SLOTS_MAX,
            per_address_max: INTERNAL_SLOTS_MAX - INTERNAL_RESERVED,
            waiting_max: INTERNAL_WAITING_MAX,
            stay_min_ms: INTERNAL_STAY_MIN_MS,
            ..rules
        };
        let service =
            |router, wants_token| Service { router, gate: None, tls: None, wants_token, limits };
        let routes = service(routes::administration(&api), true);
        let with_token = LimiterRules { reserved: INTERNAL_RESERVED, per_address_max: 0, ..rules };
        let administration = Listener::listen(administration, &node, routes, with_token)?;
        let routes = service(routes::monitoring(&api), false);
        let metrics = Listener::listen(metrics, &node, routes, rules)?;
        let addresses = Addresses {
            public: public.address,
            administration: administration.address,
            metrics: metrics.address,
        };
        node.observe_writes().await;
        Ok(Self { listeners: [public, administration, metrics], api, addresses, tls, node })
    }

    /// Returns a handle that reloads the certificate and the token.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        Reloader { tls: self.tls.clone(), api: Arc::clone(&self.api), node: self.node.clone() }
    }

    /// The addresses on which this server listens; port 0 is resolved.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The URL of the public listener.
    #[must_use]
    pub fn public_url(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.addresses.public)
    }

    /// Serves until `shutdown` resolves or the node fails, then lets requests in flight finish. The
    /// node keeps running: the caller calls [`Node::shutdown`] afterwards.
    ///
    /// # Errors
    /// [`ServeError::NodeFailed`], [`ServeError::Panicked`].
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), ServeError> {
        let phase = watch::Sender::new(Phase::Serving);
        let slots = self.listeners.each_ref().map(|listener| Arc::clone(&listener.slots));
        let mut accepting = JoinSet::new();
        for listener in self.listeners {
            accepting.spawn(listener.accept(phase.subscribe()));
        }
        let mut upkeep = tokio::spawn(upkeep(Arc::clone(&self.api)));
        let mut live = tokio::spawn(Arc::clone(&self.api.live).run());
        let failed = async {
            let failure = self.node.failed().await;
            let words = failure.in_words();
            if failure.is_panic() {
                return ServeError::Panicked { what: words };
            }
            ServeError::NodeFailed { reason: words }
        };
        let outcome = tokio::select! {
            () = shutdown => Ok(()),
            failure = failed => Err(failure),
            // None of these tasks ends without a panic.
            _ = accepting.join_next() => {
                Err(ServeError::Panicked { what: "a listener panicked".to_owned() })
            }
            _ = &mut upkeep => {
                Err(ServeError::Panicked { what: "the upkeep of metrics panicked".to_owned() })
            }
            _ = &mut live => {
                Err(ServeError::Panicked { what: "the hub of live updates panicked".to_owned() })
            }
        };
        upkeep.abort();
        // Readers end at once: otherwise they would stay until the node stops.
        self.api.live.end();
        if !live.is_finished() {
            live.abort();
            // Resolves when the task has dropped its references to the node.
            let _ = live.await;
        }
        drain(&self.node, &phase, &mut accepting, &slots, outcome.is_ok()).await;
        outcome
    }
}

/// Waits for requests in flight: incomplete requests have a few seconds to arrive, complete
/// requests some more seconds to be answered. After a failure they have one second in total.
async fn drain(
    node: &Node,
    phase: &watch::Sender<Phase>,
    accepting: &mut JoinSet<()>,
    slots: &[Arc<Slots>],
    is_orderly: bool,
) {
    tracing::info!(
        event = "accepting_stopped",
        "new connections not accepted, requests in flight finish"
    );
    phase.send_replace(Phase::Draining);
    let (incomplete_timeout, answer_timeout) = if is_orderly {
        (INCOMPLETE_TIMEOUT, ANSWER_TIMEOUT)
    } else {
        (Duration::from_secs(1), Duration::ZERO)
    };
    // A listener that panicked has nothing left to drain.
    let mut drained = std::pin::pin!(async { while accepting.join_next().await.is_some() {} });
    if tokio::time::timeout(incomplete_timeout, &mut drained).await.is_ok() {
        return;
    }
    // Voters that wait for a decision get the present status.
    node.hurry();
    phase.send_replace(Phase::Finishing);
    let is_drained = tokio::time::timeout(answer_timeout, &mut drained).await.is_ok();
    // Known now: a request that is slow to answer is not incomplete.
    let count: u32 = slots.iter().map(|slots| slots.dropped()).sum();
    if count > 0 {
        tracing::warn!(event = "incomplete_requests_dropped", count, "incomplete requests dropped");
    }
    if !is_drained {
        tracing::warn!(event = "requests_cut_off", "requests in flight cut off");
        phase.send_replace(Phase::Ended);
    }
}

/// Drains histograms, computes rates and evicts quiet keys, in an endless loop.
async fn upkeep(api: Arc<Api>) {
    let mut rate = metrics::RateWindow::new(Instant::now());
    let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        ticks.tick().await;
        metrics::upkeep(&mut rate, Instant::now());
        api.forget_quiet();
    }
}

/// One address, and the service behind it.
struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    node: Node,
    service: Arc<Service>,
    slots: Arc<Slots>,
}

impl Listener {
    fn listen(
        (address, socket): (SocketAddr, TcpSocket),
        node: &Node,
        service: Service,
        rules: LimiterRules,
    ) -> Result<Self, ServeError> {
        let failed = |source| ServeError::Bind { address, source };
        let listener = reserved::listen(socket).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            node: node.clone(),
            service: Arc::new(service),
            slots: Arc::new(Slots::new(rules)),
        })
    }

    /// Accepts connections until the phase changes, then waits for them to end. Never waits for a
    /// slot: newcomers wait in their own tasks, where the limiter ranks them, not behind an
    /// attacker's connections in the system's queue.
    async fn accept(self, mut phase: watch::Receiver<Phase>) {
        let refusal: Arc<[u8]> = message_rules::too_many_connections().into();
        // Each connection keeps a clone of the sender.
        let (open, mut all_ended) = mpsc::channel(1);
        let mut ticks = tokio::time::interval(TICK_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = ticks.tick(), if self.slots.is_short() => {
                    self.slots.tick();
                    continue;
                }
                _ = phase.wait_for(|phase| *phase != Phase::Serving) => break,
            };
            match accepted {
                Ok((stream, peer)) => match self.slots.arrive(self.shares(peer), open.clone()) {
                    Ok(slot) => self.spawn_connection(stream, peer, slot, phase.clone(), &refusal),
                    Err(Refused) => self.service.refuse(&stream, &refusal),
                },
                Err(error) => pause_after(&error).await,
            }
        }
        drop((self.listener, open));
        // Nothing is ever sent: resolves when the last connection has dropped its sender.
        let _ = all_ended.recv().await;
    }

    /// The prefixes under which a connection counts; `None` for a proxy, which has connections of
    /// many voters.
    fn shares(&self, peer: SocketAddr) -> Option<Shares> {
        let (config, address) = (self.node.config(), peer.ip());
        (!config.is_tls_proxy(address))
            .then(|| self.node.throttle().shares(address, config.counts_alone(address)))
    }

    /// Starts the task of one connection: waits for its slot, then serves it.
    fn spawn_connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        slot: Slot,
        mut phase: watch::Receiver<Phase>,
        refusal: &Arc<[u8]>,
    ) {
        let (service, refusal) = (Arc::clone(&self.service), Arc::clone(refusal));
        let slot = Arc::new(slot);
        tokio::spawn(overwriting_stack(async move {
            let granted = tokio::select! {
                granted = slot.granted() => granted,
                _ = phase.wait_for(|phase| *phase != Phase::Serving) => Err(Refused),
            };
            match granted {
                // Answers are small and complete: sent without waiting for an acknowledgement.
                Ok(()) if stream.set_nodelay(true).is_ok() => {
                    service.serve(stream, peer.ip(), &slot, phase).await;
                }
                Ok(()) => {}
                Err(Refused) => service.refuse(&stream, &refusal),
            }
            drop(slot);
        }));
    }
}

/// The pause after an accept that failed.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Counts failed accepts that are not logged yet: accepts fail as long as the cause lasts.
static ACCEPTS_FAILED: LogSummary = LogSummary::new();

/// Pauses after a failed accept, so that connections can end and free file descriptors or memory,
/// and so that an error that stays does not keep a thread busy.
async fn pause_after(error: &io::Error) {
    if !is_of_one_connection(error.kind()) {
        if let Some(count) = ACCEPTS_FAILED.due(Instant::now()) {
            tracing::error!(event = "accept_failed", %error, count, "connection not accepted");
        }
        tokio::time::sleep(ACCEPT_RETRY_INTERVAL).await;
    }
}

/// Whether a failed accept took its connection out of the queue: the client had closed it. The next
/// accept then gets another connection.
fn is_of_one_connection(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn only_an_error_of_one_connection_is_retried_without_a_pause() {
        let of_one = |errno: Errno| is_of_one_connection(io::Error::from(errno).kind());
        for errno in [Errno::CONNABORTED, Errno::CONNRESET] {
            assert!(of_one(errno), "{errno}");
        }
        // EINVAL: the socket does not listen. It will always fail in the same way.
        for errno in [Errno::INVAL, Errno::NOTCONN, Errno::MFILE, Errno::NOBUFS, Errno::PERM] {
            assert!(!of_one(errno), "{errno}");
        }
    }
}
