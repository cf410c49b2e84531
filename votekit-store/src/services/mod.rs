//! The engine of many machines: Redis Cluster, RabbitMQ and PostgreSQL.
//!
//! ```text
//! ingest ──publish──▶ votes.validation-0 … ──▶ validate ──▶ votes.aggregation ──▶ stage ──▶ PostgreSQL ◀──commit── seal
//!                                                 │  ▲
//!                                                 ▼  │ hints
//!                                           Redis Cluster
//! ```

pub mod postgres;
pub mod rabbitmq;
pub mod redis;
pub mod url;

mod hints;

use std::sync::Arc;

use postgres::PostgresLedger;
use rabbitmq::RabbitMqBallotBox;
use url::{AddressError, Service, ServiceAddress};

use self::redis::RedisRegistry;
use super::{EngineError, Engines};

/// Where the three services are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAddresses {
    /// Redis, one server or a cluster.
    pub registry: ServiceAddress,
    /// RabbitMQ.
    pub ballot_box: ServiceAddress,
    /// PostgreSQL.
    pub ledger: ServiceAddress,
}

impl ServiceAddresses {
    /// Reads the three addresses, and the files of their passwords.
    ///
    /// # Errors
    /// [`AddressError`] with the first that is wrong.
    pub fn parse(registry: &str, ballot_box: &str, ledger: &str) -> Result<Self, AddressError> {
        Ok(Self {
            registry: ServiceAddress::parse(Service::Redis, registry)?,
            ballot_box: ServiceAddress::parse(Service::RabbitMq, ballot_box)?,
            ledger: ServiceAddress::parse(Service::PostgreSql, ledger)?,
        })
    }
}

/// Opens each of the three services and lets it go, as a start does: what is wrong with each. Makes
/// what a first start would make.
pub async fn check(addresses: &ServiceAddresses) -> Vec<EngineError> {
    let ledger = PostgresLedger::open(&addresses.ledger).await.err();
    let ballot_box = RabbitMqBallotBox::open(&addresses.ballot_box).await.err();
    let registry = RedisRegistry::open(&addresses.registry).await.err();
    [ledger, ballot_box, registry].into_iter().flatten().collect()
}

/// Opens the three services: the ledger first, since what the others hold can be made again from
/// it. Gives [what tells it](PostgresLedger::installation) from every other.
///
/// # Errors
/// [`EngineError::Misconfigured`] with what is to be mended.
pub async fn open(addresses: &ServiceAddresses) -> Result<(Engines, String), EngineError> {
    let ledger = Arc::new(PostgresLedger::open(&addresses.ledger).await?);
    let installation = ledger.installation().await?;
    let ballot_box = Arc::new(RabbitMqBallotBox::open(&addresses.ballot_box).await?);
    let registry = Arc::new(RedisRegistry::open(&addresses.registry).await?);
    Ok((Engines { registry, ballot_box, ledger }, installation))
}
