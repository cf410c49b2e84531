//! Sign-in with e-mail address, password and second factor.
//!
//! An unknown address, a wrong password, a wrong code, a disabled account and a network from which
//! officials may not work get one answer, after one look-up and one hash: neither the answer nor
//! its time distinguishes them. Attempts are counted by the pair of network and address, never by
//! the address alone, so that no account can be locked from outside.
//!
//! Only wrong codes after the right password are counted by the account alone. Six digits are too
//! few against a person who has the password and many networks. Recovery codes are not counted, so
//! the holder can still sign in with a recovery code.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use votekit_core::instant::UnixSeconds;
use votekit_node::limits::throttle::{Prefix, Turn};
use votekit_node::memory::stack_used;
use votekit_node::metrics::{self, SignIn};
use votekit_store::log_summary::LogSummary;
use votekit_store::{Account, AccountRole, AccountState, Conflict, EmailAddress};

use super::faults::{hash_failed, store_failed};
use super::password::{Password, Verdict};
use super::service::AccountService;
use super::{recovery, totp};
use crate::problem::Problem;

/// How often the record of a sign-in is tried while other sign-ins change the account.
const RECORD_ATTEMPTS_MAX: usize = 3;

/// Limits the lines that a guesser can provoke.
static SECOND_FACTOR_GUESSED: LogSummary = LogSummary::new();

/// An attempt to sign in.
#[derive(Clone, Copy)]
pub(crate) struct SignInAttempt<'a> {
    /// The e-mail address as it was typed.
    pub(crate) email: &'a str,
    /// The password as it was typed.
    pub(crate) password: &'a str,
    /// Six digits of the authenticator app, or a recovery code. Empty for a member without a second
    /// factor.
    pub(crate) code: &'a str,
    /// Whether the attempt comes from a network from which officials may work: see
    /// [`is_officials_network`](crate::guard::officials_network::is_officials_network).
    pub(crate) from_officials_network: bool,
}

impl AccountService {
    /// Signs in. The account as it is after the attempt: its code is used.
    ///
    /// # Errors
    /// [`Problem::SignInRefused`] for any wrong value; [`Problem::BackOff`] by the pair of address
    /// prefix and e-mail address; or a fault.
    pub(crate) async fn sign_in(
        &self,
        attempt: SignInAttempt<'_>,
        prefix: Prefix,
    ) -> Result<Account, Problem> {
        let email: Option<EmailAddress> = attempt.email.parse().ok();
        let subject = match &email {
            Some(email) => email.as_str().to_owned(),
            None => attempt.email.trim().to_lowercase(),
        };
        let origin = self.throttle.origin_of(prefix, subject.as_bytes());
        let turn = self.throttle.turn(origin).await.map_err(|retry_after| {
            metrics::sign_in(SignIn::BackOff);
            Problem::BackOff { retry_after }
        })?;
        let Some(account) = self.check(&attempt, email.as_ref()).await? else {
            turn.record_failure();
            metrics::sign_in(SignIn::Refused);
            return Err(Problem::SignInRefused);
        };
        metrics::sign_in(SignIn::Accepted);
        Ok(account)
    }

    async fn check(
        &self,
        attempt: &SignInAttempt<'_>,
        email: Option<&EmailAddress>,
    ) -> Result<Option<Account>, Problem> {
        let account = match email {
            Some(email) => {
                self.store.account_by_email(email.as_str()).await.map_err(store_failed)?
            }
            None => None,
        };
        stack_used();
        let password = Password::typed(attempt.password);
        let stored = account.as_ref().and_then(|account| account.password.clone());
        let compared = password.clone();
        let compared = self.hashing.run(move || compared.verify(stored.as_deref()));
        let verdict = compared.await.map_err(hash_failed)?;
        let account = account.filter(|account| may_sign_in(account, attempt));
        let (Some(account), Verdict::Right { is_outdated }) = (account, verdict) else {
            return Ok(None);
        };
        let Ok(turn) = self.second_factor_turn(&account, attempt.code).await else {
            report_guesses(&account);
            return Ok(None);
        };
        if with_factor_used(&account, attempt.code, self.now()).is_none() {
            turn.into_iter().for_each(Turn::record_failure);
            return Ok(None);
        }
        drop(turn);
        // Checked only now, because the time of a refusal must not depend on the password.
        let rehashed = match is_outdated {
            true => self.hashing.run(move || password.hash()).await.ok(),
            false => None,
        };
        self.record_sign_in(account, attempt.code, rehashed).await
    }

