//! The cases on blocks that a quorum has certified: anyone may append one.

use std::sync::Arc;

use super::super::samples::{SampleLog, law};
use super::super::{
    Case, CaseError, Outcome, TestStorage, case, ensure, ensure_eq, expect_conflict,
};
use super::leadership::{LONG, term_of};
use super::rounds::lead;
use crate::{BlockCommit, Conflict, Head, TERM_STEP_MAX};

pub(super) const CASES: &[Case] = &[
    case!(append_is_decided_by_size_and_height),
    case!(append_is_in_any_term_and_raises_the_fence),
    case!(appending_the_same_block_by_many_succeeds),
];

async fn append_is_decided_by_size_and_height(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let mut log = SampleLog::new(&law("L1"));
    let (first, second) = (log.block(10, "leaf"), log.block(300, "leaf"));
    let head = |expected, found| {
        move |conflict: &Conflict| {
            *conflict == Conflict::Head { law_id: law("L1"), expected, found }
        }
    };
    expect_conflict(ledger.append(&second).await, head(10, 0), "the second block first")?;
    ledger.append(&first).await?;
    ledger.append(&first).await?;
    let mut other_height = BlockCommit::clone(&second);
    (other_height.head.height, other_height.block.height) = (3, 3);
    let malformed = |conflict: &Conflict| matches!(conflict, Conflict::Malformed { .. });
    expect_conflict(
        ledger.append(&Arc::new(other_height)).await,
        malformed,
        "a height that does not follow",
    )?;
    ledger.append(&second).await?;
    expect_conflict(ledger.append(&first).await, head(0, 310), "the first block again")?;
    let other = SampleLog::new(&law("L1")).block(20, "other");
    expect_conflict(ledger.append(&other).await, head(0, 310), "a log of its own")?;
    ensure_eq!(ledger.head(&law("L1")).await?.as_ref(), Some(&second.head), "the head");
    let blocks = ledger.blocks(&law("L1"), 1, 10).await?;
    ensure_eq!(blocks, [first.block.clone(), second.block.clone()], "the blocks");
    ensure!(ledger.tile(&law("L1"), 0, 0).await?.is_some(), "the tile that the block fills");
    Ok(())
}

async fn append_is_in_any_term_and_raises_the_fence(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let mut log = SampleLog::new(&law("L1"));
    let term = term_of(&ledger.acquire_leadership("first", LONG, 5).await?)?;
    let is_term = |conflict: &Conflict| matches!(conflict, Conflict::Term { .. });
    let first = log.block(10, "leaf");
    expect_conflict(ledger.commit(&first).await, is_term, "a block of an earlier term")?;
    ledger.append(&first).await?;
    let with_fence = |commit: &BlockCommit, fence| Head { fence, ..commit.head.clone() };
    let head = ledger.head(&law("L1")).await?;
    ensure_eq!(head, Some(with_fence(&first, term)), "the head of the first block");
    log.term = term + 4;
    let second = log.block(10, "leaf");
    ledger.append(&second).await?;
    let head = ledger.head(&law("L1")).await?;
    ensure_eq!(head.as_ref(), Some(&second.head), "a block of a higher term");
    log.term = term;
    let third = log.block(10, "leaf");
    expect_conflict(ledger.commit(&third).await, is_term, "the fence holds for commits")?;
    ledger.append(&third).await?;
    // Another authority may append the same block with other cosignatures: the first copy stays.
    let mut other_signatures = BlockCommit::clone(&third);
    other_signatures.head.checkpoint.push(b'\n');
    ledger.append(&Arc::new(other_signatures)).await?;
    drop(ledger);
    let ledger = storage.open().await?.ledger;
    let expected = with_fence(&third, term + 4);
    ensure_eq!(ledger.head(&law("L1")).await?, Some(expected), "the head after a restart");
    ensure_eq!(ledger.blocks(&law("L1"), 1, 10).await?.len(), 3, "blocks after a restart");
    // The next term is above the fence.
    let next = lead(&*ledger, "first", "second").await?;
    ensure!(next >= term + 4, "the next term is {next}, the fence {}", term + 4);
    log.term = next;
    log.grow(&*ledger, 10).await?;
    log.term = next + 5 * TERM_STEP_MAX;
    ledger.append(&log.block(10, "leaf")).await?;
    let fence = ledger.head(&law("L1")).await?.map(|head| head.fence);
    ensure_eq!(fence, Some(next + TERM_STEP_MAX), "a block raises the term by a step at most");
    Ok(())
}

async fn appending_the_same_block_by_many_succeeds(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let mut log = SampleLog::new(&law("L1"));
    for height in 1..=5 {
        let commit = log.block(50, "leaf");
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..6 {
            let ledger = Arc::clone(&ledger);
            let mut copy = BlockCommit::clone(&commit);
            copy.head.checkpoint.extend_from_slice(format!("by {task}\n").as_bytes());
            tasks.spawn(async move { ledger.append(&Arc::new(copy)).await });
        }
        while let Some(finished) = tasks.join_next().await {
            let Ok(appended) = finished else {
                return Err(CaseError::Missing { what: "the end of a task" });
            };
            appended?;
        }
        let head = ledger.head(&law("L1")).await?;
        let found = head.map(|head| (head.height, head.size, head.root));
        let expected = (height, commit.head.size, commit.head.root);
        ensure_eq!(found, Some(expected), "the head that all appended");
    }
    Ok(())
}
