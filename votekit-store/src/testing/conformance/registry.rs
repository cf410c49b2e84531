//! The cases of [`crate::Registry`].

use std::collections::HashSet;

use votekit_core::electorate::Changes;

use super::samples::{key, law, mark, request, roll};
use super::{Case, CaseError, Outcome, TestStorage, case, ensure, ensure_eq, exact_case};
use crate::Hint::{Accepted, Duplicate, Revoked, Unknown};
use crate::{EngineError, FirstUse, Hint, KnownElectors, Mark, Registry};

pub(super) const CASES: &[Case] = &[
    exact_case!(without_a_roll_every_credential_is_unknown_or_marking_fails),
    case!(mark_of_an_unregistered_credential_is_unknown),
    case!(first_request_is_hinted_accepted),
    case!(first_request_repeated_stays_accepted),
    case!(further_requests_are_numbered_from_2),
    case!(further_request_repeated_keeps_its_number),
    case!(marks_of_one_call_are_made_in_order),
    case!(an_empty_call_marks_nothing),
    case!(elections_do_not_share_credentials),
    case!(adding_a_roll_again_changes_nothing),
    case!(rolls_that_overlap_count_each_credential_once),
    case!(a_supplement_adds_revokes_and_replaces),
    case!(applying_a_supplement_again_changes_nothing),
    case!(a_spent_credential_is_neither_revoked_nor_replaced),
    case!(an_elector_is_readmitted_once_revoked),
    case!(a_revoked_credential_comes_back_when_it_is_added),
    case!(an_election_restored_as_a_whole_has_the_given_marks),
    case!(exactly_one_of_many_concurrent_requests_is_first),
    case!(one_request_marked_concurrently_counts_once),
    case!(a_peek_marks_nothing_and_agrees_with_the_marks),
    case!(registered_credentials_are_recognised_used_or_not),
];

async fn expect(
    registry: &dyn Registry,
    law_id: &str,
    marks: &[Mark],
    expected: &[Hint],
    what: &str,
) -> Outcome {
    ensure_eq!(registry.mark(&law(law_id), marks).await?, expected, what);
    Ok(())
}

/// A shared registry without a roll may have lost it. It then returns `Unavailable`, on every
/// retry.
async fn without_a_roll_every_credential_is_unknown_or_marking_fails(
    storage: &dyn TestStorage,
) -> Outcome {
    let registry = storage.open().await?.registry;
    ensure_eq!(registry.registered(&law("L1")).await?, 0, "registered without a roll");
    match registry.mark(&law("L1"), &[mark(1, 1), mark(2, 2)]).await {
        Err(EngineError::Unavailable { .. }) if registry.is_shared() => Ok(()),
        hints => {
            ensure_eq!(hints?, [Unknown, Unknown], "without a roll");
            Ok(())
        }
    }
}

async fn mark_of_an_unregistered_credential_is_unknown(storage: &dyn TestStorage) -> Outcome {
    let registry = storage.open().await?.registry;
    registry.add_roll(&law("L1"), &roll(1..=3)).await?;
    ensure_eq!(registry.registered(&law("L1")).await?, 3, "registered with a roll");
    expect(&*registry, "L1", &[mark(4, 4)], &[Unknown], "not on the roll").await
}

async fn first_request_is_hinted_accepted(storage: &dyn TestStorage) -> Outcome {
    let registry = storage.open().await?.registry;
    registry.add_roll(&law("L1"), &roll(1..=1000)).await?;
    let marks: Vec<Mark> = (1..=1000).map(|number| mark(number, number)).collect();
    expect(&*registry, "L1", &marks, &vec![Accepted; 1000], "each credential's first request").await
}

async fn first_request_repeated_stays_accepted(storage: &dyn TestStorage) -> Outcome {
    let registry = storage.open().await?.registry;
    registry.add_roll(&law("L1"), &roll(1..=1)).await?;
    for _ in 0..3 {
        expect(&*registry, "L1", &[mark(1, 1)], &[Accepted], "the same request").await?;
    }
    expect(&*registry, "L1", &[mark(1, 2)], &[Duplicate { attempt: 2 }], "retries are not attempts")
        .await
}

