//! The cases on rows of rounds.

use std::sync::Arc;

use super::super::samples::{SampleLog, law};
use super::super::{
    Case, CaseError, Outcome, TestStorage, case, ensure, ensure_eq, exact_case, expect_conflict,
};
use super::leadership::{LONG, term_of};
use super::log::expect_change;
use crate::{
    Changes, Conflict, EngineError, Ledger, NewRow, RoundRow, RowId, RowKind, RowOutcome, RowsRead,
    TERM_STEP_MAX,
};

pub(super) const CASES: &[Case] = &[
    exact_case!(rows_of_other_bytes_are_kept_beside_one_another),
    case!(rows_are_read_in_order_and_in_parts),
    case!(the_newest_rows_are_read_from_the_end),
    case!(a_read_reports_the_row_before_it),
    case!(large_rows_are_read_in_parts),
    case!(accept_of_another_term_is_late),
    case!(proposal_without_the_lease_of_its_term_is_late),
    case!(earlier_proposal_is_inserted_again),
    case!(second_proposal_under_a_key_is_kept),
    case!(removal_is_of_one_election_up_to_a_height),
    case!(a_reader_never_misses_a_row),
    case!(row_that_breaks_a_rule_is_refused),
    case!(statement_of_a_term_far_ahead_is_refused),
    case!(rows_blocks_and_terms_wake_readers),
];

/// A row of L1, unless it is about no block.
pub(super) fn row(kind: RowKind, authority: &str, height: u64, term: u64, text: &str) -> NewRow {
    let is_of_block = kind.is_of_block();
    let leaves = match kind {
        RowKind::Proposal => format!("leaves of {text}").into_bytes(),
        _ => Vec::new(),
    };
    NewRow {
        kind,
        authority: authority.to_owned(),
        law_id: is_of_block.then(|| law("L1")),
        height: if is_of_block { height } else { 0 },
        term,
        bytes: text.as_bytes().to_vec(),
        leaves,
    }
}

fn as_put(row: &RoundRow) -> NewRow {
    NewRow {
        kind: row.kind,
        authority: row.authority.clone(),
        law_id: row.law_id.clone(),
        height: row.height,
        term: row.term,
        bytes: row.bytes.clone(),
        leaves: row.leaves.clone(),
    }
}

/// Ends a case unless the row is stored, now or by an earlier try of the same call.
pub(super) async fn store(ledger: &dyn Ledger, row: &NewRow, holder: Option<&str>) -> Outcome {
    match ledger.put_row(row, holder).await? {
        RowOutcome::Stored | RowOutcome::Present => Ok(()),
        outcome => Err(CaseError::Broken {
            expectation: format!("expected {row:?} to be stored, found {outcome:?}"),
        }),
    }
}

/// Ends a case unless a row is refused as late, in this term.
async fn expect_late(
    ledger: &dyn Ledger,
    row: &NewRow,
    holder: Option<&str>,
    present: u64,
    what: &str,
) -> Outcome {
    ensure_eq!(ledger.put_row(row, holder).await?, RowOutcome::Late { term: present }, what);
    Ok(())
}

/// Ends a case unless these rows are stored, in this order.
pub(super) async fn expect_rows(
    ledger: &dyn Ledger,
    expected: &[NewRow],
    what: &str,
) -> Result<Vec<RowId>, CaseError> {
    let mut found = Vec::new();
    let mut after = RowId(0);
    loop {
        let read = ledger.rows_after(after, 1000).await?;
        let Some(last) = read.rows.last() else { break };
        after = last.id;
        found.extend(read.rows);
    }
    ensure_eq!(found.iter().map(as_put).collect::<Vec<_>>(), expected, what);
    let ids: Vec<RowId> = found.iter().map(|row| row.id).collect();
    ensure!(ids.is_sorted_by(|one, next| one < next), "{what}: ids do not ascend: {ids:?}");
    Ok(ids)
}

