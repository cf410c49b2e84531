//! The cases of [`crate::Accounts`].

mod officials;
mod sessions;
mod keys;

use votekit_core::id::Digest;
use votekit_core::instant::UnixSeconds;

use super::samples::law;
use super::{
    Case, CaseError, Outcome, TestStorage, case, ensure, ensure_eq, exact_case, expect_conflict,
};
use crate::{Account, AccountRole, Conflict, Invitation};
use officials::{active, id, invited};

/// By file, in the order of the contract.
pub(super) const CASES: [&[Case]; 3] = [CASES_OF_ACCOUNTS, sessions::CASES, keys::CASES];

const CASES_OF_ACCOUNTS: &[Case] = &[
    case!(a_new_store_has_no_accounts),
    case!(an_added_account_is_found_with_every_field),
    case!(accounts_and_creators_survive_a_reopening),
    case!(an_id_and_an_address_are_added_once),
    case!(accounts_are_added_all_or_none),
    case!(adding_the_same_accounts_again_succeeds),
    case!(a_malformed_account_is_refused),
    exact_case!(an_update_replaces_the_account_and_raises_its_version),
    exact_case!(an_update_of_another_version_is_refused),
    case!(an_update_of_an_unknown_account_is_refused),
    case!(an_update_to_the_address_of_another_account_is_refused),
    exact_case!(one_of_many_identical_updates_succeeds),
    exact_case!(a_used_link_finds_no_account),
    case!(accounts_are_listed_by_address_in_pages),
    case!(the_first_creator_of_an_election_stays),
];

async fn a_new_store_has_no_accounts(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    ensure_eq!(accounts.account(id(1)).await?, None, "an account by its id");
    ensure_eq!(accounts.account_by_email("a@example.org").await?, None, "by its address");
    ensure_eq!(accounts.account_by_email("\0").await?, None, "by a text that is not an address");
    ensure_eq!(accounts.account_by_invitation(&Digest::compute(b"a")).await?, None, "by its link");
    ensure_eq!(accounts.accounts("", 10).await?, [], "accounts");
    ensure_eq!(accounts.creators().await?, [], "creators");
    ensure_eq!(accounts.token_keys(UnixSeconds(0)).await?, [], "keys");
    Ok(())
}

async fn an_added_account_is_found_with_every_field(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    let added = [invited(1), active(2)];
    accounts.add(&added).await?;
    for account in added {
        let by_link = match &account.invitation {
            Some(link) => accounts.account_by_invitation(&link.token).await?,
            None => None,
        };
        let found = [
            accounts.account(account.id).await?,
            accounts.account_by_email(&account.email).await?,
            by_link,
        ];
        for found in found {
            ensure!(found.as_ref() == Some(&account), "{account:?} was not found as added");
        }
    }
    Ok(())
}

async fn accounts_and_creators_survive_a_reopening(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    accounts.add(&[active(1)]).await?;
    accounts.record_creator(&law("L1"), id(1)).await?;
    drop(accounts);
    let accounts = storage.open().await?.accounts;
    ensure!(accounts.account(id(1)).await? == Some(active(1)), "the account was not kept");
    ensure_eq!(accounts.creators().await?, [(law("L1"), id(1))], "creators");
    Ok(())
}

async fn an_id_and_an_address_are_added_once(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    accounts.add(&[invited(1)]).await?;
    let exists = |conflict: &Conflict| *conflict == Conflict::AccountExists;
    let same_id = Account { email: "other@example.org".to_owned(), ..invited(1) };
    expect_conflict(accounts.add(&[same_id]).await, exists, "the same id")?;
    let same_address = Account { id: id(2), ..invited(1) };
    expect_conflict(accounts.add(&[same_address]).await, exists, "the same address")?;
    let changed = Account { role: AccountRole::Administrator, ..invited(1) };
    expect_conflict(accounts.add(&[changed]).await, exists, "the same with another role")?;
    ensure!(accounts.account(id(1)).await? == Some(invited(1)), "the account was changed");
    ensure_eq!(accounts.accounts("", 10).await?.len(), 1, "accounts");
    Ok(())
}

