//! Deliveries that a process cannot process now, on a real RabbitMQ: they hold up neither the
//! batches nor the close of other elections, and none of them is lost.

mod free_port;
mod rabbitmq;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rabbitmq::{Corner, batch_of_law};
use votekit_core::id::{Digest, ElectionId};
use votekit_store::services::rabbitmq::RabbitMqBallotBox;
use votekit_store::{BallotBox, Delivery, DeliveryTag, Hints};

/// An upper bound for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

const HALTED: &str = "L-halted";
const HEALTHY: &str = "L-healthy";

fn law(text: &str) -> ElectionId {
    text.parse().expect("a law id")
}

fn is_halted(delivery: &Delivery) -> bool {
    delivery.batch.header().law_id.as_str() == HALTED
}

/// Receives until the healthy election has this number of batches, and keeps those of the other
/// one. Returns the tags that are kept, and the digests of the batches.
async fn receive_healthy(
    ballot_box: &Arc<RabbitMqBallotBox>,
    count: usize,
) -> (Vec<DeliveryTag>, BTreeSet<Digest>) {
    let (mut kept, mut halted, mut healthy) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    while healthy.len() < count {
        let delivery = tokio::time::timeout(WAIT_TIMEOUT, ballot_box.receive())
            .await
            .expect("batches of the healthy election wait")
            .expect("delivered");
        if is_halted(&delivery) {
            let tag = DeliveryTag::Received(delivery.tag);
            ballot_box.hold(tag);
            kept.push(tag);
            halted.insert(delivery.batch.digest());
        } else {
            ballot_box.forward(&delivery, &Hints::new()).await.expect("forwarded");
            healthy.insert(delivery.batch.digest());
        }
    }
    (kept, halted)
}

/// Collects and acknowledges everything.
fn stage_all(ballot_box: &Arc<RabbitMqBallotBox>) -> tokio::task::JoinHandle<()> {
    let ballot_box = Arc::clone(ballot_box);
    tokio::spawn(async move {
        loop {
            let validated = ballot_box.collect().await.expect("collected");
            ballot_box.acknowledge(&validated).await.expect("acknowledged");
        }
    })
}

/// Publishes batches of the halted election, then some of the healthy one. Returns the digests of
/// the former.
async fn publish_all(
    ballot_box: &RabbitMqBallotBox,
    halted: u64,
    healthy: u64,
) -> BTreeSet<Digest> {
    let mut digests = BTreeSet::new();
    for sequence in 1..=halted {
        let batch = batch_of_law(HALTED, sequence, 1);
        ballot_box.publish(&batch).await.expect("published");
        digests.insert(batch.digest());
    }
    for sequence in 1..=healthy {
        ballot_box.publish(&batch_of_law(HEALTHY, sequence, 1)).await.expect("published");
    }
    digests
}

/// Without the room that a held delivery leaves, 32 of them in each queue end all deliveries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_halted_election_holds_up_no_other_one() {
    const HELD: u64 = 300;
    const VOTES: u64 = 20;
    let corner = Corner::new();
    let ballot_box = corner.ballot_box().await;
    let expected = publish_all(&ballot_box, HELD, VOTES).await;
    let count = usize::try_from(VOTES).expect("few");
    let (kept, halted) = receive_healthy(&ballot_box, count).await;
    assert_eq!(halted, expected, "the queues are in order");
    // A close of the healthy election is not held up either, and one of the other is.
    let staging = stage_all(&ballot_box);
    let healthy = law(HEALTHY);
    tokio::time::timeout(WAIT_TIMEOUT, ballot_box.settle(&healthy))
        .await
        .expect("in time")
        .expect("settled");
    let waiting = law(HALTED);
    let early = tokio::time::timeout(Duration::from_secs(2), ballot_box.settle(&waiting)).await;
    assert!(early.is_err(), "its batches are not staged: {early:?}");
    // What is staged elsewhere is acknowledged; deliveries of an earlier subscription are void.
    for tag in kept.into_iter().filter(|tag| ballot_box.hold(*tag)) {
        ballot_box.acknowledge_staged(tag).await.expect("acknowledged");
    }
    tokio::time::timeout(WAIT_TIMEOUT, ballot_box.settle(&waiting))
        .await
        .expect("in time")
        .expect("settled");
    staging.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_deliveries_are_redelivered_to_the_next_process() {
    const HELD: u64 = 60;
    let corner = Corner::new();
    let ballot_box = corner.ballot_box().await;
    let mut expected = publish_all(&ballot_box, HELD, 4).await;
    let (_, halted) = receive_healthy(&ballot_box, 4).await;
    assert_eq!(halted, expected);
    drop(ballot_box);
    let next = corner.ballot_box().await;
    while !expected.is_empty() {
        let delivery = tokio::time::timeout(WAIT_TIMEOUT, next.receive())
            .await
            .expect("a batch is lost")
            .expect("delivered");
        next.forward(&delivery, &Hints::new()).await.expect("forwarded");
        expected.remove(&delivery.batch.digest());
    }
}
