//! A witness of transparency logs for tests, written from C2SP's texts alone: tlog-witness,
//! tlog-checkpoint, tlog-cosignature (Ed25519, v1) and signed-note.
//!
//! ```text
//! POST /add-checkpoint ─▶ http ─▶ witness ─┬─ request      old size, proof, checkpoint
//! GET /<hash>/checkpoint ─▶               ├─ note         the signatures of a log's keys
//!                                         ├─ merkle       the new tree begins with the old one
//!                                         └─ store        a file for each log
//! ```
//!
//! It depends on no other crate of the project: the votekit that submits checkpoints is what it
//! tests. One origin may have several log keys, as the specification allows.

mod merkle;
mod checkpoint;
mod note;
mod request;
mod store;
mod witness;
mod http;

pub use http::serve;
pub use note::KeyError;
pub use witness::{Answer, Witness};
