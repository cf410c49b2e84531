//! Pooled connections to the primary server, replaced when they are lost. All statements are sent
//! over them by [`Session`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    ClientWrapper, Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime,
    Timeouts,
};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, Row};
use tokio_postgres_rustls::MakeRustlsConnect;
use votekit_core::id::ElectionId;

use super::fault::{self, Access, corrupt, misconfigured, unavailable};
use super::{schema, tls};
use crate::EngineError;
use crate::services::url::ServiceAddress;
use crate::write_health::WriteHealth;

/// Maximum number of connections per process: one for staging, the rest for blocks, leases and
/// reads.
const CONNECTIONS_MAX: usize = 8;

/// Timeout for opening.
const OPENING_TIMEOUT: Duration = Duration::from_secs(5);

/// Timeout for getting a connection.
const CONNECTING_TIMEOUT: Duration = Duration::from_secs(4);

/// How long the server works on a statement before it aborts the statement and rolls it back.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(8);

/// Timeout for an answer. Longer than [`STATEMENT_TIMEOUT`]: a working server reports how the
/// statement ended.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of repetitions of a statement that the server rolled back in favour of another.
const REPETITIONS_MAX: u32 = 5;

/// The connections of one process.
pub(super) struct Connections {
    pool: Pool,
    health: Arc<WriteHealth>,
    /// Elections whose rows contradicted each other at the opening, each with the error.
    damaged: BTreeMap<ElectionId, EngineError>,
}

impl Connections {
    /// Connects once to check the server and to migrate the schema, then inspects it. Keeps only
    /// the pool.
    pub(super) async fn open(
        connector: &Connector,
        address: &ServiceAddress,
    ) -> Result<Self, EngineError> {
        let prepare = async {
            let mut client = connector.connect().await?;
            schema::prepare(&mut client, &connector.schema)
                .await
                .map_err(|fault| fault.map_open_error(address))
        };
        match tokio::time::timeout(OPENING_TIMEOUT, prepare).await {
            Ok(prepared) => prepared?,
            Err(_) => return Err(open_timeout(address)),
        }
        let (pool, health) = (connector.pool()?, Arc::default());
        let mut connections = Self { pool, health, damaged: BTreeMap::new() };
        connections.damaged = connections.session().await?.inspect().await?;
        Ok(connections)
    }

    /// Connects once to check the server and the version of the schema. Creates and migrates
    /// nothing.
    pub(super) async fn open_existing(
        connector: &Connector,
        address: &ServiceAddress,
    ) -> Result<Self, EngineError> {
        let check = async {
            let client = connector.connect().await?;
            schema::check(&client, &connector.schema)
                .await
                .map_err(|fault| fault.map_open_error(address))
        };
        match tokio::time::timeout(OPENING_TIMEOUT, check).await {
            Ok(checked) => checked?,
            Err(_) => return Err(open_timeout(address)),
        }
        let (pool, health) = (connector.pool()?, Arc::default());
        Ok(Self { pool, health, damaged: BTreeMap::new() })
    }

    /// The elections that were damaged at the opening.
    pub(super) fn damaged(&self) -> &BTreeMap<ElectionId, EngineError> {
        &self.damaged
    }

    /// A connection for one call about an election. Fails for an election with damaged rows.
    pub(super) async fn session_for(&self, law_id: &ElectionId) -> Result<Session, EngineError> {
        self.damaged.get(law_id).cloned().map_or(Ok(()), Err)?;
        self.session().await
    }

    /// A connection for one call.
    pub(super) async fn session(&self) -> Result<Session, EngineError> {
        let object = self.pool.get().await.map_err(|error| fault::pool_error(&error))?;
        let health = Arc::clone(&self.health);
        Ok(Session { held: Some(Held::Pooled(object)), answer_time: ANSWER_TIMEOUT, health })
    }

    /// Fails if the last write over these connections failed.
    pub(super) fn check_writes(&self) -> Result<(), EngineError> {
        self.health.check()
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Connections")
            .field("status", &self.pool.status())
            .finish_non_exhaustive()
    }
}

/// A connection that delivers messages, including notifications.
pub(super) type RawConnection = tokio_postgres::Connection<
    tokio_postgres::Socket,
    <MakeRustlsConnect as tokio_postgres::tls::MakeTlsConnect<tokio_postgres::Socket>>::Stream,
>;

/// How to connect to a server.
pub(super) struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
    pub(super) schema: String,
    address: String,
    refused: Box<dyn Fn(&tokio_postgres::Error) -> EngineError + Send + Sync>,
}

