//! The cases of [`crate::BallotBox`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use votekit_core::batch::Batch;
use votekit_core::id::{Digest, Epoch};

use super::samples::{batch, batches, law, next, next_validated};
use super::{Case, CaseError, Engines, Outcome, TestStorage, case, ensure, ensure_eq, exact_case};
use crate::{BallotBox, EngineError, Hint, Hints, StagingId};

pub(super) const CASES: &[Case] = &[
    case!(published_batch_is_delivered_unchanged),
    case!(a_delivery_waits_for_a_publication),
    case!(each_of_many_batches_is_delivered),
    case!(many_publishers_and_receivers_lose_nothing),
    case!(publishing_again_is_safe),
    case!(published_batch_survives_a_restart),
    case!(unacknowledged_batch_is_redelivered_after_a_restart),
    case!(forwarding_and_acknowledging_again_is_safe),
    case!(cancelled_receive_loses_nothing),
    case!(elections_share_the_box),
    case!(more_batches_pass_than_fit_at_once),
    case!(hints_travel_with_their_batch),
    case!(unacknowledged_validated_batch_is_collected_again_after_a_restart),
    exact_case!(refused_batch_is_not_redelivered),
    exact_case!(rejected_batch_is_not_redelivered),
    case!(settle_of_an_empty_box_returns),
    case!(settle_waits_for_earlier_publications),
    case!(settle_can_be_repeated),
];

/// Receives and forwards until each of these batches is delivered, and collects, stages and
/// acknowledges until each is collected.
async fn take_all(roles: &Engines, expected: &[Arc<Batch>]) -> Outcome {
    let missing = || -> BTreeMap<Digest, &Arc<Batch>> {
        expected.iter().map(|batch| (batch.digest(), batch)).collect()
    };
    let (mut undelivered, mut uncollected) = (missing(), missing());
    while !uncollected.is_empty() {
        // At most 64 batches are forwarded and not yet collected.
        while !undelivered.is_empty()
            && expected.len() - undelivered.len() < 64 + expected.len() - uncollected.len()
        {
            let delivery = next(&*roles.ballot_box).await?;
            if let Some(batch) = undelivered.remove(&delivery.batch.digest()) {
                ensure!(
                    batch.as_bytes() == delivery.batch.as_bytes(),
                    "{batch:?} was delivered with other bytes"
                );
            }
            roles.ballot_box.forward(&delivery, &Hints::new()).await?;
        }
        let validated = next_validated(&*roles.ballot_box).await?;
        if let Some(batch) = uncollected.remove(&validated.batch.digest()) {
            ensure!(
                batch.as_bytes() == validated.batch.as_bytes(),
                "{batch:?} was collected with other bytes"
            );
        }
        roles.ledger.stage(&validated.batch, &validated.hints).await?;
        roles.ballot_box.acknowledge(&validated).await?;
    }
    Ok(())
}

async fn publish_all(ballot_box: &dyn BallotBox, batches: &[Arc<Batch>]) -> Outcome {
    for batch in batches {
        ballot_box.publish(batch).await?;
    }
    Ok(())
}

async fn published_batch_is_delivered_unchanged(storage: &dyn TestStorage) -> Outcome {
    let roles = storage.open().await?;
    let batch = batch(&law("L1"), 1, Epoch(1), 1, 500, 0);
    roles.ballot_box.publish(&batch).await?;
    take_all(&roles, &[batch]).await
}

async fn a_delivery_waits_for_a_publication(storage: &dyn TestStorage) -> Outcome {
    let roles = storage.open().await?;
    let waiting = tokio::spawn({
        let roles = roles.clone();
        async move { take_all(&roles, &batches(&law("L1"), 1)).await }
    });
    tokio::task::yield_now().await;
    publish_all(&*roles.ballot_box, &batches(&law("L1"), 1)).await?;
    waiting.await.unwrap_or(Err(CaseError::Missing { what: "the end of a task" }))
}

async fn each_of_many_batches_is_delivered(storage: &dyn TestStorage) -> Outcome {
    let roles = storage.open().await?;
    let batches = batches(&law("L1"), 100);
    publish_all(&*roles.ballot_box, &batches).await?;
    take_all(&roles, &batches).await
}

