//! `votekit serve`: runs a node.

mod check;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use votekit_http::listener::{self, Reserved, ServeError, Server};
use votekit_messages::InWords as _;
use votekit_node::ElectionView;
use votekit_node::address_range::AddressRange;
use votekit_node::config::{Config, Role};
use votekit_node::memory;
use votekit_node::node_name::NodeName;

use crate::admin_target;
use crate::argument;
use crate::context::Context;
use crate::error::{CommandError, ErrorKind};
use crate::signals::{self, Signals};

/// Run a node: take votes over HTTP, decide them, publish the log
///
/// The node stops on SIGTERM or Ctrl-C: it decides the votes that it has taken, answers them, and
/// closes its data folder cleanly, within 35 seconds; a second signal ends it at once. On SIGHUP it
/// reloads its certificate and the administrator's token. A second node on the same data folder is
/// refused, unless all nodes have a --name and use Redis, RabbitMQ and PostgreSQL. To be reached
/// from other machines the node requires TLS, its own (--tls-cert, --tls-key) or that of trusted
/// proxies (--tls-proxy).
///
/// Every setting can also stand in the configuration file; options given here take precedence.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit serve --data node/
  votekit serve --data node/ --listen 0.0.0.0:443 --tls-cert chain.pem --tls-key key.pem
  votekit serve --data node/ --config node.toml
  votekit serve --data shared/ --name ingest-1 --roles ingest --registry redis://redis:6379 \\
    --ballot-box 'amqp://votekit@rabbitmq/?password_file=amqp.password' --ledger 'postgres://votekit@postgres/votekit?password_file=postgres.password'

A configuration file:
  listen = \"127.0.0.1:8080\"
  admin_listen = \"127.0.0.1:8081\"
  metrics_listen = \"127.0.0.1:9090\"
  rate_limit_per_second = 1000      # 0 lifts the limit
  tls_proxies = [\"10.0.0.5\"]
  [throttle]                        # the throttle on wrong codes
  enabled = true")]
pub(crate) struct Args {
    /// Data folder
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// Create the data folder if it does not exist
    #[arg(long)]
    init: bool,

    /// Name that the logs of a new data folder begin with, such as elections.example.ca
    #[arg(long, value_name = "NAME")]
    log_base: Option<String>,

    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "VOTEKIT_CONFIG")]
    config: Option<PathBuf>,

    /// Address for voters and readers [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", env = "VOTEKIT_LISTEN")]
    listen: Option<SocketAddr>,

    /// Address for administration [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDR", env = "VOTEKIT_ADMIN_LISTEN")]
    admin_listen: Option<SocketAddr>,

    /// Address for metrics [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDR", env = "VOTEKIT_METRICS_LISTEN")]
    metrics_listen: Option<SocketAddr>,

    /// Certificate chain of the public listener (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// Private key of the public listener (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Trusted TLS-terminating proxy, by address or network (10.0.0.0/24); its X-Forwarded-For is
    /// used. May be repeated
    #[arg(long = "tls-proxy", value_name = "ADDR")]
    tls_proxies: Vec<AddressRange>,

    /// Maximum votes taken per second; 0 lifts the limit [default: 1000]
    #[arg(long, value_name = "N", env = "VOTEKIT_RATE_LIMIT")]
    rate_limit: Option<u32>,

    /// Name of this node among those that share its data folder, such as ingest-1; nodes on
    /// services share one folder, each under its own name
    #[arg(
        long, value_name = "NAME", env = "VOTEKIT_NAME",
        value_parser = argument::parse::<NodeName>
    )]
    name: Option<NodeName>,

    /// Roles of this node: ingest, validate, seal, query, or some of them when other nodes on the
    /// same services have the rest [default: all]
    #[arg(long, value_name = "ROLES", value_delimiter = ',', env = "VOTEKIT_ROLES")]
    roles: Vec<Role>,

    #[command(flatten)]
    services: ServicesArgs,

    /// Read every log from its first leaf at the start, without using snapshots
    #[arg(long)]
    no_snapshot: bool,

    /// Check what a start needs (configuration, data folder, addresses, TLS files, services) and
    /// exit; each fault is one line, with a hint
    #[arg(long)]
    check: bool,

    /// Lowest level of log lines: error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL", env = "VOTEKIT_LOG")]
    log_level: Option<String>,
}

/// Addresses of a node's services: all three, or none for the embedded engine
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ServicesArgs {
    /// Registry: redis://HOST:PORT, or rediss:// with TLS; one server, or any node of a cluster
    #[arg(long, value_name = "URL", env = "VOTEKIT_REGISTRY", hide_env_values = true)]
    registry: Option<String>,

    /// Ballot box: amqp://USER@HOST:PORT/VHOST?password_file=FILE, or amqps:// with TLS
    #[arg(long, value_name = "URL", env = "VOTEKIT_BALLOT_BOX", hide_env_values = true)]
    ballot_box: Option<String>,

    /// Ledger: postgres://USER@HOST:PORT/DATABASE?password_file=FILE
    #[arg(long, value_name = "URL", env = "VOTEKIT_LEDGER", hide_env_values = true)]
    ledger: Option<String>,
}

