//! Tokens of programs: a short access token, and a refresh token that is replaced at each use. Both
//! belong to a session in the store, and end with it.

use axum::http::HeaderMap;
use votekit_core::id::Digest;
use votekit_core::instant::UnixSeconds;
use votekit_store::{Account, AccountRole, EngineError, Rotation, SessionKind};
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

/// The tokens that a program gets when it signs in or refreshes.
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

/// The holder of an access token, and the end of its validity.
pub(crate) struct TokenHolder {
    pub(crate) caller: Caller,
    /// From then on the token is not valid.
    pub(crate) expires: UnixSeconds,
    /// The session that it belongs to.
    pub(crate) session: TokenSession,
}

/// The session of a token that was verified, for checks while a connection stays open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenSession(Grant);

impl AccountService {
    /// Issues tokens to an account that has signed in.
    ///
    /// # Errors
    /// The store is not available.
    pub(crate) async fn tokens(&self, account: &Account) -> Result<TokenPair, Problem> {
        let refresh = opaque::draw()?;
        let digest = Digest::compute(refresh.as_bytes());
        self.begin_session(digest, account.id, SessionKind::Refresh, REFRESH_TIMES).await?;
        let access = self.access_token(account, digest, self.now()).await?;
        Ok(TokenPair { access, refresh })
    }

    /// Replaces a refresh token. A token that was replaced before must have been copied: its
    /// session ends, with an alarm. `from_officials_network` is as in a sign-in.
    ///
    /// # Errors
    /// [`Problem::RefreshRefused`]; [`Problem::ForeignNetwork`] for an official at a network from
    /// which officials may not work, who keeps the token; or the store is not available.
    pub(crate) async fn refresh(
        &self,
        refresh: &str,
        from_officials_network: bool,
    ) -> Result<TokenPair, Problem> {
        let digest = opaque::digest_of(refresh.as_bytes()).ok_or(Problem::RefreshRefused)?;
        let now = self.now();
        if !from_officials_network {
            self.refuse_official(&digest, now).await?;
        }
        let next = opaque::draw()?;
        let next_digest = Digest::compute(next.as_bytes());
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
                return Err(Problem::RefreshRefused);
            }
            Rotation::Unknown => return Err(Problem::RefreshRefused),
        };
        let Some(account) = self.active(id).await? else {
            self.store.end_session(&next_digest).await.map_err(store_failed)?;
            return Err(Problem::RefreshRefused);
        };
        let access = self.access_token(&account, next_digest, now).await?;
        Ok(TokenPair { access, refresh: next })
    }

    /// Refuses the refresh token of an official, and does not use it up: a laptop that is outside
    /// the office for an hour can continue its session afterwards.
    async fn refuse_official(&self, refresh: &Digest, now: UnixSeconds) -> Result<(), Problem> {
        let holder = self.store.refresh_session(refresh, now).await.map_err(store_failed)?;
        let Some(id) = holder else { return Ok(()) };
        match self.active(id).await? {
            Some(account) if account.role != AccountRole::Voter => Err(Problem::ForeignNetwork),
            _ => Ok(()),
        }
    }

    /// Replaces a token in the store. The same call again gets the same answer: otherwise a client
    /// that retries after an unknown outcome would use its token twice, and end its session.
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

    /// Ends the session of a refresh token, if there is one, with its access tokens.
    ///
    /// # Errors
    /// The store is not available.
    pub(crate) async fn end_refresh(&self, refresh: &str) -> Result<(), Problem> {
        let Some(digest) = opaque::digest_of(refresh.as_bytes()) else { return Ok(()) };
        self.store.end_session(&digest).await.map_err(store_failed)
    }

    /// The caller behind an access token, with the state and the role that the store has now. The
    /// session of the token must last.
    ///
    /// # Errors
    /// [`Problem::TokenRefused`] for any fault of the token, or if the store is not available.
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
        let account = self.granted(&valid.grant).await?.ok_or(Problem::TokenRefused)?;
        Ok(TokenHolder {
            caller: Caller::with_token(account),
            expires: valid.expires,
            session: TokenSession(valid.grant),
        })
    }

    /// Whether the session of a token still lasts, and its account is active and has the role.
    ///
    /// # Errors
    /// The store is not available.
    pub(crate) async fn lasts(&self, session: TokenSession) -> Result<bool, Problem> {
        Ok(self.granted(&session.0).await?.is_some())
    }

    /// The account of a token, if its session is valid and the account has the role in the token.
    async fn granted(&self, grant: &Grant) -> Result<Option<Account>, Problem> {
        let session = self.store.refresh_session(&grant.session, self.now()).await;
        if session.map_err(store_failed)? != Some(grant.account) {
            return Ok(None);
        }
        let account = self.active(grant.account).await?;
        Ok(account.filter(|account| account.role == grant.role))
    }

    async fn access_token(
        &self,
        account: &Account,
        session: Digest,
        now: UnixSeconds,
    ) -> Result<Zeroizing<String>, Problem> {
        let grant = Grant { account: account.id, role: account.role, session };
        self.keys.sign(&self.issuer, grant, now).await
    }
}

#[cfg(test)]
#[path = "api_tokens_test.rs"]
mod tests;
