//! The cases on the leader lease and its terms. They wait for short spans of real time, and assert
//! nothing about speed.

use std::sync::Arc;
use std::time::Duration;

use super::super::samples::{SampleLog, law};
use super::super::{
    Case, CaseError, Outcome, TestStorage, case, ensure, ensure_eq, expect_conflict,
};
use crate::{Conflict, Leadership, Ledger, TERM_STEP_MAX};

pub(super) const CASES: &[Case] = &[
    case!(leadership_is_exclusive_until_released),
    case!(expired_leadership_can_be_acquired),
    case!(only_one_of_many_candidates_acquires_leadership),
    case!(block_of_a_deposed_leader_is_refused),
    case!(a_term_is_at_least_what_its_holder_demands),
    case!(a_term_far_above_the_present_one_is_refused),
    case!(terms_survive_a_restart),
    case!(passing_over_ends_the_lease_of_one_term),
];

/// A lease that outlasts any case.
pub(super) const LONG: Duration = Duration::from_secs(600);

/// A lease that expires during a case.
pub(super) const SHORT: Duration = Duration::from_millis(300);

/// Waits until a lease of [`SHORT`] has expired on any clock that is roughly right.
pub(super) async fn outwait_short() {
    tokio::time::sleep(SHORT * 2).await;
}

/// The term of a leader; ends a case for a follower.
pub(super) fn term_of(leadership: &Leadership) -> Result<u64, CaseError> {
    match leadership {
        Leadership::Leading { term } => Ok(*term),
        following => {
            Err(CaseError::Broken { expectation: format!("expected to lead, found {following:?}") })
        }
    }
}

/// The second acquires leadership in a later term than the first had, and the first follows.
async fn ensure_second_leads_after(ledger: &dyn Ledger, term: u64) -> Outcome {
    let next = term_of(&ledger.acquire_leadership("second", LONG, 0).await?)?;
    ensure!(next > term, "the next leader's term is {next}, the first's was {term}");
    ensure!(
        matches!(ledger.acquire_leadership("first", LONG, 0).await?, Leadership::Following { .. }),
        "two lead at once"
    );
    Ok(())
}

async fn leadership_is_exclusive_until_released(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let term = term_of(&ledger.acquire_leadership("first", LONG, 0).await?)?;
    ensure!(term >= 1, "terms count from 1, found {term}");
    for _ in 0..3 {
        ensure_eq!(
            ledger.acquire_leadership("first", LONG, 0).await?,
            Leadership::Leading { term },
            "asked again"
        );
        match ledger.acquire_leadership("second", LONG, 0).await? {
            Leadership::Following { leader, term: found, remaining }
                if leader == "first" && found == term && remaining <= LONG => {}
            other => {
                return Err(CaseError::Broken {
                    expectation: format!("expected to follow the first, found {other:?}"),
                });
            }
        }
    }
    // A holder cannot resign for another.
    ledger.release_leadership("second").await?;
    ensure_eq!(
        ledger.acquire_leadership("first", LONG, 0).await?,
        Leadership::Leading { term },
        "after another resigned"
    );
    ledger.release_leadership("first").await?;
    ensure_second_leads_after(&*ledger, term).await
}

async fn expired_leadership_can_be_acquired(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let term = term_of(&ledger.acquire_leadership("first", SHORT, 0).await?)?;
    outwait_short().await;
    ensure_second_leads_after(&*ledger, term).await
}

async fn only_one_of_many_candidates_acquires_leadership(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..16 {
        let ledger = Arc::clone(&ledger);
        tasks.spawn(
            async move { ledger.acquire_leadership(&format!("holder {task}"), LONG, 0).await },
        );
    }
    let mut leaders = 0;
    while let Some(finished) = tasks.join_next().await {
        let Ok(answer) = finished else {
            return Err(CaseError::Missing { what: "the end of a task" });
        };
        leaders += usize::from(matches!(answer?, Leadership::Leading { .. }));
    }
    ensure_eq!(leaders, 1, "leaders");
    Ok(())
}

async fn block_of_a_deposed_leader_is_refused(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let mut log = SampleLog::new(&law("L1"));
    log.term = term_of(&ledger.acquire_leadership("first", LONG, 0).await?)?;
    let first = log.grow(&*ledger, 10).await?;
    ledger.release_leadership("first").await?;
    let term = term_of(&ledger.acquire_leadership("second", LONG, 0).await?)?;
    let late = log.clone().block(10, "late");
    let expected = Conflict::Term { law_id: law("L1"), offered: first.head.fence, found: term };
    expect_conflict(
        ledger.commit(&late).await,
        |conflict| *conflict == expected,
        "a block of the first leader's term",
    )?;
    let mut other = SampleLog::new(&law("L2"));
    other.term = first.head.fence;
    let other = other.block(1, "late");
    let of_term = |conflict: &Conflict| matches!(conflict, Conflict::Term { .. });
    expect_conflict(
        ledger.commit(&other).await,
        of_term,
        "the first block of another election, of that term",
    )?;
    // Committing the block that is already the head succeeds in a later term too, so that an
    // unknown outcome can be resolved.
    ledger.commit(&first).await?;
    ensure_eq!(ledger.head(&law("L1")).await?.as_ref(), Some(&first.head), "the head");
    log.term = term;
    log.grow(&*ledger, 10).await?;
    Ok(())
}