impl Connector {
    pub(super) fn new(address: &ServiceAddress) -> Result<Self, EngineError> {
        const KNOWN: [&str; 3] = ["sslmode", "schema", "application_name"];
        if let Some((name, _)) =
            address.parameters().iter().find(|(name, _)| !KNOWN.contains(&name.as_str()))
        {
            return Err(misconfigured(
                format!("the address {address} has the unknown parameter {name}"),
                "the parameters are sslmode, schema, application_name, ca_file and password_file",
            ));
        }
        let schema = schema::name(address)?;
        let (negotiation, tls) = tls::connector(address)?;
        let mut config = Config::new();
        config.host(address.host()).port(address.port()).ssl_mode(negotiation);
        config.application_name(
            address.parameter("application_name").unwrap_or_else(|| "votekit".to_owned()),
        );
        config
            .connect_timeout(CONNECTING_TIMEOUT)
            .tcp_user_timeout(ANSWER_TIMEOUT)
            .keepalives_idle(ANSWER_TIMEOUT);
        // A commit is answered once it is on disk, whatever the server, the database or the role
        // sets.
        let milliseconds = STATEMENT_TIMEOUT.as_millis();
        config.options(format!(
            "-c search_path={schema} -c synchronous_commit=on -c statement_timeout={milliseconds} -c lock_timeout={milliseconds} \
             -c idle_in_transaction_session_timeout={milliseconds} -c default_transaction_read_only=off -c timezone=UTC"
        ));
        let user = address.user();
        config.user(if user.is_empty() { "votekit" } else { &user });
        let database = address.path();
        config.dbname(if database.is_empty() { "votekit" } else { &database });
        if let Some(password) = address.password() {
            config.password(password);
        }
        let for_errors = address.clone();
        let refused = Box::new(move |error: &tokio_postgres::Error| {
            schema::Fault::map_error(error, &for_errors)
        });
        Ok(Self { config, tls, schema, address: address.to_string(), refused })
    }

    /// A connection whose messages the caller polls.
    pub(super) async fn connect_raw(
        &self,
    ) -> Result<(tokio_postgres::Client, RawConnection), EngineError> {
        self.config.connect(self.tls.clone()).await.map_err(|error| (self.refused)(&error))
    }

    /// A separate connection, polled by its own task.
    pub(super) async fn connect(&self) -> Result<ClientWrapper, EngineError> {
        let (client, connection) =
            self.config.connect(self.tls.clone()).await.map_err(|error| (self.refused)(&error))?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(
                    event = "postgres_connection_lost",
                    error = %fault::describe(&error),
                    "connection to PostgreSQL lost"
                );
            }
        });
        Ok(ClientWrapper::new(client, task))
    }

    fn pool(&self) -> Result<Pool, EngineError> {
        let manager_config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(self.config.clone(), self.tls.clone(), manager_config);
        let times = Timeouts {
            wait: Some(CONNECTING_TIMEOUT),
            create: Some(CONNECTING_TIMEOUT),
            recycle: Some(CONNECTING_TIMEOUT),
        };
        // Another server may be behind the address by now: a promoted replica is accepted, a
        // replica is not.
        let still_primary = Hook::async_fn(|client: &mut ClientWrapper, _| {
            Box::pin(async move {
                match schema::check_server(client).await {
                    Ok(()) => Ok(()),
                    Err(schema::Fault::Postgres(error)) => Err(HookError::Backend(error)),
                    Err(schema::Fault::Engine(error)) => Err(HookError::message(error.to_string())),
                }
            })
        });
        Pool::builder(manager)
            .max_size(CONNECTIONS_MAX)
            .timeouts(times)
            .runtime(Runtime::Tokio1)
            .post_create(still_primary)
            .build()
            .map_err(|error| {
                unavailable(format!("connections to {} cannot be pooled: {error}", self.address))
            })
    }
}

pub(super) fn open_timeout(address: &ServiceAddress) -> EngineError {
    misconfigured(
        format!("{address} did not answer within {} seconds", OPENING_TIMEOUT.as_secs()),
        "check the host and the port, and any firewall in between",
    )
}

/// A connection in use.
pub(super) struct Session {
    held: Option<Held>,
    answer_time: Duration,
    health: Arc<WriteHealth>,
}

enum Held {
    Pooled(Object),
    Own(ClientWrapper),
}