/// Makes a holder lead, after the previous leader.
pub(super) async fn lead(
    ledger: &dyn Ledger,
    before: &str,
    holder: &str,
) -> Result<u64, CaseError> {
    ledger.release_leadership(before).await?;
    term_of(&ledger.acquire_leadership(holder, LONG, 0).await?)
}

async fn rows_of_other_bytes_are_kept_beside_one_another(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let term = lead(&*ledger, "", "first").await?;
    let kinds = RowKind::ALL.into_iter().filter(|kind| *kind != RowKind::Proposal);
    let mut stored = Vec::new();
    for kind in kinds.clone() {
        let what = format!("{kind:?}");
        let first = row(kind, "a", 1, term, "first");
        ensure_eq!(ledger.put_row(&first, None).await?, RowOutcome::Stored, what);
        ensure_eq!(ledger.put_row(&first, None).await?, RowOutcome::Present, what);
        // Any program may have written the first row: readers use the row that is signed.
        let other = row(kind, "a", 1, term, "other");
        ensure_eq!(ledger.put_row(&other, None).await?, RowOutcome::Stored, what);
        ensure_eq!(ledger.put_row(&other, None).await?, RowOutcome::Present, what);
        stored.extend([first, other]);
        let by_another = row(kind, "b", 1, term, "other");
        ensure_eq!(ledger.put_row(&by_another, None).await?, RowOutcome::Stored, what);
        stored.push(by_another);
        if kind.is_of_block() {
            let higher = row(kind, "a", 2, term, "other");
            ensure_eq!(ledger.put_row(&higher, None).await?, RowOutcome::Stored, what);
            let elsewhere = NewRow { law_id: Some(law("L2")), ..row(kind, "a", 1, term, "other") };
            ensure_eq!(ledger.put_row(&elsewhere, None).await?, RowOutcome::Stored, what);
            stored.extend([higher, elsewhere]);
        }
        if kind != RowKind::Accept {
            let later = row(kind, "a", 1, term + 1, "other");
            ensure_eq!(ledger.put_row(&later, None).await?, RowOutcome::Stored, what);
            stored.push(later);
        }
    }
    expect_rows(&*ledger, &stored, "each row once").await?;
    drop(ledger);
    let ledger = storage.open().await?.ledger;
    for kind in kinds {
        let first = row(kind, "a", 1, term, "first");
        ensure_eq!(ledger.put_row(&first, None).await?, RowOutcome::Present, "after a restart");
    }
    expect_rows(&*ledger, &stored, "each row once, after a restart").await.map(|_| ())
}

async fn rows_are_read_in_order_and_in_parts(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let rows: Vec<NewRow> =
        (1..=20).map(|height| row(RowKind::Cosign, "a", height, 0, "line")).collect();
    for row in &rows {
        store(&*ledger, row, None).await?;
    }
    let ids = expect_rows(&*ledger, &rows, "as put").await?;
    ensure!(ids[0] > RowId(0), "position 0 stands for none");
    let last = ids[19];
    for (after, limit, expected) in
        [(RowId(0), 7, &ids[..7]), (ids[6], 7, &ids[7..14]), (ids[13], 100, &ids[14..])]
    {
        let read = ledger.rows_after(after, limit).await?;
        let found: Vec<RowId> = read.rows.iter().map(|row| row.id).collect();
        ensure_eq!(found, expected, format!("{limit} rows after {after:?}"));
        ensure_eq!(read.last, last, "the last position");
    }
    for (after, limit) in [(last, 10), (RowId(u64::MAX), 10), (RowId(0), 0)] {
        let read = ledger.rows_after(after, limit).await?;
        ensure_eq!(read.rows, [], format!("{limit} rows after {after:?}"));
        ensure_eq!(read.last, last, "the last position");
    }
    Ok(())
}