async fn further_requests_are_numbered_from_2(storage: &dyn TestStorage) -> Outcome {
    let registry = storage.open().await?.registry;
    registry.add_roll(&law("L1"), &roll(1..=2)).await?;
    expect(&*registry, "L1", &[mark(1, 1)], &[Accepted], "first").await?;
    for attempt in 2..=20 {
        expect(&*registry, "L1", &[mark(1, attempt)], &[Duplicate { attempt }], "further").await?;
    }
    expect(&*registry, "L1", &[mark(2, 99)], &[Accepted], "another credential").await
}

async fn further_request_repeated_keeps_its_number(storage: &dyn TestStorage) -> Outcome {
    let registry = storage.open().await?.registry;
    registry.add_roll(&law("L1"), &roll(1..=1)).await?;
    let marks: Vec<Mark> = (1..=4).map(|number| mark(1, number)).collect();
    let expected =
        [Accepted, Duplicate { attempt: 2 }, Duplicate { attempt: 3 }, Duplicate { attempt: 4 }];
    expect(&*registry, "L1", &marks, &expected, "once").await?;
    expect(&*registry, "L1", &marks, &expected, "again").await?;
    expect(&*registry, "L1", &[marks[2]], &[expected[2]], "one of them").await?;
    expect(&*registry, "L1", &[mark(1, 5)], &[Duplicate { attempt: 5 }], "a new one").await
}

async fn marks_of_one_call_are_made_in_order(storage: &dyn TestStorage) -> Outcome {
    let registry = storage.open().await?.registry;
    registry.add_roll(&law("L1"), &roll(1..=2)).await?;
    let marks =
        [mark(1, 1), mark(1, 2), mark(9, 3), mark(2, 4), mark(1, 1), mark(1, 2), mark(2, 5)];
    let expected = [
        Accepted,
        Duplicate { attempt: 2 },
        Unknown,
        Accepted,
        Accepted,
        Duplicate { attempt: 2 },
        Duplicate { attempt: 2 },
    ];
    expect(&*registry, "L1", &marks, &expected, "in order").await
}

async fn an_empty_call_marks_nothing(storage: &dyn TestStorage) -> Outcome {
    let registry = storage.open().await?.registry;
    registry.add_roll(&law("L1"), &roll(1..=1)).await?;
    expect(&*registry, "L1", &[], &[], "no marks").await?;
    registry.apply(&law("L1"), &Changes::default()).await?;
    ensure_eq!(registry.registered(&law("L1")).await?, 1, "registered");
    expect(&*registry, "L1", &[mark(1, 1)], &[Accepted], "unspent").await
}

async fn elections_do_not_share_credentials(storage: &dyn TestStorage) -> Outcome {
    let registry = storage.open().await?.registry;
    registry.add_roll(&law("L1"), &roll(1..=2)).await?;
    registry.add_roll(&law("L2"), &roll(2..=4)).await?;
    expect(&*registry, "L1", &[mark(2, 1)], &[Accepted], "in one").await?;
    expect(&*registry, "L2", &[mark(2, 2)], &[Accepted], "in the other").await?;
    expect(&*registry, "L2", &[mark(1, 3)], &[Unknown], "registered in the other alone").await?;
    ensure_eq!(registry.registered(&law("L1")).await?, 2, "registered in one");
    ensure_eq!(registry.registered(&law("L2")).await?, 3, "registered in the other");
    Ok(())
}

async fn adding_a_roll_again_changes_nothing(storage: &dyn TestStorage) -> Outcome {
    let registry = storage.open().await?.registry;
    let keys = roll(1..=10);
    registry.add_roll(&law("L1"), &keys).await?;
    expect(&*registry, "L1", &[mark(1, 1)], &[Accepted], "first").await?;
    registry.apply(&law("L1"), &Changes { revoke: vec![key(2)], ..Changes::default() }).await?;
    registry.add_roll(&law("L1"), &keys).await?;
    registry.add_roll(&law("L1"), &roll(1..=10)).await?;
    ensure_eq!(registry.registered(&law("L1")).await?, 9, "registered");
    expect(
        &*registry,
        "L1",
        &[mark(1, 2), mark(2, 3)],
        &[Duplicate { attempt: 2 }, Revoked],
        "after adding again",
    )
    .await
}

