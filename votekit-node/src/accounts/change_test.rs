//! Changes to accounts, on the store of a data folder.

use tempfile::TempDir;
use votekit_core::id::Digest;
use votekit_core::instant::UnixSeconds;
use votekit_store::embedded::EmbeddedAccounts;
use votekit_store::{NewSession, SessionKind};
use zeroize::Zeroizing;

use super::*;
use crate::accounts::{add, invited_account};

const NOW: UnixSeconds = UnixSeconds(1_000);

fn store() -> (TempDir, EmbeddedAccounts) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let accounts = EmbeddedAccounts::open(folder.path()).expect("the accounts open");
    (folder, accounts)
}

fn link() -> OneTimeLink {
    OneTimeLink::draw(NOW, 60).expect("random bytes")
}

/// An account whose holder has followed the link.
async fn active(accounts: &dyn Accounts, name: &str, role: AccountRole) -> AccountId {
    let email = format!("{name}@example.org").parse().expect("an address");
    let account = Account {
        state: AccountState::Active,
        password: Some("hash".to_owned()),
        totp: Some(Zeroizing::new(vec![1, 2])),
        invitation: None,
        ..invited_account(&email, role, &link(), NOW).expect("random bytes")
    };
    add(accounts, std::slice::from_ref(&account)).await.expect("added");
    account.id
}

async fn state(accounts: &dyn Accounts, id: AccountId) -> AccountState {
    accounts.account(id).await.expect("read").expect("there").state
}

/// Begins a session of the pages, and returns its token.
async fn session(accounts: &dyn Accounts, account: AccountId) -> Digest {
    let (token, later) = (Digest::compute(&account.0), UnixSeconds(NOW.0 + 60));
    let kind = SessionKind::Pages;
    let session = NewSession { token, account, kind, expires: later, idle_until: later };
    accounts.begin_session(&session).await.expect("begun");
    token
}

#[tokio::test]
async fn a_disabled_account_loses_its_sessions_and_is_enabled_with_its_password() {
    let (_folder, accounts) = store();
    let auditor = active(&accounts, "auditor", AccountRole::Auditor).await;
    let token = session(&accounts, auditor).await;
    for _ in 0..2 {
        let disabled = disable(&accounts, auditor, LastAdministrator::Keep).await;
        assert_eq!(disabled.expect("disabled").state, AccountState::Disabled);
    }
    let used = accounts.use_session(&token, NOW, NOW).await.expect("read");
    assert_eq!(used, None, "its session has ended");
    let refused = reset(&accounts, auditor, &link(), LastAdministrator::Keep).await;
    assert!(matches!(refused, Err(AccountError::Disabled)), "{refused:?}");
    let enabled = enable(&accounts, auditor).await.expect("enabled");
    assert_eq!(enabled.state, AccountState::Active);
    let stored = accounts.account(auditor).await.expect("read").expect("there");
    assert_eq!((&stored.password, stored.version), (&enabled.password, enabled.version));
    let unknown = disable(&accounts, AccountId([9; 16]), LastAdministrator::Keep).await;
    assert!(matches!(unknown, Err(AccountError::Unknown)), "{unknown:?}");
}

#[tokio::test]
async fn an_account_without_a_password_is_enabled_as_invited_and_its_link_stays_void() {
    let (_folder, accounts) = store();
    let email = "new@example.org".parse().expect("an address");
    let account =
        invited_account(&email, AccountRole::Observer, &link(), NOW).expect("random bytes");
    add(&accounts, std::slice::from_ref(&account)).await.expect("added");
    disable(&accounts, account.id, LastAdministrator::Keep).await.expect("disabled");
    let enabled = enable(&accounts, account.id).await.expect("enabled");
    assert_eq!((enabled.state, enabled.invitation), (AccountState::Invited, None));
    let link = link();
    reset(&accounts, account.id, &link, LastAdministrator::Keep).await.expect("reset");
    let token = link.invitation().token;
    let found = accounts.account_by_invitation(&token).await.expect("read").expect("there");
    assert_eq!(found.id, account.id);
}

#[tokio::test]
async fn a_reset_account_keeps_neither_password_nor_factor_nor_session() {
    let (_folder, accounts) = store();
    let auditor = active(&accounts, "auditor", AccountRole::Auditor).await;
    let token = session(&accounts, auditor).await;
    reset(&accounts, auditor, &link(), LastAdministrator::Keep).await.expect("reset");
    let stored = accounts.account(auditor).await.expect("read").expect("there");
    assert!(stored.password.is_none() && stored.totp.is_none() && stored.invitation.is_some());
    assert_eq!(stored.state, AccountState::Invited);
    assert_eq!(accounts.use_session(&token, NOW, NOW).await.expect("read"), None);
}

#[tokio::test]
async fn the_last_active_administrator_stays_unless_it_may_be_lost() {
    let (_folder, accounts) = store();
    let only = active(&accounts, "only", AccountRole::Administrator).await;
    active(&accounts, "auditor", AccountRole::Auditor).await;
    let email = "later@example.org".parse().expect("an address");
    let later =
        invited_account(&email, AccountRole::Administrator, &link(), NOW).expect("random bytes");
    add(&accounts, &[later]).await.expect("added");
    let refused = disable(&accounts, only, LastAdministrator::Keep).await;
    assert!(matches!(refused, Err(AccountError::LastAdministrator)), "{refused:?}");
    let refused = reset(&accounts, only, &link(), LastAdministrator::Keep).await;
    assert!(matches!(refused, Err(AccountError::LastAdministrator)), "{refused:?}");
    assert_eq!(state(&accounts, only).await, AccountState::Active);
    let reset = reset(&accounts, only, &link(), LastAdministrator::Lose).await.expect("reset");
    assert_eq!(reset.state, AccountState::Invited);
}

#[tokio::test]
async fn two_administrators_who_disable_each_other_at_once_leave_one() {
    for round in 0..20 {
        let (_folder, accounts) = store();
        let one = active(&accounts, "one", AccountRole::Administrator).await;
        let two = active(&accounts, "two", AccountRole::Administrator).await;
        let (first, second) = tokio::join!(
            disable(&accounts, one, LastAdministrator::Keep),
            disable(&accounts, two, LastAdministrator::Keep),
        );
        for (disabled, id) in [(first, one), (second, two)] {
            let expected = match disabled {
                Ok(_) => AccountState::Disabled,
                Err(AccountError::LastAdministrator) => AccountState::Active,
                Err(error) => panic!("round {round}: {error}"),
            };
            assert_eq!(state(&accounts, id).await, expected, "round {round}");
        }
        let states = [state(&accounts, one).await, state(&accounts, two).await];
        assert!(states.contains(&AccountState::Active), "round {round}: {states:?}");
    }
}
