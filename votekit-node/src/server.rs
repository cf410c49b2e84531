//! Serves a node over HTTP: three listeners, TLS on the public one, limits on connections and time,
//! and an orderly end.
//!
//! [`Server::bind`] takes the addresses, so that port 0 is known before anything is served;
//! [`Server::run`] serves until it is told to stop, then accepts no more, lets requests in flight
//! finish, and drops what is left after a deadline.

mod activity;
mod connection;
mod file_descriptors;
mod limiter;
mod slots;
mod tls;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};

use self::connection::{Limits, Phase, Service};
use self::limiter::LimiterRules;
use self::slots::{Refused, Slot, Slots, TICK_INTERVAL};
use crate::address_prefix::Shares;
use crate::config::ConfigError;
use crate::data_folder::FolderError;
use crate::http::{self, Api, Gate};
use crate::metrics;
use crate::node::Node;

/// Why a server does not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// An address could not be taken.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A file for TLS could not be used.
    #[error("{path}: {rule}", path = path.display())]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        rule: String,
    },
    /// Certificate and key do not make a TLS identity.
    #[error("the certificate {cert} and the key {key} do not work together: {reason}", cert = cert.display(), key = key.display())]
    TlsIdentity {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What the TLS library said.
        reason: String,
    },
    /// The data folder has no administrator's token.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The configuration breaks a rule, such as plain HTTP beyond this machine.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The node failed for good while it was served.
    #[error("the node failed and stopped: {reason}")]
    NodeFailed {
        /// Why.
        reason: String,
    },
}

/// Where a server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Addresses {
    /// Voters and readers.
    pub public: SocketAddr,
    /// Administrators.
    pub administration: SocketAddr,
    /// Monitoring.
    pub metrics: SocketAddr,
}

/// A node with its listeners bound, not serving yet.
pub struct Server {
    node: Node,
    api: Arc<Api>,
    listeners: [Listener; 3],
    addresses: Addresses,
    is_tls: bool,
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Server({:?})", self.addresses)
    }
}

/// How long requests in flight may take to finish at the end.
const DRAIN_TIME: Duration = Duration::from_secs(35);

/// Connections at once on the listeners that are not public; those of them that are kept for
/// callers with a valid token; newcomers that wait.
const INTERNAL_SLOTS_MAX: u32 = 64;
const INTERNAL_RESERVED: u32 = 16;
const INTERNAL_WAITING_MAX: u32 = 64;

/// Newcomers of the public listener that wait for a slot.
const PUBLIC_WAITING_MAX: u32 = 256;

/// The idle time before a connection may be asked to make room. From afar: time for a TLS handshake
/// and a request over a slow line. Within a machine or its network much less will do.
const PUBLIC_STAY_MIN_MS: u64 = 1000;
const INTERNAL_STAY_MIN_MS: u64 = 100;

/// Connections that the system completes before they are accepted.
const BACKLOG: u32 = 4096;

/// How often histograms are drained and rates computed.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(2);

impl Server {
    /// Checks the node's configuration, reads the TLS files and takes the addresses.
    ///
    /// # Errors
    /// [`ServeError`] naming the address or file; nothing is served then.
    pub async fn bind(node: Node) -> Result<Self, ServeError> {
        let config = node.config().clone();
        config.check()?;
        let tls = match (&config.tls_cert, &config.tls_key) {
            (Some(cert), Some(key)) => Some(tls::acceptor(cert, key)?),
            _ => None,
        };
        let api = Api::new(node.clone(), node.admin_token()?.as_bytes());
        let limits = Limits {
            header_time: Duration::from_secs(config.header_timeout_seconds.max(1)),
            stall_time: config.request_timeout().max(Duration::from_secs(1)),
            life_max: (config.connection_seconds_max > 0)
                .then(|| Duration::from_secs(config.connection_seconds_max)),
            requests_max: Some(config.connection_requests_max).filter(|most| *most > 0),
        };
        let wait_max_ms = config.header_timeout_seconds.max(1) * 1000;
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let rules = LimiterRules {
            slots_max: count(file_descriptors::connections_within_limit(config.connections_max)),
            reserved: 0,
            per_address_max: count(config.connections_per_address_max),
            waiting_max: PUBLIC_WAITING_MAX,
            stay_min_ms: PUBLIC_STAY_MIN_MS,
            wait_max_ms,
        };
        let (gate, router) = (Some(Gate::new(&api)), http::public(&api));
        let service = Service { router, gate, tls, wants_token: false, limits };
        let public = Listener::bind(config.listen, &node, service, rules).await?;
        // Without a token, one address may hold or wait for no more than leaves room for others.
        let rules = LimiterRules {
            slots_max: INTERNAL_SLOTS_MAX,
            per_address_max: INTERNAL_SLOTS_MAX - INTERNAL_RESERVED + INTERNAL_WAITING_MAX / 2,
            waiting_max: INTERNAL_WAITING_MAX,
            stay_min_ms: INTERNAL_STAY_MIN_MS,
            ..rules
        };
        let service =
            |router, wants_token| Service { router, gate: None, tls: None, wants_token, limits };
        let (address, routes) = (config.admin_listen, service(http::administration(&api), true));
        let with_token = LimiterRules { reserved: INTERNAL_RESERVED, per_address_max: 0, ..rules };
        let administration = Listener::bind(address, &node, routes, with_token).await?;
        let (address, routes) = (config.metrics_listen, service(http::monitoring(&api), false));
        let metrics = Listener::bind(address, &node, routes, rules).await?;
        let addresses = Addresses {
            public: public.address,
            administration: administration.address,
            metrics: metrics.address,
        };
        let is_tls = config.tls_cert.is_some();
        Ok(Self { listeners: [public, administration, metrics], api, addresses, is_tls, node })
    }