async fn the_newest_rows_are_read_from_the_end(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    ensure_eq!(ledger.newest_rows(10).await?, RowsRead::default(), "no row");
    for height in 1..=20 {
        store(&*ledger, &row(RowKind::Cosign, "a", height, 0, "line"), None).await?;
    }
    let all = ledger.rows_after(RowId(0), 100).await?;
    for limit in [0, 1, 7, 100] {
        let read = ledger.newest_rows(limit).await?;
        let expected = &all.rows[20 - limit.min(20)..];
        ensure_eq!(read.rows, expected, format!("the {limit} newest rows"));
        ensure_eq!(read.last, all.last, "the last position");
    }
    ledger.remove_rows(&law("L1"), 20).await?;
    let read = ledger.newest_rows(10).await?;
    ensure_eq!((read.rows.len(), read.last), (0, all.last), "all were removed");
    Ok(())
}

async fn a_read_reports_the_row_before_it(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    lead(&*ledger, "", "first").await?;
    let rows = [
        row(RowKind::Proposal, "a", 1, 1, "block"),
        row(RowKind::Accept, "b", 1, 1, "accept"),
        row(RowKind::Vote, "a", 0, 1, "vote"),
    ];
    ensure_eq!(ledger.rows_after(RowId(0), 10).await?.after, None, "before the first row");
    for row in &rows {
        store(&*ledger, row, None).await?;
    }
    let read = ledger.rows_after(RowId(0), 10).await?;
    ensure_eq!(read.after, None, "no row has the position 0");
    for row in &read.rows {
        for limit in [0, 10] {
            let found = ledger.rows_after(row.id, limit).await?.after;
            ensure_eq!(found, Some(row.digest()), format!("the digest of {row:?}"));
        }
    }
    let digests: Vec<_> = read.rows.iter().map(RoundRow::digest).collect();
    ensure!(digests[0] != digests[1] && digests[1] != digests[2], "each row has its digest");
    ensure_eq!(ledger.rows_after(RowId(u64::MAX), 10).await?.after, None, "after all rows");
    ledger.remove_rows(&law("L1"), 1).await?;
    let after = |storage: usize| ledger.rows_after(read.rows[storage].id, 10);
    ensure_eq!(after(1).await?.after, None, "a row that was removed");
    ensure_eq!(after(2).await?.after, Some(digests[2]), "a row that stays");
    Ok(())
}

async fn large_rows_are_read_in_parts(storage: &dyn TestStorage) -> Outcome {
    const BYTES: usize = 5 << 20;
    let ledger = storage.open().await?.ledger;
    lead(&*ledger, "", "first").await?;
    let mut rows = Vec::new();
    for height in 1..=3_u8 {
        let proposal = row(RowKind::Proposal, "a", height.into(), 1, "large");
        rows.push(NewRow { leaves: vec![height; BYTES], ..proposal });
    }
    for row in &rows {
        store(&*ledger, row, None).await?;
    }
    let first = ledger.rows_after(RowId(0), 10).await?.rows;
    ensure!(!first.is_empty(), "no row was read where there are three");
    expect_rows(&*ledger, &rows, "all parts").await.map(|_| ())
}

async fn accept_of_another_term_is_late(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let early = row(RowKind::Accept, "a", 1, 1, "early");
    expect_late(&*ledger, &early, None, 0, "an accept before any term").await?;
    let first = lead(&*ledger, "", "first").await?;
    let in_time = row(RowKind::Accept, "a", 1, first, "in time");
    store(&*ledger, &in_time, None).await?;
    let second = lead(&*ledger, "first", "second").await?;
    let late = row(RowKind::Accept, "b", 1, first, "late");
    expect_late(&*ledger, &late, None, second, "an accept of an earlier term").await?;
    let ahead = row(RowKind::Accept, "b", 1, second + 1, "ahead");
    expect_late(&*ledger, &ahead, None, second, "an accept of a term to come").await?;
    // Repeated in a later term, the call finds what it stored.
    ensure_eq!(ledger.put_row(&in_time, None).await?, RowOutcome::Present, "the same accept");
    let changed = row(RowKind::Accept, "a", 1, first, "changed");
    expect_late(&*ledger, &changed, None, second, "another accept of the earlier term").await?;
    let mut stored = vec![in_time];
    for kind in [RowKind::Vote, RowKind::Cosign, RowKind::Refuse, RowKind::Suspect] {
        let unbound = row(kind, "b", 1, first, "of an earlier term");
        store(&*ledger, &unbound, None).await?;
        stored.push(unbound);
    }
    let present = row(RowKind::Accept, "b", 1, second, "of the present term");
    store(&*ledger, &present, None).await?;
    stored.push(present);
    expect_rows(&*ledger, &stored, "late accepts are not stored").await?;
    // After a restart the term is the same until the next leader begins another.
    drop(ledger);
    let ledger = storage.open().await?.ledger;
    expect_late(&*ledger, &late, None, second, "an accept of an earlier term, after a restart")
        .await
}