async fn many_publishers_and_receivers_lose_nothing(storage: &dyn TestStorage) -> Outcome {
    const PUBLISHERS: u8 = 8;
    let roles = storage.open().await?;
    let mut publishers = tokio::task::JoinSet::new();
    let mut expected = BTreeSet::new();
    for by in 0..PUBLISHERS {
        let batches: Vec<_> =
            (1..=20).map(|sequence| batch(&law("L1"), by, Epoch(1), sequence, 1, 0)).collect();
        expected.extend(batches.iter().map(|batch| batch.digest()));
        let ballot_box = Arc::clone(&roles.ballot_box);
        publishers.spawn(async move { publish_all(&*ballot_box, &batches).await });
    }
    let (report, mut delivered) = tokio::sync::mpsc::channel(64);
    let mut receivers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (roles, report) = (roles.clone(), report.clone());
        receivers.spawn(async move {
            loop {
                let delivery = next(&*roles.ballot_box).await?;
                roles.ballot_box.refuse(&delivery, "a sample").await?;
                if report.send(delivery.batch.digest()).await.is_err() {
                    return Outcome::Ok(());
                }
            }
        });
    }
    drop(report);
    while !expected.is_empty() {
        let Some(digest) = delivered.recv().await else {
            return Err(CaseError::Missing { what: "a delivery" });
        };
        expected.remove(&digest);
    }
    receivers.shutdown().await;
    while let Some(publisher) = publishers.join_next().await {
        publisher.unwrap_or(Err(CaseError::Missing { what: "the end of a task" }))?;
    }
    Ok(())
}

async fn publishing_again_is_safe(storage: &dyn TestStorage) -> Outcome {
    let roles = storage.open().await?;
    let batches = batches(&law("L1"), 3);
    for _ in 0..3 {
        publish_all(&*roles.ballot_box, &batches).await?;
    }
    take_all(&roles, &batches).await?;
    publish_all(&*roles.ballot_box, &batches).await?;
    take_all(&roles, &batches).await?;
    let staged = roles.ledger.staged(&law("L1"), StagingId(0), 10).await?;
    ensure_eq!(staged.len(), 3, "batches in staging");
    Ok(())
}

async fn published_batch_survives_a_restart(storage: &dyn TestStorage) -> Outcome {
    let roles = storage.open().await?;
    let batches = batches(&law("L1"), 200);
    publish_all(&*roles.ballot_box, &batches).await?;
    drop(roles);
    take_all(&storage.open().await?, &batches).await
}

async fn unacknowledged_batch_is_redelivered_after_a_restart(storage: &dyn TestStorage) -> Outcome {
    let roles = storage.open().await?;
    let batches = batches(&law("L1"), 5);
    publish_all(&*roles.ballot_box, &batches).await?;
    let mut deliveries = Vec::new();
    for _ in &batches {
        deliveries.push(next(&*roles.ballot_box).await?);
    }
    drop((deliveries, roles));
    take_all(&storage.open().await?, &batches).await
}

async fn forwarding_and_acknowledging_again_is_safe(storage: &dyn TestStorage) -> Outcome {
    let roles = storage.open().await?;
    let batches = batches(&law("L1"), 2);
    publish_all(&*roles.ballot_box, &batches[..1]).await?;
    let delivery = next(&*roles.ballot_box).await?;
    for _ in 0..3 {
        roles.ballot_box.forward(&delivery, &Hints::new()).await?;
    }
    let validated = next_validated(&*roles.ballot_box).await?;
    roles.ledger.stage(&validated.batch, &validated.hints).await?;
    for _ in 0..3 {
        roles.ballot_box.acknowledge(&validated).await?;
    }
    publish_all(&*roles.ballot_box, &batches[1..]).await?;
    take_all(&roles, &batches[1..]).await
}

async fn cancelled_receive_loses_nothing(storage: &dyn TestStorage) -> Outcome {
    let roles = storage.open().await?;
    let batches = batches(&law("L1"), 20);
    for batch in &batches {
        // A receiver polls once and stops waiting, whether or not there is a delivery.
        for _ in 0..3 {
            let mut receive = roles.ballot_box.receive();
            let polled = std::future::poll_fn(|context| {
                std::task::Poll::Ready(receive.as_mut().poll(context))
            })
            .await;
            if let std::task::Poll::Ready(delivery) = polled {
                // This delivery is not released. Publish its batch again, as a node does without a
                // confirmation.
                drop(receive);
                roles.ballot_box.publish(&delivery?.batch).await?;
            }
        }
        roles.ballot_box.publish(batch).await?;
    }
    take_all(&roles, &batches).await
}

async fn elections_share_the_box(storage: &dyn TestStorage) -> Outcome {
    let roles = storage.open().await?;
    let mut all = batches(&law("L1"), 70);
    all.extend(batches(&law("L2"), 70));
    all.extend(batches(&law("L-3"), 1));
    publish_all(&*roles.ballot_box, &all).await?;
    drop(roles);
    let roles = storage.open().await?;
    let later = [batch(&law("L2"), 2, Epoch(1), 1, 1, 0)];
    publish_all(&*roles.ballot_box, &later).await?;
    all.extend(later);
    take_all(&roles, &all).await
}

