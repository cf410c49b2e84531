//! `votekit dead-letters` on a ballot box with a dead letter: it is listed, requeued, and gone.
#![cfg(feature = "services")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use support::{TestDir, services};
use votekit_core::batch::Batch;
use votekit_store::BallotBox as _;
use votekit_store::services::rabbitmq::RabbitMqBallotBox;
use votekit_store::services::rabbitmq::dead_letters::DeadLetters;
use votekit_store::services::url::{Service, ServiceAddress};

/// More deliveries than the broker makes of one batch.
const DIED_MAX: usize = 40;

#[test]
fn a_dead_letter_is_listed_and_driven() {
    let dir = TestDir::new();
    let broker = services::address("VOTEKIT_TEST_AMQP");
    let address = format!("{broker}?prefix=test-driven-{}&queues=1", std::process::id());
    dir.run(&["dead-letters", "list", "--ballot-box", &address])
        .fails(4, &["no ballot box with this prefix", "hint: give the same address as the nodes"]);

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let parsed = ServiceAddress::parse(Service::RabbitMq, &address).expect("an address");
    let batch = batch();
    runtime.block_on(publish_and_die(&parsed, &batch));

    for verb in ["list", "requeue"] {
        let report = dir.run(&["dead-letters", verb, "--ballot-box", &address, "--json"]).json();
        assert_eq!(report["requeued"], verb == "requeue", "{report}");
        let [letter] = report["dead_letters"].as_array().expect("a list").as_slice() else {
            panic!("{report}")
        };
        assert_eq!(
            (&letter["content"], &letter["law_id"]),
            (&"batch".into(), &batch.header().law_id.as_str().into()),
            "{letter}"
        );
        assert_eq!(
            (&letter["batch"], &letter["votes"]),
            (&batch.number().to_string().into(), &batch.count().into()),
            "{letter}"
        );
        assert_eq!(
            (&letter["digest"], &letter["reason"]),
            (&batch.digest().to_string().into(), &"delivery_limit".into()),
            "{letter}"
        );
    }
    assert_eq!(
        dir.run(&["dead-letters", "list", "--ballot-box", &address]).succeeds(),
        "0 dead letters\n"
    );
    let more = address.replace("queues=1", "queues=2");
    dir.run(&["dead-letters", "requeue", "--ballot-box", &more])
        .fails(4, &["there are fewer than 2 validation queues"]);

    let delivery = runtime.block_on(async {
        let ballot_box = RabbitMqBallotBox::open(&parsed).await.expect("opened");
        let delivery = ballot_box.receive().await.expect("it is on its way again");
        ballot_box.refuse(&delivery, "a sample").await.expect("refused");
        delivery
    });
    assert_eq!(delivery.batch, batch);
}

/// Publishes a batch, then receives it and dies, until the broker makes it a dead letter.
async fn publish_and_die(address: &ServiceAddress, batch: &Arc<Batch>) {
    let ballot_box = RabbitMqBallotBox::open(address).await.expect("opened");
    ballot_box.publish(batch).await.expect("published");
    for _ in 0..DIED_MAX {
        let taker = RabbitMqBallotBox::open(address).await.expect("opened");
        let taken = tokio::time::timeout(Duration::from_secs(3), taker.receive()).await;
        // On a busy machine the batch may only be late.
        if taken.is_err() && is_put_aside(address).await {
            return;
        }
    }
    panic!("the broker gives it back for ever");
}

async fn is_put_aside(address: &ServiceAddress) -> bool {
    let letters = DeadLetters::open(address).await.expect("opened");
    !letters.list().await.expect("listed").is_empty()
}

/// A batch of the golden election.
fn batch() -> Arc<Batch> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fixtures/election/evidence/89cf1ad4856d3844.1.1.batch");
    Arc::new(Batch::parse(std::fs::read(file).expect("the golden batch")).expect("it parses"))
}
