//! The accounts on PostgreSQL, in the schema of the ledger and over its connections.

mod sessions;
mod table;

use std::sync::Arc;

use async_trait::async_trait;
use votekit_core::id::{Digest, ElectionId};
use votekit_core::instant::UnixSeconds;

use super::connections::{Connections, Connector};
use super::queries;
use crate::services::url::ServiceAddress;
use crate::{Account, AccountId, Accounts, EngineError, NewSession, Rotation, TokenKey};

/// The accounts in the schema of a ledger.
#[derive(Debug)]
pub struct PostgresAccounts {
    connections: Arc<Connections>,
}

impl PostgresAccounts {
    /// Opens the accounts of a ledger without the ledger, for programs other than nodes. Creates
    /// and migrates nothing.
    ///
    /// # Errors
    /// [`EngineError::Misconfigured`] when there is no ledger, or it is of another version;
    /// otherwise as [`PostgresLedger::open`](super::PostgresLedger::open).
    pub async fn open(address: &ServiceAddress) -> Result<Self, EngineError> {
        let connector = Connector::new(address)?;
        let connections = Connections::open_existing(&connector, address).await?;
        Ok(Self::new(Arc::new(connections)))
    }

    pub(super) fn new(connections: Arc<Connections>) -> Self {
        Self { connections }
    }

    /// Returns the text that identifies the ledger.
    ///
    /// # Errors
    /// When the server is unavailable.
    pub async fn installation(&self) -> Result<String, EngineError> {
        queries::installation(&mut self.connections.session().await?).await
    }
}

#[async_trait]
impl Accounts for PostgresAccounts {
    async fn add(&self, accounts: &[Account]) -> Result<(), EngineError> {
        accounts.iter().try_for_each(Account::check)?;
        table::add(&mut self.connections.session().await?, accounts).await
    }

    async fn update(&self, account: &Account) -> Result<(), EngineError> {
        account.check()?;
        table::update(&mut self.connections.session().await?, account).await
    }

    async fn account(&self, id: AccountId) -> Result<Option<Account>, EngineError> {
        table::by_id(&mut self.connections.session().await?, id).await
    }

    async fn account_by_email(&self, email: &str) -> Result<Option<Account>, EngineError> {
        table::by_email(&mut self.connections.session().await?, email).await
    }

    async fn account_by_invitation(&self, token: &Digest) -> Result<Option<Account>, EngineError> {
        table::by_invitation(&mut self.connections.session().await?, token).await
    }

    async fn accounts(&self, after: &str, limit: usize) -> Result<Vec<Account>, EngineError> {
        table::list(&mut self.connections.session().await?, after, limit).await
    }

    async fn begin_session(&self, session: &NewSession) -> Result<(), EngineError> {
        sessions::begin(&mut self.connections.session().await?, session).await
    }

    async fn use_session(
        &self,
        token: &Digest,
        now: UnixSeconds,
        idle_until: UnixSeconds,
    ) -> Result<Option<AccountId>, EngineError> {
        let mut session = self.connections.session().await?;
        sessions::extend_pages(&mut session, token, now, idle_until).await
    }

    async fn rotate(
        &self,
        token: &Digest,
        next: &Digest,
        now: UnixSeconds,
        idle_until: UnixSeconds,
    ) -> Result<Rotation, EngineError> {
        let mut session = self.connections.session().await?;
        sessions::rotate(&mut session, token, next, now, idle_until).await
    }

    async fn refresh_session(
        &self,
        token: &Digest,
        now: UnixSeconds,
    ) -> Result<Option<AccountId>, EngineError> {
        sessions::find_refresh(&mut self.connections.session().await?, token, now).await
    }

    async fn end_session(&self, token: &Digest) -> Result<(), EngineError> {
        sessions::end(&mut self.connections.session().await?, token).await
    }

    async fn end_sessions(&self, account: AccountId) -> Result<(), EngineError> {
        sessions::end_all(&mut self.connections.session().await?, account).await
    }

    async fn remove_expired(&self, now: UnixSeconds) -> Result<u64, EngineError> {
        sessions::remove_expired(&mut self.connections.session().await?, now).await
    }

    async fn publish_token_key(&self, key: &TokenKey) -> Result<(), EngineError> {
        key.check()?;
        sessions::publish_key(&mut self.connections.session().await?, key).await
    }

    async fn token_keys(&self, now: UnixSeconds) -> Result<Vec<TokenKey>, EngineError> {
        sessions::keys(&mut self.connections.session().await?, now).await
    }

    async fn record_creator(
        &self,
        law_id: &ElectionId,
        account: AccountId,
    ) -> Result<(), EngineError> {
        table::record_creator(&mut self.connections.session().await?, law_id, account).await
    }

    async fn creators(&self) -> Result<Vec<(ElectionId, AccountId)>, EngineError> {
        table::creators(&mut self.connections.session().await?).await
    }
}
