//! An explicit-state model of the rounds: every order of steps of a few authorities, within a
//! scope.
//!
//! ```text
//! scope ─▶ search ─▶ steps: what can happen next ─▶ guards: the real ones, on a small world
//!            │                      │
//!            ▼                      ▼
//!        invariants              world: rows of the ledger, memories, cosignatures ever made
//! ```
//!
//! The authorities share the rows of one ledger, as they do in an installation; there are no
//! messages, which is what makes the search end. The model has no rules of its own: it calls the
//! guards of `votekit_authority::round` and records what they allow. A mutation replaces the call
//! of one guard by its absence, in the model only.
//!
//! The search is breadth first over canonical states (honest authorities are exchangeable), so a
//! violation comes with a shortest way to it. Progress is reachability: from every state that has
//! terms left, the steps of the honest authorities alone must reach a certified log. The search is
//! ours because the model checker for Rust that we know of, stateright, always brings a web server.

mod guards;
mod scope;
mod search;
mod steps;
mod world;

pub(crate) use scope::{MUTANTS, Mutant, SCOPES, Scope};
pub(crate) use search::{Outcome, explore};
