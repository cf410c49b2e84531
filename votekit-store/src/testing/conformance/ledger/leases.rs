//! The cases on leases, remarks of reviewers, and concurrent use. They wait for short spans of real
//! time, and assert nothing about speed.

use std::collections::BTreeSet;
use std::sync::Arc;

use votekit_core::id::{ElectionId, Epoch};
use votekit_core::instant::UnixSeconds;

use super::super::samples::{SampleLog, batch, law, node, request};
use super::super::{
    Case, CaseError, Outcome, TestStorage, case, ensure, ensure_eq, expect_conflict,
};
use super::leadership::{LONG, SHORT, outwait_short, term_of};
use crate::{
    BlockCommit, Conflict, EngineError, Hints, Leadership, Lease, Ledger, NoLease, ReviewNote,
    StagingId,
};

pub(super) const CASES: &[Case] = &[
    case!(leases_held_back_are_granted_again),
    case!(leases_are_granted_and_extended),
    case!(leases_of_several_elections_are_renewed_in_one_call),
    case!(leases_expire),
    case!(lease_is_refused_while_no_votes_are_accepted),
    case!(lease_of_a_fenced_epoch_is_refused),
    case!(lease_of_an_unallocated_epoch_is_refused),
    case!(review_notes_are_stored_once_and_in_order),
    case!(a_reader_never_misses_a_batch),
    case!(second_opening_shares_the_storage_or_is_refused),
];

fn no_lease(expected: NoLease) -> impl Fn(&Conflict) -> bool {
    move |conflict| matches!(conflict, Conflict::NoLease { reason, .. } if *reason == expected)
}

/// Ends a case unless exactly these nodes hold leases in these epochs.
async fn expect_leases(
    ledger: &dyn Ledger,
    law_id: &ElectionId,
    expected: &[(u8, Epoch)],
    what: &str,
) -> Result<Vec<Lease>, CaseError> {
    let leases = ledger.leases(law_id).await?;
    let found: BTreeSet<_> = leases.iter().map(|lease| (lease.node, lease.epoch)).collect();
    ensure_eq!(
        found,
        expected.iter().map(|(by, epoch)| (node(*by), *epoch)).collect::<BTreeSet<_>>(),
        what
    );
    Ok(leases)
}

/// Commits a block whose head takes votes or not.
async fn commit_head(ledger: &dyn Ledger, log: &mut SampleLog, takes_votes: bool) -> Outcome {
    let mut commit = BlockCommit::clone(&log.block(1, "leaf"));
    commit.head.takes_votes = takes_votes;
    Ok(ledger.commit(&Arc::new(commit)).await?)
}

async fn leases_are_granted_and_extended(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let law_id = law("L1");
    commit_head(&*ledger, &mut SampleLog::new(&law_id), true).await?;
    let first = ledger.allocate_epoch(&law_id, node(1)).await?;
    let second = ledger.allocate_epoch(&law_id, node(2)).await?;
    expect_leases(&*ledger, &law_id, &[], "before any was asked for").await?;
    ledger.hold_lease(&law_id, node(1), first, LONG).await?;
    ledger.hold_lease(&law_id, node(2), second, SHORT).await?;
    let leases = expect_leases(&*ledger, &law_id, &[(1, first), (2, second)], "two nodes").await;
    // If the calls took as long as the short lease, it has expired.
    let leases = match leases {
        Ok(leases) => leases,
        Err(_) => expect_leases(&*ledger, &law_id, &[(1, first)], "the long one").await?,
    };
    ensure!(
        leases.iter().all(|lease| lease.remaining <= LONG),
        "a lease lasts longer than it was given for: {leases:?}"
    );
    ledger.hold_lease(&law_id, node(2), second, LONG).await?;
    ledger.hold_lease(&law_id, node(2), second, SHORT).await?;
    outwait_short().await;
    expect_leases(&*ledger, &law_id, &[(1, first), (2, second)], "extended, and not made shorter")
        .await?;
    expect_leases(&*ledger, &law("L2"), &[], "of another election").await?;
    Ok(())
}

