//! The cases on blocks, heads and tiles.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use votekit_core::election_log::leaves_of_block;
use votekit_core::id::Epoch;
use votekit_core::instant::UnixMillis;
use votekit_core::log::tile::encode_hashes;

use super::super::samples::{SampleLog, batch, law};
use super::super::{
    Case, CaseError, Outcome, TestStorage, case, ensure, ensure_eq, expect_conflict,
};
use crate::{BlockCommit, Changes, Conflict, Hints, Ledger, LogPosition, StagingId};

pub(super) const CASES: &[Case] = &[
    case!(the_first_block_creates_the_log),
    case!(heads_and_blocks_survive_a_restart),
    case!(block_that_does_not_extend_the_head_is_refused),
    case!(block_of_a_lower_term_is_refused),
    case!(block_after_its_deadline_is_refused),
    case!(inconsistent_block_is_refused),
    case!(a_block_seals_through_a_position_only_with_the_batch_that_is_staged_there),
    case!(committing_the_head_again_succeeds),
    case!(another_block_at_the_heads_height_is_refused),
    case!(only_one_of_two_competing_blocks_commits),
    case!(blocks_are_read_from_a_height_on),
    case!(leaves_are_read_in_any_range),
    case!(full_tiles_are_kept),
    case!(positions_and_changes_follow_heads_and_staging),
];

/// Timeout for a change notification: the engine may have to open a listening connection first.
const CHANGE_TIME: Duration = Duration::from_secs(60);

/// Ends a case unless the ledger holds exactly these blocks and the head after them.
async fn expect_log(ledger: &dyn Ledger, commits: &[Arc<BlockCommit>], what: &str) -> Outcome {
    let Some(last) = commits.last() else {
        return Err(CaseError::Missing { what: "a block to expect" });
    };
    ensure_eq!(
        ledger.head(&last.law_id).await?.as_ref(),
        Some(&last.head),
        format!("{what}: the head")
    );
    let blocks = ledger.blocks(&last.law_id, 1, usize::MAX).await?;
    ensure!(
        blocks.iter().eq(commits.iter().map(|commit| &commit.block)),
        "{what}: the blocks are not those committed"
    );
    for full in commits.iter().flat_map(|commit| &commit.full_tiles) {
        let found = ledger.tile(&last.law_id, full.tile.level(), full.tile.index()).await?;
        ensure!(
            found == Some(encode_hashes(&full.hashes)),
            "{what}: {} is not as it was",
            full.tile
        );
    }
    Ok(())
}

async fn the_first_block_creates_the_log(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    // Staging alone does not create a log.
    ledger.stage(&batch(&law("L1"), 1, Epoch(1), 1, 1, 0), &Hints::new()).await?;
    ensure_eq!(ledger.elections().await?, [], "elections before a block");
    for law_id in ["L2", "L1", "L3"] {
        SampleLog::new(&law(law_id)).grow(&*ledger, 1).await?;
    }
    ensure_eq!(
        ledger.elections().await?,
        ["L2", "L1", "L3"].map(law),
        "elections in the order of their logs"
    );
    drop(ledger);
    ensure_eq!(
        storage.open().await?.ledger.elections().await?,
        ["L2", "L1", "L3"].map(law),
        "elections after a restart"
    );
    Ok(())
}

async fn heads_and_blocks_survive_a_restart(storage: &dyn TestStorage) -> Outcome {
    let mut logs = [SampleLog::new(&law("L1")), SampleLog::new(&law("L2"))];
    let mut commits = [Vec::new(), Vec::new()];
    for leaf_count in [1, 255, 300, 7] {
        let ledger = storage.open().await?.ledger;
        for (log, commits) in logs.iter_mut().zip(&mut commits) {
            commits.push(log.grow(&*ledger, leaf_count).await?);
            expect_log(&*ledger, commits, "before a restart").await?;
        }
    }
    let ledger = storage.open().await?.ledger;
    for commits in &commits {
        expect_log(&*ledger, commits, "after a restart").await?;
    }
    Ok(())
}

