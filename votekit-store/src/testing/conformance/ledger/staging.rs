//! The cases on staging, evidence and epochs.

use std::collections::BTreeSet;
use std::sync::Arc;

use votekit_core::batch::Batch;
use votekit_core::id::{BatchNumber, ElectionId, Epoch, NodeId, Sequence};

use super::super::samples::{SampleLog, batch, batches, law, node};
use super::super::{
    Case, CaseError, Outcome, TestStorage, case, ensure, ensure_eq, exact_case, expect_conflict,
};
use crate::{BatchName, Conflict, Hints, Ledger, Restaged, Staged, StagedPosition, StagingId};

pub(super) const CASES: &[Case] = &[
    case!(staging_ids_ascend_in_order_of_arrival),
    case!(staging_again_returns_the_same_id),
    case!(batch_number_belongs_to_one_batch),
    case!(batch_numbers_are_scoped_by_election_node_and_epoch),
    case!(staged_batches_are_read_in_parts),
    case!(staging_survives_a_restart),
    case!(many_tasks_stage_at_once),
    case!(the_batch_at_a_position_is_found_by_its_election),
    case!(the_highest_sequence_of_an_epoch_is_returned),
    case!(stored_batches_are_recognised_by_their_digests),
    case!(unsealed_batches_are_those_after_the_head),
    case!(sealed_batches_remain_as_evidence),
    exact_case!(purging_counts_and_spares_the_rest),
    case!(a_batch_that_lost_its_bytes_is_stored_again_behind_the_others),
    case!(a_batch_that_is_staged_again_above_a_position_is_behind_the_others_once),
    case!(places_are_listed_with_and_without_their_batches),
    exact_case!(epochs_count_from_1),
    exact_case!(an_epoch_above_one_is_the_lowest_that_is_free),
    case!(epochs_are_never_allocated_twice),
    case!(epochs_are_listed),
];

/// Stages batches in order and returns their positions.
async fn stage_all(
    ledger: &dyn Ledger,
    batches: &[Arc<Batch>],
) -> Result<Vec<StagingId>, CaseError> {
    let mut ids = Vec::new();
    for batch in batches {
        ids.push(ledger.stage(batch, &Hints::new()).await?);
    }
    Ok(ids)
}

/// Ends a case unless a read after `after` returns exactly these batches.
async fn expect_staged(
    ledger: &dyn Ledger,
    law_id: &ElectionId,
    after: StagingId,
    expected: &[Arc<Batch>],
    what: &str,
) -> Outcome {
    let staged = ledger.staged(law_id, after, usize::MAX).await?;
    let found: Vec<&Batch> = staged.iter().map(|staged| &*staged.batch).collect();
    let expected: Vec<&Batch> = expected.iter().map(|batch| &**batch).collect();
    ensure_eq!(found, expected, what);
    ensure!(staged.is_sorted_by_key(|staged| staged.id), "{what}: places do not ascend");
    Ok(())
}

async fn staging_ids_ascend_in_order_of_arrival(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let mut ids = Vec::new();
    for sequence in 1..=20 {
        for law_id in ["L1", "L2"] {
            ids.push(
                ledger
                    .stage(&batch(&law(law_id), 1, Epoch(1), sequence, 1, 0), &Hints::new())
                    .await?,
            );
        }
    }
    ensure!(ids.is_sorted_by(|one, next| one < next), "places do not ascend: {ids:?}");
    ensure!(ids[0] > StagingId(0), "place 0 stands for none");
    expect_staged(
        &*ledger,
        &law("L2"),
        StagingId(0),
        &(1..=20).map(|n| batch(&law("L2"), 1, Epoch(1), n, 1, 0)).collect::<Vec<_>>(),
        "L2",
    )
    .await
}