async fn leases_held_back_are_granted_again(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let (law_id, other) = (law("L1"), law("L2"));
    let (mut log, mut other_log) = (SampleLog::new(&law_id), SampleLog::new(&other));
    ledger.set_takes_votes(&law_id, true).await?;
    commit_head(&*ledger, &mut log, true).await?;
    commit_head(&*ledger, &mut other_log, true).await?;
    let epoch = ledger.allocate_epoch(&law_id, node(1)).await?;
    let of_other = ledger.allocate_epoch(&other, node(1)).await?;
    ledger.set_takes_votes(&law_id, false).await?;
    let held = [(law_id.clone(), epoch), (other.clone(), of_other)];
    let renewed = ledger.renew_leases(node(1), &held, LONG).await?;
    ensure_eq!(renewed, vec![Err(NoLease::TakesNoVotes), Ok(())], "held back in one election");
    let head = ledger.head(&law_id).await?;
    ensure!(head.is_some_and(|head| !head.takes_votes), "the head reads back as it is stored");
    ledger.set_takes_votes(&law_id, true).await?;
    ledger.hold_lease(&law_id, node(1), epoch, LONG).await?;
    // The next block decides anew.
    ledger.set_takes_votes(&law_id, false).await?;
    commit_head(&*ledger, &mut log, true).await?;
    ledger.hold_lease(&law_id, node(1), epoch, LONG).await?;
    Ok(())
}

async fn leases_of_several_elections_are_renewed_in_one_call(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let (open, closed) = (law("L1"), law("L2"));
    commit_head(&*ledger, &mut SampleLog::new(&open), true).await?;
    commit_head(&*ledger, &mut SampleLog::new(&closed), false).await?;
    let first = ledger.allocate_epoch(&open, node(1)).await?;
    let other = ledger.allocate_epoch(&closed, node(1)).await?;
    let held = [(open.clone(), first), (closed.clone(), other), (open.clone(), Epoch(1000))];
    let renewed = ledger.renew_leases(node(1), &held, LONG).await?;
    let expected = vec![Ok(()), Err(NoLease::TakesNoVotes), Err(NoLease::NoEpoch)];
    ensure_eq!(renewed, expected, "each in its place");
    expect_leases(&*ledger, &open, &[(1, first)], "renewed").await?;
    expect_leases(&*ledger, &closed, &[], "an election that takes no votes").await?;
    let none = ledger.renew_leases(node(1), &[], LONG).await?;
    ensure_eq!(none, vec![], "nothing was asked");
    Ok(())
}

async fn leases_expire(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let law_id = law("L1");
    commit_head(&*ledger, &mut SampleLog::new(&law_id), true).await?;
    let epoch = ledger.allocate_epoch(&law_id, node(1)).await?;
    for _ in 0..2 {
        ledger.hold_lease(&law_id, node(1), epoch, SHORT).await?;
        outwait_short().await;
        expect_leases(&*ledger, &law_id, &[], "after it ran out").await?;
    }
    Ok(())
}

async fn lease_is_refused_while_no_votes_are_accepted(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let law_id = law("L1");
    let epoch = ledger.allocate_epoch(&law_id, node(1)).await?;
    let refused = no_lease(NoLease::TakesNoVotes);
    expect_conflict(
        ledger.hold_lease(&law_id, node(1), epoch, LONG).await,
        &refused,
        "a lease before there is a head",
    )?;
    let mut log = SampleLog::new(&law_id);
    commit_head(&*ledger, &mut log, false).await?;
    expect_conflict(
        ledger.hold_lease(&law_id, node(1), epoch, LONG).await,
        &refused,
        "a lease of a draft",
    )?;
    commit_head(&*ledger, &mut log, true).await?;
    ledger.hold_lease(&law_id, node(1), epoch, LONG).await?;
    commit_head(&*ledger, &mut log, false).await?;
    expect_conflict(
        ledger.hold_lease(&law_id, node(1), epoch, LONG).await,
        &refused,
        "a lease after the close",
    )?;
    let kept = expect_leases(
        &*ledger,
        &law_id,
        &[(1, epoch)],
        "the lease that was given lasts to its end",
    )
    .await?;
    ensure!(kept.iter().all(|lease| lease.remaining <= LONG), "it was extended: {kept:?}");
    Ok(())
}

