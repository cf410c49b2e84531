//! Changes that officials make to accounts: disabling, enabling, and a new link.

use votekit_store::{
    Account, AccountId, AccountRole, AccountState, Accounts, Conflict, EngineError,
};

use super::invitation::OneTimeLink;

/// Attempts to change an account that other calls change at the same time.
const ATTEMPTS_MAX: u32 = 10;

/// Accounts read at once.
const PAGE_LENGTH: usize = 500;

/// Why an account was not changed.
#[derive(Debug, thiserror::Error)]
// Exhaustive: the command line and votekit-http map each variant.
pub enum AccountError {
    /// There is no such account.
    #[error("there is no such account")]
    Unknown,
    /// Without the account no administrator could sign in.
    #[error("this is the last active administrator")]
    LastAdministrator,
    /// The account is disabled.
    #[error("the account is disabled")]
    Disabled,
    /// Other calls keep changing the account.
    #[error("other calls keep changing the account")]
    Busy,
    /// The store failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Whether to make a change after which no administrator could sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastAdministrator {
    /// It is refused.
    Keep,
    /// The change is made: afterwards only `votekit user` can create an administrator.
    Lose,
}

/// Disables an account: its sessions end, and its link is void.
///
/// # Errors
/// [`AccountError`].
pub async fn disable(
    accounts: &dyn Accounts,
    id: AccountId,
    last: LastAdministrator,
) -> Result<Account, AccountError> {
    shut_out(accounts, id, last, |account| {
        account.state = AccountState::Disabled;
        account.invitation = None;
        Ok(())
    })
    .await
}

/// Enables a disabled account: its password and its second factor count again. An account that
/// never had a password becomes invited, and has no link.
///
/// # Errors
/// [`AccountError`].
pub async fn enable(accounts: &dyn Accounts, id: AccountId) -> Result<Account, AccountError> {
    let changed = change(accounts, id, |account| {
        if account.state == AccountState::Disabled {
            account.state = match account.password {
                Some(_) => AccountState::Active,
                None => AccountState::Invited,
            };
        }
        Ok(())
    });
    Ok(changed.await?.after)
}

/// Gives an account a new link, and removes its password and its second factor: its sessions end.
///
/// # Errors
/// [`AccountError`].
pub async fn reset(
    accounts: &dyn Accounts,
    id: AccountId,
    link: &OneTimeLink,
    last: LastAdministrator,
) -> Result<Account, AccountError> {
    let invitation = link.invitation();
    shut_out(accounts, id, last, |account| {
        if account.state == AccountState::Disabled {
            return Err(AccountError::Disabled);
        }
        account.state = AccountState::Invited;
        account.password = None;
        account.totp = None;
        account.totp_step = 0;
        account.recovery_codes.clear();
        account.invitation = Some(invitation);
        Ok(())
    })
    .await
}

/// Makes a change after which the holder cannot sign in with the present password, and ends the
/// sessions of the account.
async fn shut_out(
    accounts: &dyn Accounts,
    id: AccountId,
    last: LastAdministrator,
    edit: impl Fn(&mut Account) -> Result<(), AccountError>,
) -> Result<Account, AccountError> {
    if last == LastAdministrator::Keep {
        refuse_last(accounts, &find(accounts, id).await?).await?;
    }
    let Changed { before, after } = change(accounts, id, edit).await?;
    // Checked again: if two administrators disable each other at once, both pass the first check.
    if last == LastAdministrator::Keep
        && let Err(refused) = refuse_last(accounts, &before).await
    {
        if matches!(refused, AccountError::LastAdministrator) {
            accounts.update(&Account { version: after.version, ..before }).await?;
        }
        return Err(refused);
    }
    accounts.end_sessions(id).await?;
    Ok(after)
}

/// An account before and after a change.
struct Changed {
    before: Account,
    after: Account,
}

/// Changes an account as it is stored now, and retries if another call changes it meanwhile. The
/// edit is idempotent, so that an unknown outcome becomes known.
async fn change(
    accounts: &dyn Accounts,
    id: AccountId,
    edit: impl Fn(&mut Account) -> Result<(), AccountError>,
) -> Result<Changed, AccountError> {
    // The account before an attempt whose outcome is unknown.
    let mut attempted = None;
    for _ in 0..ATTEMPTS_MAX {
        let before = find(accounts, id).await?;
        let mut after = before.clone();
        edit(&mut after)?;
        if after == before {
            return Ok(Changed { before: attempted.unwrap_or(before), after });
        }
        match accounts.update(&after).await {
            Ok(()) => {
                after.version += 1;
                return Ok(Changed { before, after });
            }
            Err(EngineError::OutcomeUnknown { .. }) => attempted = Some(before),
            Err(error) if matches!(error.conflict(), Some(Conflict::AccountChanged)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(AccountError::Busy)
}

async fn find(accounts: &dyn Accounts, id: AccountId) -> Result<Account, AccountError> {
    accounts.account(id).await?.ok_or(AccountError::Unknown)
}

/// Refuses to shut out an account if no other administrator can sign in.
async fn refuse_last(accounts: &dyn Accounts, account: &Account) -> Result<(), AccountError> {
    let is_active = |account: &Account| {
        account.role == AccountRole::Administrator && account.state == AccountState::Active
    };
    if !is_active(account) {
        return Ok(());
    }
    let mut after = String::new();
    loop {
        let page = accounts.accounts(&after, PAGE_LENGTH).await?;
        if page.iter().any(|other| other.id != account.id && is_active(other)) {
            return Ok(());
        }
        match page.last() {
            Some(last) => after.clone_from(&last.email),
            None => return Err(AccountError::LastAdministrator),
        }
    }
}

#[cfg(test)]
#[path = "change_test.rs"]
mod tests;