impl Session {
    /// Uses a connection outside the pool.
    pub(super) fn own(client: ClientWrapper, answer_time: Duration) -> Self {
        Self { held: Some(Held::Own(client)), answer_time, health: Arc::default() }
    }

    pub(super) async fn read(
        &mut self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, EngineError> {
        self.call(Access::Read, sql, parameters).await
    }

    /// Sends one statement that writes and returns its result in one row.
    pub(super) async fn write(
        &mut self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, EngineError> {
        let rows = self.write_rows(sql, parameters).await?;
        rows.into_iter().next().ok_or_else(|| corrupt(format!("no row was returned by {sql:?}")))
    }

    /// Like [`Session::write`], for a statement that returns any number of rows.
    pub(super) async fn write_rows(
        &mut self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, EngineError> {
        let written = self.call(Access::Write, sql, parameters).await;
        match &written {
            Ok(_) => drop(self.health.record_success()),
            Err(error) => self.health.record_failure(error.clone()),
        }
        written
    }

    /// Sends a command that runs outside a transaction and may take minutes, such as `VACUUM`.
    pub(super) async fn maintain(&mut self, command: &str) -> Result<(), EngineError> {
        // The limit for statements would cancel it on a large table. Each command is sent in a
        // separate call, because several commands in one call form one transaction.
        for command in ["SET statement_timeout = 0", command, "RESET statement_timeout"] {
            let client = self.client()?;
            if let Err(error) = client.batch_execute(command).await {
                let error = fault::statement_error(&error, Access::Read);
                // The next user of the connection must not inherit the lifted limit.
                return self.give_up(error);
            }
        }
        Ok(())
    }

    /// The elections whose rows contradict each other, each with the error. Fails when the damage
    /// does not belong to an election.
    async fn inspect(&mut self) -> Result<BTreeMap<ElectionId, EngineError>, EngineError> {
        let sql = "SELECT left(of_law, 64) AS of_law, left(damage, 500) AS damage FROM inspect() LIMIT 5000";
        let rows = self.read(sql, &[]).await?;
        let mut damaged = BTreeMap::new();
        for row in &rows {
            let damage = corrupt(super::rows::value::<String>(row, "damage")?);
            let law_id: Option<&str> = super::rows::value(row, "of_law")?;
            match law_id.map(str::parse::<ElectionId>) {
                Some(Ok(law_id)) => drop(damaged.insert(law_id, damage)),
                // No installation has such an election: another program wrote its rows.
                Some(Err(_)) => super::fault::report_passed_over(&damage.to_string()),
                None => return Err(damage),
            }
        }
        Ok(damaged)
    }

    async fn call(
        &mut self,
        access: Access,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, EngineError> {
        let answer_time = self.answer_time;
        let client = self.client()?;
        let prepared = tokio::time::timeout(answer_time, client.prepare_cached(sql)).await;
        // Only the statement's text was sent: nothing was written.
        let statement = match prepared {
            Ok(prepared) => prepared.map_err(|error| fault::statement_error(&error, Access::Read)),
            Err(_) => Err(unavailable("the server does not answer")),
        };
        let statement = match statement {
            Ok(statement) => statement,
            Err(error) => return self.give_up(error),
        };
        let mut repetitions = 0;
        loop {
            match tokio::time::timeout(answer_time, self.client()?.query(&statement, parameters))
                .await
            {
                Ok(Ok(rows)) => return Ok(rows),
                Ok(Err(error))
                    if fault::is_worth_repeating(&error) && repetitions < REPETITIONS_MAX =>
                {
                    repetitions += 1
                }
                Ok(Err(error)) => return self.give_up(fault::statement_error(&error, access)),
                Err(_) if access == Access::Read => {
                    return self.give_up(unavailable("the server does not answer"));
                }
                Err(_) => {
                    return self.give_up(fault::outcome_unknown("the server does not answer"));
                }
            }
        }
    }

    /// Drops the connection: a late answer may still arrive on it, or the server may no longer know
    /// its statements.
    fn give_up<T>(&mut self, error: EngineError) -> Result<T, EngineError> {
        if let Some(Held::Pooled(object)) = self.held.take() {
            drop(Object::take(object));
        }
        Err(error)
    }

    fn client(&self) -> Result<&ClientWrapper, EngineError> {
        match &self.held {
            Some(Held::Pooled(object)) => Ok(object),
            Some(Held::Own(client)) => Ok(client),
            None => Err(unavailable("the connection was lost")),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("lost", &self.held.is_none())
            .finish_non_exhaustive()
    }
}
