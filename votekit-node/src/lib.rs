//! The votekit node: takes votes over HTTP, makes them durable, decides them once, and publishes a
//! log that anyone can check.
//!
//! ```text
//! http ─▶ node.submit ─▶ intake ─▶ ballot box ─▶ validation ─▶ staging (ledger) ─▶ sealing ─▶ log (ledger)
//!           │                          (engine)      │ registry: a hint                │
//!           │                                        ▼                                 ▼
//!           └─ 202 once durable               throttle, hints               reading: status, receipts, results, tiles
//! ```
//!
//! Engines stand behind the three roles of [`votekit_store`]; [`node::Node`] is what programs that embed a
//! node hold.

pub mod address_range;
pub mod archive;
pub mod config;
pub mod data_folder;
#[cfg(feature = "services")]
pub mod log_electors;
pub mod memory;
pub mod node;
pub mod node_name;

pub mod address_prefix;
pub mod administration;
pub mod admission;
mod clock;
mod closing;
mod election_handle;
mod epoch_end;
mod following;
mod intake;
mod leader_lease;
mod lease;
mod log_standing;
pub mod logging;
mod pending;
mod random;
pub mod rate_limit;
pub mod reading;
mod recovery;
mod regular_file;
pub mod roll_store;
mod rolls;
mod scrubbing;
mod seal_queue;
mod sealing;
mod snapshots;
mod staging;
mod supplement_report;
mod validation;
pub mod view;
mod watch;
mod write_gate;

pub mod metrics;
pub mod throttle;

pub use administration::{
    AmendElection, AnnulElection, ChoiceRequest, CloseElection, CreateElection, CreatedElection,
    LoadOutcome, LoadReport, LoadedLaw, OpenElection,
};
pub use reading::{
    DependencyHealth, ElectionGauges, Gauges, Health, ReceiptError, ResultsError, VoteStatus,
};
pub use roll_store::{CheckedRoll, RollError, RollView, RolledLaw, read_roll};
pub use supplement_report::SupplementReport;
pub use view::{BilingualView, ChoiceView, ElectionView, EpochView, NodeView};