async fn block_that_does_not_extend_the_head_is_refused(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let mut log = SampleLog::new(&law("L1"));
    let early = log.clone();
    let first = log.block(10, "leaf");
    let second = log.block(10, "leaf");
    let head = |expected, found| {
        move |conflict: &Conflict| {
            *conflict == Conflict::Head { law_id: law("L1"), expected, found }
        }
    };
    expect_conflict(ledger.commit(&second).await, head(10, 0), "the second block first")?;
    ensure_eq!(ledger.head(&law("L1")).await?, None, "the head");
    ledger.commit(&first).await?;
    ledger.commit(&second).await?;
    expect_conflict(ledger.commit(&first).await, head(0, 20), "the first block after the second")?;
    let other = early.clone().block(30, "other");
    expect_conflict(ledger.commit(&other).await, head(0, 20), "a log of its own")?;
    let (_, third) = (log.block(1, "leaf"), log.block(1, "leaf"));
    expect_conflict(ledger.commit(&third).await, head(21, 20), "a block too far")?;
    expect_log(&*ledger, &[first, second], "nothing of them was written").await
}

async fn block_of_a_lower_term_is_refused(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let mut log = SampleLog::new(&law("L1"));
    let mut commits = Vec::new();
    for term in [3, 3, 7] {
        log.term = term;
        commits.push(log.grow(&*ledger, 4).await?);
    }
    let mut stale = log.clone();
    stale.term = 6;
    let term = |conflict: &Conflict| {
        *conflict == Conflict::Term { law_id: law("L1"), offered: 6, found: 7 }
    };
    expect_conflict(ledger.commit(&stale.block(4, "leaf")).await, term, "a block of a lower term")?;
    expect_log(&*ledger, &commits, "nothing of it was written").await?;
    commits.push(log.grow(&*ledger, 4).await?);
    expect_log(&*ledger, &commits, "the same term goes on").await
}

async fn block_after_its_deadline_is_refused(storage: &dyn TestStorage) -> Outcome {
    const LONG_MILLIS: u64 = 600_000;
    let ledger = storage.open().await?.ledger;
    let mut log = SampleLog::new(&law("L1"));
    let mut commits = vec![log.grow(&*ledger, 3).await?];
    let now = ledger.clock().await?;
    ensure!(ledger.clock().await? >= now, "the clock goes back");
    let with_time = |log: &mut SampleLog, not_after: u64| {
        let commit = BlockCommit {
            not_after: Some(UnixMillis(not_after)),
            ..BlockCommit::clone(&log.block(3, "leaf"))
        };
        Arc::new(commit)
    };
    let late = |conflict: &Conflict| *conflict == Conflict::Late { law_id: law("L1") };
    expect_conflict(
        ledger.commit(&with_time(&mut log.clone(), now.0 - LONG_MILLIS)).await,
        late,
        "a block that comes too late",
    )?;
    expect_log(&*ledger, &commits, "nothing of it was written").await?;
    let in_time = with_time(&mut log, now.0 + LONG_MILLIS);
    ledger.commit(&in_time).await?;
    // The same block again after its deadline: it is already stored, so it is not late.
    let again = Arc::new(BlockCommit {
        not_after: Some(UnixMillis(now.0 - LONG_MILLIS)),
        ..BlockCommit::clone(&in_time)
    });
    ledger.commit(&again).await?;
    commits.push(in_time);
    expect_log(&*ledger, &commits, "a block that came in time").await
}

