//! The log of an election: one append-only Merkle tree, and everything that lets a stranger check
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
//! tlog-cosignature (v1, Ed25519), tlog-proof, tlog-policy and tlog-tiles, so that other people's
//! verifiers read ours. How votekit uses them is section 8 of `docs/formats.md`. Each parser takes
//! any bytes whatever, bounds what it keeps, and names the line and the rule it stops at.

mod encoding;

pub mod leaf;
pub mod note;

pub mod merkle;
pub mod tile;

pub mod checkpoint;
pub mod policy;
pub mod proof;

#[cfg(test)]
mod samples;
