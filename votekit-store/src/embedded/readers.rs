//! Read-only connections in addition to the writer: a small pool, each connection used by one
//! thread at a time.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::fault::{Fault, unavailable};
use super::schema;
use crate::EngineError;

/// The maximum number of concurrent reads. Further reads wait.
const CONNECTIONS_MAX: usize = 4;

/// The connection pool. A connection is opened when needed, and dropped when a read on it panics.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            path,
            idle: Mutex::new(Vec::new()),
            permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        })
    }

    /// Runs a query on a blocking thread.
    pub(super) async fn read<T, Q>(self: &Arc<Self>, query: Q) -> Result<T, EngineError>
    where
        T: Send + 'static,
        Q: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let permit =
            Arc::clone(&self.permits).acquire_owned().await.expect("the semaphore is never closed");
        let pool = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || {
            // Held until the read is done, even when its caller has stopped waiting.
            let _permit = permit;
            let connection = pool.take()?;
            let answer = query(&connection);
            pool.return_to_pool(connection);
            answer
        });
        match read.await {
            Ok(answer) => answer.map_err(EngineError::from),
            Err(error) => Err(unavailable(format!("a read did not finish: {error}"))),
        }
    }

    fn take(&self) -> Result<Connection, Fault> {
        let idle = self.idle.lock().pop();
        Ok(idle.map_or_else(|| schema::open_reader(&self.path), Ok)?)
    }

    fn return_to_pool(&self, connection: Connection) {
        self.idle.lock().push(connection);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn an_abandoned_read_keeps_its_permit_until_it_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(schema::FILE);
        drop(schema::open_writer(&path).expect("a new ledger"));
        let readers = Readers::new(path);
        let (begin, begun) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let read = tokio::spawn({
            let readers = Arc::clone(&readers);
            async move {
                let slow = move |_: &Connection| {
                    begin.send(()).expect("the caller waits");
                    // Ends when the other side drops `release`.
                    let _ = released.recv();
                    Ok(())
                };
                readers.read(slow).await
            }
        });
        tokio::task::block_in_place(|| begun.recv()).expect("it has begun");
        read.abort();
        assert!(read.await.expect_err("it was given up").is_cancelled());
        assert_eq!(readers.permits.available_permits(), CONNECTIONS_MAX - 1);
        drop(release);
        let all =
            readers.permits.acquire_many(u32::try_from(CONNECTIONS_MAX).expect("small")).await;
        all.expect("the semaphore is never closed").forget();
    }
}
