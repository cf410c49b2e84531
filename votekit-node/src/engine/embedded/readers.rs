//! Reading beside the writer: a few read-only connections, each used by one thread at a time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::fault::{Fault, unavailable};
use super::schema;
use crate::engine::EngineError;

/// Reads at the same time; further ones wait.
const CONNECTIONS_MAX: usize = 4;

/// The pool. Connections are opened when first needed, and dropped when a read on them panics.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Arc<Self> {
        Arc::new(Self { path, idle: Mutex::new(Vec::new()), permits: Semaphore::new(CONNECTIONS_MAX) })
    }

    /// Runs a query on a thread that may block.
    pub(super) async fn read<T, Q>(self: &Arc<Self>, query: Q) -> Result<T, EngineError>
    where
        T: Send + 'static,
        Q: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        let pool = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || {
            let connection = pool.take()?;
            let answer = query(&connection);
            pool.put_back(connection);
            answer
        });
        match read.await {
            Ok(answer) => answer.map_err(EngineError::from),
            Err(error) => Err(unavailable(format!("a read did not finish: {error}"))),
        }
    }

    fn take(&self) -> Result<Connection, Fault> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Ok(idle.map_or_else(|| schema::open_reader(&self.path), Ok)?)
    }

    fn put_back(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}
