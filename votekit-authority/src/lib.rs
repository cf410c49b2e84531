//! The decisions of an authority as pure state machines: events in, commands out.
//!
//! ```text
//!            event                        command
//! driver ──────────────▶ state machine ──────────────▶ driver
//!  ▲  (what happened, when)             (what to do next)  │
//!  └────────── ledger, ballot box, clocks, keys ◀──────────┘
//! ```
//!
//! Nothing here reads a clock, waits or does I/O: the driver in votekit-node passes times in,
//! executes the commands and reports their outcomes. So every order of events can be tested: the
//! tests of each machine run it in a simulated installation that loses answers, delays them and
//! kills nodes.
//!
//! - [`leader_lease`]: which node seals, by a lease in the ledger.
//! - [`leader_election`]: which authority leads: it holds the lease, and a quorum votes for it.
//! - [`round`]: what an authority may accept and cosign, and what a new leader proposes.
//! - [`close`]: ends the voting of an election without losing an answered vote.
//! - [`retirement`]: ends the epochs of a node that is gone.
//! - [`quiescence`]: the events and commands that the last two share.
//! - [`event_guard`]: what an authority verifies about a block in addition to recomputing it.
//!
//! The feature `simulation` adds `simulation`: several authorities, each with a whole log, over a
//! ledger that loses answers, with crashes between every two writes; a seed repeats a run.

pub mod monotonic;

pub mod leader_lease;
pub mod round;

pub mod leader_election;

pub mod quiescence;

pub mod close;
pub mod retirement;

pub mod event_guard;
#[cfg(feature = "simulation")]
pub mod simulation;
