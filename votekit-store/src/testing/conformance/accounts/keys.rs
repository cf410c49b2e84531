//! The keys of tokens, and the removal of what has expired.

use votekit_core::instant::UnixSeconds;

use super::officials::id;
use super::sessions::{PAGES, REFRESH, begin, rotated, used};
use crate::testing::conformance::{
    Case, CaseError, Outcome, TestStorage, case, ensure_eq, exact_case, expect_conflict,
};
use crate::{Conflict, Rotation, TokenKey};

pub(super) const CASES: &[Case] = &[
    case!(a_published_key_is_listed_until_it_expires),
    case!(a_key_published_again_is_replaced),
    case!(a_malformed_key_is_refused),
    exact_case!(what_has_expired_is_removed_and_counted),
];

fn key(id: &str, byte: u8, expires: u64) -> TokenKey {
    TokenKey { id: id.to_owned(), public: [byte; 32], expires: UnixSeconds(expires) }
}

async fn a_published_key_is_listed_until_it_expires(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    let long = "k".repeat(64);
    let keys = [key("B", 1, 200), key("a", 2, 100), key(&long, 3, 300)];
    for published in keys.iter().rev() {
        accounts.publish_token_key(published).await?;
    }
    ensure_eq!(accounts.token_keys(UnixSeconds(99)).await?, keys, "keys, by their ids");
    drop(accounts);
    let accounts = storage.open().await?.accounts;
    let listed = accounts.token_keys(UnixSeconds(100)).await?;
    ensure_eq!(listed, [keys[0].clone(), keys[2].clone()], "keys that have not expired");
    Ok(())
}

async fn a_key_published_again_is_replaced(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    for published in [key("a", 1, 100), key("a", 1, 100), key("a", 2, 200)] {
        accounts.publish_token_key(&published).await?;
    }
    ensure_eq!(accounts.token_keys(UnixSeconds(0)).await?, [key("a", 2, 200)], "keys");
    Ok(())
}

async fn a_malformed_key_is_refused(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    let too_long = "k".repeat(65);
    for id in ["", "a\0", too_long.as_str()] {
        let refused = |conflict: &Conflict| matches!(conflict, Conflict::MalformedAccount { .. });
        expect_conflict(accounts.publish_token_key(&key(id, 1, 1)).await, refused, "published")?;
    }
    ensure_eq!(accounts.token_keys(UnixSeconds(0)).await?, [], "keys");
    Ok(())
}

async fn what_has_expired_is_removed_and_counted(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    ensure_eq!(accounts.remove_expired(UnixSeconds(u64::MAX)).await?, 0, "removed from nothing");
    begin(&*accounts, PAGES, "idle", 1).await?;
    begin(&*accounts, REFRESH, "used", 1).await?;
    ensure_eq!(
        rotated(&*accounts, "used", "next", 0, 1_000).await?,
        Rotation::Rotated(id(1)),
        "rotated"
    );
    for (key_id, expires) in [("a", 100), ("b", 101)] {
        accounts.publish_token_key(&key(key_id, 1, expires)).await?;
    }
    ensure_eq!(accounts.remove_expired(UnixSeconds(99)).await?, 0, "removed before");
    ensure_eq!(accounts.remove_expired(UnixSeconds(100)).await?, 2, "one session and one key");
    ensure_eq!(accounts.remove_expired(UnixSeconds(100)).await?, 0, "removed again");
    // By a clock that went back: it is gone, not only void.
    ensure_eq!(used(&*accounts, "idle", 0, 200).await?, None, "a session that was removed");
    ensure_eq!(accounts.token_keys(UnixSeconds(0)).await?, [key("b", 1, 101)], "keys");
    let answer = rotated(&*accounts, "next", "last", 999, 1_000).await?;
    ensure_eq!(answer, Rotation::Rotated(id(1)), "a session that is valid");
    ensure_eq!(accounts.remove_expired(UnixSeconds(1_000)).await?, 2, "the rest");
    Ok(())
}
