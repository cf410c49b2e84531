//! Serves a node over HTTP: three listeners, TLS on the public one, limits on connections and time,
//! and an orderly end.
//!
//! [`Server::bind`] takes the addresses, so that port 0 is known before anything is served;
//! [`Server::run`] serves until it is told to stop, then accepts no more, lets requests in flight
//! finish, and drops what is left after a deadline.

mod activity;
mod connection;
mod file_descriptors;
mod parse_refusal;
mod places;
mod tls;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use self::connection::{Limits, Phase, Service};
use self::places::{OverShare, Place, Places};
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

/// Connections at once on the listeners that are not public.
const INTERNAL_CONNECTIONS_MAX: usize = 64;

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
        };
        let connections_max = file_descriptors::connections_within_limit(config.connections_max);
        let places = Places::new(connections_max, config.connections_per_address_max);
        let service =
            Service { router: http::public(&api), gate: Some(Gate::new(&api)), tls, limits };
        let public = Listener::bind(config.listen, &node, service, places).await?;
        let internal = |address, router| {
            let service = Service { router, gate: None, tls: None, limits };
            Listener::bind(address, &node, service, Places::new(INTERNAL_CONNECTIONS_MAX, 0))
        };
        let administration = internal(config.admin_listen, http::administration(&api)).await?;
        let metrics = internal(config.metrics_listen, http::monitoring(&api)).await?;
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
    places: Arc<Places>,
}

impl Listener {
    async fn bind(
        address: SocketAddr,
        node: &Node,
        service: Service,
        places: Places,
    ) -> Result<Self, ServeError> {
        let failed = |source| ServeError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            node: node.clone(),
            service: Arc::new(service),
            places: Arc::new(places),
        })
    }

    /// Accepts until the phase changes, then waits for the connections to end.
    async fn accept(self, mut phase: watch::Receiver<Phase>) {
        let refusal = http::too_many_connections();
        loop {
            let accepted = tokio::select! {
                accepted = self.next() => accepted,
                _ = phase.wait_for(|phase| *phase != Phase::Serving) => break,
            };
            match accepted {
                Ok((stream, peer, Ok(place))) => self.spawn(stream, peer, place, phase.clone()),
                Ok((stream, _, Err(OverShare))) if self.service.tls.is_none() => {
                    // As far as the system takes it at once: nothing is waited for.
                    let _ = stream.try_write(&refusal);
                }
                Ok((_, _, Err(OverShare))) => {}
                Err(error) => pause_after(&error).await,
            }
        }
        drop(self.listener);
        self.places.all_free().await;
    }

    /// The next connection, with its place. While it waits for one, whoever comes after it waits in
    /// the system's queue.
    async fn next(&self) -> io::Result<(TcpStream, SocketAddr, Result<Place, OverShare>)> {
        let (stream, peer) = self.listener.accept().await?;
        // Behind a proxy are many: its connections have no share.
        let prefix = (!self.node.config().is_tls_proxy(peer.ip()))
            .then(|| self.node.throttle().prefix(peer.ip()));
        let place = self.places.take(prefix).await;
        // Answers are small and complete: none should wait for an acknowledgement.
        stream.set_nodelay(true)?;
        Ok((stream, peer, place))
    }

    fn spawn(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        place: Place,
        phase: watch::Receiver<Phase>,
    ) {
        let service = Arc::clone(&self.service);
        tokio::spawn(async move {
            let _open = metrics::OpenConnection::count();
            service.serve(stream, peer.ip(), &place, phase).await;
            drop(place);
        });
    }
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
