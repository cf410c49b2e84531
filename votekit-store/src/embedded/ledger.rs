//! The ledger in one SQLite file, `ledger.sqlite`: one thread writes, several connections read.

mod parts;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use votekit_core::id::ElectionId;

use super::checkpointer::Checkpointer;
use super::fault::{Poison, unavailable};
use super::inspection::Inspected;
use super::leases::LeaseTable;
use super::readers::Readers;
use super::tail::{Backlog, Tail};
use super::writer::Writer;
use super::writes::AcquireLeadership;
use super::{folder, inspection, queries, schema};
use crate::{EngineError, Leadership};

/// The ledger of one process, of one node or of several.
///
/// Every confirmed write is synced to disk. When a commit or a sync fails, the ledger is poisoned:
/// every later call returns that [`EngineError::Fatal`], and the process must stop
/// ([`EmbeddedLedger::failed`]).
///
/// Dropping it completes the queued writes and empties the write-ahead log, which may take a
/// moment.
pub struct EmbeddedLedger {
    writer: Writer,
    readers: Arc<Readers>,
    tail: Arc<Tail>,
    poison: Arc<Poison>,
    leases: Arc<LeaseTable>,
    /// Elections whose rows contradicted one another when the ledger was opened: they are listed,
    /// and neither read nor written.
    damaged: BTreeMap<ElectionId, EngineError>,
    /// Held while the ledger is open. The last field, so that it is released after the writer has
    /// ended.
    _lock: File,
}

impl EmbeddedLedger {
    /// Opens the ledger in a folder, creating both if needed. Blocks while it inspects the stored
    /// data.
    ///
    /// # Errors
    /// [`EngineError::Corrupt`] for a file that cannot be read as a whole or is not a ledger:
    /// damage to the rows of one election is reported when that election is read;
    /// [`EngineError::Unavailable`] when another process has it open, when a newer version wrote
    /// it, or when the file system refuses.
    pub fn open(folder: &Path) -> Result<Self, EngineError> {
        folder::create(folder, 0o777).map_err(|error| {
            unavailable(format!("cannot create the folder {}: {error}", folder.display()))
        })?;
        let lock = lock(folder)?;
        let path = folder.join(schema::FILE);
        let connection = schema::open_writer(&path)?;
        let Inspected { tail, damaged } = inspection::inspect(&connection)?;
        let leases = Arc::new(LeaseTable::new(queries::leadership_term(&connection)?));
        let tail = Arc::new(tail);
        let poison = Arc::new(Poison::new());
        let checkpointer = Checkpointer::start(&path, Arc::clone(&poison))?;
        let writer =
            Writer::start(connection, checkpointer, Arc::clone(&tail), Arc::clone(&poison))?;
        Ok(Self { writer, readers: Readers::new(path), tail, poison, leases, damaged, _lock: lock })
    }

    /// The failure that poisoned this ledger, if any.
    #[must_use]
    pub fn failure(&self) -> Option<EngineError> {
        self.poison.get()
    }

    /// Waits until the ledger is poisoned; the process should then stop. Pending until that
    /// happens.
    pub async fn failed(&self) -> EngineError {
        self.poison.wait().await
    }

    /// From now on, several nodes of this process use the ledger.
    pub(super) fn share(&self) {
        self.leases.share();
    }

    /// The batches that are staged and not sealed at the time of the call.
    pub(super) fn backlog(&self) -> Vec<Backlog> {
        self.tail.backlog()
    }

    /// Fails for an election with damaged rows, and after the ledger has failed.
    fn check(&self, law_id: &ElectionId) -> Result<(), EngineError> {
        self.poison.check()?;
        self.damaged.get(law_id).cloned().map_or(Ok(()), Err)
    }

    async fn take_lead(
        &self,
        holder: &str,
        length: Duration,
        at_least: u64,
        passed_over: Option<u64>,
    ) -> Result<Leadership, EngineError> {
        let (leases, tail) = (Arc::clone(&self.leases), Arc::clone(&self.tail));
        let holder = holder.to_owned();
        let acquire = AcquireLeadership { holder, length, at_least, passed_over, leases, tail };
        self.writer.write(acquire).await.map(|acquired| acquired.leadership)
    }

    async fn read_of<T, Q>(&self, law_id: &ElectionId, query: Q) -> Result<T, EngineError>
    where
        T: Send + 'static,
        Q: FnOnce(&rusqlite::Connection, &ElectionId) -> Result<T, super::fault::Fault>
            + Send
            + 'static,
    {
        self.check(law_id)?;
        let law_id = law_id.clone();
        self.read(move |connection| query(connection, &law_id)).await
    }

    async fn read<T, Q>(&self, query: Q) -> Result<T, EngineError>
    where
        T: Send + 'static,
        Q: FnOnce(&rusqlite::Connection) -> Result<T, super::fault::Fault> + Send + 'static,
    {
        self.poison.check()?;
        self.readers.read(query).await
    }
}

impl fmt::Debug for EmbeddedLedger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EmbeddedLedger")
            .field("failure", &self.failure())
            .finish_non_exhaustive()
    }
}

/// Locks out other processes: the tail in memory must not become stale.
fn lock(folder: &Path) -> Result<File, EngineError> {
    let path = folder.join("ledger.lock");
    let refused = |error: &dyn fmt::Display| {
        unavailable(format!("cannot lock the ledger at {}: {error}", path.display()))
    };
    folder::lock(&path)
        .map_err(|error| refused(&error))?
        .ok_or_else(|| refused(&"another process has it open"))
}