async fn lease_of_a_fenced_epoch_is_refused(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let law_id = law("L1");
    commit_head(&*ledger, &mut SampleLog::new(&law_id), true).await?;
    let mut epochs = Vec::new();
    for _ in 0..2 {
        epochs.push(ledger.allocate_epoch(&law_id, node(1)).await?);
    }
    let other = ledger.allocate_epoch(&law_id, node(2)).await?;
    ledger.hold_lease(&law_id, node(1), epochs[1], LONG).await?;
    for _ in 0..2 {
        ledger.fence(&law_id, node(1)).await?;
    }
    ledger.fence(&law("L2"), node(2)).await?;
    for epoch in &epochs {
        let answer = ledger.hold_lease(&law_id, node(1), *epoch, LONG).await;
        expect_conflict(answer, no_lease(NoLease::Fenced), "a lease of a fenced epoch")?;
    }
    ledger.hold_lease(&law_id, node(2), other, LONG).await?;
    expect_leases(&*ledger, &law_id, &[(1, epochs[1]), (2, other)], "a lease it has lasts").await?;
    let fresh = ledger.allocate_epoch(&law_id, node(1)).await?;
    ensure!(!epochs.contains(&fresh), "an epoch was given twice");
    ledger.hold_lease(&law_id, node(1), fresh, LONG).await?;
    Ok(())
}

async fn lease_of_an_unallocated_epoch_is_refused(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let law_id = law("L1");
    commit_head(&*ledger, &mut SampleLog::new(&law_id), true).await?;
    let epoch = ledger.allocate_epoch(&law_id, node(1)).await?;
    let refused = no_lease(NoLease::NoEpoch);
    for (by, epoch) in [(2, epoch), (1, Epoch(epoch.0 + 100))] {
        expect_conflict(
            ledger.hold_lease(&law_id, node(by), epoch, LONG).await,
            &refused,
            "a lease of no epoch",
        )?;
    }
    let answer = ledger.hold_lease(&law("L2"), node(1), epoch, LONG).await;
    expect_conflict(answer, &refused, "a lease of another election's epoch")?;
    expect_leases(&*ledger, &law_id, &[], "leases").await?;
    Ok(())
}

fn remark(number: u32, at: u64, by: &str, text: &str) -> ReviewNote {
    ReviewNote {
        request: request(number),
        at: UnixSeconds(at),
        by: by.to_owned(),
        text: text.to_owned(),
    }
}

async fn review_notes_are_stored_once_and_in_order(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let law_id = law("L1");
    let longest = "é".repeat(ReviewNote::TEXT_BYTES_MAX / 2);
    let remarks = [
        remark(2, 20, "Ève", "la lettre est revenue"),
        remark(1, 10, "Ève", ""),
        remark(1, 10, "Ève", "deux fois"),
        remark(1, 10, "Bob", &longest),
        remark(1, 11, "Ève", "deux fois"),
        remark(3, 10, "Ève", "deux fois"),
    ];
    ensure_eq!(ledger.review_notes(&law_id).await?, [], "before any");
    for remark in &remarks {
        for _ in 0..2 {
            ledger.add_review_note(&law_id, remark).await?;
        }
    }
    ledger.add_review_note(&law("L2"), &remarks[0]).await?;
    ensure_eq!(ledger.review_notes(&law_id).await?, remarks, "remarks");
    let too_long = [
        remark(1, 1, &"x".repeat(ReviewNote::BY_BYTES_MAX + 1), "text"),
        remark(1, 1, "by", &format!("{longest}x")),
        remark(1, 1, "by", "a\0b"),
    ];
    for bad in too_long {
        let malformed = |conflict: &Conflict| matches!(conflict, Conflict::Malformed { .. });
        expect_conflict(
            ledger.add_review_note(&law_id, &bad).await,
            malformed,
            "a remark that breaks a rule",
        )?;
    }
    drop(ledger);
    let ledger = storage.open().await?.ledger;
    ledger.add_review_note(&law_id, &remarks[0]).await?;
    ensure_eq!(ledger.review_notes(&law_id).await?, remarks, "remarks after a restart");
    ensure_eq!(ledger.review_notes(&law("L2")).await?, remarks[..1], "another election's");
    Ok(())
}