async fn more_batches_pass_than_fit_at_once(storage: &dyn TestStorage) -> Outcome {
    let roles = storage.open().await?;
    let batches: Vec<_> =
        (1..=1500).map(|sequence| batch(&law("L1"), 1, Epoch(1), sequence, 1, 0)).collect();
    let publisher = tokio::spawn({
        let (ballot_box, batches) = (Arc::clone(&roles.ballot_box), batches.clone());
        async move { publish_all(&*ballot_box, &batches).await }
    });
    take_all(&roles, &batches).await?;
    publisher.await.unwrap_or(Err(CaseError::Missing { what: "the end of a task" }))
}

async fn hints_travel_with_their_batch(storage: &dyn TestStorage) -> Outcome {
    let roles = storage.open().await?;
    let hints = vec![
        Hint::Accepted,
        Hint::Duplicate { attempt: 2 },
        Hint::Duplicate { attempt: u32::MAX },
        Hint::Revoked,
        Hint::Unknown,
    ];
    let validated = batch(&law("L1"), 1, Epoch(1), 1, 5, 0);
    let without = batch(&law("L1"), 1, Epoch(1), 2, 5, 0);
    for (batch, hints) in [(validated, hints), (without, Hints::new())] {
        roles.ballot_box.publish(&batch).await?;
        pass(&roles, &batch, &hints).await?;
        let collected = loop {
            let collected = next_validated(&*roles.ballot_box).await?;
            roles.ledger.stage(&collected.batch, &collected.hints).await?;
            roles.ballot_box.acknowledge(&collected).await?;
            if collected.batch == batch {
                break collected;
            }
        };
        ensure_eq!(collected.hints, hints, "hints of a batch");
    }
    Ok(())
}

/// Receives and forwards until `batch` is delivered, and forwards it with `hints`.
async fn pass(roles: &Engines, batch: &Arc<Batch>, hints: &Hints) -> Outcome {
    loop {
        let delivery = next(&*roles.ballot_box).await?;
        let found = delivery.batch == *batch;
        let none = Hints::new();
        roles.ballot_box.forward(&delivery, if found { hints } else { &none }).await?;
        if found {
            return Ok(());
        }
    }
}

async fn unacknowledged_validated_batch_is_collected_again_after_a_restart(
    storage: &dyn TestStorage,
) -> Outcome {
    let roles = storage.open().await?;
    let batches = batches(&law("L1"), 5);
    publish_all(&*roles.ballot_box, &batches).await?;
    for batch in &batches {
        let delivery = next(&*roles.ballot_box).await?;
        ensure!(batches.contains(&delivery.batch), "{batch:?} or its like was expected");
        roles.ballot_box.forward(&delivery, &Hints::new()).await?;
    }
    // One batch is collected, none acknowledged.
    let collected = next_validated(&*roles.ballot_box).await?;
    drop((collected, roles));
    let roles = storage.open().await?;
    let mut uncollected: BTreeSet<Digest> = batches.iter().map(|batch| batch.digest()).collect();
    while !uncollected.is_empty() {
        // An engine may deliver the batches for validation again.
        tokio::select! {
            delivery = next(&*roles.ballot_box) => {
                roles.ballot_box.forward(&delivery?, &Hints::new()).await?;
            }
            validated = next_validated(&*roles.ballot_box) => {
                let validated = validated?;
                uncollected.remove(&validated.batch.digest());
                roles.ledger.stage(&validated.batch, &validated.hints).await?;
                roles.ballot_box.acknowledge(&validated).await?;
            }
        }
    }
    Ok(())
}

async fn refused_batch_is_not_redelivered(storage: &dyn TestStorage) -> Outcome {
    let roles = storage.open().await?;
    let batches = batches(&law("L1"), 3);
    publish_all(&*roles.ballot_box, &batches[..1]).await?;
    let delivery = next(&*roles.ballot_box).await?;
    for _ in 0..3 {
        roles.ballot_box.refuse(&delivery, "a sample").await?;
    }
    publish_all(&*roles.ballot_box, &batches[1..]).await?;
    for _ in 0..2 {
        let delivery = next(&*roles.ballot_box).await?;
        ensure!(delivery.batch != batches[0], "a batch that was refused came again");
        roles.ballot_box.forward(&delivery, &Hints::new()).await?;
    }
    for _ in 0..2 {
        let validated = next_validated(&*roles.ballot_box).await?;
        ensure!(validated.batch != batches[0], "a batch that was refused was collected");
        roles.ballot_box.acknowledge(&validated).await?;
    }
    Ok(())
}