async fn inconsistent_block_is_refused(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let mut log = SampleLog::new(&law("L1"));
    let staged = batch(&law("L1"), 1, Epoch(1), 1, 1, 0);
    log.seal(ledger.stage(&staged, &Hints::new()).await?, &staged);
    let mut commits = vec![log.grow(&*ledger, 300).await?];
    let good = log.clone().block(300, "leaf");
    type Spoil = fn(&mut BlockCommit);
    let spoiled: [(&str, Spoil); 11] = [
        ("a head of another size", |commit| commit.head.size += 1),
        ("a head of another height", |commit| commit.head.height += 1),
        ("a height that does not follow", |commit| {
            (commit.head.height, commit.block.height) = (3, 3)
        }),
        ("a leaf less than it counts", |commit| {
            commit.block.leaves.truncate(commit.block.leaves.len() - 10)
        }),
        ("a byte more than its leaves", |commit| commit.block.leaves.push(0)),
        ("no leaf", |commit| {
            commit.block.leaves.clear();
            (commit.block.leaf_count, commit.head.size) = (0, 300);
            commit.full_tiles.clear();
        }),
        ("a tile missing", |commit| commit.full_tiles.clear()),
        ("a tile twice", |commit| commit.full_tiles.push(commit.full_tiles[0].clone())),
        ("a tile cut short", |commit| commit.full_tiles[0].hashes.truncate(255)),
        ("sealed less than before", |commit| commit.head.sealed_through = StagingId(0)),
        ("numbers beyond all bounds", |commit| commit.head.fence = u64::MAX),
    ];
    for (what, spoil) in spoiled {
        let mut bad = BlockCommit::clone(&good);
        spoil(&mut bad);
        let malformed = |conflict: &Conflict| matches!(conflict, Conflict::Malformed { .. });
        expect_conflict(ledger.commit(&Arc::new(bad)).await, malformed, what)?;
    }
    expect_log(&*ledger, &commits, "nothing of them was written").await?;
    ledger.commit(&good).await?;
    commits.push(good);
    expect_log(&*ledger, &commits, "the good block").await
}

/// As after the ledger was restored from an older copy while nodes run that had read staging
/// before: the positions that they know have other batches, or none.
async fn a_block_seals_through_a_position_only_with_the_batch_that_is_staged_there(
    storage: &dyn TestStorage,
) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let [first, second, later] =
        [1, 2, 3].map(|sequence| batch(&law("L1"), 1, Epoch(1), sequence, 1, 0));
    let foreign = batch(&law("L2"), 1, Epoch(1), 1, 1, 0);
    let mut ids = Vec::new();
    for batch in [&first, &second, &foreign] {
        ids.push(ledger.stage(batch, &Hints::new()).await?);
    }
    let mut log = SampleLog::new(&law("L1"));
    let mut commits = Vec::new();
    // The first block of a log is one of these too.
    for (id, batch) in [(ids[0], &first), (ids[1], &second)] {
        let mut without = BlockCommit::clone(&log.clone().block(3, "leaf"));
        (without.head.sealed_through, without.sealed_batch) = (id, None);
        let mut refused = vec![(id, Arc::new(without))];
        for (at, named) in [
            (id, &later),
            (id, &foreign),
            (ids[2], &foreign),
            (ids[2], batch),
            (StagingId(ids[2].0 + 1), &later),
        ] {
            let mut wrong = log.clone();
            wrong.seal(at, named);
            refused.push((at, wrong.block(3, "leaf")));
        }
        for (at, commit) in refused {
            let position = at.0;
            let is_it = |conflict: &Conflict| {
                *conflict == Conflict::NotStaged { law_id: law("L1"), position }
            };
            expect_conflict(ledger.commit(&commit).await, is_it, "a block that is committed")?;
            expect_conflict(ledger.append(&commit).await, is_it, "a block that is appended")?;
        }
        log.seal(id, batch);
        commits.push(log.grow(&*ledger, 3).await?);
        expect_log(&*ledger, &commits, "nothing of the others was written").await?;
    }
    // A block that leaves the position where it is names no batch, and it may be purged.
    ledger.purge_evidence(&law("L1")).await?;
    let mut still = BlockCommit::clone(&log.block(3, "leaf"));
    still.sealed_batch = None;
    commits.push(Arc::new(still));
    ledger.append(&commits[2]).await?;
    expect_log(&*ledger, &commits, "a block that seals nothing more").await
}