async fn rolls_that_overlap_count_each_credential_once(storage: &dyn TestStorage) -> Outcome {
    let registry = storage.open().await?.registry;
    registry.add_roll(&law("L1"), &roll(1..=10)).await?;
    expect(&*registry, "L1", &[mark(7, 1)], &[Accepted], "on the first roll").await?;
    registry.add_roll(&law("L1"), &roll(6..=15)).await?;
    registry.add_roll(&law("L1"), &roll(20..=22)).await?;
    ensure_eq!(registry.registered(&law("L1")).await?, 18, "registered");
    let marks = [mark(7, 2), mark(6, 3), mark(15, 4), mark(21, 5), mark(16, 6)];
    expect(
        &*registry,
        "L1",
        &marks,
        &[Duplicate { attempt: 2 }, Accepted, Accepted, Accepted, Unknown],
        "after three",
    )
    .await
}

async fn a_supplement_adds_revokes_and_replaces(storage: &dyn TestStorage) -> Outcome {
    let registry = storage.open().await?.registry;
    registry.add_roll(&law("L1"), &roll(1..=5)).await?;
    let changes = Changes {
        add: vec![key(10), key(1)],
        revoke: vec![key(2), key(77)],
        replace: vec![(key(3), key(30))],
        readmit: vec![],
    };
    registry.apply(&law("L1"), &changes).await?;
    ensure_eq!(registry.registered(&law("L1")).await?, 5, "registered: 5, 2 added, 2 revoked");
    let marks =
        [mark(10, 1), mark(2, 2), mark(3, 3), mark(30, 4), mark(77, 5), mark(1, 6), mark(4, 7)];
    expect(
        &*registry,
        "L1",
        &marks,
        &[Accepted, Revoked, Revoked, Accepted, Unknown, Accepted, Accepted],
        "after it",
    )
    .await
}

async fn applying_a_supplement_again_changes_nothing(storage: &dyn TestStorage) -> Outcome {
    let registry = storage.open().await?.registry;
    registry.add_roll(&law("L1"), &roll(1..=5)).await?;
    let changes = Changes {
        add: vec![key(10)],
        revoke: vec![key(2)],
        replace: vec![(key(3), key(30))],
        ..Changes::default()
    };
    registry.apply(&law("L1"), &changes).await?;
    expect(&*registry, "L1", &[mark(10, 1), mark(30, 2)], &[Accepted, Accepted], "once applied")
        .await?;
    registry.apply(&law("L1"), &changes).await?;
    registry.apply(&law("L1"), &changes).await?;
    ensure_eq!(registry.registered(&law("L1")).await?, 5, "registered");
    let marks = [mark(10, 1), mark(10, 3), mark(30, 4), mark(2, 5), mark(3, 6), mark(5, 7)];
    let expected =
        [Accepted, Duplicate { attempt: 2 }, Duplicate { attempt: 2 }, Revoked, Revoked, Accepted];
    expect(&*registry, "L1", &marks, &expected, "applied again").await
}

async fn a_spent_credential_is_neither_revoked_nor_replaced(storage: &dyn TestStorage) -> Outcome {
    let registry = storage.open().await?.registry;
    registry.add_roll(&law("L1"), &roll(1..=3)).await?;
    expect(&*registry, "L1", &[mark(1, 1), mark(2, 2)], &[Accepted, Accepted], "spent").await?;
    let changes =
        Changes { revoke: vec![key(1)], replace: vec![(key(2), key(20))], ..Changes::default() };
    registry.apply(&law("L1"), &changes).await?;
    ensure_eq!(registry.registered(&law("L1")).await?, 3, "registered");
    let marks = [mark(1, 1), mark(1, 3), mark(2, 2), mark(20, 4)];
    expect(
        &*registry,
        "L1",
        &marks,
        &[Accepted, Duplicate { attempt: 2 }, Accepted, Unknown],
        "after it",
    )
    .await
}

