//! Sends commands to Redis: each to the server that has its key, in one round trip per server,
//! retried until the caller's timeout.

mod cluster;
mod opening;

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::sync::Mutex;
use tokio::time::Instant;

use self::cluster::Cluster;
use super::ENGINE;
use super::scripts::{SCRIPTS, Scripts};
use crate::EngineError;
use crate::retry::Backoff;
use crate::services::url::ServiceAddress;

/// Timeout for one answer. A caller's `limit` may be shorter or longer.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(3);

/// Hint for a user with insufficient rights.
const RIGHTS_HINT: &str = "the chapter 'The registry on Redis' of docs/operations.md has the ACL \
                           line with every required right";

/// A command, and the key that determines its server.
#[derive(Debug, Clone)]
pub(super) struct Keyed {
    key: String,
    command: Cmd,
}

/// Whether commands change anything, which decides what a missing answer may mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Reads,
    /// May be repeated.
    Writes,
}

/// One Redis server, or a cluster.
pub(super) struct Server(Kind);

enum Kind {
    Single(Single),
    Cluster(Cluster),
}

/// One server. Reconnects when its connection is lost.
struct Single {
    client: redis::Client,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl Keyed {
    pub(super) fn new(key: impl Into<String>, command: Cmd) -> Self {
        Self { key: key.into(), command }
    }

    /// A command whose first argument is the key.
    pub(super) fn with_key(name: &str, key: &str) -> Self {
        let mut command = redis::cmd(name);
        command.arg(key);
        Self::new(key, command)
    }

    pub(super) fn arg(mut self, argument: impl redis::ToRedisArgs) -> Self {
        self.command.arg(argument);
        self
    }
}

impl Server {
    /// Connects to the server, and determines its kind.
    pub(super) async fn open(address: &ServiceAddress) -> Result<Self, EngineError> {
        opening::open(address).await.map(Self)
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.0, Kind::Cluster(_))
    }

    /// Runs commands; those for one server stay in order. No returned value is an error.
    pub(super) async fn run(
        &self,
        commands: &[Keyed],
        effect: Effect,
        limit: Duration,
    ) -> Result<Vec<Value>, EngineError> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + limit;
        let mut backoff = Backoff::new();
        // Never reset: a write of an earlier attempt may have taken effect.
        let mut in_doubt = false;
        loop {
            let error = match tokio::time::timeout_at(deadline, self.attempt(commands)).await {
                Ok(Ok(values)) => return Ok(values),
                Ok(Err(error)) => error,
                Err(_) => RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut)),
            };
            in_doubt |= effect == Effect::Writes && may_have_happened(&error, commands.len());
            if !is_passing(&error) || Instant::now() >= deadline {
                return Err(failure(&error, in_doubt));
            }
            let _ = tokio::time::timeout_at(deadline, self.refresh_topology(&error)).await;
            let _ = tokio::time::timeout_at(deadline, backoff.pause()).await;
        }
    }

    /// Runs one command.
    pub(super) async fn one(
        &self,
        command: Keyed,
        effect: Effect,
        limit: Duration,
    ) -> Result<Value, EngineError> {
        let values = self.run(&[command], effect, limit).await?;
        values.into_iter().next().ok_or_else(|| unexpected(&Value::Nil))
    }

    /// Runs one command on every master. Returns each answer with the address of its server.
    pub(super) async fn on_each(
        &self,
        command: &Cmd,
        limit: Duration,
    ) -> Result<Vec<(String, Value)>, EngineError> {
        let asked = async {
            match &self.0 {
                Kind::Single(single) => {
                    let mut pipeline = Pipeline::with_capacity(1);
                    pipeline.add_command(command.clone());
                    let values = single.pipeline(&pipeline).await?;
                    Ok(values
                        .into_iter()
                        .map(|value| {
                            (single.client.get_connection_info().addr().to_string(), value)
                        })
                        .collect())
                }
                Kind::Cluster(cluster) => cluster.on_each(command).await,
            }
        };
        let answers: RedisResult<Vec<(String, Value)>> =
            match tokio::time::timeout(limit, asked).await {
                Ok(answers) => answers,
                Err(_) => Err(RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))),
            };
        let answers = answers.and_then(|answers| {
            answers
                .into_iter()
                .map(|(address, value)| Ok((address, value.extract_error()?)))
                .collect::<RedisResult<Vec<_>>>()
        });
        match answers {
            Ok(answers) => Ok(answers),
            Err(error) => {
                let _ = tokio::time::timeout(limit, self.refresh_topology(&error)).await;
                Err(failure(&error, false))
            }
        }
    }

    /// Runs one command on every known replica of the cluster. Returns each answer with the
    /// server's name for messages.
    pub(super) async fn on_replicas(
        &self,
        command: &Cmd,
        limit: Duration,
    ) -> Vec<(String, RedisResult<Value>)> {
        match &self.0 {
            Kind::Single(_) => Vec::new(),
            Kind::Cluster(cluster) => cluster.on_replicas(command, limit).await,
        }
    }

    async fn attempt(&self, commands: &[Keyed]) -> RedisResult<Vec<Value>> {
        match &self.0 {
            Kind::Single(single) => {
                let all: Vec<&Cmd> = commands.iter().map(|keyed| &keyed.command).collect();
                with_scripts(&all, Target::Single(single)).await
            }
            Kind::Cluster(cluster) => cluster.run(commands).await,
        }
    }

    /// Prepares another attempt.
    async fn refresh_topology(&self, error: &RedisError) {
        match &self.0 {
            Kind::Single(single) => {
                if error.is_unrecoverable_error() || error.is_io_error() {
                    *single.connection.lock().await = None;
                }
            }
            Kind::Cluster(cluster) => cluster.refresh_topology(error).await,
        }
    }
}

