//! The cases on a log that is taken back to an earlier head.

use super::super::samples::{SampleLog, law};
use super::super::{Case, CaseError, Outcome, TestStorage, ensure, ensure_eq, exact_case};
use crate::{Head, LogRow, StagingId};

pub(super) const CASES: &[Case] = &[exact_case!(a_log_is_taken_back_to_an_earlier_head)];

async fn a_log_is_taken_back_to_an_earlier_head(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    ensure_eq!(ledger.log_rows_above(&law("L1"), 1, 1).await?, [], "rows of no log");
    let mut log = SampleLog::new(&law("L1"));
    // The first block fills one tile, the second another one.
    let commits = [log.block(300, "leaf"), log.block(300, "leaf"), log.block(5, "leaf")];
    for commit in &commits {
        ledger.append(commit).await?;
    }
    let elsewhere = SampleLog::new(&law("L2")).grow(&*ledger, 300).await?;
    let kept = commits[0].head.clone();
    let rows = ledger.log_rows_above(&law("L1"), kept.height, kept.size).await?;
    let count = |table: &str| rows.iter().filter(|row| row.table == table).count();
    ensure_eq!((count("head"), count("block"), count("tile")), (1, 2, 1), "the rows above");
    ensure!(count("leaves") >= 2, "the leaves of two blocks, found {}", count("leaves"));
    ensure!(rows.iter().all(|row| row.columns.starts_with('{')), "columns are JSON");
    let seen = LogRow::digest_of(&rows);
    let other = LogRow::digest_of(&rows[1..]);
    ensure!(!ledger.discard_above(&law("L1"), &kept, &other).await?, "other rows were seen");
    ensure!(!ledger.discard_above(&law("L3"), &kept, &seen).await?, "an election without a log");
    ensure_eq!(ledger.blocks(&law("L1"), 1, 10).await?.len(), 3, "blocks before");
    ensure!(ledger.discard_above(&law("L1"), &kept, &seen).await?, "the rows that were seen");
    ensure!(!ledger.discard_above(&law("L1"), &kept, &seen).await?, "nothing is left to remove");
    drop(ledger);
    let ledger = storage.open().await?.ledger;
    let taken_back =
        Head { fence: 0, sealed_through: StagingId(0), takes_votes: false, ..kept.clone() };
    ensure_eq!(ledger.head(&law("L1")).await?, Some(taken_back), "the head");
    for blocks in
        [ledger.blocks(&law("L1"), 1, 10).await?, ledger.blocks_in_doubt(&law("L1"), 1, 10).await?]
    {
        ensure_eq!(blocks, [commits[0].block.clone()], "the blocks that stay");
    }
    ensure!(ledger.tile(&law("L1"), 0, 0).await?.is_some(), "the tile of the first block stays");
    ensure_eq!(ledger.tile(&law("L1"), 0, 1).await?, None, "the tile of the second block");
    ensure_eq!(ledger.head(&law("L2")).await?, Some(elsewhere.head.clone()), "another log");
    for commit in &commits[1..] {
        ledger.append(commit).await?;
    }
    let head = ledger.head(&law("L1")).await?.map(|head| (head.height, head.size, head.root));
    let whole = &commits[2].head;
    ensure_eq!(head, Some((whole.height, whole.size, whole.root)), "the log grown again");
    ensure!(ledger.tile(&law("L1"), 0, 1).await?.is_some(), "the tile filled again");
    Ok(())
}
