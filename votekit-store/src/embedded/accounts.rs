//! The accounts in one SQLite file, `accounts.sqlite`. One connection, used by one call at a time:
//! accounts change rarely. Other processes may have the file open, such as the command line with a
//! running node, so every change holds the write lock from its first read.

mod database;
mod sessions;
mod table;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use rusqlite::Connection;
use votekit_core::id::{Digest, ElectionId};
use votekit_core::instant::UnixSeconds;

use super::fault::{Fault, PanicGuard, Poison, in_accounts, panicked, unavailable};
use super::{ACCOUNTS_FILE_NAME, schema};
use crate::{Account, AccountId, Accounts, EngineError, NewSession, Rotation, TokenKey};
use database::{Access, Database};

/// The work in errors of a call that panicked.
const CALL: &str = "a call";

/// The accounts of one data folder.
///
/// Every confirmed change is synced to disk. After a failed commit or sync every later call returns
/// that [`EngineError::Fatal`], and the process must stop.
pub struct EmbeddedAccounts {
    database: Arc<Database>,
}

impl EmbeddedAccounts {
    /// Opens the accounts in an existing folder, creating the file if needed. Blocks while it reads
    /// the file once.
    ///
    /// # Errors
    /// [`EngineError::Corrupt`] for a file that is damaged or holds no accounts;
    /// [`EngineError::Unavailable`] when a newer version wrote it, or when the file system refuses.
    pub fn open(folder: &Path) -> Result<Self, EngineError> {
        let connection =
            schema::open_accounts(&folder.join(ACCOUNTS_FILE_NAME)).map_err(in_accounts)?;
        Ok(Self::new(connection, Access::Write))
    }

    /// Opens the accounts in a folder for reading; `None` if there are none. Writes nothing, and
    /// refuses changes.
    ///
    /// # Errors
    /// As [`EmbeddedAccounts::open`].
    pub fn open_read_only(folder: &Path) -> Result<Option<Self>, EngineError> {
        let path = folder.join(ACCOUNTS_FILE_NAME);
        if !path.is_file() {
            return Ok(None);
        }
        let open = || -> Result<Option<Connection>, Fault> {
            let connection = schema::open_reader(&path)?;
            let is_new = schema::ACCOUNTS.identify(&connection)? == 0;
            Ok((!is_new).then_some(connection))
        };
        let connection = open().map_err(|fault| in_accounts(fault.into()))?;
        Ok(connection.map(|connection| Self::new(connection, Access::Read)))
    }

    fn new(connection: Connection, access: Access) -> Self {
        let connection = Mutex::new(connection);
        Self { database: Arc::new(Database { connection, poison: Poison::new(), access }) }
    }

    /// Runs a query on a blocking thread.
    async fn read<T, Q>(&self, query: Q) -> Result<T, EngineError>
    where
        T: Send + 'static,
        Q: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        self.run(move |database| Ok(query(&database.connection.lock())?)).await
    }

    /// Makes a change on a blocking thread, even if the caller stops waiting. It is durable when
    /// this returns `Ok`.
    async fn write<T, C>(&self, change: C) -> Result<T, EngineError>
    where
        T: Send + 'static,
        C: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        self.run(move |database| database.write(change)).await
    }

    async fn run<T, W>(&self, work: W) -> Result<T, EngineError>
    where
        T: Send + 'static,
        W: FnOnce(&Database) -> Result<T, EngineError> + Send + 'static,
    {
        let database = Arc::clone(&self.database);
        let worked = tokio::task::spawn_blocking(move || {
            database.poison.check()?;
            let _guard = PanicGuard { poison: &database.poison, what: CALL };
            work(&database)
        });
        let outcome = match worked.await {
            Ok(outcome) => outcome,
            Err(error) if error.is_panic() => Err(panicked(CALL)),
            Err(error) => Err(unavailable(format!("a call did not finish: {error}"))),
        };
        outcome.map_err(in_accounts)
    }
}

