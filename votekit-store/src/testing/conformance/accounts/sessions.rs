//! Sessions and their tokens.

use votekit_core::id::Digest;
use votekit_core::instant::UnixSeconds;

use super::officials::id;
use crate::testing::conformance::{
    Case, CaseError, Outcome, TestStorage, case, ensure, ensure_eq, exact_case,
};
use crate::{AccountId, Accounts, NewSession, Rotation, SessionKind};

pub(super) const CASES: &[Case] = &[
    case!(a_session_of_the_pages_is_valid_until_it_is_idle),
    case!(a_session_of_the_pages_ends_at_its_expiry),
    case!(a_use_never_shortens_a_session),
    case!(beginning_a_session_again_changes_nothing),
    case!(a_token_counts_for_its_kind_of_session_only),
    case!(a_refresh_token_is_replaced_by_the_next),
    case!(a_refresh_session_ends_when_it_is_idle_or_expired),
    case!(the_same_rotation_again_has_the_same_answer),
    case!(a_refresh_session_is_found_by_each_of_its_tokens_until_it_ends),
    exact_case!(a_reused_token_ends_its_session),
    exact_case!(one_of_many_concurrent_rotations_succeeds),
    case!(a_session_is_ended_by_any_of_its_tokens),
    case!(every_session_of_an_account_is_ended),
    case!(sessions_survive_a_reopening),
];

pub(super) const PAGES: SessionKind = SessionKind::Pages;
pub(super) const REFRESH: SessionKind = SessionKind::Refresh;

fn token(text: &str) -> Digest {
    Digest::compute(text.as_bytes())
}

/// A session of an account, idle after 100 and expired after 1000.
pub(super) async fn begin(
    accounts: &dyn Accounts,
    kind: SessionKind,
    text: &str,
    account: u32,
) -> Result<(), CaseError> {
    let session = NewSession {
        token: token(text),
        account: id(account),
        kind,
        expires: UnixSeconds(1_000),
        idle_until: UnixSeconds(100),
    };
    Ok(accounts.begin_session(&session).await?)
}

/// Whose session of the pages it is.
pub(super) async fn used(
    accounts: &dyn Accounts,
    text: &str,
    now: u64,
    idle_until: u64,
) -> Result<Option<AccountId>, CaseError> {
    Ok(accounts.use_session(&token(text), UnixSeconds(now), UnixSeconds(idle_until)).await?)
}

/// Whose refresh session it is.
async fn found(
    accounts: &dyn Accounts,
    text: &str,
    now: u64,
) -> Result<Option<AccountId>, CaseError> {
    Ok(accounts.refresh_session(&token(text), UnixSeconds(now)).await?)
}

pub(super) async fn rotated(
    accounts: &dyn Accounts,
    from: &str,
    to: &str,
    now: u64,
    idle_until: u64,
) -> Result<Rotation, CaseError> {
    let (now, idle_until) = (UnixSeconds(now), UnixSeconds(idle_until));
    Ok(accounts.rotate(&token(from), &token(to), now, idle_until).await?)
}

async fn a_session_of_the_pages_is_valid_until_it_is_idle(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    begin(&*accounts, PAGES, "a", 1).await?;
    begin(&*accounts, PAGES, "b", 2).await?;
    ensure_eq!(used(&*accounts, "c", 0, 200).await?, None, "a token of no session");
    ensure_eq!(used(&*accounts, "a", 99, 200).await?, Some(id(1)), "before it is idle");
    ensure_eq!(used(&*accounts, "a", 199, 300).await?, Some(id(1)), "after a use");
    ensure_eq!(used(&*accounts, "a", 300, 400).await?, None, "once it is idle");
    ensure_eq!(used(&*accounts, "a", 299, 300).await?, Some(id(1)), "the use was refused");
    ensure_eq!(used(&*accounts, "b", 100, 200).await?, None, "another one, never used");
    Ok(())
}

