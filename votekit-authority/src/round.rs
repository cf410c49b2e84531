//! A round: how a block is proposed, accepted, cosigned and appended by several authorities.
//!
//! ```text
//! leader: propose ─▶ q authorities: make the block again, accept ─▶ q cosign ─▶ anyone: append
//! ```
//!
//! The guards decide and change nothing. A statement that they allow is first made durable in the
//! authority's own memory, then recorded in [`RoundMemory`], and only then published. The rules are
//! those of Paxos, one instance for each height of each election: a vote for a leader is a promise
//! to accept nothing of an earlier leader, and reports the accepted blocks ([`RoundMemory::vote`]);
//! a new leader proposes again any block that a quorum may have accepted ([`choose`]); no one
//! cosigns a block that a quorum has not accepted ([`RoundMemory::cosign`]).

mod choice;
mod guards;
mod memory;
mod view;

pub use choice::{Choice, choose};
pub use guards::{FIRST_TERM_MAX, NoVote, NotAccepted, NotCosigned, TERM_STEP_MAX};
pub use memory::{ElectionMemory, RoundMemory};
pub use view::{Quorum, RoundView};

#[cfg(test)]
#[path = "round/round_test.rs"]
mod tests;
