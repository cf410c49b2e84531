//! Several authorities: the file that names them and their quorum, and the statements by which they
//! agree on a block.
//!
//! ```text
//! file `authorities` ─▶ AuthoritySet ─▶ policy of each election, with its outside witnesses
//!                           │
//! leader:    BlockProposal ─┤ StatementKey signs, AuthoritySet verifies
//! authority: Statement ─────┤ vote, accept, refuse, suspect
//!  CosignedCheckpoint ───────┤ its cosignature over the log after a block
//!              NodeAdmission ┤ the ingest nodes that its operators admitted or retired
//!            AuthorityStatus ┘ what it reports of itself to operators
//! ```
//!
//! A statement is a signed note under the authority's statement key, a key that signs nothing else.
//! Nothing here decides whether a statement may be made: it is form and signature only. Section 14
//! of `docs/formats.md` specifies the texts.

mod point;
mod set_rule;
mod set_witness;
mod set;
mod text;
mod admission;
mod proposal;
mod statement;
mod status;
mod cosigned;
mod sealed_keys;
mod signed;

#[cfg(any(test, feature = "test-support"))]
pub mod sample;

pub use admission::NodeAdmission;
pub use cosigned::{CosignedCheckpoint, CosignedError};
pub use point::{AcceptedBlock, LogPoint, TermLeader};
pub use proposal::BlockProposal;
pub use sealed_keys::{open_keys, seal_keys};
pub use set::{AuthorityMember, AuthoritySet};
pub use set_rule::{AuthorityKey, AuthoritySetError, AuthoritySetRule};
pub use set_witness::SetWitness;
pub use signed::StatementKey;
pub use statement::{
    Accept, ElectionVote, Refuse, Statement, StatementBody, Suspect, SuspectReason, Vote,
};
pub use status::{AuthorityStatus, ElectionStatus};
pub use text::{StatementError, StatementRule};

#[cfg(test)]
#[path = "vectors_test.rs"]
pub(crate) mod vectors;
