//! The holder of an account changes the password.

use votekit_node::limits::throttle::Prefix;
use votekit_node::memory::stack_used;
use votekit_node::metrics::{self, SignIn};
use votekit_store::{Account, AccountId};

use super::api_tokens::TokenPair;
use super::faults::{hash_failed, store_failed};
use super::password::{Password, Verdict};
use super::service::AccountService;
use crate::problem::catalogue::field_rules;
use crate::problem::{Problem, Refusal};

/// Attempts to end the sessions of an account whose password is changed already.
const ATTEMPTS_MAX: u32 = 3;

/// The values that the holder types.
#[derive(Clone, Copy)]
pub(crate) struct PasswordChange<'a> {
    /// The present password.
    pub(crate) current: &'a str,
    /// The password from now on.
    pub(crate) new: &'a str,
}

impl AccountService {
    /// Changes the password of an account, and ends all its sessions, those of the pages and those
    /// of programs. Begins one for the caller: its tokens.
    ///
    /// The present password is required, so that a token or an unlocked computer does not suffice
    /// to take over the account. Wrong passwords count as in a sign-in.
    ///
    /// # Errors
    /// The fields `current_password` and `new_password` with the rules that they break;
    /// [`Problem::BackOff`]; or a fault.
    pub(crate) async fn change_password(
        &self,
        id: AccountId,
        change: PasswordChange<'_>,
        prefix: Prefix,
    ) -> Result<TokenPair, Problem> {
        let account = self.active(id).await?.ok_or(Problem::TokenRefused)?;
        let origin = self.throttle.origin_of(prefix, account.email.as_bytes());
        let turn = self.throttle.turn(origin).await.map_err(|retry_after| {
            metrics::sign_in(SignIn::BackOff);
            Problem::BackOff { retry_after }
        })?;
        stack_used();
        let (current, new) = (Password::typed(change.current), Password::typed(change.new));
        let stored = account.password.clone();
        let compared = self.hashing.run(move || current.verify(stored.as_deref()));
        if let Verdict::Wrong = compared.await.map_err(hash_failed)? {
            turn.record_failure();
            metrics::sign_in(SignIn::Refused);
            return Err(Problem::field("current_password", field_rules::PRESENT_PASSWORD));
        }
        if let Err(fault) = new.check(&account.email) {
            return Err(Problem::field("new_password", fault.rule()));
        }
        let hash = self.hashing.run(move || new.hash()).await.map_err(hash_failed)?;
        let changed = Account { password: Some(hash), ..account };
        self.store_hash(&changed).await.map_err(store_failed)?;
        let account = const_hex::encode(id.0);
        tracing::info!(event = "password_changed", account, "password changed by its holder");
        // After the change: a session that begins from now on needs the new password.
        self.end_earlier_sessions(id).await?;
        self.tokens(&changed).await
    }

    async fn end_earlier_sessions(&self, id: AccountId) -> Result<(), Problem> {
        for _ in 0..ATTEMPTS_MAX {
            if self.store.end_sessions(id).await.is_ok() {
                return Ok(());
            }
        }
        Err(Problem::Refused(Refusal::SessionsLeft))
    }
}

#[cfg(test)]
#[path = "own_password_test.rs"]
mod tests;