impl ServicesArgs {
    /// Applies the given addresses, which take precedence over the configuration file.
    pub(crate) fn apply(&self, config: &mut Config) {
        config.registry = self.registry.clone().or(config.registry.take());
        config.ballot_box = self.ballot_box.clone().or(config.ballot_box.take());
        config.ledger = self.ledger.clone().or(config.ledger.take());
    }

    /// Returns the three addresses as environment variables, with a prefix or schema that is used
    /// only here. `None` if an address is missing.
    #[cfg(feature = "services")]
    pub(crate) fn corner(&self, name: &str) -> Option<Vec<(&'static str, String)>> {
        let within = |address: &str, parameter: &str| {
            let join = if address.contains('?') { '&' } else { '?' };
            format!("{address}{join}{parameter}={name}")
        };
        Some(vec![
            ("VOTEKIT_REGISTRY", within(self.registry.as_deref()?, "prefix")),
            ("VOTEKIT_BALLOT_BOX", within(self.ballot_box.as_deref()?, "prefix")),
            ("VOTEKIT_LEDGER", within(self.ledger.as_deref()?, "schema")),
        ])
    }
}

/// Printed once the node listens.
#[derive(Serialize)]
struct Listening {
    public: String,
    admin: String,
    metrics: String,
    data: PathBuf,
    elections: usize,
    /// Elections that a fault halted: the log has the reasons.
    halted: Vec<String>,
}

/// Maximum duration of a stop.
const STOP_TIME: Duration = Duration::from_secs(35);

/// The maximum time from the beginning of a stop until the node has sealed its votes, as far as it
/// can.
const NODE_STOP_TIME: Duration = Duration::from_secs(28);

/// Time to end for threads that hang on a disk or a mount.
const THREADS_TIME: Duration = Duration::from_secs(2);

/// Time to write the last log lines.
const FLUSH_TIME: Duration = Duration::from_secs(1);

/// Runs a node until it is stopped or fails permanently.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    if args.check {
        return check::run(&args, context);
    }
    let config = config(&args)?;
    listener::init_logging(&config.log_level, config.audit_log.as_deref())
        .map_err(|error| CommandError::configuration(error.to_string()))?;
    listener::log_panics();
    // Before the first key is read.
    memory::protect();
    let signals = Signals::catch(STOP_TIME)?;
    let runtime = admin_target::runtime()?;
    let served = runtime.block_on(serve(&args, config, context, &signals));
    runtime.shutdown_timeout(THREADS_TIME);
    listener::flush_log(FLUSH_TIME);
    served
}

async fn serve(
    args: &Args,
    config: Config,
    context: &Context,
    signals: &Signals,
) -> Result<(), CommandError> {
    check_folder(args)?;
    admin_target::base_name(args.log_base.as_deref())?;
    // Reserved first: faults of addresses and files must not appear after an hour of reading logs.
    let reserved = Reserved::bind(&config).map_err(serve_error)?;
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(
        event = "node_start_begun",
        version,
        data = %args.data.display(),
        "node start begun, reading the logs"
    );
    let node = tokio::select! {
        node = admin_target::start(&args.data, args.log_base.as_deref(), config) => node?,
        stop = signals.stopped() => {
            tracing::info!(
                event = "start_interrupted",
                signal = stop.signal,
                "node start interrupted by a signal"
            );
            return Ok(());
        }
    };
    let elections = node.elections();
    if let Some(binding) =
        elections.iter().find(|election| election.binding && election.state == "open")
        && !node.config().is_confidential()
    {
        let law_id = binding.law_id.clone();
        node.shutdown_within(NODE_STOP_TIME).await;
        return Err(CommandError::configuration(format!(
            "{law_id} is binding: votes must reach the node over TLS"
        ))
        .hint("give --tls-cert and --tls-key, or --tls-proxy"));
    }
    let bound = Server::on(reserved, node.clone()).await.map_err(serve_error)?;
    announce(&bound, args, context, &elections);
    let reloader = bound.reloader();
    let reloading = async {
        loop {
            signals.reloaded().await;
            reloader.reload().await;
        }
    };
    let stopped = async {
        signals.stopped().await;
    };
    let served = tokio::select! {
        served = bound.run(stopped) => served,
        () = reloading => Ok(()),
    };
    let began = match &served {
        Ok(()) => signals.stopped().await.at,
        Err(error) => {
            signals::end_after(STOP_TIME, i32::from(failure_code(error)));
            Instant::now()
        }
    };
    node.shutdown_within(NODE_STOP_TIME.saturating_sub(began.elapsed())).await;
    served.map_err(serve_error)
}