async fn a_session_of_the_pages_ends_at_its_expiry(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    begin(&*accounts, PAGES, "a", 1).await?;
    ensure_eq!(used(&*accounts, "a", 50, 5_000).await?, Some(id(1)), "used for long");
    ensure_eq!(used(&*accounts, "a", 999, 5_000).await?, Some(id(1)), "before it expires");
    ensure_eq!(used(&*accounts, "a", 1_000, 5_000).await?, None, "once it has expired");
    let endless = NewSession {
        token: token("endless"),
        account: id(1),
        kind: PAGES,
        expires: UnixSeconds(u64::MAX),
        idle_until: UnixSeconds(u64::MAX),
    };
    accounts.begin_session(&endless).await?;
    let far = i64::MAX as u64 - 1;
    ensure_eq!(used(&*accounts, "endless", far, u64::MAX).await?, Some(id(1)), "without an end");
    Ok(())
}

async fn a_use_never_shortens_a_session(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    begin(&*accounts, PAGES, "a", 1).await?;
    begin(&*accounts, REFRESH, "b", 1).await?;
    ensure_eq!(used(&*accounts, "a", 10, 20).await?, Some(id(1)), "used");
    ensure_eq!(used(&*accounts, "a", 99, 99).await?, Some(id(1)), "as long as before");
    let expected = Rotation::Rotated(id(1));
    ensure_eq!(rotated(&*accounts, "b", "c", 10, 20).await?, expected, "rotated");
    ensure_eq!(rotated(&*accounts, "c", "d", 99, 99).await?, expected, "as long as before");
    Ok(())
}

async fn beginning_a_session_again_changes_nothing(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    begin(&*accounts, REFRESH, "a", 1).await?;
    begin(&*accounts, REFRESH, "a", 1).await?;
    let expected = Rotation::Rotated(id(1));
    ensure_eq!(rotated(&*accounts, "a", "b", 50, 200).await?, expected, "begun twice");
    begin(&*accounts, REFRESH, "a", 1).await?;
    ensure_eq!(rotated(&*accounts, "b", "c", 150, 300).await?, expected, "used, begun again");
    accounts.end_session(&token("c")).await?;
    ensure_eq!(rotated(&*accounts, "c", "d", 150, 300).await?, Rotation::Unknown, "ended once");
    Ok(())
}

async fn a_token_counts_for_its_kind_of_session_only(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    begin(&*accounts, PAGES, "cookie", 1).await?;
    begin(&*accounts, REFRESH, "refresh", 1).await?;
    ensure_eq!(used(&*accounts, "refresh", 0, 200).await?, None, "a refresh token as a cookie");
    let unknown = Rotation::Unknown;
    ensure_eq!(rotated(&*accounts, "cookie", "next", 0, 200).await?, unknown, "the other way");
    ensure_eq!(used(&*accounts, "cookie", 0, 200).await?, Some(id(1)), "the cookie");
    let expected = Rotation::Rotated(id(1));
    ensure_eq!(rotated(&*accounts, "refresh", "next", 0, 200).await?, expected, "the token");
    Ok(())
}

async fn a_refresh_token_is_replaced_by_the_next(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    begin(&*accounts, REFRESH, "0", 1).await?;
    begin(&*accounts, REFRESH, "other", 2).await?;
    ensure_eq!(rotated(&*accounts, "1", "2", 0, 200).await?, Rotation::Unknown, "not yet issued");
    for number in 0..10_u64 {
        let (from, to) = (number.to_string(), (number + 1).to_string());
        let (now, idle_until) = (number * 50, number * 50 + 100);
        let answer = rotated(&*accounts, &from, &to, now, idle_until).await?;
        ensure_eq!(answer, Rotation::Rotated(id(1)), "the current token");
    }
    let expected = Rotation::Rotated(id(2));
    ensure_eq!(rotated(&*accounts, "other", "next", 50, 200).await?, expected, "another session");
    Ok(())
}