async fn committing_the_head_again_succeeds(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let mut log = SampleLog::new(&law("L1"));
    let mut commits = Vec::new();
    for _ in 0..3 {
        let commit = log.grow(&*ledger, 200).await?;
        for _ in 0..3 {
            ledger.commit(&commit).await?;
        }
        commits.push(commit);
    }
    expect_log(&*ledger, &commits, "committed again").await?;
    drop(ledger);
    let ledger = storage.open().await?.ledger;
    ledger.commit(&commits[2]).await?;
    expect_log(&*ledger, &commits, "committed again after a restart").await
}

async fn another_block_at_the_heads_height_is_refused(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let mut log = SampleLog::new(&law("L1"));
    let first = log.grow(&*ledger, 10).await?;
    let other = log.clone().block(10, "other");
    let second = log.grow(&*ledger, 10).await?;
    let head = |conflict: &Conflict| {
        *conflict == Conflict::Head { law_id: law("L1"), expected: 10, found: 20 }
    };
    expect_conflict(ledger.commit(&other).await, head, "other leaves in the head's place")?;
    let mut same_head = BlockCommit::clone(&other);
    same_head.head = second.head.clone();
    expect_conflict(
        ledger.commit(&Arc::new(same_head)).await,
        head,
        "other leaves under the same head",
    )?;
    let mut other_root = BlockCommit::clone(&second);
    other_root.head.root = first.head.root;
    expect_conflict(
        ledger.commit(&Arc::new(other_root)).await,
        head,
        "the same leaves under another root",
    )?;
    // Another authority may append the same block with other cosignatures: the first copy stays.
    let mut other_signatures = BlockCommit::clone(&second);
    other_signatures.head.checkpoint.push(b'\n');
    ledger.commit(&Arc::new(other_signatures)).await?;
    expect_log(&*ledger, &[first, second], "nothing of them was written").await
}

async fn only_one_of_two_competing_blocks_commits(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let mut log = SampleLog::new(&law("L1"));
    let mut commits = Vec::new();
    for height in 1..=5 {
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..8 {
            let ledger = Arc::clone(&ledger);
            let mut log = log.clone();
            tasks.spawn(async move {
                let commit = log.block(50, &format!("{height} by {task}"));
                let outcome = ledger.commit(&commit).await;
                (outcome, commit, log)
            });
        }
        let mut winners = 0;
        while let Some(finished) = tasks.join_next().await {
            let Ok((outcome, commit, grown)) = finished else {
                return Err(CaseError::Missing { what: "the end of a task" });
            };
            if outcome.is_ok() {
                winners += 1;
                log = grown;
                commits.push(commit);
            } else {
                expect_conflict(
                    outcome,
                    |conflict| matches!(conflict, Conflict::Head { .. }),
                    "a block that came second",
                )?;
            }
        }
        ensure_eq!(winners, 1, format!("blocks committed at height {height}"));
    }
    expect_log(&*ledger, &commits, "the winners").await
}

async fn blocks_are_read_from_a_height_on(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let mut log = SampleLog::new(&law("L1"));
    for leaf_count in 1..=10 {
        log.grow(&*ledger, leaf_count).await?;
    }
    for (from, limit, expected) in
        [(1, 100, 1..=10), (4, 3, 4..=6), (0, 2, 1..=2), (10, 5, 10..=10)]
    {
        let blocks = ledger.blocks(&law("L1"), from, limit).await?;
        let heights: Vec<u64> = blocks.iter().map(|block| block.height).collect();
        ensure_eq!(
            heights,
            expected.collect::<Vec<u64>>(),
            format!("{limit} blocks from {from} on")
        );
    }
    for (from, limit) in [(11, 100), (1, 0), (u64::MAX, 100)] {
        ensure_eq!(
            ledger.blocks(&law("L1"), from, limit).await?,
            [],
            format!("{limit} blocks from {from} on")
        );
    }
    Ok(())
}

