//! A corner of a real RabbitMQ for one test: names of its own, which are deleted at the end.

// Each test uses its part of it.
#![allow(dead_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{Channel, Connection, ConnectionProperties};
use tempfile::TempDir;
use votekit_node::engine::conformance::Place;
use votekit_node::engine::embedded::EmbeddedEngine;
use votekit_node::engine::services::ballot_box::RabbitMqBallotBox;
use votekit_node::engine::services::url::{Service, ServiceAddress};
use votekit_node::engine::unreliable::Odds;
use votekit_node::engine::{EngineError, Roles};

/// Validation queues of a corner.
pub(crate) const QUEUES: usize = 2;

static CORNERS: AtomicU32 = AtomicU32::new(0);

/// The broker's address.
pub(crate) fn broker() -> String {
    std::env::var("VOTEKIT_TEST_AMQP")
        .expect("VOTEKIT_TEST_AMQP is not set: `cargo xtask test` starts the servers, or `cargo xtask services up`")
}

pub(crate) fn address(text: &str) -> ServiceAddress {
    ServiceAddress::parse(Service::RabbitMq, text).expect("an address")
}

/// Names of a test's own in the broker, and a folder for the registry and the ledger beside it.
pub(crate) struct Corner {
    broker: String,
    prefix: String,
    folder: TempDir,
    bad_day: Option<(u64, Odds)>,
}

impl Corner {
    pub(crate) fn new() -> Self {
        Self::at(&broker())
    }

    pub(crate) fn at(broker: &str) -> Self {
        let prefix = format!("test-{}-{}", std::process::id(), CORNERS.fetch_add(1, Ordering::Relaxed));
        Self { broker: broker.to_owned(), prefix, folder: tempfile::tempdir().expect("a temporary folder"), bad_day: None }
    }

    pub(crate) fn make(bad_day: Option<(u64, Odds)>) -> Box<dyn Place> {
        let mut corner = Self::new();
        corner.bad_day = bad_day;
        Box::new(corner)
    }

    pub(crate) fn address(&self) -> ServiceAddress {
        address(&format!("{}?prefix={}&queues={QUEUES}", self.broker, self.prefix))
    }

    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}.votes.{name}", self.prefix)
    }

    pub(crate) async fn ballot_box(&self) -> Arc<RabbitMqBallotBox> {
        Arc::new(RabbitMqBallotBox::open(&self.address()).await.expect("the ballot box opens"))
    }

    /// A channel past the ballot box.
    pub(crate) async fn channel(&self) -> (Connection, Channel) {
        let connection = Connection::connect(&self.broker, ConnectionProperties::default()).await.expect("connected");
        let channel = connection.create_channel().await.expect("a channel");
        (connection, channel)
    }

    async fn delete(broker: String, names: Vec<String>, exchange: String) -> lapin::Result<()> {
        let connection = Connection::connect(&broker, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        for name in names {
            channel.queue_delete(name.into(), QueueDeleteOptions::default()).await?;
        }
        channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default()).await?;
        connection.close(200, "done".into()).await
    }
}

impl Drop for Corner {
    fn drop(&mut self) {
        let mut names: Vec<String> = ["aggregation", "review", "dead-letters"].map(|name| self.name(name)).into();
        names.extend((0..QUEUES).map(|queue| self.name(&format!("validation-{queue}"))));
        let (broker, exchange) = (self.broker.clone(), self.name("exchange"));
        // What is left behind costs the broker of the tests some memory, no more.
        let deleted = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            runtime.map(|runtime| runtime.block_on(Self::delete(broker, names, exchange)))
        });
        let _ = deleted.join();
    }
}

#[async_trait]
impl Place for Corner {
    async fn open(&self) -> Result<Roles, EngineError> {
        let ballot_box = Arc::new(RabbitMqBallotBox::open(&self.address()).await?);
        let engine = EmbeddedEngine::open(self.folder.path())?;
        let roles = Roles { registry: engine.registry, ballot_box, ledger: engine.ledger };
        Ok(match self.bad_day {
            Some((seed, odds)) => roles.unreliable(seed, odds),
            None => roles,
        })
    }
}
