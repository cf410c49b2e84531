//! A PostgreSQL server for tests, and a separate schema for each test.

// Each test program uses another part of this.
#![allow(dead_code)]

pub(crate) mod server;

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use votekit_store::services::url::{Service, ServiceAddress};

/// The address of a database whose user has all rights.
pub(crate) fn server() -> String {
    std::env::var("VOTEKIT_TEST_POSTGRES")
        .expect("VOTEKIT_TEST_POSTGRES names no PostgreSQL: `cargo xtask test` starts the servers, or `cargo xtask services up`")
}

/// The ledger in a schema of that database.
pub(crate) fn address(schema: &str) -> ServiceAddress {
    parsed(&with_parameter(&server(), &format!("schema={schema}")))
}

pub(crate) fn parsed(text: &str) -> ServiceAddress {
    ServiceAddress::parse(Service::PostgreSql, text).expect("an address")
}

pub(crate) fn with_parameter(address: &str, parameter: &str) -> String {
    format!("{address}{}{parameter}", if address.contains('?') { '&' } else { '?' })
}

/// A name that no other test uses.
pub(crate) fn fresh_schema() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_nanos();
    format!("test_{}_{now}_{}", process::id(), MADE.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn drop_schema(schema: &str) {
    run(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE"));
}

/// Runs commands as the operator would, beside open ledgers.
pub(crate) fn run(commands: &str) {
    select(commands);
}

/// Returns the rows of the last command, each column as text, null as `None`.
pub(crate) fn select(commands: &str) -> Vec<Vec<Option<String>>> {
    let commands = commands.to_owned();
    // In a separate thread: tests call this within a runtime, and in destructors.
    std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (client, connection) = connect(&server()).await.expect("the server answers");
            tokio::spawn(connection);
            let messages = client.simple_query(&commands).await.expect(&commands);
            let row = |message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => {
                    Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
                }
                _ => None,
            };
            messages.into_iter().filter_map(row).collect()
        })
    })
    .join()
    .expect("the commands run")
}

async fn connect(
    address: &str,
) -> Result<
    (
        tokio_postgres::Client,
        tokio_postgres::Connection<tokio_postgres::Socket, tokio_postgres::tls::NoTlsStream>,
    ),
    tokio_postgres::Error,
> {
    let address = parsed(address);
    let mut config = tokio_postgres::Config::new();
    config.host(address.host()).port(address.port()).user(address.user()).dbname(address.path());
    if let Some(password) = address.password() {
        config.password(password);
    }
    config.connect(tokio_postgres::NoTls).await
}
