//! The changes that an administrator makes to the accounts of others.

use votekit_node::accounts::{LastAdministrator, OneTimeLink, disable, enable, reset};
use votekit_store::{Account, AccountId};

use super::caller::Caller;
use super::faults::not_changed;
use super::service::AccountService;
use crate::problem::{Problem, Refusal};

impl AccountService {
    /// Disables an account: its sessions and its tokens end, on every node.
    ///
    /// # Errors
    /// The caller's own account, an unknown one, the last active administrator; or a fault.
    pub(crate) async fn disable(&self, caller: &Caller, id: AccountId) -> Result<Account, Problem> {
        refuse_oneself(caller, id)?;
        let disabled = disable(&*self.store, id, LastAdministrator::Keep).await;
        let disabled = disabled.map_err(not_changed)?;
        record(caller, id, "disable");
        Ok(disabled)
    }

    /// Enables a disabled account.
    ///
    /// # Errors
    /// The caller's own account, an unknown one; or a fault.
    pub(crate) async fn enable(&self, caller: &Caller, id: AccountId) -> Result<Account, Problem> {
        refuse_oneself(caller, id)?;
        let enabled = enable(&*self.store, id).await.map_err(not_changed)?;
        record(caller, id, "enable");
        Ok(enabled)
    }

    /// Gives an account a new link, and removes its password and its second factor.
    ///
    /// # Errors
    /// The caller's own account, an unknown or a disabled one, the last active administrator; or a
    /// fault.
    pub(crate) async fn reset(
        &self,
        caller: &Caller,
        id: AccountId,
    ) -> Result<OneTimeLink, Problem> {
        refuse_oneself(caller, id)?;
        let link = self.draw_link()?;
        let reset = reset(&*self.store, id, &link, LastAdministrator::Keep).await;
        reset.map_err(not_changed)?;
        record(caller, id, "reset");
        Ok(link)
    }
}

/// Administrators who lock themselves out by mistake could not undo it.
fn refuse_oneself(caller: &Caller, id: AccountId) -> Result<(), Problem> {
    if caller.id == id { Err(Problem::Refused(Refusal::OwnAccount)) } else { Ok(()) }
}

fn record(caller: &Caller, id: AccountId, done: &'static str) {
    let (by, account) = (const_hex::encode(caller.id.0), const_hex::encode(id.0));
    tracing::info!(event = "account_state_changed", by, account, done, "account state changed");
}
