//! Storage of votes and logs: three narrow roles over batches and blocks, one for the accounts of
//! people, and the engines that implement them.
//!
//! | role | embedded engine | services engine | keeps |
//! | --- | --- | --- | --- |
//! | [`Registry`] | shards in memory | Redis Cluster | first request of each credential: a hint |
//! | [`BallotBox`] | the ledger's staging table | RabbitMQ | published batches, until staged |
//! | [`Ledger`] | SQLite | PostgreSQL | staging, evidence, logs, leases, rows of authorities |
//! | [`Accounts`] | SQLite, in a separate file | PostgreSQL | accounts, sessions, keys of tokens |
//!
//! The ledger is the truth; the registry only gives hints. Engines share these contracts and one
//! conformance suite (`testing::conformance`, behind the feature `testing`), not helpers. Every
//! method may be called from any task. A method that changes something returns `Ok` only once the
//! change is durable.

mod error;

mod accounts;
mod ballot_box;
mod ledger;
mod registry;
mod round_row;
mod witness_line;

pub mod clock;
pub mod essential;
pub mod log_summary;
pub mod retry;

mod block_rows;
mod emptied_row;
mod write_health;

pub mod embedded;
#[cfg(feature = "services")]
pub mod services;

#[cfg(feature = "faults")]
pub mod faults;
#[cfg(feature = "testing")]
pub mod testing;

use std::sync::Arc;

pub use accounts::{
    Account, AccountId, AccountRole, AccountState, Accounts, EmailAddress, EmailError, Invitation,
    NewSession, Rotation, SessionKind, TokenKey,
};
pub use ballot_box::{BallotBox, BatchName, Delivery, DeliveryTag, Hints, ValidatedBatch};
pub use embedded::memory;
pub use error::{Conflict, EngineError, NoLease};
pub use ledger::{
    BlockCommit, Changes, Documents, Head, LeaderFence, Leadership, Lease, Leases, Ledger,
    LogPosition, LogReader, LogRepair, LogRow, LogStore, Restaged, ReviewNote, Rounds, Staged,
    StagedPosition, Staging, StagingId, StagingRead, StoredBlock, TERM_STEP_MAX, UnreadableRow,
    Witnessed,
};
pub use round_row::{DamagedRow, NewRow, RoundRow, RowId, RowKind, RowOutcome, RowsRead};
pub use witness_line::WitnessLine;
pub use write_health::failed_writes;

pub use registry::{FirstUse, Hint, KnownElectors, Mark, Registry, RollOrigin};

/// The four roles of one engine.
#[derive(Clone)]
pub struct Engines {
    /// The registry.
    pub registry: Arc<dyn Registry>,
    /// The ballot box.
    pub ballot_box: Arc<dyn BallotBox>,
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// The accounts.
    pub accounts: Arc<dyn Accounts>,
}
