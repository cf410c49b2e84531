//! Load tests for votekit nodes: generates votes, sends them on a schedule that the node cannot
//! slow down, and measures their latency from the scheduled time.
//!
//! Two generators share one source of ballots:
//!
//! ```text
//! roll.csv ─▶ roll_source ─▶ ballot_mix ─┬─▶ goose_scenarios: users, each waiting for its answer
//!             packed in memory   vote n  │
//!                                        └─▶ open_loop: schedule ─▶ pacer ─▶ http_client ─▶ node
//!                                                          │                     │
//!                                                       journal               recorder ─▶ report
//! ```
//!
//! Goose's users wait for an answer before they send again, so a stalled node gets fewer requests
//! and its figures look better than they are (*coordinated omission*). Latency figures therefore
//! come from the **open loop**: vote `n` has an intended send time, fixed before the run, and its
//! latency counts from then, whether or not a connection was free.
//!
//! Beside the open loop [`hostile`] can guess credentials at a high rate and keep slow connections
//! open, and [`live`] reads live updates; their results are reported separately.
//!
//! Secrets of the roll are written to no file. Journals, reports and errors identify an elector
//! only by the row of the roll.

mod distribution;
mod error;
mod share;
mod shuffle;
mod zeroed;

pub mod roll_source;

pub mod ballot_mix;

pub mod schedule;

mod answer;
mod http1;
pub mod http_client;

pub mod journal;
mod recorder;
mod pacer;

pub mod hostile;
pub mod live;
mod plan;

mod decision_poll;
pub mod report;
pub mod open_loop;

pub mod goose_scenarios;

pub use error::{LoadError, MixError};
pub use share::{Share, ShareError};
