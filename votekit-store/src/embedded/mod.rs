//! The embedded engine: one process, one folder, no server.
//!
//! ```text
//! ballot box ──stage──▶ ledger ─▶ writer (one thread, grouped transactions) ───▶ ledger.sqlite
//!     ▲                    │         │                                                  ▲   ▲
//!     └──── backlog ───────┤         └─ after COMMIT ─▶ tail (heads, unsealed batches)  │   │
//!                          └─ readers (a few read-only connections) ────────────────────┘   │
//!                                      checkpointer ─▶ database file ───────────────────────┘
//! registry: in memory only
//! accounts: one connection, beside other processes ───▶ accounts.sqlite
//! memory of an authority: one connection, one process ─▶ memory.sqlite, in a folder of its own
//! ```

mod fault;
mod wal_check;
mod schema;
mod checkpointer;
mod columns;
mod transaction;
mod accounts;
mod tail;
mod ballot_box;
mod folder;
mod queries;
mod inspection;
mod leases;
mod readers;
mod witness_queries;
mod writer;
mod writes;
mod ledger;
mod read_view;
mod registry;
pub mod memory;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use accounts::EmbeddedAccounts;
pub use ballot_box::EmbeddedBallotBox;
pub use ledger::EmbeddedLedger;
pub use read_view::EmbeddedReadView;
pub use registry::EmbeddedRegistry;

use super::{EngineError, Engines};

/// The file name of the ledger in a data folder.
pub const FILE_NAME: &str = "ledger.sqlite";

/// The file name of the accounts in a data folder.
pub const ACCOUNTS_FILE_NAME: &str = "accounts.sqlite";

/// The four roles over one folder.
#[derive(Debug, Clone)]
pub struct EmbeddedEngine {
    /// Empty when opened: the node adds the rolls and restores the accepted votes from the log.
    pub registry: Arc<EmbeddedRegistry>,
    /// First delivers the batches that were staged and not sealed when the ledger was opened.
    pub ballot_box: Arc<EmbeddedBallotBox>,
    /// The ledger, the source of truth.
    pub ledger: Arc<EmbeddedLedger>,
    /// The accounts, which other processes may change at the same time.
    pub accounts: Arc<EmbeddedAccounts>,
}

impl EmbeddedEngine {
    /// Opens the engine in a folder, creating it if needed. Blocks while it inspects the stored
    /// data.
    ///
    /// ```
    /// use votekit_store::{LogStore, embedded::EmbeddedEngine};
    /// # let folder = tempfile::tempdir()?;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// let engine = EmbeddedEngine::open(folder.path())?;
    /// # runtime.block_on(async {
    /// assert!(engine.ledger.elections().await?.is_empty());
    /// # Ok::<(), votekit_store::EngineError>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`EmbeddedLedger::open`] and [`EmbeddedAccounts::open`].
    pub fn open(folder: &Path) -> Result<Self, EngineError> {
        let ledger = Arc::new(EmbeddedLedger::open(folder)?);
        let ballot_box = Arc::new(EmbeddedBallotBox::new(Arc::clone(&ledger)));
        let accounts = Arc::new(EmbeddedAccounts::open(folder)?);
        Ok(Self { registry: Arc::new(EmbeddedRegistry::new()), ballot_box, ledger, accounts })
    }

    /// As [`EmbeddedEngine::open`], on a thread that may block.
    ///
    /// # Errors
    /// As [`EmbeddedEngine::open`].
    pub async fn open_in_background(folder: PathBuf) -> Result<Self, EngineError> {
        let opened = tokio::task::spawn_blocking(move || Self::open(&folder)).await;
        opened.unwrap_or_else(|_| Err(fault::panicked("the opening")))
    }

    /// The roles for several nodes of this process: a clone for each. One of the nodes leads, and
    /// answering voters requires a lease, as with a ledger shared by several processes. The leases
    /// end with the process. After a restart too, a new term is higher than every earlier term.
    ///
    /// The ballot box delivers each batch to one of the nodes. Its batches are already staged. So
    /// if a node ends before it forwards a batch, the batch is still sealed, but without hints; it
    /// stays among the unacknowledged batches until the process ends.
    #[must_use]
    pub fn into_shared(self) -> Engines {
        self.ledger.share();
        self.into()
    }
}

impl From<EmbeddedEngine> for Engines {
    fn from(engine: EmbeddedEngine) -> Self {
        let EmbeddedEngine { registry, ballot_box, ledger, accounts } = engine;
        Self { registry, ballot_box, ledger, accounts }
    }
}
