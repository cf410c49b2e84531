//! Connects to the server of an address, or explains to an operator why it cannot be used.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    RedisConnectionInfo, RedisError, ServerErrorKind, TlsCertificates,
};
use tokio::sync::Mutex;

use super::cluster::Cluster;
use super::{CONNECTION_TIMEOUT, ENGINE, Kind, RESPONSE_TIMEOUT, Single};
use crate::EngineError;
use crate::services::url::ServiceAddress;

/// An operator who starts a node sees a failure within this time.
const OPENING_TIMEOUT: Duration = Duration::from_millis(4500);

/// The first version whose small hashes are listpacks under the settings that are checked.
const MAJOR_VERSION_MIN: u32 = 7;

pub(super) fn connection_config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECTION_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
}

pub(super) async fn open(address: &ServiceAddress) -> Result<Kind, EngineError> {
    tokio::time::timeout(OPENING_TIMEOUT, reach(address)).await.unwrap_or_else(|_| {
        let hint = if address.is_tls() {
            "check that the host is reachable and that the port accepts TLS; without TLS the \
             address begins with redis://"
        } else {
            "check that the host is reachable; with TLS the address begins with rediss://"
        };
        Err(misconfigured(address, "it does not answer", hint))
    })
}

async fn reach(address: &ServiceAddress) -> Result<Kind, EngineError> {
    let database = database(address)?;
    let certificates = certificates(address)?;
    let info = connection_info(address, database);
    let client = match &certificates {
        Some(certificates) => Client::build_with_tls(info, certificates.clone()),
        None => Client::open(info),
    };
    let client = client.map_err(|error| explain(address, &error))?;
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&connection_config())
        .await
        .map_err(|error| explain(address, &error))?;
    let info = read_server_info(&mut connection).await.map_err(|error| explain(address, &error))?;
    refuse_old(address, &info.server)?;
    if info.cluster.is_none() {
        if field(&info.server, "role") == Some("slave") {
            return Err(misconfigured(
                address,
                "this server is a replica and accepts no writes",
                "give the address of its master",
            ));
        }
        return Ok(Kind::Single(Single { client, connection: Mutex::new(Some(connection)) }));
    }
    if database != 0 {
        return Err(no_database(address));
    }
    let info = info.cluster.unwrap_or_default();
    if field(&info, "cluster_slots_assigned") != Some("16384") {
        let reason = "it is a cluster with unassigned slots";
        return Err(misconfigured(
            address,
            reason,
            "run `redis-cli --cluster check` and assign all slots",
        ));
    }
    let seed = client.get_connection_info().clone();
    let cluster =
        Cluster::open(seed, certificates).await.map_err(|error| explain(address, &error))?;
    Ok(Kind::Cluster(cluster))
}

/// The number of the database behind the slash; 0 if there is none.
fn database(address: &ServiceAddress) -> Result<i64, EngineError> {
    match address.path().as_str() {
        "" => Ok(0),
        path => path.parse().ok().filter(|number: &i64| *number >= 0).ok_or_else(|| {
            let reason = format!("'{path}' after the slash is not a database number");
            misconfigured(address, &reason, "databases are numbered: omit it, or write /1")
        }),
    }
}

fn certificates(address: &ServiceAddress) -> Result<Option<TlsCertificates>, EngineError> {
    let Some(path) = address.ca_file() else { return Ok(None) };
    if !address.is_tls() {
        return Err(misconfigured(
            address,
            "ca_file requires TLS, and redis:// connects without TLS",
            "use rediss://, or omit ca_file",
        ));
    }
    let pem = std::fs::read(path).map_err(|error| {
        misconfigured(
            address,
            &format!("cannot read ca_file {} ({error})", path.display()),
            "name a PEM file with certificates",
        )
    })?;
    Ok(Some(TlsCertificates { client_tls: None, root_cert: Some(pem) }))
}