    /// Where this server listens; port 0 is resolved.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The address of the public listener as a URL.
    #[must_use]
    pub fn public_url(&self) -> String {
        format!("{}://{}", if self.is_tls { "https" } else { "http" }, self.addresses.public)
    }

    /// Serves until `shutdown` resolves or the node fails, then lets requests in flight finish. The
    /// node itself is left running: its own [`Node::shutdown`] comes after.
    ///
    /// # Errors
    /// [`ServeError::NodeFailed`].
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), ServeError> {
        let phase = watch::Sender::new(Phase::Serving);
        let loops = self.listeners.map(|listener| tokio::spawn(listener.accept(phase.subscribe())));
        let outcome = tokio::select! {
            () = shutdown => Ok(()),
            reason = self.node.failed() => Err(ServeError::NodeFailed { reason }),
            () = upkeep(&self.api) => Ok(()),
        };
        phase.send_replace(Phase::Draining);
        let drained = async {
            for accept in loops {
                // A loop that panicked has nothing left to drain.
                let _ = accept.await;
            }
        };
        let drain_time = if outcome.is_ok() { DRAIN_TIME } else { Duration::from_secs(1) };
        if tokio::time::timeout(drain_time, drained).await.is_err() {
            tracing::warn!("requests in flight were cut off at the end");
            phase.send_replace(Phase::Ended);
        }
        outcome
    }
}

/// Runs for ever.
async fn upkeep(api: &Api) {
    let mut rate = metrics::RateWindow::new(Instant::now());
    let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        ticks.tick().await;
        metrics::upkeep(&mut rate, Instant::now());
        api.forget_quiet();
    }
}

/// One address, with what is served there.
struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    node: Node,
    service: Arc<Service>,
    slots: Arc<Slots>,
}

impl Listener {
    async fn bind(
        address: SocketAddr,
        node: &Node,
        service: Service,
        rules: LimiterRules,
    ) -> Result<Self, ServeError> {
        let failed = |source| ServeError::Bind { address, source };
        let listener = listen(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            node: node.clone(),
            service: Arc::new(service),
            slots: Arc::new(Slots::new(rules)),
        })
    }

    /// Accepts until the phase changes, then waits for the connections to end. Nothing here waits
    /// for a slot: newcomers wait in tasks of their own, and never behind an attacker's in the
    /// system's queue.
    async fn accept(self, mut phase: watch::Receiver<Phase>) {
        let refusal: Arc<[u8]> = http::too_many_connections().into();
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
                    Ok(slot) => self.spawn(stream, peer, slot, phase.clone(), &refusal),
                    Err(Refused) => self.service.refuse(&stream, &refusal),
                },
                Err(error) => pause_after(&error).await,
            }
        }
        drop((self.listener, open));
        // Nothing is ever sent: this resolves when the last connection has dropped its sender.
        let _ = all_ended.recv().await;
    }

    /// Behind a proxy are many voters: its connections count under no prefix.
    fn shares(&self, peer: SocketAddr) -> Option<Shares> {
        let (config, address) = (self.node.config(), peer.ip());
        (!config.is_tls_proxy(address))
            .then(|| self.node.throttle().shares(address, config.counts_alone(address)))
    }

    fn spawn(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        slot: Slot,
        mut phase: watch::Receiver<Phase>,
        refusal: &Arc<[u8]>,
    ) {
        let (service, refusal) = (Arc::clone(&self.service), Arc::clone(refusal));
        tokio::spawn(async move {
            let _open = metrics::OpenConnection::count();
            let granted = tokio::select! {
                granted = slot.granted() => granted,
                _ = phase.wait_for(|phase| *phase != Phase::Serving) => Err(Refused),
            };
            match granted {
                // Answers are small and complete: none should wait for an acknowledgement.
                Ok(()) if stream.set_nodelay(true).is_ok() => {
                    service.serve(stream, peer.ip(), &slot, phase).await;
                }
                Ok(()) => {}
                Err(Refused) => service.refuse(&stream, &refusal),
            }
            drop(slot);
        });
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A node that restarts takes its address again at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A connection that is gone before it was accepted is nobody's fault; without file descriptors or
/// memory a short pause gives others time to end.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidInput, NotConnected,
    };
    if !matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | InvalidInput | NotConnected
    ) {
        tracing::error!(%error, "no connection can be accepted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Writes log lines from a level on (`error`, `warn`, `info`, `debug`, `trace`) to standard error,
/// as JSON, one a line. The first call of a process counts.
///
/// ```
/// assert!(votekit_node::server::init_logging("info").is_ok());
/// assert!(votekit_node::server::init_logging("loud").is_err());
/// ```
///
/// # Errors
/// [`LogLevelError`] when there is no such level.
pub fn init_logging(level: &str) -> Result<(), LogLevelError> {
    let level: tracing::Level = level.parse().map_err(|_| LogLevelError)?;
    // What its client library says of the broker, the ballot box says in words of its own.
    let wanted = tracing_subscriber::EnvFilter::new(format!("{level},lapin=off"));
    let lines = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(wanted)
        .with_writer(io::stderr);
    // A process that logs already goes on as it does.
    let _ = lines.try_init();
    Ok(())
}

/// A text is no log level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a log level is one of error, warn, info, debug and trace")]
pub struct LogLevelError;
