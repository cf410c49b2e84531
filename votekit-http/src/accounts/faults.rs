//! The failures of the layers below the accounts, as problems: the store, the system's random
//! numbers, the hashes.

use std::time::{Duration, Instant};

use votekit_node::accounts::AccountError;
use votekit_node::metrics::{self, SignIn};
use votekit_store::log_summary::LogSummary;
use votekit_store::{Conflict, EngineError};

use super::hashing_pool::PoolError;
use crate::problem::{Problem, Refusal};

/// After a full queue of passwords, a client tries again in this time.
const BUSY_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Limits the lines that outsiders can provoke.
static STORE_FAILED: LogSummary = LogSummary::new();

/// Maps an error of the store. Nothing here depends on an e-mail address being known: an attempt to
/// sign in only reads until it has succeeded.
pub(super) fn store_failed(error: EngineError) -> Problem {
    match error.conflict() {
        Some(Conflict::AccountExists) => return Problem::AccountExists,
        Some(Conflict::AccountChanged) => {
            return Problem::Refused(Refusal::AccountChanged);
        }
        _ => {}
    }
    if let Some(count) = STORE_FAILED.due(Instant::now()) {
        tracing::warn!(event = "account_store_failed", %error, count, "accounts not available");
    }
    match error {
        EngineError::Unavailable { .. } | EngineError::OutcomeUnknown { .. } => {
            Problem::Refused(Refusal::AccountsUnavailable)
        }
        _ => Problem::Internal,
    }
}

/// Maps a change of an account that was refused.
pub(super) fn not_changed(error: AccountError) -> Problem {
    Problem::Refused(match error {
        AccountError::Engine(error) => return store_failed(error),
        AccountError::Unknown => Refusal::UnknownAccount,
        AccountError::LastAdministrator => Refusal::LastAdministrator,
        AccountError::Disabled => Refusal::AccountDisabled,
        AccountError::Busy => Refusal::AccountBusy,
    })
}

/// Maps missing random bytes.
pub(super) fn random_failed(error: getrandom::Error) -> Problem {
    tracing::error!(event = "account_secret_failed", %error, "account secret not generated");
    Problem::Internal
}

/// Maps a password that was not hashed.
pub(super) fn hash_failed(error: PoolError) -> Problem {
    match error {
        PoolError::Busy => {
            metrics::sign_in(SignIn::Busy);
            Problem::PasswordsWaiting { retry_after: BUSY_RETRY_AFTER }
        }
        PoolError::Hash(error) => {
            tracing::error!(event = "password_hash_failed", %error, "password not hashed");
            Problem::Internal
        }
    }
}
