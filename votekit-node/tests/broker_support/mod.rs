//! A node on a shared ledger, whose ballot box is on a real RabbitMQ.

use std::sync::Arc;
use std::time::{Duration, Instant};

use votekit_core::id::RequestId;
use votekit_node::config::{Config, Role};
use votekit_node::data_folder::DataFolder;
use votekit_node::node_name::NodeName;
use votekit_node::{Node, SubmitError};
use votekit_store::embedded::EmbeddedEngine;
use votekit_store::faults::Faulty;
use votekit_store::services::rabbitmq::RabbitMqBallotBox;
use votekit_store::services::url::{Service, ServiceAddress};
use votekit_store::testing::seeded_faults::{Odds, SeededFaults};
use votekit_store::{Engines, Ledger};

use crate::support::{HANG_TIMEOUT, TestDir, vote};

/// Queues that no other test or earlier run uses.
pub(crate) fn address() -> ServiceAddress {
    let broker = std::env::var("VOTEKIT_TEST_AMQP").expect(
        "VOTEKIT_TEST_AMQP is not set: `cargo xtask test` starts the servers, or \
         `cargo xtask services up`",
    );
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos();
    // With one queue no process has more than its share, and gives none up.
    let text = format!("{broker}?prefix=f{}-{now:x}&queues=1", std::process::id());
    ServiceAddress::parse(Service::RabbitMq, &text).expect("an address")
}

/// A node with every role, on a shared ledger and on these queues.
pub(crate) async fn start(dir: &TestDir, address: &ServiceAddress) -> (Node, Arc<dyn Ledger>) {
    let name: NodeName = "all-1".parse().expect("a name");
    let folder = DataFolder::open_named(&dir.path("shared"), None, &name).expect("a data folder");
    let engine = EmbeddedEngine::open(&dir.path("engine")).expect("the engine opens");
    let faults = SeededFaults::new(6, Odds::NONE);
    let ledger: Arc<dyn Ledger> = Arc::new(Faulty::new(engine.ledger, faults).shared());
    let ballot_box = RabbitMqBallotBox::open(address).await.expect("the ballot box opens");
    let engines = Engines {
        registry: engine.registry,
        ballot_box: Arc::new(ballot_box),
        ledger: Arc::clone(&ledger),
        accounts: engine.accounts,
    };
    let config = Config {
        name: Some(name),
        roles: Role::ALL.to_vec(),
        rate_limit_per_second: 0,
        ..Config::default()
    };
    (Node::start_on(folder, config, engines).await.expect("the node starts"), ledger)
}

pub(crate) async fn cast(node: &Node, elector: u32) -> RequestId {
    let until = Instant::now() + HANG_TIMEOUT;
    loop {
        match node.submit(&vote(elector, "oui"), Some("once".as_bytes()), None).await {
            Ok(request) => return request,
            Err(
                error @ (SubmitError::Unavailable(_)
                | SubmitError::OutcomeUnknown { .. }
                | SubmitError::Busy { .. }
                | SubmitError::NotOpen { .. }),
            ) => {
                assert!(Instant::now() < until, "{error}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(error) => panic!("refused: {error}"),
        }
    }
}