async fn stored_batches_are_recognised_by_their_digests(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let stored = batches(&law("L1"), 3);
    stage_all(&*ledger, &stored).await?;
    let wanted = [
        Arc::clone(&stored[2]),
        // Another batch under a number that is taken.
        batch(&law("L1"), 1, Epoch(1), 2, 2, 77),
        Arc::clone(&stored[0]),
        batch(&law("L1"), 1, Epoch(1), 4, 2, 0),
        batch(&law("L2"), 1, Epoch(1), 1, 2, 0),
    ];
    let names: Vec<BatchName> = wanted.iter().map(|batch| BatchName::from(&**batch)).collect();
    let expected = [true, false, true, false, false];
    ensure_eq!(ledger.are_staged(&names).await?, expected, "which batches are stored");
    ensure!(ledger.are_staged(&[]).await?.is_empty(), "none of none");
    // Whether a batch without its bytes was purged is for the reader to say.
    ledger.purge_evidence(&law("L1")).await?;
    ensure_eq!(ledger.are_staged(&names).await?, [false; 5], "after a purge");
    stage_all(&*ledger, &stored[..1]).await?;
    drop(ledger);
    let ledger = storage.open().await?.ledger;
    let expected = [false, false, true, false, false];
    ensure_eq!(ledger.are_staged(&names).await?, expected, "staged again, after a restart");
    Ok(())
}

async fn staging_again_returns_the_same_id(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let mut batches = batches(&law("L1"), 5);
    batches.push(batch(&law("L1"), 1, Epoch(1), 6, 0, 0));
    let ids = stage_all(&*ledger, &batches).await?;
    ensure_eq!(stage_all(&*ledger, &batches).await?, ids, "places when staged again");
    drop(ledger);
    let ledger = storage.open().await?.ledger;
    ensure_eq!(stage_all(&*ledger, &batches).await?, ids, "places after a restart");
    expect_staged(&*ledger, &law("L1"), StagingId(0), &batches, "each batch once").await
}

async fn batch_number_belongs_to_one_batch(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let stored = batches(&law("L1"), 3);
    stage_all(&*ledger, &stored).await?;
    let other = batch(&law("L1"), 1, Epoch(1), 2, 2, 77);
    let expected = Conflict::BatchNumber {
        law_id: law("L1"),
        number: other.number(),
        stored: stored[1].digest(),
        offered: other.digest(),
    };
    // Run it among valid calls: writes of one group must be checked one by one.
    let calls: Vec<Arc<Batch>> =
        (4..=10).map(|sequence| batch(&law("L1"), 1, Epoch(1), sequence, 2, 0)).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for batch in calls {
        let ledger = Arc::clone(&ledger);
        tasks.spawn(async move { ledger.stage(&batch, &Hints::new()).await });
    }
    expect_conflict(
        ledger.stage(&other, &Hints::new()).await,
        |conflict| *conflict == expected,
        "another batch under a number",
    )?;
    while let Some(finished) = tasks.join_next().await {
        let Ok(staged) = finished else {
            return Err(CaseError::Missing { what: "the end of a task" });
        };
        staged?;
    }
    ensure_eq!(ledger.staged(&law("L1"), StagingId(0), 100).await?.len(), 10, "batches staged");
    let first = ledger.staged(&law("L1"), StagingId(0), 3).await?;
    let found: Vec<&Batch> = first.iter().map(|staged| &*staged.batch).collect();
    ensure_eq!(
        found,
        stored.iter().map(|batch| &**batch).collect::<Vec<_>>(),
        "the batches that came first"
    );
    let under_the_number = ledger.staged_batch(&law("L1"), other.number()).await?;
    ensure_eq!(under_the_number.as_ref(), Some(&stored[1]), "the batch under the number");
    let free = BatchNumber { sequence: Sequence(11), ..other.number() };
    ensure_eq!(ledger.staged_batch(&law("L1"), free).await?, None, "a batch under a free number");
    Ok(())
}

async fn batch_numbers_are_scoped_by_election_node_and_epoch(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let mut ids = BTreeSet::new();
    for law_id in ["L1", "L2"] {
        for by in 1..=2 {
            for epoch in 1..=2 {
                ids.insert(
                    ledger
                        .stage(&batch(&law(law_id), by, Epoch(epoch), 1, 1, 0), &Hints::new())
                        .await?,
                );
            }
        }
    }
    ensure_eq!(ids.len(), 8, "batches of the same sequence");
    Ok(())
}