async fn accounts_are_added_all_or_none(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    let exists = |conflict: &Conflict| *conflict == Conflict::AccountExists;
    accounts.add(&[invited(3)]).await?;
    let one_exists = [invited(1), invited(2), Account { id: id(9), ..invited(3) }];
    expect_conflict(accounts.add(&one_exists).await, exists, "the third exists")?;
    let first_exists = [invited(3), invited(4)];
    expect_conflict(accounts.add(&first_exists).await, exists, "the first exists")?;
    let twice = [invited(1), Account { id: id(2), ..invited(1) }];
    expect_conflict(accounts.add(&twice).await, exists, "one address twice")?;
    let listed = accounts.accounts("", 10).await?;
    ensure!(listed == [invited(3)], "accounts of refused calls were added: {}", listed.len());
    accounts.add(&[]).await?;
    accounts.add(&[invited(1), invited(2)]).await?;
    ensure_eq!(accounts.accounts("", 10).await?.len(), 3, "accounts");
    Ok(())
}

async fn adding_the_same_accounts_again_succeeds(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    let added = [invited(1), active(2)];
    for _ in 0..3 {
        accounts.add(&added).await?;
    }
    ensure_eq!(accounts.accounts("", 10).await?.len(), 2, "accounts");
    Ok(())
}

async fn a_malformed_account_is_refused(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    accounts.add(&[invited(1)]).await?;
    let email = |email: &str| Account { email: email.to_owned(), ..invited(2) };
    let malformed = [
        email(""),
        email("A@example.org"),
        email("a\0@example.org"),
        email(&"a".repeat(255)),
        Account { password: Some("\0".to_owned()), ..invited(2) },
        Account { version: u64::MAX, ..invited(2) },
        Account { totp_step: u64::MAX, ..invited(2) },
    ];
    for account in malformed {
        let refused = |conflict: &Conflict| matches!(conflict, Conflict::MalformedAccount { .. });
        expect_conflict(accounts.add(std::slice::from_ref(&account)).await, refused, "added")?;
        let update = Account { id: id(1), ..account };
        expect_conflict(accounts.update(&update).await, refused, "updated")?;
    }
    ensure!(accounts.accounts("", 10).await? == [invited(1)], "a malformed account was stored");
    Ok(())
}

async fn an_update_replaces_the_account_and_raises_its_version(
    storage: &dyn TestStorage,
) -> Outcome {
    let accounts = storage.open().await?.accounts;
    accounts.add(&[invited(1), invited(2)]).await?;
    accounts.update(&active(1)).await?;
    let expected = Account { version: 1, ..active(1) };
    ensure!(accounts.account(id(1)).await? == Some(expected), "the account was not replaced");
    ensure_eq!(accounts.account_by_email(&invited(1).email).await?, None, "the old address");
    accounts.update(&Account { version: 1, ..invited(1) }).await?;
    let expected = Account { version: 2, ..invited(1) };
    ensure!(accounts.account(id(1)).await? == Some(expected), "it was not replaced again");
    ensure!(accounts.account(id(2)).await? == Some(invited(2)), "another account was changed");
    Ok(())
}

async fn an_update_of_another_version_is_refused(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    accounts.add(&[invited(1)]).await?;
    accounts.update(&active(1)).await?;
    let changed = |conflict: &Conflict| *conflict == Conflict::AccountChanged;
    for version in [0, 2] {
        let update = Account { version, ..invited(1) };
        expect_conflict(accounts.update(&update).await, changed, "another version")?;
    }
    // The call that succeeded is refused too when it comes again.
    expect_conflict(accounts.update(&active(1)).await, changed, "the same call")?;
    let expected = Account { version: 1, ..active(1) };
    ensure!(accounts.account(id(1)).await? == Some(expected), "the account was changed");
    Ok(())
}

async fn an_update_of_an_unknown_account_is_refused(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    let changed = |conflict: &Conflict| *conflict == Conflict::AccountChanged;
    expect_conflict(accounts.update(&active(1)).await, changed, "an unknown account")?;
    ensure_eq!(accounts.accounts("", 10).await?, [], "accounts");
    Ok(())
}

