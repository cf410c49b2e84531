//! Tokens of programs: a short access token, and a refresh token that is replaced at each use.

use axum::http::HeaderMap;
use votekit_core::id::Digest;
use votekit_core::instant::UnixSeconds;
use votekit_store::{Account, AccountState, EngineError, Rotation, SessionKind};
use zeroize::Zeroizing;

use super::caller::Caller;
use super::faults::store_failed;
use super::opaque;
use super::service::{AccountService, SessionTimes};
use super::token::{Grant, LIFETIME_SECONDS};
use crate::guard::bearer_token::bearer_token;
use crate::problem::Problem;

/// A program that is not used for an hour signs in again, and twice a day in any case.
const REFRESH_TIMES: SessionTimes = SessionTimes { idle: 3600, all: 12 * 3600 };

/// What a program gets when it signs in or refreshes.
pub(crate) struct TokenPair {
    /// The access token, for the field `Authorization`.
    pub(crate) access: Zeroizing<String>,
    /// The refresh token: valid once.
    pub(crate) refresh: Zeroizing<String>,
}

impl TokenPair {
    /// The life of the access token, in seconds.
    pub(crate) const ACCESS_SECONDS: u64 = LIFETIME_SECONDS;
}

/// Who holds an access token, and until when it is valid.
pub(crate) struct TokenHolder {
    pub(crate) caller: Caller,
    /// From then on the token is not valid.
    pub(crate) expires: UnixSeconds,
}

impl AccountService {
    /// Issues tokens to an account that has signed in.
    ///
    /// # Errors
    /// The store is not available.
    pub(crate) async fn tokens(&self, account: &Account) -> Result<TokenPair, Problem> {
        let access = self.access_token(account, self.now()).await?;
        let refresh = opaque::draw()?;
        let digest = Digest::of(refresh.as_bytes());
        self.begin_session(digest, account.id, SessionKind::Refresh, REFRESH_TIMES).await?;
        Ok(TokenPair { access, refresh })
    }

    /// Replaces a refresh token. One that was replaced before was copied: its session ends, with an
    /// alarm.
    ///
    /// # Errors
    /// [`Problem::TokenRefused`], or the store is not available.
    pub(crate) async fn refresh(&self, refresh: &str) -> Result<TokenPair, Problem> {
        let digest = opaque::digest_of(refresh.as_bytes()).ok_or(Problem::TokenRefused)?;
        let next = opaque::draw()?;
        let next_digest = Digest::of(next.as_bytes());
        let now = self.now();
        let id = match self.rotate(&digest, &next_digest, now).await.map_err(store_failed)? {
            Rotation::Rotated(id) => id,
            Rotation::Reused(id) => {
                let account = const_hex::encode(id.0);
                tracing::error!(
                    event = "refresh_token_reused",
                    alarm = true,
                    account,
                    "refresh token used twice, session ended"
                );
                return Err(Problem::TokenRefused);
            }
            Rotation::Unknown => return Err(Problem::TokenRefused),
        };
        let Some(account) = self.active(id).await? else {
            self.store.end_session(&next_digest).await.map_err(store_failed)?;
            return Err(Problem::TokenRefused);
        };
        Ok(TokenPair { access: self.access_token(&account, now).await?, refresh: next })
    }

    /// Replaces a token in the store. The same call again gets the same answer: without it, the
    /// client of an unknown outcome would use its token twice, and end its session.
    async fn rotate(
        &self,
        token: &Digest,
        next: &Digest,
        now: UnixSeconds,
    ) -> Result<Rotation, EngineError> {
        let idle_until = REFRESH_TIMES.idle_until(now);
        let rotated = self.store.rotate(token, next, now, idle_until).await;
        match rotated {
            Err(EngineError::OutcomeUnknown { .. }) => {
                self.store.rotate(token, next, now, idle_until).await
            }
            rotated => rotated,
        }
    }

    /// Ends the session of a refresh token, if there is one.
    ///
    /// # Errors
    /// The store is not available.
    pub(crate) async fn end_refresh(&self, refresh: &str) -> Result<(), Problem> {
        let Some(digest) = opaque::digest_of(refresh.as_bytes()) else { return Ok(()) };
        self.store.end_session(&digest).await.map_err(store_failed)
    }

    /// The caller behind an access token, with the state and the role that the store has now.
    ///
    /// # Errors
    /// [`Problem::TokenRefused`] whatever is wrong, or the store is not available.
    pub(crate) async fn bearer(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let token = bearer_token(headers).ok_or(Problem::TokenRefused)?;
        Ok(self.holder(token).await?.caller)
    }

    /// As [`AccountService::bearer`], for a token that did not come in a header field.
    ///
    /// # Errors
    /// As [`AccountService::bearer`].
    pub(crate) async fn holder(&self, token: &[u8]) -> Result<TokenHolder, Problem> {
        let valid = self.keys.verify(token, &self.issuer, self.now()).await?;
        let account = self.store.account(valid.grant.account).await.map_err(store_failed)?;
        let is_valid = |account: &Account| {
            account.state == AccountState::Active && account.role == valid.grant.role
        };
        let account = account.filter(is_valid).ok_or(Problem::TokenRefused)?;
        Ok(TokenHolder { caller: Caller::with_token(account), expires: valid.expires })
    }

    async fn access_token(
        &self,
        account: &Account,
        now: UnixSeconds,
    ) -> Result<Zeroizing<String>, Problem> {
        let grant = Grant { account: account.id, role: account.role };
        self.keys.sign(&self.issuer, grant, now).await
    }
}

#[cfg(test)]
#[path = "api_tokens_test.rs"]
mod tests;