async fn proposal_without_the_lease_of_its_term_is_late(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let proposal = |height, term| row(RowKind::Proposal, "a", height, term, "block");
    expect_late(&*ledger, &proposal(1, 1), Some("first"), 0, "before any leader").await?;
    let first = lead(&*ledger, "", "first").await?;
    for (holder, term, what) in [
        ("second", first, "a holder without the lease"),
        ("first", first + 1, "a term to come"),
        ("", first, "no name"),
    ] {
        expect_late(&*ledger, &proposal(1, term), Some(holder), first, what).await?;
    }
    store(&*ledger, &proposal(1, first), Some("first")).await?;
    ledger.release_leadership("first").await?;
    expect_late(&*ledger, &proposal(2, first), Some("first"), first, "a released lease").await?;
    let second = lead(&*ledger, "first", "second").await?;
    for (holder, term, what) in [
        ("first", first, "the earlier leader in its term"),
        ("first", second, "the earlier leader in the present term"),
        ("second", first, "the leader in an earlier term"),
    ] {
        expect_late(&*ledger, &proposal(2, term), Some(holder), second, what).await?;
    }
    store(&*ledger, &proposal(2, second), Some("second")).await?;
    let again = ledger.put_row(&proposal(1, first), Some("first")).await?;
    ensure_eq!(again, RowOutcome::Present, "a stored proposal again, in a later term");
    let third = term_of(&ledger.pass_over(second, "third", LONG, 0).await?)?;
    let passed_over = proposal(3, second);
    expect_late(&*ledger, &passed_over, Some("second"), third, "a leader passed over").await?;
    let stored = [proposal(1, first), proposal(2, second)];
    expect_rows(&*ledger, &stored, "late proposals are not stored").await.map(|_| ())
}

async fn earlier_proposal_is_inserted_again(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let proposal = |term| row(RowKind::Proposal, "a", 1, term, "block");
    let first = lead(&*ledger, "", "first").await?;
    store(&*ledger, &proposal(first), Some("first")).await?;
    let second = lead(&*ledger, "first", "second").await?;
    store(&*ledger, &proposal(first), None).await?;
    ledger.remove_rows(&law("L1"), 1).await?;
    store(&*ledger, &proposal(first), None).await?;
    store(&*ledger, &proposal(second), None).await?;
    let ahead = proposal(second + 1);
    expect_late(&*ledger, &ahead, None, second, "a copy of a proposal of a term to come").await?;
    let stored = [proposal(first), proposal(second)];
    expect_rows(&*ledger, &stored, "the copies").await.map(|_| ())
}

async fn second_proposal_under_a_key_is_kept(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let term = lead(&*ledger, "", "first").await?;
    let one = row(RowKind::Proposal, "a", 1, term, "one block");
    let other = row(RowKind::Proposal, "a", 1, term, "another block");
    // A copy with other leaves must not keep the true one out.
    let forged = NewRow { leaves: b"other leaves".to_vec(), ..one.clone() };
    let rows = [forged, one, other];
    for row in rows.iter().chain(&rows) {
        store(&*ledger, row, Some("first")).await?;
    }
    expect_rows(&*ledger, &rows, "all of them, once").await.map(|_| ())
}