async fn a_refresh_session_ends_when_it_is_idle_or_expired(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    begin(&*accounts, REFRESH, "a", 1).await?;
    begin(&*accounts, REFRESH, "b", 1).await?;
    let unknown = Rotation::Unknown;
    ensure_eq!(rotated(&*accounts, "a", "a2", 100, 200).await?, unknown, "once it is idle");
    let expected = Rotation::Rotated(id(1));
    ensure_eq!(rotated(&*accounts, "b", "b2", 99, 5_000).await?, expected, "before");
    ensure_eq!(rotated(&*accounts, "b2", "b3", 999, 5_000).await?, expected, "before it expires");
    ensure_eq!(rotated(&*accounts, "b3", "b4", 1_000, 5_000).await?, unknown, "once expired");
    // The answer to a replaced token is that to one that was never issued.
    ensure_eq!(rotated(&*accounts, "b", "b5", 1_000, 5_000).await?, unknown, "a replaced token");
    Ok(())
}

async fn the_same_rotation_again_has_the_same_answer(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    begin(&*accounts, REFRESH, "a", 1).await?;
    let expected = Rotation::Rotated(id(1));
    for _ in 0..3 {
        ensure_eq!(rotated(&*accounts, "a", "b", 0, 200).await?, expected, "the same call");
    }
    ensure_eq!(rotated(&*accounts, "b", "c", 0, 200).await?, expected, "the next one");
    Ok(())
}

async fn a_refresh_session_is_found_by_each_of_its_tokens_until_it_ends(
    storage: &dyn TestStorage,
) -> Outcome {
    let accounts = storage.open().await?.accounts;
    ensure_eq!(found(&*accounts, "a", 0).await?, None, "before it begins");
    begin(&*accounts, REFRESH, "a", 1).await?;
    begin(&*accounts, REFRESH, "apart", 2).await?;
    begin(&*accounts, PAGES, "cookie", 1).await?;
    ensure_eq!(found(&*accounts, "a", 99).await?, Some(id(1)), "by its first token");
    ensure_eq!(found(&*accounts, "cookie", 0).await?, None, "a session of the pages");
    let rotation = rotated(&*accounts, "a", "b", 0, 200).await?;
    ensure_eq!(rotation, Rotation::Rotated(id(1)), "rotated");
    for text in ["a", "b"] {
        ensure_eq!(found(&*accounts, text, 199).await?, Some(id(1)), "by each of its tokens");
        ensure_eq!(found(&*accounts, text, 200).await?, None, "once it is idle");
    }
    // It was found only: it is idle when it was.
    ensure_eq!(found(&*accounts, "apart", 99).await?, Some(id(2)), "another session");
    ensure_eq!(found(&*accounts, "apart", 100).await?, None, "once it is idle");
    accounts.end_session(&token("a")).await?;
    for text in ["a", "b"] {
        ensure_eq!(found(&*accounts, text, 0).await?, None, "once it has ended");
    }
    ensure_eq!(found(&*accounts, "apart", 0).await?, Some(id(2)), "the other one stays");
    Ok(())
}

async fn a_reused_token_ends_its_session(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    let (expected, reused) = (Rotation::Rotated(id(1)), Rotation::Reused(id(1)));
    begin(&*accounts, REFRESH, "bystander", 1).await?;
    for (session, again) in [("first", "other"), ("second", "2 of second")] {
        begin(&*accounts, REFRESH, session, 1).await?;
        let [two, three] = ["2", "3"].map(|number| format!("{number} of {session}"));
        ensure_eq!(rotated(&*accounts, session, &two, 0, 200).await?, expected, "first");
        ensure_eq!(rotated(&*accounts, &two, &three, 0, 200).await?, expected, "second");
        // Even with the successor of that time, which is not the current token any more.
        ensure_eq!(rotated(&*accounts, session, again, 0, 200).await?, reused, "used again");
        for text in [session, two.as_str(), three.as_str(), "other"] {
            let answer = rotated(&*accounts, text, "last", 0, 200).await?;
            ensure_eq!(answer, Rotation::Unknown, "a token of a session that has ended");
        }
    }
    let answer = rotated(&*accounts, "bystander", "next", 0, 200).await?;
    ensure_eq!(answer, expected, "another session of the account");
    Ok(())
}

