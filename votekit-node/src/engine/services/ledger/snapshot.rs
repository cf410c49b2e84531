//! The ledger as it stands at one moment, read beside whoever is writing it, by programs that wait for each answer.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Runtime;
use votekit_core::batch::Batch;
use votekit_core::id::{BatchNumber, Digest, LawId};

use super::connections::{Session, Way, silent};
use super::fault::unavailable;
use super::{queries, schema};
use crate::engine::services::url::ServiceAddress;
use crate::engine::{EngineError, Head, ReviewNote, StoredBlock};

/// How long the opening may take.
const OPENING_TIME: Duration = Duration::from_secs(5);

/// How long an answer is waited for: nobody votes meanwhile.
const ANSWER_TIME: Duration = Duration::from_secs(120);

/// A read-only view of a ledger. What is written after it was opened does not show.
///
/// It has a runtime of its own, and must not be used from within another.
pub struct PostgresSnapshot {
    runtime: Runtime,
    session: Mutex<Session>,
}

impl PostgresSnapshot {
    /// Opens the ledger of an address. Makes nothing and migrates nothing.
    ///
    /// # Errors
    /// [`EngineError::Misconfigured`] when there is none, or it is of another version; else as
    /// [`PostgresLedger::open`](super::PostgresLedger::open).
    pub fn open(address: &ServiceAddress) -> Result<Self, EngineError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| unavailable(format!("no runtime: {error}")))?;
        let way = Way::to(address)?;
        let connect = async {
            let client = way.connect().await?;
            schema::check(&client, &way.schema).await.map_err(|fault| fault.told_at_opening(address))?;
            // A long export is no fault. The first read fixes the moment.
            let limits =
                format!("SET statement_timeout = {}; SET idle_in_transaction_session_timeout = 0", ANSWER_TIME.as_millis());
            for command in [&*limits, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "SELECT FROM staging"] {
                let done = client.batch_execute(command).await;
                done.map_err(|error| schema::Fault::Postgres(error).told_at_opening(address))?;
            }
            Ok(Session::own(client, ANSWER_TIME))
        };
        let session = runtime.block_on(async { tokio::time::timeout(OPENING_TIME, connect).await });
        let session = session.unwrap_or_else(|_| Err(silent(address)))?;
        Ok(Self { runtime, session: Mutex::new(session) })
    }

    /// The elections that have a log, in the order of their creation.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn elections(&self) -> Result<Vec<LawId>, EngineError> {
        self.runtime.block_on(queries::elections(&mut self.session()))
    }

    /// Where a log stands.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn head(&self, law_id: &LawId) -> Result<Option<Head>, EngineError> {
        self.runtime.block_on(queries::head(&mut self.session(), law_id))
    }

    /// Blocks from a height on.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn blocks(&self, law_id: &LawId, from_height: u64, limit: usize) -> Result<Vec<StoredBlock>, EngineError> {
        self.runtime.block_on(queries::blocks(&mut self.session(), law_id, from_height, limit))
    }

    /// A batch that has not been purged, by its number.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn batch(&self, law_id: &LawId, number: BatchNumber) -> Result<Option<Batch>, EngineError> {
        self.runtime.block_on(queries::batch(&mut self.session(), law_id, number))
    }

    /// A manifest by its digest.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn manifest(&self, digest: &Digest) -> Result<Option<Vec<u8>>, EngineError> {
        self.runtime.block_on(queries::manifest(&mut self.session(), digest))
    }

    /// The remarks on an election's requests, in order.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn review_notes(&self, law_id: &LawId) -> Result<Vec<ReviewNote>, EngineError> {
        self.runtime.block_on(queries::review_notes(&mut self.session(), law_id))
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        // A session is whole after any panic: at the worst its connection is gone.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for PostgresSnapshot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PostgresSnapshot").finish_non_exhaustive()
    }
}