async fn removal_is_of_one_election_up_to_a_height(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let term = lead(&*ledger, "", "first").await?;
    let mut rows = Vec::new();
    for height in 1..=3 {
        for kind in [RowKind::Refuse, RowKind::Proposal, RowKind::Accept, RowKind::Cosign] {
            let of_first = row(kind, "a", height, term, "row");
            let of_second = NewRow { law_id: Some(law("L2")), ..of_first.clone() };
            rows.extend([of_first, of_second]);
        }
    }
    rows.push(row(RowKind::Vote, "a", 0, term, "vote"));
    rows.push(row(RowKind::Suspect, "a", 0, term, "suspect"));
    // The newest row is among those removed.
    rows.push(row(RowKind::Cosign, "b", 2, term, "row"));
    for row in &rows {
        store(&*ledger, row, None).await?;
    }
    let ids = expect_rows(&*ledger, &rows, "as put").await?;
    for _ in 0..2 {
        ledger.remove_rows(&law("L1"), 2).await?;
        ledger.remove_rows(&law("L3"), 2).await?;
        ledger.remove_rows(&law("L2"), 0).await?;
    }
    rows.retain(|row| {
        row.law_id != Some(law("L1")) || row.height > 2 || row.kind == RowKind::Refuse
    });
    expect_rows(&*ledger, &rows, "what is left").await?;
    drop(ledger);
    let ledger = storage.open().await?.ledger;
    let read = ledger.rows_after(RowId(0), 1).await?;
    ensure_eq!(Some(&read.last), ids.last(), "the last position after its row was removed");
    let next = row(RowKind::Cosign, "b", 9, term, "row");
    store(&*ledger, &next, None).await?;
    rows.push(next);
    let left = expect_rows(&*ledger, &rows, "a row more").await?;
    ensure!(left.last() > ids.last(), "a position was given twice: {:?}", left.last());
    ledger.remove_rows(&law("L1"), u64::MAX).await?;
    ledger.remove_rows(&law("L2"), u64::MAX).await?;
    rows.retain(|row| matches!(row.kind, RowKind::Refuse | RowKind::Vote | RowKind::Suspect));
    expect_rows(&*ledger, &rows, "what is never removed").await.map(|_| ())
}

async fn a_reader_never_misses_a_row(storage: &dyn TestStorage) -> Outcome {
    const TASKS: u64 = 8;
    const ROWS: u64 = 25;
    let ledger = storage.open().await?.ledger;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let ledger = Arc::clone(&ledger);
        tasks.spawn(async move {
            for height in 1..=ROWS {
                let line = row(RowKind::Cosign, &format!("a{task}"), height, 0, "line");
                ledger.put_row(&line, None).await?;
            }
            Ok::<_, EngineError>(())
        });
    }
    // Reads after the last position seen while the tasks write. A row stored below it would be
    // missed.
    let (mut after, mut seen, mut writing) = (RowId(0), 0, true);
    loop {
        let read = ledger.rows_after(after, 7).await?;
        ensure!(
            read.rows.is_sorted_by(|one, next| one.id < next.id)
                && read.rows.iter().all(|row| row.id > after && row.id <= read.last),
            "the rows after {after:?} are not in order: {:?}",
            read.rows
        );
        match read.rows.last() {
            Some(last) => after = last.id,
            None if !writing => break,
            None => {}
        }
        seen += read.rows.len() as u64;
        while let Some(finished) = tasks.try_join_next() {
            let Ok(put) = finished else {
                return Err(CaseError::Missing { what: "the end of a task" });
            };
            put?;
        }
        writing = !tasks.is_empty();
        tokio::task::yield_now().await;
    }
    ensure_eq!(seen, TASKS * ROWS, "rows seen by the concurrent reader");
    Ok(())
}

