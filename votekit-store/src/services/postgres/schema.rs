//! Checks a server before it is trusted; creates, identifies and migrates the schema.

use deadpool_postgres::ClientWrapper;

use super::fault::{corrupt, describe, misconfigured, unavailable};
use crate::EngineError;
use crate::services::url::ServiceAddress;

/// In order: each creates the version equal to its position, from 1.
const MIGRATIONS: [&str; 5] = [
    include_str!("../../../migrations/services/001_ledger.sql"),
    include_str!("../../../migrations/services/002_views.sql"),
    include_str!("../../../migrations/services/003_accounts.sql"),
    include_str!("../../../migrations/services/004_rounds.sql"),
    include_str!("../../../migrations/services/005_witness.sql"),
];

/// Default schema.
const DEFAULT_SCHEMA: &str = "votekit";

/// `VKIT`: the advisory lock held during a migration.
const MIGRATION_LOCK: i64 = i32::from_be_bytes(*b"VKIT") as i64;

/// The oldest server version whose behaviour was examined, as `server_version_num`.
const SERVER_VERSION_MIN: i32 = 150_000;

/// Why a step failed.
#[derive(Debug)]
pub(super) enum Fault {
    Engine(EngineError),
    Postgres(tokio_postgres::Error),
}

impl From<EngineError> for Fault {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl Fault {
    pub(super) fn map_open_error(self, address: &ServiceAddress) -> EngineError {
        match self {
            Self::Engine(error) => error,
            Self::Postgres(error) => Self::map_error(&error, address),
        }
    }