async fn a_term_is_at_least_what_its_holder_demands(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let first = term_of(&ledger.acquire_leadership("first", LONG, 7).await?)?;
    ensure!(first >= 7, "a term of at least 7 was asked for, found {first}");
    for at_least in [0, first - 1, first] {
        let same = ledger.acquire_leadership("first", LONG, at_least).await?;
        ensure_eq!(same, Leadership::Leading { term: first }, format!("at least {at_least}"));
    }
    // A follower's demand changes nothing.
    match ledger.acquire_leadership("second", LONG, first + 10).await? {
        Leadership::Following { term, .. } if term == first => {}
        other => {
            return Err(CaseError::Broken {
                expectation: format!("expected to follow in term {first}, found {other:?}"),
            });
        }
    }
    // A ledger that was restored from an older copy may continue a term that its holder cannot use
    // any more.
    let raised = term_of(&ledger.acquire_leadership("first", LONG, first + 5).await?)?;
    ensure!(raised >= first + 5, "the holder's own term rises, found {raised}");
    ledger.release_leadership("first").await?;
    let next = term_of(&ledger.acquire_leadership("second", LONG, first).await?)?;
    ensure!(next > raised, "a low demand lowers no term: found {next} after {raised}");
    Ok(())
}

async fn a_term_far_above_the_present_one_is_refused(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let malformed = |conflict: &Conflict| matches!(conflict, Conflict::Malformed { .. });
    let term = term_of(&ledger.acquire_leadership("first", LONG, 0).await?)?;
    for at_least in [term + TERM_STEP_MAX + 1, u64::MAX / 2, u64::MAX] {
        expect_conflict(
            ledger.acquire_leadership("first", LONG, at_least).await,
            malformed,
            "a term too far above",
        )?;
    }
    ensure_eq!(
        ledger.acquire_leadership("first", LONG, 0).await?,
        Leadership::Leading { term },
        "the lease and its term after the refusals"
    );
    let highest = term + TERM_STEP_MAX;
    ensure_eq!(
        ledger.acquire_leadership("first", LONG, highest).await?,
        Leadership::Leading { term: highest },
        "the highest term that is allowed"
    );
    Ok(())
}

async fn terms_survive_a_restart(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    // No block is committed in this term.
    let term = term_of(&ledger.acquire_leadership("first", LONG, 400).await?)?;
    ledger.release_leadership("first").await?;
    drop(ledger);
    let ledger = storage.open().await?.ledger;
    let next = term_of(&ledger.acquire_leadership("second", LONG, 0).await?)?;
    // If no other node can have used the term, it may continue.
    let lowest = if ledger.is_shared() { term + 1 } else { term };
    ensure!(next >= lowest, "term {next} after a restart, expected at least {lowest}");
    Ok(())
}

fn is_following(leadership: &Leadership, in_term: u64) -> bool {
    matches!(leadership, Leadership::Following { term, .. } if *term == in_term)
}

async fn passing_over_ends_the_lease_of_one_term(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let first = term_of(&ledger.acquire_leadership("first", LONG, 5).await?)?;
    for other in [0, first - 1, first + 1, u64::MAX] {
        let answer = ledger.pass_over(other, "second", LONG, 0).await?;
        ensure!(
            is_following(&answer, first),
            "passing over term {other} ended the lease of term {first}: {answer:?}"
        );
    }
    let second = term_of(&ledger.pass_over(first, "second", LONG, 0).await?)?;
    ensure!(second > first, "the next term is {second}, the one passed over was {first}");
    let answer = ledger.acquire_leadership("first", LONG, 0).await?;
    ensure!(is_following(&answer, second), "the one passed over leads at once: {answer:?}");
    // Repeated, it must not end the lease of the next term.
    ensure_eq!(
        ledger.pass_over(first, "second", LONG, 0).await?,
        Leadership::Leading { term: second },
        "the next leader extends its lease"
    );
    let answer = ledger.pass_over(first, "third", LONG, 0).await?;
    ensure!(is_following(&answer, second), "an earlier term was passed over: {answer:?}");
    // The holder itself may ask first. It does not continue the term.
    let third = term_of(&ledger.pass_over(second, "second", LONG, 0).await?)?;
    ensure!(third > second, "a term that was passed over went on: {third} after {second}");
    let raised = term_of(&ledger.pass_over(third, "first", LONG, third + 7).await?)?;
    ensure!(raised >= third + 7, "a term of at least {} was asked for: {raised}", third + 7);
    Ok(())
}