#[async_trait]
impl Accounts for EmbeddedAccounts {
    async fn add(&self, accounts: &[Account]) -> Result<(), EngineError> {
        accounts.iter().try_for_each(Account::check)?;
        let accounts = accounts.to_vec();
        self.write(move |connection| table::add(connection, &accounts)).await
    }

    async fn update(&self, account: &Account) -> Result<(), EngineError> {
        account.check()?;
        let account = account.clone();
        self.write(move |connection| table::update(connection, &account)).await
    }

    async fn account(&self, id: AccountId) -> Result<Option<Account>, EngineError> {
        self.read(move |connection| table::find(connection, "id = ?1", &id.0)).await
    }

    async fn account_by_email(&self, email: &str) -> Result<Option<Account>, EngineError> {
        let email = email.to_owned();
        self.read(move |connection| table::find(connection, "email = ?1", &email)).await
    }

    async fn account_by_invitation(&self, token: &Digest) -> Result<Option<Account>, EngineError> {
        let token = *token.as_bytes();
        self.read(move |connection| table::find(connection, "invitation = ?1", &token)).await
    }

    async fn accounts(&self, after: &str, limit: usize) -> Result<Vec<Account>, EngineError> {
        let after = after.to_owned();
        self.read(move |connection| table::list(connection, &after, limit)).await
    }

    async fn begin_session(&self, session: &NewSession) -> Result<(), EngineError> {
        let session = session.clone();
        self.write(move |connection| sessions::begin(connection, &session)).await
    }

    async fn use_session(
        &self,
        token: &Digest,
        now: UnixSeconds,
        idle_until: UnixSeconds,
    ) -> Result<Option<AccountId>, EngineError> {
        let (token, used) = (*token, sessions::Use { now, idle_until });
        self.write(move |connection| sessions::extend_pages(connection, &token, used)).await
    }

    async fn rotate(
        &self,
        token: &Digest,
        next: &Digest,
        now: UnixSeconds,
        idle_until: UnixSeconds,
    ) -> Result<Rotation, EngineError> {
        let (token, next, used) = (*token, *next, sessions::Use { now, idle_until });
        self.write(move |connection| sessions::rotate(connection, &token, &next, used)).await
    }

    async fn refresh_session(
        &self,
        token: &Digest,
        now: UnixSeconds,
    ) -> Result<Option<AccountId>, EngineError> {
        let token = *token;
        self.read(move |connection| sessions::find_refresh(connection, &token, now)).await
    }

    async fn end_session(&self, token: &Digest) -> Result<(), EngineError> {
        let token = *token;
        self.write(move |connection| sessions::end(connection, &token)).await
    }

    async fn end_sessions(&self, account: AccountId) -> Result<(), EngineError> {
        self.write(move |connection| sessions::end_all(connection, account)).await
    }

    async fn remove_expired(&self, now: UnixSeconds) -> Result<u64, EngineError> {
        let removed =
            self.write(move |connection| sessions::remove_expired(connection, now)).await?;
        // Data removed by this or another change is still in the write-ahead log.
        self.run(move |database| {
            database.record_checkpoint(database.empty_log().map_err(Fault::from));
            Ok(removed)
        })
        .await
    }

    async fn publish_token_key(&self, key: &TokenKey) -> Result<(), EngineError> {
        key.check()?;
        let key = key.clone();
        self.write(move |connection| sessions::publish_key(connection, &key)).await
    }

    async fn token_keys(&self, now: UnixSeconds) -> Result<Vec<TokenKey>, EngineError> {
        self.read(move |connection| sessions::keys(connection, now)).await
    }

    async fn record_creator(
        &self,
        law_id: &ElectionId,
        account: AccountId,
    ) -> Result<(), EngineError> {
        let law_id = law_id.clone();
        self.write(move |connection| table::record_creator(connection, &law_id, account)).await
    }

    async fn creators(&self) -> Result<Vec<(ElectionId, AccountId)>, EngineError> {
        self.read(table::creators).await
    }
}

impl fmt::Debug for EmbeddedAccounts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EmbeddedAccounts")
            .field("access", &self.database.access)
            .finish_non_exhaustive()
    }
}