    /// The error of a failure while opening, with a hint on what to correct.
    pub(super) fn map_error(
        error: &tokio_postgres::Error,
        address: &ServiceAddress,
    ) -> EngineError {
        let reason = format!("{address}: {}", describe(error));
        let Some(answer) = error.as_db_error() else {
            let text = describe(error);
            return misconfigured(
                reason,
                if text.contains("TLS") {
                    "check sslmode and ca_file: does the server offer TLS, which authority signed \
                     its certificate, and for which host?"
                } else if text.contains("password") || text.contains("authentication") {
                    "give the password with ?password_file="
                } else {
                    "check the host and the port, and that PostgreSQL runs there and is reachable"
                },
            );
        };
        match answer.code().code() {
            "3D000" => misconfigured(
                reason,
                "check the name of the database after the slash, or create it",
            ),
            "28000" => misconfigured(
                reason,
                "check the user, sslmode, and which connections the server's pg_hba.conf allows",
            ),
            "42501" => misconfigured(
                reason,
                "let the user make its schema (GRANT CREATE ON DATABASE) or make it the owner of the one it is to use",
            ),
            // Starting, stopping or full: temporary.
            code if ["53", "57", "55", "40"].contains(&&code[..2]) => unavailable(reason),
            code if code.starts_with("28") => {
                misconfigured(reason, "check the user and the password")
            }
            _ => misconfigured(reason, "check the address, and the server's log"),
        }
    }
}

/// The schema named by an address.
pub(super) fn name(address: &ServiceAddress) -> Result<String, EngineError> {
    let name = address.parameter("schema").unwrap_or_else(|| DEFAULT_SCHEMA.to_owned());
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let usable = (1..=63).contains(&name.len())
        && name.bytes().all(plain)
        && !name.as_bytes()[0].is_ascii_digit();
    if usable && !name.starts_with("pg_") && name != "information_schema" {
        return Ok(name);
    }
    Err(misconfigured(
        format!("schema={name} of {address} is not a valid schema name"),
        "a schema name has 1 to 63 characters of a-z, 0-9 and _, and does not begin with a digit \
         or pg_",
    ))
}

/// Checks that a server can be trusted with votes: the primary, of a known version, that keeps what
/// it confirms.
pub(super) async fn check_server(client: &ClientWrapper) -> Result<(), Fault> {
    let sql = "SELECT current_setting('server_version_num')::integer, pg_is_in_recovery(), current_setting('fsync')::boolean,
        current_setting('full_page_writes')::boolean, current_setting('server_encoding')";
    let row = client.query_one(sql, &[]).await?;
    let (version, replica, fsync, full_pages): (i32, bool, bool, bool) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
    let encoding: String = row.try_get(4)?;
    if version < SERVER_VERSION_MIN {
        let reason = format!(
            "the server is PostgreSQL {}, older than {}",
            version / 10_000,
            SERVER_VERSION_MIN / 10_000
        );
        return Err(misconfigured(reason, "use a newer server").into());
    }
    if replica {
        let hint = "give the address of the primary, or promote this server";
        return Err(misconfigured("the server is a replica", hint).into());
    }
    for (setting, on) in [("fsync", fsync), ("full_page_writes", full_pages)] {
        if !on {
            let hint = format!("set {setting} = on in postgresql.conf, and restart the server");
            return Err(misconfigured(
                format!("the server has {setting} = off and may lose confirmed writes"),
                hint,
            )
            .into());
        }
    }
    if encoding != "UTF8" {
        let hint = "create the database with ENCODING 'UTF8' TEMPLATE template0";
        return Err(misconfigured(format!("the database has the encoding {encoding}"), hint).into());
    }
    Ok(())
}

/// Checks the server, and migrates the schema to the newest version, creating it if it is missing.
pub(super) async fn prepare(client: &mut ClientWrapper, schema: &str) -> Result<(), Fault> {
    check_server(client).await?;
    if identify(&**client, schema).await? == MIGRATIONS.len() {
        return Ok(());
    }
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await?;
    // Another process may have migrated while this one waited.
    let version = identify(&*transaction, schema).await?;
    if version == 0 {
        transaction
            .batch_execute(&format!(
                "CREATE SCHEMA IF NOT EXISTS {schema};
                 CREATE TABLE {schema}.schema_version (
                     application text NOT NULL, version integer PRIMARY KEY, migrated_at timestamptz NOT NULL DEFAULT now())"
            ))
            .await?;
    }
    for (migration, to) in MIGRATIONS.iter().zip(1_i32..).skip(version) {
        transaction.batch_execute(migration).await?;
        transaction
            .execute(
                "INSERT INTO schema_version (application, version) VALUES ('votekit', $1)",
                &[&to],
            )
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Checks that a schema holds a ledger of exactly this version. Changes nothing.
pub(super) async fn check(client: &ClientWrapper, schema: &str) -> Result<(), Fault> {
    check_server(client).await?;
    match identify(&**client, schema).await? {
        version if version == MIGRATIONS.len() => Ok(()),
        0 => Err(misconfigured(
            format!("the schema {schema} holds no ledger"),
            "check the database and ?schema=: a node creates the schema at its first start",
        )
        .into()),
        version => Err(misconfigured(
            format!(
                "the ledger in schema {schema} has version {version}, expected {}",
                MIGRATIONS.len()
            ),
            "start a node of this version on it once to migrate the schema",
        )
        .into()),
    }
}

/// Returns the version of a schema; 0 if it is empty or missing. Refuses schemas of other programs,
/// and schemas of newer versions.
async fn identify(
    client: &impl tokio_postgres::GenericClient,
    schema: &str,
) -> Result<usize, Fault> {
    let sql = "SELECT to_regclass($1) IS NOT NULL AS marked,
        (SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = $2) AS relations";
    let row = client.query_one(sql, &[&format!("{schema}.schema_version"), &schema]).await?;
    let (marked, relations): (bool, i64) = (row.try_get("marked")?, row.try_get("relations")?);
    let foreign = || {
        misconfigured(
            format!("the schema {schema} contains tables that are not votekit's"),
            "give another name with ?schema=: the schema is created at the first start",
        )
    };
    if !marked {
        return if relations == 0 { Ok(0) } else { Err(foreign().into()) };
    }
    let sql = format!(
        "SELECT coalesce(max(version), 0) AS version, count(*) AS rows, coalesce(bool_and(application = 'votekit'), false) AS ours
         FROM {schema}.schema_version"
    );
    let row = match client.query_one(&sql, &[]).await {
        Ok(row) => row,
        // Our columns are missing: another program has a table of this name.
        Err(error)
            if error.code().is_some_and(|code| ["42703", "42883"].contains(&code.code())) =>
        {
            return Err(foreign().into());
        }
        Err(error) => return Err(error.into()),
    };
    if !row.try_get::<_, bool>("ours")? {
        return Err(foreign().into());
    }
    let (version, rows): (i32, i64) = (row.try_get("version")?, row.try_get("rows")?);
    match usize::try_from(version) {
        Ok(version) if version > MIGRATIONS.len() => Err(misconfigured(
            format!(
                "the ledger in schema {schema} was written by a newer version of votekit (schema {version}, this one knows {})",
                MIGRATIONS.len()
            ),
            "use the version of votekit that the other nodes run, or a newer one",
        )
        .into()),
        Ok(version) if version >= 1 && rows == i64::from(row.try_get::<_, i32>("version")?) => Ok(version),
        _ => Err(corrupt(format!("table schema_version of schema {schema} has {rows} rows and version {version}")).into()),
    }
}