async fn staged_batches_are_read_in_parts(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let batches = batches(&law("L1"), 25);
    stage_all(&*ledger, &batches).await?;
    let mut after = StagingId(0);
    let mut read: Vec<Staged> = Vec::new();
    loop {
        let part = ledger.staged(&law("L1"), after, 7).await?;
        ensure!(part.len() <= 7, "{} batches were read where 7 were asked for", part.len());
        let Some(last) = part.last() else { break };
        after = last.id;
        read.extend(part);
    }
    ensure!(
        read.iter()
            .map(|staged| staged.batch.digest())
            .eq(batches.iter().map(|batch| batch.digest())),
        "the parts are not the whole"
    );
    ensure!(ledger.staged(&law("L1"), StagingId(0), 0).await?.is_empty(), "none was asked for");
    ensure!(
        ledger.staged(&law("L1"), StagingId(u64::MAX), 7).await?.is_empty(),
        "nothing comes after the last place"
    );
    Ok(())
}

async fn staging_survives_a_restart(storage: &dyn TestStorage) -> Outcome {
    let batches = batches(&law("L1"), 30);
    for part in batches.chunks(10) {
        let ledger = storage.open().await?.ledger;
        stage_all(&*ledger, part).await?;
    }
    expect_staged(
        &*storage.open().await?.ledger,
        &law("L1"),
        StagingId(0),
        &batches,
        "after restarts",
    )
    .await
}

async fn many_tasks_stage_at_once(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..32_u8 {
        let ledger = Arc::clone(&ledger);
        // Each batch is staged by two tasks.
        tasks.spawn(async move {
            let mut positions = Vec::new();
            for sequence in 1..=20 {
                let batch = batch(&law("L1"), task / 2, Epoch(1), sequence, 1, 0);
                positions.push((batch.number(), ledger.stage(&batch, &Hints::new()).await?));
            }
            Ok::<_, CaseError>(positions)
        });
    }
    let mut positions = BTreeSet::new();
    while let Some(finished) = tasks.join_next().await {
        let Ok(staged) = finished else {
            return Err(CaseError::Missing { what: "the end of a task" });
        };
        positions.extend(staged?.into_iter().map(|(number, id)| (id, number)));
    }
    ensure_eq!(positions.len(), 16 * 20, "places given");
    let staged = ledger.staged(&law("L1"), StagingId(0), usize::MAX).await?;
    ensure!(
        staged
            .iter()
            .map(|staged| (staged.id, staged.batch.number()))
            .eq(positions.iter().copied()),
        "what is staged is not what was answered"
    );
    Ok(())
}

async fn the_batch_at_a_position_is_found_by_its_election(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let (one, other) =
        (batch(&law("L1"), 1, Epoch(1), 1, 1, 0), batch(&law("L2"), 1, Epoch(1), 1, 1, 0));
    let id = ledger.stage(&one, &Hints::new()).await?;
    let later = ledger.stage(&other, &Hints::new()).await?;
    for (law_id, at, expected) in [
        ("L1", id, Some(one.digest())),
        ("L2", later, Some(other.digest())),
        ("L2", id, None),
        ("L1", later, None),
        ("L3", id, None),
        ("L1", StagingId(0), None),
        ("L1", StagingId(later.0 + 1), None),
        ("L1", StagingId(u64::MAX), None),
    ] {
        let found = ledger.batch_at(&law(law_id), at).await?;
        ensure_eq!(found, expected, format!("the batch of {law_id} at {at:?}"));
    }
    ledger.purge_evidence(&law("L1")).await?;
    drop(ledger);
    let found = storage.open().await?.ledger.batch_at(&law("L1"), id).await?;
    ensure_eq!(found, Some(one.digest()), "a purged batch, after a restart");
    Ok(())
}

async fn the_highest_sequence_of_an_epoch_is_returned(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let law_id = law("L1");
    for (epoch, sequence) in [(1, 1), (1, 2), (1, 3), (2, 1)] {
        ledger.stage(&batch(&law_id, 1, Epoch(epoch), sequence, 1, 0), &Hints::new()).await?;
    }
    for (by, epoch, expected) in [(1, 1, Some(3)), (1, 2, Some(1)), (1, 3, None), (2, 1, None)] {
        let found = ledger.staged_through(&law_id, node(by), Epoch(epoch)).await?;
        ensure_eq!(found, expected.map(Sequence), format!("node {by}, epoch {epoch}"));
    }
    ensure_eq!(
        ledger.staged_through(&law("L2"), node(1), Epoch(1)).await?,
        None,
        "another election"
    );
    Ok(())
}