impl Single {
    async fn pipeline(&self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        let mut connection = {
            let mut kept = self.connection.lock().await;
            match &*kept {
                Some(connection) => connection.clone(),
                None => {
                    let made = self
                        .client
                        .get_multiplexed_async_connection_with_config(&opening::connection_config())
                        .await?;
                    kept.insert(made).clone()
                }
            }
        };
        connection.send_packed_commands(pipeline, 0, pipeline.len()).await
    }
}

/// The route to one server.
enum Target<'a> {
    Single(&'a Single),
    /// The master of a slot.
    Slot(ClusterConnection, u16),
}

impl Target<'_> {
    async fn send(&self, pipeline: Pipeline) -> RedisResult<Vec<Value>> {
        match self {
            Self::Single(single) => single.pipeline(&pipeline).await,
            Self::Slot(connection, slot) => {
                let count = pipeline.len();
                connection
                    .clone()
                    .route_pipeline(pipeline, 0, count, cluster::master_of(*slot))
                    .await
            }
        }
    }
}

/// Runs commands on one server. If it does not know the scripts, loads them and runs the commands
/// again. The first error is returned for all.
async fn with_scripts(commands: &[&Cmd], target: Target<'_>) -> RedisResult<Vec<Value>> {
    let mut values = target.send(pipeline(commands)).await?;
    let unknown = |value: &Value| match value {
        Value::ServerError(error) => error.kind() == Some(ServerErrorKind::NoScript),
        _ => false,
    };
    if values.iter().any(unknown) {
        let scripts = SCRIPTS.load();
        let all: Vec<&Cmd> = scripts.iter().chain(commands.iter().copied()).collect();
        values = target.send(pipeline(&all)).await?;
        values
            .drain(..Scripts::COUNT.min(values.len()))
            .try_for_each(|value| value.extract_error().map(drop))?;
    }
    if values.len() != commands.len() {
        return Err(RedisError::from((
            ErrorKind::Client,
            "the server returned another number of answers than requests",
        )));
    }
    values.into_iter().map(Value::extract_error).collect()
}

fn pipeline(commands: &[&Cmd]) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(commands.len());
    for command in commands {
        pipeline.add_command((*command).clone());
    }
    pipeline
}

/// Whether another attempt may succeed.
fn is_passing(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Io
            | ErrorKind::ClusterConnectionNotFound
            | ErrorKind::Server(
                ServerErrorKind::BusyLoading
                    | ServerErrorKind::Moved
                    | ServerErrorKind::Ask
                    | ServerErrorKind::TryAgain
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::ReadOnly
            )
    )
}

/// Whether the server may have executed the commands, or part of them. It has not when no
/// connection was made, or when it rejected the only command.
fn may_have_happened(error: &RedisError, commands: usize) -> bool {
    let said_no =
        commands == 1 && matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension);
    !said_no
        && error.kind() != ErrorKind::ClusterConnectionNotFound
        && !error.is_connection_refusal()
}

/// The correction that an operator must make before the server executes the command; `None` when
/// the server may recover without one.
fn refusal_hint(error: &RedisError) -> Option<&'static str> {
    let in_script = |text: &str| error.to_string().contains(text);
    match error.code() {
        Some("OOM") => Some(
            "the server has reached maxmemory: raise it, or add masters, then run the command \
             again",
        ),
        Some("NOPERM") => Some(RIGHTS_HINT),
        Some("MISCONF") => Some(
            "the server cannot save to its disk: see its log, free space, then run the command \
             again",
        ),
        // The user may run scripts, but not the commands in them.
        _ if in_script("can't run this command") => Some(RIGHTS_HINT),
        _ => None,
    }
}

fn failure(error: &RedisError, in_doubt: bool) -> EngineError {
    let reason =
        if error.is_timeout() { "it did not answer in time".to_owned() } else { error.to_string() };
    if error.code() == Some("WRONGTYPE") {
        return EngineError::Corrupt {
            engine: ENGINE,
            reason: format!("a key of this registry holds something else ({reason})"),
        };
    }
    if let Some(hint) = refusal_hint(error) {
        return EngineError::Misconfigured { engine: ENGINE, reason, hint: hint.to_owned() };
    }
    if in_doubt {
        EngineError::OutcomeUnknown { engine: ENGINE, reason }
    } else {
        EngineError::Unavailable { engine: ENGINE, reason }
    }
}

/// An answer that no command of this engine returns.
pub(super) fn unexpected(value: &Value) -> EngineError {
    EngineError::Corrupt {
        engine: ENGINE,
        reason: format!("an answer of an unexpected form: {value:?}"),
    }
}
