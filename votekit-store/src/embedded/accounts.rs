//! The accounts in one SQLite file, `accounts.sqlite`. One connection, used by one call at a time:
//! accounts change rarely. Other processes may have the file open, such as the command line beside
//! a running node, so every change holds the write lock from its first read.

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

use super::checkpointer::{LogLength, log_length, move_rest};
use super::fault::{Fault, PanicGuard, Poison, fatal, in_accounts, panicked, unavailable};
use super::{ACCOUNTS_FILE_NAME, schema, transaction};
use crate::{Account, AccountId, Accounts, EngineError, NewSession, Rotation, TokenKey};

/// The work in errors of a call that panicked.
const CALL: &str = "a call";

/// Pages (4 KiB) in the write-ahead log from which a change moves them to the database.
const LOG_PAGES_MAX: i64 = 1_000;

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

struct Database {
    connection: Mutex<Connection>,
    poison: Poison,
    access: Access,
}

impl Database {
    fn write<T>(
        &self,
        change: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, EngineError> {
        let connection = self.connection.lock();
        let outcome = transaction::immediate(&connection, change);
        match &outcome {
            Ok(_) => self.shorten_log(&connection),
            Err(error @ EngineError::Fatal { .. }) => drop(self.poison.set(error.clone())),
            Err(_) => {}
        }
        outcome
    }

    /// Moves a long write-ahead log into the database. The change before it is durable whatever
    /// comes of this.
    fn shorten_log(&self, connection: &Connection) {
        let shorten = || -> Result<(), Fault> {
            let LogLength { pages, moved } = log_length(connection, "PRAGMA wal_checkpoint(NOOP)")?;
            if pages - moved < LOG_PAGES_MAX { Ok(()) } else { move_rest(connection) }
        };
        self.judge(shorten());
    }

    /// Empties the write-ahead log, which holds pages with removed passwords and tokens.
    fn empty_log(&self) -> Result<(), EngineError> {
        let connection = self.connection.lock();
        if log_length(&connection, "PRAGMA wal_checkpoint(NOOP)")?.pages > 0 {
            schema::empty_log(&connection)?;
        }
        Ok(())
    }

    /// Records what came of a checkpoint. A failed sync of the database must not be retried: the
    /// kernel may have dropped the pages.
    fn judge(&self, checkpoint: Result<(), Fault>) {
        match checkpoint.map_err(|fault| in_accounts(fault.into())) {
            Ok(()) => {}
            Err(error @ EngineError::Unavailable { .. }) => {
                tracing::warn!(
                    event = "wal_checkpoint_delayed",
                    %error,
                    "write-ahead log not checkpointed, retrying"
                );
            }
            Err(error) => {
                tracing::error!(
                    event = "wal_checkpoint_failed",
                    %error,
                    "write-ahead log not checkpointed"
                );
                self.poison.set(fatal(error.to_string()));
            }
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.access == Access::Write
            && self.poison.get().is_none()
            && let Err(error) = self.empty_log().map_err(in_accounts)
        {
            // Nothing is lost: SQLite replays the log when the file is next opened.
            tracing::warn!(
                event = "wal_truncate_failed",
                %error,
                "accounts closed, write-ahead log not emptied"
            );
        }
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
        // What was removed, here or by other changes, still stands in the log.
        self.run(move |database| {
            database.judge(database.empty_log().map_err(Fault::from));
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
