//! Several authorities of one installation: who they are, and what they sign about one another's
//! blocks.
//!
//! - [`AuthoritySet`]: the file `authorities`, the same bytes on every machine.
//! - [`Statement`]: votes, accepts, refusals and suspicions, each signed by its authority.
//! - [`BlockProposal`]: a block that a leader proposes.
//!
//! The formats are in docs/formats.md, section "Authorities". A cosignature is not a statement of
//! its own: it is the line of [`crate::log::checkpoint`].

mod proposal;
mod sealed_keys;
mod set;
mod statement;
mod text;

pub use proposal::BlockProposal;
pub use sealed_keys::{open_keys, seal_keys};
pub use set::{AuthorityMember, AuthoritySet, AuthoritySetError, AuthoritySetRule};
pub use statement::{
    Accept, AcceptedBlock, ElectionVote, LogPoint, Refuse, Statement, StatementBody,
    StatementError, StatementKey, Suspect, SuspectReason, TermLeader, Vote,
};

#[cfg(test)]
#[path = "authority/authority_test.rs"]
mod tests;
