//! A snapshot of the ledger for blocking programs, taken while others write to it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use votekit_core::batch::Batch;
use votekit_core::id::{BatchNumber, Digest, ElectionId};
use votekit_core::log::merkle::TreeHash;

use super::connections::{Connector, Session, open_timeout};
use super::fault::unavailable;
use super::{queries, schema, witnessed};
use crate::services::url::ServiceAddress;
use crate::{EngineError, Head, LogReader, ReviewNote, StoredBlock, WitnessLine};

/// Timeout for opening.
const OPENING_TIMEOUT: Duration = Duration::from_secs(5);

/// Timeout for an answer: no vote depends on it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// A read-only view of a ledger. It does not show what is written after it was opened.
///
/// Its calls block. They may also be made from within a runtime: the view has its own thread for
/// its connection.
pub struct PostgresReadView {
    session: Arc<Mutex<Session>>,
    runtime: Option<Runtime>,
}

type Asked<'session, T> = Pin<Box<dyn Future<Output = Result<T, EngineError>> + Send + 'session>>;

impl PostgresReadView {
    /// Opens the ledger at an address. Creates and migrates nothing.
    ///
    /// # Errors
    /// [`EngineError::Misconfigured`] when there is none, or it is of another version; otherwise as
    /// [`PostgresLedger::open`](super::PostgresLedger::open).
    pub fn open(address: &ServiceAddress) -> Result<Self, EngineError> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime
            .map_err(|error| unavailable(format!("cannot start the reader thread: {error}")))?;
        let address = address.clone();
        let session = wait(&runtime, async move {
            tokio::time::timeout(OPENING_TIMEOUT, connect(&address))
                .await
                .unwrap_or_else(|_| Err(open_timeout(&address)))
        });
        // Dropping a runtime panics where blocking is not allowed.
        match session {
            Ok(session) => {
                Ok(Self { session: Arc::new(Mutex::new(session)), runtime: Some(runtime) })
            }
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    fn query<T, Q>(&self, query: Q) -> Result<T, EngineError>
    where
        T: Send + 'static,
        Q: for<'session> FnOnce(&'session mut Session) -> Asked<'session, T> + Send + 'static,
    {
        let session = Arc::clone(&self.session);
        let runtime = self.runtime.as_ref().expect("taken by drop alone");
        wait(runtime, async move { query(&mut *session.lock().await).await })
    }
}

impl LogReader for PostgresReadView {
    fn elections(&self) -> Result<Vec<ElectionId>, EngineError> {
        self.query(|session| Box::pin(queries::elections(session)))
    }

    fn head(&self, law_id: &ElectionId) -> Result<Option<Head>, EngineError> {
        let law_id = law_id.clone();
        self.query(|session| Box::pin(async move { queries::head(session, &law_id).await }))
    }

    fn blocks(
        &self,
        law_id: &ElectionId,
        from_height: u64,
        limit: usize,
    ) -> Result<Vec<StoredBlock>, EngineError> {
        let law_id = law_id.clone();
        self.query(move |session| {
            Box::pin(async move { queries::blocks(session, &law_id, from_height, limit).await })
        })
    }

    fn batch(
        &self,
        law_id: &ElectionId,
        number: BatchNumber,
    ) -> Result<Option<Batch>, EngineError> {
        let law_id = law_id.clone();
        self.query(move |session| {
            Box::pin(async move { queries::batch(session, &law_id, number).await })
        })
    }

    fn manifest(&self, digest: &Digest) -> Result<Option<Vec<u8>>, EngineError> {
        let digest = *digest;
        self.query(move |session| {
            Box::pin(async move { queries::manifest(session, &digest).await })
        })
    }

    fn witness_lines(
        &self,
        law_id: &ElectionId,
        size: u64,
        root: &TreeHash,
        witnesses: &[String],
    ) -> Result<Vec<WitnessLine>, EngineError> {
        let (law_id, root, witnesses) = (law_id.clone(), *root, witnesses.to_vec());
        self.query(move |session| {
            Box::pin(async move {
                witnessed::witness_lines(session, &law_id, (size, &root), &witnesses).await
            })
        })
    }

    fn review_notes(&self, law_id: &ElectionId) -> Result<Vec<ReviewNote>, EngineError> {
        let law_id = law_id.clone();
        self.query(|session| Box::pin(async move { queries::review_notes(session, &law_id).await }))
    }
}

/// Runs a future on the runtime's thread, and blocks the caller until it is done.
fn wait<T: Send + 'static>(
    runtime: &Runtime,
    asked: impl Future<Output = Result<T, EngineError>> + Send + 'static,
) -> Result<T, EngineError> {
    let (reply, answer) = mpsc::sync_channel(1);
    runtime.spawn(async move {
        let _ = reply.send(asked.await);
    });
    answer.recv().unwrap_or_else(|_| Err(unavailable("the reader thread ended")))
}

async fn connect(address: &ServiceAddress) -> Result<Session, EngineError> {
    let connector = Connector::new(address)?;
    let client = connector.connect().await?;
    schema::check(&client, &connector.schema)
        .await
        .map_err(|fault| fault.map_open_error(address))?;
    // A long export is not a failure. The first read fixes the snapshot.
    let limits = format!(
        "SET statement_timeout = {}; SET idle_in_transaction_session_timeout = 0",
        ANSWER_TIMEOUT.as_millis()
    );
    for command in
        [&*limits, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "SELECT FROM staging"]
    {
        let done = client.batch_execute(command).await;
        done.map_err(|error| schema::Fault::Postgres(error).map_open_error(address))?;
    }
    Ok(Session::own(client, ANSWER_TIMEOUT))
}

impl Drop for PostgresReadView {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for PostgresReadView {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PostgresReadView").finish_non_exhaustive()
    }
}
