//! The cases on rows of rounds that no round needs any more.

use super::super::samples::{SampleLog, law};
use super::super::{Case, CaseError, Outcome, TestStorage, case, ensure_eq, exact_case};
use super::rounds::{expect_rows, lead, row, store};
use crate::{NewRow, RowId, RowKind};

pub(super) const CASES: &[Case] = &[
    case!(old_rows_are_removed_and_present_ones_stay),
    exact_case!(old_rows_are_removed_in_parts),
];

async fn old_rows_are_removed_and_present_ones_stay(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let first = lead(&*ledger, "", "first").await?;
    SampleLog::new(&law("L1")).grow(&*ledger, 3).await?;
    let mut rows = vec![
        row(RowKind::Vote, "a", 0, first, "superseded"),
        row(RowKind::Vote, "c", 0, first, "the last one of c"),
        row(RowKind::Suspect, "a", 0, first, "of a term that is over"),
        row(RowKind::Refuse, "a", 7, first, "a refusal"),
        row(RowKind::Accept, "a", 1, first, "of a block in the log"),
        row(RowKind::Accept, "a", 2, first, "of the next block"),
        row(RowKind::Proposal, "first", 1, first, "of a block in the log"),
        row(RowKind::Proposal, "first", 2, first, "of the next block"),
        row(RowKind::Cosign, "a", 1, 0, "of a block in the log"),
        row(RowKind::Cosign, "a", 2, 0, "of the next block"),
        NewRow { law_id: Some(law("L2")), ..row(RowKind::Cosign, "a", 1, 0, "of no log yet") },
    ];
    for row in &rows {
        let holder = (row.kind == RowKind::Proposal).then_some("first");
        store(&*ledger, row, holder).await?;
    }
    let second = lead(&*ledger, "first", "second").await?;
    let present = [
        row(RowKind::Vote, "a", 0, second, "present"),
        row(RowKind::Suspect, "b", 0, second, "of the present term"),
    ];
    for row in &present {
        store(&*ledger, row, None).await?;
    }
    let young = row(RowKind::Refuse, "b", 7, second, "a later refusal");
    rows.extend(present);
    let through = *expect_rows(&*ledger, &rows, "as put").await?.last().unwrap_or(&RowId(0));
    store(&*ledger, &young, None).await?;
    rows.push(young);
    ledger.remove_old_rows(RowId(0), 100).await?;
    expect_rows(&*ledger, &rows, "nothing lies below the first position").await?;
    for _ in 0..2 {
        ledger.remove_old_rows(through, 100).await?;
    }
    let is_old = |row: &NewRow| {
        let text = std::str::from_utf8(&row.bytes).unwrap_or_default();
        ["superseded", "of a term that is over", "a refusal", "of a block in the log"]
            .contains(&text)
    };
    rows.retain(|row| !is_old(row));
    expect_rows(&*ledger, &rows, "what a round may need, and what is younger").await?;
    drop(ledger);
    let ledger = storage.open().await?.ledger;
    expect_rows(&*ledger, &rows, "after a restart").await.map(|_| ())
}

async fn old_rows_are_removed_in_parts(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let term = lead(&*ledger, "", "first").await?;
    let mut rows = Vec::new();
    for height in 1..=5 {
        rows.push(row(RowKind::Refuse, "a", height, term, "a refusal"));
        rows.push(row(RowKind::Cosign, "a", height, 0, "of no log yet"));
    }
    for row in &rows {
        store(&*ledger, row, None).await?;
    }
    let last = RowId(u64::MAX);
    ensure_eq!(ledger.remove_old_rows(last, 0).await?, 0, "none of none");
    ensure_eq!(ledger.remove_old_rows(last, 2).await?, 2, "the first part");
    rows.retain(|row| row.kind == RowKind::Cosign || row.height > 2);
    expect_rows(&*ledger, &rows, "the oldest go first").await?;
    ensure_eq!(ledger.remove_old_rows(last, 100).await?, 3, "the rest");
    ensure_eq!(ledger.remove_old_rows(last, 100).await?, 0, "nothing is left");
    rows.retain(|row| row.kind == RowKind::Cosign);
    expect_rows(&*ledger, &rows, "what stays").await.map(|_| ())
}