async fn an_elector_is_readmitted_once_revoked(storage: &dyn TestStorage) -> Outcome {
    let registry = storage.open().await?.registry;
    registry.add_roll(&law("L1"), &roll(1..=3)).await?;
    expect(&*registry, "L1", &[mark(2, 2)], &[Accepted], "spent").await?;
    let revoke = Changes { revoke: vec![key(1), key(2)], ..Changes::default() };
    registry.apply(&law("L1"), &revoke).await?;
    let changes = Changes {
        readmit: vec![(key(1), key(10)), (key(2), key(20)), (key(77), key(30))],
        ..Changes::default()
    };
    registry.apply(&law("L1"), &changes).await?;
    registry.apply(&law("L1"), &changes).await?;
    ensure_eq!(registry.registered(&law("L1")).await?, 3, "registered: 3, 1 revoked, 1 added");
    let marks = [mark(1, 1), mark(10, 3), mark(20, 4), mark(30, 5)];
    expect(&*registry, "L1", &marks, &[Revoked, Accepted, Unknown, Unknown], "after both").await
}

async fn a_revoked_credential_comes_back_when_it_is_added(storage: &dyn TestStorage) -> Outcome {
    let registry = storage.open().await?.registry;
    registry.add_roll(&law("L1"), &roll(1..=3)).await?;
    registry.apply(&law("L1"), &Changes { revoke: vec![key(1)], ..Changes::default() }).await?;
    expect(&*registry, "L1", &[mark(1, 1)], &[Revoked], "revoked").await?;
    registry.apply(&law("L1"), &Changes { add: vec![key(1)], ..Changes::default() }).await?;
    ensure_eq!(registry.registered(&law("L1")).await?, 3, "registered");
    expect(&*registry, "L1", &[mark(1, 2)], &[Accepted], "back").await
}

async fn exactly_one_of_many_concurrent_requests_is_first(storage: &dyn TestStorage) -> Outcome {
    const REQUESTS: u32 = 32;
    let registry = storage.open().await?.registry;
    registry.add_roll(&law("L1"), &roll(1..=20)).await?;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..REQUESTS {
        let registry = registry.clone();
        tasks.spawn(async move {
            let marks: Vec<Mark> = (1..=20)
                .map(|credential| Mark {
                    key: key(credential),
                    request: request(1000 * credential + number),
                })
                .collect();
            registry.mark(&law("L1"), &marks).await
        });
    }
    let mut first = [0; 20];
    let mut attempts = vec![HashSet::new(); 20];
    while let Some(finished) = tasks.join_next().await {
        let Ok(expectations) = finished else {
            return Err(CaseError::Missing { what: "the end of a task" });
        };
        for (credential, expectation) in expectations?.into_iter().enumerate() {
            match expectation {
                Accepted => first[credential] += 1,
                Duplicate { attempt } => {
                    ensure!(
                        attempts[credential].insert(attempt),
                        "attempt {attempt} was returned twice"
                    );
                }
                Revoked | Unknown => ensure!(false, "a registered credential was {expectation:?}"),
            }
        }
    }
    ensure_eq!(first, [1; 20], "requests that came first, by credential");
    for attempts in attempts {
        ensure_eq!(attempts, (2..=REQUESTS).collect::<HashSet<u32>>(), "the attempts returned");
    }
    Ok(())
}