async fn a_reader_never_misses_a_batch(storage: &dyn TestStorage) -> Outcome {
    const TASKS: u8 = 8;
    const BATCHES: u64 = 25;
    let ledger = storage.open().await?.ledger;
    let law_id = law("L1");
    let mut tasks = tokio::task::JoinSet::new();
    for by in 0..TASKS {
        let ledger = Arc::clone(&ledger);
        let law_id = law_id.clone();
        tasks.spawn(async move {
            for sequence in 1..=BATCHES {
                ledger.stage(&batch(&law_id, by, Epoch(1), sequence, 1, 0), &Hints::new()).await?;
            }
            Ok::<_, EngineError>(())
        });
    }
    // Reads after the last position seen while the tasks write. A batch staged below it would be
    // missed.
    let (mut after, mut seen, mut writing) = (StagingId(0), 0, true);
    loop {
        let staged = ledger.staged(&law_id, after, 7).await?;
        match staged.last() {
            Some(last) => after = last.id,
            None if !writing => break,
            None => {}
        }
        seen += staged.len();
        while let Some(finished) = tasks.try_join_next() {
            let Ok(staged) = finished else {
                return Err(CaseError::Missing { what: "the end of a task" });
            };
            staged?;
        }
        writing = !tasks.is_empty();
        tokio::task::yield_now().await;
    }
    ensure_eq!(seen as u64, u64::from(TASKS) * BATCHES, "batches seen by the concurrent reader");
    Ok(())
}

async fn second_opening_shares_the_storage_or_is_refused(storage: &dyn TestStorage) -> Outcome {
    let first = storage.open().await?.ledger;
    let law_id = law("L1");
    first.stage(&batch(&law_id, 1, Epoch(1), 1, 1, 0), &Hints::new()).await?;
    let second = match storage.open().await {
        Err(EngineError::Unavailable { .. }) => return Ok(()),
        opened => opened?.ledger,
    };
    ensure_eq!(
        second.staged(&law_id, StagingId(0), 10).await?.len(),
        1,
        "batches that the other staged"
    );
    let mut tasks = tokio::task::JoinSet::new();
    for (by, ledger) in [(1, &first), (2, &second), (3, &first), (4, &second)] {
        let ledger = Arc::clone(ledger);
        let law_id = law_id.clone();
        tasks.spawn(async move {
            let mut positions = Vec::new();
            for sequence in 2..=20 {
                positions.push(
                    ledger
                        .stage(&batch(&law_id, by, Epoch(1), sequence, 1, 0), &Hints::new())
                        .await?,
                );
            }
            Ok::<_, EngineError>(positions)
        });
    }
    let mut positions = BTreeSet::new();
    while let Some(finished) = tasks.join_next().await {
        let Ok(staged) = finished else {
            return Err(CaseError::Missing { what: "the end of a task" });
        };
        positions.extend(staged?);
    }
    ensure_eq!(positions.len(), 4 * 19, "places given by both");
    let mut log = SampleLog::new(&law_id);
    log.term = term_of(&first.acquire_leadership("first", LONG, 0).await?)?;
    ensure!(
        matches!(second.acquire_leadership("second", LONG, 0).await?, Leadership::Following { .. }),
        "two lead at once"
    );
    let commit = log.grow(&*first, 300).await?;
    ensure_eq!(
        second.head(&law_id).await?.as_ref(),
        Some(&commit.head),
        "the head that the other committed"
    );
    Ok(())
}