async fn unsealed_batches_are_those_after_the_head(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let law_id = law("L1");
    let batches = batches(&law_id, 10);
    let ids = stage_all(&*ledger, &batches).await?;
    let mut log = SampleLog::new(&law_id);
    log.grow(&*ledger, 1).await?;
    expect_staged(&*ledger, &law_id, StagingId(0), &batches, "a block that seals nothing").await?;
    for sealed in [3, 7, 10] {
        log.seal(ids[sealed - 1], &batches[sealed - 1]);
        log.grow(&*ledger, 5).await?;
        expect_staged(&*ledger, &law_id, log.sealed_through, &batches[sealed..], "unsealed")
            .await?;
    }
    let late = batch(&law_id, 1, Epoch(1), 11, 1, 0);
    let late_id = ledger.stage(&late, &Hints::new()).await?;
    ensure!(late_id > log.sealed_through, "a batch that comes after a block is not in it");
    expect_staged(&*ledger, &law_id, log.sealed_through, std::slice::from_ref(&late), "unsealed")
        .await?;
    drop(ledger);
    expect_staged(
        &*storage.open().await?.ledger,
        &law_id,
        log.sealed_through,
        &[late],
        "unsealed after a restart",
    )
    .await
}

async fn sealed_batches_remain_as_evidence(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let law_id = law("L1");
    let batches = batches(&law_id, 10);
    let ids = stage_all(&*ledger, &batches).await?;
    let mut log = SampleLog::new(&law_id);
    log.seal(ids[5], &batches[5]);
    log.grow(&*ledger, 5).await?;
    expect_staged(&*ledger, &law_id, StagingId(0), &batches, "all the evidence").await?;
    expect_staged(&*ledger, &law_id, ids[2], &batches[3..], "from the middle of what is sealed")
        .await?;
    ensure_eq!(
        stage_all(&*ledger, &batches).await?,
        ids,
        "places when sealed batches are staged again"
    );
    expect_staged(&*ledger, &law_id, ids[5], &batches[6..], "unsealed all the same").await?;
    drop(ledger);
    expect_staged(
        &*storage.open().await?.ledger,
        &law_id,
        StagingId(0),
        &batches,
        "all the evidence after a restart",
    )
    .await
}

async fn purging_counts_and_spares_the_rest(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let (purged, spared) = (law("L1"), law("L2"));
    let destroyed = batches(&purged, 600);
    let ids = stage_all(&*ledger, &destroyed).await?;
    let others = batches(&spared, 5);
    stage_all(&*ledger, &others).await?;
    let mut log = SampleLog::new(&purged);
    log.seal(ids[599], &destroyed[599]);
    let commit = log.grow(&*ledger, 300).await?;
    ensure_eq!(ledger.purge_evidence(&purged).await?, 600, "batches purged");
    ensure_eq!(ledger.purge_evidence(&purged).await?, 0, "batches left to purge");
    expect_staged(&*ledger, &purged, StagingId(0), &[], "no evidence is left").await?;
    expect_staged(&*ledger, &spared, StagingId(0), &others, "another election's batches").await?;
    drop(ledger);
    let ledger = storage.open().await?.ledger;
    expect_staged(&*ledger, &purged, StagingId(0), &[], "no evidence is left after a restart")
        .await?;
    expect_staged(
        &*ledger,
        &spared,
        StagingId(0),
        &others,
        "another election's batches after a restart",
    )
    .await?;
    ensure_eq!(ledger.head(&purged).await?.as_ref(), Some(&commit.head), "the head");
    ensure_eq!(
        ledger.blocks(&purged, 1, 10).await?,
        std::slice::from_ref(&commit.block),
        "the blocks"
    );
    ensure!(ledger.tile(&purged, 0, 0).await?.is_some(), "a tile went with the evidence");
    Ok(())
}

