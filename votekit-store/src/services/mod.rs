//! The engine of many machines: Redis Cluster, RabbitMQ and PostgreSQL.
//!
//! ```text
//! ingest ──publish──▶ votes.validation-0 … ──▶ validate ──▶ votes.aggregation ──▶ stage
//!                                                │  ▲                               │
//!                                                ▼  │ hints                         ▼
//!                                          Redis Cluster      seal ──commit──▶ PostgreSQL
//! ```

pub mod url;
mod hints;
pub mod postgres;
pub mod rabbitmq;
pub mod redis;

use std::sync::Arc;

use postgres::PostgresLedger;
use rabbitmq::RabbitMqBallotBox;
use url::{AddressError, Service, ServiceAddress};

use self::redis::RedisRegistry;
use super::{EngineError, Engines};

/// The addresses of the three services.
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
    /// Parses the three addresses and reads their password files.
    ///
    /// # Errors
    /// [`AddressError`] for the first address that is wrong.
    pub fn parse(registry: &str, ballot_box: &str, ledger: &str) -> Result<Self, AddressError> {
        Ok(Self {
            registry: ServiceAddress::parse(Service::Redis, registry)?,
            ballot_box: ServiceAddress::parse(Service::RabbitMq, ballot_box)?,
            ledger: ServiceAddress::parse(Service::PostgreSql, ledger)?,
        })
    }
}

/// Opens and closes each of the three services, and returns their errors. Creates what a first
/// start would create.
pub async fn check(addresses: &ServiceAddresses) -> Vec<EngineError> {
    let ledger = PostgresLedger::open(&addresses.ledger).await.err();
    let ballot_box = RabbitMqBallotBox::open(&addresses.ballot_box).await.err();
    let registry = RedisRegistry::open(&addresses.registry).await.err();
    [ledger, ballot_box, registry].into_iter().flatten().collect()
}

/// Opens the three services, the ledger first: the contents of the other two can be rebuilt from
/// it. Also returns the [text that identifies the ledger](PostgresLedger::installation).
///
/// # Errors
/// [`EngineError::Misconfigured`], with a hint on what to correct.
pub async fn open(addresses: &ServiceAddresses) -> Result<(Engines, String), EngineError> {
    let ledger = Arc::new(PostgresLedger::open(&addresses.ledger).await?);
    let installation = ledger.installation().await?;
    let ballot_box = Arc::new(RabbitMqBallotBox::open(&addresses.ballot_box).await?);
    let registry = Arc::new(RedisRegistry::open(&addresses.registry).await?);
    let accounts = Arc::new(ledger.accounts());
    Ok((Engines { registry, ballot_box, ledger, accounts }, installation))
}
