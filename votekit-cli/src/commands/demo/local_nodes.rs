//! Nodes of a demo in this process, over one embedded ledger. Each has its own data folder, keys
//! and listeners.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use votekit_http::listener::{ServeError, Server};
use votekit_node::Node;
use votekit_node::config::{Config, Role};
use votekit_node::data_folder::DataFolder;
use votekit_node::memory::overwriting_stack;
use votekit_store::embedded::EmbeddedEngine;
use votekit_store::faults::Faulty;
use votekit_store::{Engines, Ledger};

use super::wire::Wire;
use crate::admin_target;
use crate::commands::serve::serve_error;
use crate::error::CommandError;

/// How long a start waits for the tasks of a killed node to release its data folder and memory.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// Interval between two starts while they are not released.
const RELEASE_INTERVAL: Duration = Duration::from_millis(50);

/// How long a node may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the threads may take to end.
const THREADS_TIMEOUT: Duration = Duration::from_secs(2);

/// The engines that the nodes share, and the threads on which they run.
pub(super) struct LocalNodes {
    runtime: Runtime,
    engines: Engines,
}

/// A node that listens.
pub(super) struct LocalNode {
    node: Node,
    pub(super) public: String,
    pub(super) admin: String,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServeError>>,
}

impl LocalNodes {
    /// Opens the ledger in a new folder.
    pub(super) fn open(ledger: &Path) -> Result<Self, CommandError> {
        let runtime = admin_target::runtime()?;
        let engine = runtime.block_on(async { EmbeddedEngine::open(ledger) })?;
        Ok(Self { runtime, engines: engine.into_shared() })
    }

    /// The ledger that the nodes share.
    pub(super) fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::clone(&self.engines.ledger)
    }

    /// Starts a node and its listeners. It reaches the ledger over its own wire.
    pub(super) fn start(
        &self,
        data: &Path,
        roles: &[Role],
        wire: &Wire,
    ) -> Result<LocalNode, CommandError> {
        let until = Instant::now() + RELEASE_TIMEOUT;
        loop {
            match self.runtime.block_on(overwriting_stack(self.start_once(data, roles, wire))) {
                Err(_) if Instant::now() < until => thread::sleep(RELEASE_INTERVAL),
                started => return started,
            }
        }
    }

    async fn start_once(
        &self,
        data: &Path,
        roles: &[Role],
        wire: &Wire,
    ) -> Result<LocalNode, CommandError> {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = Config {
            listen: any_port,
            admin_listen: any_port,
            metrics_listen: any_port,
            rate_limit_per_second: 0,
            roles: roles.to_vec(),
            ..Config::default()
        };
        let folder = DataFolder::open_existing(data)?;
        let ledger = Arc::new(Faulty::new(self.ledger(), wire.clone()));
        let engines = Engines { ledger, ..self.engines.clone() };
        let node = Node::start_on(folder, config, engines).await?;
        let server = Server::bind(node.clone()).await.map_err(serve_error)?;
        let public = server.public_url();
        let admin = format!("http://{}", server.addresses().administration);
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.run(async move {
            // A dropped sender stops the listeners too.
            let _ = stopped.await;
        }));
        Ok(LocalNode { node, public, admin, stop, serving })
    }

    /// Stops a node as an operator does.
    pub(super) fn stop(&self, node: LocalNode) -> Result<(), CommandError> {
        let LocalNode { node, stop, serving, .. } = node;
        // The listeners may have ended already, with the error below.
        let _ = stop.send(());
        let served = self.runtime.block_on(async {
            let served = serving.await;
            node.shutdown_within(STOP_TIMEOUT).await;
            served
        });
        served
            .map_err(|error| CommandError::internal(format!("a node of the demo: {error}")))?
            .map_err(serve_error)
    }

    /// Closes the ledger.
    pub(super) fn close(self) {
        let Self { runtime, engines } = self;
        drop(engines);
        runtime.shutdown_timeout(THREADS_TIMEOUT);
    }
}

impl LocalNode {
    /// Ends the node at once: it publishes, seals and signs nothing more.
    pub(super) fn kill(self) {
        self.node.abandon();
        // Only frees the addresses and the data folder: there is no node behind the listeners.
        let _ = self.stop.send(());
    }
}
