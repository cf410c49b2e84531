//! The pure core of votekit: what a vote is, whether it counts, and how anyone can verify it.
//!
//! Nothing here touches a network, a clock, the environment or a terminal: the core takes bytes and
//! times, and returns values and bytes. With the default features it reads no file either. Data
//! flows one way:
//!
//! ```text
//! roll ─▶ credential ─▶ shard + manifest ─▶ registry            offline, then loaded
//!                                               │
//! vote ─▶ envelope ─▶ batch ─▶ decision ◀───────┘               online
//!                                 │
//!                    log: leaf ─▶ merkle ─▶ checkpoint, proof, policy, tile
//!                                 │
//!                    commitment, tally ─▶ reconcile ─▶ export ─▶ bundle   after the close
//! ```
//!
//! Where to start:
//!
//! - Hash a roll: `roll::parallel::hash_roll`, from a reader to shards and manifest. Example
//!   `hash_roll`.
//! - Check a credential: [`credential::CredentialHasher`] and [`electorate::Electorate`]. Example
//!   `check_credential`.
//! - Decide votes: [`election_log::ElectionLog`], see below. Example `decide_batch`.
//! - Name the authorities of an installation, and verify what they sign:
//!   [`authority::AuthoritySet`].
//! - Verify a published election: [`bundle::verify::verify`]; a receipt: [`bundle::check_receipt`].
//!   Both give a [`bundle::Verdict`]. Example `verify_bundle`.
//!
//! Features, none of them on by default: `parallel` adds `roll::parallel`, which starts threads;
//! `fs` adds `bundle::FolderSource`, which reads a folder; `test-support` adds `bundle::sample` and
//! `authority::sample`, with keys that everyone knows, and `FixedRng`. The README states what a
//! minor version may change.
//!
//! To decide votes, an integrator parses a [`batch::Batch`], verifies it for one election and one
//! node, and passes the [`batch::VerifiedBatch`] to an [`election_log::ElectionLog`], which writes
//! the log.
//!
//! The formats are specified byte by byte in `docs/formats.md`. The modules below are in the order
//! of the flow.

pub mod email;
pub mod id;
pub mod instant;
pub mod key_file;

mod ed25519;

pub mod credential;
pub mod shard;

pub mod manifest;

pub mod ballot;
pub mod election;

pub mod roll;

pub mod binding;
pub mod envelope;

pub mod batch;

pub mod electorate;
pub mod epochs;
pub mod request_index;

pub mod decision;

pub mod commitment;

pub mod tally;

pub mod reconcile;
pub mod results;

pub mod export;

pub mod log;

pub mod authority;
pub mod election_log;

#[cfg(any(test, feature = "test-support"))]
mod fixed_rng;

pub mod bundle;

/// The release of `rand_core` whose traits the sealing functions require of a generator.
pub use rand_core;

#[cfg(any(test, feature = "test-support"))]
pub use fixed_rng::FixedRng;

#[cfg(test)]
mod vectors_test;

/// Runs the Rust examples of README.md as tests.
#[cfg(all(doctest, feature = "fs", feature = "parallel"))]
#[doc = include_str!("../../README.md")]
struct ReadmeExamples;
