//! Load against votekit nodes: who votes what, sent at a rate nobody can slow down, and measured
//! honestly.
//!
//! Two generators share one source of ballots:
//!
//! ```text
//! roll.csv ─▶ roll_source ─▶ ballot_mix ─┬─▶ goose_scenarios                     a number of users, each waiting for its answer
//!             packed in memory   vote n  │
//!                                        └─▶ open_loop: schedule ─▶ pacer ─▶ http_client ─▶ node
//!                                                          │                     │
//!                                                       journal               recorder ─▶ report
//! ```
//!
//! Goose's users wait for an answer before they send again, so a node that stalls is asked less and
//! looks better than it is (*coordinated omission*). Claims about latency therefore come from the
//! **open loop**: vote `n` has an intended send time, fixed before the run, and its latency is
//! measured from then, whether or not a connection was free to carry it.
//!
//! Beside the open loop [`hostile`] can guess credentials by the thousand and hold slow
//! connections, reported apart.
//!
//! Secrets of the roll stay in memory. Journals, reports and errors name an elector by the row of
//! the roll only.

mod error;
mod share;
mod shuffle;
mod stdout_aside;
mod zeroed;

pub mod roll_source;

pub mod ballot_mix;

pub mod schedule;

mod answer;
mod http1;
pub mod http_client;

pub mod journal;
mod pacer;
mod recorder;

mod decision_poll;
pub mod open_loop;
pub mod report;

pub mod hostile;

pub mod goose_scenarios;

pub use error::LoadError;
pub use share::{Share, ShareError};
