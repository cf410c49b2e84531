//! Accounts of officials and members: sign-in, tokens for programs, sessions of pages, invitations.
//!
//! ```text
//! invitation ─▶ password, second factor ─▶ sign-in ─┬─▶ access and refresh token   (programs)
//!                                                   └─▶ cookie of a session        (pages)
//! each call ─▶ token or cookie ─▶ account as stored now ─▶ Caller
//! ```
//!
//! A token or a cookie identifies the caller. The validity of its session, the state of the account
//! and its role are read from the store at each call. Therefore a disabled account and a signed-out
//! session are refused at once. Of passwords, refresh tokens, cookies, links and recovery codes the
//! store has only digests.
//!
//! Nothing here is about votes: no row, token or log line joins an account and a vote.

mod password;
mod hashing_pool;
mod faults;
pub(crate) mod role;
mod opaque;
mod recovery;
mod totp;
mod token;
mod key_reads;
mod token_keys;
mod caller;
mod service;
mod administration;
mod api_tokens;
mod invitations;
mod own_password;
mod page_sessions;
mod sign_in;

pub(crate) use self::api_tokens::{TokenHolder, TokenPair, TokenSession};
pub(crate) use self::caller::Caller;
pub(crate) use self::invitations::NewCredentials;
pub(crate) use self::own_password::PasswordChange;
pub(crate) use self::recovery::RecoveryCode;
pub(crate) use self::service::AccountService;
pub(crate) use self::sign_in::SignInAttempt;

#[cfg(test)]
#[path = "accounts/fixture_test.rs"]
mod fixture;