fn connection_info(address: &ServiceAddress, database: i64) -> ConnectionInfo {
    let (host, port) = (address.host().to_owned(), address.port());
    let addr = if address.is_tls() {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    };
    let mut settings = RedisConnectionInfo::default().set_db(database);
    if !address.user().is_empty() {
        settings = settings.set_username(address.user());
    }
    if let Some(password) = address.password() {
        settings = settings.set_password(password);
    }
    let plain: ConnectionInfo = addr.into_connection_info().expect("an address is the whole of it");
    plain.set_redis_settings(settings)
}

/// The facts that a server reports about itself.
struct ServerInfo {
    server: String,
    /// `None` when it is not a cluster.
    cluster: Option<String>,
}

async fn read_server_info(
    connection: &mut MultiplexedConnection,
) -> Result<ServerInfo, RedisError> {
    let server: String = redis::cmd("INFO").query_async(connection).await?;
    let cluster = if field(&server, "cluster_enabled") == Some("1") {
        Some(redis::cmd("CLUSTER").arg("INFO").query_async(connection).await?)
    } else {
        None
    };
    Ok(ServerInfo { server, cluster })
}

/// The value of a line `name:value` of INFO.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim_end)
}

fn refuse_old(address: &ServiceAddress, info: &str) -> Result<(), EngineError> {
    let version = field(info, "redis_version").unwrap_or("of unknown version");
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major >= MAJOR_VERSION_MIN) {
        return Ok(());
    }
    Err(misconfigured(
        address,
        &format!("it is Redis {version}"),
        "votekit requires Redis 7.0 or later",
    ))
}

/// Maps an error of redis-rs to an error that says what an operator must correct.
fn explain(address: &ServiceAddress, error: &RedisError) -> EngineError {
    // On one line, even if the server is not Redis and answers with several.
    let text = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    let lower = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let secret = matches!(
        error.kind(),
        ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm)
    ) || has(&["noauth", "wrongpass", "authentication required"]);
    let (reason, hint) = match error.kind() {
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown,
        ) => {
            return EngineError::Unavailable {
                engine: ENGINE,
                reason: format!("{address}: {text}"),
            };
        }
        _ if secret => ("it refuses the user or the password".to_owned(), PASSWORD_HINT),
        _ if error.is_connection_refusal() || has(&["connection refused"]) => {
            ("connection refused".to_owned(), "check that Redis is running, and the host and port")
        }
        _ if has(&["lookup", "name or service", "nodename", "resolve"]) => (
            "the host name cannot be resolved".to_owned(),
            "check the spelling of the name and this machine's name service",
        ),
        _ if has(&["unknownissuer", "certificate"]) => (
            format!("its certificate is not trusted ({text})"),
            "give the authority that signed it with ?ca_file=FILE, and the host name that the \
             certificate has",
        ),
        _ if address.is_tls() && (error.is_io_error() || has(&["tls", "corrupt", "handshake"])) => {
            (
                format!("it does not accept TLS ({text})"),
                "without TLS the address begins with redis://",
            )
        }
        _ if has(&["in cluster mode"]) => return no_database(address),
        _ if has(&["db index", "switch database"]) => (
            format!("no such database ({text})"),
            "omit the number, or give one within the server's setting `databases`",
        ),
        _ if error.is_timeout() => {
            ("it does not answer".to_owned(), "check that the host is reachable")
        }
        _ if error.is_io_error() || error.kind() == ErrorKind::Parse => (
            format!("the answer is not in the Redis protocol ({text})"),
            "check the port; with TLS the address begins with rediss://",
        ),
        _ => (text, "see the server's log"),
    };
    misconfigured(address, &reason, hint)
}

const PASSWORD_HINT: &str = "give them as redis://USER:PASSWORD@HOST or, better, with \
                             ?password_file=FILE; the chapter 'The registry on Redis' of \
                             docs/operations.md has the ACL line with every required right";

fn no_database(address: &ServiceAddress) -> EngineError {
    let reason = format!("it is a cluster, which does not have database {}", address.path());
    misconfigured(
        address,
        &reason,
        "omit the number; installations that share a cluster differ by ?prefix=NAME",
    )
}

fn misconfigured(address: &ServiceAddress, reason: &str, hint: &str) -> EngineError {
    EngineError::Misconfigured {
        engine: ENGINE,
        reason: format!("{address}: {reason}"),
        hint: hint.to_owned(),
    }
}
