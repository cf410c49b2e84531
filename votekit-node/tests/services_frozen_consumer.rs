//! A ballot box on RabbitMQ whose active consumer is frozen: the broker leaves the queues with it,
//! and votes are decided all the same.
#![cfg(feature = "services")]

mod broker_support;
mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use broker_support::{address, cast, start};
use support::{TestDir, create_request, decided_at_last, insist, law};
use votekit_core::ballot::BallotSecretKey;
use votekit_core::batch::{Batch, BatchHeader, NodeKey};
use votekit_core::decision::Decision;
use votekit_core::id::{BatchNumber, Epoch, Sequence};
use votekit_node::OpenElection;
use votekit_store::services::rabbitmq::RabbitMqBallotBox;
use votekit_store::services::url::ServiceAddress;
use votekit_store::{BallotBox, Hints, StagingId};

/// An upper bound for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// As above, for a close, which waits for leases and barriers.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(180);

/// A process that consumes both steps and then does nothing more, like a frozen process. The broker
/// delivers all later messages to it.
async fn frozen_consumer(address: &ServiceAddress) -> RabbitMqBallotBox {
    let ballot_box = RabbitMqBallotBox::open(address).await.expect("the ballot box opens");
    // A batch that comes through shows that this process is the active consumer.
    let node = NodeKey::from_seed(&[9; 32]);
    let header = BatchHeader {
        law_id: "L-sample".parse().expect("a law id"),
        number: BatchNumber { node: node.node_id(), epoch: Epoch(1), sequence: Sequence(1) },
        confirmed_through: Sequence(0),
        last: true,
    };
    let ballot_key = BallotSecretKey::from_seed(&[3; 32]).public_key();
    let mut random = rand_core::UnwrapErr(getrandom::SysRng);
    let sample = Batch::seal(header, &[], &ballot_key, &node, &mut random).expect("sealed");
    ballot_box.publish(&Arc::new(sample)).await.expect("published");
    let delivery = ballot_box.receive().await.expect("delivered");
    ballot_box.forward(&delivery, &Hints::new()).await.expect("forwarded");
    let validated = ballot_box.collect().await.expect("collected");
    ballot_box.acknowledge(&validated).await.expect("acknowledged");
    ballot_box
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn votes_are_decided_while_the_consumer_of_all_queues_is_frozen() {
    const VOTES: u32 = 5;
    let dir = TestDir::new(10);
    let address = address();
    let frozen = frozen_consumer(&address).await;
    let (node, ledger) = start(&dir, &address).await;
    insist(async || node.load(&dir.path("hashes"), None).await).await;
    insist(async || node.create(create_request()).await).await;
    insist(async || node.open(&law(), OpenElection::default()).await).await;
    let mut requests = Vec::new();
    for elector in 0..VOTES {
        requests.push(cast(&node, elector).await);
    }
    for request in requests {
        let decision = tokio::time::timeout(WAIT_TIMEOUT, decided_at_last(&node, request)).await;
        let decision = decision.expect("the vote waits for the frozen consumer");
        assert!(matches!(decision, Decision::Accepted { .. }), "{decision:?}");
    }
    // The broker delivers the unacknowledged messages of the consumer to the node, which has them
    // already. The close waits for all of them.
    drop(frozen);
    let closing = insist(async || node.close(&law()).await);
    let closed = tokio::time::timeout(CLOSE_TIMEOUT, closing).await.expect("the queues drain");
    assert_eq!(
        (closed.received, closed.accepted, closed.duplicate, closed.invalid),
        (VOTES.into(), VOTES.into(), 0, 0)
    );
    let staged = ledger.staged(&law(), StagingId(0), 1000).await.expect("read");
    let numbers: BTreeSet<BatchNumber> = staged.iter().map(|one| one.batch.number()).collect();
    assert_eq!(numbers.len(), staged.len(), "a batch was staged twice");
    assert_eq!(node.failure(), None);
    node.shutdown().await;
}
