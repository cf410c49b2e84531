//! The log of an election: one append-only Merkle tree, and all that an outsider needs to verify
//! it.
//!
//! ```text
//! leaf bytes ─▶ merkle: tree, root ─▶ checkpoint ─▶ note: log signature + cosignatures
//!                  │                                   │
//!                  ├─▶ tile: what is stored and served ├─▶ policy: who must have signed
//!                  └─▶ merkle proofs ──────────────────┴─▶ proof: a voter's receipt, offline
//! ```
//!
//! The tree is that of RFC 6962 section 2.1. The texts are C2SP signed-note, tlog-checkpoint,
//! tlog-cosignature (v1, Ed25519), tlog-proof, tlog-policy and tlog-tiles, so that third-party
//! verifiers can read them. Section 8 of `docs/formats.md` specifies how votekit uses them. Each
//! parser accepts arbitrary bytes, bounds what it keeps, and reports the line and the rule at which
//! it stops.

pub(crate) mod encoding;
mod tree_hash;
pub mod leaf;
pub mod note;
pub mod tile;
pub mod merkle;
pub mod checkpoint;
pub mod policy;
pub mod proof;
pub mod witness;

#[cfg(test)]
mod samples;