async fn leaves_are_read_in_any_range(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let mut log = SampleLog::new(&law("L1"));
    SampleLog::new(&law("L2")).grow(&*ledger, 1000).await?;
    let mut leaves: Vec<Vec<u8>> = Vec::new();
    for leaf_count in [1, 10, 300, 1, 700, 256] {
        let commit = log.grow(&*ledger, leaf_count).await?;
        let behind_lengths = |leaf: &[u8]| [&(leaf.len() as u16).to_be_bytes(), leaf].concat();
        leaves.extend(leaves_of_block(&commit.block.leaves).flatten().map(behind_lengths));
    }
    let size = leaves.len();
    for (first, count) in [
        (0, 1),
        (0, size),
        (1, 9),
        (5, 400),
        (255, 2),
        (256, 256),
        (311, 1),
        (size - 1, 1),
        (size, 0),
        (7, 0),
    ] {
        let found = ledger.leaves(&law("L1"), first as u64, count as u32).await?;
        ensure!(
            found == Some(leaves[first..first + count].concat()),
            "{count} leaves from {first} on are not as they were"
        );
    }
    for (first, count) in [
        (size as u64, 1),
        (0, size as u32 + 1),
        (size as u64 + 1000, 1),
        (u64::MAX, 1),
        (u64::MAX, u32::MAX),
    ] {
        let found = ledger.leaves(&law("L1"), first, count).await?;
        ensure_eq!(found, None, format!("{count} leaves from {first} on, which there are not"));
    }
    Ok(())
}

async fn full_tiles_are_kept(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let mut log = SampleLog::new(&law("L1"));
    let mut commits = Vec::new();
    for leaf_count in [255, 1, 40_000, 25_279, 1, 256] {
        commits.push(log.grow(&*ledger, leaf_count).await?);
    }
    let tiles: usize = commits.iter().map(|commit| commit.full_tiles.len()).sum();
    ensure_eq!(tiles, 257 + 1, "full tiles of 65,792 leaves");
    expect_log(&*ledger, &commits, "tiles of two levels").await?;
    for (level, index) in [(0, 257), (1, 1), (2, 0), (63, 0), (0, u64::MAX)] {
        ensure_eq!(
            ledger.tile(&law("L1"), level, index).await?,
            None,
            format!("tile {level}/{index}, which is not full")
        );
    }
    ensure_eq!(ledger.tile(&law("L2"), 0, 0).await?, None, "a tile of another election");
    Ok(())
}

/// Ends a case unless the ledger reports the change.
pub(super) async fn expect_change(
    changes: &mut watch::Receiver<Changes>,
    is_reported: impl FnMut(&Changes) -> bool,
    what: &'static str,
) -> Outcome {
    match tokio::time::timeout(CHANGE_TIME, changes.wait_for(is_reported)).await {
        Ok(Ok(_)) => Ok(()),
        _ => Err(CaseError::Missing { what }),
    }
}

async fn positions_and_changes_follow_heads_and_staging(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let mut changes = ledger.changes();
    let before = *changes.borrow();
    ensure_eq!(ledger.positions().await?, vec![], "a new ledger");
    let first = batch(&law("L1"), 1, Epoch(1), 1, 2, 0);
    let staged = ledger.stage(&first, &Hints::new()).await?;
    let is_staged = |now: &Changes| now.logs > before.logs;
    expect_change(&mut changes, is_staged, "a change when a batch was staged after idle").await?;
    let before = *changes.borrow();
    let mut log = SampleLog::new(&law("L1"));
    log.grow(&*ledger, 3).await?;
    let has_moved = |now: &Changes| now.logs > before.logs;
    expect_change(&mut changes, has_moved, "a change when a head moved").await?;
    SampleLog::new(&law("L0")).grow(&*ledger, 1).await?;
    log.grow(&*ledger, 1).await?;
    let position = |law_id, height, staged| LogPosition { law_id, height, staged };
    let expected = vec![position(law("L1"), 2, staged), position(law("L0"), 1, StagingId(0))];
    ensure_eq!(ledger.positions().await?, expected, "two logs");
    Ok(())
}
