//! A ballot box on RabbitMQ with many batches of an election that is halted on the node: the votes
//! of the other elections are decided, and their polls close.
#![cfg(feature = "services")]

mod broker_support;
mod support;

use std::sync::Arc;
use std::time::Duration;

use broker_support::{address, cast, start};
use rusqlite::Connection;
use support::{TestDir, create_request, decided_at_last, insist, law};
use votekit_core::ballot::BallotSecretKey;
use votekit_core::batch::{Batch, BatchHeader, NodeKey};
use votekit_core::decision::Decision;
use votekit_core::id::{BatchNumber, ElectionId, Epoch, Sequence};
use votekit_node::{CreateElection, OpenElection};
use votekit_store::BallotBox;
use votekit_store::services::rabbitmq::RabbitMqBallotBox;
use votekit_store::services::url::ServiceAddress;

/// The election beside the customary one.
const HALTED: &str = "L-halted";

/// An upper bound for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// As above, for a close, which waits for leases and barriers.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(180);

fn halted() -> ElectionId {
    HALTED.parse().expect("a law id")
}

/// Publishes batches of the halted election, more than the broker delivers to a consumer at once.
async fn publish_batches(address: &ServiceAddress, count: u64) {
    let ballot_box = RabbitMqBallotBox::open(address).await.expect("the ballot box opens");
    let node = NodeKey::from_seed(&[9; 32]);
    let ballot_key = BallotSecretKey::from_seed(&[3; 32]).public_key();
    let mut random = rand_core::UnwrapErr(getrandom::SysRng);
    for sequence in 1..=count {
        let header = BatchHeader {
            law_id: halted(),
            number: BatchNumber {
                node: node.node_id(),
                epoch: Epoch(1),
                sequence: Sequence(sequence),
            },
            confirmed_through: Sequence(sequence - 1),
            last: false,
        };
        let batch = Batch::seal(header, &[], &ballot_key, &node, &mut random).expect("sealed");
        ballot_box.publish(&Arc::new(batch)).await.expect("published");
    }
}

/// Removes the blocks of the halted election from the ledger of a stopped node.
fn damage(dir: &TestDir) {
    let ledger = Connection::open(dir.path("engine/ledger.sqlite")).expect("the ledger");
    let of_one = "(SELECT id FROM election WHERE law_id = ?1)";
    let removed = ledger.execute(&format!("DELETE FROM block WHERE election = {of_one}"), [HALTED]);
    assert!(removed.expect("SQL") > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn batches_of_a_halted_election_hold_up_no_vote_and_no_close() {
    const VOTES: u32 = 5;
    let dir = TestDir::new(10);
    let address = address();
    let (node, ledger) = start(&dir, &address).await;
    insist(async || node.load(&dir.path("hashes"), None).await).await;
    insist(async || node.create(create_request()).await).await;
    let second = || CreateElection { law_id: HALTED.to_owned(), ..create_request() };
    insist(async || node.create(second()).await).await;
    insist(async || node.open(&law(), OpenElection::default()).await).await;
    node.shutdown().await;
    drop(ledger);
    damage(&dir);
    publish_batches(&address, 150).await;
    let (node, ledger) = start(&dir, &address).await;
    assert!(node.halted(&halted()).is_some(), "its log is damaged");
    for elector in 0..VOTES {
        let request = cast(&node, elector).await;
        let decision = tokio::time::timeout(WAIT_TIMEOUT, decided_at_last(&node, request)).await;
        let decision = decision.expect("the vote waits for the batches of the halted election");
        assert!(matches!(decision, Decision::Accepted { .. }), "{decision:?}");
    }
    let closing = insist(async || node.close(&law()).await);
    let closed = tokio::time::timeout(CLOSE_TIMEOUT, closing).await.expect("the poll closes");
    assert_eq!((closed.received, closed.accepted), (VOTES.into(), VOTES.into()));
    assert_eq!(node.failure(), None);
    node.shutdown().await;
    drop(ledger);
    // None of them is lost: the next process has them all.
    let next = RabbitMqBallotBox::open(&address).await.expect("the ballot box opens");
    for _ in 0..150 {
        let delivery = tokio::time::timeout(WAIT_TIMEOUT, next.receive()).await;
        let delivery = delivery.expect("a batch is lost").expect("delivered");
        assert_eq!(delivery.batch.header().law_id, halted());
        next.refuse(&delivery, "a sample").await.expect("refused");
    }
}