async fn row_that_breaks_a_rule_is_refused(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    lead(&*ledger, "", "first").await?;
    let accept = || row(RowKind::Accept, "a", 1, 1, "accept");
    let vote = || row(RowKind::Vote, "a", 0, 1, "vote");
    let broken = [
        ("no authority", NewRow { authority: String::new(), ..accept() }),
        ("a long authority", NewRow { authority: "a".repeat(256), ..accept() }),
        ("an authority that is not text", NewRow { authority: "a\0b".to_owned(), ..accept() }),
        ("an accept of no election", NewRow { law_id: None, ..accept() }),
        ("an accept of no height", NewRow { height: 0, ..accept() }),
        ("an accept with leaves", NewRow { leaves: vec![1], ..accept() }),
        ("a height beyond all bounds", NewRow { height: u64::MAX, ..accept() }),
        ("a term beyond all bounds", NewRow { term: u64::MAX, ..accept() }),
        ("a vote of an election", NewRow { law_id: Some(law("L1")), ..vote() }),
        ("a vote of a height", NewRow { height: 1, ..vote() }),
    ];
    let malformed = |conflict: &Conflict| matches!(conflict, Conflict::Malformed { .. });
    for (what, row) in &broken {
        expect_conflict(ledger.put_row(row, None).await, malformed, what)?;
    }
    expect_rows(&*ledger, &[], "nothing of them was written").await.map(|_| ())
}

async fn statement_of_a_term_far_ahead_is_refused(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let malformed = |conflict: &Conflict| matches!(conflict, Conflict::Malformed { .. });
    let term = lead(&*ledger, "", "first").await?;
    let mut stored = Vec::new();
    for kind in [RowKind::Vote, RowKind::Refuse, RowKind::Suspect] {
        let highest = row(kind, "a", 1, term + TERM_STEP_MAX, "far");
        store(&*ledger, &highest, None).await?;
        stored.push(highest);
        for far in [term + TERM_STEP_MAX + 1, u64::MAX / 2] {
            let refused = ledger.put_row(&row(kind, "a", 1, far, "too far"), None).await;
            expect_conflict(refused, malformed, &format!("{kind:?} of term {far}"))?;
        }
    }
    // The term of a stored block counts as the leader's does.
    let mut log = SampleLog::new(&law("L1"));
    log.term = term + 1;
    ledger.append(&log.block(1, "leaf")).await?;
    let higher = row(RowKind::Vote, "a", 1, term + 1 + TERM_STEP_MAX, "far");
    store(&*ledger, &higher, None).await?;
    stored.push(higher);
    expect_rows(&*ledger, &stored, "nothing of the others").await.map(|_| ())
}

async fn rows_blocks_and_terms_wake_readers(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let mut changes = ledger.changes();
    let mut log = SampleLog::new(&law("L1"));
    for height in 1..=3 {
        let Changes { rows, .. } = *changes.borrow();
        store(&*ledger, &row(RowKind::Cosign, "a", height, 0, "line"), None).await?;
        let is_stored = |now: &Changes| now.rows > rows;
        expect_change(&mut changes, is_stored, "a change when a row was stored").await?;
        let Changes { logs, rows } = *changes.borrow();
        ledger.append(&log.block(3, "leaf")).await?;
        let is_appended = |now: &Changes| now.logs > logs;
        expect_change(&mut changes, is_appended, "a change when a block was appended").await?;
        let Changes { logs, .. } = *changes.borrow();
        ledger.acquire_leadership("first", LONG, 10 * height).await?;
        let has_begun = |now: &Changes| now.logs > logs;
        expect_change(&mut changes, has_begun, "a change when a term began").await?;
        // Of the first height, the subscription may have reported a change of rows.
        if height > 1 {
            ensure_eq!(changes.borrow().rows, rows, "blocks and terms are no rows");
        }
    }
    let Changes { logs, .. } = *changes.borrow();
    ledger.release_leadership("first").await?;
    let is_released = |now: &Changes| now.logs > logs;
    expect_change(&mut changes, is_released, "a change when a leader lease was released").await?;
    let term = term_of(&ledger.acquire_leadership("second", LONG, 0).await?)?;
    let Changes { logs, .. } = *changes.borrow();
    ledger.pass_over(term, "third", LONG, 0).await?;
    let is_ended = |now: &Changes| now.logs > logs;
    expect_change(&mut changes, is_ended, "a change when a leader lease was passed over").await
}
