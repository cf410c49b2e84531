//! Faults of a ballot box on RabbitMQ: bad addresses, garbage in the queues, dead letters, a broker
//! that is killed.
//!
//! Long because the faults share the helpers that put garbage into queues and wait for a broker.

// Measurements print their figures.
#![allow(clippy::print_stdout)]

mod free_port;
mod rabbitmq;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel};
use rabbitmq::rejecting::reject_until_put_aside;
use rabbitmq::server::Server;
use rabbitmq::{Corner, address, batch_of, broker};
use votekit_core::id::ElectionId;
use votekit_store::services::rabbitmq::RabbitMqBallotBox;
use votekit_store::services::rabbitmq::dead_letters::{DeadContent, DeadLetters};
use votekit_store::services::url::ServiceAddress;
use votekit_store::{BallotBox, EngineError, Hints};

/// The election of [`batch_of`].
fn law() -> ElectionId {
    "L1".parse().expect("a law id")
}

/// Opens an unusable address; returns the reason and the hint.
async fn misconfigured(address: &ServiceAddress) -> (String, String) {
    match RabbitMqBallotBox::open(address).await {
        Err(EngineError::Misconfigured { reason, hint, .. }) => (reason, hint),
        other => panic!("{address} gave {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_bad_address_is_reported_with_a_hint_and_without_the_password() {
    let broker = broker();
    let host_and_port =
        broker.rsplit('@').next().expect("a broker").trim_end_matches('/').to_owned();
    let (user_and_host, _) = broker
        .rsplit_once('/')
        .filter(|(before, _)| !before.ends_with('/'))
        .unwrap_or((&broker, ""));
    let certificate = tempfile::NamedTempFile::new().expect("a file");
    for (text, expected, hinted) in [
        (
            format!("amqp://guest:secret-no@{host_and_port}"),
            "refuses the user guest or the password",
            "password_file",
        ),
        (
            format!("amqp://nobody:secret-no@{host_and_port}"),
            "refuses the user nobody or the password",
            "list_users",
        ),
        (
            format!("{user_and_host}/no-such-host"),
            "the virtual host no-such-host does not exist",
            "list_vhosts",
        ),
        ("amqp://guest:secret-no@127.0.0.1:1".to_owned(), "cannot connect", "check host and port"),
        (
            "amqp://guest:secret-no@no-such-host.invalid".to_owned(),
            "cannot connect",
            "check host and port",
        ),
        (format!("amqps://guest:secret-no@{host_and_port}"), "TLS", "5671"),
        (format!("{broker}?ca_file={}", certificate.path().display()), "without TLS", "amqps://"),
        (format!("{broker}?prefix=a%20b"), "prefix", "?prefix=test"),
        (format!("{broker}?queues=0"), "from 1 to 64", "?queues=8"),
        (format!("{broker}?queue=4"), "unknown parameter queue", "prefix, queues"),
    ] {
        let (reason, hint) = misconfigured(&address(&text)).await;
        assert!(reason.contains(expected) && hint.contains(hinted), "{text}: {reason}; {hint}");
        assert!(!reason.contains("secret") && !hint.contains("secret"), "{reason} {hint}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_with_other_arguments_is_reported() {
    let corner = Corner::new();
    let (_connection, channel) = corner.channel().await;
    let options = QueueDeclareOptions::durable();
    channel
        .queue_declare(corner.name("aggregation").into(), options, FieldTable::default())
        .await
        .expect("declared");
    let (reason, hint) = misconfigured(&corner.address()).await;
    assert!(reason.contains("other arguments") && reason.contains("votes.aggregation"), "{reason}");
    assert!(hint.contains("?prefix="), "{hint}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fewer_queues_than_other_nodes_use_are_reported() {
    let corner = Corner::new();
    let _box = corner.ballot_box().await;
    let (reason, hint) = misconfigured(&corner.address_with_queues(1)).await;
    assert!(
        reason.contains("more than 1 validation queues") && hint.contains("?queues=N"),
        "{reason}; {hint}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_queues_than_other_nodes_use_are_reported() {
    let corner = Corner::new();
    let _box = corner.ballot_box().await;
    let (reason, hint) = misconfigured(&corner.address_with_queues(3)).await;
    assert!(
        reason.contains("fewer than 3 validation queues")
            && reason.contains("validation-2 is missing"),
        "{reason}"
    );
    assert!(hint.contains("?queues=N"), "{hint}");
    // The refused opening declared nothing.
    assert!(RabbitMqBallotBox::open(&corner.address()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_looked_for_where_a_ballot_box_is_alone() {
    let (corner, elsewhere) = (Corner::new(), Corner::new());
    let _box = corner.ballot_box().await;
    for (address, expected, hinted) in [
        (elsewhere.address(), "no ballot box with this prefix", "?prefix="),
        (corner.address_with_queues(1), "more than 1 validation queues", "?queues=N"),
        (corner.address_with_queues(3), "fewer than 3 validation queues", "?queues=N"),
    ] {
        match DeadLetters::open(&address).await {
            Err(EngineError::Misconfigured { reason, hint, .. }) => {
                assert!(reason.contains(expected) && hint.contains(hinted), "{reason}; {hint}");
            }
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("opened, and should have failed with {expected:?}"),
        }
    }
    // The refused openings did not create a ballot box.
    assert!(DeadLetters::open(&elsewhere.address()).await.is_err());
}

async fn put(channel: &Channel, queue: &str, kind: &str, bytes: &[u8]) {
    let properties = BasicProperties::default().with_type(kind.into());
    let published = channel
        .basic_publish("".into(), queue.into(), BasicPublishOptions::default(), bytes, properties)
        .await;
    published.expect("published").await.expect("sent");
}

/// Forwards and acknowledges batches until all expected ones were acknowledged.
async fn pass_on(ballot_box: &Arc<RabbitMqBallotBox>, expected: &BTreeSet<String>) {
    let mut missing = expected.clone();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    while !missing.is_empty() {
        tokio::select! {
            delivery = ballot_box.receive() => match delivery {
                Ok(delivery) => {
                    // A batch whose forwarding fails stays with the broker, and is redelivered.
                    while ballot_box.forward(&delivery, &Hints::new()).await.is_err() {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            validated = ballot_box.collect() => match validated {
                Ok(validated) => {
                    missing.remove(&validated.batch.digest().to_string());
                    ballot_box.acknowledge(&validated).await.expect("acknowledged");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            () = tokio::time::sleep_until(deadline) => panic!("{} batches never came", missing.len()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_in_the_queues_is_refused_and_stops_nothing() {
    let corner = Corner::new();
    let ballot_box = corner.ballot_box().await;
    let (_connection, channel) = corner.channel().await;
    for queue in ["validation-0", "validation-1", "aggregation"] {
        put(&channel, &corner.name(queue), "batch", b"no batch").await;
        put(&channel, &corner.name(queue), "validated-batch", b"VKLABEL1\xff\xff\xff\xff").await;
        // A barrier without a reply-to.
        put(&channel, &corner.name(queue), "barrier", b"").await;
        put(&channel, &corner.name(queue), "", &[]).await;
    }
    let batches: Vec<_> = (1..=4).map(|sequence| batch_of(sequence, 2)).collect();
    for batch in &batches {
        ballot_box.publish(batch).await.expect("published");
    }
    pass_on(&ballot_box, &batches.iter().map(|batch| batch.digest().to_string()).collect()).await;
    let mut notes = channel
        .basic_consume(
            corner.name("review").into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await
        .expect("reviewing");
    for _ in 0..9 {
        let note = tokio::time::timeout(Duration::from_secs(60), notes.next())
            .await
            .expect("in time")
            .expect("a note")
            .expect("whole");
        let note: serde_json::Value = serde_json::from_slice(&note.data).expect("JSON");
        assert_eq!(
            (&note["format"], &note["kind"]),
            (&"votekit-review/1".into(), &"refused".into()),
            "{note}"
        );
        assert!(
            note["reason"].as_str().is_some_and(|reason| reason.contains("is not a batch")),
            "{note}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_batches_are_kept_whole_and_noted() {
    let corner = Corner::new();
    let ballot_box = corner.ballot_box().await;
    let batch = batch_of(1, 2);
    ballot_box.publish(&batch).await.expect("published");
    let delivery = ballot_box.receive().await.expect("delivered");
    ballot_box.forward(&delivery, &Hints::new()).await.expect("forwarded");
    let validated = ballot_box.collect().await.expect("collected");
    ballot_box.reject(&validated, "its number is another one's").await.expect("rejected");
    let (_connection, channel) = corner.channel().await;
    let kept = channel
        .basic_get(corner.name("rejected").into(), BasicGetOptions::default())
        .await
        .expect("asked")
        .expect("kept");
    assert_eq!((kept.data.as_slice(), kept.message_count), (batch.as_bytes(), 0));
    assert_eq!(kept.properties.kind().as_ref().map(|kind| kind.as_str()), Some("rejected-batch"));
    let headers = kept.properties.headers().as_ref().expect("headers").inner();
    assert_eq!(headers.get("law-id"), Some(&AMQPValue::LongString("L1".into())));
    assert_eq!(
        headers.get("reason"),
        Some(&AMQPValue::LongString("its number is another one's".into()))
    );
    let note = channel
        .basic_get(corner.name("review").into(), BasicGetOptions::default())
        .await
        .expect("asked")
        .expect("noted");
    let note: serde_json::Value = serde_json::from_slice(&note.data).expect("JSON");
    assert_eq!(
        (&note["kind"], &note["reason"]),
        (&"refused".into(), &"its number is another one's".into()),
        "{note}"
    );
    assert_eq!(note["digest"], batch.digest().to_string(), "{note}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_blocks_settling_and_can_be_driven() {
    let corner = Corner::new();
    let ballot_box = corner.ballot_box().await;
    let (_connection, channel) = corner.channel().await;
    let batch = batch_of(1, 2);
    ballot_box.publish(&batch).await.expect("published");
    let put_aside = reject_until_put_aside(&corner, &channel);
    tokio::time::timeout(Duration::from_secs(120), put_aside).await.expect("it is put aside");
    let error = ballot_box.settle(&law()).await.expect_err("a dead letter").to_string();
    assert!(
        error.contains("undecided batches are in")
            && error.contains("votekit dead-letters requeue"),
        "{error}"
    );
    // Listing changes nothing.
    for _ in 0..2 {
        let letters = DeadLetters::open(&corner.address())
            .await
            .expect("opened")
            .list()
            .await
            .expect("listed");
        let [letter] = letters.as_slice() else { panic!("{letters:?}") };
        println!("{letter:?}");
        assert!(
            matches!(
                &letter.content,
                DeadContent::Batch { number, .. } if *number == batch.number()
            ),
            "{letter:?}"
        );
        assert_eq!(
            (letter.digest, letter.reason.as_str(), letter.deaths),
            (batch.digest(), "delivery_limit", 1)
        );
        assert!(letter.queue.contains("validation-") && letter.first_death.is_some(), "{letter:?}");
    }
    // It delays only its own election.
    let working = work(&ballot_box);
    ballot_box.settle(&"L2".parse().expect("a law id")).await.expect("settled");
    working.abort();
    let letters = DeadLetters::open(&corner.address()).await.expect("opened");
    assert_eq!(letters.requeue().await.expect("driven").len(), 1);
    let letters = DeadLetters::open(&corner.address()).await.expect("opened");
    assert!(letters.list().await.expect("listed").is_empty());
    pass_on(&ballot_box, &BTreeSet::from([batch.digest().to_string()])).await;
    drop(channel);
    let working = work(&ballot_box);
    ballot_box.settle(&law()).await.expect("settled");
    working.abort();
}

/// Forwards and acknowledges everything.
fn work(ballot_box: &Arc<RabbitMqBallotBox>) -> tokio::task::JoinHandle<()> {
    let ballot_box = Arc::clone(ballot_box);
    tokio::spawn(async move { pass_on(&ballot_box, &BTreeSet::from(["never".to_owned()])).await })
}

/// The probe at the end of the dead letters: in the broker's own count a letter that is delivered
/// to a reader is not there. Without the probe this settle succeeds, and a poll is closed without
/// the votes of the letter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unacknowledged_dead_letter_blocks_settling() {
    let corner = Corner::new();
    let ballot_box = corner.ballot_box().await;
    let working = work(&ballot_box);
    ballot_box.settle(&law()).await.expect("nothing was put aside");
    let (_connection, channel) = corner.channel().await;
    put(&channel, &corner.name("dead-letters"), "batch", batch_of(1, 2).as_bytes()).await;
    // In the broker's own count the queue is empty from here on.
    let options = BasicConsumeOptions::default();
    let mut holder = channel
        .basic_consume(
            corner.name("dead-letters").into(),
            "holder".into(),
            options,
            FieldTable::default(),
        )
        .await
        .expect("looking");
    let _held = holder.next().await.expect("a letter").expect("whole");
    let error = ballot_box.settle(&law()).await.expect_err("a letter is held").to_string();
    assert!(
        error.contains("another consumer holds the dead letters")
            && error.contains("votekit dead-letters"),
        "{error}"
    );
    let error = DeadLetters::open(&corner.address())
        .await
        .expect("opened")
        .list()
        .await
        .expect_err("one at a time")
        .to_string();
    assert!(error.contains("another consumer holds the dead letters"), "{error}");
    channel.close(200, "looked".into()).await.expect("closed");
    let error = ballot_box.settle(&law()).await.expect_err("it lies there again").to_string();
    assert!(error.contains("undecided batches are in"), "{error}");
    DeadLetters::open(&corner.address()).await.expect("opened").requeue().await.expect("driven");
    ballot_box.settle(&law()).await.expect("settled");
    working.abort();
}

/// The probe that a settle leaves among the dead letters: a letter that is requeued meanwhile is
/// behind the barriers, and there is no dead letter at the end either. Without the probe this
/// settle succeeds while the batch is undecided.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_that_is_driven_behind_the_barriers_is_noticed() {
    let corner = Corner::new();
    let ballot_box = corner.ballot_box().await;
    let settling = tokio::spawn({
        let ballot_box = Arc::clone(&ballot_box);
        async move { ballot_box.settle(&law()).await }
    });
    // No consumer runs: the barriers stay in their queues.
    let (_connection, channel) = corner.channel().await;
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let until = tokio::time::Instant::now() + Duration::from_secs(120);
    for queue in ["validation-0", "validation-1"] {
        let name = corner.name(queue);
        while channel
            .queue_declare(name.clone().into(), options, FieldTable::default())
            .await
            .expect("there")
            .message_count()
            == 0
        {
            assert!(tokio::time::Instant::now() < until, "no barrier in {name}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    put(&channel, &corner.name("dead-letters"), "batch", batch_of(1, 2).as_bytes()).await;
    let letters = DeadLetters::open(&corner.address()).await.expect("opened");
    assert_eq!(letters.requeue().await.expect("driven").len(), 1);
    let working = work(&ballot_box);
    let error =
        settling.await.expect("it ends").expect_err("a batch stands behind a barrier").to_string();
    assert!(error.contains("requeued meanwhile"), "{error}");
    ballot_box.settle(&law()).await.expect("settled");
    working.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn confirmed_batches_survive_a_kill_of_the_broker() {
    let server = Server::start();
    let corner = Corner::at(&server.address());
    let ballot_box = corner.ballot_box().await;
    let publishing = tokio::spawn({
        let ballot_box = Arc::clone(&ballot_box);
        async move {
            let mut confirmed = BTreeSet::new();
            for sequence in 1..=400 {
                let batch = batch_of(sequence, 2);
                while let Err(error) = ballot_box.publish(&batch).await {
                    assert!(
                        matches!(
                            error,
                            EngineError::Unavailable { .. } | EngineError::OutcomeUnknown { .. }
                        ),
                        "{error}"
                    );
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                confirmed.insert(batch.digest().to_string());
            }
            confirmed
        }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let server = tokio::task::spawn_blocking(move || server.kill_and_start_again())
        .await
        .expect("it comes back");
    let confirmed = publishing.await.expect("all is published");
    pass_on(&ballot_box, &confirmed).await;
    ballot_box.ping().await.expect("all is well");
    drop((ballot_box, corner, server));
}

/// Each queue has one active consumer, the process that consumed it first. Without sharing, a
/// process that lives but finishes nothing, because its registry or its disk hangs, keeps all
/// queues, and no vote is decided although another validator is idle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_stuck_holds_up_its_share_and_no_more() {
    let corner = Corner::new();
    let (stuck, working) = (corner.ballot_box().await, corner.ballot_box().await);
    let batches: Vec<_> = (1..=8).map(|sequence| batch_of(sequence, 2)).collect();
    for batch in &batches {
        stuck.publish(batch).await.expect("published");
    }
    for _ in &batches {
        stuck.receive().await.expect("delivered");
    }
    // The batches of one of the two queues, which are published in turn.
    for _ in 0..batches.len() / 2 {
        let delivery = tokio::time::timeout(Duration::from_secs(60), working.receive())
            .await
            .expect("the stuck process gives a queue up")
            .expect("delivered");
        working.forward(&delivery, &Hints::new()).await.expect("forwarded");
    }
}

/// The same with two processes that work: a process that starts later is of use.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_takes_its_share() {
    let corner = Corner::new();
    let boxes = [corner.ballot_box().await, corner.ballot_box().await];
    let publishing = tokio::spawn({
        let ballot_box = Arc::clone(&boxes[0]);
        async move {
            for sequence in 1.. {
                ballot_box.publish(&batch_of(sequence, 2)).await.expect("published");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    let (report, mut reports) = tokio::sync::mpsc::unbounded_channel();
    let mut receivers = tokio::task::JoinSet::new();
    for (index, ballot_box) in boxes.into_iter().enumerate() {
        let report = report.clone();
        receivers.spawn(async move {
            loop {
                let delivery = ballot_box.receive().await.expect("received");
                ballot_box.refuse(&delivery, "a sample").await.expect("refused");
                let _ = report.send(index);
            }
        });
    }
    let both = async {
        let mut seen = BTreeSet::new();
        while seen.len() < 2 {
            seen.extend(reports.recv().await);
        }
    };
    tokio::time::timeout(Duration::from_secs(60), both).await.expect("both processes receive");
    publishing.abort();
    receivers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn validators_that_cannot_share_queues_out_keep_what_they_hold() {
    let corner = Corner::new();
    let (_connection, channel) = corner.channel().await;
    // The broker refuses another declaration of this queue, as it does when the node that has the
    // queue is down.
    let name = corner.name("validators");
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel
        .queue_declare(name.clone().into(), options, FieldTable::default())
        .await
        .expect("declared");
    let ballot_box = corner.ballot_box().await;
    ballot_box.publish(&batch_of(1, 2)).await.expect("published");
    let delivery = ballot_box.receive().await.expect("delivered");
    let again = tokio::time::timeout(Duration::from_secs(3), ballot_box.receive()).await;
    assert!(again.is_err(), "the session ended: {again:?}");
    ballot_box.forward(&delivery, &Hints::new()).await.expect("forwarded");
    assert_eq!(ballot_box.collect().await.expect("collected").batch, delivery.batch);
    channel
        .queue_delete(name.into(), lapin::options::QueueDeleteOptions::default())
        .await
        .expect("deleted");
}

/// Run with `--ignored --nocapture`, in release mode.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn measure_the_way_of_batches_of_100() {
    const BATCHES: u64 = 3000;
    const PUBLISHERS: u64 = 8;
    let corner = Corner::new();
    let ballot_box = corner.ballot_box().await;
    let batches: Vec<_> = (1..=BATCHES).map(|sequence| batch_of(sequence, 100)).collect();
    for publishers in [1, PUBLISHERS] {
        let started = std::time::Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for by in 0..publishers {
            let batches: Vec<_> = batches
                .iter()
                .skip(usize::try_from(by).expect("few"))
                .step_by(usize::try_from(publishers).expect("few"))
                .cloned()
                .collect();
            let ballot_box = Arc::clone(&ballot_box);
            tasks.spawn(async move {
                let mut took = Vec::with_capacity(batches.len());
                for batch in batches {
                    let started = std::time::Instant::now();
                    ballot_box.publish(&batch).await.expect("published");
                    took.push(started.elapsed());
                }
                took
            });
        }
        let flow = tokio::spawn({
            let ballot_box = Arc::clone(&ballot_box);
            async move { flow(&ballot_box, BATCHES).await }
        });
        let mut took: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
        let published = started.elapsed();
        flow.await.expect("all came through");
        let all = started.elapsed();
        took.sort_unstable();
        let rate = |elapsed: Duration| BATCHES as f64 / elapsed.as_secs_f64();
        println!(
            "{publishers} publishers: {:.0} batches/s confirmed, {:.0} batches/s all the way; publish p50 {:?}, p95 {:?}, max {:?}",
            rate(published),
            rate(all),
            took[took.len() / 2],
            took[took.len() * 95 / 100],
            took[took.len() - 1],
        );
    }
}

/// Forwards and acknowledges `batches` batches, with 64 tasks for each.
async fn flow(ballot_box: &Arc<RabbitMqBallotBox>, batches: u64) {
    let mut tasks = tokio::task::JoinSet::new();
    let left = Arc::new(tokio::sync::Semaphore::new(usize::try_from(batches).expect("few")));
    for _ in 0..64 {
        let (forwarding, left) = (Arc::clone(ballot_box), Arc::clone(&left));
        tasks.spawn(async move {
            while let Ok(one) = left.try_acquire() {
                one.forget();
                let delivery = forwarding.receive().await.expect("received");
                forwarding.forward(&delivery, &Hints::new()).await.expect("forwarded");
            }
        });
    }
    for _ in 0..batches {
        let validated = ballot_box.collect().await.expect("collected");
        ballot_box.acknowledge(&validated).await.expect("acknowledged");
    }
    tasks.shutdown().await;
}