async fn a_batch_that_lost_its_bytes_is_stored_again_behind_the_others(
    storage: &dyn TestStorage,
) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let law_id = law("L1");
    let batches = batches(&law_id, 10);
    let ids = stage_all(&*ledger, &batches).await?;
    ledger.purge_evidence(&law_id).await?;
    expect_staged(&*ledger, &law_id, StagingId(0), &[], "evidence").await?;
    let again = stage_all(&*ledger, &batches[..3]).await?;
    // Readers may have passed the old positions.
    ensure!(again.iter().all(|id| *id > ids[9]), "an old place was given: {again:?}");
    ensure_eq!(stage_all(&*ledger, &batches[..3]).await?, again, "places when whole again");
    for (at, expected) in [(ids[0], None), (again[0], Some(batches[0].digest()))] {
        ensure_eq!(ledger.batch_at(&law_id, at).await?, expected, format!("the batch at {at:?}"));
    }
    let whole = ledger.staged_batch(&law_id, batches[1].number()).await?;
    ensure_eq!(whole.as_ref(), Some(&batches[1]), "the batch that is stored again");
    let gone = ledger.staged_batch(&law_id, batches[5].number()).await?;
    ensure_eq!(gone, None, "a batch without its bytes");
    expect_staged(&*ledger, &law_id, ids[9], &batches[..3], "behind all others").await?;
    drop(ledger);
    let ledger = storage.open().await?.ledger;
    expect_staged(&*ledger, &law_id, StagingId(0), &batches[..3], "after a restart").await?;
    let other = batch(&law_id, 1, Epoch(1), 4, 2, 77);
    let same_number = |conflict: &Conflict| matches!(conflict, Conflict::BatchNumber { .. });
    expect_conflict(
        ledger.stage(&other, &Hints::new()).await,
        same_number,
        "another batch under a purged one's number",
    )?;
    let later = ledger.stage(&batch(&law_id, 1, Epoch(1), 11, 2, 0), &Hints::new()).await?;
    ensure!(later > again[2], "a place was given twice: {later:?}");
    Ok(())
}

async fn a_batch_that_is_staged_again_above_a_position_is_behind_the_others_once(
    storage: &dyn TestStorage,
) -> Outcome {
    let (law_id, hints) = (law("L1"), Hints::new());
    let batches = batches(&law_id, 4);
    let ledger = storage.open().await?.ledger;
    let ids = stage_all(&*ledger, &batches[..3]).await?;
    let unmoved = |id| Restaged { id, is_new: false };
    let there = ledger.restage(&batches[1], &hints, ids[0]).await?;
    ensure_eq!(there, unmoved(ids[1]), "a batch that is above the position");
    let moved = ledger.restage(&batches[0], &hints, ids[0]).await?.id;
    ensure!(moved > ids[2], "an old place was given: {moved:?}");
    let again = ledger.restage(&batches[0], &hints, ids[2]).await?;
    ensure_eq!(again, unmoved(moved), "a batch that is above by now");
    ensure_eq!(ledger.batch_at(&law_id, ids[0]).await?, None, "the batch at the old place");
    let added = ledger.restage(&batches[3], &hints, moved).await?.id;
    ensure!(added > moved, "an old place was given: {added:?}");
    let other = batch(&law_id, 1, Epoch(1), 2, 2, 77);
    let replacing = ledger.restage(&other, &hints, StagingId(0)).await?.id;
    ensure!(replacing > added, "an old place was given: {replacing:?}");
    let in_order = [&batches[2], &batches[0], &batches[3], &other].map(Arc::clone);
    expect_staged(&*ledger, &law_id, StagingId(0), &in_order, "one row of each number").await?;
    drop(ledger);
    let ledger = storage.open().await?.ledger;
    expect_staged(&*ledger, &law_id, StagingId(0), &in_order, "after a restart").await?;
    let later = ledger.stage(&batch(&law_id, 1, Epoch(1), 5, 2, 0), &hints).await?;
    ensure!(later > replacing, "a place was given twice: {later:?}");
    Ok(())
}

