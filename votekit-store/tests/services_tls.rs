//! The services over TLS, with servers of these tests that accept nothing else: which certificates
//! the node trusts, and how it reports those that it does not.
#![cfg(feature = "services")]

mod authority;
mod free_port;
mod ledger_samples;
mod postgres_support;
mod rabbitmq;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use authority::Authority;
use free_port::free_port;
use postgres_support::server::PrivateServer;
use rabbitmq::server::Server;
use tempfile::TempDir;
use votekit_core::credential::RegistryKey;
use votekit_core::electorate::KeyList;
use votekit_core::id::RequestId;
use votekit_store::services::postgres::PostgresLedger;
use votekit_store::services::rabbitmq::RabbitMqBallotBox;
use votekit_store::services::redis::RedisRegistry;
use votekit_store::services::url::{Service, ServiceAddress};
use votekit_store::{BallotBox, EngineError, Hint, Hints, Mark, Registry, Staging};

/// Asserts that an opening failed as an operator's mistake, in one line, with these parts.
fn refused<T>(opened: Result<T, EngineError>, expected: &str, hinted: &str) {
    match opened {
        Err(EngineError::Misconfigured { reason, hint, .. }) => {
            assert!(reason.contains(expected), "no {expected:?} in: {reason}");
            assert!(hint.contains(hinted), "no {hinted:?} in: {hint} ({reason})");
            assert!(!reason.contains('\n') && !hint.contains('\n'), "{reason} {hint}");
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("opened, and should have failed with {expected:?}"),
    }
}

fn parsed(service: Service, text: &str) -> ServiceAddress {
    ServiceAddress::parse(service, text).expect("an address")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_certificate_is_verified_as_sslmode_requires() {
    let (authority, other) = (Authority::new(), Authority::new());
    let mut server = PrivateServer::start("trust");
    server.stop();
    server.speak_tls_alone(&authority.server_certificate(), &authority.server_key());
    let at = |host: &str, parameters: &str| {
        parsed(
            Service::PostgreSql,
            &format!("{}&{parameters}", server.address("tls").replace("127.0.0.1", host)),
        )
    };
    let trusted = format!("ca_file={}", authority.certificate().display());
    let strange = format!("ca_file={}", other.certificate().display());

    let ledger = PostgresLedger::open(&at("127.0.0.1", &format!("sslmode=verify-full&{trusted}")))
        .await
        .expect("believed");
    ledger.stage(&ledger_samples::batch(1, 1), &Hints::default()).await.expect("staged");
    let opened = PostgresLedger::open(&at("127.0.0.1", &trusted)).await;
    opened.unwrap_or_else(|error| panic!("ca_file alone means verify-full: {error}"));

    for parameters in ["sslmode=disable", "application_name=votekit"] {
        refused(PostgresLedger::open(&at("127.0.0.1", parameters)).await, "encryption", "sslmode");
    }
    for mode in ["prefer", "require", "verify-ca"] {
        refused(
            PostgresLedger::open(&at("127.0.0.1", &format!("sslmode={mode}&{trusted}"))).await,
            &format!("sslmode={mode}"),
            "write sslmode=verify-full",
        );
    }
    refused(
        PostgresLedger::open(&at("127.0.0.1", &format!("sslmode=verify-full&{strange}"))).await,
        "certificate",
        "ca_file",
    );
    refused(
        PostgresLedger::open(&at("127.0.0.1", "sslmode=verify-full")).await,
        "certificate",
        "ca_file",
    );
    refused(
        PostgresLedger::open(&at("localhost", &format!("sslmode=verify-full&{trusted}"))).await,
        "localhost",
        "host",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_is_believed_by_its_certificate() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = Server::start_with_tls(&authority.server_certificate(), &authority.server_key());
    let at = |host: &str, parameters: &str| {
        parsed(
            Service::RabbitMq,
            &format!("{}?queues=2{parameters}", server.address().replace("127.0.0.1", host)),
        )
    };
    let trusted = format!("&ca_file={}", authority.certificate().display());
    let strange = format!("&ca_file={}", other.certificate().display());

    let ballot_box = RabbitMqBallotBox::open(&at("127.0.0.1", &trusted)).await.expect("believed");
    ballot_box.publish(&rabbitmq::batch_of(1, 3)).await.expect("confirmed");
    let delivery = ballot_box.receive().await.expect("delivered");
    assert_eq!(delivery.batch.number().sequence.0, 1);

    refused(RabbitMqBallotBox::open(&at("127.0.0.1", &strange)).await, "certificate", "ca_file");
    refused(RabbitMqBallotBox::open(&at("127.0.0.1", "")).await, "certificate", "ca_file");
    refused(RabbitMqBallotBox::open(&at("localhost", &trusted)).await, "localhost", "host");
    let plain = server.address().replace("amqps://", "amqp://");
    refused(
        RabbitMqBallotBox::open(&parsed(Service::RabbitMq, &plain)).await,
        "cannot connect",
        "a TLS port requires amqps://",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_redis_is_believed_by_its_certificate() {
    redis_is_believed(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_cluster_is_believed_by_its_certificate() {
    redis_is_believed(true).await;
}

async fn redis_is_believed(as_cluster: bool) {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = RedisServer::start(&authority, as_cluster);
    let at = |host: &str, parameters: &str| {
        parsed(Service::Redis, &format!("rediss://{host}:{}{parameters}", server.port))
    };
    let trusted = format!("?ca_file={}", authority.certificate().display());
    let strange = format!("?ca_file={}", other.certificate().display());

    let registry = RedisRegistry::open(&at("127.0.0.1", &trusted)).await.expect("believed");
    assert_eq!(registry.is_cluster(), as_cluster);
    let law = ledger_samples::law();
    let key = |number: u8| RegistryKey::from_bytes([number; 32]);
    registry
        .add_roll(&law, &Arc::new(KeyList::new((1..=9).map(key).collect()).expect("keys differ")))
        .await
        .expect("loaded");
    let mark = |number: u8| Mark { key: key(number), request: RequestId::from_bytes([number; 16]) };
    let hints = registry.mark(&law, &[mark(1), mark(99)]).await.expect("marked");
    assert_eq!(hints, [Hint::Accepted, Hint::Unknown]);

    refused(RedisRegistry::open(&at("127.0.0.1", &strange)).await, "certificate", "ca_file");
    refused(RedisRegistry::open(&at("127.0.0.1", "")).await, "certificate", "ca_file");
    refused(RedisRegistry::open(&at("localhost", &trusted)).await, "localhost", "host");
    let plain = parsed(Service::Redis, &format!("redis://127.0.0.1:{}", server.port));
    refused(RedisRegistry::open(&plain).await, "is not in the Redis protocol", "rediss://");
}

/// A Redis server that accepts only TLS, killed when dropped.
struct RedisServer {
    port: u16,
    process: Child,
    /// Its working folder, in case it writes.
    _folder: TempDir,
}

impl RedisServer {
    fn start(authority: &Authority, as_cluster: bool) -> Self {
        let port = free_port();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new("redis-server");
        command.args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--port",
            "0",
            "--tls-port",
            &port.to_string(),
        ]);
        command
            .arg("--tls-cert-file")
            .arg(authority.server_certificate())
            .arg("--tls-key-file")
            .arg(authority.server_key());
        command
            .arg("--tls-ca-cert-file")
            .arg(authority.certificate())
            .args(["--tls-auth-clients", "no", "--dir"])
            .arg(folder.path());
        if as_cluster {
            command.args(["--cluster-enabled", "yes", "--tls-cluster", "yes"]);
        }
        let process = childguard::guard(&mut command)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is not installed: Debian's package is redis-server");
        let server = Self { port, process, _folder: folder };
        server.query(&authority.certificate(), &["ping"], "PONG");
        if as_cluster {
            server.query(
                &authority.certificate(),
                &["cluster", "addslotsrange", "0", "16383"],
                "OK",
            );
            server.query(&authority.certificate(), &["cluster", "info"], "cluster_state:ok");
        }
        server
    }

    /// Repeats a command until its answer contains `wanted`.
    fn query(&self, trusted: &Path, words: &[&str], wanted: &str) {
        let mut answers = String::new();
        for _ in 0..600 {
            let mut client = Command::new("redis-cli");
            client
                .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "--tls", "--cacert"])
                .arg(trusted)
                .args(words);
            answers = String::from_utf8_lossy(&client.output().expect("redis-cli is there").stdout)
                .into_owned();
            if answers.contains(wanted) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{words:?}: {answers}");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