/// Logs and prints the addresses of the listeners.
fn announce(bound: &Server, args: &Args, context: &Context, elections: &[ElectionView]) {
    let addresses = bound.addresses();
    let halted = elections.iter().filter(|election| election.is_halted());
    let listening = Listening {
        public: bound.public_url(),
        admin: format!("http://{}", addresses.administration),
        metrics: format!("http://{}/metrics", addresses.metrics),
        data: args.data.clone(),
        elections: elections.len(),
        halted: halted.map(|election| election.law_id.clone()).collect(),
    };
    tracing::info!(
        event = "listeners_bound",
        public = listening.public,
        admin = listening.admin,
        metrics = listening.metrics,
        "listeners bound"
    );
    // The node keeps running even if its standard output has no reader.
    if let Err(error) = context.output.result(&listening) {
        tracing::warn!(event = "addresses_print_failed", %error, "listener addresses not printed");
    }
}

fn check_folder(args: &Args) -> Result<(), CommandError> {
    if args.data.join("votekit.toml").exists() || args.init {
        return Ok(());
    }
    Err(CommandError::bad_input(format!("{} is not a data folder", args.data.display()))
        .hint("check the path; create one with `votekit load` or --init"))
}

const SETTINGS: &str = "docs/operations.md lists every setting";

fn config(args: &Args) -> Result<Config, CommandError> {
    let mut config = match &args.config {
        None => Config::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| CommandError {
                kind: ErrorKind::Configuration,
                ..CommandError::reading(path, &error)
            })?;
            Config::from_toml(&text).map_err(|error| {
                let words = error.in_words();
                CommandError::configuration(format!("{}: {words}", path.display())).hint(SETTINGS)
            })?
        }
    };
    config.listen = args.listen.unwrap_or(config.listen);
    config.admin_listen = args.admin_listen.unwrap_or(config.admin_listen);
    config.metrics_listen = args.metrics_listen.unwrap_or(config.metrics_listen);
    config.tls_cert = args.tls_cert.clone().or(config.tls_cert);
    config.tls_key = args.tls_key.clone().or(config.tls_key);
    config.tls_proxies.extend(&args.tls_proxies);
    config.name = args.name.clone().or(config.name);
    if !args.roles.is_empty() {
        config.roles.clone_from(&args.roles);
    }
    args.services.apply(&mut config);
    config.replay |= args.no_snapshot;
    config.rate_limit_per_second = args.rate_limit.unwrap_or(config.rate_limit_per_second);
    if let Some(level) = &args.log_level {
        listener::check_log_level(level)
            .map_err(|error| CommandError::usage(format!("--log-level: {error}")))?;
        config.log_level.clone_from(level);
    }
    config.check().map_err(|error| {
        let file =
            args.config.as_ref().map(|path| format!("{}: ", path.display())).unwrap_or_default();
        CommandError::configuration(format!("{file}{}", error.in_words())).hint(SETTINGS)
    })?;
    Ok(config)
}

/// Converts the error of a server, with a hint.
pub(crate) fn serve_error(error: ServeError) -> CommandError {
    let message = match &error {
        ServeError::TlsKey(error) | ServeError::Folder(error) => error.in_words(),
        ServeError::Config(error) => error.in_words(),
        other => other.to_string(),
    };
    let kind = if failure_code(&error) == ErrorKind::Internal.code() {
        ErrorKind::Internal
    } else {
        ErrorKind::Configuration
    };
    let hint = match &error {
        ServeError::NodeFailed { .. } => {
            "every vote that was answered is stored; fix the cause and start the node again"
        }
        ServeError::Panicked { .. } => {
            "every vote that was answered is stored; start the node again and report this bug"
        }
        ServeError::Bind { source, .. } => match source.kind() {
            io::ErrorKind::AddrInUse => {
                "another process listens there: stop it, or choose another port"
            }
            io::ErrorKind::PermissionDenied => {
                "a port below 1024 requires the capability CAP_NET_BIND_SERVICE: grant it, or \
                 choose another port"
            }
            _ => "is this an address of this machine?",
        },
        ServeError::SameAddress { .. } => "give each listener another port",
        ServeError::TlsFile { .. } => "check the path and the permissions of this PEM file",
        ServeError::TlsIdentity { .. } => "give the certificate and its own private key",
        _ => SETTINGS,
    };
    CommandError::new(kind, message).hint(hint)
}

/// Exit code of a node that stopped by itself. A service manager restarts it in either case.
fn failure_code(error: &ServeError) -> u8 {
    match error {
        ServeError::Panicked { .. } => ErrorKind::Internal.code(),
        _ => ErrorKind::Configuration.code(),
    }
}

/// Resolves on SIGTERM or Ctrl-C.
pub(crate) fn stop_signal() -> Result<impl Future<Output = ()>, CommandError> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |error| CommandError::configuration(format!("cannot handle signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

impl fmt::Display for Listening {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "votes and results  {}", self.public)?;
        writeln!(formatter, "administration     {}", self.admin)?;
        writeln!(formatter, "metrics            {}", self.metrics)?;
        writeln!(
            formatter,
            "data               {} ({} elections)",
            self.data.display(),
            self.elections
        )?;
        if !self.halted.is_empty() {
            writeln!(formatter, "halted             {} (see the log)", self.halted.join(", "))?;
        }
        Ok(())
    }
}