async fn one_of_many_concurrent_rotations_succeeds(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    begin(&*accounts, REFRESH, "a", 1).await?;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..16 {
        let accounts = accounts.clone();
        tasks.spawn(
            async move { rotated(&*accounts, "a", &format!("next {number}"), 0, 200).await },
        );
    }
    let (mut succeeded, mut reused) = (0, 0);
    while let Some(finished) = tasks.join_next().await {
        let Ok(answer) = finished else {
            return Err(CaseError::Missing { what: "the end of a task" });
        };
        match answer? {
            Rotation::Rotated(account) if account == id(1) => succeeded += 1,
            Rotation::Reused(account) if account == id(1) => reused += 1,
            Rotation::Unknown => {}
            answer => ensure!(false, "a rotation returned {answer:?}"),
        }
    }
    ensure_eq!((succeeded, reused), (1, 1), "rotations that succeeded, and that ended the session");
    for number in 0..16 {
        let answer = rotated(&*accounts, &format!("next {number}"), "last", 0, 200).await?;
        ensure_eq!(answer, Rotation::Unknown, "a token of the session, which has ended");
    }
    Ok(())
}

async fn a_session_is_ended_by_any_of_its_tokens(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    accounts.end_session(&token("none")).await?;
    begin(&*accounts, PAGES, "cookie", 1).await?;
    begin(&*accounts, PAGES, "other", 1).await?;
    accounts.end_session(&token("cookie")).await?;
    accounts.end_session(&token("cookie")).await?;
    ensure_eq!(used(&*accounts, "cookie", 0, 200).await?, None, "a session of the pages");
    ensure_eq!(used(&*accounts, "other", 0, 200).await?, Some(id(1)), "another one");
    for ended_by in ["first", "second"] {
        begin(&*accounts, REFRESH, "first", 1).await?;
        let expected = Rotation::Rotated(id(1));
        ensure_eq!(rotated(&*accounts, "first", "second", 0, 200).await?, expected, "rotated");
        accounts.end_session(&token(ended_by)).await?;
        for text in ["first", "second"] {
            let answer = rotated(&*accounts, text, "third", 0, 200).await?;
            ensure_eq!(answer, Rotation::Unknown, "a token of a session that was ended");
        }
    }
    Ok(())
}

async fn every_session_of_an_account_is_ended(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    begin(&*accounts, PAGES, "cookie 1", 1).await?;
    begin(&*accounts, PAGES, "cookie 2", 1).await?;
    begin(&*accounts, REFRESH, "refresh 1", 1).await?;
    begin(&*accounts, PAGES, "cookie of another", 2).await?;
    accounts.end_sessions(id(1)).await?;
    accounts.end_sessions(id(3)).await?;
    ensure_eq!(used(&*accounts, "cookie 1", 0, 200).await?, None, "the first");
    ensure_eq!(used(&*accounts, "cookie 2", 0, 200).await?, None, "the second");
    let answer = rotated(&*accounts, "refresh 1", "next", 0, 200).await?;
    ensure_eq!(answer, Rotation::Unknown, "the refresh token");
    let other = used(&*accounts, "cookie of another", 0, 200).await?;
    ensure_eq!(other, Some(id(2)), "another account");
    Ok(())
}

async fn sessions_survive_a_reopening(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    begin(&*accounts, PAGES, "cookie", 1).await?;
    begin(&*accounts, REFRESH, "a", 1).await?;
    let expected = Rotation::Rotated(id(1));
    ensure_eq!(used(&*accounts, "cookie", 0, 200).await?, Some(id(1)), "used");
    ensure_eq!(rotated(&*accounts, "a", "b", 0, 200).await?, expected, "rotated");
    drop(accounts);
    let accounts = storage.open().await?.accounts;
    ensure_eq!(used(&*accounts, "cookie", 150, 200).await?, Some(id(1)), "used after reopening");
    ensure_eq!(rotated(&*accounts, "b", "c", 150, 200).await?, expected, "rotated after it");
    Ok(())
}
