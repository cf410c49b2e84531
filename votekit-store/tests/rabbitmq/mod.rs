//! A separate part of a real RabbitMQ for one test: its own names, deleted at the end.

// Each test uses another part of this.
#![allow(dead_code)]

pub(crate) mod rejecting;
pub(crate) mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use getrandom::SysRng;
use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{Channel, Connection, ConnectionProperties};
use rand_core::UnwrapErr;
use tempfile::TempDir;
use votekit_core::ballot::{BallotSecretKey, ChoiceIndex};
use votekit_core::batch::{Batch, BatchHeader, NodeKey};
use votekit_core::credential::CredentialHash;
use votekit_core::envelope::Envelope;
use votekit_core::id::{BatchNumber, Epoch, RequestId, Sequence};
use votekit_core::instant::UnixMinutes;
use votekit_store::embedded::EmbeddedEngine;
use votekit_store::services::rabbitmq::RabbitMqBallotBox;
use votekit_store::services::url::{Service, ServiceAddress};
use votekit_store::testing::conformance::TestStorage;
use votekit_store::testing::seeded_faults::Odds;
use votekit_store::{EngineError, Engines};

/// Number of validation queues of a corner.
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

/// A batch of `count` votes of the election `L1`.
pub(crate) fn batch_of(sequence: u64, count: u16) -> Arc<Batch> {
    batch_of_law("L1", sequence, count)
}

/// A batch of `count` votes of an election.
pub(crate) fn batch_of_law(law_id: &str, sequence: u64, count: u16) -> Arc<Batch> {
    let node = NodeKey::from_seed(&[1; 32]);
    let number =
        BatchNumber { node: node.node_id(), epoch: Epoch(1), sequence: Sequence(sequence) };
    let law_id = law_id.parse().expect("a law id");
    let header =
        BatchHeader { law_id, number, confirmed_through: Sequence(sequence - 1), last: false };
    let envelopes: Vec<_> = (0..count)
        .map(|index| Envelope {
            request: RequestId::from_bytes(
                (u128::from(sequence) << 64 | u128::from(index)).to_be_bytes(),
            ),
            hash: CredentialHash::from_bytes([1; 32]),
            received: UnixMinutes(28_333_333),
            choice: ChoiceIndex(1),
        })
        .collect();
    let ballot_key = BallotSecretKey::from_seed(&[9; 32]).public_key();
    Arc::new(
        Batch::seal(header, &envelopes, &ballot_key, &node, &mut UnwrapErr(SysRng))
            .expect("the ballot key is usable"),
    )
}

/// Names for one test in the broker, and a folder for the registry and the ledger.
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
        let prefix =
            format!("test-{}-{}", std::process::id(), CORNERS.fetch_add(1, Ordering::Relaxed));
        Self {
            broker: broker.to_owned(),
            prefix,
            folder: tempfile::tempdir().expect("a temporary folder"),
            bad_day: None,
        }
    }

    pub(crate) fn make(bad_day: Option<(u64, Odds)>) -> Box<dyn TestStorage> {
        let mut corner = Self::new();
        corner.bad_day = bad_day;
        Box::new(corner)
    }

    pub(crate) fn address(&self) -> ServiceAddress {
        self.address_with_queues(QUEUES)
    }

    pub(crate) fn address_with_queues(&self, queues: usize) -> ServiceAddress {
        address(&format!("{}?prefix={}&queues={queues}", self.broker, self.prefix))
    }

    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}.votes.{name}", self.prefix)
    }

    pub(crate) async fn ballot_box(&self) -> Arc<RabbitMqBallotBox> {
        Arc::new(RabbitMqBallotBox::open(&self.address()).await.expect("the ballot box opens"))
    }

    /// A channel that bypasses the ballot box.
    pub(crate) async fn channel(&self) -> (Connection, Channel) {
        let connection = Connection::connect(&self.broker, ConnectionProperties::default())
            .await
            .expect("connected");
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
        let mut names: Vec<String> = ["aggregation", "review", "rejected", "dead-letters"]
            .map(|name| self.name(name))
            .into();
        names.extend((0..QUEUES).map(|queue| self.name(&format!("validation-{queue}"))));
        let (broker, exchange) = (self.broker.clone(), self.name("exchange"));
        // A failure only leaves queues behind, which cost the test broker some memory.
        let deleted = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            runtime.map(|runtime| runtime.block_on(Self::delete(broker, names, exchange)))
        });
        let _ = deleted.join();
    }
}

#[async_trait]
impl TestStorage for Corner {
    async fn open(&self) -> Result<Engines, EngineError> {
        let ballot_box = Arc::new(RabbitMqBallotBox::open(&self.address()).await?);
        let engine = EmbeddedEngine::open(self.folder.path())?;
        let roles = Engines { ballot_box, ..Engines::from(engine) };
        Ok(match self.bad_day {
            Some((seed, odds)) => roles.unreliable(seed, odds),
            None => roles,
        })
    }
}