async fn one_request_marked_concurrently_counts_once(storage: &dyn TestStorage) -> Outcome {
    let registry = storage.open().await?.registry;
    registry.add_roll(&law("L1"), &roll(1..=1)).await?;
    expect(&*registry, "L1", &[mark(1, 1)], &[Accepted], "first").await?;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let registry = registry.clone();
        tasks.spawn(async move { registry.mark(&law("L1"), &[mark(1, 1), mark(1, 2)]).await });
    }
    while let Some(finished) = tasks.join_next().await {
        let Ok(expectations) = finished else {
            return Err(CaseError::Missing { what: "the end of a task" });
        };
        ensure_eq!(expectations?, [Accepted, Duplicate { attempt: 2 }], "the same two requests");
    }
    expect(&*registry, "L1", &[mark(1, 3)], &[Duplicate { attempt: 3 }], "one more").await
}

/// An engine may return no hint from a peek, but a hint it returns must be true.
async fn a_peek_marks_nothing_and_agrees_with_the_marks(storage: &dyn TestStorage) -> Outcome {
    let registry = storage.open().await?.registry;
    registry.add_roll(&law("L1"), &roll(1..=3)).await?;
    registry.apply(&law("L1"), &Changes { revoke: vec![key(3)], ..Changes::default() }).await?;
    registry.mark(&law("L1"), &[mark(2, 7)]).await?;
    for (law_id, number, expected) in [
        ("L1", mark(1, 1), Accepted),
        ("L1", mark(2, 7), Accepted),
        ("L1", mark(2, 8), Duplicate { attempt: 2 }),
        ("L1", mark(3, 1), Revoked),
        ("L1", mark(4, 1), Unknown),
        ("L2", mark(1, 1), Unknown),
    ] {
        for _ in 0..2 {
            let hint = registry.peek(&law(law_id), &number).map(|hint| match hint {
                // The contract does not cover the attempt number of a peek.
                Duplicate { .. } => Duplicate { attempt: 2 },
                hint => hint,
            });
            ensure!(hint.is_none_or(|hint| hint == expected), "a peek at {number:?} of {law_id}");
        }
    }
    expect(&*registry, "L1", &[mark(1, 1), mark(2, 7)], &[Accepted, Accepted], "after peeks").await
}

async fn registered_credentials_are_recognised_used_or_not(storage: &dyn TestStorage) -> Outcome {
    let registry = storage.open().await?.registry;
    registry.add_roll(&law("L1"), &roll(1..=3)).await?;
    registry.apply(&law("L1"), &Changes { revoke: vec![key(3)], ..Changes::default() }).await?;
    registry.mark(&law("L1"), &[mark(2, 7)]).await?;
    for (number, expected) in [(1, true), (2, true), (3, false), (4, false)] {
        for _ in 0..2 {
            let found = registry.is_registered(&law("L1"), &key(number)).await?;
            ensure!(found == expected, "credential {number} is recognised: {found}");
        }
    }
    expect(&*registry, "L1", &[mark(1, 1), mark(2, 7)], &[Accepted, Accepted], "unchanged").await
}

async fn an_election_restored_as_a_whole_has_the_given_marks(storage: &dyn TestStorage) -> Outcome {
    let registry = storage.open().await?.registry;
    registry.add_roll(&law("L1"), &roll(1..=4)).await?;
    expect(&*registry, "L1", &[mark(1, 9), mark(4, 9)], &[Accepted; 2], "before").await?;
    let (keys, late) = (roll(1..=3), roll(7..=7));
    let mut uses = vec![FirstUse::UNUSED; 3];
    let place_of = |number| keys.find(&key(number)).expect("a key of the roll");
    uses[place_of(1)] = FirstUse::by(&request(1));
    uses[place_of(2)] = FirstUse::REVOKED;
    let electors = vec![
        KnownElectors { keys: keys.clone(), uses },
        KnownElectors { keys: late, uses: vec![FirstUse::UNUSED] },
    ];
    registry.restore_all(&law("L1"), electors, None).await?;
    ensure_eq!(registry.registered(&law("L1")).await?, 3, "registered");
    let marks = [mark(1, 1), mark(1, 5), mark(2, 2), mark(3, 3), mark(4, 4), mark(7, 7)];
    let expected = [Accepted, Duplicate { attempt: 2 }, Revoked, Accepted, Unknown, Accepted];
    expect(&*registry, "L1", &marks, &expected, "as restored").await
}