async fn an_update_to_the_address_of_another_account_is_refused(
    storage: &dyn TestStorage,
) -> Outcome {
    let accounts = storage.open().await?.accounts;
    accounts.add(&[invited(1), invited(2)]).await?;
    let update = Account { email: invited(2).email, ..active(1) };
    let exists = |conflict: &Conflict| *conflict == Conflict::AccountExists;
    expect_conflict(accounts.update(&update).await, exists, "the address of another")?;
    ensure!(accounts.account(id(1)).await? == Some(invited(1)), "the account was changed");
    Ok(())
}

/// As when one recovery code is used twice at the same time.
async fn one_of_many_identical_updates_succeeds(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    accounts.add(&[invited(1)]).await?;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let accounts = accounts.clone();
        tasks.spawn(async move { accounts.update(&active(1)).await });
    }
    let mut succeeded = 0;
    while let Some(finished) = tasks.join_next().await {
        let Ok(updated) = finished else {
            return Err(CaseError::Missing { what: "the end of a task" });
        };
        match updated {
            Ok(()) => succeeded += 1,
            refused => {
                let changed = |conflict: &Conflict| *conflict == Conflict::AccountChanged;
                expect_conflict(refused, changed, "an update that came too late")?;
            }
        }
    }
    ensure_eq!(succeeded, 1, "updates that succeeded");
    let version = accounts.account(id(1)).await?.map(|account| account.version);
    ensure_eq!(version, Some(1), "version");
    Ok(())
}

async fn a_used_link_finds_no_account(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    accounts.add(&[invited(1)]).await?;
    let token = Invitation::digest_of("token 1");
    accounts.update(&Account { invitation: None, ..invited(1) }).await?;
    ensure_eq!(accounts.account_by_invitation(&token).await?, None, "the account of a used link");
    // The store does not know the time: a link that has expired is the caller's to refuse.
    let expired = Invitation { token, expires: UnixSeconds(0) };
    accounts.update(&Account { invitation: Some(expired), version: 1, ..invited(1) }).await?;
    let found = accounts.account_by_invitation(&token).await?;
    ensure_eq!(found.map(|account| account.id), Some(id(1)), "the account of an expired link");
    Ok(())
}

async fn accounts_are_listed_by_address_in_pages(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    // In the order of their bytes, which no locale changes.
    let mut emails = ["-", "1", "_", "a", "a-", "a.", "aa", "b", "z", "\u{e9}", "\u{1f600}"]
        .map(|local| format!("{local}@example.org"));
    let added: Vec<Account> = (1..)
        .zip(emails.iter().rev())
        .map(|(number, email)| Account { email: email.clone(), ..invited(number) })
        .collect();
    accounts.add(&added).await?;
    emails.sort_unstable();
    for limit in [1, 3, 100, usize::MAX] {
        let (mut listed, mut after) = (Vec::new(), String::new());
        loop {
            let page = accounts.accounts(&after, limit).await?;
            ensure!(page.len() <= limit, "{} accounts in a page of {limit}", page.len());
            let Some(last) = page.last() else { break };
            after.clone_from(&last.email);
            listed.extend(page.into_iter().map(|account| account.email));
        }
        ensure_eq!(listed, emails, "addresses");
    }
    ensure_eq!(accounts.accounts("", 0).await?, [], "a page of none");
    Ok(())
}

async fn the_first_creator_of_an_election_stays(storage: &dyn TestStorage) -> Outcome {
    let accounts = storage.open().await?.accounts;
    for (law_id, creator) in [("b", 1), ("a", 2), ("B", 3), ("a", 1), ("b", 1)] {
        accounts.record_creator(&law(law_id), id(creator)).await?;
    }
    let expected = [(law("B"), id(3)), (law("a"), id(2)), (law("b"), id(1))];
    ensure_eq!(accounts.creators().await?, expected, "creators, by election");
    Ok(())
}