async fn places_are_listed_with_and_without_their_batches(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let law_id = law("L1");
    let batches = batches(&law_id, 5);
    let ids = stage_all(&*ledger, &batches).await?;
    ledger.stage(&batch(&law("L2"), 1, Epoch(1), 1, 1, 0), &Hints::new()).await?;
    let expected = |has_batch| -> Vec<StagedPosition> {
        let positions = ids.iter().zip(&batches);
        positions
            .map(|(id, batch)| StagedPosition {
                id: *id,
                number: batch.number(),
                digest: batch.digest(),
                has_batch,
            })
            .collect()
    };
    ensure_eq!(ledger.staged_positions(&law_id, StagingId(0), 10).await?, expected(true), "all");
    let part = ledger.staged_positions(&law_id, ids[1], 2).await?;
    ensure_eq!(part, expected(true)[2..4], "two of them");
    ensure_eq!(ledger.staged_positions(&law_id, ids[4], 10).await?, [], "after the last");
    ensure_eq!(ledger.staged_positions(&law("L3"), StagingId(0), 10).await?, [], "of no election");
    ledger.purge_evidence(&law_id).await?;
    drop(ledger);
    let ledger = storage.open().await?.ledger;
    let purged = ledger.staged_positions(&law_id, StagingId(0), 10).await?;
    ensure_eq!(purged, expected(false), "after a purge and a restart");
    let again = ledger.stage(&batches[0], &Hints::new()).await?;
    let mut mixed = expected(false)[1..].to_vec();
    mixed.push(StagedPosition { id: again, has_batch: true, ..expected(true)[0] });
    let found = ledger.staged_positions(&law_id, StagingId(0), 10).await?;
    ensure_eq!(found, mixed, "with one that is stored again");
    Ok(())
}

async fn epochs_count_from_1(storage: &dyn TestStorage) -> Outcome {
    for epoch in 1..=5 {
        let ledger = storage.open().await?.ledger;
        for (law_id, by) in [("L1", 1), ("L1", 2), ("L2", 1)] {
            ensure_eq!(
                ledger.allocate_epoch(&law(law_id), node(by)).await?,
                Epoch(epoch),
                format!("{law_id}, node {by}")
            );
        }
    }
    Ok(())
}

async fn an_epoch_above_one_is_the_lowest_that_is_free(storage: &dyn TestStorage) -> Outcome {
    let (law_id, of) = (law("L1"), node(1));
    for (above, expected) in [(7, 8), (0, 1), (7, 9), (0, 2), (1, 3), (3, 4), (8, 10), (20, 21)] {
        let ledger = storage.open().await?.ledger;
        let given = ledger.allocate_epoch_above(&law_id, of, Epoch(above)).await?;
        ensure_eq!(given, Epoch(expected), format!("above {above}"));
    }
    let ledger = storage.open().await?.ledger;
    ensure_eq!(ledger.allocate_epoch(&law_id, of).await?, Epoch(5), "the next one");
    let highest = ledger.allocate_epoch_above(&law_id, of, Epoch(u32::MAX - 1)).await?;
    ensure_eq!(highest, Epoch(u32::MAX), "the last one");
    ensure_eq!(ledger.allocate_epoch(&law_id, of).await?, Epoch(6), "another one far above");
    let other = ledger.allocate_epoch_above(&law_id, node(2), Epoch(0)).await?;
    ensure_eq!(other, Epoch(1), "of another node");
    Ok(())
}

async fn epochs_are_never_allocated_twice(storage: &dyn TestStorage) -> Outcome {
    let mut given = BTreeSet::new();
    for _ in 0..3 {
        let ledger = storage.open().await?.ledger;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let ledger = Arc::clone(&ledger);
            tasks.spawn(async move { ledger.allocate_epoch(&law("L1"), node(1)).await });
        }
        while let Some(finished) = tasks.join_next().await {
            let Ok(epoch) = finished else {
                return Err(CaseError::Missing { what: "the end of a task" });
            };
            let epoch = epoch?;
            ensure!(epoch >= Epoch(1), "epochs count from 1");
            ensure!(given.insert(epoch), "epoch {} was given twice", epoch.0);
        }
    }
    ensure_eq!(given.len(), 60, "epochs given");
    Ok(())
}

async fn epochs_are_listed(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let mut given: BTreeSet<(NodeId, Epoch)> = BTreeSet::new();
    for by in [1, 2, 1, 3, 1] {
        given.insert((node(by), ledger.allocate_epoch(&law("L1"), node(by)).await?));
    }
    ledger.allocate_epoch(&law("L2"), node(9)).await?;
    drop(ledger);
    let listed: BTreeSet<_> =
        storage.open().await?.ledger.epochs(&law("L1")).await?.into_iter().collect();
    ensure!(
        given.is_subset(&listed),
        "an epoch that was given is not listed: {given:?} in {listed:?}"
    );
    ensure!(
        listed.iter().all(|(listed, _)| *listed != node(9)),
        "an epoch of another election is listed"
    );
    Ok(())
}
