//! The accounts with faults.

use async_trait::async_trait;
use votekit_core::id::{Digest, ElectionId};
use votekit_core::instant::UnixSeconds;

use super::{FaultPlan, Faulty};
use crate::{Account, AccountId, Accounts, EngineError, NewSession, Rotation, TokenKey};

#[async_trait]
impl<T: Accounts + ?Sized, P: FaultPlan> Accounts for Faulty<T, P> {
    async fn add(&self, accounts: &[Account]) -> Result<(), EngineError> {
        self.write(|| self.inner.add(accounts)).await
    }

    async fn update(&self, account: &Account) -> Result<(), EngineError> {
        self.write(|| self.inner.update(account)).await
    }

    async fn account(&self, id: AccountId) -> Result<Option<Account>, EngineError> {
        self.read(|| self.inner.account(id)).await
    }

    async fn account_by_email(&self, email: &str) -> Result<Option<Account>, EngineError> {
        self.read(|| self.inner.account_by_email(email)).await
    }

    async fn account_by_invitation(&self, token: &Digest) -> Result<Option<Account>, EngineError> {
        self.read(|| self.inner.account_by_invitation(token)).await
    }

    async fn accounts(&self, after: &str, limit: usize) -> Result<Vec<Account>, EngineError> {
        self.read(|| self.inner.accounts(after, limit)).await
    }

    async fn begin_session(&self, session: &NewSession) -> Result<(), EngineError> {
        self.write(|| self.inner.begin_session(session)).await
    }

    async fn use_session(
        &self,
        token: &Digest,
        now: UnixSeconds,
        idle_until: UnixSeconds,
    ) -> Result<Option<AccountId>, EngineError> {
        self.write(|| self.inner.use_session(token, now, idle_until)).await
    }

    async fn rotate(
        &self,
        token: &Digest,
        next: &Digest,
        now: UnixSeconds,
        idle_until: UnixSeconds,
    ) -> Result<Rotation, EngineError> {
        self.write(|| self.inner.rotate(token, next, now, idle_until)).await
    }

    async fn refresh_session(
        &self,
        token: &Digest,
        now: UnixSeconds,
    ) -> Result<Option<AccountId>, EngineError> {
        self.read(|| self.inner.refresh_session(token, now)).await
    }

    async fn end_session(&self, token: &Digest) -> Result<(), EngineError> {
        self.write(|| self.inner.end_session(token)).await
    }

    async fn end_sessions(&self, account: AccountId) -> Result<(), EngineError> {
        self.write(|| self.inner.end_sessions(account)).await
    }

    async fn remove_expired(&self, now: UnixSeconds) -> Result<u64, EngineError> {
        self.write(|| self.inner.remove_expired(now)).await
    }

    async fn publish_token_key(&self, key: &TokenKey) -> Result<(), EngineError> {
        self.write(|| self.inner.publish_token_key(key)).await
    }

    async fn token_keys(&self, now: UnixSeconds) -> Result<Vec<TokenKey>, EngineError> {
        self.read(|| self.inner.token_keys(now)).await
    }

    async fn record_creator(
        &self,
        law_id: &ElectionId,
        account: AccountId,
    ) -> Result<(), EngineError> {
        self.write(|| self.inner.record_creator(law_id, account)).await
    }

    async fn creators(&self) -> Result<Vec<(ElectionId, AccountId)>, EngineError> {
        self.read(|| self.inner.creators()).await
    }
}