async fn rejected_batch_is_not_redelivered(storage: &dyn TestStorage) -> Outcome {
    let roles = storage.open().await?;
    let batches = batches(&law("L1"), 2);
    publish_all(&*roles.ballot_box, &batches[..1]).await?;
    pass(&roles, &batches[0], &Hints::new()).await?;
    let validated = next_validated(&*roles.ballot_box).await?;
    for _ in 0..3 {
        roles.ballot_box.reject(&validated, "a sample").await?;
    }
    // A rejected batch delays neither later batches nor settling.
    publish_all(&*roles.ballot_box, &batches[1..]).await?;
    pass(&roles, &batches[1], &Hints::new()).await?;
    let validated = next_validated(&*roles.ballot_box).await?;
    ensure!(validated.batch == batches[1], "a batch that was rejected was collected again");
    roles.ledger.stage(&validated.batch, &validated.hints).await?;
    roles.ballot_box.acknowledge(&validated).await?;
    let _working = work(&roles);
    settle(&roles).await
}

/// Spawns tasks that validate and stage. They end when the returned set is dropped.
fn work(roles: &Engines) -> tokio::task::JoinSet<Outcome> {
    let mut working = tokio::task::JoinSet::new();
    let validating = roles.clone();
    working.spawn(async move {
        loop {
            let delivery = next(&*validating.ballot_box).await?;
            validating.ballot_box.forward(&delivery, &Hints::new()).await?;
        }
    });
    let staging = roles.clone();
    working.spawn(async move {
        loop {
            let validated = next_validated(&*staging.ballot_box).await?;
            staging.ledger.stage(&validated.batch, &validated.hints).await?;
            staging.ballot_box.acknowledge(&validated).await?;
        }
    });
    working
}

/// Settles, with up to 100 attempts while the error is transient.
async fn settle(roles: &Engines) -> Outcome {
    for _ in 0..100 {
        match roles.ballot_box.settle(&law("L1")).await {
            Err(EngineError::Unavailable { .. } | EngineError::OutcomeUnknown { .. }) => {
                tokio::task::yield_now().await
            }
            outcome => return Ok(outcome?),
        }
    }
    Err(CaseError::Missing { what: "the end of settling" })
}

async fn settle_of_an_empty_box_returns(storage: &dyn TestStorage) -> Outcome {
    let roles = storage.open().await?;
    let _working = work(&roles);
    settle(&roles).await
}

async fn settle_waits_for_earlier_publications(storage: &dyn TestStorage) -> Outcome {
    let roles = storage.open().await?;
    let before = batches(&law("L1"), 40);
    publish_all(&*roles.ballot_box, &before).await?;
    let _working = work(&roles);
    // Batches published during the call must not delay settling. Their number is limited: with
    // injected faults, each message may occupy its consumer's capacity permanently.
    let mut publishing = tokio::task::JoinSet::new();
    let ballot_box = Arc::clone(&roles.ballot_box);
    publishing.spawn(async move {
        for sequence in 1..=500 {
            ballot_box.publish(&batch(&law("L2"), 2, Epoch(1), sequence, 1, 0)).await?;
            tokio::task::yield_now().await;
        }
        Outcome::Ok(())
    });
    settle(&roles).await?;
    let staged: BTreeSet<Digest> = roles
        .ledger
        .staged(&law("L1"), StagingId(0), 1000)
        .await?
        .iter()
        .map(|staged| staged.batch.digest())
        .collect();
    let missing = before.iter().filter(|batch| !staged.contains(&batch.digest())).count();
    ensure_eq!(missing, 0, "batches published before settling, and not staged after it");
    Ok(())
}

async fn settle_can_be_repeated(storage: &dyn TestStorage) -> Outcome {
    let roles = storage.open().await?;
    // Some callers give up early. Messages that they left in the box must not block later callers.
    for _ in 0..3 {
        let law_id = law("L1");
        let settling = roles.ballot_box.settle(&law_id);
        let _ = tokio::time::timeout(std::time::Duration::from_millis(50), settling).await;
    }
    let batches = batches(&law("L1"), 20);
    publish_all(&*roles.ballot_box, &batches).await?;
    let _working = work(&roles);
    for _ in 0..3 {
        settle(&roles).await?;
    }
    let staged = roles.ledger.staged(&law("L1"), StagingId(0), 1000).await?;
    ensure_eq!(staged.len(), batches.len(), "batches in staging");
    Ok(())
}