    /// Waits for the turn of a code after the right password. `None` for a code that cannot be
    /// guessed: a recovery code has fifty random bits.
    async fn second_factor_turn(
        &self,
        account: &Account,
        code: &str,
    ) -> Result<Option<Turn>, Duration> {
        if account.totp.is_none() || recovery::digest_of(code).is_some() {
            return Ok(None);
        }
        let everywhere = self.second_factors.prefix(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let origin = self.second_factors.origin_of(everywhere, &account.id.0);
        self.second_factors.turn(origin).await.map(Some)
    }

    /// Stores that the code is used, so that it counts once on all nodes. `None` if another sign-in
    /// used it, or the account was changed otherwise.
    async fn record_sign_in(
        &self,
        mut account: Account,
        code: &str,
        rehashed: Option<String>,
    ) -> Result<Option<Account>, Problem> {
        for _ in 0..RECORD_ATTEMPTS_MAX {
            let Some(mut changed) = with_factor_used(&account, code, self.now()) else {
                return Ok(None);
            };
            if let Some(hash) = &rehashed {
                changed.password = Some(hash.clone());
            }
            if changed == account {
                return Ok(Some(account));
            }
            match self.store.update(&changed).await {
                Ok(()) => {
                    changed.version += 1;
                    return Ok(Some(changed));
                }
                Err(error) if matches!(error.conflict(), Some(Conflict::AccountChanged)) => {
                    let now = self.active(account.id).await?;
                    // The password was verified against the hash that was read before.
                    let same = |now: &Account| {
                        now.password == account.password && now.role == account.role
                    };
                    let Some(now) = now.filter(same) else { return Ok(None) };
                    account = now;
                }
                Err(error) => return Err(store_failed(error)),
            }
        }
        Ok(None)
    }
}

/// Raises the alarm: a person who has the password tries codes.
fn report_guesses(account: &Account) {
    if let Some(count) = SECOND_FACTOR_GUESSED.due(Instant::now()) {
        let account = const_hex::encode(account.id.0);
        tracing::error!(
            event = "second_factor_guessed",
            alarm = true,
            account,
            count,
            "wrong codes sent with the correct password of an account"
        );
    }
}

fn may_sign_in(account: &Account, attempt: &SignInAttempt<'_>) -> bool {
    account.state == AccountState::Active
        && (account.role == AccountRole::Voter || attempt.from_officials_network)
}

/// The account after its second factor was used; `None` if the code is wrong or used. An official
/// without a second factor does not sign in.
fn with_factor_used(account: &Account, code: &str, now: UnixSeconds) -> Option<Account> {
    let mut changed = account.clone();
    let Some(secret) = &account.totp else {
        return (account.role == AccountRole::Voter).then_some(changed);
    };
    let digits: String = code.chars().filter(|character| *character != ' ').collect();
    if let Some(step) = totp::accepted_step(secret, &digits, now, account.totp_step) {
        changed.totp_step = step;
        return Some(changed);
    }
    let used = recovery::digest_of(code)?;
    let index = changed.recovery_codes.iter().position(|stored| *stored == used)?;
    changed.recovery_codes.swap_remove(index);
    Some(changed)
}

#[cfg(test)]
#[path = "sign_in_test.rs"]
mod tests;
